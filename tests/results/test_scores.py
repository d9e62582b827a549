"""From score files to tidy data and statistics; other tests use the study `lab`, too."""

import json
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts import store
from xstilts.errors import InputError
from xstilts.grid.artefacts import Cell
from xstilts.results.score_file import ScoreFile
from xstilts.results.scores import (
    CSV_COLUMNS,
    MEAN,
    Context,
    collect,
    majority_floor,
    plain,
    scores_csv,
    summarise,
)


def score(cell: Cell, values: dict[str, float], source="en", metric="f1", **changes) -> dict:
    """Return a score file's content, with averages over the given languages."""
    metrics = {name: {"exact_match": value / 2, metric: value} for name, value in values.items()}

    def average(names: list[str]) -> dict[str, float]:
        return {m: sum(metrics[n][m] for n in names) / len(names) for m in ("exact_match", metric)}

    away = [name for name in values if name != source]
    return {
        "schema": 1,
        "cell": str(cell),
        **{key: getattr(cell, key) for key in ("model", "recipe", "target", "seed")},
        "source_language": source,
        "main_metric": metric,
        "languages": {n: {"n": 100, "metrics": m, "majority": None} for n, m in metrics.items()},
        "averages": {"avg": average(list(values))} | ({"zero_shot": average(away)} if away else {}),
        "degenerate": False,
        "provenance": {"checkpoint": "0123456789ab"},
    } | changes


def write(folder: Path, *scores: dict) -> list[Path]:
    """Write the scores as files."""
    paths = [folder / f"{i}.json" for i in range(len(scores))]
    for path, content in zip(paths, scores, strict=True):
        path.write_text(json.dumps(content))
    return paths


def cells(recipes="none nli", targets="qa pos", seeds=(1, 2), model="xlmr") -> tuple[Cell, ...]:
    """Return all cells of one model."""
    return tuple(
        Cell(model, recipe, target, seed)
        for recipe in recipes.split()
        for target in targets.split()
        for seed in seeds
    )


VALUES = {"none": 50.0, "nli": 53.0, "random": 20.0}


def lab(folder: Path, missing: tuple[Cell, ...] = (), **settings) -> tuple[list[Path], Context]:
    """Write a study of two recipes, two targets, two seeds and a control, with simple numbers."""
    study = cells() + cells(recipes="none", model="random")
    scores = []
    for cell in study:
        if cell not in missing:
            base = VALUES[cell.model if cell.model == "random" else cell.recipe]
            base += (cell.target == "pos") * 10 + (cell.seed == 2) * (1 + (cell.recipe == "nli"))
            scores.append(score(cell, {"xb": base - 2, "en": base + 6, "xa": base + 2}))
    return write(folder, *scores), Context("lab", study, **settings)


def test_scores_csv_rows_and_their_order(tmp_path):
    paths, context = lab(tmp_path)
    results = collect(reversed(paths), context)
    lines = scores_csv(results).splitlines()
    assert lines[0] == ",".join(CSV_COLUMNS)
    assert lines[0] == "model,recipe,target,seed,language,metric,value,n,cell"
    assert lines[1] == "xlmr,none,qa,1,en,f1,56.0000,100,xlmr.none.qa.s1"
    assert len(lines) == 1 + 12 * 5 * 2
    frame = results.frame
    assert list(frame["language"][:10:2]) == ["en", "xa", "xb", "avg", "zero_shot"]
    assert list(frame["metric"][:2]) == ["f1", "exact_match"]  # the main metric first
    assert list(dict.fromkeys(frame["cell"])) == [str(cell) for cell in context.cells]
    by_language = frame[frame["headline"]].set_index("language").loc[:, "n"]
    assert by_language["avg"].iloc[0] == 300
    assert by_language["zero_shot"].iloc[0] == 200


def test_gains_are_paired_by_seed(tmp_path):
    stats = summarise(collect(*lab(tmp_path)), "zero_shot")
    one = stats.loc[("xlmr", "nli", "qa")]
    assert one["mean"] == pytest.approx(statistics.mean([53, 55]))
    assert one["sd"] == pytest.approx(statistics.stdev([53, 55]))
    assert one["gain"] == pytest.approx(3.5)  # the baseline has 50 and 51
    assert (one["seeds"], one["gains"], one["wanted"]) == (2, 2, 2)
    assert stats.loc[("xlmr", "nli", MEAN), "mean"] == pytest.approx(59.0)
    assert stats.loc[("xlmr", "none", "qa"), "gain"] == 0
    whole = summarise(collect(*lab(tmp_path)), "avg")
    assert whole.loc[("xlmr", "none", "qa"), "mean"] == pytest.approx(52.5)


def test_a_missing_baseline_removes_only_its_pair(tmp_path):
    missing = (Cell("xlmr", "none", "qa", 1), Cell("xlmr", "nli", "pos", 2))
    stats = summarise(collect(*lab(tmp_path, missing)), "avg").loc["xlmr"]
    qa = stats.loc[("nli", "qa")]
    assert (qa["seeds"], qa["gains"]) == (2, 1)
    assert qa["gain"] == pytest.approx(4.0)
    # only seed 1 of nli has every target, but its baseline does not
    mean = stats.loc[("nli", MEAN)]
    assert (mean["seeds"], mean["gains"]) == (1, 0)
    assert mean["mean"] == pytest.approx(60.0)


def test_models_with_missing_cells_are_no_controls(tmp_path):
    paths, context = lab(tmp_path, missing=cells(recipes="nli"))
    assert context.models == ["xlmr"]
    assert context.controls == ["random"]
    assert context.recipes == ["none", "nli"]
    stats = summarise(collect(paths, context), "avg")
    assert stats.loc[("xlmr", "nli", "qa"), "seeds"] == 0
    assert stats.loc[("xlmr", "nli", "qa"), "wanted"] == 2
    assert Context("baselines", cells(recipes="none")).controls == []


def test_no_score_at_all_is_a_result(tmp_path):
    results = collect([tmp_path / "absent.json"], Context("lab", cells()))
    assert scores_csv(results) == ",".join(CSV_COLUMNS) + "\n"
    stats = summarise(results, "zero_shot")
    assert stats["seeds"].sum() == 0
    assert len(stats) == 2 * 3


def test_source_only_targets_have_no_zero_shot_column(tmp_path):
    study = cells(recipes="none")
    paths = write(
        tmp_path,
        *(score(c, {"en": 50.0} if c.target == "qa" else {"en": 50.0, "xa": 40.0}) for c in study),
    )
    results = collect(paths, Context("lab", study))
    assert results.targets("avg") == ["qa", "pos"]
    assert results.targets("zero_shot") == ["pos"]
    assert summarise(results, "zero_shot").loc[("xlmr", "none", MEAN), "mean"] == 40


def test_majority_is_averaged_over_the_same_languages(tmp_path):
    study = cells(recipes="none", targets="nli", seeds=(1,))
    one = score(study[0], {"en": 60.0, "xa": 50.0, "xb": 50.0}, metric="accuracy")
    for name, floor in {"en": 30.0, "xa": 33.0, "xb": 36.0}.items():
        one["languages"][name]["majority"] = {"accuracy": floor}
    results = collect(write(tmp_path, one), Context("lab", study))
    assert majority_floor(results, "avg") == dict.fromkeys(["nli", MEAN], pytest.approx(33.0))
    assert majority_floor(results, "zero_shot") == dict.fromkeys(["nli", MEAN], pytest.approx(34.5))


def test_different_languages_give_a_warning(tmp_path):
    study = cells(recipes="none", targets="qa pos")
    scores = [score(cell, {"en": 50.0, "xa": 40.0}) for cell in study]
    scores[1] = score(study[1], {"en": 50.0})
    results = collect(write(tmp_path, *scores), Context("lab", study, {"qa": "XQuAD"}))
    assert len(results.warnings) == 1
    assert "XQuAD" in results.warnings[0]


def damaged(**changes) -> dict:
    """Return a score of the first cell with some keys changed."""
    return score(cells()[0], {"en": 50.0, "xa": 40.0}, **changes)


LANGUAGE = {"n": 3, "metrics": {"f1": 1.0}}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"schema": 2}, "'schema'"),
        ({"seed": "1"}, "'seed'"),
        ({"main_metric": None}, "'main_metric'"),
        ({"languages": {}}, "'languages'"),
        ({"languages": {"xa": LANGUAGE | {"metrics": {"f1": 101.0}}}}, "'languages.xa.metrics.f1'"),
        ({"languages": {"xa": LANGUAGE | {"metrics": {"f1": float("nan")}}}}, "languages.xa"),
        ({"languages": {"xa": LANGUAGE | {"metrics": {"em": 1.0}}}}, "'languages.xa.metrics'"),
        ({"languages": {"xa": LANGUAGE | {"n": -1}}}, "'languages.xa.n'"),
        ({"averages": {"zero_shot": {"f1": 1.0}}}, "'avg'"),
        ({"averages": {"avg": {"em": 1.0}}}, "'averages.avg'"),
    ],
)
def test_a_damaged_score_names_file_and_key(tmp_path, changes, named):
    (path,) = write(tmp_path, damaged(**changes))
    with pytest.raises(InputError) as error:
        ScoreFile.read(path)
    assert str(path) in str(error.value)
    assert named in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"schema": 1}'])
def test_files_without_a_score_are_input_errors(tmp_path, content):
    path = tmp_path / "score.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"score\.json: damaged: "):
        ScoreFile.read(path)


def test_a_score_file_is_written_as_it_was_read(tmp_path):
    content = damaged(validation={"language": "en", "n": 3, "metrics": {"f1": 1.5}})
    content["languages"]["xa"]["threshold"] = 0.25
    store.write_json(tmp_path / "first.json", content)
    ScoreFile.read(tmp_path / "first.json").write(tmp_path / "second.json")
    written = json.loads((tmp_path / "second.json").read_text())
    assert written.pop("sha256")
    assert written == content


def test_a_changed_score_file_is_not_read(tmp_path):
    path = tmp_path / "score.json"
    store.write_json(path, damaged())
    ScoreFile.read(path).write(path)
    ScoreFile.read(path)
    content = store.read_json(path)
    content["languages"]["xa"]["metrics"]["f1"] = 99.0
    store.write_json(path, content)
    with pytest.raises(InputError, match=r"score\.json: changed since it was written; delete it"):
        ScoreFile.read(path)


def test_headline_is_zero_shot_if_possible(tmp_path):
    paths = write(tmp_path, damaged(), score(cells()[0], {"en": 50.0}))
    assert [ScoreFile.read(path).headline for path in paths] == [40, 50]


def test_two_files_of_one_cell_name_both(tmp_path):
    paths = write(tmp_path, damaged(), damaged())
    with pytest.raises(InputError, match=r"1\.json.*xlmr\.none\.qa\.s1.*0\.json"):
        collect(paths, Context("lab", cells()))


def test_a_cell_of_another_study_is_an_error(tmp_path):
    paths = write(tmp_path, damaged(recipe="nlj"))
    with pytest.raises(InputError, match=r"xlmr\.nlj\.qa\.s1 is not in study 'lab'; did you mean"):
        collect(paths, Context("lab", cells()))


def test_two_main_metrics_of_a_target_are_an_error(tmp_path):
    one, two = cells()[:2]
    paths = write(tmp_path, score(one, {"xa": 50.0}), score(two, {"xa": 50.0}, metric="accuracy"))
    with pytest.raises(InputError, match=r"1\.json: key 'main_metric'.*'accuracy'.*'f1'"):
        collect(paths, Context("lab", cells()))


@given(st.text())
def test_plain_text_is_one_printable_line(text):
    assert plain(text).isprintable()
    assert plain(plain(text)) == plain(text)
