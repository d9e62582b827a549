"""The source `hub` and models, with the real clients, from a server on 127.0.0.1."""

import errno
import json
import os
import shutil

import pytest

from tests.hub.project import MODEL_FILES, STUDY, Project, model_files
from tests.hub.repositories import NLI, PAIR, benchmarks, dataset, nli, parquet
from tests.hub.server import sha256
from xstilts.errors import InputError
from xstilts.sources import models
from xstilts.stages import fetch


@pytest.fixture
def project(hub, tmp_path, root):
    """The benchmarks as tasks, and `tiny`, whose repository has more files than needed."""
    files = model_files(root("xlmr")) | {
        "README.md": b"# A model",
        "pytorch_model.bin": b"a pickle",
        "flax_model.msgpack": b"flax",
        "onnx/model.onnx": b"onnx",
        "onnx/config.json": b"{}",
    }
    commit = hub.add("models", "some/tiny", files)
    models = {"tiny": {"hub": {"repository": "some/tiny", "revision": commit}}}
    return Project(tmp_path / "project", hub, benchmarks(hub), models)


@pytest.mark.slow
def test_an_interrupted_download_resumes(hub, project):
    make = ("make", "-o", ".venv/made", "fetch", "STUDY=config/config.yaml")
    weights = hub.repositories["models/some/tiny"][1]["model.safetensors"]
    training = hub.repositories["datasets/nyu-mll/glue"][1]["mnli/train-00000-of-00001.parquet"]
    hub.dropped = {sha256(data): 100 for data in (weights, training)}
    broken = project.run(*make)
    printed = broken.stdout + broken.stderr
    assert broken.returncode != 0
    assert "xstilts fetch: model some/tiny@" in printed
    assert "xstilts fetch: dataset nyu-mll/glue@" in printed
    assert "run again where there is a network: complete files are kept" in printed
    assert "Traceback" not in printed
    assert project.published().keys() == {"xnli.en.test", "xnli.de.test"}
    for folder in ("hub", "checkpoints"):  # nothing incomplete under a final name
        for path in (project.folder / "results" / folder).glob("*"):
            assert (path / "manifest.json").exists(), path

    first = hub.downloads()
    hub.dropped = {}
    hub.requests.clear()
    fetched = project.run(*make)
    assert fetched.returncode == 0, fetched.stdout + fetched.stderr
    assert "1/1 mnli/train-00000-of-00001.parquet, 1." in fetched.stderr
    assert hub.downloads() == {
        "datasets/nyu-mll/glue/mnli/train-00000-of-00001.parquet",
        "models/some/tiny/model.safetensors",
    }
    assert first | hub.downloads() == {
        "datasets/nyu-mll/glue/README.md",
        "datasets/nyu-mll/glue/mnli/train-00000-of-00001.parquet",
        "datasets/facebook/xnli/README.md",
        "datasets/facebook/xnli/en/test-00000-of-00001.parquet",
        "datasets/facebook/xnli/de/test-00000-of-00001.parquet",
        *(f"models/some/tiny/{name}" for name in MODEL_FILES),
    }
    assert project.published().keys() == {
        "mnli.mnli.train",
        "xnli.en.test",
        "xnli.de.test",
        "tiny.hub",
    }
    assert not list(project.folder.glob("results/scratch/*"))

    hub.requests.clear()
    again = project.run(*make)
    assert again.returncode == 0, again.stdout + again.stderr
    assert hub.requests == []

    hub.stop()
    study = project.run("snakemake")
    assert study.returncode == 0, study.stdout + study.stderr
    assert len(list(project.folder.glob("results/scores/*.json"))) == 1

    # prepared data no longer need their download
    shutil.rmtree(project.folder / "results" / "hub")
    rest = project.run("snakemake", "--dry-run")
    assert "Nothing to be done" in rest.stdout + rest.stderr
    hub.start()


def one_task(**split) -> dict:
    return {
        "family": "classify",
        "roles": ["intermediate", "target"],
        "languages": ["en"],
        "splits": {"test": {"source": "hub", "columns": PAIR, "labels": NLI, **split}},
        "metrics": ["accuracy"],
    }


def fetch_and_prepare(project: Project, tasks: dict[str, dict], models: dict | None = None) -> dict:
    """Return exit status and stderr of both commands for each task or model."""
    project.write("tasks/all.yaml", tasks)
    if models:
        project.write("models/all.yaml", models)
    commands, owners = [], []
    for name in models or tasks:
        study = {**STUDY, **({"models": [name]} if models else {"targets": [name]})}
        project.write(f"studies/{name}.yaml", {**study, "study": name})
        artefacts = project.grid(**{k: study[k] for k in ("models", "targets")}).artefacts()
        groups = {"fetch": artefacts.downloads, "prepare": artefacts.datasets}
        for command, ids in groups.items():
            wanted = [id for id in ids if id.startswith(f"{name}.")]
            if wanted:
                commands.append([command, "--study", f"config/studies/{name}.yaml", *wanted])
                owners.append(name)
    printed: dict[str, list] = {}
    for name, outcome in zip(owners, project.commands(*commands), strict=True):
        printed.setdefault(name, []).append(outcome)
    return printed


def test_each_dataset_error_is_one_message(hub, project):
    usual = dataset({"a": {"test": nli(3)}, "b": {"test": nli(3), "train": nli(3)}})
    commit = hub.add("datasets", "some/data", usual)
    place = {"repository": "some/data", "revision": commit, "config": "a", "split": "test"}
    script = hub.add("datasets", "old/script", {"script.py": b"raise SystemExit(7)"})
    gated = hub.add("datasets", "some/gated", usual)
    hub.gated.add("datasets/some/gated")
    xml = hub.add("datasets", "some/xml", {"t.xml": b"<a/>"})
    column = {**PAIR, "text_a": "premis"}
    cases = {
        "missing_repository": (
            {**place, "repository": "no/such"},
            "dataset no/such: not on the Hub, or private: check its name",
        ),
        "missing_revision": (
            {**place, "revision": "0" * 40},
            f"dataset some/data: no revision {'0' * 40}: its commits are on ",
        ),
        "missing_split": (
            {**place, "config": "b", "split": "tset"},
            "dataset some/data, config 'b': no split 'tset'; did you mean 'test'?",
        ),
        "missing_config": ({**place, "config": "c"}, "'c' not found. Available: ['a', 'b']"),
        "no_config": ({**place, "config": ""}, "Please pick one among the available configs"),
        "missing_files": (
            {**place, "files": "x/*.parquet"},
            "dataset some/data: no file x/*.parquet",
        ),
        "gated": (
            {**place, "repository": "some/gated", "revision": gated},
            "dataset some/gated: gated: accept its terms on ",
        ),
        "script": (
            {**place, "repository": "old/script", "revision": script},
            "dataset old/script: a script, and scripts are never run; ",
        ),
        "xml": (
            {**place, "repository": "some/xml", "revision": xml, "config": "", "files": "*.xml"},
            "dataset some/xml: t.xml: expected one of .parquet, .jsonl, .json, .csv, .tsv, .txt, "
            ".conll; ",
        ),
        "wrong_column": (
            {**place, "columns": column},
            "row 1: no column 'premis'; did you mean 'premise'? Its columns: premise, hypothesis,",
        ),
        "wrong_label": (
            {**place, "labels": {0: "entailment", 1: "neutral"}},
            "row 3: unknown label '2'; valid: 0, 1",
        ),
        "repeated_id": (
            {**place, "config": "b", "split": "test+train", "columns": {**PAIR, "id": "label"}},
            "id '0' is repeated; first in ",
        ),
        "nothing_left": ({**place, "only": {"premise": "x*"}}, "no row with {'premise': 'x*'}"),
    }
    printed = fetch_and_prepare(
        project, {name: one_task(**split) for name, (split, _) in cases.items()}
    )
    for name, (_, expected) in cases.items():
        status, text = next(outcome for outcome in printed[name] if outcome[0] != 0)
        assert status == 2, name
        assert expected in text, (name, text)
        assert "Traceback" not in text, name
        assert len(text.strip().splitlines()) <= 3, text  # progress, then the message
    assert "refs/convert/parquet" in printed["script"][0][1]
    # after a failed fetch, prepare reports the missing download
    assert "not downloaded yet; run `make fetch" in printed["script"][1][1]


def test_a_glob_selects_the_parquet_copy(hub, project):
    files = {
        "mnli/train/0000.parquet": parquet(nli(2)),
        "mnli/test/0000.parquet": parquet(nli(3)),
        "mnli/test/0001.parquet": parquet(nli(4)),
    }
    commit = hub.add("datasets", "old/script", files)
    split = {"repository": "old/script", "revision": commit, "split": "test"}
    printed = fetch_and_prepare(project, {"copy": one_task(files="mnli/test/*.parquet", **split)})
    assert [status for status, _ in printed["copy"]] == [0, 0]
    assert "copy.en.test: 7 rows" in printed["copy"][1][1]
    assert [p.name for p in project.published()["copy.default.test"].glob("*.parquet")]
    assert not any("train" in name for name in hub.downloads())


def test_an_unreachable_hub_is_one_message(hub, project):
    hub.stop()
    artefacts = project.grid().artefacts()
    data = next(id for id in artefacts.downloads if id.startswith("xnli"))
    model = next(id for id in artefacts.downloads if ".hub." in id)
    for status, text in project.commands(["fetch", data], ["fetch", model]):
        assert status == 2
        assert "run again where there is a network" in text
        assert "Traceback" not in text
    hub.start()


@pytest.mark.slow
def test_models_in_every_usual_form(hub, project, root, tmp_path, rows):
    import io

    import sentencepiece
    import torch
    import transformers
    from safetensors.torch import load_file, save_file

    plain = model_files(root("xlmr"))
    texts = [row["text"] for row in rows("text", "en", "train")]
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=trained, vocab_size=180, hard_vocab_limit=False
    )
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(" ".join(texts).split()))]
    state = load_file(root("xlmr") / "model.safetensors")
    halves = [dict(list(state.items())[::2]), dict(list(state.items())[1::2])]
    shards, index = {}, {}
    for number, half in enumerate(halves, 1):
        name = f"model-0000{number}-of-00002.safetensors"
        save_file(half, tmp_path / name, {"format": "pt"})
        shards[name] = (tmp_path / name).read_bytes()
        index |= dict.fromkeys(half, name)
    sharded = {**plain, **shards}
    del sharded["model.safetensors"]
    sharded["model.safetensors.index.json"] = json.dumps({"weight_map": index}).encode()
    sharded["model-00003-of-00003.safetensors"] = b"of another release"
    pickled = {name: data for name, data in plain.items() if name != "model.safetensors"}
    pickle = io.BytesIO()
    torch.save(state, pickle)
    spm = {name: plain[name] for name in ("config.json", "model.safetensors")} | {
        "sentencepiece.bpe.model": trained.getvalue()
    }

    bert = transformers.BertConfig(
        vocab_size=len(words) + 100,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=80,
    )
    transformers.BertModel(bert).save_pretrained(tmp_path / "bert")
    encoder = {
        name: (tmp_path / "bert" / name).read_bytes()
        for name in ("config.json", "model.safetensors")
    }
    # as microsoft/Multilingual-MiniLM-L12-H384: a BERT with XLM-R's pieces
    minilm_config = json.loads(encoder["config.json"]) | {"tokenizer_class": "XLMRobertaTokenizer"}
    good = {
        "sharded": sharded,
        "converted": {**pickled, "pytorch_model.bin": pickle.getvalue()},
        "sentencepiece": spm,
        "wordpiece": {**encoder, "vocab.txt": "\n".join(words).encode()},
        "minilm": {
            **encoder,
            "config.json": json.dumps(minilm_config).encode(),
            "sentencepiece.bpe.model": trained.getvalue(),
        },
    }
    small = json.loads(plain["config.json"]) | {"vocab_size": 10}
    code = json.loads(plain["config.json"]) | {
        "model_type": "unheard_of",
        "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"},
    }
    bad = {
        "pickled": (
            {"pytorch_model.bin": b"x", "config.json": b"{}"},
            "model some/pickled: no model.safetensors (pytorch_model.bin): other formats can run",
        ),
        "no_pickle": (
            {**pickled, "pytorch_model.bin": b"x"},
            "model some/no_pickle: pytorch_model.bin is not converted: it is damaged or holds",
        ),
        "no_tokenizer": (
            {name: plain[name] for name in ("config.json", "model.safetensors")},
            "model some/no_tokenizer: no tokenizer: none of tokenizer.json",
        ),
        "too_small": (
            {**plain, "config.json": json.dumps(small).encode()},
            "but the model has only 10 embeddings",
        ),
        "code": (
            {**plain, "config.json": json.dumps(code).encode(), "evil.py": b"raise SystemExit(7)"},
            "model some/code: transformers cannot read it: ",
        ),
        "gated_model": (plain, "model some/gated_model: gated: accept its terms on "),
        "gone": (None, "model some/gone: not on the Hub, or private"),
    }
    hub.gated.add("models/some/gated_model")
    repositories = good | {name: files for name, (files, _) in bad.items()}
    models = {}
    for name, files in repositories.items():
        commit = hub.add("models", f"some/{name}", files) if files else "0" * 40
        models[name] = {"hub": {"repository": f"some/{name}", "revision": commit}}
        models[name]["hub"] |= {"convert": True} if name in ("converted", "no_pickle") else {}
    printed = fetch_and_prepare(project, benchmarks(hub), models)
    for name, (_, expected) in bad.items():
        ((status, text),) = printed[name]
        assert status == 2, name
        assert expected in text, (name, text)
        assert "Traceback" not in text
    assert not any(
        name.endswith(("evil.py", "pickled/pytorch_model.bin", "of-00003.safetensors"))
        for name in hub.downloads()
    )
    for name in good:
        ((status, text),) = printed[name]
        assert status == 0, (name, text)
        from xstilts.modelling.checkpoints import load_tokenizer, load_weights

        folder = project.published()[f"{name}.hub"]
        tokenizer = load_tokenizer(folder)
        ids = tokenizer(texts[0])["input_ids"]
        assert ids.count(tokenizer.unk_token_id) < len(ids) / 3, name
        assert load_weights(folder)
        assert json.loads((folder / "manifest.json").read_text())["pretrained_pooler"] == (
            name in ("wordpiece", "minilm")
        )
    for name in ("sharded", "converted"):
        together = load_weights(project.published()[f"{name}.hub"])
        assert together.keys() == state.keys()
        assert all(torch.equal(together[key], state[key]) for key in state)
    manifest = json.loads((project.published()["converted.hub"] / "manifest.json").read_text())
    digest = sha256(pickle.getvalue())
    assert manifest["provenance"]["converted"] == {"pytorch_model.bin": digest}
    assert f"pytorch_model.bin (sha256 {digest}) written as" in printed["converted"][0][1]


def test_weights_without_safetensors_name_both_remedies():
    with pytest.raises(InputError, match=r"SFconvertbot.*`convert: true` below `hub`"):
        models.beside_weights({"pytorch_model.bin"}, "model a/b", models.CONVERTED)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.EACCES])
def test_errors_of_the_machine_have_their_remedy(monkeypatch, number):
    monkeypatch.setattr(fetch, "_check_access", lambda *_: None)
    error = OSError(number, os.strerror(number), "model.safetensors")
    remedy = rf"^model some/tiny: model\.safetensors: {os.strerror(number)}\. .*run again"
    with pytest.raises(InputError, match=remedy), fetch.explained("model", "some/tiny", "main"):
        raise error
