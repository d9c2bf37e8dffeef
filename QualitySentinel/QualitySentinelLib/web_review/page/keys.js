// Keyboard of the review. Caught before buttons and views see it: Space goes on whatever was clicked last.
(() => {
  const actions = {
    Space: (e) => [e.shiftKey ? 'previous_flagged' : 'next_flagged'],
    KeyA: () => ['accept_or_not'],
    KeyP: () => ['tool', ['paint']],
    KeyE: () => ['tool', ['erase']],
    KeyS: () => ['alone', [!document.getElementById('alone').checked]],
    KeyC: () => {
      const modes = [...document.querySelectorAll('#colors button')];
      const now = modes.findIndex((button) => button.classList.contains('on'));
      return ['colors', [modes[(now + 1) % modes.length].dataset.mode]];
    },
    Escape: () => ['tool', ['']],
  };
  const onKey = (e) => {
    if (e.target.closest && e.target.closest('input[type="text"], textarea, select')) return;
    let action = null;
    if (e.ctrlKey || e.metaKey) {
      if (e.code === 'KeyZ') action = [e.shiftKey ? 'redo' : 'undo'];
    } else if (!e.altKey && actions[e.code]) action = actions[e.code](e);
    if (!action) return;
    e.preventDefault();
    e.stopPropagation();
    if (e.type === 'keydown' && (!e.repeat || e.code === 'Space')) window.trame.trigger(...action);
  };
  window.addEventListener('keydown', onKey, true);
  window.addEventListener('keyup', onKey, true);
})();
