"""Every format on a small file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.samples import (
    ANSWER,
    CHECKLIST,
    CONLLU,
    ENTITY_ROW,
    HELLASWAG,
    MENTION,
    MENTION_ROW,
    MNLI,
    PANX,
    PAWSX,
    QQP,
    READS,
    jsonl,
    mention_pair,
    question,
    squad,
    ud,
)
from xstilts.errors import InputError
from xstilts.sources.files import FORMATS, check_format, locate, read


def test_every_format_has_a_case():
    assert set(READS) == set(FORMATS)


@pytest.mark.parametrize("format", READS)
def test_reads_the_format(load, format):
    text, rows = READS[format]
    assert load(format, text, "sw").rows == rows


@pytest.mark.parametrize("format", [f for f in READS if f != "cosmosqa"])
def test_byte_order_mark_and_crlf_change_nothing(load, format):
    text, rows = READS[format]
    texts = text if isinstance(text, dict) else {"data": text}
    windows = {name: "\ufeff" + t.replace("\n", "\r\n") for name, t in texts.items()}
    assert load(format, windows, "sw").rows == rows


@pytest.mark.parametrize("format", READS)
def test_the_end_of_the_last_line_may_be_missing(load, format):
    text, rows = READS[format]
    texts = text if isinstance(text, dict) else {"data": text}
    cut = {name: t.rstrip("\r\n") for name, t in texts.items()}
    assert load(format, cut, "sw").rows == rows


def test_each_entity_is_one_candidate(load):
    text = jsonl(mention_pair(), mention_pair(MENTION | {"example_id": "m2"}))
    rows = load("mewslix-pairs", text, "sw", candidates=True).rows
    described = MENTION_ROW | {"text": ENTITY_ROW["text"]}
    assert rows == [ENTITY_ROW, described, described | {"id": "m2"}]


EXCLUDED = [
    (
        "checklist",
        CHECKLIST.replace(
            "animal\ta dog", "Question\tWho?\t\t\t\nAnswer\tA {animal}\t\t\t\nanimal\ta dog"
        ),
        {"answer not in its context word for word": 1},
    ),
    ("glue-mnli", MNLI + "2\t3c\ta\tb\t-\n", {"no gold label: the annotators disagree": 1}),
    (
        "glue-qqp",
        QQP + "5\t1\t2\ta\n b?\tc?\t1\n6\t1\t2\ta\tb\t0\n",
        {"row broken over two lines": 2},
    ),
    ("pawsx", PAWSX, {"placeholder NS in place of a translation": 1}),
    ("conllu", CONLLU, {"sentence with its words withheld": 1}),
    ("text", "a\n\n \nb\n", {"blank line": 2}),
]


@pytest.mark.parametrize(("format", "text", "excluded"), EXCLUDED)
def test_excluded_rows_are_counted(load, format, text, excluded):
    assert load(format, text).excluded == excluded


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("labelled", "false", "true or false"),
        ("version", 1.1, "text in quotes"),
        ("number_ids", "no", "true or false"),
    ],
)
def test_options_of_another_type_are_rejected(option, value, expected):
    with pytest.raises(InputError, match=f"options.{option}: .* is not allowed; exp.* {expected}"):
        check_format("squad", {option: value}, "answer")


def test_unknown_names_get_the_nearest_name(load):
    with pytest.raises(InputError, match="unknown format 'squd'; did you mean 'squad'"):
        load("squd", "x")
    with pytest.raises(InputError, match="unknown option 'labeled'; did you mean 'labelled'"):
        load("squad", "x", labeled=False)
    with pytest.raises(InputError, match="TyDiQA has no language 'swa'; did you mean 'sw'"):
        load("tydiqa", squad(question("swahili-1-0")), "swa")


def test_unlabelled_test_files(load):
    header, *rows = MNLI.splitlines()
    unlabelled = "\n".join(line.rpartition("\t")[0] for line in [header, *rows])
    with pytest.raises(InputError, match="no column 'gold_label'"):
        load("glue-mnli", unlabelled)
    assert [r["label"] for r in load("glue-mnli", unlabelled, labelled=False).rows] == ["", ""]
    ctx = {key: value for key, value in HELLASWAG.items() if key != "label"}
    assert load("hellaswag", jsonl(ctx), labelled=False).rows[0]["label"] == -1
    blanked = squad(question(text="", start=0))
    assert load("squad", blanked, labelled=False).rows == [ANSWER | {"answers": [], "starts": []}]


def test_impossible_questions_have_no_answer(load):
    [row] = load("squad", squad(question(answers=[], is_impossible=True))).rows
    assert row["answers"] == row["starts"] == []


def test_offsets_count_characters(load):
    text = squad(question(text="Ω", start=2), context="😀 Ω")
    assert load("squad", text).rows[0]["starts"] == [2]


def test_repeated_ids_can_be_numbered(load):
    text = squad(question(), question())
    assert [r["id"] for r in load("squad", text, number_ids=True).rows] == ["0", "1"]
    with pytest.raises(InputError, match="number_ids would lose"):
        load("tatoeba", READS["tatoeba"][0], "sw", number_ids=True)


def test_rows_without_ids_are_numbered_over_all_files(load):
    table = load("panx", {"a": PANX, "b": PANX}, "sw")
    assert [row["id"] for row in table.rows] == ["0", "1", "2", "3"]


def fused(*parts):
    last = len(parts)
    return ud((f"1-{last}", "x", "_", "_"), *parts, (last + 1, "y", "NOUN", 0))


@pytest.mark.parametrize(
    ("parts", "language", "tag"),
    [
        ([(1, "in", "ADP", 3), (2, "dem", "DET", 3)], "de", "ADP"),  # equally high: by rank
        ([(1, "the", "DET", 2), (2, "x", "SYM", 3)], "de", "SYM"),  # the higher one
        ([(1, "haber", "AUX", 3), (2, "lo", "PRON", 3)], "es", "AUX"),
        ([(1, "haber", "AUX", 3), (2, "lo", "PRON", 3)], "pt", "PRON"),
        ([(1, "a", "ADJ", 2), (2, "b", "ADV", 1)], "de", "ADJ"),  # a cycle ends
    ],
)
def test_a_fused_word_takes_the_highest_tag(load, parts, language, tag):
    [row] = load("conllu", fused(*parts), language).rows
    assert row["words"] == ["x", "y"]
    assert row["tags"] == [tag, "NOUN"]


IN_A_CELL = st.text(st.characters(exclude_characters="\n\r\t\0", exclude_categories=["Cs"]))


@given(st.lists(st.tuples(IN_A_CELL, IN_A_CELL), min_size=1))
def test_any_text_survives_a_tsv(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("tsv") / "data"
    body = "".join(f"{i}\t{a}\t{b}\t1\n" for i, (a, b) in enumerate(texts))
    path.write_bytes(("id\tsentence1\tsentence2\tlabel\n" + body).encode())
    try:
        rows = read("pawsx", [path], "en").rows
    except InputError:
        rows = []
    kept = [pair for pair in texts if "NS" not in pair]
    assert [(row["text_a"], row["text_b"]) for row in rows] == kept


def test_locate_fills_and_expands(tmp_path):
    names = [
        "UD_B/de_b-test.x",
        "UD_a/de_a-test.x",
        "UD_a/en_a-test.x",
        "t.deu-eng.deu",
        "q-german",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = locate("UD_*/{language}_*-test.x", tmp_path, "de")
    assert [path.name for path in found] == ["de_a-test.x", "de_b-test.x"]
    assert locate("t.{iso3}-eng.*", tmp_path, "de") == [tmp_path / "t.deu-eng.deu"]
    assert locate("UD_a", tmp_path, "de") == locate("absent", tmp_path / "no", "de") == []


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("/etc/{language}", "expected a path relative to"),
        ("", "expected a path relative to"),
        ("t.{iso3}", "'xx' has no {iso3}; valid: af, ar"),
        ("t-{name}.json", "'xx' has no {name}; valid: ar, bn"),
    ],
)
def test_locate_rejects_bad_templates(tmp_path, template, message):
    with pytest.raises(InputError, match=message):
        locate(template, tmp_path, "xx")


def choices(key: str, *labels: str) -> str:
    """Return a question of CommonsenseQA whose choices have these labels."""
    listed = [{"label": label, "text": f"text {label}"} for label in labels]
    return jsonl({"id": "1", "answerKey": key, "question": {"stem": "q", "choices": listed}})


@pytest.mark.parametrize(
    ("key", "labels", "position"),
    [("A", "BA", 1), ("E", "EDCBA", 0), ("C", "ABCDE", 2), ("3", "123", 2), ("x", "yx", 1)],
)
def test_keys_name_a_choice_by_its_label(load, key, labels, position):
    assert load("commonsenseqa", choices(key, *labels)).rows[0]["label"] == position


@pytest.mark.parametrize(
    ("key", "labels", "message"),
    [("C", "AB", r":1: unknown label 'C'; valid: A, B"), ("A", "AA", r":1: keys .*expected a lab")],
)
def test_keys_without_a_choice_are_errors(load, key, labels, message):
    with pytest.raises(InputError, match=message):
        load("commonsenseqa", choices(key, *labels))


ENHANCED = """\
1-2\tI'm\t_\t_\t_\t_\t_\t_\t_\t_
1\tI\t_\tPRON\t_\t_\t3\tnsubj\t{edges}\t_
2\t'm\t_\tAUX\t_\t_\t3\tcop\t3:cop\t_
3\thappy\t_\tADJ\t_\t_\t0\troot\t0:root\t_
4\tgo\t_\tVERB\t_\t_\t3\txcomp\t3:xcomp\t_
"""


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ("3:nsubj|4:nsubj:xsubj", "AUX"),  # as conllu_to_conll: PRON has another ancestor
        ("3:nsubj", "PRON"),
        ("_", "PRON"),
        ("3:nsubj|8.1:nsubj", "PRON"),  # an empty node
    ],
)
def test_enhanced_edges_count_for_fused_words(load, edges, expected):
    [row] = load("conllu", ENHANCED.format(edges=edges)).rows
    assert row["tags"] == [expected, "ADJ", "VERB"]


@pytest.mark.parametrize("spans", [("1-3", "2-3"), ("1-2", "1-3"), ("1-2", "2-3")])
def test_overlapping_fused_words_are_errors(load, spans):
    words = "".join(f"{n}\tw\t_\tNOUN\t_\t_\t0\troot\t_\t_\n" for n in (1, 2, 3))
    fused = "".join(f"{span}\tf" + "\t_" * 8 + "\n" for span in spans)
    with pytest.raises(InputError, match="fused already"):
        load("conllu", fused + words)


def test_white_space_around_ids_does_not_count(load):
    texts = {"d.de": "de-1\ta\n", "d.en": "en-1\tb\n", "d.gold": "de-1 \ten-1 \r\n"}
    assert load("bucc", texts, "de").rows[0]["match"] == "en-1"
