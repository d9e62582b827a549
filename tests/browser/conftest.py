"""Chromium, and a page of made-up results open in it."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.made_up import make_grid, write_results

# axe-core 4.14.1, as in package.json
AXE = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
MISSING = ("i1", "t1")  # recipe and target


class Visit:
    """An open page, its console messages and its requests."""

    def __init__(self, page: Page, path: Path, ready: bool = True):
        self.page, self.messages, self.requests = page, [], []
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri())
        if ready:
            page.wait_for_selector("[data-ready]", state="attached")

    def section(self, name: str):
        """Return a section of the page, scrolled into view."""
        section = self.page.locator(f"#{name}")
        section.scroll_into_view_if_needed()
        return section

    def cell(self, recipe: str, target: str):
        """Return the link of a run in the grid."""
        return self.page.locator(f'#grid a[href="#run=m0.{recipe}.{target}"]')

    def recipes(self) -> list[str]:
        """Return the recipes in the order of their rows."""
        rows = self.page.locator("#grid tbody.recipe tr").all()
        return [row.get_attribute("data-recipe") for row in rows]


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
def axe():
    """Return a function that lists a page's violations; a missing checker is an error."""
    path = Path(__file__).parent / "node_modules/axe-core/axe.min.js"
    if not path.exists():
        pytest.fail("no axe-core; install it: npm install --prefix tests/browser")
    script = path.read_bytes()
    assert hashlib.sha256(script).hexdigest() == AXE, f"{path} is not the pinned version"

    def violations(page: Page) -> list[tuple[str, list[str]]]:
        page.evaluate(script.decode())
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]

    return violations


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

    def open_page(path: Path = report, width: int = 1280, ready=True, **settings) -> Visit:
        size = {"width": width, "height": 900}
        contexts.append(browser.new_context(viewport=size, offline=True, **settings))
        contexts[-1].set_default_timeout(300_000)  # a busy machine is no failure
        return Visit(contexts[-1].new_page(), path, ready)

    yield open_page
    for context in contexts:
        context.close()
