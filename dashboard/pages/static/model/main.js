/** The model page: bars, heat, and tables sorted by their columns. Its values are in the HTML. */

import { startAsking } from "./ask.js";

startAsking();
for (const cell of document.querySelectorAll("[data-value]")) cell.style.setProperty("--value", cell.dataset.value);
for (const table of document.querySelectorAll(".sortable")) {
  for (const head of table.tHead.rows[0].cells) head.firstChild.onclick = () => sortBy(table, head);
}

function sortBy(table, head) {
  const sign = head.ariaSort === "ascending" ? -1 : 1;
  for (const each of head.parentNode.cells) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  const cell = (row) => row.cells[head.cellIndex];
  const [body] = table.tBodies;
  body.append(...[...body.rows].sort((a, b) =>
    sign * (cell(a).dataset.value - cell(b).dataset.value || cell(a).textContent.localeCompare(cell(b).textContent))));
}
