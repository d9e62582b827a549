"""Markdown, CSV and terminal tables."""

import csv
import io
import re
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from tests.results.test_scores import cells, lab, score, write
from xstilts.grid.artefacts import Cell
from xstilts.results import latex, tables
from xstilts.results.latex import latex_table
from xstilts.results.samples import judge
from xstilts.results.score_file import ScoreFile
from xstilts.results.scores import Context, Results, collect, scores_csv
from xstilts.results.tables import (
    escape,
    markdown,
    p_value,
    print_tables,
    print_zero_shot,
    signed,
    table_csv,
    table_rows,
)

HOSTILE = "a|b`c*d_e\n# [x](y) <b>&amp;\\|\x1b[31m $z$ ~~q~~"


def html(text: str) -> str:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)


def shown(results, draw=print_tables, width: int = 80) -> str:
    stream = io.StringIO()
    draw(results, Console(file=stream, width=width))
    return stream.getvalue()


def five_points(folder, study) -> Results:
    """Return a study in which `nli` gains five points in one language."""
    scores = [
        score(c, {"en": 50.0, "xa": 45.0 + 5 * (c.recipe == "nli") + c.seed / 9}) for c in study
    ]
    return judge(collect(write(folder, *scores), Context("my_study", study)))


def lines_of(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start)]


def test_scores_of_other_systems_are_marked(tmp_path):
    results = collect(*lab(tmp_path))
    other = Cell("other", "imported", "qa", 0)
    write(tmp_path, score(other, {"en": 70.0, "xa": 50.0, "xb": 60.0}))
    context = replace(results.context, imported=(ScoreFile.read(tmp_path / "0.json"),))
    found = judge(replace(results, context=context))
    rows = lines_of(markdown(found), "| other (imported) |")
    assert rows == [
        "| other (imported) | n/a | 60.0 | n/a |",
        "| other (imported) | n/a | 55.0 | n/a |",
    ]
    assert "Rows marked (imported) are scored from predictions of other systems" in markdown(found)
    lines = lines_of(scores_csv(found), "other,imported,qa,0,zero_shot")
    assert [line.split(",")[6] for line in lines] == ["55.0000", "27.5000"]


def test_markdown_shows_scores_gains_and_floor(tmp_path):
    results = judge(collect(*lab(tmp_path, labels={"random": "random weights", "nli": "NLI"})))
    text = markdown(results)
    average, zero_shot = lines_of(text, "| NLI |")
    row = results.gains.set_index(["recipe", "target", "language"]).loc[("nli", "qa", "zero_shot")]
    ci = f"(+3.5 [{signed(row['low'])}, {signed(row['high'])}])"  # not significant: no star
    assert zero_shot.startswith("| NLI | 59.0 (+3.5 ")  # the mean comes first
    assert f"| 54.0 {ci} | 64.0 {ci} |" in zero_shot
    assert "| 56.0 (" in average
    assert lines_of(text, "| none |")[1] == "| none | 55.5 | 50.5 | 60.5 |"
    floor = text.index("| none (random weights) | 27.5")
    assert text.index("| ⋯ |") < floor
    assert "qa: F1, 3 languages: en (source), xa, xb." in text
    assert "over 2 seeds" in text
    assert "12 of 12 runs are scored." in text
    assert "†" not in text
    assert "Recipes: NLI = nli." in text


def test_missing_cells_are_shown_and_counted(tmp_path):
    missing = (*cells(recipes="nli", targets="qa"), Cell("xlmr", "nli", "pos", 1))
    text = markdown(judge(collect(*lab(tmp_path, missing))))
    assert "9 of 12 runs are scored; 3 are missing" in text
    [average, _] = lines_of(text, "| nli |")  # one seed has no CI of its own: it is borrowed
    assert average.startswith("| nli | – | – | 67.0 (+4.0‡ ")
    assert "*" not in average
    for line in lines_of(text, "|"):
        assert all(part.strip() for part in line.strip("|").split("|"))


def test_degenerate_runs_are_marked_and_counted(tmp_path):
    study = cells(recipes="none nli", targets="qa")
    scores = [score(c, {"en": 50.0, "xa": 30.0}, degenerate=c.recipe == "nli") for c in study]
    text = markdown(judge(collect(write(tmp_path, *scores), Context("lab", study))))
    assert "| nli | 40.0 (+0.0† [0.0, 0.0])" in text
    assert "| none | 40.0 |" in text
    assert "2 of 4 scored runs" in text


def test_one_seed_has_no_deviation(tmp_path):
    study = cells(recipes="none", targets="qa", seeds=(1,))
    text = markdown(collect(write(tmp_path, score(study[0], {"xa": 50.0})), Context("lab", study)))
    assert "| none | 50.0 |\n" in text  # no mean of one target
    assert "means over 1 seed" in text
    assert "\n- Scores" in text


def test_hostile_labels_do_not_break_the_tables(tmp_path):
    names = ["xlmr", "nli", "qa", "random"]
    paths, context = lab(
        tmp_path, labels=dict.fromkeys(names, HOSTILE), notes=("# x\n| y",), warnings=("<script>",)
    )
    results = collect(paths, context)
    page = html(markdown(results))
    assert page.count("<table>") == 2
    assert page.count("<tr>") == 2 * 5  # head, two recipes, dots, control
    assert page.count("<td") == 2 * 4 * 4
    for tag in ("<a ", "<b>", "<script", "<em>", "<code>", "<s>", "<li>\n<h1"):
        assert tag not in page
    text = shown(results)
    assert "\x1b" not in text
    assert "a|b`c*d_e # [x](y)" in text


@given(st.text(min_size=1))
def test_escaped_text_reads_as_the_text(text):
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parseInline(escape(text))
    tokens = page[0].children
    assert {token.type for token in tokens} <= {"text", "text_special"}


@given(st.text(alphabet="ab|\\`*_<&#-+1.)=~[] \n", min_size=1, max_size=12))
def test_escaped_text_starts_no_block(text):
    tokens = MarkdownIt("commonmark").parse(f"- {escape(text)}\n")
    kinds = [token.type for token in tokens]
    assert kinds.count("list_item_open") == 1
    assert not {"heading_open", "hr", "fence", "blockquote_open", "html_block"} & set(kinds)


@pytest.mark.parametrize("number", ["+2.0 points", "0.04", "1.0", "-3 to 4"])
def test_numbers_are_not_escaped(number):
    assert escape(number) == number


def test_csv_holds_the_numbers_of_the_tables(tmp_path):
    missing = (Cell("xlmr", "nli", "pos", 2), *cells(recipes="none", model="random"))
    rows = list(csv.DictReader(io.StringIO(table_csv(judge(collect(*lab(tmp_path, missing)))))))
    assert {row["average"] for row in rows} == {"avg", "zero_shot"}
    keyed = {tuple(row[k] for k in ("average", "model", "recipe", "target")): row for row in rows}
    assert len(keyed) == len(rows) == 2 * 3 * 3
    one = keyed["zero_shot", "xlmr", "nli", "qa"]
    assert (one["mean"], one["gain"], one["sd"]) == ("54.0000", "3.5000", "1.4142")
    assert float(one["low"]) < 3.5 < float(one["high"])
    assert one["significant"] == "False"
    assert (one["metric"], one["seeds"], one["wanted"]) == ("f1", "2", "2")
    assert keyed["avg", "xlmr", "nli", "pos"]["sd"] == "NA"
    assert keyed["avg", "random", "none", "qa"]["mean"] == "NA"
    assert all(value for row in rows for value in row.values())


def test_a_frame_is_a_table_of_two_formats():
    frame = pd.DataFrame({"gain_of": ["a|b & c", "d"], "mean": [-1.5, float("nan")]})
    assert tables.markdown_frame(frame).splitlines() == [
        "| gain of | mean |",
        "| :-- | --: |",
        r"| a\|b \& c | −1.50 |",
        "| d | – |",
    ]
    assert r"a|b \& c & $-1.50$ \\" in latex.latex_frame(frame)


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("draw", [print_tables, print_zero_shot])
def test_terminal_fits_its_width_and_needs_no_colour(tmp_path, draw, width):
    targets = " ".join(f"target{i}" for i in range(9))
    study = cells(targets=targets)
    results = five_points(tmp_path, study)
    text = shown(results, draw, width)
    assert max(map(len, text.splitlines())) <= width
    tables = 2 if draw is print_tables else 1
    assert all(text.count(f"target{i}") == tables for i in range(9))
    assert ("+5.0*" in text) == (draw is print_zero_shot)
    assert ("+5.0 [" in text) == (draw is print_tables)
    assert "\x1b" not in text


def test_numbers_of_all_outputs_agree(tmp_path):
    study = cells("none nli", "qa", (1, 2, 3))
    values = {
        c: 50 + 0.1 * c.seed + (1.24996 if c.recipe == "nli" else 0) for c in study
    }  # a tie at four digits
    scores = [score(c, {"en": 50.0, "xa": x}) for c, x in values.items()]
    results = judge(collect(write(tmp_path, *scores), Context("lab", study)))
    table = pd.read_csv(io.StringIO(table_csv(results)))
    gain = table[(table["recipe"] == "nli") & (table["average"] == "zero_shot")]["gain"].iloc[0]
    shown_gain = signed(gain, "+")
    for text in (markdown(results), latex_table(results), shown(results, print_zero_shot)):
        assert shown_gain in text


def test_latex_table_has_caption_label_and_few_columns(tmp_path):
    study = cells(targets=" ".join(f"t{i}" for i in range(25)))
    text = latex_table(five_points(tmp_path, study))
    heads = [line for line in text.splitlines() if line.startswith("Recipe")]
    assert [line.count("&") for line in heads] == [9, 8, 9] * 2
    assert text.count(r"\begin{table*}") == text.count(r"\caption{") == 6
    labels = re.findall(r"\\label\{(.*)\}", text)
    assert labels[0] == "tab:my-study-zero-shot-xlmr"
    assert len(set(labels)) == 6
    assert re.search(r"\+5\.0\}?\$_\{\\pm \d+\.\d\}\$ ", text)


def test_a_study_without_scores_still_has_its_tables():
    results = collect([], Context("lab", cells()))
    assert "0 of 8 runs are scored; 8 are missing" in markdown(results)
    assert "| nli | – | – | – |" in markdown(results)
    assert "0 of 8 runs" in shown(results)
    assert "8 of 8 runs missing" in shown(results, print_zero_shot)


def test_cells_outside_the_study_are_not_missing(tmp_path):
    study = (*cells(targets="qa"), *cells(recipes="none", targets="pos"))
    scores = [score(c, {"en": 50.0, "xa": 40.0}) for c in study]
    results = collect(write(tmp_path, *scores), Context("lab", study))
    row = table_rows(results, "avg", "xlmr")[1]
    assert [entry.score for entry in row.entries] == ["–", "45.0", "n/a"]


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [(-0.04, "+", "+0.0"), (-1.25, "+", "−1.2"), (3, "", "3.0"), (0.06, "+", "+0.1")],
)
def test_numbers_have_a_true_minus(value, sign, text):
    assert signed(value, sign) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0402, ".040"), (0.5, ".50"), (0.0012, ".0012"), (0.0004, "< .001"), (None, "–")],
)
def test_p_has_two_significant_digits(p, text):
    assert p_value(p) == text
