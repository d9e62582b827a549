"""The report in a real browser: content, safety and accessibility."""

import os
import re

import pandas as pd
import pytest

from tests.made_up import ATTACK, HEBREW, make_grid, write_results
from xstilts.results.tables import signed

# contrast of text and background in each cell of the heat map, as WCAG defines it
CONTRASTS = """() => {
  const light = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const weights = [0.2126, 0.7152, 0.0722];
  const rgb = (text) => {
    const numbers = text.match(/[0-9.]+/g).slice(0, 3).map(Number);
    return text.startsWith("rgb") ? numbers.map((x) => x / 255) : numbers;
  };
  const luminance = (text) => rgb(text).reduce((sum, x, i) => sum + weights[i] * light(x), 0.05);
  return [...document.querySelectorAll("td.gain:not(.mean), td.loss:not(.mean)")].map((cell) => {
    const style = getComputedStyle(cell);
    const pair = [luminance(style.color), luminance(style.backgroundColor)];
    return Math.max(...pair) / Math.min(...pair);
  });
}"""
# goes to a fragment and waits until the page, whose listener is the first, shows it
FOLLOW = """(fragment) => new Promise((done) => {
  addEventListener("popstate", done, { once: true });
  location.hash = fragment;
}).then(() => null)"""
SECTIONS = ("grid", "findings", "languages", "steps", "cost", "examples", "provenance")


def test_the_page_is_silent_and_offline(visit, report):
    seen = visit()
    for name in SECTIONS:
        seen.section(name)
    assert seen.messages == []
    assert seen.requests == [report.as_uri()]
    assert seen.page.evaluate("window.attacked") is None
    assert seen.page.evaluate("document.querySelectorAll('img:not([src^=data])').length") == 0
    assert seen.page.evaluate("document.scripts.length") == 3  # early, late, and the data


def test_hostile_texts_are_shown_unchanged(visit):
    seen = visit()
    assert ATTACK in seen.page.locator("h1").inner_text()
    assert " points [" in seen.page.locator(".lead").inner_text()
    assert "<b>NLI</b>" in seen.page.locator("#grid thead").inner_text()
    assert f"Help {ATTACK}" in seen.section("steps").inner_text()
    assert ATTACK in seen.section("examples").inner_text()
    seen.cell("i1", "t0").click()
    assert f"Help {ATTACK}" in seen.page.locator("#detail h2").inner_text()
    assert seen.page.evaluate("window.attacked") is None


def test_hovering_shows_the_numbers_of_a_run(visit):
    seen = visit()
    seen.cell("i0", "t0").hover()
    text = seen.cell("i0", "t0").get_attribute("title")
    lines = dict(line.split(": ", 1) for line in text.splitlines())
    names = ["Gain", "95 % CI", "p (adjusted)", "Score", "Baseline", "Seeds", "Note"]
    assert list(lines) == names
    assert re.fullmatch(r"\[−?\d+\.\d, −?\d+\.\d\]", lines["95 % CI"])
    assert "1 degenerate" in lines["Note"]


def test_each_cell_is_readable_on_its_colour(visit):
    for scheme in ("light", "dark"):
        contrasts = visit(color_scheme=scheme).page.evaluate(CONTRASTS)
        assert len(contrasts) > 4 * 3
        assert min(contrasts) >= 4.5


def test_clicking_shows_the_details_of_a_run(visit, report):
    seen = visit()
    seen.cell("i0", "t0").click()
    panel = seen.page.locator("#detail")
    for fold in panel.locator("details summary").all():
        fold.click()
    text = panel.inner_text()
    assert "Hebrew (he)" in text
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
    page = visit().page
    page.locator("#grid thead button").last.focus()
    page.keyboard.press("Tab")  # the scrolling region is not wider than the page: the first cell
    for key in ("ArrowDown", "End", "ArrowLeft", "Home", "ArrowRight"):
        page.keyboard.press(key)
    name = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert re.search(r", <b>NLI</b> & co: [+−]\d+\.\d points, 95 % CI ", name)
    page.keyboard.press("Enter")
    assert page.locator("#detail h2").inner_text().endswith(" → <b>NLI</b> & co")
    page.keyboard.press("Escape")
    assert not page.locator("#detail").is_visible()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == name


def test_missing_runs_are_counted(visit):
    seen = visit()
    assert seen.cell("i1", "t1").text_content() == "missing"
    assert "2 of 36 runs are missing" in seen.page.locator(".warnings").inner_text()


def texts(seen) -> list[str]:
    """Return the cells of the tables of gains, with their classes, names and styles."""
    script = "[...document.querySelectorAll('.gains td')].map((x) => x.outerHTML)"
    return [re.sub(r'style="[^"]*"', without_spaces, x) for x in seen.page.evaluate(script)]


def without_spaces(style: re.Match) -> str:
    return style[0].replace(" ", "").replace(';"', '"')


def test_scripts_fill_the_grid_as_the_template(visit):
    seen = visit()
    before = texts(seen)
    for name, other, default in (("show", "score", "gain"), ("target", "t0", "mean")):
        seen.page.select_option(f"select[name={name}]", other)
        assert texts(seen) != before
        seen.page.select_option(f"select[name={name}]", default)
        assert texts(seen) == before


def test_the_first_screen_needs_no_script(visit, report):
    plain = visit(java_script_enabled=False, ready=False)
    assert plain.cell("i0", "t0").is_visible()
    assert not plain.page.locator(".controls").first.is_visible()
    box = plain.page.locator("#grid table").bounding_box()
    assert box["y"] + box["height"] < 900


def test_choices_change_the_grid(visit):
    seen = visit()
    before = texts(seen)
    seen.page.select_option("select[name=baseline]", "i0")
    assert "baseline=i0" in seen.page.url
    assert texts(seen) != before
    assert not seen.page.locator("#grid tbody.recipe td.strong").count()  # no verdict for it
    seen.page.select_option("select[name=baseline]", "none")
    assert texts(seen) == before
    seen.page.select_option("select[name=metric]", "exact_match")
    assert seen.cell("i0", "t0").text_content() == "n/a"  # only the reading target has it
    assert "Mean gain of 1" in seen.page.locator("#grid thead").inner_text()
    seen.page.select_option("select[name=show]", "score")
    assert seen.cell("i0", "t1").text_content()[0] != "+"


def column(seen, target: str) -> list[float]:
    cells = [seen.cell(recipe, target).text_content() for recipe in seen.recipes()]
    return [float(text.replace("−", "-")) for text in cells if text != "missing"]


def test_a_click_on_a_head_sorts(visit):
    seen = visit()
    head = seen.page.locator("#grid th[data-key=t1]")
    head.locator("button").click()
    gains = column(seen, "t1")
    assert gains == sorted(gains, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    assert seen.recipes()[-1] == "i1"  # the missing run is last
    head.locator("button").click()
    assert column(seen, "t1") == gains[::-1]
    assert "sort=-t1" in seen.page.url


def test_tables_sort_before_the_data_are_read(visit):
    page = visit().page
    page.add_init_script("requestIdleCallback = () => 0")
    page.reload()
    head = page.locator("#grid th[data-key=t1]")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert not page.locator("[data-ready]").count()


def test_the_address_holds_the_view(visit):
    seen = visit()
    seen.page.select_option("select[name=over]", "sw")
    seen.page.locator("#grid th[data-key=t1] button").click()
    expected = texts(seen)
    seen.cell("i0", "t1").click()
    seen.page.reload()
    seen.page.wait_for_selector("[data-ready]", state="attached")
    assert seen.page.locator("#detail h2").inner_text() == "Task 0 → Target 1"
    assert [*map(without_focus, texts(seen))] == [*map(without_focus, expected)]
    seen.page.go_back()
    seen.page.wait_for_function("!document.getElementById('detail').open")
    assert "over=sw" in seen.page.url
    assert "run=" not in seen.page.url


def without_focus(cell: str) -> str:
    return re.sub(r' (tabindex|title)="[^"]*"', "", cell)


def test_hostile_addresses_are_ignored(visit, report):
    for fragment in ("run=x.y.z", "sort=%E0%A4%A", "step=999", "codes=<b>", "x=1&&=", "run=.."):
        page = visit().page
        page.evaluate(FOLLOW, fragment)
        assert not page.locator("#detail").is_visible()


def test_filters_keep_some_languages(visit):
    seen = visit()
    shown = "#languages thead th:not([hidden])"
    assert seen.page.locator(shown).count() == 1 + 3 + 7
    seen.page.select_option("select[name=resource]", "low")
    assert seen.page.locator(shown).all_text_contents()[-1] == "sw"
    seen.page.select_option("select[name=resource]", "")
    seen.page.locator(".picks summary").click()
    for code in ("de", "tr"):
        seen.page.locator(f"input[value={code}]").check()
    assert seen.page.locator(shown).all_text_contents()[4:] == ["de", "tr"]
    assert "codes=de%2Ctr" in seen.page.url


def test_a_target_has_verdicts_by_language(visit, report):
    seen = visit()
    before = texts(seen)
    seen.page.select_option("select[name=target]", "t0")
    assert texts(seen) != before
    gains = pd.read_csv(report.parent / "gains.csv")
    (gain,) = gains.query("recipe == 'i0' and target == 't0' and language == 'sw'").itertuples()
    cell = seen.page.locator("#languages tr[data-recipe=i0] td").nth(3)
    assert cell.text_content() == signed(gain.gain, "+")
    assert ("strong" in cell.get_attribute("class")) == gain.significant


def test_copies_hold_what_is_shown(visit):
    seen = visit()
    seen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copies = {}
    for name in ("Markdown", "LaTeX", "CSV", "Link", "BibTeX"):
        seen.page.locator(f"#grid [data-copy={name}]").click()
        seen.page.locator("#status", has_text=f"{name}: copied").wait_for(state="attached")
        copies[name] = seen.page.evaluate("navigator.clipboard.readText()")
    shown = seen.cell("i0", "t0").text_content()
    for name in ("Markdown", "CSV"):
        assert shown.replace("−", "-" if name == "CSV" else "−") in copies[name]
    assert copies["LaTeX"].startswith("\\begin{tabular}{lrrrr}")
    assert copies["Link"].startswith("file:")
    assert copies["BibTeX"].startswith("@misc{made-up,")
    assert copies["Markdown"].count("\n") == 2 + 5 + 1  # heads, recipes, the floor


def test_refused_copies_show_the_text(visit):
    seen = visit()
    refuse = "() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }"
    seen.page.evaluate(refuse)
    seen.page.locator("#grid [data-copy=CSV]").click()
    seen.page.locator("#detail pre").wait_for()
    assert "Recipe," in seen.page.locator("#detail pre").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 820, 1440])
def test_axe_finds_no_violation(visit, axe, width, scheme):
    seen = visit(width=width, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")
    assert axe(seen.page) == []
    seen.cell("i0", "t0").click()
    assert axe(seen.page) == []
    seen.page.keyboard.press("Escape")
    seen.page.locator("#steps").get_by_role("link", name="Task 0", exact=True).first.click()
    assert axe(seen.page) == []


def test_a_step_shows_its_curves(visit):
    seen = visit()
    seen.section("steps").get_by_role("link", name="Task 0", exact=True).first.click()
    figure = seen.page.locator("#detail figure").first
    assert "seed 1, seed 2" in figure.inner_text()
    assert figure.locator("polyline").count() == 2
    name = figure.locator("svg").get_attribute("aria-label")
    assert name.startswith("training loss: from ")
    text = seen.page.locator("#detail").inner_text()
    assert "torch 2.13.0" in text
    assert "null" not in text.splitlines()


def test_costs_of_all_models_have_one_scale(visit):
    seen = visit()
    cost = seen.section("cost").get_by_role("region", name="Cost per recipe")
    width = "[...bar.children].reduce((sum, part) => sum + parseFloat(part.style.width), 0)"
    lengths = cost.locator(".bars").evaluate_all(f"bars => bars.map((bar) => {width})")
    assert len(lengths) == 5 + 1  # one is of the control
    assert sum(length > 99 for length in lengths) == 1


def test_hebrew_runs_right_to_left(visit):
    seen = visit()
    seen.section("examples").locator("summary", has_text="Hebrew").first.click()
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
    return seen.page.evaluate(
        "['background-color', 'color'].map((x) => getComputedStyle(document.body)[x])"
    )


def test_dark_mode_and_print(visit):
    light, dark = visit(color_scheme="light"), visit(color_scheme="dark")
    ground, ink = _colours(light)
    night, chalk = _colours(dark)
    assert ground == "rgb(255, 255, 255)"
    assert night != ground
    assert chalk != ink
    dark.page.emulate_media(media="print", color_scheme="dark")
    dark.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    marked = dark.page.locator(".gains tbody td").first  # its mark is placed within it
    assert marked.evaluate("cell => getComputedStyle(cell).position") == "relative"
    assert _colours(dark) == [ground, ink]
    assert not dark.page.locator("nav a").last.is_visible()
    assert dark.page.get_by_role("region", name="Estimates").is_visible()


def test_names_stay_when_the_grid_scrolls(visit):
    seen = visit(width=390)
    region = seen.page.locator("#grid .scroll")
    region.evaluate("(x) => x.scrollTo(x.scrollWidth, 0)")
    assert seen.page.locator("#grid tbody.recipe th").first.bounding_box()["x"] < 20
    last = seen.page.locator("#grid thead th").last.bounding_box()
    assert last["x"] + last["width"] <= 390


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
    assert seen.cell("none", "t0").text_content() == "missing"


@pytest.mark.slow
def test_ten_thousand_cells_stay_small(visit, tmp_path, monkeypatch):
    from xstilts.analyses.answer import Answer
    from xstilts.report.page import render
    from xstilts.report.view import StudyView
    from xstilts.results.samples import judge
    from xstilts.results.scores import Context, collect

    monkeypatch.chdir(tmp_path)
    grid = make_grid(models=2, recipes=100, targets=10, seeds=5)
    write_results(grid)
    cells = tuple(grid.cells())
    assert len(cells) >= 10_000
    paths = (tmp_path / score.path for score in grid.scores())
    results = judge(collect(paths, Context("big", cells)))
    answer = Answer(analysis="helps", question="Does it help?", finding="It does.")
    path = tmp_path / "report.html"
    path.write_text(render(StudyView(grid), results, answer, {}), encoding="utf-8")
    assert os.path.getsize(path) <= 5e6
    seen = visit(path)
    assert seen.messages == []
    assert seen.page.locator("#grid tbody.recipe tr").count() == 2 * 99
