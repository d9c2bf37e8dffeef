// Keyboard of the review, and the table's scrolling. Keys are caught before buttons and views see it: Space goes on whatever was clicked last.
(() => {
  // by letter, not by place: Z and Y change places on some keyboards
  const actions = {
    ' ': (e) => [e.shiftKey ? 'previous_flagged' : 'next_flagged'],
    n: (e) => [e.shiftKey ? 'previous_flagged' : 'next_flagged'],
    a: (e) => [e.shiftKey ? 'accept_segment' : 'accept_or_not'],
    z: () => ['undo'],
    y: () => ['redo'],
    p: () => ['tool', ['paint']],
    e: () => ['tool', ['erase']],
    s: () => ['alone_or_not'],
    c: () => ['next_colors'],
    escape: () => ['tool', ['']],
  };
  const onKey = (e) => {
    if (e.target.closest && e.target.closest('input[type="text"], textarea, select')) return;
    const key = e.key.toLowerCase();
    let action = null;
    if (e.ctrlKey || e.metaKey) {
      if (key === 'z') action = [e.shiftKey ? 'redo' : 'undo'];
    } else if (!e.altKey && actions[key]) action = actions[key](e);
    if (!action) return;
    e.preventDefault();
    e.stopPropagation();
    if (e.type === 'keydown' && (!e.repeat || key === ' ' || key === 'n')) window.trame.trigger(...action);
  };
  window.addEventListener('keydown', onKey, true);
  window.addEventListener('keyup', onKey, true);
  // the selected row stays in sight, whoever selected it
  let selected = null;
  const follow = () => {
    const row = document.querySelector('tr.selected');
    if (row && row.dataset.id !== selected) row.scrollIntoView({ block: 'nearest' });
    selected = row && row.dataset.id;
  };
  new MutationObserver(follow).observe(document, { subtree: true, attributes: true, attributeFilter: ['class'] });
})();
