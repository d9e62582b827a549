"""Every format on a small file, and every way in which such a file can be wrong."""

import gzip
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.errors import InputError
from xstilts.sources.files import FORMATS, locate, read

MNLI = (
    "index\tpairID\tsentence1\tsentence2\tgold_label\n"
    '0\t1e\tHe said "go\tHe spoke\tentailment\n'
    "1\t2n\tIt rains\tIt is cold\tneutral\n"
)
QQP = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
XNLI = (
    "language\tgold_label\tsentence1\tsentence2\tpairID\n"
    "de\tneutral\tEs regnet\tEs ist kalt\t7\n"
    "sw\tcontradiction\tNdiyo\tHapana\t7\n"
)
PAWSX = "id\tsentence1\tsentence2\tlabel\n1\tNS\tb\t0\n2\ta\tb\t1\n"
COSMOS = (
    "id,context,question,answer0,answer1,answer2,answer3,label\r\n"
    'q1,"He said ""no"", and\r\nleft",Why?,a,b,c,d,2\r\n'
)
HELLASWAG = {"ind": 4, "ctx": "He sits.", "endings": ["a", "b", "c", "d"], "label": 3}
COPA = {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 1, "idx": 0}
CSQA = {
    "answerKey": "E",
    "id": "x",
    "question": {"stem": "s", "choices": [{"label": c, "text": c} for c in "ABCDE"]},
}
SIQA = {"context": "c", "question": "q", "answerA": "a", "answerB": "b", "answerC": "c"}
ANLI = {"uid": "u", "context": "c", "hypothesis": "h"}
CCG = (
    "ID=wsj_0001.1 PARSER=GOLD NUMPARSE=1\n"
    r"(<T S[dcl] 0 2> (<L N NNP NNP Vinken N>) (<T S\NP 1 2> (<L (S\NP)/NP VBZ VBZ is X>)"
    " (<L RRB -RRB- -RRB- ) RRB>) ) )\n"
)
CONLLU = """\
# sent_id = s1
1-2\tDámelo\t_\t_\t_\t_\t_\t_\t_\t_
1\tda\t_\tVERB\t_\t_\t0\troot\t_\t_
2\tlo\t_\tPRON\t_\t_\t1\tobj\t_\t_
2.1\tnada\t_\tVERB\t_\t_\t_\t_\t_\t_
3\t20 000\t_\tNUM\t_\t_\t1\tobj\t_\t_
4\t.\t_\tPUNCT\t_\t_\t1\tpunct\t_\t_

# sent_id = s2
1\t_\t_\tNOUN\t_\t_\t0\troot\t_\t_
2\t_\t_\tVERB\t_\t_\t1\tdep\t_\t_
"""
CONLLU_ROW = {"words": ["Dámelo", "20000", "."], "tags": ["VERB", "NUM", "PUNCT"], "id": "s1"}
PANX = "de:Anton\tB-PER\nde:http://x\tO\n\nde:Bonn\tB-LOC\n\n"


def jsonl(*records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def squad(*questions, context="Rome is in Italy."):
    paragraphs = [{"context": context, "qas": list(questions)}]
    return json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]})


def question(id="q1", text="Italy", start=11, **more):
    return {"id": id, "question": "Where?"} | (
        more or {"answers": [{"text": text, "answer_start": start}]}
    )


@pytest.fixture
def load(tmp_path):
    """Write the texts as files and read them."""

    def read_texts(format, text, language="en", **options):
        texts = text if isinstance(text, dict) else {"data": text}
        options |= {"size": 1} if format == "checklist" else {}
        paths = []
        for name, content in texts.items():
            paths.append(tmp_path / name)
            paths[-1].write_bytes(content if isinstance(content, bytes) else content.encode())
        return read(format, paths, language, **options)

    return read_texts


def pair(id, a, b, label):
    return {"id": id, "text_a": a, "text_b": b, "label": label}


def choose(id, context, question, choices, label):
    return {
        "id": id,
        "context": context,
        "question": question,
        "choices": list(choices),
        "label": label,
    }


PASSAGE = {"text": "Rome is in Italy.", "context": "Rome is in Italy."}
ANSWER = {"id": "q1", "context": "Rome is in Italy.", "question": "Where?"}

CHECKLIST = (
    "Field\ten\tsw\tsw\tsw-placeholders\n"
    "Name\tPets\t\t\t\n"
    "Context\t{first_name} has {a:animal}.\t{first_name} ana {animal}.\t\t\n"
    "Question\tWhat has {first_name}?\tNini?\tNini, mbwa?\tdog\n"
    "Answer\t{animal}\t{animal}\t\t\n"
    "animal\ta dog\tmbwa\t\t\n"
)

READS = {
    "checklist": (
        CHECKLIST,
        [
            {
                "id": "Pets-0-0",
                "context": "Ben ana mbwa.",
                "question": "Nini, mbwa?",
                "answers": ["mbwa"],
                "starts": [8],
            }
        ],
    ),
    "glue-mnli": (
        MNLI,
        [
            pair("0", 'He said "go', "He spoke", "entailment"),
            pair("1", "It rains", "It is cold", "neutral"),
        ],
    ),
    "glue-qqp": (QQP + "5\t1\t2\ta?\t\t1\n", [pair("5", "a?", "", "1")]),
    "nli-jsonl": (
        jsonl({"pairID": "1e", "sentence1": "a", "sentence2": "b", "gold_label": "neutral"}),
        [pair("1e", "a", "b", "neutral")],
    ),
    "anli": (jsonl(ANLI | {"label": "c"}), [pair("u", "c", "h", "contradiction")]),
    "xnli": (XNLI, [pair("7", "Ndiyo", "Hapana", "contradiction")]),
    "xnli-mt": (
        "premise\thypo\tlabel\na\tb\tcontradictory\n",
        [pair("0", "a", "b", "contradiction")],
    ),
    "pawsx": (PAWSX, [pair("2", "a", "b", "1")]),
    "hellaswag": (jsonl(HELLASWAG), [choose("4", "He sits.", "", "abcd", 3)]),
    "cosmosqa": (COSMOS, [choose("q1", 'He said "no", and\r\nleft', "Why?", "abcd", 2)]),
    "commonsenseqa": (jsonl(CSQA), [choose("x", "", "s", "ABCDE", 4)]),
    "siqa": (jsonl(SIQA | {"correct": "B"}), [choose("0", "c", "q", "abc", 1)]),
    "copa": (jsonl(COPA), [choose("0", "p", "What was the cause?", "ab", 1)]),
    "squad": (squad(question()), [ANSWER | {"answers": ["Italy"], "starts": [11]}]),
    "tydiqa": (
        squad(question("swahili-1-0"), question("english-1-0")),
        [ANSWER | {"id": "swahili-1-0", "answers": ["Italy"], "starts": [11]}],
    ),
    "passages": (
        {"sw.json": squad(question())},
        [
            PASSAGE | {"id": "q1", "question": "Where?", "matches": ["sw-0-0"]},
            PASSAGE | {"id": "sw-0-0", "question": "", "matches": []},
        ],
    ),
    "conllu": (CONLLU, [CONLLU_ROW]),
    "panx": (
        PANX,
        [
            {"id": "0", "words": ["Anton", "http://x"], "tags": ["B-PER", "O"]},
            {"id": "1", "words": ["Bonn"], "tags": ["B-LOC"]},
        ],
    ),
    "ccgbank": (
        CCG,
        [
            {
                "id": "wsj_0001.1",
                "words": ["Vinken", "is", ")"],
                "tags": ["N", r"(S\NP)/NP", "RRB"],
            }
        ],
    ),
    "tatoeba": (
        {"t.swh-eng.swh": "Ndiyo.\nHapana.\n", "t.swh-eng.eng": "Yes.\nNo.\n"},
        [
            {"id": "sw-0", "side": "foreign", "text": "Ndiyo.", "match": "en-0"},
            {"id": "sw-1", "side": "foreign", "text": "Hapana.", "match": "en-1"},
            {"id": "en-0", "side": "english", "text": "Yes.", "match": "sw-0"},
            {"id": "en-1", "side": "english", "text": "No.", "match": "sw-1"},
        ],
    ),
    "bucc": (
        {"d.sw": "sw-1\tNdiyo.\nsw-2\tX.\n", "d.en": "en-7\tYes.\n", "d.gold": "sw-1\ten-7\n"},
        [
            {"id": "sw-1", "side": "foreign", "text": "Ndiyo.", "match": "en-7"},
            {"id": "sw-2", "side": "foreign", "text": "X.", "match": ""},
            {"id": "en-7", "side": "english", "text": "Yes.", "match": "sw-1"},
        ],
    ),
    "text": (
        "One\u2028line.\n\nTwo.\n",
        [
            {"id": "0", "text": "One\u2028line.", "text_b": ""},
            {"id": "2", "text": "Two.", "text_b": ""},
        ],
    ),
}


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


@pytest.mark.parametrize("format", READS)
def test_wrong_encoding_is_named_with_its_line(load, format):
    text, _ = READS[format]
    texts = text if isinstance(text, dict) else {"data": text}
    latin = {name: t.encode() + b"caf\xe9\n" for name, t in texts.items()}
    with pytest.raises(InputError, match=r":\d+: not UTF-8 \(byte \d+ of the file\)"):
        load(format, latin, "sw")


@pytest.mark.parametrize("format", READS)
@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_an_error(load, format, content):
    texts = READS[format][0] if isinstance(READS[format][0], dict) else {"data": ""}
    with pytest.raises(InputError, match="is empty"):
        load(format, dict.fromkeys(texts, content), "sw")


@pytest.mark.parametrize("format", [f for f in READS if f not in ("tatoeba", "bucc")])
def test_a_missing_file_is_an_error(tmp_path, format):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read(format, [tmp_path / "absent"], "sw")
    with pytest.raises(InputError, match="no file for language 'sw'"):
        read(format, [], "sw")


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
def test_what_the_benchmark_excludes_is_counted(load, format, text, excluded):
    assert load(format, text).excluded == excluded


def ud(*rows):
    return "".join(
        f"{id}\t{form}\t_\t{tag}\t_\t_\t{head}\t_\t_\t_\n" for id, form, tag, head in rows
    )


IN_ITALY = {"text": "Italy", "answer_start": 11}
SPLIT = squad(question(text=unicodedata.normalize("NFD", "é")), context="é")
ERRORS = [
    ("checklist", CHECKLIST.replace("\ten", "\tde"), "no column 'en'; valid: de, sw"),
    ("checklist", CHECKLIST.replace("Answer", "Answr"), "'Pets' has 1 contexts, 1 questions and 0"),
    ("checklist", CHECKLIST.replace("\tmbwa\t\t\n", "\n"), ":6: 2 columns, expected 5"),
    ("glue-mnli", MNLI + "2\t3c\ta\n", ":4: 3 columns, expected 5 as in the header"),
    ("glue-mnli", MNLI + "2\t3c\ta\tb\tc\tneutral\n", ":4: 6 columns, expected 5"),
    ("glue-mnli", MNLI.replace("sentence1", "sentence_1"), "no column 'sentence1'; did you mean"),
    ("glue-mnli", MNLI + "2\t3c\ta\tb\tentailed\n", "unknown label 'entailed'; valid: contra"),
    ("glue-mnli", MNLI + "1\t3c\ta\tb\tneutral\n", r":4: id '1' again, after .*:3 \(number_ids"),
    ("glue-mnli", MNLI.splitlines()[0], "no row is left"),
    ("glue-mnli", MNLI.splitlines()[0] + "\n0\t1\ta\tb\t-", "excluded: {'no gold label"),
    ("xnli", XNLI, "no row in 'en'; valid: de, sw"),
    ("pawsx", PAWSX + "3\ta\tb\t2\n", "unknown label '2'; valid: 0, 1"),
    ("cosmosqa", COSMOS + 'q2,"cut off', r":4: not valid CSV, or cut"),
    ("cosmosqa", COSMOS + "q2,c,q,a,b\n", ":4: 5 columns, expected 8"),
    ("hellaswag", jsonl(HELLASWAG)[:-20], ":1: not valid JSON, or cut"),
    ("hellaswag", jsonl(HELLASWAG | {"endings": ["a", "b"]}), "the label is choice 4 of only 2"),
    ("hellaswag", jsonl(HELLASWAG | {"endings": "abcd"}), "'endings' holds"),
    ("hellaswag", jsonl(HELLASWAG | {"endings": [1, 2, 3, 4]}), "'endings' holds"),
    ("hellaswag", jsonl(HELLASWAG | {"ctx": None}), "column 'ctx' holds None, expected str"),
    ("hellaswag", "[1]\n", ":1: expected a JSON object, found list"),
    ("copa", jsonl(COPA, COPA), ":2: id '0' again, after .*:1 "),
    ("squad", squad(question())[:-30], "not valid JSON, or cut: .* at line 1"),
    ("squad", json.dumps({"date": []}), "no column 'data'; did you mean 'date'"),
    ("squad", json.dumps({"data": []}), "no row is left"),
    ("squad", squad(question(), question()), "question 2: id 'q1' again, after .*question 1 "),
    ("squad", squad(question(start=3)), "answer 'Italy' is not at offset 3 but at 11"),
    ("squad", squad(question(start=-6)), "not at offset -6 but at 11"),
    ("squad", squad(question(text="Spain")), "not at offset 11, nor anywhere in the context"),
    ("squad", SPLIT, "differ in Unicode normalisation"),
    ("squad", squad(question(text="", start=0)), "answer is empty, .* labelled: false"),
    ("squad", squad(question(answers=[])), "0 answers and is_impossible None"),
    ("squad", squad(question(answers=[IN_ITALY], is_impossible=True)), "1 answers and is_imp"),
    ("tydiqa", squad(question("swahili-1-0")), "no question in english; valid: swahili"),
    ("tydiqa", squad(question("12")), "id '12' does not begin with a language"),
    ("conllu", CONLLU + "3\tx\t_\tNO", ":12: 4 columns, expected the 10 of CoNLL-U"),
    ("conllu", ud((1, "a", "NOUN", 0), (3, "b", "NOUN", 1)), ":2: word 3, expected 2"),
    ("conllu", ud((1, "a", "NOMEN", 0)), ":1: unknown label 'NOMEN'; valid: ADJ, ADP"),
    ("conllu", ud(("x", "a", "NOUN", 0)), ":1: 'x' is no word number"),
    ("conllu", ud(("1-2", "ab", "_", "_"), (1, "a", "NOUN", 0)), "fuses words 1 to 2, but"),
    ("conllu", "# text = a\n\n" + CONLLU, ":1: a sentence without words"),
    ("panx", PANX + "de:Bonn\n", ":6: 'de:Bonn', expected language:word<TAB>tag"),
    ("panx", PANX + "Bonn\tO\n", ":6: .*expected language:word"),
    ("panx", PANX.replace("de:Anton\tB-PER", "de:Anton"), ":1: 'de:Anton', expected"),
    ("copa", jsonl(COPA | {"label": float("nan")}), "'label' holds nan, expected"),
    ("anli", jsonl(ANLI | {"label": "c", "context": None}), "'context' holds None, expected str"),
    ("panx", PANX + "de:Bonn\tB-CITY\n", ":6: unknown label 'B-CITY'; valid: B-LOC"),
    ("ccgbank", CCG[:-5], ":2: not a whole CCG tree"),
    ("ccgbank", CCG[:60], ":2: not a whole CCG tree"),
    ("ccgbank", CCG + "ID=wsj_0001.2 PARSER=GOLD\n", "tree of wsj_0001.2 is missing"),
    ("ccgbank", CCG + CCG.splitlines()[1], ":3: expected ID=… and a tree"),
    ("tatoeba", {"t.swh": "a\nb\n", "t.eng": "a\n"}, "ending in '.en'; found t.swh, t.eng"),
    ("tatoeba", {"t.en": "a\nb\n", "t.eng": "a\n"}, "2 lines, but its English side has 1"),
    ("tatoeba", {"t.en": "a\n \n", "t.eng": "a\nb\n"}, r"t\.en:2: an empty sentence"),
    ("bucc", {"d.en": "en-1\ta\n"}, "expected one file ending in '.gold'; found d.en"),
    ("bucc", {"d.en": "en-1", "d.gold": "x\ty\n"}, r"d\.en:1: expected two columns"),
]  # fmt: skip


@pytest.mark.parametrize(("format", "text", "message"), ERRORS)
def test_a_wrong_file_is_one_clear_message(load, format, text, message):
    with pytest.raises(InputError, match=message) as error:
        load(format, text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("format", [f for f, (text, _) in READS.items() if isinstance(text, str)])
def test_gzip_changes_nothing_and_a_cut_one_is_an_error(load, format):
    text, rows = READS[format]
    packed = gzip.compress(text.encode())
    assert load(format, {"data.gz": packed}, "sw").rows == rows
    for cut in (packed[:-6], b"no gzip"):
        with pytest.raises(InputError, match=r"data\.gz: not valid gzip, or cut: "):
            load(format, {"data.gz": cut}, "sw")


def test_text_in_either_normalisation_is_read_as_it_is(load):
    for form in ("NFC", "NFD"):
        row = ANLI | {"context": unicodedata.normalize(form, "é"), "label": "c"}
        assert load("anli", jsonl(row)).rows[0]["text_a"] == row["context"]


def test_i_without_b_is_a_tag_like_any_other(load):
    assert load("panx", "de:Bonn\tI-LOC\n").rows[0]["tags"] == ["I-LOC"]


BUCC = {"d.sw": "sw-1\ta\nsw-2\tb\n", "d.en": "en-1\ta\nen-2\tb\n"}


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ("sw-1\ten-9\n", r"d\.gold:1: no sentence has the id 'en-9'"),
        ("sw-1\ten-1\nsw-2\ten-1\n", r"d\.gold:2: 'en-1' already has the translation 'sw-1'"),
    ],
)
def test_gold_pairs_must_fit_the_sentences(load, gold, message):
    with pytest.raises(InputError, match=message):
        load("bucc", BUCC | {"d.gold": gold}, "sw")


def test_unknown_names_are_answered_with_the_nearest(load):
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


def test_offsets_count_characters_beyond_the_basic_plane(load):
    text = squad(question(text="Ω", start=2), context="😀 Ω")
    assert load("squad", text).rows[0]["starts"] == [2]


def test_repeated_ids_can_be_numbered(load):
    text = squad(question(), question())
    assert [r["id"] for r in load("squad", text, number_ids=True).rows] == ["0", "1"]
    with pytest.raises(InputError, match="number_ids would lose"):
        load("tatoeba", READS["tatoeba"][0], "sw", number_ids=True)


def test_rows_without_ids_are_numbered_over_all_files(load):
    table = load("panx", {"a": PANX, "b": PANX})
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
def test_tag_of_a_fused_word(load, parts, language, tag):
    [row] = load("conllu", fused(*parts), language).rows
    assert row["words"] == ["x", "y"]
    assert row["tags"] == [tag, "NOUN"]


IN_A_CELL = st.text(st.characters(exclude_characters="\n\r\t", exclude_categories=["Cs"]))


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
        ("t.{iso3}", "no {iso3} for 'xx'; valid: af, ar"),
        ("t-{name}.json", "no {name} for 'xx'; valid: ar, bn"),
    ],
)
def test_locate_refuses(tmp_path, template, message):
    with pytest.raises(InputError, match=message):
        locate(template, tmp_path, "xx")
