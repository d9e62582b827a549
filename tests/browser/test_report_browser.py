"""The report in a real browser: content, safety and accessibility."""

import os
import re

import pytest

from tests.made_up import ATTACK, HEBREW, make_grid, write_results

# contrast of text and background in each cell of the heat map, as WCAG defines it
CONTRASTS = """() => {
  const light = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const weights = [0.2126, 0.7152, 0.0722];
  const rgb = (text) => {
    const numbers = text.match(/[0-9.]+/g).slice(0, 3).map(Number);
    return text.startsWith("rgb") ? numbers.map((x) => x / 255) : numbers;
  };
  const luminance = (text) => rgb(text).reduce((sum, x, i) => sum + weights[i] * light(x), 0.05);
  return [...document.querySelectorAll("#grid-chart button:not(.empty)")].map((button) => {
    const style = getComputedStyle(button);
    const pair = [luminance(style.color), luminance(style.backgroundColor)];
    return Math.max(...pair) / Math.min(...pair);
  });
}"""
SECTIONS = ("grid", "languages", "steps", "cost", "examples", "provenance")


def test_the_page_is_silent_and_offline(visit, report):
    seen = visit()
    for name in SECTIONS:
        seen.section(name)
    assert seen.messages == []
    assert seen.requests == [report.as_uri()]
    assert seen.page.evaluate("window.attacked") is None
    assert seen.page.evaluate("document.querySelectorAll('img:not([src^=data])').length") == 0
    # Vega, and the page's own six; two of JSON
    assert seen.page.evaluate("document.scripts.length") == 9


def test_hostile_texts_are_shown_unchanged(visit):
    seen = visit()
    assert ATTACK in seen.page.locator("h1").inner_text()
    assert " points [" in seen.page.locator(".lead").inner_text()
    assert "<b>NLI</b>" in seen.page.locator("#grid-chart thead").inner_text()
    assert f"Help {ATTACK}" in seen.section("steps").inner_text()
    assert ATTACK in seen.section("examples").inner_text()
    seen.cell(2, 0).click()
    assert f"Help {ATTACK}" in seen.page.locator("#detail h2").inner_text()
    assert seen.page.evaluate("window.attacked") is None


def test_hovering_shows_the_numbers_of_a_run(visit):
    text = visit().cell(1, 0).get_attribute("title")
    lines = dict(line.split(": ", 1) for line in text.splitlines())
    assert list(lines)[:6] == ["Gain", "95 % CI", "Score", "Seeds", "Test examples", "Cost"]
    assert re.fullmatch(r"\[−?\d+\.\d, −?\d+\.\d\]", lines["95 % CI"])
    assert "1 degenerate" in lines["Note"]


def test_each_cell_is_readable_on_its_colour(visit):
    for scheme in ("light", "dark"):
        contrasts = visit(color_scheme=scheme).page.evaluate(CONTRASTS)
        assert len(contrasts) == 5 * 4 - 2  # a missing run, and its mean
        assert min(contrasts) >= 4.5


def test_clicking_shows_the_details_of_a_run(visit, report):
    seen = visit()
    seen.cell(1, 0).click()
    panel = seen.page.locator("#detail")
    panel.locator(".mark-rect path").first.wait_for()  # a bar
    text = panel.inner_text()
    assert "Hebrew (he)" in panel.locator(".chart").first.text_content()
    assert "learning_rate" in text
    assert re.search(r"results/logs/train/m0\.i0-t0\.s1\.[0-9a-f]{12}\.log", text)
    commands = panel.locator("pre").last.inner_text().splitlines()
    stages = [line.split()[3] for line in commands]
    assert stages == ["train", "train", "predict", "score"] * 2
    study = report.parents[2] / commands[0].split()[5].removeprefix("results/")
    assert study.is_file()
    ids = {artefact.id for artefact in make_grid().artefacts().all()}
    assert {line.split()[-1] for line in commands} <= ids


def test_the_keyboard_opens_and_closes_a_run(visit):
    seen = visit()
    page = seen.page
    page.locator("#grid-columns, #grid-controls select").last.focus()
    page.keyboard.press("Tab")
    for key in ("ArrowDown", "End", "ArrowLeft", "Home", "ArrowRight"):
        page.keyboard.press(key)
    name = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert name.startswith("Task 0, Target 1: ")
    page.keyboard.press("Enter")
    assert page.locator("#detail h2").inner_text() == "Task 0 → Target 1"
    page.keyboard.press("Escape")
    assert not page.locator("#detail").is_visible()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == name


def test_missing_runs_are_counted(visit):
    seen = visit()
    assert seen.cell(2, 1).text_content() == "missing"
    assert "2 of 36 runs are missing" in seen.page.locator(".warnings").inner_text()


def test_each_chart_has_a_table(visit):
    seen = visit()
    for name in ("grid", "languages", "cost"):
        section = seen.section(name)
        section.locator("details summary").first.click()
        section.locator("tbody tr").nth(2).wait_for()
    costs = seen.page.locator("#cost .chart ~ div details table")
    assert "on disk" in costs.locator("thead").inner_text()
    assert "kB" in costs.locator("tbody tr").first.inner_text()
    shown = seen.cell(1, 1).text_content()
    row = seen.page.locator("#grid tbody tr").nth(1).inner_text()
    assert shown in row


def test_choices_change_the_grid(visit):
    seen = visit()

    def gains(column):
        texts = seen.page.evaluate(f"grid.rows.map((row) => row[{column}].shown)")
        return [float(re.sub("[†‡=]", "", x).replace("−", "-")) for x in texts if x != "missing"]

    before = gains(0)
    seen.page.select_option("#grid-controls-sort", "target 0")
    after = gains(0)
    assert sorted(before) == sorted(after)
    without = [gain for gain in after if gain < 40]  # the baseline's own row is its score
    assert without == sorted(without, reverse=True)
    seen.page.select_option("#grid-controls-baseline", label="Task 0")
    assert gains(0) != after
    seen.page.select_option("#grid-controls-metric", "exact_match")
    assert seen.columns == 1  # only the reading target has it


def test_a_step_shows_its_curves(visit):
    seen = visit()
    seen.section("steps").get_by_role("button", name="Task 0", exact=True).click()
    seen.page.locator("#detail .mark-line path").first.wait_for()
    assert "seed 1" in seen.page.locator("#detail .chart").text_content()
    text = seen.page.locator("#detail").inner_text()
    assert "torch 2.13.0" in text
    assert "null" not in text.splitlines()


def test_hebrew_runs_right_to_left(visit):
    seen = visit()
    seen.section("examples")
    seen.page.select_option("#examples-controls-language", "he")
    text = seen.page.locator(f"#examples dd[lang=he]:has-text('{HEBREW}')").first
    assert text.evaluate("element => getComputedStyle(element).direction") == "rtl"
    label = seen.page.locator("#examples dt").first
    assert label.evaluate("element => getComputedStyle(element).direction") == "ltr"


@pytest.mark.parametrize("width", [360, 390, 768])
def test_narrow_pages_do_not_scroll_sideways(visit, width):
    seen = visit(width=width)
    for name in SECTIONS:
        seen.section(name)
    assert seen.page.evaluate("document.documentElement.scrollWidth") == width


def _colours(seen):
    seen.page.wait_for_selector("#cost[data-drawn]")
    return seen.page.evaluate(
        "[getComputedStyle(document.body).backgroundColor,"
        " document.querySelector('#cost-chart .role-axis-label text').getAttribute('fill')]"
    )


def test_dark_mode_and_print(visit):
    light, dark = visit(color_scheme="light"), visit(color_scheme="dark")
    ground, ink = _colours(light)
    night, chalk = _colours(dark)
    assert ground == "rgb(255, 255, 255)"
    assert night != ground
    assert chalk != ink
    dark.page.emulate_media(color_scheme="light")  # while the page is open
    dark.page.wait_for_function("!darkMode.matches")
    dark.page.wait_for_timeout(200)
    assert _colours(dark) == [ground, ink]
    dark.page.emulate_media(media="print", color_scheme="dark")
    dark.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert _colours(dark) == [ground, ink]
    assert not dark.page.locator("nav").is_visible()
    assert dark.page.locator("#languages-controls").is_visible()  # they name what the chart shows
    assert dark.page.get_by_role("region", name="Estimates").is_visible()
    for name in ("languages", "cost"):  # sections that were never scrolled to
        dark.page.locator(f"#{name}-chart svg.marks").wait_for()


def test_figures_are_saved_on_white(visit):
    seen = visit(color_scheme="dark")
    for kind, start in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
        with seen.page.expect_download() as download:
            seen.section("cost").get_by_role("button", name=kind).click()
        content = download.value.path().read_bytes()
        assert download.value.suggested_filename == f"made-up-cost.{kind.lower()}"
        assert content.startswith(start)
    assert _colours(seen) == _colours(visit(color_scheme="dark"))


def test_a_study_without_results_has_a_page(visit, tmp_path, monkeypatch):
    from xstilts.report.view import StudyView
    from xstilts.stages import summarise

    monkeypatch.chdir(tmp_path)
    summarise.run(StudyView(make_grid()))
    seen = visit(tmp_path / "results/studies/made-up/report.html")
    for name in SECTIONS:
        seen.section(name)
    assert seen.messages == []
    assert "36 of 36 runs are missing" in seen.page.locator(".warnings").inner_text()
    assert seen.cell(0, 0).text_content() == "missing"


@pytest.mark.slow
def test_ten_thousand_cells_stay_small(visit, tmp_path, monkeypatch):
    from xstilts.report.page import render
    from xstilts.report.view import StudyView
    from xstilts.results.scores import Context, collect

    monkeypatch.chdir(tmp_path)
    grid = make_grid(models=2, recipes=100, targets=10, seeds=5)
    write_results(grid)
    cells = tuple(grid.cells())
    assert len(cells) >= 10_000
    results = collect((tmp_path / score.path for score in grid.scores()), Context("big", cells))
    path = tmp_path / "report.html"
    path.write_text(render(StudyView(grid), results, {}), encoding="utf-8")
    assert os.path.getsize(path) < 15e6
    seen = visit(path)
    assert seen.messages == []
    assert seen.page.locator("#grid-chart button").count() == 100 * 11
