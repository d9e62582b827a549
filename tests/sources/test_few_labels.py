"""Tasks in languages with few labels, on slices of their releases and on test repositories.

The counts are in the table of the README.md in the folder XSTILTS_REAL_DATA.
"""

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests import CONFIG, shipped
from tests.hub import catalogue
from xstilts.config.project import assemble, read_definitions
from xstilts.families import family
from xstilts.grid.grid import Grid
from xstilts.languages.codes import fill
from xstilts.sources import hub
from xstilts.sources.files import locate
from xstilts.sources.words import UPOS

ROOT = Path(os.environ.get("XSTILTS_REAL_DATA", "absent"))
real = pytest.mark.skipif(not ROOT.is_dir(), reason="XSTILTS_REAL_DATA is not set")
TASKS = read_definitions([CONFIG]).tasks
SIB = (
    "ace_arab ace amh ar aym bod de en fon fr grn ha hi ja khm my qu ru sat es sw tgk uig yo zh"
).split()
MASAKHANE = "bam bbj ha luo sw wo yo zul".split()
AFRIXNLI = TASKS["afrixnli"].languages
INJONGO = "amh en ewe ha lin sw wo yo zul".split()

# task, split, languages, rows of a language; others are in OTHER
ROWS = [
    ("sib200", "train", ["en"], 701),
    ("sib200", "validation", SIB, 99),
    ("sib200", "test", SIB, 204),
    ("masakhaner", "test", MASAKHANE, 150),
    ("masakhapos", "test", MASAKHANE, 150),
    ("americasnli", "test", TASKS["americasnli"].languages, 198),
    ("afrixnli", "test", AFRIXNLI, 198),
    ("injongointent", "train", ["en"], 890),
    ("injongointent", "test", INJONGO, 214),
    ("injongoslots", "train", ["en"], 890),
    ("injongoslots", "test", INJONGO, 214),
    ("nusax", "train", ["en", "id"], 350),
    ("nusax", "validation", TASKS["nusax"].languages, 60),
    ("nusax", "test", TASKS["nusax"].languages, 200),
    *((f"xnli_{code}", "test", [language], 501) for code, language in
      {"ko": "ko", "hr": "hrv", "my": "my", "eu": "eu"}.items()),
]  # fmt: skip
OTHER = {
    ("americasnli", "oto"): 197,
    ("injongointent", "en"): 208,
    ("injongointent", "wo"): 213,
    ("injongoslots", "en"): 207,  # and one with two slots in a word
    ("injongoslots", "lin"): 213,
    ("injongoslots", "wo"): 206,
}


@cache
def load(task: str, split: str, language: str) -> list[dict]:
    spec = TASKS[task].splits[split]
    paths = locate(spec.path, ROOT, spec.code(language))
    return hub.read(spec, family(TASKS[task].family).hub_items, paths, language).rows


@real
@pytest.mark.parametrize(("task", "split", "languages", "count"), ROWS)
def test_slices_have_their_rows_and_labels(task, split, languages, count):
    for language in languages:
        rows = load(task, split, language)
        expected = OTHER.get((task, language), count) if split == "test" else count
        assert len(rows) == len({row["id"] for row in rows}) == expected, language
        labels = {label for row in rows for label in row.get("tags", [row.get("label")])}
        assert labels <= set(TASKS[task].labels or labels)


@real
@pytest.mark.parametrize(
    ("task", "languages"), [("sib200", SIB), ("nusax", TASKS["nusax"].languages)]
)
def test_parallel_rows_have_equal_labels(task, languages):
    keys = {tuple((r["id"], r["label"]) for r in load(task, "test", code)) for code in languages}
    assert len(keys) == 1


@real
def test_labels_of_equal_ids_agree_in_americasnli():
    labels = [
        {row["id"]: row["label"] for row in load("americasnli", "test", code)}
        for code in TASKS["americasnli"].languages
    ]
    assert all(labels[0].get(id, label) == label for own in labels for id, label in own.items())


@real
@pytest.mark.parametrize("task", ["xnli_ko", "xnli_hr", "xnli_my", "xnli_eu"])
def test_later_languages_have_the_labels_of_xnli(task):
    from xstilts.sources.files import read

    english = read("xnli", [ROOT / "xnli/XNLI-1.0/xnli.test.tsv"], "en").rows
    rows = load(task, "test", TASKS[task].languages[0])
    assert [row["label"] for row in rows] == [row["label"] for row in english]
    assert not {row["text_a"] for row in rows} & {row["text_a"] for row in english}


@real
def test_quotation_marks_of_texts_are_kept():
    texts = [row["text_a"] for row in load("sib200", "test", "en")]
    assert sum('"' in text for text in texts) == 6
    assert not any('""' in text for text in texts)  # the quotation marks of CSV
    quoted = [row["text_a"] for row in load("afrixnli", "test", "en")]
    assert not any(text.startswith('"') and text.endswith('"') for text in quoted)
    assert any("," in text for text in quoted)


@real
def test_dates_are_no_entities_of_masakhaner():
    tags = Counter(tag for row in load("masakhaner", "test", "sw") for tag in row["tags"])
    assert tags["O"] == 3716 + 50 + 51  # with B-DATE and I-DATE
    assert (tags["B-PER"], tags["B-ORG"], tags["I-LOC"]) == (110, 77, 41)


@real
def test_tags_of_masakhapos_are_upos():
    tags = {
        code: {tag for row in load("masakhapos", "test", code) for tag in row["tags"]}
        for code in MASAKHANE
    }
    assert set().union(*tags.values()) == set(UPOS)
    assert all(own < set(UPOS) for own in tags.values())


@real
def test_intents_repeat_ids_and_are_numbered():
    for code in INJONGO:
        rows = load("injongointent", "test", code)
        assert rows[-1]["id"] == str(len(rows) - 1)
        assert len({row["label"] for row in rows}) == 40


@real
@pytest.mark.parametrize("code", ["amh", "yo"])
def test_offsets_of_slots_count_characters(code):
    path = ROOT / f"injongointent/InjongoIntent/{TASKS['injongoslots'].splits['test'].code(code)}"
    records = map(json.loads, (path / "test.jsonl").read_text(encoding="utf-8").splitlines())
    slots = [
        f"{span['label']}: {record['text'][span['start_byte'] : span['limit_byte']]}"
        in record["target"]
        for record in records
        for span in record["spans"]
    ]
    assert len(slots) > 100
    assert all(slots)


@pytest.mark.parametrize(
    ("task", "language", "expected"),
    [
        ("sib200", "de", {"text_a": "red", "label": "travel"}),
        ("americasnli", "qu", {"text_b": "a red", "label": "entailment"}),
        ("afrixnli", "sw", {"text_b": "a red", "label": "entailment"}),
        ("injongointent", "sw", {"text_a": "red red", "label": "alarm"}),
        ("injongoslots", "sw", {"words": ["red", "red"], "tags": ["B-TIME", "O"]}),
        ("nusax", "ace", {"text_a": "red", "label": "negative"}),
        ("xnli_eu", "eu", {"text_b": "a red", "label": "entailment"}),
        ("belebele", "de", {"choices": ["red", "blue", "green", "big"], "label": 0}),
    ],
)
def test_hub_entries_read_their_repositories(task, language, expected, tmp_path):
    entry = TASKS[task]
    spec = entry.hub.get("test", entry.splits["test"])
    config = fill(spec.config, spec.code(language))
    path = tmp_path / "test.parquet"
    name = f"{config}/{spec.split}-00000-of-00001.parquet"
    path.write_bytes(catalogue.repositories()[spec.locked_name][name])
    row, *others = hub.read(spec, family(entry.family).hub_items, [path], language).rows
    assert row.items() >= expected.items()
    assert len(others) == catalogue.TEST - 1


@pytest.mark.parametrize(
    "targets",
    [
        ["xnli", "americasnli", "afrixnli", "xnli_my"],
        ["panx", "masakhaner"],
        ["udpos", "masakhapos"],
    ],
)
def test_targets_share_trainings_with_xtreme(targets):
    study = {
        "study": "s",
        "models": ["xlmr-base"],
        "recipes": ["none"],
        "targets": targets,
        "seeds": [1],
        "hyperparameters": "xtreme",
    }
    checkpoints = Grid(assemble(study, shipped())).artefacts().checkpoints
    assert len(checkpoints) == 2  # the pretrained model, and one training
