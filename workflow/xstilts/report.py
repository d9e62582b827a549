"""The last phase of a study: from the score files of its cells to tables and figures."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from xstilts import figures, store, tables
from xstilts.results import Context, Results, collect, scores_csv


@dataclass(frozen=True)
class Report:
    """What `write_study` wrote, and the results it shows."""

    results: Results
    files: tuple[Path, ...]


def write_study(scores: Iterable[Path], context: Context, out: Path) -> Report:
    """Write `scores.csv`, `table.{md,csv}`, `heatmap.{png,svg}` and `languages.{png,svg}` to `out`.

    A path in `scores` that does not exist is a cell not done yet. Equal scores and context give
    equal bytes; nothing is written if a score file is bad.

    Raises:
        InputError: see `results.collect`.
    """
    results = collect(scores, context)
    contents = {
        "table.md": tables.markdown(results).encode(),
        "table.csv": tables.table_csv(results).encode(),
        "scores.csv": scores_csv(results).encode(),
    }
    for stem, draw in {"heatmap": figures.heatmap, "languages": figures.languages}.items():
        for kind, content in figures.render(draw, results):
            contents[f"{stem}.{kind}"] = content
    for name, content in contents.items():
        store.write_bytes(out / name, content)
    return Report(results, tuple(out / name for name in contents))


def terminal(report: Report, console: Console | None = None) -> None:
    """Print the tables of a study and where its files are."""
    console = console or Console()
    tables.print_tables(report.results, console)
    console.print(Text("\nFiles", style="bold"))
    for path in report.files:
        console.print(Text(f"  {path}"), soft_wrap=True)
