"""The tables of a study: Markdown, LaTeX, CSV and the terminal.

One block per model: a row per recipe, a column per target, and the mean over targets. The floors
(controls and majority class) come last.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from xstilts.results.scores import (
    AVERAGES,
    BASELINE,
    CSV_FLOAT,
    DECIMALS,
    IMPORTED,
    MEAN,
    Results,
    majority,
    plain,
    summarise,
)
from xstilts.terminal import Console

_LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "±": r"$\pm$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "⋯": r"$\cdots$",
    "–": "--",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
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
    """One entry of a table: score and gain as text, and whether it is the best of its column."""

    score: str
    gain: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One line of a table; `floor` rows are set apart, below the recipes."""

    label: str
    entries: list[Entry]
    floor: bool = False


def metric_label(metric: str) -> str:
    """`exact_match` -> `exact match`, `f1` -> `F1`."""
    return plain(re.sub(r"\bf1\b", "F1", metric.replace("_", " ")))


def target_label(results: Results, target: str) -> str:
    """Head of a target's column."""
    return "Mean" if target == MEAN else results.context.label(target)


def signed(value: float, sign: str = "", digits: int = 1) -> str:
    """A rounded number with a true minus sign, and never a negative zero.

    The number in the CSV files, with DECIMALS, is rounded: so a text agrees with its file.
    """
    return f"{round(value, DECIMALS):{sign}z.{digits}f}".replace("-", "−")


def p_value(p: float | None) -> str:
    """`.034`, `< .001`: two significant digits."""
    if p is None or pd.isna(p):
        return MISSING
    return "< .001" if p < 0.001 else f"{p:#.2g}".removeprefix("0")


def mean_sd(mean: float, sd: float) -> str:
    """`71.2 ± 0.4`; without the standard deviation if there is only one seed."""
    return signed(mean) + ("" if pd.isna(sd) else f" ± {signed(sd)}")


def ends(low: float, high: float) -> str:
    """`[2.4, 3.4]`: a 95 % CI; empty if unknown."""
    return "" if pd.isna(low) else f"[{signed(low)}, {signed(high)}]"


def gain_text(stats: Mapping) -> str:
    """`+2.9 [2.4, 3.4]*`: a gain with its CI, and a star if it is significant."""
    text = f"{signed(stats['gain'], '+')} {ends(stats['low'], stats['high'])}".strip()
    return text + STAR * bool(stats["significant"])


def marks(stats: Mapping, count: int) -> str:
    """† for degenerate runs, ‡ if a number is over `count` seeds and others are missing."""
    return ("†" if stats["degenerate"] else "") + ("‡" if 0 < count < stats["wanted"] else "")


def table_rows(results: Results, average: str, model: str) -> list[Row]:
    """Return the rows of one model's block."""
    context, targets = results.context, [*results.targets(average), MEAN]
    summary = summarise(results, average)
    means = summary.loc[model]["mean"].groupby("target")
    best = means.max().where(means.count() > 1)

    def entry(stats: pd.Series, recipe: str, target: str, contest: bool) -> Entry:
        if not stats["seeds"]:
            return Entry(MISSING if stats["wanted"] else ABSENT)
        gain = "" if recipe == BASELINE else MISSING
        if recipe != BASELINE and stats["gains"]:
            gain = gain_text(stats)
        score = mean_sd(stats["mean"], stats["sd"]) + marks(stats, stats["seeds"])
        return Entry(score, gain, contest and round(stats["mean"], 1) == round(best[target], 1))

    def row(model: str, recipe: str, label: str, floor: bool = False) -> Row:
        line = summary.loc[(model, recipe)]
        entries = [entry(line.loc[t], recipe, t, contest=not floor) for t in targets]
        return Row(label, entries, floor)

    recipes = [r for r in context.recipes if (model, r) in summary.index.droplevel("target")]
    baseline = context.label(BASELINE)
    rows = [row(model, recipe, context.label(recipe)) for recipe in recipes]
    floors = [row(c, BASELINE, f"{baseline} ({context.label(c)})", True) for c in context.controls]
    values = majority(results, average)
    if values:
        if set(targets) - set(values) == {MEAN}:
            values[MEAN] = sum(values.values()) / len(values)
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


def caption(results: Results, best: str) -> list[str]:
    """Return the caption in plain text: one line each for content, gaps and caveats.

    `best` explains how the best recipe is marked.
    """
    context = results.context
    baseline, seeds = context.label(BASELINE), len(context.seeds)
    over = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    total, scored = len(context.cells), len(results.scored)
    degenerate = int(results.scored["degenerate"].sum())
    gaps = f"; {total - scored:,} are missing ({MISSING} all seeds, ‡ some seeds)"
    lines = [
        f"Scores are percentages ({over}). The signed number is the gain over {baseline}, in "
        f"brackets its 95 % CI, simultaneous over the table; {STAR} marks a significant gain: the "
        f"CI excludes zero. {best}",
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
        some = f"{len(names)} language{'s'[: len(names) > 1]}"
        metric = metric_label(results.metrics[target])
        lines.append(f"{results.context.label(target)}: {metric}, {some}: {listed}.")
    return lines


def escape(text: str) -> str:
    """Plain text as Markdown that shows it literally, in a table, a heading or a list."""
    text = re.sub(r"([\\`*_\[\]<>|~$&#])", r"\\\1", plain(text))
    return re.sub(r"^(\d+(?=[.)])|(?=[-+=]))", r"\1\\", text)  # would begin a list


def markdown(results: Results) -> str:
    """Return the text of `table.md`."""
    context = results.context
    lines = [f"# {escape(context.study)}", ""]
    lines += [f"> **Warning:** {escape(text)}\n" for text in results.warnings]
    lines += [
        f"- {escape(text)}" for text in caption(results, "The best recipe per target is bold.")
    ]
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
    heads = [escape(target_label(results, t)) for t in [*results.targets(average), MEAN]]
    rows = table_rows(results, average, model)
    return markdown_lines(
        ["Recipe", *heads],
        [[escape(row.label), *map(_markdown_entry, row.entries)] for row in rows],
    )


def markdown_lines(heads: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a Markdown table; the entries must be escaped."""
    aligned = [":--", *["--:"] * (len(heads) - 1)]
    return [f"| {' | '.join(texts)} |" for texts in (heads, aligned, *rows)]


def _markdown_entry(entry: Entry) -> str:
    score = f"**{entry.score}**" if entry.best else entry.score
    gain = entry.gain.replace(STAR, "\\" + STAR)
    return f"{score} ({gain})" if gain else score


def table_csv(results: Results) -> str:
    """Return the text of `table.csv`: a row for each entry of the tables in `table.md`."""
    frames = [summarise(results, x).reset_index().assign(average=x) for x in AVERAGES]
    table = pd.concat(frames)
    table = table[table["wanted"] > 0]
    table["metric"] = table["target"].map(results.metrics)
    return table[CSV_COLUMNS].to_csv(
        index=False, float_format=CSV_FLOAT, na_rep="NA", lineterminator="\n"
    )


def print_tables(results: Results, console: Console) -> None:
    """Print the tables, as many targets side by side as fit, and their caption."""
    context = results.context
    for average, title in AVERAGES.items():
        for model in context.models:
            console.print(Text(f"\n{title} · {context.label(model)}", style="bold"))
            rows = table_rows(results, average, model)
            heads = [target_label(results, t) for t in [*results.targets(average), MEAN]]
            first = max(len(row.label) for row in rows)
            across = max(1, (console.width - first - 4) // 22)
            for start in range(0, len(heads), across):
                part = slice(start, start + across)
                console.print(_terminal_table(rows, heads[part], part), Text())
    for text in caption(results, "» marks the best recipe per target."):
        console.print(Padding(Text(text), (0, 0, 0, 2)))
    for text in results.warnings:
        console.print(Text(f"Warning: {plain(text)}", style="bold yellow"))


def _terminal_table(rows: list[Row], heads: list[str], part: slice) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("Recipe")
    for head in heads:
        table.add_column(Text(head), justify="right", min_width=12, overflow="fold")
    for row in rows:
        texts = []
        for entry in row.entries[part]:
            text = Text(("»" if entry.best else "") + entry.score, "bold" if entry.best else "")
            if entry.gain:
                text.append(f"\n{entry.gain}", style="not bold")
            texts.append(text)
        table.add_row(Text(row.label), *texts, style="dim" if row.floor else "")
    return table


def latex_table(results: Results) -> str:
    """Return the text of `table.tex`: the tables of `table.md`, with booktabs."""
    parts = []
    for average, title in AVERAGES.items():
        for model in results.context.models:
            heads = [target_label(results, t) for t in [*results.targets(average), MEAN]]
            rows = [
                [latex_escape(row.label), *map(_latex_entry, row.entries)]
                for row in table_rows(results, average, model)
            ]
            parts.append(f"% {title}: {plain(results.context.label(model))}")
            parts.append(_tabular(["Recipe", *map(latex_escape, heads)], rows))
    return "\n".join(parts)


def _latex_entry(entry: Entry) -> str:
    score = latex_escape(entry.score)
    score = rf"\textbf{{{score}}}" if entry.best else score
    return f"{score} ({latex_escape(entry.gain)})" if entry.gain else score


def latex_frame(frame: pd.DataFrame) -> str:
    """A data frame as a LaTeX table with booktabs: two decimals, a dash for missing values."""
    return _tabular(*_frame_texts(frame, latex_escape, lambda text: f"${text.replace('−', '-')}$"))


def markdown_frame(frame: pd.DataFrame) -> str:
    """A data frame as a Markdown table."""
    return "\n".join(markdown_lines(*_frame_texts(frame, escape, str))) + "\n"


def _frame_texts(
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


def latex_escape(text: str) -> str:
    """Plain text as LaTeX that shows it literally."""
    return "".join(_LATEX.get(c, c) for c in plain(text))


def _tabular(heads: list[str], rows: list[list[str]]) -> str:
    lines = [" & ".join(row) + r" \\" for row in [heads, *rows]]
    columns = "l" + "r" * (len(heads) - 1)
    body = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule", *lines[1:]]
    return "\n".join([*body, r"\bottomrule", r"\end{tabular}"]) + "\n"
