"""Figures show the judged gains, have the width of a paper, and are equal for equal results."""

import itertools
import warnings
from dataclasses import replace
from functools import partial

import matplotlib as mpl
import pytest
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from tests.results.test_scores import cells, lab, score, write
from xstilts.analyses.plots import Panel, along, intervals
from xstilts.grid.artefacts import Cell
from xstilts.results.colours import GAIN, LOSS, SERIES
from xstilts.results.drawing import COLUMN, PAGE, STYLE, TEXT, ink, render
from xstilts.results.figures import heatmap, languages
from xstilts.results.samples import judge
from xstilts.results.scores import Context, collect
from xstilts.results.statistics import Interval

CODES = (
    "en ar bg de el es fr hi ru sw th tr ur vi zh eu fa fi he hu "
    "id it ja jv ka kk ko ml mr ms my nl pt ta te tl yo af bn et he"
).split()
FORMATS = {"txt", "pdf", "svg", "png"}


@pytest.fixture(autouse=True)
def _style():
    with style.context(["default", STYLE]):
        yield


def paper(folder, recipes: int, targets: int, languages: int):
    """A study of the size of a paper; recipe r3 gains most, r1 loses most."""
    effects = {"r1": -8.0, "r2": 0.1, "r3": 12.0}
    names = ["none", *(f"r{n}" for n in range(1, recipes))]
    study = cells(" ".join(names), " ".join(f"target{n}" for n in range(targets)))
    codes = CODES[:languages]
    scores = [
        score(
            c, {x: 50 + n / 9 + c.seed / 9 + effects.get(c.recipe, 1) for n, x in enumerate(codes)}
        )
        for c in study
    ]
    return judge(collect(write(folder, *scores), Context("paper", study)))


def judged(folder, *missing, **context):
    return judge(collect(*lab(folder, missing, **context)))


def texts(figure) -> list[str]:
    """Return all visible texts, tick labels included."""
    found = figure.findobj(mpl.text.Text)
    return [text.get_text() for text in found if text.get_visible() and text.get_text()]


def fits(figure) -> bool:
    """Whether everything is within the page."""
    box = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())  # inches
    width, height = figure.get_size_inches()
    return box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


def row_labels(axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def test_heatmap_shows_gains_intervals_and_scores(tmp_path):
    results = judged(tmp_path, labels={"nli": "NLI", "qa": "XQuAD"})
    figure, caption = heatmap(results)
    rows = results.gains.set_index(["recipe", "target", "language"])
    gain = rows.loc[("nli", "qa", "zero_shot")]
    half = f"±{(gain['high'] - gain['low']) / 2:.1f}"
    assert {"NLI", "XQuAD", "none", "Mean", "+3.5", half, "50.5", "60.5"} <= set(texts(figure))
    assert figure.get_figwidth() == COLUMN
    assert "95 % CI, simultaneous over the figure (2 seeds)" in caption
    assert not any("gain over" in text for text in texts(figure))  # no title


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "targets", "count"), [(heatmap, 9, 2), (languages, 1, 40)])
def test_figures_of_a_paper_fit_its_page(tmp_path, draw, targets, count):
    figure, _ = draw(paper(tmp_path, 22, targets, count))
    assert figure.get_figwidth() == TEXT
    assert figure.get_figheight() <= PAGE
    assert fits(figure)
    assert all(t.get_fontsize() >= 7 for t in figure.findobj(mpl.text.Text) if t.get_text())
    assert row_labels(figure.axes[0])[-1] == "r1"
    assert "r3" in row_labels(figure.axes[0])[:2]  # the baseline may be first


def test_language_labels_never_overlap(tmp_path):
    figure, _ = languages(paper(tmp_path, 3, 1, 40))
    assert {"Swahili", "German"} <= set(texts(figure))
    assert not {"sw", "de"} & set(texts(figure))
    figure.draw(FigureCanvasAgg(figure).get_renderer())
    heads = [t.get_window_extent() for t in figure.axes[0].texts if t.get_text()]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(heads, 2))


def test_only_significant_gains_are_marked(tmp_path):
    results = paper(tmp_path, 4, 2, 3)
    bold = {t.get_text() for t in heatmap(results)[0].axes[0].texts if t.get_weight() == "bold"}
    significant = results.gains[results.gains["significant"]]
    shown = significant[significant["language"] == "zero_shot"]["gain"]
    assert bold == {f"{gain:+.1f}*".replace("-", "−") for gain in shown}


def test_a_map_without_numbers_marks_significance(tmp_path):
    results = paper(tmp_path, 4, 1, 40)
    dots = [line for line in languages(results)[0].axes[0].lines if line.get_marker() == "o"]
    own = results.gains[results.gains["significant"] & (results.gains["target"] == "mean")]
    assert len(dots) == (~own["language"].isin(["avg", "zero_shot"])).sum() > 0


def test_heatmap_colours_ignore_an_outlier(tmp_path):
    recipes = ["none", *(f"r{i}" for i in range(30))]
    study = cells(" ".join(recipes), "qa", (1,))
    gains = dict(zip(recipes, [0.0, -45.0, *[2.0] * 29], strict=True))
    scores = [score(c, {"en": 50.0, "xa": 50.0 + gains[c.recipe]}) for c in study]
    figure, caption = heatmap(judge(collect(write(tmp_path, *scores), Context("lab", study))))
    faces = {to_hex(patch.get_facecolor()).upper() for patch in figure.axes[0].patches}
    assert GAIN in faces
    assert "−45.0" in texts(figure)
    assert "no CI" in caption


def test_heatmap_hatches_and_explains_missing_gains(tmp_path):
    missing = (*cells(recipes="nli", targets="qa"), Cell("xlmr", "nli", "pos", 1))
    figure, caption = heatmap(judged(tmp_path, *missing))
    hatched = [p for p in figure.axes[0].patches if p.get_hatch()]
    assert len(hatched) == 2  # the target without a score, and the mean over targets
    assert "Hatched" in caption
    assert "‡" in caption
    assert "+4.0‡" in texts(figure)


def test_hostile_and_long_labels_fit_the_page(tmp_path):
    label = "$\\frac{1$ <b>&amp; " + "long words without end " * 9 + "x" * 90
    names = ["xlmr", "nli", "qa", "pos", "random", "none"]
    paths, context = lab(tmp_path, labels=dict.fromkeys(names, label))
    results = judge(collect(paths, replace(context, study=label)))
    for draw in (heatmap, languages):
        assert dict(render(partial(draw, results))).keys() == FORMATS
        assert fits(draw(results)[0])


def test_bytes_do_not_depend_on_the_users_style(tmp_path):
    results = judged(tmp_path)
    first = dict(render(partial(heatmap, results)))
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.hashsalt": "other"}):
        assert dict(render(partial(heatmap, results))) == first
    assert first["png"].startswith(b"\x89PNG")
    assert b"Software" not in first["png"]
    assert b"<dc:date>" not in first["svg"]
    assert b"CreationDate" not in first["pdf"]


@pytest.mark.parametrize("draw", [heatmap, languages])
def test_a_study_with_nothing_to_draw_says_so(draw):
    empty = judge(collect([], Context("lab", cells(recipes="none"))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dict(render(partial(draw, empty))).keys() == FORMATS
    assert any("No " in text for text in texts(draw(empty)[0]))
    unscored = judge(collect([], Context("lab", cells())))
    assert dict(render(partial(draw, unscored)))["png"]


def test_without_baseline_there_are_no_gains(tmp_path):
    study = cells(recipes="nli qqp", targets="qa")
    paths = write(tmp_path, *(score(c, {"en": 50.0, "xa": 40.0}) for c in study))
    results = judge(collect(paths, Context("lab", study)))
    assert all(patch.get_hatch() for patch in heatmap(results)[0].axes[0].patches)
    assert "No gains" in languages(results)[1]


def test_a_loss_has_never_the_colour_of_a_gain():
    rows = [("up", Interval(2, 1, 3, p_adjusted=0.01)), ("down", Interval(-1, -3, 1))]
    figure, _ = intervals("", [Panel("", rows)], "points")
    dots = {line.get_ydata()[0]: line for line in figure.axes[0].lines if line.get_marker() == "o"}
    assert [dots[n].get_color() for n in (0, 1)] == [GAIN, LOSS]
    assert [dots[n].get_markerfacecolor() for n in (0, 1)] == [GAIN, "white"]
    assert not {GAIN, LOSS} & set(SERIES)


def test_one_wide_interval_does_not_flatten_the_rest():
    rows = [(f"row {n}", Interval(n, n - 2, n + 2)) for n in range(6)]
    figure, caption = intervals("", [Panel("", [*rows, ("wide", Interval(1, -46, 48))])], "points")
    low, high = figure.axes[0].get_xlim()
    assert -15 < low < -2
    assert 7 < high < 15
    assert {"<", ">"} <= {line.get_marker() for line in figure.axes[0].lines}
    assert "Arrowheads" in caption


def test_many_panels_of_equal_rows_fit_a_page():
    rows = [(f"order {n}", Interval(n, n - 2, n + 2)) for n in range(12)]
    figure, _ = intervals("", [Panel(f"target {n}", rows) for n in range(10)], "points")
    assert figure.get_figwidth() == TEXT
    assert figure.get_figheight() <= PAGE
    assert fits(figure)


@pytest.mark.parametrize(
    ("panels", "expected"),
    [("abcd", [False, False, True, True]), ("abcde", [False, False, True, True, True])],
)
def test_lowest_panel_of_each_column_has_ticks(panels, expected):
    point = {"a": [(10.0, Interval(0.0, -1.0, 1.0))]}
    figure, _ = along("", [Panel(t, series=point) for t in panels], ("x", "y"), {10.0: "10"})
    shown = [axes.xaxis.get_tick_params()["labelbottom"] for axes in figure.axes[: len(panels)]]
    assert shown == expected


def test_points_along_an_axis_are_not_joined():
    points = [(10.0, Interval(1, 0.5, 1.5, p_adjusted=0.01)), (100.0, Interval(2, -1, 5))]
    ticks = {10.0: "10", 100.0: "100"}
    figure, _ = along("", [Panel("", series={"a": points, "b": points})], ("x", "y"), ticks)
    lines = [line for line in figure.axes[0].lines if line.get_marker() in ("o", "s")]
    assert all(
        line.get_linestyle() == "None" or line.get_linewidth() == 0
        for line in lines
        if len(line.get_xdata())
    )
    assert figure.get_figwidth() == COLUMN


@pytest.mark.parametrize(("face", "text"), [("#1F6FB2", "white"), ("#F3F4F6", "black")])
def test_ink_has_the_larger_contrast(face, text):
    assert ink(mpl.colors.to_rgb(face)) == text
