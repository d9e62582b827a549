"""Size of the report page, and the time to write and to open it, as a study grows.

    python benchmarks/report.py

Prints a row per size: the number of cells, the seconds to render the page from results in memory,
its megabytes, and the seconds until headless Chromium shows the grid (the best of three). The
results are made up, in a temporary folder.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from made_up import make_grid, write_results

from xstilts.analyses.answer import Answer
from xstilts.report.page import render
from xstilts.report.view import StudyView
from xstilts.results.scores import Context, collect

ANSWER = Answer(analysis="helps", question="Does it help?", finding="It does.")
SIZES = [(1, 10, 9, 5), (1, 50, 10, 5), (2, 100, 10, 5)]  # models, recipes, targets, seeds


def write_page(folder: Path, size: tuple[int, ...]) -> tuple[int, float]:
    """Write `folder/report.html`; return the number of cells and the seconds that it took."""
    os.chdir(folder)
    grid = make_grid(*size)
    write_results(grid)
    cells = tuple(grid.cells())
    results = collect((Path(score.path) for score in grid.scores()), Context("big", cells))
    started = time.monotonic()
    text = render(StudyView(grid), results, ANSWER, {})
    seconds = time.monotonic() - started
    (folder / "report.html").write_text(text, encoding="utf-8")
    return len(cells), seconds


def seconds_to_open(browser, path: Path) -> float:
    """Return the seconds from opening the page until the grid is drawn."""
    page = browser.new_page()
    started = time.monotonic()
    page.goto(path.as_uri())
    page.wait_for_selector("[data-ready]", state="attached")
    seconds = time.monotonic() - started
    page.close()
    return seconds


def main() -> None:
    """Print the table."""
    print(f"{'cells':>8} {'write s':>8} {'MB':>6} {'open s':>7}")
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=options
        )
        for number, size in enumerate(SIZES):
            study = Path(folder) / str(number)
            study.mkdir()
            cells, written = write_page(study, size)
            path = study / "report.html"
            opened = min(seconds_to_open(chromium, path) for _ in range(3))
            print(f"{cells:8} {written:8.1f} {path.stat().st_size / 1e6:6.1f} {opened:7.2f}")


if __name__ == "__main__":
    main()
