/* Sorting of the tables of gains, and the keyboard in them: neither needs the data of the page. */
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
/** Value of a cell for sorting; null without a number. */
const valueOf = (td) => {
  const value = Number.parseFloat(td.textContent.replace("−", "-"));
  return Number.isNaN(value) ? null : value;
};

/** Keep the order of the rows as the template has them. */
const rankRows = (table) => all("tbody tr", table).forEach((row, i) => (row.rank ??= i));

/** Sort the recipes of tables by the column `name`, or in the other direction by `-name`. */
function sortTables(tables, name) {
  const [isUp, wanted] = name.startsWith("-") ? [true, name.slice(1)] : [false, name];
  for (const table of tables) {
    const heads = all("thead [data-key]", table),
      column = Math.max(heads.findIndex((head) => head.dataset.key === wanted), 0),
      body = table.querySelector("tbody.recipe"),
      sorted = [...body.rows];
    rankRows(table);
    const compare = (a, b) => {
      const [x, y] = [a, b].map((row) => row.cells[column]);
      if (column === 0) return x.textContent.localeCompare(y.textContent);
      const [v, w] = [valueOf(x), valueOf(y)];
      if (v === null || w === null) return (v === null) - (w === null) || a.rank - b.rank;
      return (isUp ? v - w : w - v) || a.rank - b.rank;
    };
    sorted.sort(compare);
    if (isUp && column === 0) sorted.reverse();
    body.append(...sorted);
    heads.forEach((head, i) => {
      const direction = (column === 0) !== isUp ? "ascending" : "descending";
      if (i === column) head.setAttribute("aria-sort", direction);
      else head.removeAttribute("aria-sort");
    });
  }
}

function sortBy(head) {
  const choice = head.closest("section").id === "grid" ? "sort" : "order",
    name = head.dataset.key;
  choose({ [choice]: view[choice] === name ? `-${name}` : name });
}

/** Leave only the cell with the focus as a stop of Tab: done when the focus first enters a table. */
function keepOneStop(table, target) {
  const links = all("tbody a", table),
    stop = links.includes(target) ? target : links[0];
  for (const link of links) link.tabIndex = link === stop ? 0 : -1;
  table.hasOneStop = true;
}

/** Arrow keys, Home and End move the focus over a table; only one of its cells is a stop of Tab. */
function moveFocus(event, table) {
  const cell = event.target.closest("td, th"),
    row = cell.parentElement,
    rows = all("tbody tr", table),
    [down, across] = ARROWS[event.key] ?? [0, 0];
  const linked = (tr) => [...tr.cells].filter((x) => x.querySelector("a"));
  if (event.target.localName !== "a") return;
  const next = {
    Home: () => linked(row)[0],
    End: () => linked(row).at(-1),
    [event.key in ARROWS ? event.key : ""]: () =>
      rows[rows.indexOf(row) + down]?.cells[cell.cellIndex + across],
  }[event.key]?.();
  if (event.key in ARROWS || next) event.preventDefault();
  const link = next?.querySelector("a");
  if (!link) return;
  event.target.tabIndex = -1;
  link.tabIndex = 0;
  link.focus();
}
