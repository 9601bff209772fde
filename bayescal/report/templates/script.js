"use strict";
// Tables that are sorted by a click on a header, again for the other way round.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const of = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent.trim();
      const rows = [...table.tBodies[0].rows].map((row) => [of(row), row]);
      const plain = rows.every(([v]) => v === "" || Number.isFinite(Number(v)));
      const by = plain
        ? (a, b) => (a === "") - (b === "") || Number(a) - Number(b)
        : (a, b) => a.localeCompare(b, undefined, { numeric: true });
      rows.sort(([a], [b]) => (up ? by(a, b) : by(b, a)));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}
