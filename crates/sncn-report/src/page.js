"use strict";
// tables are sorted by the column whose heading is chosen: by the number that a cell begins with, or by its text
for (const table of document.querySelectorAll("table")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const falls = head.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const key = (row) => row.cells[column] ? row.cells[column].textContent.trim() : "";
      const order = (a, b) => {
        const [one, two] = [parseFloat(a), parseFloat(b)];
        if (Number.isNaN(one) !== Number.isNaN(two)) return Number.isNaN(one) ? 1 : -1;
        const difference = Number.isNaN(one) ? a.localeCompare(b) : one - two;
        return falls ? -difference : difference;
      };
      const body = table.tBodies[0];
      [...body.rows].sort((a, b) => order(key(a), key(b))).forEach((row) => body.append(row));
    });
  });
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
