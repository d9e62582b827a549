"""The command line: a user's mistake is one clear message, exit status 2, and nothing half made."""

import json
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

COMMANDS = ["pin", "fetch", "prepare", "initialise", "train", "predict", "score"]
COMMANDS += [
    "study",
    "status",
    "doctor",
    "plan",
    "why",
    "export-xtreme",
    "score-files",
    "gc",
    "schema",
]
STUDY = Path("config/config.yaml")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working directory with the small study and no results."""
    shutil.copytree(SMALL, tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edit(old: str, new: str, path: str | Path = STUDY) -> None:
    text = Path(path).read_text(encoding="utf-8")
    assert text.count(old) == 1, (old, text)
    Path(path).write_text(text.replace(old, new), encoding="utf-8")


def ids(group: str, study: Path = STUDY) -> dict[str, str]:
    """Readable name to id."""
    grid, _ = state.open_study(study)
    return {id.rsplit(".", 1)[0]: id for id in getattr(grid.artefacts(), group)}


def results() -> dict[str, bytes]:
    """All files below results/ but logs and what is half made."""
    return {
        str(path): path.read_bytes()
        for path in Path("results").rglob("*")
        if path.is_file() and path.parts[1] not in ("scratch", "logs")
    }


@pytest.fixture
def complaint(capsys):
    """Run a command that must fail for bad input; returns its one message."""

    def run(*arguments: str) -> str:
        before = results()
        capsys.readouterr()
        assert main(arguments) == BAD_INPUT
        out, err = capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        assert err.count(f"xstilts {arguments[0]}: ") == 1, err
        assert results() == before
        return err.strip()

    return run


def said(capsys, *arguments: str) -> str:
    """What a command prints that must succeed."""
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
        ("seeds: [1]", "seeds: [one]", "seeds.0: Input should be a valid integer"),
        ("seeds: [1]", "\tseeds: [1]", "config.yaml: not valid YAML"),
    ],
)
def test_a_mistake_in_the_study(folder, complaint, old, new, message):
    edit(old, new)
    found = complaint("status")
    assert message in found
    assert "config/config.yaml" in found


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
            "tiny: .*did you mean 'max_length'",
        ),
        ("models", "task: text", "task: txt", "unknown task 'txt': did you mean 'text'"),
        ("models", "task: text", "task: nli", "'nli' cannot be used as pretraining task"),
        ("tasks", TRAIN, "train: nly", "split 'train': unknown task 'nly': did you mean 'nli'"),
        ("tasks", TRAIN, "train: tatoeba", "task 'tatoeba' has no such split of its own"),
        ("tasks", TRAIN, "train: paraphrase", "task 'paraphrase' has no such split of its own"),
    ],
)
def test_a_mistake_in_a_definition(folder, complaint, path, old, new, message):
    edit(old, new, f"config/{path}/small.yaml")
    assert re.search(message, complaint("status"), re.S)


def test_no_such_study(folder, complaint):
    told = complaint("status", "--study", "config/none.yaml")
    assert told.endswith("none.yaml: no such file; did you mean config/config.yaml?")
    assert complaint("status", "--study", "none.json").endswith("none.json: no such file")


def test_a_study_that_is_not_text(folder, complaint):
    STUDY.write_bytes(b"study: caf\xe9\n")
    assert "config/config.yaml: not valid YAML" in complaint("status")


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
    """Make `reviews`, read from such a file, the study's only target; the id of its data."""
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
        ("xnli", TSV + ROW.format(1) * 2, "reviews.txt:3: id '1' again, after .*:2"),
        ("xnli", (TSV + ROW.format("é")).encode("latin-1"), "reviews.txt:2: not UTF-8"),
        ("xnli", TSV + ROW.format(1).replace("neutral", "maybe"), ":2: unknown label 'maybe'"),
        ("xnli", TSV.replace("pairID", "pid") + ROW.format(1), ":2: no column 'pairID'"),
        ("squad", SQUAD[:-9], "reviews.txt: not valid JSON, or cut"),
        ("squad", SQUAD, "reviews.txt: no row is left"),
        ("squat", SQUAD, "unknown format 'squat'.* did you mean 'squad'"),
    ],
)
def test_a_raw_file_that_cannot_be_used(folder, complaint, format, content, message):
    content = content.encode() if isinstance(content, str) else content
    id = use_reviews(format, content)
    assert re.search(message, complaint("prepare", id), re.S)


def test_a_label_that_the_task_does_not_have(folder, complaint):
    content = (TSV + ROW.format(1)).encode()
    id = use_reviews("xnli", content, labels="labels: [entailment, contradiction]")
    found = complaint("prepare", id)
    assert "labels neutral are not among the task's: entailment, contradiction" in found


def test_a_raw_file_that_changed_since_the_run_was_planned(folder, complaint):
    id = use_reviews("xnli", (TSV + ROW.format(1)).encode())
    view = StudyView(state.open_study(STUDY)[0])
    view.write_snapshot()
    Path("data/reviews.txt").write_text(TSV + ROW.format(2))
    assert "changed since the study was planned" in complaint(
        "prepare", "--study", str(view.snapshot), id
    )


def test_no_files_in_any_language(folder, complaint):
    use_reviews("xnli", None)
    edit("study: small", "study: small\nlanguages: available")
    told = complaint("status")
    assert "no target has its files below data" in told
    assert "reviews: no files for en: target left out" in told


def test_the_data_folder_is_not_set(folder, complaint, monkeypatch):
    monkeypatch.delenv("NO_SUCH_FOLDER", raising=False)
    use_reviews("xnli", None)
    edit("study: small", "study: small\ndata: $NO_SUCH_FOLDER/x")
    assert "data: $NO_SUCH_FOLDER/x is not set" in complaint("status")


# --- ids, and where results go


def test_an_unknown_id_gets_the_nearest(folder, complaint):
    id = ids("checkpoints")["tiny.nli.s1"]
    for stage in ("train", "initialise"):
        assert f"did you mean '{id}'?" in complaint(stage, id[:-1] + "x")
    assert "has no download" in complaint("fetch", id)
    id = ids("scores")["tiny.nli.paraphrase.s1"]
    assert f"did you mean '{id}'?" in complaint("score", id[:-1])
    assert "did you mean 'tiny.nli.tatoeba.s1'?" in complaint("why", "tiny.nli.tatoba.s1")


@pytest.mark.parametrize("blocked", ["results", "results/scratch", "results/data"])
def test_results_that_cannot_be_written(folder, complaint, blocked):
    # a file in the way stands for missing permissions, which root would not notice
    Path(blocked).parent.mkdir(exist_ok=True)
    Path(blocked).write_text("")
    assert f"{blocked}" in complaint("prepare", ids("datasets")["nli.en.train"])


def test_a_log_that_cannot_be_written(folder, complaint):
    Path("logs").write_text("")
    id = ids("datasets")["nli.en.train"]
    assert "logs" in complaint("prepare", "--log", "logs/prepare.log", id)


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


def test_a_checkpoint_is_checked_before_it_is_trained_on(workplace, complaint):
    (weights,) = Path("results/checkpoints").glob("tiny.init.*/model.safetensors")
    step = ids("checkpoints")["tiny.nli.s1"]
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    found = complaint("train", step)
    assert f"{weights}: damaged: its sha256 differs from the manifest; delete the folder" in found
    weights.unlink()
    assert f"{weights}: missing, though" in complaint("train", step)
    manifest = weights.with_name("manifest.json")
    manifest.write_text(manifest.read_text()[:50])
    assert f"{manifest}: damaged, not valid JSON" in complaint("train", step)
    manifest.unlink()
    assert f"{manifest}: no such file" in complaint("train", step)


def test_prepared_data_is_checked_before_it_is_used(workplace, complaint):
    (data,) = Path("results/data").glob("nli.en.train.*/data.parquet")
    data.write_bytes(data.read_bytes()[:-4])
    found = complaint("train", ids("checkpoints")["tiny.nli.s1"])
    assert f"{data}: damaged" in found
    assert "to prepare it" in found


def test_a_gpu_that_torch_cannot_use_is_no_reason_to_train_on_a_processor(
    workplace, complaint, monkeypatch
):
    models = Path("config/models/small.yaml")
    entries = yaml.safe_load(models.read_text())
    entries["tiny"]["resources"] = {"gpu": 1}
    models.write_text(yaml.safe_dump(entries))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("xstilts.cli._NVIDIA", Path("config"))  # which is there
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    step = ids("checkpoints")["tiny.nli.s1"]
    assert "this node has a GPU that torch " in complaint("train", step)
    assert store.failure_file(step).exists()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert main(["train", step]) == 0


def test_a_loss_that_is_not_a_number_fails_the_cell(workplace, complaint, capsys):
    edit("nli:\n    train: {learning_rate: 1.0e-3}", "nli:\n    train: {learning_rate: 1.0e+30}")
    step = ids("checkpoints")["tiny.nli.s1"]
    message = complaint("train", step)
    assert re.search(rf"{re.escape(step)}: the loss is (nan|inf) at step [1-4]$", message)
    reason = message.removeprefix("xstilts train: ")

    assert not (Path("results/checkpoints") / step).exists()
    assert "no such file" in complaint("score", ids("scores")["tiny.nli.tatoeba.s1"])
    status = said(capsys, "status")
    assert "✗ failed 2" in status  # both targets of the recipe
    assert reason in status
    assert f"again: snakemake results/checkpoints/{step}/manifest.json" in status
    why = said(capsys, "why", "tiny.nli.tatoeba.s1")
    assert f"failed: {reason}" in why


# --- what the commands say


def test_why_lists_what_is_missing_and_which_setting_differs(folder, capsys):
    found = said(capsys, "why", "tiny.none.tatoeba.s1")
    assert "tiny.none.tatoeba.s1: to do, 6 of its artefacts are missing" in found
    assert f"results/checkpoints/{ids('checkpoints')['tiny.init']}\n    never made" in found

    grid, _ = state.open_study(STUDY)
    step = grid.artefacts().checkpoints[ids("checkpoints")["tiny.nli.s1"]]
    store.write_json(Path(step.path) / "manifest.json", {"content": dict(step.identity.content)})
    edit("nli:\n    train: {learning_rate: 1.0e-3}", "nli:\n    train: {learning_rate: 2.0e-3}")
    found = said(capsys, "why", "tiny.nli.tatoeba.s1")
    assert f"settings.learning_rate is 0.002 here, 0.001 in {step.id}" in found


def test_gc_lists_and_deletes_what_no_study_refers_to(folder, capsys):
    wanted = Path("results/scores") / f"{ids('scores')['tiny.nli.tatoeba.s1']}.json"
    stray = Path("results/checkpoints/old.nli.s1.0123456789ab/model.safetensors")
    store.write_json(wanted, {})
    store.write_bytes(stray, bytes(2_000_000))
    found = said(capsys, "gc")
    assert re.search(r"2\.0 MB +results/checkpoints/old\.nli\.s1\.0123456789ab\n", found)
    assert "2.0 MB in 1 artefacts not referred to by any study" in found
    assert stray.exists()
    assert "2.0 MB in 1 artefacts removed" in said(capsys, "gc", "--delete")
    assert wanted.exists()
    assert not stray.parent.exists()
    assert "in 0 artefacts" in said(capsys, "gc")


@pytest.mark.parametrize(
    ("name", "key"), [("study", "seeds"), ("task", "family"), ("model", "hub")]
)
def test_schema_is_json_schema(capsys, name, key):
    schema = json.loads(said(capsys, "schema", name))
    assert key in schema["properties"]
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("command", COMMANDS)
def test_help(capsys, command):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    found = capsys.readouterr().out
    description = found.split("\n\n")[1]
    assert re.fullmatch(r"[A-Z][^.]{15,}\.", description.replace("\n", " ")), description
    assert "--log" in found
    assert ("--study" in found) == (command not in ("schema", "score-files"))


def test_help_lists_all_commands(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.findall(r"^    ([\w-]+)", capsys.readouterr().out, re.M)
    assert listed == COMMANDS


def process(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "xstilts", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_process_ends_with_the_status(folder):
    found = process(folder, "--version")
    assert (found.returncode, found.stdout) == (0, f"{__version__}\n")
    found = process(folder, "status", "--study", "none.yaml")
    assert (found.returncode, found.stdout) == (BAD_INPUT, "")
    assert found.stderr == "xstilts status: none.yaml: no such file\n"
    found = process(folder, "trian", "x")
    assert found.returncode == BAD_INPUT
    assert "invalid choice: 'trian'" in found.stderr


def test_why_does_not_wait_for_torch(folder):
    code = "import sys; from xstilts.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-c", code, "why", "tiny.none.tatoeba.s1"]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "pandas", "sklearn", "matplotlib", "datasets", "pyarrow"}
    assert not heavy & set(found.stdout.split())
