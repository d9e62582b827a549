"""Commands that a user calls: mistakes in files are named, output is complete and narrow."""

import os
import re
import time
from pathlib import Path

import pytest

from tests.commands import STUDY, edit, ids, output, use_reviews
from xstilts import store
from xstilts.cli import main
from xstilts.grid import state
from xstilts.store import locks, paths


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("models: [tiny]", "models: [tinny]", "unknown model 'tinny': did you mean 'tiny'?"),
        ("[none, nli]", "[none, nly]", "recipe 'nly': unknown task 'nly': did you mean 'nli'?"),
        ("[paraphrase,", "[paraphrases,", "unknown task 'paraphrases': did you mean 'paraphrase'?"),
        ("[none, nli]", "[none, nli--nli]", "recipe 'nli--nli', position 5: expected a task name"),
        ("[none, nli]", "[none, nli~10x]", "recipe 'nli~10x', position 7: expected"),
        ("[none, nli]", "[paraphrase]", "'paraphrase' cannot be used as intermediate task"),
        ("[paraphrase,", "[text,", "'text' cannot be used as target task"),
        ("models: [tiny]", "modles: [tiny]", "unknown key 'modles': did you mean 'models'?"),
        ("learning_rate: 1.0e-3}\n  nli", "lerning_rate: 1}\n  nli", "mean 'learning_rate'?"),
        ("seeds: [1]", "seeds: [1]\nseeds: [2]", "key 'seeds' is given twice"),
        ("seeds: [1]", "seeds: [one]", "seeds.0: 'one' is not allowed; expected a whole number"),
        ("seeds: [1]", "\tseeds: [1]", "config.yaml, line 7: not valid YAML"),
    ],
)
def test_mistakes_in_a_study_are_named(small_folder, rejection, old, new, message):
    edit(old, new)
    shown = rejection("status")
    assert message in shown
    assert "config/config.yaml" in shown


TRAIN = "train: {source: lab, kind: paraphrase, size: 40}"


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        ("tasks", "kind: text, size: 60", "kind: text, sise: 60", "text, .*did you mean 'size'"),
        ("tasks", "family: mask", "family: masks", "text, family: .*'mask'"),
        ("tasks", "tatoeba:\n  fam", "nli:\n  fam", "key 'nli' is given twice"),
        (
            "models",
            "encode: {max_length",
            "encode: {maxlength",
            "tiny, encode: .*did you mean 'max_length'",
        ),
        ("models", "task: text", "task: txt", "unknown task 'txt': did you mean 'text'"),
        ("models", "task: text", "task: nli", "'nli' cannot be used as pretraining task"),
        ("tasks", TRAIN, "train: nly", "split 'train': unknown task 'nly': did you mean 'nli'"),
        ("tasks", TRAIN, "train: tatoeba", "task 'tatoeba' has no train split of its own"),
        ("tasks", TRAIN, "train: paraphrase", "task 'paraphrase' has no train split of its own"),
    ],
)
def test_mistakes_in_a_definition_are_named(small_folder, rejection, path, old, new, message):
    edit(old, new, f"config/{path}/small.yaml")
    assert re.search(message, rejection("status"), re.S)


def test_missing_study_is_named(small_folder, rejection):
    shown = rejection("status", "--study", "config/none.yaml")
    assert shown.endswith("none.yaml: no such file; did you mean config/config.yaml?")
    assert rejection("status", "--study", "none.json").endswith("none.json: no such file")


def test_study_must_be_text(small_folder, rejection):
    STUDY.write_bytes(b"study: caf\xe9\n")
    assert "config/config.yaml: not valid YAML" in rejection("status")


def test_target_without_files_is_left_out(small_folder, rejection):
    use_reviews("xnli", None)
    edit("study: small", "study: small\nlanguages: available")
    message = rejection("status")
    assert "no target has its files below data" in message
    assert "reviews: no files for en: target left out" in message


def test_unset_data_folder_is_named(small_folder, rejection, monkeypatch):
    monkeypatch.delenv("NO_SUCH_FOLDER", raising=False)
    use_reviews("xnli", None)
    edit("study: small", "study: small\ndata: $NO_SUCH_FOLDER/x")
    assert "data: $NO_SUCH_FOLDER/x is not set" in rejection("status")


def test_why_names_missing_artefacts_and_settings(small_folder, capsys):
    shown = output(capsys, "why", "tiny.none.tatoeba.s1")
    assert "tiny.none.tatoeba.s1: to do, 6 artefacts are missing" in shown
    assert "  not made yet: prepare text.en.train, " in shown
    assert ", initialise tiny.init, " in shown

    grid, _ = state.open_study(STUDY)
    step = grid.artefacts().checkpoints[ids("checkpoints")["tiny.nli.s1"]]
    store.Manifest(id=step.id, content=step.identity.content, files={}).write(Path(step.path))
    edit("nli:\n    train: {learning_rate: 1.0e-3}", "nli:\n    train: {learning_rate: 2.0e-3}")
    shown = output(capsys, "why", "tiny.nli.tatoeba.s1")
    assert f"settings.learning_rate is 0.002 here, 0.001 in {step.id}" in shown


def test_why_tells_deleted_from_never_made(small_folder, capsys):
    grid, _ = state.open_study(STUDY)
    step = grid.artefacts().checkpoints[ids("checkpoints")["tiny.nli.s1"]]
    store.write_text(step.job.benchmark, "s\n1\n")
    shown = output(capsys, "why", "tiny.nli.tatoeba.s1")
    assert f"  {step.path}\n    deleted since it was made\n" in shown


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("models", r"^tiny +.* random"),
        ("tasks", r"^paraphrase .* classify +\d+ .*target"),
        ("recipes", r"^none +no intermediate step\s"),
        ("studies", r"^config/config\.yaml "),
    ],
)
def test_list_prints_entries_in_80_columns(small_folder, capsys, monkeypatch, kind, row):
    monkeypatch.setenv("COLUMNS", "80")
    shown = output(capsys, "list", kind)
    assert re.search(row, shown, re.M), shown
    assert max(map(len, shown.splitlines())) <= 80


def test_seed_may_be_written_as_in_a_cell(small_folder, rejection):
    for seed in ("7", "s7"):
        message = rejection("export-xtreme", "--recipe=none", f"--seed={seed}", "--out=out")
        assert message.rstrip().endswith("the study has no seed '7': valid: 1")


def test_data_without_a_form_of_xtreme_are_named(small_folder, rejection):
    assert main(["prepare", ids("datasets")["tatoeba.xa.test"]]) == 0
    file = Path("predictions/tatoeba/test-xa.tsv")
    file.parent.mkdir(parents=True)
    file.write_text("0\n" * 20)
    message = rejection("import-scores", "--system=ours", "--predictions=predictions")
    assert "the test data of tatoeba in XTREME's form, line 1: 'f" in message


def test_gc_lists_and_deletes_unused_results(small_folder, capsys):
    wanted = Path("results/scores") / f"{ids('scores')['tiny.nli.tatoeba.s1']}.json"
    stray = Path("results/checkpoints/old.nli.s1.0123456789ab/model.safetensors")
    store.write_json(wanted, {})
    store.write_bytes(stray, bytes(2_000_000))
    young = output(capsys, "gc")
    assert "0 B  in 0 artefacts not used by any study" in young, "it was written just now"
    for path in (stray, stray.parent):
        os.utime(path, (0, 0))
    shown = output(capsys, "gc")
    assert re.search(r"2\.0 MB +results/checkpoints/old\.nli\.s1\.0123456789ab\n", shown)
    assert "2.0 MB  in 1 artefact not used by any study" in shown
    assert stray.exists()
    assert main(["gc", "--delete"]) == 2, "no terminal to ask on"
    assert stray.exists()
    with locks.held([stray.parent.name]):
        assert "in 0 artefacts" in output(capsys, "gc", "--delete", "--yes")
    assert "2.0 MB  in 1 artefact deleted" in output(capsys, "gc", "--delete", "--yes")
    assert wanted.exists()
    assert not stray.parent.exists()
    assert "in 0 artefacts" in output(capsys, "gc")


def test_gc_lists_token_ids_that_no_job_has_read_for_a_week(small_folder, capsys):
    old, young = (paths.encodings_file(name, "0123456789ab") for name in ("old", "young"))
    for path, days in ((old, 8), (young, 6)):
        store.write_bytes(path, bytes(1000))
        os.utime(path, (0, time.time() - 86400 * days))
    assert "1.0 kB  in 1 artefact deleted" in output(capsys, "gc", "--delete", "--yes")
    assert not old.exists()
    assert young.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["card", "tiny.none.tatoeba.s1", "--out", "config"], "a folder; expected a file"),
        (["compare", "small", "small", "--csv", "config"], "it is a folder; expected a file"),
        (["export-xtreme", "--recipe=nli", "--seed=1", "--out", STUDY], "is a file; expected a fo"),
        (["status", "--study", "pipe"], "'pipe' is not allowed; it is a named pipe"),
        (["status", "--log", "pipe"], "'pipe' is not allowed; it is a named pipe"),
        (["status", "--study", "9" * 5000], "999…' is not allowed; File name too long"),
    ],
)
def test_another_kind_of_file_is_refused(small_folder, capsys, arguments, message):
    os.mkfifo("pipe")  # without a writer, reading it would wait for ever
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_pipe_of_a_shell_is_read(small_folder, capsys):
    reading, writing = os.pipe()
    os.write(writing, Path(STUDY).read_bytes())
    os.close(writing)
    assert main(["status", "--study", f"/dev/fd/{reading}"]) == 0
    os.close(reading)
    assert capsys.readouterr().out.startswith("small: 0 of 4 cells done")
