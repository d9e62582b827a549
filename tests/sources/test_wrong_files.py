"""Each error that a file of a format can have gives one clear message."""

import gzip
import json
import re
import unicodedata

import pytest

from tests.sources.samples import (
    ANLI,
    ARTICLE,
    CCG,
    CHECKLIST,
    CONLLU,
    COPA,
    COSMOS,
    ENTITY,
    HELLASWAG,
    MENTION,
    MNLI,
    PANX,
    PAWSX,
    READS,
    XNLI,
    jsonl,
    mention_pair,
    question,
    squad,
    ud,
)
from xstilts.errors import InputError
from xstilts.sources.files import read


@pytest.mark.parametrize("format", READS)
def test_wrong_encoding_is_reported_with_its_line(load, format):
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


IN_ITALY = {"text": "Italy", "answer_start": 11}
ENGLISH = ARTICLE | {"language": "en"}


def news(span=(25, 29, "Roma"), **changes):
    """Return a WikiNews article with one mention."""
    mention = MENTION | {"mention_span": dict(zip(("start", "end", "text"), span, strict=True))}
    return jsonl({"context": ENGLISH | changes, "mentions": [mention]})


SPLIT = squad(question(text=unicodedata.normalize("NFD", "é")), context="é")
BREAKS = [
    *([1, 2], [[0]], [[0, "x"]], [None], [[0, True], [8, 17]], [[0, 8, 9], [9, 17]]),
    *([[-5, 8], [8, 17]], [[0, 8], [9, 5]], [[8, 17], [0, 8]], [[0, 9], [8, 17]], [[0, 99]]),
]


def broken(*breaks):
    content = json.loads(squad(question()))
    content["data"][0]["paragraphs"][0]["sentence_breaks"] = breaks
    return json.dumps(content)


ERRORS = [
    ("checklist", CHECKLIST.replace("\ten", "\tde"), "no column 'en'; valid: de, sw"),
    ("checklist", CHECKLIST.replace("Answer", "Answr"), "'Pets' has 1 contexts, 1 questions and 0"),
    ("checklist", CHECKLIST.replace("\tmbwa\t\t\n", "\n"), ":6: 2 columns, expected 5"),
    ("glue-mnli", MNLI + "2\t3c\ta\n", ":4: 3 columns, expected 5 as in the header"),
    ("glue-mnli", MNLI + "2\t3c\ta\tb\tc\tneutral\n", ":4: 6 columns, expected 5"),
    ("glue-mnli", MNLI.replace("sentence1", "sentence_1"), "no column 'sentence1'; did you mean"),
    ("glue-mnli", MNLI + "2\t3c\ta\tb\tentailed\n", "unknown label 'entailed'; valid: contra"),
    ("glue-mnli", MNLI + "1\t3c\ta\tb\tneutral\n", r":4: id '1' is repeated; .*:3 \(number_ids"),
    ("glue-mnli", MNLI.splitlines()[0], "no row is left"),
    ("glue-mnli", MNLI.splitlines()[0] + "\n0\t1\ta\tb\t-", "excluded: {'no gold label"),
    ("xnli", XNLI, "no row in 'en'; valid: de, sw"),
    ("pawsx", PAWSX + "3\ta\tb\t2\n", "unknown label '2'; valid: 0, 1"),
    ("cosmosqa", COSMOS + 'q2,"cut off', r":4: not valid CSV, or truncated"),
    ("cosmosqa", COSMOS + "q2,c,q,a,b\n", ":4: 5 columns, expected 8"),
    ("hellaswag", jsonl(HELLASWAG)[:-20], ":1: not valid JSON, or truncated"),
    ("hellaswag", jsonl(HELLASWAG | {"endings": ["a", "b"]}), "the label is choice 4 of only 2"),
    ("hellaswag", jsonl(HELLASWAG | {"endings": "abcd"}), "'endings' holds"),
    ("hellaswag", jsonl(HELLASWAG | {"endings": [1, 2, 3, 4]}), "'endings' holds"),
    ("hellaswag", jsonl(HELLASWAG | {"ctx": None}), "column 'ctx' holds None, expected str"),
    ("hellaswag", jsonl(HELLASWAG, HELLASWAG | {"endings": ["a"] * 5, "ind": 9}),
        ":2: 5 choices, but 4 in the rows before"),
    ("hellaswag", "[1]\n", ":1: expected a JSON object, found list"),
    ("copa", jsonl(COPA, COPA), ":2: id '0' is repeated; first in .*:1 "),
    ("squad", squad(question())[:-30], "not valid JSON, or truncated: .* at line 1"),
    ("squad", json.dumps({"date": []}), "no column 'data'; did you mean 'date'"),
    ("squad", json.dumps({"data": []}), "no row is left"),
    ("squad", squad(question(), question()), "question 2: id 'q1' is repeated; .*question 1 "),
    ("squad", squad(question(start=3)), "answer 'Italy' is not at offset 3 but at 11"),
    ("squad", squad(question(start=-6)), "not at offset -6 but at 11"),
    ("squad", squad(question(text="Spain")), "not at offset 11, nor anywhere in the context"),
    ("squad", SPLIT, "differ in Unicode normalisation"),
    ("squad", squad(question(text="", start=0)), "answer is empty, .* the original release"),
    ("squad", squad(question(answers=[])), "0 answers and is_impossible None"),
    ("squad", squad(question(answers=[IN_ITALY], is_impossible=True)), "1 answers and is_imp"),
    ("squad", squad(question(start=True)), "'answer_start' holds True, expected int"),
    ("passages", squad(question()).replace("Where?", ""), "question 1: the question is empty"),
    *(("passages", broken(*breaks), f"paragraph 1: sentence_breaks {re.escape(str([*breaks]))}")
      for breaks in BREAKS),
    ("passages", broken([0, 4], [16, 17]), "question 1: the answer at 11 is in none"),
    ("tydiqa", squad(question("swahili-1-0")), "no question in english; valid: swahili"),
    ("tydiqa", squad(question("12")), "id '12' does not begin with a language"),
    ("mewslix", news(text=""), ":1, mention 1: the article has no text, .* get-mewsli-x.sh"),
    ("mewslix", news((24, 28, "Roma")), "mention 'Roma' is not at 24 to 28, .* has '.nRom'"),
    ("mewslix", news((-13, -9, "Roma")), "mention 'Roma' is not at -13 to -9"),
    ("mewslix", news((25, 25, "")), "mention '' is not at 25 to 25"),
    ("mewslix", news(sentence_spans=[]), "the mention at 25 to 29 is in no sentence"),
    ("mewslix", news(language="sw"), "no text in 'en'; valid: sw"),
    ("mewslix", news() + news()[:40], ":2: not valid JSON, or truncated"),
    ("mewslix", news() + news(), ":2, mention 1: id 'm1' is repeated; first in .*:1, mention 1 "),
    ("mewslix-pairs", jsonl(mention_pair()), "no text in 'en'; valid: sw"),
    ("mewslix-pairs", jsonl(mention_pair(article=ENGLISH, entity=ENTITY | {"entity_id": "Q9"})),
        ":1: the mention is of 'Q220', but the entity next to it is 'Q9'"),
    ("mewslix-entities", jsonl(ENTITY | {"description": " \n"}), ":1: the description is empty"),
    ("mewslix-entities", jsonl(ENTITY) + '{"entity_id": "Q1', ":2: not valid JSON, or truncated"),
    ("mewslix-entities", jsonl(ENTITY, ENTITY), ":2: id 'Q220' is repeated; first in .*:1 "),
    ("conllu", CONLLU + "3\tx\t_\tNO", ":12: 4 columns, expected the 10 of CoNLL-U"),
    ("conllu", ud((1, "a", "NOUN", 0), (3, "b", "NOUN", 1)), ":2: word 3, expected 2"),
    ("conllu", ud((1, "a", "NOMEN", 0)), ":1: unknown label 'NOMEN'; valid: ADJ, ADP"),
    ("conllu", ud(("x", "a", "NOUN", 0)), ":1: 'x' is not a word number"),
    ("conllu", ud(("9" * 5000, "a", "NOUN", 0)), "9' is not a word number"),
    ("conllu", ud(("1-2", "ab", "_", "_"), (1, "a", "NOUN", 0)), "fuses words 1 to 2, but"),
    ("conllu", "# text = a\n\n" + CONLLU, ":1: a sentence without words"),
    ("panx", PANX + "sw:Bonn\n", ":6: 'sw:Bonn', expected language:word<TAB>tag"),
    ("panx", PANX + "Bonn\tO\n", ":6: .*expected language:word"),
    ("panx", PANX.replace("sw:Anton\tB-PER", "sw:Anton"), ":1: 'sw:Anton', expected"),
    ("panx", PANX.replace("sw:B", "fr:B"), ":4: the file states language 'fr', expected 'sw'"),
    ("conllu", CONLLU.replace("= s1", "= es-ud-test_1"), ":1: the file states language 'es'"),
    ("squad", squad(question("arabic-7-0")), "question 1: the file states language 'ar', exp"),
    ("bucc", {"d.de": "fr-1\ta\n", "d.en": "en-1\tb\n", "d.gold": "fr-1\ten-1\n"},
        r"d\.de:1: the file states language 'fr', expected 'de'"),
    ("anli", '{"label": "c", "label": "e"}', ":1: the key 'label' is given twice"),
    ("squad", '{"data": [], "data": []}', "the key 'data' is given twice"),
    ("glue-mnli", MNLI.replace("\n", "\r"), ":1: only CR ends lines; convert"),
    ("text", "one\rtwo\r", ":1: only CR ends lines; convert"),
    ("anli", jsonl(ANLI | {"label": " "}), ":1: column 'label' is empty; expected a label"),
    ("copa", jsonl(COPA | {"label": float("nan")}), "'label' holds nan, expected"),
    ("anli", jsonl(ANLI | {"label": "c", "context": None}), "'context' holds None, expected str"),
    ("panx", PANX + "sw:Bonn\tB-CITY\n", ":6: unknown label 'B-CITY'; valid: B-LOC"),
    ("ccgbank", CCG[:-5], ":2: not a complete CCG tree"),
    ("ccgbank", CCG[:60], ":2: not a complete CCG tree"),
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
    language = "sw" if format == "panx" else "en"
    if "d.de" in text:
        language = "de"
    with pytest.raises(InputError, match=message) as error:
        load(format, text, language)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("format", [f for f, (text, _) in READS.items() if isinstance(text, str)])
def test_gzip_is_read_unless_truncated(load, format):
    text, rows = READS[format]
    packed = gzip.compress(text.encode())
    assert load(format, {"data.gz": packed}, "sw").rows == rows
    for cut in (packed[:-6], b"no gzip"):
        with pytest.raises(InputError, match=r"data\.gz: not valid gzip, or truncated: "):
            load(format, {"data.gz": cut}, "sw")


def test_unicode_normalisation_is_kept(load):
    for form in ("NFC", "NFD"):
        row = ANLI | {"context": unicodedata.normalize(form, "é"), "label": "c"}
        assert load("anli", jsonl(row)).rows[0]["text_a"] == row["context"]


def test_i_without_b_is_a_tag_like_any_other(load):
    assert load("panx", "de:Bonn\tI-LOC\n", "de").rows[0]["tags"] == ["I-LOC"]


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


def test_squad_files_must_be_of_their_version(load):
    for stated, version in (("v2.0", "2.0"), ("1.1", "1.1")):
        text = json.dumps(json.loads(squad(question())) | {"version": stated})
        assert load("squad", text, version=version).rows
        with pytest.raises(InputError, match=f"version {version}, expected version 3"):
            load("squad", text, version="3")
    assert load("squad", squad(question()), version="1.1").rows, "the file states none"


def test_white_space_around_words_and_tags_does_not_count(load):
    [row] = load("panx", "de: Anton \t B-PER \r\nde:http://x O\n \n", "de").rows
    assert (row["words"], row["tags"]) == (["Anton", "http://x"], ["B-PER", "O"])


def test_column_that_is_given_twice_is_an_error(load):
    head, row = MNLI.splitlines()[:2]
    twice = f"{head}\tgold_label\n{row}\tneutral\n"
    with pytest.raises(InputError, match=r":1: column 'gold_label' is given twice"):
        load("glue-mnli", twice)
