"""XTREME's prediction files: its mock submission, and export -> score-files = score.json."""

import json
import os
from pathlib import Path

import pytest

from tests.sources.samples import COPA, jsonl, question, squad
from tests.tiny_project import make_files_grid
from xstilts import cli, store
from xstilts.errors import InputError
from xstilts.exchange import imported
from xstilts.families import mine
from xstilts.report.view import StudyView
from xstilts.stages import prepare
from xstilts.xtreme import FORMATS, export, read_back, score_files

MOCK = Path(os.environ.get("XSTILTS_REAL_DATA", "absent")) / "xtreme_mock_test_data"
OFFICIAL = {  # averages that XTREME's evaluate_test.py expects of its mock submission
    "pawsx": {"accuracy": 51.42857142857143},
    "xnli": {"accuracy": 30.666666666666668},
    "tatoeba": {"accuracy": 53.611111111111114},
    "panx": {"f1": 57.50793650793652},
    "udpos": {"f1": 70.21746048354693},
    "bucc2018": {"f1": 55.0},
    "xquad": {"exact_match": 77.27272727272727, "f1": 79.9586776859504},
    "mlqa": {"exact_match": 57.142857142857146, "f1": 81.76870748299321},
    "tydiqa": {"exact_match": 88.88888888888889, "f1": 97.22222222222223},
    "mewslix": {"map@20": 14.39025156130419},
}


@pytest.mark.skipif(not MOCK.is_dir(), reason="XSTILTS_REAL_DATA is not set")
@pytest.mark.parametrize("task", OFFICIAL)
def test_official_mock_submission_has_its_scores(task):
    files = sorted((MOCK / "predictions" / task).iterdir())
    scores = [
        score_files(task, file.stem.removeprefix("test-"), file, MOCK / "labels" / task / file.name)
        for file in files
    ]
    for name, expected in OFFICIAL[task].items():
        assert sum(s[name] for s in scores) / len(scores) == pytest.approx(expected, abs=1e-6)


# a study of XTREME's tasks, of the lab's examples

QA = {"encode": {"max_length": 48, "max_question_length": 20, "stride": 4}}
KINDS = {
    "xnli": ("classify", "nli", ["accuracy"], {}),
    "udpos": ("tag", "wordclass", ["pos_f1"], {"encode": {"max_length": 8}}),  # in windows
    "panx": ("tag", "entities", ["f1", "precision", "recall"], {}),
    "xquad": ("answer", "reading", ["f1", "exact_match"], QA),
    "mlqa": ("answer", "reading", ["mlqa_f1", "mlqa_exact_match"], {**QA, "languages": ["en"]}),
    "tydiqa": ("answer", "reading", ["f1", "exact_match"], {**QA, "languages": ["xa"]}),
}
NAMES = {"pos_f1": "f1", "mlqa_f1": "f1", "mlqa_exact_match": "exact_match"}


def task_of(family: str, splits: dict, metrics: list[str], **others) -> dict:
    return {
        "family": family,
        "roles": ["target"],
        "languages": ["en", "xa"],
        "splits": splits,
        "metrics": metrics,
        "encode": {"max_length": 48},
        **others,
    }


def release(folder: Path) -> None:
    """Write a PAWS-X with a placeholder in two rows, an XCOPA, a Tatoeba, and a BUCC."""
    for language in ("en", "xa"):
        lines = ["id\tsentence1\tsentence2\tlabel"]
        for n in range(8):
            text = "NS" if language == "xa" and n in (0, 5) else f"text {n}"
            lines.append(f"{n + 1}\t{text}\tother {n}\t{n % 2}")
        (folder / f"pawsx-{language}.tsv").write_text("\n".join(lines) + "\n")
        rows = [COPA | {"idx": n, "label": n % 2, "premise": f"text {n}"} for n in range(8)]
        (folder / f"copa-{language}.jsonl").write_text("".join(map(jsonl, rows)))
    for side, words in (("xa", "c a b d"), ("eng", "z x w y")):
        (folder / f"tatoeba.xa-eng.{side}").write_text("\n".join(words.split()) + "\n")
    for split in ("sample", "training"):
        for side in ("xa", "en"):
            lines = [f"{side}-{n}\t{split} {side} {chr(97 + n) * 3}" for n in range(9)]
            (folder / f"xa-en.{split}.{side}").write_text("\n".join(lines) + "\n")
        gold = [f"xa-{n}\ten-{n}" for n in range(6)]
        (folder / f"xa-en.{split}.gold").write_text("\n".join(gold) + "\n")


@pytest.fixture
def study(workspace, tmp_path):
    """The grid of a study that is predicted and scored: every task that can be exported."""

    def lab(kind, *splits):
        return {s: {"source": "lab", "kind": kind, "size": 16} for s in splits}

    def files(format, **paths):
        return {s: {"source": "files", "format": format, "path": p} for s, p in paths.items()}

    release(tmp_path)
    tasks = {}
    for name, (family, kind, metrics, others) in KINDS.items():
        tasks[name] = task_of(family, lab(kind, "train", "test"), metrics, **others)
    paws = files("pawsx", train="pawsx-{language}.tsv", test="pawsx-{language}.tsv")
    tasks["pawsx"] = task_of("classify", paws, ["accuracy"])
    copa = files("copa", train="copa-{language}.jsonl", test="copa-{language}.jsonl")
    tasks["xcopa"] = task_of("choose", copa, ["accuracy"])
    foreign = {"languages": ["xa"]}
    tatoeba = files("tatoeba", test="tatoeba.xa-eng.*")
    tasks["tatoeba"] = task_of("mine", tatoeba, ["accuracy"], **foreign)
    bucc = files("bucc", validation="xa-en.sample.*", test="xa-en.training.*")
    margin = {"predict": {"retrieval": "margin"}}
    tasks["bucc2018"] = task_of("mine", bucc, ["f1", "precision", "recall"], **margin, **foreign)
    targets = [*KINDS, "xcopa", "pawsx", "tatoeba", "bucc2018", "nli"]
    grid = make_files_grid(
        tmp_path, tasks, targets=targets, train={"max_steps": 2, "batch_size": 4}
    )
    prepare.run(list(grid.artefacts().datasets.values()), grid.project)
    workspace.score(grid)
    return grid


def gold_text(task: str, rows: list[dict], language: str) -> str:
    """A gold file, as XTREME's label files are."""
    if task in ("xnli", "pawsx"):
        lines = [row["label"] for row in rows]
    elif task in ("udpos", "panx"):
        lines = ["\n".join(row["tags"]) + "\n" for row in rows]
    elif task == "xcopa":
        lines = [json.dumps({"idx": 1, "label": row["label"]}) for row in rows]
    elif task == "tatoeba":
        english = sorted(
            (r["text"].strip(), n, r) for n, r in enumerate(rows) if r["id"][:2] == "en"
        )
        lines = [row["match"].split("-")[1] for _, _, row in english]
    elif task == "bucc2018":
        lines = [f"{r['id']}\t{r['match']}" for r in rows if r["side"] == "foreign" and r["match"]]
    else:
        return squad(*(question(row["id"], answers=_answers(row)) for row in rows))
    return "\n".join(lines) + "\n"


def _answers(row: dict) -> list[dict]:
    pairs = zip(row["answers"], row["starts"], strict=True)
    return [{"text": text, "answer_start": start} for text, start in pairs]


def test_exported_files_have_the_cells_scores(study, tmp_path, capsys):
    StudyView(study).write_snapshot()
    snapshot = str(StudyView(study).snapshot)
    out = tmp_path / "predictions"
    arguments = ["--recipe", "none", "--seed", "1", "--out", str(out)]
    assert cli.main(["export-xtreme", "--study", snapshot, *arguments]) == 0
    assert "16 files" in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == FORMATS.keys() - {"mewslix"}
    system = ["--system", "ours", "--predictions", str(out)]
    assert cli.main(["import-scores", "--study", snapshot, *system]) == 0
    found = {score.target: score for score in imported.read("small")}
    assert found.keys() == FORMATS.keys() - {"mewslix"}
    for one in study.scores():
        target = one.cell.target
        if target == "nli":  # no task of XTREME
            continue
        scored = store.read_json(Path(one.path))["languages"]
        for dataset in one.predictions.scored:
            rows = store.read_rows(Path(dataset.path))
            file = out / target / f"test-{dataset.language}.{FORMATS[target].extension}"
            gold = tmp_path / f"{target}-{dataset.language}"
            gold.write_text(gold_text(target, rows, dataset.language), encoding="utf-8")
            if (target, dataset.language) == ("pawsx", "xa"):
                lines = file.read_text().splitlines()
                assert len(lines) == 8  # as the release has, placeholders too
                kept = [line for n, line in enumerate(lines) if n not in (0, 5)]
                file.write_text("\n".join(kept) + "\n")
            exported = score_files(target, dataset.language, file, gold)
            expected = scored[dataset.language]["metrics"]
            for metric, value in expected.items():
                assert exported[NAMES.get(metric, metric)] == pytest.approx(value, abs=1e-9), target
                same = found[target].languages[dataset.language].metrics[metric]
                assert same == pytest.approx(value, abs=1e-9), target
    (out / "xnli" / "test-xa.tsv").unlink()
    assert cli.main(["import-scores", "--study", snapshot, *system]) == cli.BAD_INPUT
    assert "test-xa.tsv: no such file; expected one for each language" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "prediction", "message"),
    [
        ("tatoeba", {"id": "e3", "prediction": "f18"}, "line 1: 'f18' is no number"),
        ("xnli", {"id": "3", "prediction": "yes"}, "line 1: unknown label 'yes'; valid: contra"),
        ("panx", {"id": "3", "prediction": ["O", "B-DATE"]}, "line 2: unknown label 'B-DATE'"),
    ],
)
def test_other_data_have_no_form_of_xtreme(task, prediction, message):
    rows = [{"id": prediction["id"], "text": "a"}]
    content = FORMATS[task].write(rows, [prediction], [])
    with pytest.raises(InputError, match=f"the predictions in XTREME's form, {message}"):
        read_back(content, FORMATS[task], "the predictions")


def test_excluded_rows_keep_their_lines():
    predictions = [{"prediction": label} for label in "abc"]
    lines = FORMATS["pawsx"].write([], predictions, [0, 2, 5])
    assert lines.split() == ["a", "a", "a", "b", "c", "a"]


def test_tatoeba_is_in_alphabetical_order():
    rows = [{"id": f"en-{n}", "text": text} for n, text in enumerate([" b", "a", "c"])]
    predictions = [{"id": f"en-{n}", "prediction": f"de-{n + 7}"} for n in range(3)]
    assert FORMATS["tatoeba"].write(rows, predictions, []).split() == ["8", "7", "9"]


def test_bucc_exports_pairs_above_the_threshold():
    scores = {"1": 1.2, "2": 0.9}
    pairs = [{"id": f"de-{n}", "prediction": f"en-{n}", "score": scores[n]} for n in scores]
    kept = mine.above(pairs, 1.0)
    assert FORMATS["bucc2018"].write([], kept, []) == "de-1\ten-1\n"


def test_mistakes_are_named(tmp_path, capsys):
    gold, short = tmp_path / "gold", tmp_path / "short"
    gold.write_text("0\n1\n")
    short.write_text("0\n")
    with pytest.raises(InputError, match=r"short against .*gold: 2 gold labels but 1 predicted"):
        score_files("pawsx", "de", short, gold)
    with pytest.raises(InputError, match="unknown task 'pawx': did you mean 'pawsx'"):
        score_files("pawx", "de", short, gold)
    with pytest.raises(InputError, match="unknown language 'xx': valid: "):
        score_files("pawsx", "xx", gold, gold)
    assert score_files("pawsx", "German", gold, gold) == {"accuracy": 100.0}
    short.write_text("de-1\n")
    with pytest.raises(InputError, match=r"short:1: expected two ids of sentences"):
        score_files("bucc2018", "de", short, short)
    arguments = ["--task", "pawsx", "--language", "de", "--gold", str(gold)]
    assert cli.main(["score-files", *arguments, "--predictions", str(gold)]) == 0
    assert json.loads(capsys.readouterr().out) == {"accuracy": 100.0}


# evaluate.py strips lines and takes any line end; spaces and tabs separate columns
@pytest.mark.parametrize(
    ("task", "gold", "predicted"),
    [
        ("xnli", "neutral\nentailment\n", "neutral \r\nentailment\t\r\n"),
        ("pawsx", "0\n1\n", "\ufeff0\n1\n\n \n"),
        ("pawsx", "0\r1\r", " 0\n\t1"),
        ("panx", "B-PER\nO\n\nO\n", "B-PER \nO\t\n \t\nO\n\n\n"),
        ("panx", "en:Anna\tB-PER\nen:x\tO\n", "Anna B-PER\nx   O\n"),
        ("udpos", "the\tDET\ndog\tNOUN\n", "DET \nNOUN \n"),
        ("tatoeba", "3\n0\n", "3 \r\n0\r\n"),
        ("bucc2018", "de-1\ten-2\n", "de-1 en-2 \n\n"),
        ("xcopa", '{"label": 0}\n{"label": 1}\n', ' {"label": 0} \n\n{"label": "1"}\r\n'),
    ],
)
def test_white_space_does_not_count(tmp_path, task, gold, predicted):
    (tmp_path / "gold").write_text(gold, newline="")
    (tmp_path / "predicted").write_text(predicted, newline="")
    scores = score_files(task, "de", tmp_path / "predicted", tmp_path / "gold")
    assert set(scores.values()) == {100.0}


def test_answers_are_read_as_evaluate_does(tmp_path):
    articles = json.loads(squad(question("q1", "Rome", 99)))["data"]
    predicted, gold = tmp_path / "predicted", tmp_path / "gold"
    for content in (articles, {"data": articles}):
        for answers in ({"q1": "rome"}, {"data": {"q1": "rome"}}):
            gold.write_text(json.dumps(content), encoding="utf-8-sig")
            predicted.write_text(json.dumps(answers), encoding="utf-8-sig")
            assert score_files("xquad", "de", predicted, gold)["f1"] == 100


TEXT = "A man sleeps.\tA person rests.\n"


@pytest.mark.parametrize(
    ("task", "gold", "predicted", "message"),
    [
        ("xnli", TEXT, "neutral\n", r"gold:1: unknown label 'A man .*; valid: contradiction"),
        ("xnli", "neutral\n", "Neutral\n", r"predicted:1: unknown label 'Neutral'"),
        ("xnli", "neutral\n\nneutral\n", "neutral\n", r"gold:2: unknown label ''"),
        ("pawsx", "0\n1\n", "0\ntrue\n", r"predicted:2: unknown label 'true'; valid: 0, 1"),
        ("panx", "O\n", "NOUN\n", r"predicted:1: unknown label 'NOUN'"),
        ("udpos", "B-PER\n", "NOUN\n", r"gold:1: unknown label 'B-PER'"),
        ("tatoeba", "4\n", "de-4\n", r"predicted:1: 'de-4' is no number"),
        ("tatoeba", "4\n", "04\n", r"predicted:1: '04' is no number"),
        ("tatoeba", "4\n", "\u0664\n", r"predicted:1: '\u0664' is no number"),
        ("xquad", squad(question("q"), question("q")), '{"q": "Italy"}', "id 'q' is repeated"),
        ("xquad", squad(question("q")), '{"q": "a", "q": "b"}', "the key 'q' is given twice"),
        ("bucc2018", "de-1\ten-1\n", TEXT, r"predicted:1: expected two ids of sentences"),
        ("bucc2018", "de-1\ten-1\n", "fr-1\ten-1\n", "the ids are of other languages"),
        ("bucc2018", "de-1\ten-1\n", "en-1\tde-1\n", "or in another order"),
        ("xcopa", '{"label": 0}\n', '{"label": "no"}\n', "1: unknown label 'no'; valid: 0, 1"),
        ("xcopa", '{"label": 0}\n', '{"label": 2}\n', r"predicted:1: unknown label '2'"),
        (
            "xcopa",
            '{"label": 0, "idx": 7}\n{"label": 1, "idx": 8}\n',
            '{"label": 1, "idx": 8}\n{"label": 0, "idx": 7}\n',
            "other examples .idx., or in another order",
        ),
        ("tatoeba", "1\n0\n", "1\n2\n", "line 2: 2, but 2 sentences count from 0"),
        ("tatoeba", "1\n0\n", f"1\n{'9' * 5000}\n", "9' is no number; expected a whole number"),
        ("bucc2018", "fr-1\ten-1\n", "fr-1\ten-1\n", "gold pairs are not of 'de' and 'en'"),
        ("bucc2018", "de-01\ten-1\n", "de-1\ten-1\n", "only one of the files has ids with lead"),
        ("tydiqa", squad(question("korean-1")), '{"korean-1": "a"}', "are in korean, not in 'de'"),
        ("mewslix", '{"m1": ["Q1"]}', '{"m2": ["Q1"]}', "no id of the gold file has a pred"),
    ],
)
def test_files_that_are_no_answers_have_no_score(tmp_path, task, gold, predicted, message):
    (tmp_path / "gold").write_text(gold)
    (tmp_path / "predicted").write_text(predicted)
    with pytest.raises(InputError, match=message):
        score_files(task, "de", tmp_path / "predicted", tmp_path / "gold")


@pytest.mark.parametrize(
    ("task", "content", "message"),
    [
        ("xquad", {"q1": 1879}, "column 'q1' holds 1879, expected str"),
        ("mlqa", {"q1": None}, "column 'q1' holds None, expected str"),
        ("tydiqa", ["Italy"], "expected a JSON object, found list"),
        ("mewslix", {"m1": "Q220"}, "column 'm1' holds 'Q220', expected list"),
        ("mewslix", {"m1": [220]}, r"'m1' has \[220\]; expected ids of candidates"),
        ("mewslix", {"m1": ["Q1", "Q1"]}, r"'m1' has .*; expected ids of candidates, each once"),
    ],
)
def test_answers_and_rankings_must_match_the_task(tmp_path, task, content, message):
    predicted, gold = tmp_path / "predicted.json", tmp_path / "gold.json"
    predicted.write_text(json.dumps(content))
    gold.write_text('{"m1": ["Q220"]}' if task == "mewslix" else squad(question("q1")))
    with pytest.raises(InputError, match=rf"predicted\.json: {message}"):
        score_files(task, "en", predicted, gold)


def test_unknown_recipe_is_named(tmp_path):
    from tests.tiny_project import make_grid

    with pytest.raises(InputError, match="no recipe 'non': did you mean 'none'"):
        export(make_grid(), "xlmr", "non", 1, tmp_path)
    with pytest.raises(InputError, match="the study has no target of XTREME"):
        export(make_grid(), "xlmr", "none", 1, tmp_path)
