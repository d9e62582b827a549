/* The tables of gains: the template draws them, a choice of the reader fills the same cells again. */
const SATURATED = 0.95; // as in results/colours.py; the other rules here as in report/grid.py
const ROOM = 1.06;
const share = (value) => String(Number(value.toFixed(3)));
const shade = (part) => `t${Math.floor(20 * Math.min(1, part) + 0.5)}`; // report.css has the 21 strengths of a colour
function limit(values) {
  const sizes = present(values).map(Math.abs).sort((a, b) => a - b);
  return sizes.length ? Math.max(1, sizes[Math.ceil(SATURATED * (sizes.length - 1))]) : 1;
}
/** The end of the axis of gains: the largest gain or end of a CI, but no end that dwarfs the others. */
function axisOf(gains) {
  const sizes = (values) => present(values).map(Math.abs),
    ends = gains.flatMap(({ low, high }) => sizes([low, high])),
    usual = limit(ends),
    largest = Math.max(0, ...ends);
  return Math.max(usual, largest > 2 * usual ? 0 : largest, ...sizes(gains.map((s) => ROOM * s.gain)));
}
/** Places of a gain and of its CI on an axis, in percent. */
function placesOf({ gain, low, high }, axis) {
  const place = (x) => 50 + 50 * Math.max(-1, Math.min(1, x / axis));
  return { l: place(low ?? gain), v: place(gain), h: place(high ?? gain) };
}
function setPlaces(element, places) {
  for (const [name, value] of Object.entries(places)) element.style.setProperty(`--${name}`, share(value));
}
const columnsOf = (table) => all("thead [data-key]", table).slice(1).map((head) => head.dataset.key);
const sign = (gain) => (number(gain).startsWith("−") ? "loss" : "gain"); // as the number that is shown

function fill(td, { text, classes = [], places = {}, spoken = null, interval = "" }) {
  const link = td.querySelector("a, span") ?? td;
  link.textContent = text;
  if (spoken) link.setAttribute("aria-label", spoken);
  link.removeAttribute("title");
  td.className = [td.matches(".mean") && "mean", ...classes].filter(Boolean).join(" ");
  td.removeAttribute("style");
  setPlaces(td, places);
  const small = td.querySelector("small");
  if (small) small.textContent = interval;
}

/* ---------------------------------------------------------------------- recipes on targets */
function spokenGain(s) {
  if (s.low === null) return " points";
  return ` points, 95 % CI ${number(s.low)} to ${number(s.high)}${s.significant ? ", significant" : ""}`;
}

function marksOf(s, r, t, extra) {
  const holds = {
    ...extra,
    shared: sharesData.has(key(r, t)),
    degenerate: s.degenerate > 0,
    gap: s.seeds < s.wanted,
  };
  return Object.keys(holds).filter((name) => holds[name]);
}

/** What a cell of the grid shows. */
function gridCell(s, { name, recipe, target, isGain, kind, ends: [saturated, axis, low, high] }) {
  const value = isGain ? s.gain : s.mean,
    about = `${name}, ${targetName(target)}: `;
  if (value === null) {
    const text = s.wanted ? "missing" : "n/a";
    return { text, spoken: about + text, classes: ["empty"] };
  }
  const text = isGain ? signed(value) : number(value);
  if (kind === "floor") return { text, spoken: about + text, classes: ["score"] };
  if (!isGain) {
    const isColoured = kind === "recipe" && target !== MEAN,
      colour = isColoured ? ["gain", shade((0.9 * (value - low)) / (high - low || 1))] : ["score"];
    return { text, spoken: about + text, classes: [...colour, ...marksOf(s, recipe, target, {})] };
  }
  const isMean = target === MEAN,
    extra = { strong: s.significant, clipped: !isMean && Math.abs(value) > saturated };
  return {
    text,
    spoken: about + text + spokenGain(s),
    classes: [sign(value), isMean ? "" : shade(Math.abs(value) / saturated), ...marksOf(s, recipe, target, extra)],
    places: isMean ? placesOf(s, axis) : {},
    interval: isMean ? ends(s) : "",
  };
}

/** Move the baseline's row above the others; it alone has scores among gains. */
function placeBaseline({ baseline, show }) {
  all("#grid table").forEach(rankRows);
  for (const row of all("#grid tbody:not(.floor) tr")) {
    const isBaseline = row.dataset.recipe === baseline,
      kind = isBaseline ? "baseline" : "recipe";
    row.cells[0].textContent = label(row.dataset.recipe) + (isBaseline && show === "gain" ? " (score)" : "");
    row.closest("table").querySelector(`tbody.${kind}`).append(row);
  }
}

/** The cells of a row of the grid, and what they show. */
function gridRow(row, v) {
  const targets = columnsOf(row.closest("table")),
    { recipe, model = row.closest("table").dataset.model } = row.dataset,
    kind = row.parentElement.className,
    name = row.cells[0].textContent;
  return targets.map((target, i) => {
    const s = summary(model, recipe, target, v),
      isPartial = target === MEAN && targets.some((t) => t !== MEAN && !cellsOf(model, recipe, t).length);
    if (isPartial) s.wanted = 0;
    return { td: row.cells[i + 1], s, name, recipe, target, isGain: v.show === "gain" && kind === "recipe", kind };
  });
}

/** Score of the most frequent label, which is computed for main metrics alone; null if unknown. */
function majority(target, { metric, over }) {
  if (target !== MEAN) return !metric || metric === D.metrics[target][0] ? (D.majority[over]?.[target] ?? null) : null;
  const scores = targetsWith(metric, over).map((t) => majority(t, { metric, over }));
  return scores.includes(null) ? null : mean(scores);
}

function fillGrid(v) {
  placeBaseline(v);
  const shown = all("#grid tbody tr:not([data-recipe=''])").flatMap((row) => gridRow(row, v)),
    gains = shown.filter((x) => x.isGain),
    scores = present(shown.filter((x) => x.kind === "recipe").map((x) => x.s.mean)),
    axis = axisOf(gains.filter((x) => x.target === MEAN).map((x) => x.s));
  const scale = [limit(gains.map((x) => x.s.gain)), axis, Math.min(...scores), Math.max(...scores)];
  for (const { td, s, ...cell } of shown) fill(td, gridCell(s, { ...cell, ends: scale }));
  for (const row of all("#grid tr[data-recipe='']"))
    columnsOf(row.closest("table")).forEach((target, i) => {
      const score = majority(target, v);
      fill(row.cells[i + 1], score === null ? { text: "n/a", classes: ["empty"] } : { text: number(score), classes: ["score"] });
    });
  describeGrid(v, gains.some((x) => x.s.low !== null));
}

/** The heads and the note of the grid. */
function describeGrid({ show, over, metric, baseline }, hasCIs) {
  const count = targetsWith(metric, over).length,
    some = count < D.targets.length ? ` of ${count}` : "";
  for (const head of all("#grid th[data-key=mean]"))
    head.firstChild.textContent = `Mean ${show}${some}${hasCIs ? ", 95 % CI" : ""}`;
  for (const mark of all("[data-mark]")) mark.hidden = !byId("grid").querySelector(`td.${mark.dataset.mark}`);
  byId("bold").hidden = !hasCIs;
  byId("no-ci").hidden = hasCIs || show !== "gain" || (!metric && baseline === BASELINE);
  for (const text of all("[data-over]")) text.hidden = text.dataset.over !== (AVERAGES.includes(over) ? over : "");
  byId("one-language").textContent = D.languages[over]?.[0] ?? "";
}

/** Facts on hovering: made when they are needed. */
function explain(td) {
  const link = td?.querySelector("a");
  if (!link || link.title) return;
  const [m, r, t] = readKey(linked(link).run),
    s = summary(m, r, t, view);
  const facts = {
    Gain: s.gain === null ? "" : signed(s.gain),
    "95 % CI": ends(s),
    "p (adjusted)": s.p === null ? "" : s.p < 0.001 ? "< .001" : String(s.p).replace(/^0/, ""),
    Score: s.mean === null ? "" : number(s.mean),
    Baseline: s.gain === null ? "" : number(s.mean - s.gain),
    Seeds: `${s.seeds} of ${s.wanted}`,
    Note: s.degenerate ? `${s.degenerate} degenerate` : "",
  };
  const lines = Object.entries(facts).filter(([, value]) => value);
  link.title = lines.map(([name, value]) => `${name}: ${value}`).join("\n");
}

/* ------------------------------------------------------------------- recipes in languages */
/** Whether the reader's filters keep a language. */
function isKept(code, v) {
  const [, family, script, resource] = D.languages[code];
  const chosen = v.codes.split(",").filter(Boolean);
  return (
    (!v.family || v.family === family) &&
    (!v.script || v.script === script) &&
    (!v.resource || v.resource === resource) &&
    (!chosen.length || chosen.includes(code))
  );
}

function fillLanguages(v) {
  const groups = ["all", "low", "high"];
  const rows = all("#languages table").flatMap((table) => {
    const heads = columnsOf(table),
      codes = heads.filter((name) => !groups.includes(name)),
      kept = codes.filter((code) => isKept(code, v));
    all("tr", table).forEach((row) =>
      heads.forEach((name, i) => (row.cells[i + 1].hidden = codes.includes(name) && !kept.includes(name))),
    );
    return all("tbody tr", table).map((row) => {
      const gains = new Map(
        kept.map((code) => [code, languageGain(table.dataset.model, row.dataset.recipe, v.target, code)]),
      );
      const average = (name) =>
        mean(present(kept.filter((x) => name === "all" || D.languages[x][3] === name).map((x) => gains.get(x).gain)));
      return heads.map((name, i) => ({
        td: row.cells[i + 1],
        isGroup: groups.includes(name),
        ...(groups.includes(name) ? { gain: average(name) } : (gains.get(name) ?? { gain: null })),
      }));
    });
  });
  const saturated = limit(rows.flat().filter((x) => !x.isGroup).map((x) => x.gain));
  for (const { td, gain, significant } of rows.flat()) {
    if (gain === null) fill(td, { text: "", classes: ["empty"] });
    else
      fill(td, {
        text: signed(gain),
        classes: [sign(gain), shade(Math.abs(gain) / saturated), significant ? "strong" : ""],
      });
  }
}
