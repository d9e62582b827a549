"""The readers on slices of the real releases: set XSTILTS_REAL_DATA to their folder.

The counts are in the table of the folder's README.md.
"""

import os
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from xstilts.sources.files import Table, locate, read

ROOT = Path(os.environ.get("XSTILTS_REAL_DATA", "absent"))
pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="XSTILTS_REAL_DATA is not set")

XNLI = "ar bg de el en es fr hi ru sw th tr ur vi zh"
PAWSX = "de en es fr ja ko zh"
XCOPA = "et ht id it qu sw ta th tr vi zh"
XQUAD = "ar de el en es hi ro ru th tr vi zh"
TYDIQA = "ar en fi id ko ru sw te"
MLQA_DEV = "mlqa/MLQA_V1/dev/dev-context-{language}-question-{language}.json"
TYDIQA_TRAIN = "tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.{language}.train.json"
TYDIQA_DEV = "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.{language}.dev.json"
CSQA_TEST = "commonsenseqa/test_rand_split_no_answers.jsonl"
PANX_SMALL = "gu jv my pa qu yo"
PANX = (
    "af ar az bg bn de el en es et eu fa fi fr he hi hu id it ja ka kk ko lt ml mr ms nl pl pt ro"
    " ru sw ta te tl tr uk ur vi zh"
)
XTREME_TATOEBA = (
    "af ar bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr nl pt ru sw ta te th"
    " tl tr ur vi zh"
)
TATOEBA_SIZES = {"jv": 205, "te": 234, "ta": 307, "sw": 390, "th": 548, "kk": 575, "ml": 687}
TATOEBA_SIZES |= {"ka": 746}
UD = "af ar de el en es et eu fa fi fr he hi id ja kk ko mr ru ta te th tl tr ur vi yo zh"
TEXT = "af ar de el en es et eu fa fi fr he hi id ja kk ko ru te th tr ur vi zh"

# format, path template, languages, rows used plus rows excluded, options
SPLITS = [
    ("glue-mnli", "mnli/glue/MNLI/train.tsv", "en", 2000, {}),
    ("glue-mnli", "mnli/glue/MNLI/dev_matched.tsv", "en", 500, {}),
    ("glue-mnli", "mnli/glue/MNLI/dev_mismatched.tsv", "en", 500, {}),
    ("nli-jsonl", "mnli/multinli_1.0/multinli_1.0_train.jsonl", "en", 2000, {}),
    ("nli-jsonl", "mnli/multinli_1.0/multinli_1.0_dev_*.jsonl", "en", 1000, {}),
    ("anli", "anli/anli_v1.0/R[123]/train.jsonl", "en", 1500, {}),
    ("anli", "anli/anli_v1.0/R[123]/dev.jsonl", "en", 900, {}),
    ("squad", "squad/train-v1.1.json", "en", 2069, {}),
    ("squad", "squad/dev-v1.1.json", "en", 591, {}),
    ("squad", "squad/train-v2.0.json", "en", 1989, {}),
    ("squad", "squad/dev-v2.0.json", "en", 542, {}),
    ("hellaswag", "hellaswag/hellaswag_train.jsonl", "en", 2000, {}),
    ("hellaswag", "hellaswag/hellaswag_val.jsonl", "en", 500, {}),
    ("cosmosqa", "cosmosqa/train.csv", "en", 2000, {}),
    ("cosmosqa", "cosmosqa/valid.csv", "en", 500, {}),
    ("cosmosqa", "cosmosqa/train_sample.csv", "en", 10, {}),
    ("commonsenseqa", "commonsenseqa/train_rand_split.jsonl", "en", 2000, {}),
    ("commonsenseqa", "commonsenseqa/dev_rand_split.jsonl", "en", 500, {}),
    ("commonsenseqa", CSQA_TEST, "en", 200, {"labelled": False}),
    ("ccgbank", "ccg/ud2ccg/*-train.auto", "en", 1700, {}),
    ("ccgbank", "ccg/ud2ccg/*-dev.auto", "en", 500, {}),
    ("siqa", "siqa/socialIQa_v1.4_trn.jsonl", "en", 1200, {}),
    ("siqa", "siqa/socialIQa_v1.4_dev.jsonl", "en", 500, {}),
    ("copa", "xcopa/copa/train-{language}.jsonl", "en", 400, {}),
    ("copa", "xcopa/copa/val-{language}.jsonl", "en", 100, {}),
    ("copa", "xcopa/data/{language}/val.{language}.jsonl", XCOPA, 100, {}),
    ("copa", "xcopa/data/{language}/test.{language}.jsonl", XCOPA, 300, {}),
    ("xnli", "xnli/XNLI-1.0/xnli.dev.tsv", XNLI, 312, {}),
    ("xnli", "xnli/XNLI-1.0/xnli.test.tsv", XNLI, 501, {}),
    ("pawsx", "pawsx/x-final/{language}/train.tsv", "en", 1200, {}),
    ("pawsx", "pawsx/x-final/{language}/dev_2k.tsv", PAWSX, 500, {}),
    ("pawsx", "pawsx/x-final/{language}/test_2k.tsv", "de zh", 500, {}),
    ("panx", "panx/panx_dataset/{language}/train", "en", 2000, {}),
    ("panx", "panx/panx_dataset/{language}/dev", PANX, 200, {}),
    ("panx", "panx/panx_dataset/{language}/test", PANX, 300, {}),
    ("panx", "panx/panx_dataset/{language}/dev", PANX_SMALL, 40, {}),
    ("panx", "panx/panx_dataset/{language}/test", PANX_SMALL, 40, {}),
    ("squad", "xquad/xquad.{language}.json", XQUAD, 1013, {}),
    ("squad", "lareqa/xquad-r/{language}.json", "ar de el en es hi ru th tr vi zh", 322, {}),
    ("squad", MLQA_DEV, "ar de en es vi zh", 150, {}),
    ("squad", MLQA_DEV, "hi", 151, {}),
    ("squad", MLQA_DEV.replace("dev", "test"), "ar de en es hi vi zh", 200, {}),
    # XTREME's preprocessing cut the ids of train down to a number and blanked the answers of dev.
    ("squad", TYDIQA_TRAIN, "en", 1500, {"number_ids": True}),
    ("squad", TYDIQA_TRAIN, "ko sw", 200, {"number_ids": True}),
    ("tydiqa", TYDIQA_DEV, TYDIQA, 200, {"labelled": False}),
    ("tydiqa", TYDIQA_DEV, "bn", 79, {"labelled": False}),
    ("bucc", "bucc2018/{language}-en.dev.*", "zh", 8624 + 13589, {}),
]


@cache  # one file has many languages
def load(format: str, template: str, language: str, **options) -> Table:
    return read(format, locate(template, ROOT, language), language, **options)


@pytest.mark.parametrize(("format", "template", "languages", "count", "options"), SPLITS)
def test_every_file_has_the_rows_of_the_table(format, template, languages, count, options):
    for language in languages.split():
        table = load(format, template, language, **options)
        assert len(table.rows) + sum(table.excluded.values()) == count, language
        assert len({row["id"] for row in table.rows}) == len(table.rows)
        assert format == "pawsx" or not table.excluded


def test_every_file_is_among_the_splits():
    folders = "mnli anli squad hellaswag cosmosqa commonsenseqa ccg siqa xcopa xnli pawsx panx"
    folders += " xquad lareqa mlqa tydiqa bucc2018"
    there = {path for folder in folders.split() for path in (ROOT / folder).rglob("*.*")}
    there = {path for path in there if path.is_file()}
    crossed = {
        path
        for path in (ROOT / "mlqa/MLQA_V1/dev").iterdir()
        if len(set(re.findall(r"(?:context|question)-(..)", path.name))) == 2
    }
    read_here = {
        path
        for _, template, languages, _, _ in SPLITS
        for language in languages.split()
        for path in locate(template, ROOT, language)
    }
    assert len(crossed) == 42
    assert there - read_here == crossed
    for path in crossed:  # the table has 25, some files 26
        questions = path.read_text(encoding="utf-8").count('"question": ')
        assert len(read("squad", [path], "en").rows) == questions


def test_placeholders_in_pawsx():
    def excluded(language, split):
        table = load("pawsx", f"pawsx/x-final/{{language}}/{split}.tsv", language)
        return sum(table.excluded.values())

    dev = {language: excluded(language, "dev_2k") for language in PAWSX.split()}
    assert dev == {"de": 16, "en": 0, "es": 9, "fr": 2, "ja": 7, "ko": 11, "zh": 5}
    assert [excluded(language, "test_2k") for language in ("de", "zh")] == [4, 7]


def test_xnli_rows_are_parallel():
    tables = [load("xnli", "xnli/XNLI-1.0/xnli.test.tsv", language) for language in XNLI.split()]
    keys = {tuple((row["id"], row["label"]) for row in table.rows) for table in tables}
    assert len(keys) == 1
    assert set(Counter(row["label"] for row in tables[0].rows).values()) == {167}


def test_impossible_questions_of_squad2():
    rows = load("squad", "squad/dev-v2.0.json", "en").rows
    assert sum(not row["answers"] for row in rows) == 267


def test_tatoeba_languages():
    for language in XTREME_TATOEBA.split():
        rows = load("tatoeba", "tatoeba/v1/tatoeba.{iso3}-eng.*", language).rows
        assert len(rows) == 2 * TATOEBA_SIZES.get(language, 1000)
    english = locate("tatoeba/v1/*.eng", ROOT, "en")
    assert len(english) == 112
    for path in english:
        code = path.stem.split(".")[1].removesuffix("-eng")
        rows = load("tatoeba", "tatoeba/v1/tatoeba.{language}-eng.*", code).rows
        assert Counter(row["side"] for row in rows) == dict.fromkeys(
            ("foreign", "english"), len(rows) // 2
        )


def test_bucc_gold_pairs():
    rows = load("bucc", "bucc2018/{language}-en.dev.*", "zh").rows
    matches = {row["id"]: row["match"] for row in rows if row["match"]}
    assert len(matches) == 2 * 257
    assert all(matches[match] == id for id, match in matches.items())


def test_checklists_are_made_in_fifty_languages():
    [path] = locate("multichecklist/checklist_templates.tsv", ROOT, "en")
    header = path.read_text(encoding="utf-8").split("\n")[0].split("\t")[1:]
    codes = {column for column in header if not column.endswith("-placeholders")}
    assert len(codes) == 50
    tables = {code: read("checklist", [path], code, size=20) for code in sorted(codes)}
    assert {len(t.rows) + sum(t.excluded.values()) for t in tables.values()} == {240}
    some = {code for code, table in tables.items() if table.excluded}
    assert some == {"gu", "qu", "tl"}
    assert not tables["en"].excluded
    ids = [row["id"] for row in tables["en"].rows]
    assert ids == [row["id"] for row in tables["de"].rows]
    row = next(row for row in tables["de"].rows if row["id"].startswith("Animal vs Vehicle-0-0"))
    assert row["question"].startswith("Was für ein Tier hat ")


def test_plain_text():
    tables = [load("text", "plaintext/{language}.txt", language) for language in TEXT.split()]
    assert len(locate("plaintext/*.txt", ROOT, "")) == len(tables) == 24
    assert sum(len(table.rows) for table in tables) == 26_570
    assert not any(table.excluded for table in tables)


@pytest.mark.slow
def test_treebanks():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    counts = {
        (name, split): int(count)
        for name, sentences in re.findall(r"^\| (UD_\S+) \|.*\| ([^|]*) \|$", readme, re.M)
        for split, count in re.findall(r"(train|dev|test) (\d+)", sentences)
    }
    found = {}
    for language in UD.split():
        for path in locate("ud/UD_*/{language}_*.conllu", ROOT, language):
            table = read("conllu", [path], language)
            split = path.stem.rpartition("-")[2]
            found[path.parent.name, split] = len(table.rows) + sum(table.excluded.values())
            assert not table.excluded
    assert found == counts


def xtreme_sentences(path: Path) -> dict[tuple, list]:
    blocks = path.read_text(encoding="utf-8").strip("\n").split("\n\n")
    sentences = [[line.split("\t") for line in block.split("\n")] for block in blocks]
    return {tuple(w for w, *_ in s): [tag for _, *tags in s for tag in tags] for s in sentences}


def test_surface_words_are_those_of_xtreme():
    """XTREME's files hold an older release of UD: some tags were corrected since."""
    same, agreed, total = 0, 0, 0
    for language in ["de", "el", "fr", "he", "mr", "ta"]:  # languages with many fused words
        expected = xtreme_sentences(ROOT / f"xtreme/udpos/dev-{language}.tsv")
        table = load("conllu", "ud/UD_*/{language}_*-ud-dev.conllu", language)
        for row in table.rows:
            tags = expected.get(tuple(row["words"]))
            if tags:
                same += 1
                agreed += sum(a == b for a, b in zip(tags, row["tags"], strict=True))
                total += len(tags)
    assert same > 450
    assert agreed / total > 0.97
