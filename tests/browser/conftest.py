"""Chromium, and a page of made-up results open in it."""

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.made_up import make_grid, write_results

MISSING = ("i1", "t1")  # recipe and target


class Visit:
    """An open page, its console messages and its requests."""

    def __init__(self, page: Page, path: Path):
        self.page, self.messages, self.requests = page, [], []
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("[data-ready]", state="attached")

    def section(self, name: str):
        """Return a section of the page after it is drawn."""
        section = self.page.locator(f"#{name}")
        section.scroll_into_view_if_needed()
        if name != "grid":
            self.page.wait_for_selector(f"#{name}[data-drawn]")
        return section

    def cell(self, recipe: int, target: int):
        """Return a cell of the heat map, a button."""
        row = self.page.locator("#grid-chart tbody tr").nth(recipe)
        return row.locator("button").nth(target)

    @property
    def columns(self) -> int:
        """Number of columns: targets and their mean."""
        return self.page.locator("#grid-chart thead th").count()


@pytest.fixture(scope="session")
def browser():
    """Return Chromium or Chrome; a missing browser is an error, never a skip."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if not path:
        pytest.fail("no Chromium on this machine; on Debian: apt-get install chromium")
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=options)


@pytest.fixture(scope="session")
def report(tmp_path_factory) -> Path:
    """Write the page of a small study with a missing recipe and hostile texts."""
    from xstilts.report.view import StudyView
    from xstilts.stages import summarise

    folder, back = tmp_path_factory.mktemp("made-up"), Path.cwd()
    os.chdir(folder)
    try:
        grid = make_grid()
        write_results(grid, lambda cell: (cell.recipe, cell.target) == MISSING)
        summarise.run(StudyView(grid))
    finally:
        os.chdir(back)
    return folder / "results/studies/made-up/report.html"


@pytest.fixture
def visit(browser: Browser, report: Path):
    """Return a function that opens a page, by default the small study's at desktop size."""
    contexts = []

    def open_page(path: Path = report, width: int = 1280, **settings) -> Visit:
        size = {"width": width, "height": 900}
        contexts.append(browser.new_context(viewport=size, offline=True, **settings))
        return Visit(contexts[-1].new_page(), path)

    yield open_page
    for context in contexts:
        context.close()
