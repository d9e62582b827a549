"""A study's tables as LaTeX; they need the packages booktabs and graphicx."""

import math
import re
from itertools import pairwise

import pandas as pd

from xstilts.results.scores import AVERAGES, BASELINE, Results, plain
from xstilts.results.tables import Entry, columns, frame_texts, table_rows, target_label
from xstilts.units import count

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
    "→": r"$\rightarrow$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
_COLUMNS = 11  # in the width of a page


def latex_table(results: Results) -> str:
    """Return the text of `table.tex`: the gains of an average and model, in tables of one page."""
    return "\n".join(
        _latex_block(results, average, model, part)
        for average in reversed(AVERAGES)
        for model in results.context.models
        for part in _latex_parts(columns(results, average))
    )


def _latex_parts(columns: list[str]) -> list[slice]:
    """Split the columns into tables of almost equal size that are as wide as a page at most."""
    tables = math.ceil(len(columns) / _COLUMNS)
    ends = [round(len(columns) * n / tables) for n in range(tables + 1)]
    return [slice(*pair) for pair in pairwise(ends)]


def _latex_block(results: Results, average: str, model: str, part: slice) -> str:
    context = results.context
    heads = [target_label(results, target) for target in columns(results, average)[part]]
    rows = table_rows(results, average, model)
    body = [[latex_escape(r.label), *map(_latex_entry, r.entries[part])] for r in rows]
    seeds = count(len(context.seeds), "seed")
    title = f"{AVERAGES[average]}; {context.label(model)}"
    explained = (
        f"{title}. Gain over {context.label(BASELINE)} in points ± half-width of the 95 % CI, "
        f"simultaneous over the table; bold: significant; {context.label(BASELINE)} and the rows "
        f"below the dots: scores in percent; {seeds}."
    )
    label = "-".join(filter(None, [context.study, average, model, str(part.start or "")]))
    return "\n".join(
        [
            r"\begin{table*}",
            r"\centering\small\setlength{\tabcolsep}{3pt}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            _tabular(["Recipe", *map(latex_escape, heads)], body).rstrip("\n") + "}",
            rf"\caption{{{latex_escape(explained)}}}",
            rf"\label{{tab:{re.sub('[^A-Za-z0-9.-]', '-', label)}}}",
            r"\end{table*}",
        ]
    )


def _latex_entry(entry: Entry) -> str:
    gain = latex_escape(entry.gain)
    if not gain:
        return latex_escape(entry.score)
    gain = rf"\textbf{{{gain}}}" if entry.significant else gain
    return gain + (rf"$_{{\pm {entry.half.removeprefix('±')}}}$" if entry.half else "")


def latex_frame(frame: pd.DataFrame) -> str:
    """Return a data frame as a LaTeX table with booktabs; missing values are dashes."""
    return _tabular(*frame_texts(frame, latex_escape, lambda text: f"${text.replace('−', '-')}$"))


def latex_escape(text: str) -> str:
    """Return plain text as LaTeX that shows it literally."""
    return "".join(_LATEX.get(c, c) for c in plain(text))


def _tabular(heads: list[str], rows: list[list[str]]) -> str:
    lines = [" & ".join(row) + r" \\" for row in [heads, *rows]]
    columns = "l" + "r" * (len(heads) - 1)
    body = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule", *lines[1:]]
    return "\n".join([*body, r"\bottomrule", r"\end{tabular}"]) + "\n"
