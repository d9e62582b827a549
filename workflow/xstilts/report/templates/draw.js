"use strict";
/* The sections of the page: controls, charts, a table behind each chart, and the panel of details. */
const darkMode = matchMedia("(prefers-color-scheme: dark)");
const drawn = new Map(); // element -> Vega view, to change its colours or to save it

/** Draw a chart's rows in an element and return the view. */
async function draw(
  name,
  element,
  rows,
  { unit = "", width = null, saved = name } = {},
) {
  const spec = JSON.parse(JSON.stringify(CHARTS[name]).replaceAll("{unit}", unit));
  (spec.spec ?? spec).width = width ?? "container";
  spec.data = { name: "rows", values: rows };
  spec.params.find((param) => param.name === "dark").value = isDark();
  drawn.get(element)?.finalize();
  const result = await vegaEmbed(element, spec, {
    actions: false,
    logLevel: 1, // errors only
    renderer: rows.length > 2500 ? "canvas" : "svg",
    tooltip: { theme: "custom" },
  });
  drawn.set(element, result);
  element.dataset.saved = saved;
  return result.view;
}
/** Replace a chart that has no data by a sentence. */
function clear(element, text) {
  drawn.get(element)?.finalize();
  drawn.delete(element);
  element.replaceChildren(h("p", {}, text));
}
let printing = false; // paper is white, also in dark mode
const isDark = () => darkMode.matches && !printing;
function recolour() {
  for (const { view } of drawn.values()) view.signal("dark", isDark()).run();
}
let unfolded = []; // opened for printing: the answer's estimates, figures and caveats
function setPrinting(value) {
  printing = value;
  if (value) unfolded = [...document.querySelectorAll(".answer details:not([open])")];
  unfolded.forEach((fold) => (fold.open = value));
  recolour();
}
darkMode.addEventListener("change", recolour);
addEventListener("beforeprint", () => setPrinting(true));
addEventListener("afterprint", () => setPrinting(false));

function save(content, name, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
/** Save a figure for a paper: on white, also in dark mode. */
async function saveChart(element, kind) {
  const { view } = drawn.get(element),
    name = `${D.study}-${element.dataset.saved}.${kind}`;
  await view.signal("dark", false).background("white").runAsync();
  if (kind === "svg") save(await view.toSVG(), name, "image/svg+xml");
  else (await view.toCanvas(3)).toBlob((blob) => save(blob, name, "image/png"));
  view.signal("dark", isDark()).background("transparent").run();
}
const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** A table in a region that scrolls; with `numbers` all columns but the first are numbers. */
function table(head, rows, caption = head.join(", "), numbers = false) {
  const column = (i) => ({ class: numbers && i ? "number" : null });
  const cell = (content, i) =>
    numbers && !i
      ? h("th", { scope: "row", dir: "auto" }, content)
      : h("td", { ...column(i), dir: numbers ? "auto" : null }, content);
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", { class: "visually-hidden" }, caption),
      h("thead", {}, h("tr", {}, head.map((text, i) => h("th", { scope: "col", ...column(i) }, text)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell)))),
    ),
  );
}

/** Below a chart: a table of its numbers, created when it is opened, and files to save. */
function behind(where, chart, { caption, head, rows, saved }) {
  const isLink = (cell) => typeof cell === "object";
  const text = (cell) => (isLink(cell) ? cell.text : String(cell));
  const shown = (cell) =>
    isLink(cell) ? h("button", { class: "link", type: "button", click: cell.open }, cell.text) : text(cell);
  const csv = () =>
    [head, ...rows()].map((row) => row.map((cell) => quoted(text(cell))).join(",")).join("\n") + "\n";
  const toggle = () => {
    if (details.open && details.children.length < 2)
      details.append(table(head, rows().map((row) => row.map(shown)), caption, true));
  };
  const details = h("details", { toggle }, h("summary", {}, `Table: ${caption}`));
  const button = (name, click) => h("button", { type: "button", click }, name);
  const figures = (drawn.has(chart) ? ["svg", "png"] : []).map((kind) =>
    button(kind.toUpperCase(), () => saveChart(chart, kind)),
  );
  const file = button("CSV", () => save(csv(), `${D.study}-${saved}.csv`, "text/csv"));
  where.replaceChildren(details, h("div", { class: "tools" }, "Save", figures, file));
}

/** Labelled choices; `choices` is name -> [label, [[value, text], …]]. Calls `changed(values)`. */
function controls(where, choices, changed) {
  const values = {};
  const shown = Object.entries(choices).filter(([name, [, options]]) => {
    values[name] = options[0]?.[0];
    return options.length > 1;
  });
  where.replaceChildren(
    ...shown.map(([name, [text, options]]) =>
      h(
        "label",
        {},
        text,
        h(
          "select",
          {
            id: `${where.id}-${name}`,
            change: (event) => {
              values[name] = event.target.value;
              changed(values);
            },
          },
          options.map(([value, option]) => h("option", { value }, option)),
        ),
      ),
    ),
  );
  return values;
}
const modelOptions = (models) => models.map((name) => [MODELS.indexOf(name), label(name)]);
