"""The tables of a study: Markdown, CSV and the terminal; `latex` has the LaTeX.

One block per model: a row per recipe, a column per target, and the mean over targets. The floors
(controls and majority class) come last.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from xstilts.results.scores import (
    AVERAGES,
    BASELINE,
    CSV,
    DECIMALS,
    IMPORTED,
    MEAN,
    Results,
    majority_floor,
    plain,
    ranked,
    summarise,
)
from xstilts.terminal import Console, side_by_side
from xstilts.units import count

MISSING, ABSENT, DOTS = "–", "n/a", "⋯"
# of a data frame
HEADS = {"p_adjusted": "p (adjusted)", "low": "95 % CI, low", "high": "95 % CI, high"}
STAR = "*"  # marks a significant gain
CSV_COLUMNS = [
    *["average", "model", "recipe", "target", "metric", "wanted", "seeds", "mean", "sd"],
    *["gains", "gain", "low", "high", "significant", "degenerate"],
]


@dataclass(frozen=True)
class Entry:
    """One entry of a table as texts: score and gain, the gain's CI, and whether it is significant.

    A baseline or a floor has a score alone.
    """

    score: str
    gain: str = ""
    ci: str = ""
    half: str = ""  # half-width of the CI
    significant: bool = False

    @property
    def shown(self) -> str:
        """The entry in one text, such as `71.2 (+2.9 [2.4, 3.4]*)`, in percent and points."""
        star = STAR * self.significant
        gain = " ".join(filter(None, [self.gain, self.ci])) + star
        return f"{self.score} ({gain})" if self.gain else self.score


@dataclass(frozen=True)
class Row:
    """One line of a table; `floor` rows are set apart, below the recipes."""

    label: str
    entries: list[Entry]
    floor: bool = False


def metric_label(metric: str) -> str:
    """Return the name of a metric for readers, such as `exact match` or `F1`."""
    return plain(re.sub(r"\bf1\b", "F1", metric.replace("_", " ")))


def target_label(results: Results, target: str) -> str:
    """Head of a target's column."""
    return "Mean" if target == MEAN else results.context.label(target)


def signed(value: float, sign: str = "", digits: int = 1) -> str:
    """Return a rounded number with a true minus sign, and never a negative zero.

    The number in the CSV files, with DECIMALS, is rounded: so a text agrees with its file.
    """
    return f"{round(value, DECIMALS):{sign}z.{digits}f}".replace("-", "−")


def p_value(p: float | None) -> str:
    """Return p with two significant digits, such as `.034`, or `< .001`; a dash if unknown."""
    if p is None or pd.isna(p):
        return MISSING
    return "< .001" if p < 0.001 else f"{p:#.2g}".removeprefix("0")


def ends(low: float, high: float) -> str:
    """Return a 95 % CI in points, such as `[2.4, 3.4]`; empty if unknown."""
    return "" if pd.isna(low) else f"[{signed(low)}, {signed(high)}]"


def half_width(low: float, high: float) -> str:
    """Return half the width of a 95 % CI in points, such as `±0.5`; empty if unknown."""
    return "" if pd.isna(low) else f"±{signed((high - low) / 2)}"


def marks(stats: Mapping, count: int) -> str:
    """Return † for degenerate runs, and ‡ if only `count` of the wanted seeds are known."""
    return ("†" if stats["degenerate"] else "") + ("‡" if 0 < count < stats["wanted"] else "")


def table_rows(results: Results, average: str, model: str) -> list[Row]:
    """Return the rows of one model's block: recipes by mean gain, then floors."""
    context, targets = results.context, columns(results, average)
    summary = summarise(results, average)

    def row(model: str, recipe: str, label: str, floor: bool = False) -> Row:
        line = summary.loc[(model, recipe)]
        return Row(label, [_entry(line.loc[t], recipe) for t in targets], floor)

    recipes = [r for r in ranked(results, model) if (model, r) in summary.index.droplevel("target")]
    baseline = context.label(BASELINE)
    rows = [row(model, recipe, context.label(recipe)) for recipe in recipes]
    floors = [row(c, BASELINE, f"{baseline} ({context.label(c)})", True) for c in context.controls]
    if values := majority_floor(results, average):
        texts = [signed(values[t]) if t in values else ABSENT for t in targets]
        floors.append(Row("majority class", [Entry(text) for text in texts], floor=True))
    if floors:
        rows.append(Row(DOTS, [Entry(DOTS)] * len(targets), floor=True))
    return [*rows, *_imported_rows(results, average, targets), *floors]


def _imported_rows(results: Results, average: str, targets: Sequence[str]) -> list[Row]:
    """Return a row for each other system whose predictions were imported."""
    systems: dict[str, dict[str, float]] = {}
    for score in results.context.imported:
        if average in score.averages:
            value = score.averages[average][score.main_metric]
            systems.setdefault(score.model, {})[score.target] = value
    rows = []
    for system, values in systems.items():
        known = [values[t] for t in targets if t in values]
        if len(known) == len(targets) - 1:  # all but the mean
            values[MEAN] = sum(known) / len(known)
        texts = [signed(values[t]) if t in values else ABSENT for t in targets]
        rows.append(Row(f"{system} ({IMPORTED})", [Entry(text) for text in texts]))
    return rows


def columns(results: Results, average: str) -> list[str]:
    """Return the columns of a table: the mean over targets if there are several, the targets."""
    targets = results.targets(average)
    return targets if len(targets) == 1 else [MEAN, *targets]


def _entry(stats: pd.Series, recipe: str) -> Entry:
    if not stats["seeds"]:
        return Entry(MISSING if stats["wanted"] else ABSENT)
    score, is_baseline = signed(stats["mean"]), recipe == BASELINE
    if is_baseline or not stats["gains"]:
        return Entry(score + marks(stats, stats["seeds"]), "" if is_baseline else MISSING)
    gain = signed(stats["gain"], "+") + marks(stats, stats["gains"])
    low, high = stats["low"], stats["high"]
    return Entry(score, gain, ends(low, high), half_width(low, high), bool(stats["significant"]))


def caption(results: Results) -> list[str]:
    """Return the caption in plain text: one line each for content, gaps and caveats."""
    context = results.context
    baseline, seeds = context.label(BASELINE), count(len(context.seeds), "seed")
    total, scored = len(context.cells), len(results.scored)
    degenerate = int(results.scored["degenerate"].sum())
    gaps = f"; {total - scored:,} are missing ({MISSING} all seeds, ‡ some seeds)"
    lines = [
        f"Scores are percentages, means over {seeds}. The signed number is the gain over "
        f"{baseline}, in brackets its 95 % CI, simultaneous over the table; {STAR} marks a "
        "significant gain: the CI excludes zero. Recipes are sorted by mean gain.",
        "Mean: over targets, using only the seeds for which every target is scored.",
        f"{scored:,} of {total:,} runs are scored{gaps if scored < total else ''}.",
    ]
    if degenerate:
        lines.append(
            "† marks degenerate runs, which score no higher than the majority class: "
            f"{degenerate:,} of {scored:,} scored runs. Means include them."
        )
    if context.controls or not results.frame["majority"].isna().all():
        lines.append("The rows below the dots are floors: a score that is no higher means nothing.")
    if context.imported:
        lines.append(
            f"Rows marked ({IMPORTED}) are scored from predictions of other systems: one run each, "
            "without gain and CI."
        )
    return lines + [plain(note) for note in context.notes]


def target_lines(results: Results) -> list[str]:
    """Return a line per target: its metric and the languages averaged."""
    lines = []
    for target in results.context.targets:
        if target not in results.metrics:
            lines.append(f"{results.context.label(target)}: no score yet.")
            continue
        source, names = results.sources[target], results.languages(target)
        listed = ", ".join(f"{name} (source)" if name == source else name for name in names)
        metric, some = metric_label(results.metrics[target]), count(len(names), "language")
        lines.append(f"{results.context.label(target)}: {metric}, {some}: {listed}.")
    return lines


def escape(text: str) -> str:
    """Return plain text as Markdown that shows it literally, in a table, a heading or a list."""
    text = re.sub(r"([\\`*_\[\]<>|~$&#])", r"\\\1", plain(text))
    # would begin a list, or make the line before it a heading; `1.0` and `+2` do not
    return re.sub(r"^(\d*)(?=[-+=.)](?:[-=\s]|$))", r"\1\\", text)


def markdown(results: Results) -> str:
    """Return the text of `table.md`."""
    context = results.context
    lines = [f"# {escape(context.study)}", ""]
    lines += [f"> **Warning:** {escape(text)}\n" for text in results.warnings]
    lines += [f"- {escape(text)}" for text in caption(results)]
    lines += ["", "Metric and languages of each target:", ""]
    lines += [f"- {escape(text)}" for text in target_lines(results)]
    lines += _legend(results)
    for average, title in AVERAGES.items():
        lines += ["", f"## {title}"]
        lines += _not_shown(results, average)
        for model in context.models:
            lines += ["", f"### {escape(context.label(model))}", ""]
            lines += _markdown_table(results, average, model)
    return "\n".join(lines) + "\n"


def _legend(results: Results) -> list[str]:
    """Return the line that explains labels which differ from the recipe's notation."""
    context = results.context
    written = {r: context.short_names.get(r, r) for r in context.recipes}
    pairs = [
        f"{escape(context.label(name))} = {escape(recipe)}"
        for name, recipe in written.items()
        if context.label(name) != recipe
    ]
    return ["", f"Recipes: {'; '.join(pairs)}."] if pairs else []


def _not_shown(results: Results, average: str) -> list[str]:
    left = [t for t in results.context.targets if t not in results.targets(average)]
    names = ", ".join(escape(results.context.label(target)) for target in left)
    return ["", f"Not shown, as only the source language is scored: {names}."] if left else []


def _markdown_table(results: Results, average: str, model: str) -> list[str]:
    heads = [escape(target_label(results, t)) for t in columns(results, average)]
    rows = table_rows(results, average, model)
    entries = [[escape(row.label), *map(_markdown_entry, row.entries)] for row in rows]
    return markdown_lines(["Recipe", *heads], entries)


def markdown_lines(heads: list[str], rows: list[list[str]], texts: int = 1) -> list[str]:
    """Return the lines of a Markdown table; the entries must be escaped.

    The first `texts` columns are aligned to the left, the others, numbers, to the right.
    """
    aligned = [":--"] * texts + ["--:"] * (len(heads) - texts)
    return [f"| {' | '.join(entries)} |" for entries in (heads, aligned, *rows)]


def _markdown_entry(entry: Entry) -> str:
    shown = entry.shown.replace(STAR, "\\" + STAR)
    return f"**{shown}**" if entry.significant else shown


def table_csv(results: Results) -> str:
    """Return the text of `table.csv`: a row for each entry of the tables in `table.md`."""
    frames = [summarise(results, x).reset_index().assign(average=x) for x in AVERAGES]
    table = pd.concat(frames).query("wanted > 0")
    return table.assign(metric=table["target"].map(results.metrics))[CSV_COLUMNS].to_csv(**CSV)


def print_zero_shot(results: Results, console: Console) -> None:
    """Print the zero-shot gains; rows without gains have scores."""
    title = f"Zero-shot gain over {results.context.label(BASELINE)}, points"

    def text(entry: Entry) -> str:
        return (entry.gain or entry.score) + STAR * entry.significant

    _print(results, "zero_shot", title, text, console)
    console.print(Text(_key(results)))


def print_tables(results: Results, console: Console) -> None:
    """Print the tables with scores, gains, CIs and floors, and their caption."""
    for average, title in AVERAGES.items():
        _print(results, average, title, lambda e: e.shown.replace(" (", "\n(", 1), console)
        console.print()
    for text in caption(results):
        console.print(Text(text))


def _print(
    results: Results, average: str, title: str, text: Callable[[Entry], str], console: Console
) -> None:
    """Print a table per model, as many targets side by side as fit."""
    context, targets = results.context, columns(results, average)
    heads = [_two_lines(target_label(results, target)) for target in targets]
    for model in context.models:
        several = f" · {context.label(model)}" * (len(context.models) > 1)
        console.print(Text(title + several, "bold"))
        rows = table_rows(results, average, model)
        texts = [[text(entry) for entry in row.entries] for row in rows]
        lines = [
            [line for cell in (head, *column) for line in cell.split("\n")]
            for head, column in zip(heads, zip(*texts, strict=True), strict=True)
        ]
        first = min(max(len(row.label) for row in rows), console.width // 2)
        widths = [max(map(len, column)) for column in lines]
        for part in side_by_side(widths, console.width - first - 2):
            console.print(_terminal_table(rows, texts, heads, part, first))


def _key(results: Results) -> str:
    """Return the line below the terminal's table."""
    scored, total = len(results.scored), len(results.context.cells)
    gaps = f"; {total - scored:,} of {count(total, 'run')} missing" if scored < total else ""
    marked = " †: some runs are degenerate." * bool(results.scored["degenerate"].any())
    baseline = results.context.label(BASELINE)
    return f"{STAR} and bold: significant. {baseline} and floors: scores{gaps}.{marked}"


def _two_lines(head: str) -> str:
    """Return a head in at most two lines, broken at the space that makes it narrowest."""
    places = [n for n, c in enumerate(head) if c == " "]
    best = min(places, key=lambda n: max(n, len(head) - n - 1), default=None)
    return head if best is None else f"{head[:best]}\n{head[best + 1 :]}"


def _terminal_table(
    rows: list[Row], texts: list[list[str]], heads: list[str], part: slice, first: int
) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", width=first, overflow="fold")
    for head in heads[part]:
        table.add_column(Text(head), justify="right", vertical="bottom", no_wrap=True)
    for row, shown in zip(rows, texts, strict=True):
        cells = [
            Text(text, "bold" if entry.significant else "")
            for entry, text in zip(row.entries[part], shown[part], strict=True)
        ]
        table.add_row(Text(row.label), *cells, style="dim" if row.floor else "")
    return table


def markdown_frame(frame: pd.DataFrame) -> str:
    """Return a data frame as a Markdown table."""
    return "\n".join(markdown_lines(*frame_texts(frame, escape, str))) + "\n"


def frame_texts(
    frame: pd.DataFrame, escaped: Callable[[str], str], number: Callable[[str], str]
) -> tuple[list[str], list[list[str]]]:
    """Return the heads and the rows of a data frame, ready for a table."""

    def text(name: str, value: object) -> str:
        if value is None or (isinstance(value, float) and pd.isna(value)):
            return escaped(MISSING)
        if isinstance(value, bool | np.bool_):
            return escaped("yes" if value else "no")
        if not isinstance(value, float):
            return escaped(str(value))
        is_p = name in ("p", "p_adjusted", "welch_p")
        return number(p_value(value) if is_p else signed(value, digits=2))

    columns = list(frame.columns)
    rows = [
        [text(name, value) for name, value in zip(columns, row, strict=True)]
        for row in frame.itertuples(index=False)
    ]
    return [escaped(HEADS.get(name, name.replace("_", " "))) for name in columns], rows
