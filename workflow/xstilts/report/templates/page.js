/* The state of the page is its address: choices, sorting, and the open run or step. */
const { average, target, bibtex } = byId("main").dataset;
const DEFAULTS = {
  ...{ show: "gain", over: average, metric: "", baseline: BASELINE, sort: target },
  ...{ target, family: "", script: "", resource: "", codes: "", order: "" },
  ...{ run: "", step: "" },
};
let loaded = null; // what needs the page's data and its last tables; panel.js, the last script, sets it
let view = DEFAULTS,
  drawn = DEFAULTS; // as the template drew the page

/** The state in a fragment such as `#sort=xnli&run=m.mnli.xnli`; unknown names are ignored. */
function parse(fragment) {
  const pairs = fragment.replace(/^#/, "").split("&").map((part) => part.split("="));
  const known = pairs.filter(([name, value]) => name in DEFAULTS && value !== undefined);
  try {
    return Object.fromEntries(known.map(([name, value]) => [name, decodeURIComponent(value)]));
  } catch {
    return {}; // an address that was cut
  }
}
const linked = (link) => parse(link.hash);
function address(state) {
  const changed = Object.keys(DEFAULTS).filter((name) => state[name] !== DEFAULTS[name]);
  return `#${changed.map((name) => `${name}=${encodeURIComponent(state[name])}`).join("&")}`;
}
const differs = (a, b, names) => names.some((name) => a[name] !== b[name]);
function show(next) {
  view = next;
  for (const input of all("select[name]")) input.value = view[input.name];
  for (const box of all("input[name=code]")) box.checked = view.codes.split(",").includes(box.value);
  const others = Object.keys(DEFAULTS).filter((name) => name !== "sort");
  if (loaded || !differs(drawn, view, others)) draw();
}
/** Fill, sort and open only what differs from the state that is drawn. */
function draw() {
  const before = drawn;
  drawn = view;
  if (differs(before, view, ["show", "over", "metric", "baseline"])) {
    loaded.fillGrid(view);
    sortTables(all("#grid table"), view.sort);
  } else if (before.sort !== view.sort) sortTables(all("#grid table"), view.sort);
  const filters = ["target", "family", "script", "resource", "codes"];
  if (differs(before, view, filters)) loaded.fillLanguages(view);
  if (differs(before, view, ["order"]) || (view.order && differs(before, view, filters)))
    sortTables(all("#languages table"), view.order || "all");
  if (differs(before, view, ["run", "step"])) loaded.showPanel(view);
}
const restore = () => show({ ...DEFAULTS, ...parse(location.hash) });

/** Apply choices; an opened run or step is a new entry of the history, so that Back closes it. */
function choose(changes) {
  const next = { ...view, ...changes },
    opens = Boolean(changes.run || changes.step);
  const entry = { opened: opens || Boolean(history.state?.opened && (next.run || next.step)) };
  history[opens ? "pushState" : "replaceState"](entry, "", address(next));
  show(next);
}
function closePanel() {
  if (!view.run && !view.step) return;
  if (history.state?.opened) history.back();
  else choose({ run: "", step: "" });
}

const panel = byId("detail");
function openPanel(title, subtitle, ...content) {
  const close = { type: "button", click: () => panel.close(), "aria-label": "Close" };
  const heading = h("div", {}, h("h2", { id: "detail-title", dir: "auto" }, title));
  heading.append(h("p", { class: "hint", dir: "auto" }, subtitle));
  panel.replaceChildren(
    h("header", {}, heading, h("button", close, "Close")),
    ...content.flat(Infinity).filter((part) => part !== null),
  );
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
}
panel.addEventListener("click", (event) => event.target === panel && panel.close()); // the backdrop
panel.addEventListener("close", closePanel);

/* ------------------------------------------------------------------------------------ copying */
const MARK_TEXTS = { degenerate: "†", gap: "‡" };
/** The texts of a table as it is shown, row by row; `strong(text, isSignificant)` formats each. */
function texts(table, strong) {
  return all("tr:not(.groups)", table).map((row) =>
    [...row.cells].filter((cell) => !cell.hidden).map((cell) => {
      const marks = Object.keys(MARK_TEXTS).filter((name) => cell.classList.contains(name));
      const own = cell.textContent.replace(/\s+/g, " ").trim() + marks.map((x) => MARK_TEXTS[x]).join("");
      return strong(own, cell.classList.contains("strong"));
    }),
  );
}
const escaped = (text, characters) => text.replace(characters, "\\$&");
const FORMATS = {
  Markdown(table) {
    const [head, ...rows] = texts(table, (text, isStrong) => {
      const own = escaped(text, /[\\`*_[\]<>|~$&#]/g);
      return isStrong ? `**${own}**` : own;
    });
    const line = (cells) => `| ${cells.join(" | ")} |`;
    return [head, head.map((_, i) => (i ? "--:" : ":--")), ...rows].map(line).join("\n") + "\n";
  },
  LaTeX(table) {
    const names = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "−": "$-$", "†": "$^\\dagger$", "‡": "$^\\ddagger$" };
    const [head, ...rows] = texts(table, (text, isStrong) => {
      const own = text.replace(/[\\~^−†‡&%$#_{}]/g, (x) => names[x] ?? `\\${x}`);
      return isStrong ? `\\textbf{${own}}` : own;
    });
    const line = (cells) => `${cells.join(" & ")} \\\\`;
    const body = [line(head), "\\midrule", ...rows.map(line)].join("\n");
    return `\\begin{tabular}{l${"r".repeat(head.length - 1)}}\n\\toprule\n${body}\n\\bottomrule\n\\end{tabular}\n`;
  },
  CSV(table) {
    const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const rows = texts(table, (text, isStrong) => quoted(text.replace(/−/g, "-") + (isStrong ? "*" : "")));
    return rows.map((row) => row.join(",")).join("\n") + "\n";
  },
  Link: () => location.href.replace(/#.*$/, "") + address(view),
  BibTeX: () => bibtex,
};
async function copy(button) {
  const format = FORMATS[button.dataset.copy],
    tables = all("table.gains", button.closest("section"));
  await copyText(format.length ? tables.map(format).join("\n") : format(), button);
}
/** Copy a text and say so; if the browser refuses, show the text to copy it by hand. */
async function copyText(text, button) {
  const name = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    byId("status").textContent = `${name}: copied`;
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = name), 1500);
  } catch {
    openPanel(name, "The browser did not allow to copy; select the text.", h("pre", { tabindex: "0" }, text));
  }
}

/* -------------------------------------------------------------------------------------- start */
let unfolded = []; // opened for printing
function setPrinting(isPrinting) {
  if (isPrinting) unfolded = all(".printed details:not([open])");
  unfolded.forEach((fold) => (fold.open = isPrinting));
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']"),
    button = event.target.closest("[data-copy]"),
    head = event.target.closest(".gains thead [data-key]");
  if (button) copy(button);
  if (head) sortBy(head);
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const state = linked(link),
    isOpening = Boolean(state.run || state.step);
  if (!isOpening && location.hash.length < 2) return; // the browser follows it
  event.preventDefault();
  if (isOpening) choose({ run: "", step: "", ...state });
  else document.querySelector(link.hash)?.scrollIntoView(); // the address keeps the choices
});
document.addEventListener("change", ({ target }) => {
  if (target.matches("select[name]")) choose({ [target.name]: target.value });
  if (target.matches("input[name=code]"))
    choose({ codes: all("input[name=code]:checked").map((box) => box.value).join(",") });
});
addEventListener("beforeprint", () => setPrinting(true));
addEventListener("afterprint", () => setPrinting(false));
addEventListener("popstate", restore);
document.addEventListener("focusin", ({ target }) => {
  const table = target.closest("table.gains");
  if (table && !table.hasOneStop) keepOneStop(table, target);
});
document.addEventListener("keydown", (event) => {
  const table = event.target.closest("table.gains");
  if (table) moveFocus(event, table);
});
byId("grid").addEventListener("pointerover", ({ target }) => loaded?.explain(target.closest("td")));
document.documentElement.setAttribute("data-scripts", "");
restore();

