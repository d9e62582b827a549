"""The files of a study's folder, except the page: tables, figures and the answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.text import Text

from xstilts import store
from xstilts.analyses import Outcome, answer
from xstilts.analyses.answer import Answer
from xstilts.results import drawing, figures, latex, tables
from xstilts.results.drawing import Drawing
from xstilts.results.scores import CSV, Results, plain, scores_csv
from xstilts.terminal import Console


@dataclass(frozen=True)
class Report:
    """The files written to a study's folder, and the results and the answer that they show."""

    results: Results
    answer: Answer
    files: tuple[Path, ...]


def write_study(results: Results, outcome: Outcome, out: Path) -> Report:
    """Write tables, figures and answer of a study to `out`; equal results give equal bytes."""
    draws = {"heatmap": figures.heatmap, "languages": figures.languages}
    contents = {
        "table.md": tables.markdown(results).encode(),
        "table.tex": latex.latex_table(results).encode(),
        "table.csv": tables.table_csv(results).encode(),
        "scores.csv": scores_csv(results).encode(),
        **_drawn({stem: partial(draw, results) for stem, draw in draws.items()}),
        "answer.md": answer.markdown(outcome.answer).encode(),
    }
    for stem, frame in {**outcome.tables, "gains": results.gains}.items():
        contents[f"{stem}.csv"] = frame.to_csv(**CSV).encode()
        contents[f"{stem}.md"] = tables.markdown_frame(frame).encode()
        contents[f"{stem}.tex"] = latex.latex_frame(frame).encode()
    contents |= _drawn(outcome.figures)
    contents["answer.json"] = (outcome.answer.model_dump_json(indent=1) + "\n").encode()
    for name, content in contents.items():
        store.write_bytes(out / name, content)
    return Report(results, outcome.answer, tuple(out / name for name in contents))


def _drawn(draws: Mapping[str, Callable[[], Drawing]]) -> dict[str, bytes]:
    """Return the files of drawings, by name; drawings are given by the stem of their files."""
    return {
        f"{stem}.{kind}": content
        for stem, draw in draws.items()
        for kind, content in drawing.render(draw)
    }


def terminal(report: Report, verbose: bool = False, console: Console | None = None) -> None:
    """Print question, verdict and zero-shot gains of a study, and the path of its page.

    `verbose` adds the tables with scores and CIs, power, caveats and all files.
    """
    console = console or Console()
    results, answer = report.results, report.answer
    console.print(Text(plain(answer.question), "bold"))
    for line in [*answer.finding.splitlines(), *(answer.power.splitlines() if verbose else [])]:
        console.print(Text(plain(line)))
    console.print()
    tables.print_tables(results, console) if verbose else tables.print_zero_shot(results, console)
    caveats = answer.caveats if verbose else []
    for text in [*(f"Warning: {text}" for text in results.warnings), *caveats]:
        console.print(Text(plain(text), "yellow" if text.startswith("Warning") else ""))
    page, *others = report.files
    for path in [page, *(others if verbose else [])]:
        console.print(
            Text(f"{path}" + f"  (+{len(others)} files)" * (path == page and not verbose)),
            soft_wrap=True,
        )
