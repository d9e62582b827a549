"""Figures show the measured values, fit the page, and are equal for equal results."""

import itertools
import warnings
from dataclasses import replace

import matplotlib as mpl
import pytest
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex

from tests.results.test_scores import cells, lab, score, write
from xstilts.grid.artefacts import Cell
from xstilts.results.figures import GREY, STYLE, heatmap, languages, render
from xstilts.results.scores import Context, collect

CODES = ["".join(pair) for pair in itertools.product("abcdefghijk", "abcdefghijk")]


@pytest.fixture(autouse=True)
def _style():
    with style.context(["default", STYLE]):
        yield


def many(folder, count: int, recipes="none nli", labels=None):
    """A study of one target in many languages, with a control."""
    study = cells(recipes, "qa") + cells("none", "qa", model="random")
    scores = [
        score(
            c, {"en": 80.0} | {x: 70.0 - i / 4 + c.seed for i, x in enumerate(CODES[: count - 1])}
        )
        for c in study
    ]
    return collect(write(folder, *scores), Context("many", study, labels or {}))


def texts(figure) -> list[str]:
    """Return all visible texts, tick labels included."""
    found = figure.findobj(mpl.text.Text)
    return [text.get_text() for text in found if text.get_visible() and text.get_text()]


def fits(figure) -> bool:
    """Whether everything is within the page."""
    box = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())  # inches
    width, height = figure.get_size_inches()
    return box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


def test_heatmap_shows_gains_and_baseline_scores(tmp_path):
    figure = heatmap(collect(*lab(tmp_path, labels={"nli": "NLI", "qa": "XQuAD"})))
    found = texts(figure)
    assert {"NLI", "XQuAD", "none", "Mean", "F1", "+3.5", "± 0.7", "50.5", "60.5"} <= set(found)
    assert len(figure.axes) == 2  # one model with more than the baseline; the colour bar
    assert fits(figure)


def test_heatmap_colours_ignore_an_outlier(tmp_path):
    recipes = ["none", *(f"r{i}" for i in range(30))]
    study = cells(" ".join(recipes), "qa", (1,))
    gains = dict(zip(recipes, [0.0, -45.0, *[2.0] * 29], strict=True))
    scores = [score(c, {"en": 50.0, "xa": 50.0 + gains[c.recipe]}) for c in study]
    figure = heatmap(collect(write(tmp_path, *scores), Context("lab", study)))
    low, high = figure.axes[1].get_ylim()
    assert -low == high
    assert high < 5
    assert "−45.0" in texts(figure)


def test_heatmap_hatches_and_explains_missing_gains(tmp_path):
    missing = (*cells(recipes="nli", targets="qa"), Cell("xlmr", "nli", "pos", 1))
    figure = heatmap(collect(*lab(tmp_path, missing)))
    hatched = [p for p in figure.axes[0].patches if p.get_hatch()]
    assert len(hatched) == 2  # the target without a score, and the mean over targets
    assert any("hatched" in text and "‡" in text for text in texts(figure))
    assert "+4.0‡" in texts(figure)


def test_few_languages_are_on_the_x_axis(tmp_path):
    figure = languages(collect(*lab(tmp_path, labels={"random": "random weights"})))
    first, second = figure.axes
    assert [label.get_text() for label in first.get_xticklabels()] == ["en", "xa", "xb"]
    assert first.get_position().y0 == second.get_position().y0  # side by side
    colours = [to_hex(c.get_color()[0]) for c in first.collections if isinstance(c, LineCollection)]
    assert GREY.lower() in colours
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["none", "nli", "none (random weights)"]
    drawn = [line.get_ydata() for line in first.lines]
    assert list(drawn[0]) == pytest.approx([56.5, 52.5, 48.5])
    assert list(drawn[1]) == pytest.approx([60.0, 56.0, 52.0])
    bars = [c for c in first.collections if isinstance(c, LineCollection)][-1].get_segments()
    assert len(bars) == 6
    assert bars[0].mean(axis=0) == pytest.approx([first.lines[0].get_xdata()[0], 56.5])
    assert bars[0][0][1] < bars[0][1][1]
    assert fits(figure)


def test_many_languages_make_a_dot_plot_that_grows(tmp_path):
    figure = languages(many(tmp_path, 112))
    assert len(figure.axes) == 2
    names = [[label.get_text() for label in axes.get_yticklabels()] for axes in figure.axes]
    assert [len(part) for part in names] == [56, 56]
    assert names[0][0] == "en"
    assert names[0][1:] + names[1] == CODES[:111]  # sorted by the score of the baseline
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
    assert figure.get_figheight() > languages(many(tmp_path, 60)).get_figheight() > 6
    assert fits(figure)
    figure.draw(FigureCanvasAgg(figure).get_renderer())
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(upper.y0 >= lower.y1 for upper, lower in itertools.pairwise(boxes))


@pytest.mark.parametrize("count", [1, 7, 16, 33, 41])
def test_language_labels_never_overlap(tmp_path, count):
    figure = languages(many(tmp_path, count, recipes="none a b c d e"))
    figure.draw(FigureCanvasAgg(figure).get_renderer())
    assert fits(figure)
    for axes in figure.axes:
        for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
            boxes = [label.get_window_extent() for label in labels if label.get_text()]
            assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


def test_hostile_and_long_labels_fit_the_page(tmp_path):
    label = "$\\frac{1$ <b>&amp; " + "long words without end " * 9 + "x" * 90
    names = ["xlmr", "nli", "qa", "pos", "random", "none"]
    paths, context = lab(tmp_path, labels=dict.fromkeys(names, label))
    results = collect(paths, replace(context, study=label))
    for draw in (heatmap, languages):
        assert dict(render(draw, results)).keys() == {"png", "svg"}
        assert fits(draw(results))


@pytest.mark.parametrize("draw", [heatmap, languages])
def test_bytes_do_not_depend_on_the_users_style(tmp_path, draw):
    results = collect(*lab(tmp_path))
    first = dict(render(draw, results))
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.hashsalt": "other"}):
        assert dict(render(draw, results)) == first
    assert first["png"].startswith(b"\x89PNG")
    assert b"Software" not in first["png"]
    assert b"<dc:date>" not in first["svg"]


@pytest.mark.parametrize("draw", [heatmap, languages])
def test_a_study_with_nothing_to_draw_says_so(tmp_path, draw):
    empty = collect([], Context("lab", cells(recipes="none")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dict(render(draw, empty)).keys() == {"png", "svg"}
    assert any("No " in text for text in texts(draw(empty)))
    unscored = collect([], Context("lab", cells()))
    assert dict(render(draw, unscored))["png"]


def test_without_baseline_there_are_no_gains(tmp_path):
    study = cells(recipes="nli qqp", targets="qa")
    paths = write(tmp_path, *(score(c, {"en": 50.0, "xa": 40.0}) for c in study))
    results = collect(paths, Context("lab", study))
    assert all(patch.get_hatch() for patch in heatmap(results).axes[0].patches)
    legend = languages(results).legends[0].get_texts()
    assert [text.get_text() for text in legend] == ["nli", "qqp"]
