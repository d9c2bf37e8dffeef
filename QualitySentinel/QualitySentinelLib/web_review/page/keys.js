// Keyboard of the review, the list of its keys, light and dark, and the table's scrolling.
(() => {
  // [keys as told, what they do, what is triggered by key]: by letter, not by place, as Z and Y change places on some keyboards
  const press = (id) => () => document.getElementById(id)?.click();
  const keys = [
    ['D', 'Accept this slice and go to the next flagged one', { d: ['accept_and_next'] }],
    ['Space or N', 'Next flagged or missed slice', { ' ': ['next_flagged'], n: ['next_flagged'] }],
    ['Shift+Space or Shift+N', 'Previous one', { 'shift+ ': ['previous_flagged'], 'shift+n': ['previous_flagged'] }],
    ['A', 'Accept this slice, or undo its accept', { a: ['accept'] }],
    ['Shift+A', 'Accept all open slices of the segment', { 'shift+a': ['accept_segment'] }],
    ['Z, Y', 'Undo and redo accepts', { z: ['undo'], y: ['redo'] }],
    ['↑, ↓', 'Next slice up or down', { arrowup: ['step', [1]], arrowdown: ['step', [-1]] }],
    ['Shift+D', 'In a list: done, save the masks and go on', { 'shift+d': press('queue-done') }],
    ['B', 'In a list: back to the pool', { b: press('queue-back') }],
    ['G, Shift+G', 'In a list: next open case, and the one before', { g: press('queue-next'), 'shift+g': press('queue-previous') }],
    ['X', 'Show errors, or hide them', { x: ['toggle_errors'] }],
    ['I, Shift+I', 'Next and previous error island', { i: ['next_island'], 'shift+i': ['previous_island'] }],
    ['V, Shift+V', 'Apply suggestions to this slice, or to this island', { v: ['apply_to_slice'], 'shift+v': ['apply_to_island'] }],
    ['P, E, Esc', 'Paint, erase, stop', { p: ['tool', ['paint']], e: ['tool', ['erase']], escape: ['tool', ['']] }],
    ['F', 'Zoom to the segment, or back to the whole CT', { f: ['zoom'] }],
    ['H', 'Hide or show the masks', { h: ['toggle_masks', ['hidden']] }],
    ['O', 'Outlines only, or filled masks', { o: ['toggle_masks', ['outline']] }],
    ['+, −', 'More or less opacity', { '+': ['step_opacity', [1]], '=': ['step_opacity', [1]], '-': ['step_opacity', [-1]] }],
    ['S', 'Selected segment only, or all', { s: ['alone'] }],
    ['C', 'Other colors', { c: ['use_colors'] }],
    ['1 to 5', 'Window: soft tissue, lung, bone, brain, wide', Object.fromEntries(
      ['soft tissue', 'lung', 'bone', 'brain', 'wide'].map((name, n) => [String(n + 1), ['use_window', [name]]]))],
    ['0', 'Window that suits the structure', { 0: ['use_window', ['']] }],
    ['L', 'Light or dark', { l: () => theme(root.dataset.theme === 'light' ? 'dark' : 'light') }],
    ['?', 'This list', { '?': () => list().showModal() }],
  ];
  const mouse = [
    ['Drag', 'Window (left and right) and level (up and down)'],
    ['Right drag', 'Zoom'],
    ['Middle drag', 'Pan'],
    ['Wheel', 'Scroll through slices'],
    ['Shift+wheel', 'Size of the brush, over the view'],
  ];
  const actions = Object.assign({}, ...keys.map((entry) => entry[2]));
  const root = document.documentElement;
  const theme = (name) => {
    root.dataset.theme = name;
    localStorage.setItem('quality-sentinel-theme', name);
  };
  theme(localStorage.getItem('quality-sentinel-theme') || 'dark');  // reading rooms are dark
  const list = () => {
    const dialog = document.getElementById('keys');
    const row = ([name, does]) => `<dt><kbd>${name}</kbd></dt><dd>${does}</dd>`;
    dialog.querySelector('dl').innerHTML = [...keys, ...mouse].map(row).join('');
    return dialog;
  };
  // Keys are caught before buttons and views see them: Space goes on whatever was clicked last.
  const onKey = (e) => {
    const at = (selector) => e.target.closest && e.target.closest(selector);
    const key = e.key.toLowerCase();
    const shown = document.querySelector('dialog[open]');
    if (shown) {
      if (e.type === 'keydown' && key === '?') shown.close();
      return;
    }
    if (at('input[type="text"], textarea, select') || (at('input[type="range"]') && key.startsWith('arrow'))) return;
    let action = null;
    if (e.ctrlKey || e.metaKey) {
      if (key === 'z') action = [e.shiftKey ? 'redo' : 'undo'];
    } else if (!e.altKey) action = actions[(e.shiftKey && /^[a-z ]$/.test(key) ? 'shift+' : '') + key];
    if (!action) return;
    e.preventDefault();
    e.stopPropagation();
    if (e.type !== 'keydown' || (e.repeat && !/^( |n|arrowup|arrowdown|\+|=|-)$/.test(key))) return;
    if (typeof action === 'function') action();
    else window.trame.trigger(...action);
  };
  window.addEventListener('keydown', onKey, true);
  window.addEventListener('keyup', onKey, true);
  document.addEventListener('click', (e) => {
    if (e.target.id === 'show-keys') list().showModal();
    if (e.target.id === 'theme') actions.l();
    if (e.target.matches('dialog')) e.target.close();
  });
  // the selected row stays in sight, whoever selected it
  let selected = null;
  const follow = () => {
    const row = document.querySelector('tr.selected');
    if (row && row.dataset.id !== selected) row.scrollIntoView({ block: 'nearest' });
    selected = row && row.dataset.id;
  };
  new MutationObserver(follow).observe(document, { subtree: true, attributes: true, attributeFilter: ['class'] });
})();
