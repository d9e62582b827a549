"""The command line: a user's mistake is one clear message, exit status 2, and no partial result."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import SMALL
from xstilts import __version__, store
from xstilts.cli import BAD_INPUT, main
from xstilts.grid import state
from xstilts.report.view import StudyView
from xstilts.store import locks

COMMANDS = ["doctor", "status", "plan", "why", "gc", "list", "study", "pin", "export-xtreme"]
COMMANDS += ["score-files", "schema", "compare", "import-scores", "card", "push"]
COMMANDS += ["fetch", "prepare", "initialise", "train", "merge", "predict", "score"]
STUDY = Path("config/config.yaml")


def edit(old: str, new: str, path: str | Path = STUDY) -> None:
    text = Path(path).read_text(encoding="utf-8")
    assert text.count(old) == 1, (old, text)
    Path(path).write_text(text.replace(old, new), encoding="utf-8")


def ids(group: str, study: Path = STUDY) -> dict[str, str]:
    """Ids by readable name."""
    grid, _ = state.open_study(study)
    return {id.rsplit(".", 1)[0]: id for id in getattr(grid.artefacts(), group)}


def results() -> dict[str, bytes]:
    """Content of all files below results/ except logs and unfinished artefacts."""
    return {
        str(path): path.read_bytes()
        for path in Path("results").rglob("*")
        if path.is_file() and path.parts[1] not in ("scratch", "logs")
    }


@pytest.fixture
def rejection(capsys):
    """Return a function that runs a command with bad input and returns its message."""

    def run(*arguments: str) -> str:
        before = results()
        capsys.readouterr()
        assert main(arguments) == BAD_INPUT
        out, err = capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        assert err.count(f"xstilts {arguments[0]}: ") == 1, err
        assert results() == before
        return err[err.index(f"xstilts {arguments[0]}: ") :].strip()  # after the notices

    return run


def output(capsys, *arguments: str) -> str:
    """Run a command that must succeed; return its output."""
    capsys.readouterr()
    assert main(arguments) == 0
    return capsys.readouterr().out


# --- configuration


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


# --- raw files

TSV = "language\tgold_label\tsentence1\tsentence2\tpairID\n"
ROW = "en\tneutral\tA dog.\tA cat.\t{}\n"
SQUAD = '{"data": [{"title": "t", "paragraphs": []}]}'

REVIEWS = """
reviews:
  family: {family}
  roles: [target]
  languages: [en]
  {labels}
  splits:
    test: {{source: files, format: {format}, path: reviews.txt}}
  metrics: [{metric}]
"""


def use_reviews(format: str, content: bytes | None, labels: str = "") -> str:
    """Make `reviews`, read from one file, the only target; return the id of its data."""
    family, metric = ("answer", "f1") if format == "squad" else ("classify", "accuracy")
    text = REVIEWS.format(family=family, format=format, metric=metric, labels=labels)
    Path("config/tasks/reviews.yaml").write_text(text)
    edit("targets: [paraphrase, tatoeba]", "targets: [reviews]")
    if content is not None:
        Path("data").mkdir()
        Path("data/reviews.txt").write_bytes(content)
    return ids("datasets")["reviews.en.test"]


@pytest.mark.parametrize(
    ("format", "content", "message"),
    [
        ("xnli", None, "reviews.en.test: no file reviews.txt for language 'en' below data"),
        ("xnli", "", "reviews.txt: the file is empty"),
        ("xnli", TSV, "reviews.txt: no row in 'en'"),
        ("xnli", TSV + ROW.format(1) + "en\tneut", "reviews.txt:3: 2 columns, expected 5"),
        ("xnli", TSV + ROW.format("1\tmore"), "reviews.txt:2: 6 columns, expected 5"),
        ("xnli", TSV + ROW.format(1) * 2, "reviews.txt:3: id '1' is repeated; first in .*:2"),
        ("xnli", (TSV + ROW.format("é")).encode("latin-1"), "reviews.txt:2: not UTF-8"),
        ("xnli", TSV + ROW.format(1).replace("neutral", "maybe"), ":2: unknown label 'maybe'"),
        ("xnli", TSV.replace("pairID", "pid") + ROW.format(1), ":2: no column 'pairID'"),
        ("squad", SQUAD[:-9], "reviews.txt: not valid JSON, or truncated"),
        ("squad", SQUAD, "reviews.txt: no row is left"),
    ],
)
def test_unusable_raw_file_is_named(small_folder, rejection, format, content, message):
    content = content.encode() if isinstance(content, str) else content
    id = use_reviews(format, content)
    assert re.search(message, rejection("prepare", id), re.S)


def test_unknown_labels_are_named(small_folder, rejection):
    content = (TSV + ROW.format(1)).encode()
    id = use_reviews("xnli", content, labels="labels: [entailment, contradiction]")
    message = rejection("prepare", id)
    assert "labels neutral are not among the task's: entailment, contradiction" in message


def test_raw_file_must_not_change_during_a_run(small_folder, rejection):
    id = use_reviews("xnli", (TSV + ROW.format(1)).encode())
    view = StudyView(state.open_study(STUDY)[0])
    view.write_snapshot()
    Path("data/reviews.txt").write_text(TSV + ROW.format(2))
    assert "changed since the study was planned" in rejection(
        "prepare", "--study", str(view.snapshot), id
    )


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


# --- ids, and where results go


def test_unknown_id_gets_the_nearest(small_folder, rejection):
    id = ids("checkpoints")["tiny.nli.s1"]
    for stage in ("train", "initialise"):
        assert f"did you mean '{id}'?" in rejection(stage, id[:-1] + "x")
    assert "has no download" in rejection("fetch", id)
    id = ids("scores")["tiny.nli.paraphrase.s1"]
    assert f"did you mean '{id}'?" in rejection("score", id[:-1])
    assert "did you mean 'tiny.nli.tatoeba.s1'?" in rejection("why", "tiny.nli.tatoba.s1")


@pytest.mark.parametrize("blocked", ["results", "results/scratch", "results/data"])
def test_unwritable_results_are_named(small_folder, rejection, blocked):
    # a file in the way stands for missing permissions, which root would not notice
    Path(blocked).parent.mkdir(exist_ok=True)
    Path(blocked).write_text("")
    assert f"{blocked}" in rejection("prepare", ids("datasets")["nli.en.train"])


def test_home_folder_is_expanded(small_folder, monkeypatch):
    monkeypatch.setenv("HOME", str(small_folder))
    assert main(["status", "--study=~/config/config.yaml", "--log=~/log"]) == 0
    assert Path("log").exists()
    grid, _ = state.open_study(STUDY, {"data": "~/data"})
    assert grid.project.data_folder() == small_folder / "data"


def test_unwritable_log_is_named(small_folder, rejection):
    Path("logs").write_text("")
    id = ids("datasets")["nli.en.train"]
    assert "logs" in rejection("prepare", "--log", "logs/prepare.log", id)


# --- trained artefacts


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """The small study with its data and its initial model."""
    folder = tmp_path_factory.mktemp("prepared")
    shutil.copytree(SMALL, folder / "config")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["prepare", *ids("datasets").values()]) == 0
        assert main(["initialise", ids("checkpoints")["tiny.init"]]) == 0
    return folder


@pytest.fixture
def workplace(prepared, tmp_path, monkeypatch):
    """A copy of `prepared` as working directory; a training's signal handlers end with the test."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield tmp_path
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_parent_is_verified_before_training(workplace, rejection):
    (weights,) = Path("results/checkpoints").glob("tiny.init.*/model.safetensors")
    step = ids("checkpoints")["tiny.nli.s1"]
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    message = rejection("train", step)
    again = f"delete {weights.parent} and run again"
    assert f"{weights}: damaged: its sha256 differs from manifest.json; {again}" in message
    weights.unlink()
    assert f"{weights}: missing, but listed in" in rejection("train", step)
    manifest = weights.with_name("manifest.json")
    manifest.write_text(manifest.read_text()[:50])
    assert f"{manifest}: damaged: not valid JSON; {again}" in rejection("train", step)
    manifest.unlink()
    assert f"{manifest}: no such file" in rejection("train", step)


def test_prepared_data_is_verified_before_training(workplace, rejection):
    (data,) = Path("results/data").glob("nli.en.train.*/data.parquet")
    data.write_bytes(data.read_bytes()[:-4])
    message = rejection("train", ids("checkpoints")["tiny.nli.s1"])
    assert f"{data}: damaged" in message
    assert f"delete {data.parent} and run again" in message


def test_unusable_gpu_is_an_error(workplace, rejection, monkeypatch):
    models = Path("config/models/small.yaml")
    entries = yaml.safe_load(models.read_text())
    entries["tiny"]["resources"] = {"gpu": 1}
    models.write_text(yaml.safe_dump(entries))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("xstilts.commands.workflow.NVIDIA_DRIVER", Path("config"))  # which exists
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    step = ids("checkpoints")["tiny.nli.s1"]
    assert "cannot use this node's GPU" in rejection("train", step)
    assert store.failure_file(step).exists()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert main(["train", step]) == 0


def test_infinite_loss_fails_the_cell(workplace, rejection, capsys):
    edit("nli:\n    train: {learning_rate: 1.0e-3}", "nli:\n    train: {learning_rate: 1.0e+30}")
    step = ids("checkpoints")["tiny.nli.s1"]
    message = rejection("train", step)
    assert re.search(rf"{re.escape(step)}: the loss is (nan|inf) at step [1-4]$", message)
    reason = message.removeprefix("xstilts train: ")

    assert not (Path("results/checkpoints") / step).exists()
    assert "no such file" in rejection("score", ids("scores")["tiny.nli.tatoeba.s1"])
    status = output(capsys, "status")
    assert "✗ failed 2" in status  # both targets of the recipe
    assert reason in status
    assert f"again: snakemake results/checkpoints/{step}/manifest.json" in status
    why = output(capsys, "why", "tiny.nli.tatoeba.s1")
    assert f"failed: {reason}" in why


# --- output of the commands


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
        assert "the study has no seed '7'" in message


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


@pytest.mark.parametrize(
    ("name", "key"), [("study", "seeds"), ("task", "family"), ("model", "hub")]
)
def test_schema_is_json_schema(capsys, name, key):
    schema = json.loads(output(capsys, "schema", name))
    assert key in schema["properties"]
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("command", COMMANDS)
def test_help(capsys, command):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    description = shown.split("\n\n")[1]
    assert re.fullmatch(r"[A-Z][^.]{15,}\.", description.replace("\n", " ")), description
    assert "--log" in shown
    assert ("--study" in shown) == (command not in ("schema", "score-files", "compare"))


def test_help_lists_all_commands(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.findall(r"^    ([\w-]+)", capsys.readouterr().out, re.M)
    assert listed == COMMANDS


def process(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "xstilts", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_process_ends_with_the_status(small_folder):
    ended = process(small_folder, "--version")
    assert (ended.returncode, ended.stdout) == (0, f"{__version__}\n")
    ended = process(small_folder, "status", "--study", "none.yaml")
    assert (ended.returncode, ended.stdout) == (BAD_INPUT, "")
    assert ended.stderr == "xstilts status: none.yaml: no such file\n"
    ended = process(small_folder, "trian", "x")
    assert ended.returncode == BAD_INPUT
    assert "invalid choice: 'trian'" in ended.stderr


def test_why_imports_no_heavy_library(small_folder):
    code = "import sys; from xstilts.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-c", code, "why", "tiny.none.tatoeba.s1"]
    ended = subprocess.run(command, cwd=small_folder, capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "pandas", "sklearn", "matplotlib", "datasets", "pyarrow"}
    assert not heavy & set(ended.stdout.split())


def test_config_overrides_keys_of_the_study(small_folder, capsys):
    assert main(["list", "recipes", "--config", "recipes=[none, nli-nli]"]) == 0
    assert "nli-nli" in capsys.readouterr().out
    assert main(["status", "--config", "seeds"]) == 2
    assert "--config 'seeds': expected KEY=VALUE" in capsys.readouterr().err
