(function () {
  "use strict";
  document.documentElement.classList.add("js");
  const table = document.getElementById("segments");
  const bodies = Array.from(table.tBodies);
  const find = document.getElementById("find");
  const show = document.getElementById("show");
  const expand = document.getElementById("expand");

  function open(body, yes) {
    body.classList.toggle("open", yes);
    body.querySelector(".opener").setAttribute("aria-expanded", String(yes));
  }

  // ascending: -1 puts the better last, as a worst-first list wants it; no score is last in either direction
  function sort(key, direction) {
    const numeric = key !== "name" && key !== "status";
    const value = (b) => (numeric ? parseFloat(b.dataset[key]) : b.dataset[key].toLowerCase());
    bodies.sort((a, b) => {
      const x = value(a), y = value(b);
      if (numeric && (isNaN(x) || isNaN(y))) return isNaN(x) - isNaN(y) || a.dataset.rank - b.dataset.rank;
      const order = numeric ? x - y : x.localeCompare(y, undefined, { numeric: true });
      return direction * order || a.dataset.rank - b.dataset.rank;
    });
    bodies.forEach((b) => table.appendChild(b));
  }

  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-sort]");
    if (!button) return;
    const head = button.closest("th");
    const first = button.dataset.sort === "flagged" ? "descending" : "ascending";
    const now = head.getAttribute("aria-sort");
    const next = now ? (now === "ascending" ? "descending" : "ascending") : first;
    table.tHead.querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", next);
    sort(button.dataset.sort, next === "ascending" ? 1 : -1);
  });

  function filter() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    bodies.forEach((b) => {
      const d = b.dataset;
      const text = (d.name + " " + d.structure).toLowerCase();
      const wanted = { all: true, flagged: d.flagged !== "0", missed: d.missed !== "0", below: d.below === "1", unscored: d.dsc === "" }[show.value]
        ?? d.status === show.value;
      const yes = wanted && words.every((w) => text.includes(w));
      b.classList.toggle("out", !yes);
      shown += yes;
    });
    document.getElementById("count").textContent = shown + " of " + bodies.length + " segments";
  }
  find.addEventListener("input", filter);
  show.addEventListener("change", filter);

  table.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (!row || String(window.getSelection())) return;
    const body = row.parentElement;
    open(body, !body.classList.contains("open"));
  });

  expand.addEventListener("click", () => {
    const all = expand.textContent === "Open all";
    bodies.forEach((b) => open(b, all));
    expand.textContent = all ? "Close all" : "Open all";
  });

  function follow() {
    const body = /^#segment-\d+$/.test(location.hash) && document.querySelector(location.hash);
    if (!body) return;
    body.classList.remove("out");
    open(body, true);
    body.scrollIntoView({ block: "start" });
  }
  window.addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#segment-']");
    if (link && link.getAttribute("href") === location.hash) follow(); // the same link again changes no hash
  });

  const how = document.querySelector(".how");
  let before = [];
  window.addEventListener("beforeprint", () => {
    how.open = true;
    before = bodies.filter((b) => b.classList.contains("open"));
    bodies.forEach((b) => { if (b.dataset.below === "1") open(b, true); });
  });
  window.addEventListener("afterprint", () => bodies.forEach((b) => open(b, before.includes(b))));

  filter();
  if (bodies.length && (bodies[0].dataset.flagged !== "0" || bodies[0].dataset.missed !== "0")) open(bodies[0], true);
  follow();
})();
