/* The tables of gains: the template draws them, a choice of the reader fills the same cells again. */
const SATURATED = 0.95; // as in results/colours.py; the other rules here as in report/grid.py
const share = (value) => String(Number(value.toFixed(3)));
const shade = (part) => `t${Math.floor(20 * Math.min(1, part) + 0.5)}`; // report.css has the 21 strengths of a colour
function limit(values) {
  const sizes = present(values).map(Math.abs).sort((a, b) => a - b);
  return sizes.length ? Math.max(1, sizes[Math.ceil(SATURATED * (sizes.length - 1))]) : 1;
}
/** The end of the axis of CIs: the largest end, unless it dwarfs the others. */
function axisOf(ends) {
  const usual = limit(ends),
    largest = Math.max(0, ...present(ends).map(Math.abs));
  return largest > 2 * usual ? usual : Math.max(usual, largest);
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
    const colour = kind === "recipe" ? ["gain", shade((0.9 * (value - low)) / (high - low || 1))] : ["score"];
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

function fillGrid(v) {
  const shown = all("#grid table").flatMap((table) =>
    all("tbody tr[data-recipe]:not([data-recipe=''])", table).flatMap((row) => {
      const { recipe, model } = row.dataset,
        kind = row.parentElement.className,
        m = model ?? table.dataset.model;
      const isGain = v.show === "gain" && kind === "recipe" && recipe !== v.baseline;
      const name = row.cells[0].textContent;
      return columnsOf(table).map((target, i) => {
        const s = summary(m, recipe, target, { metric: v.metric, over: v.over, baseline: v.baseline });
        if (target === MEAN && columnsOf(table).some((t) => t !== MEAN && !cellsOf(m, recipe, t).length))
          s.wanted = 0;
        return { td: row.cells[i + 1], s, name, recipe, target, isGain, kind };
      });
    }),
  );
  const gains = shown.filter((x) => x.isGain),
    means = present(gains.filter((x) => x.target === MEAN).flatMap(({ s }) => [s.low, s.high])),
    scores = present(shown.filter((x) => x.kind === "recipe").map((x) => x.s.mean));
  const scale = [limit(gains.map((x) => x.s.gain)), axisOf(means), Math.min(...scores), Math.max(...scores)];
  for (const { td, s, ...cell } of shown) fill(td, gridCell(s, { ...cell, ends: scale }));
  const count = targetsWith(v.metric, v.over).length;
  for (const head of all("#grid th[data-key=mean]")) {
    const some = count < D.targets.length ? ` of ${count}` : "";
    head.firstChild.textContent =
      v.show === "gain" ? `Mean gain${some}, 95 % CI` : `Mean score${some}`;
  }
  for (const mark of all("[data-mark]")) mark.hidden = !byId("grid").querySelector(`td.${mark.dataset.mark}`);
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
