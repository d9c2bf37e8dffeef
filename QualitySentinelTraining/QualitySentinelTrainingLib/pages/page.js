(function () {
  "use strict";
  document.documentElement.classList.add("js");

  // a cell is sorted by its data-value, else by its text; what has no value stays last in either direction
  function value(row, column) {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    return text === "" || text === "–" ? null : text;
  }

  function sort(table, column, direction, numeric) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    rows.sort((a, b) => {
      const x = value(a, column), y = value(b, column);
      if (x === null || y === null) return (x === null) - (y === null);
      return direction * (numeric ? parseFloat(x) - parseFloat(y) : x.localeCompare(y, undefined, { numeric: true }));
    });
    rows.forEach((row) => body.appendChild(row));
  }

  document.querySelectorAll("table.data").forEach((table) => {
    table.tHead.addEventListener("click", (event) => {
      const head = event.target.closest("th");
      if (!event.target.closest("button") || !head) return;
      const next = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      table.tHead.querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", next);
      sort(table, head.cellIndex, next === "ascending" ? 1 : -1, head.classList.contains("num"));
    });
  });

  // a table that goes on beyond the right edge fades out there
  document.querySelectorAll(".scroll").forEach((box) => {
    const mark = () => box.classList.toggle("more", box.scrollWidth - box.clientWidth - box.scrollLeft > 2);
    box.addEventListener("scroll", mark, { passive: true });
    new ResizeObserver(mark).observe(box);
    mark();
  });

  const find = document.getElementById("find");
  if (find) {
    const rows = Array.from(document.getElementById(find.dataset.table).tBodies[0].rows);
    const show = document.getElementById("show");
    const filter = () => {
      const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row) => {
        const text = row.textContent.toLowerCase();
        const yes = words.every((w) => text.includes(w)) && (!show || show.value === "all" || row.dataset[show.value] === "1");
        row.classList.toggle("out", !yes);
        shown += yes;
      });
      document.getElementById("count").textContent = shown + " of " + rows.length;
    };
    find.addEventListener("input", filter);
    if (show) show.addEventListener("change", filter);
    filter();
  }
})();
