"""A test repository for each one in `config/tasks`: real columns, few rows."""

import gzip
import json
from collections.abc import Callable, Sequence

from tests.hub.repositories import (
    WORDS,
    card,
    dataset,
    hellaswag,
    nli,
    pairs,
    parquet,
    pawsx,
    squad,
    wikiann,
    xcopa,
)
from tests.hub.server import Hub

LANGUAGES = ("de", "en")
TRAIN, TEST = 8, 3


def snli(count: int) -> list[dict]:
    return [*nli(count), {"premise": "a", "hypothesis": "b", "label": -1}]


def anli(count: int, name: str) -> list[dict]:
    return [row | {"uid": f"{name}-{n}", "reason": ""} for n, row in enumerate(nli(count))]


def numbered(rows: Sequence[dict]) -> list[dict]:
    return [row | {"idx": n} for n, row in enumerate(rows)]


def squad2(count: int, prefix: str) -> list[dict]:
    nothing = {"text": [], "answer_start": []}
    rows = squad(count, prefix)
    return [*rows, {**rows[0], "id": f"{prefix}-", "answers": nothing}]


def cosmos(count: int) -> list[dict]:
    answers = {f"answer{n}": WORDS[n] for n in range(4)}
    rows = range(count)
    return [
        {"id": f"q{n}", "context": "a house", "question": "why?", **answers, "label": n % 4}
        for n in rows
    ]


def csqa(count: int) -> list[dict]:
    choices = {"label": list("ABCDE"), "text": WORDS[:5]}
    return [
        {
            "id": f"q{n}",
            "question": "where?",
            "question_concept": "bird",
            "choices": choices,
            "answerKey": "ABCDE"[n % 5],
        }
        for n in range(count)
    ]


def siqa(count: int) -> list[dict]:
    answers = {f"answer{letter}": WORDS[n] for n, letter in enumerate("ABC")}
    return [
        {"context": "a bird", "question": "why?", **answers, "label": str(n % 3 + 1)}
        for n in range(count)
    ]


def treebank(count: int, number: bool) -> list[dict]:
    """Return sentences of three surface words; the first is fused from two."""
    return [
        {
            "sent_id": f"s{n}",
            "text": f"im {WORDS[n]} sings",
            "tokens": ["in", "dem", WORDS[n], "sings"],
            "upos": [2, 8, 0, 16] if number else ["ADP", "DET", "NOUN", "VERB"],
            "head": ["3", "3", "4", "0"],
            "mwt": [{"id": "1-2", "form": "im", "feats": None, "misc": None}],
        }
        for n in range(count)
    ]


def tydiqa(count: int) -> list[dict]:
    return [row for name in ("english", "finnish") for row in squad(count, f"{name}-")]


def bucc(count: int) -> list[dict]:
    """Return two pools in one row; sentences with an even number, from 1, are pairs."""
    sides = [[f"{side} {WORDS[n]}" for n in range(count)] for side in ("vier", "four")]
    gold = [[n, n] for n in range(2, count + 1, 2)]
    return [{"sentence1": sides[0], "sentence2": sides[1], "gold": gold}]


def tatoeba(count: int) -> list[dict]:
    return [
        {"sentence1": f"ein {WORDS[n]}", "sentence2": f"a {WORDS[n]}", "lang": "deu-eng"}
        for n in range(count)
    ]


def topics(count: int) -> list[dict]:
    return [
        {"index_id": n, "category": "sports" if n % 2 else "travel", "text": WORDS[n]}
        for n in range(count)
    ]


def intents(count: int) -> list[dict]:
    return [
        {
            "intent": "alarm",
            "text": f"red {WORDS[n]}",
            "spans": [{"start_byte": 0, "limit_byte": 3, "label": "TIME"}],
            "target": "TIME: red",
            "example_id": "train-0",
        }
        for n in range(count)
    ]


def sentiments(count: int) -> list[dict]:
    return [{"id": str(n), "text": WORDS[n], "label": n % 3} for n in range(count)]


def belebele(count: int) -> list[dict]:
    answers = {f"mc_answer{n + 1}": WORDS[n] for n in range(4)}
    return [
        {
            "link": "l",
            "question_number": 1,
            "flores_passage": "a bird",
            "question": "why?",
            **answers,
            "correct_answer_num": str(n % 4 + 1),
            "dialect": "deu_Latn",
            "ds": "2023-05-03",
        }
        for n in range(count)
    ]


def wikipedia(count: int) -> list[dict]:
    text = "\n\n".join(f"the {word} house" for word in WORDS[:count])
    return [{"id": "1", "url": "u", "title": "t", "text": text}]


def _split(rows: Callable, **sizes: int) -> dict[str, list[dict]]:
    return {name: rows(size) for name, size in sizes.items()}


def _named(rows: Callable, **sizes: int) -> dict[str, list[dict]]:
    return {name: rows(size, name) for name, size in sizes.items()}


def _each(template: str, splits: Callable[[str], dict]) -> dict[str, dict]:
    return {template.format(code): splits(code) for code in LANGUAGES}


def _files(splits: dict[str, list[dict]]) -> dict[str, bytes]:
    return {path: parquet(rows) for path, rows in splits.items()}


def repositories() -> dict[str, dict[str, bytes]]:
    """Return the files of each repository, or repository@branch."""
    usual = {"train": TRAIN, "validation": TEST, "test": TEST}
    rounds = {f"{split}_r{n}": size for split, size in usual.items() for n in (1, 2, 3)}
    rounds = {name.replace("validation", "dev"): size for name, size in rounds.items()}
    banks = [f"parquet/{bank}" for bank in ("en_ewt", "en_gum", "de_gsd", "grc_proiel")]
    made = {
        "nyu-mll/glue": {
            "mnli": {
                "train": numbered(nli(TRAIN)),
                "validation_matched": numbered(nli(TEST)),
                "test_matched": numbered(nli(TEST)),
            },
            "qqp": {
                split: numbered(pairs(size, 2, "question1", "question2"))
                for split, size in usual.items()
            },
        },
        "stanfordnlp/snli": {"plain_text": _split(snli, **usual)},
        "facebook/anli": {"plain_text": _named(anli, **rounds)},
        "rajpurkar/squad": {"plain_text": _named(squad, train=TRAIN, validation=TEST)},
        "rajpurkar/squad_v2": {"squad_v2": _named(squad2, train=TRAIN, validation=TEST)},
        "Rowan/hellaswag": {"default": _split(hellaswag, **usual)},
        "tau/commonsense_qa": {"default": _split(csqa, **usual)},
        "lighteval/siqa": {"default": _split(siqa, train=TRAIN, validation=TEST)},
        "aps/super_glue": {"copa": _split(xcopa, **usual)},
        "facebook/xnli": _each("{}", lambda code: _split(nli, **usual)),
        "google-research-datasets/paws-x": _each("{}", lambda code: _split(pawsx, **usual)),
        "unimelb-nlp/wikiann": _each(
            "{}", lambda code: {split: wikiann(size, code) for split, size in usual.items()}
        ),
        "google/xquad": _each("xquad.{}", lambda code: {"validation": squad(TEST, code)}),
        "google/xtreme": {"tydiqa": _split(tydiqa, train=TRAIN, validation=TEST)},
        "mteb/BUCC": _each("{}-en", lambda code: {"test": bucc(TRAIN)}),
        "cambridgeltl/xcopa": {code: _split(xcopa, validation=TEST, test=TEST) for code in ("et",)},
    }
    two = {"validation": TEST, "test": TEST}
    flores = ("deu_Latn", "eng_Latn", "aym_Latn")
    made |= {
        "Davlan/sib200": {code: _split(topics, **usual) for code in flores},
        "nala-cub/americas_nli": {code: _split(nli, **two) for code in ("aym", "gn", "quy")},
        "masakhane/afrixnli": {code: _split(nli, **two) for code in ("eng", "swa")},
        "masakhane/InjongoIntent": {code: _split(intents, **usual) for code in ("eng", "swa")},
        "mteb/NusaX-senti": {code: _split(sentiments, **usual) for code in ("eng", "ace")},
        "HiTZ/xnli-eu": {"eu": _split(nli, **usual)},
        "facebook/belebele": {code: {"test": belebele(TEST)} for code in flores},
    }
    lines = "".join(json.dumps(row) + "\n" for row in tatoeba(TRAIN))
    paths = {"deu-eng": {"test": "test/deu-eng.jsonl.gz"}}
    return {name: dataset(splits) for name, splits in made.items()} | {
        "allenai/cosmos_qa@refs/convert/parquet": _files(
            {f"default/{split}/0000.parquet": cosmos(size) for split, size in usual.items()}
        ),
        "facebook/mlqa@refs/convert/parquet": _files(
            {f"mlqa.{c}.{c}/test/0000.parquet": squad(TEST, c) for c in LANGUAGES}
        ),
        "commul/universal_dependencies": _files(
            {
                f"{bank}/{split}.parquet": treebank(size + banks.index(bank), "ewt" in bank)
                for bank in banks
                for split, size in (("train", TRAIN), ("dev", TEST), ("test", TEST))
            }
        ),
        "mteb/tatoeba-bitext-mining": {
            "README.md": card(paths),
            "test/deu-eng.jsonl.gz": gzip.compress(lines.encode()),
        },
        "wikimedia/wikipedia": _files(
            {
                f"20231101.{code}/train-0000{n}-of-00002.parquet": wikipedia(TRAIN + n)
                for code in LANGUAGES
                for n in range(2)
            }
        ),
    }


def add(hub: Hub, stated: dict[str, str]) -> None:
    """Add every repository to a hub; those in `stated` have that commit."""
    for name, files in repositories().items():
        repository, _, branch = name.partition("@")
        hub.add("datasets", repository, files, branch or "main", stated.get(repository, ""))
