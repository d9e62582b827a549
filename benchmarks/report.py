"""How large the report page is, and how long it takes to write and to open, as a study grows.

    python benchmarks/report.py

A row per size: the cells, seconds to make the page's HTML from results that are read already,
megabytes, and seconds until headless Chromium shows the grid (the best of three). The results are
made up, in a temporary folder.
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

from xstilts.report.page import render
from xstilts.report.view import StudyView
from xstilts.results.scores import Context, collect

SIZES = [(1, 10, 9, 5), (1, 50, 10, 5), (2, 100, 10, 5)]  # models, recipes, targets, seeds


def write_page(folder: Path, size: tuple[int, ...]) -> tuple[int, float]:
    """The number of cells and the seconds that the page took; it is `folder/report.html`."""
    os.chdir(folder)
    grid = make_grid(*size)
    write_results(grid)
    cells = tuple(grid.cells())
    results = collect((Path(score.path) for score in grid.scores()), Context("big", cells))
    started = time.monotonic()
    text = render(StudyView(grid), results, {})
    seconds = time.monotonic() - started
    (folder / "report.html").write_text(text, encoding="utf-8")
    return len(cells), seconds


def seconds_to_open(browser, path: Path) -> float:
    """From the first byte to the drawn grid."""
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
            place = Path(folder) / str(number)
            place.mkdir()
            cells, written = write_page(place, size)
            path = place / "report.html"
            opened = min(seconds_to_open(chromium, path) for _ in range(3))
            print(f"{cells:8} {written:8.1f} {path.stat().st_size / 1e6:6.1f} {opened:7.2f}")


if __name__ == "__main__":
    main()
