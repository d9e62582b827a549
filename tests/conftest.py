"""Fixtures of the tiny project, whose data and initial models are prepared once."""

import contextlib
import gc
import shutil
from pathlib import Path
from types import SimpleNamespace

import hypothesis
import pytest

from tests import SMALL, made_once, restored_signals
from tests.tiny_project import Workspace, architecture, fill, make_grid

# the same examples on every machine, however slow it is
hypothesis.settings.register_profile(
    "xstilts", deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)
hypothesis.settings.load_profile("xstilts")


@pytest.fixture
def small_folder(tmp_path, monkeypatch) -> Path:
    """Working directory with the small study and no results."""
    shutil.copytree(SMALL, tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def _prepared(tmp_path_factory) -> Path:
    def make(folder: Path) -> None:
        with contextlib.chdir(folder):
            fill()

    folder = made_once(tmp_path_factory, "prepared", make)
    # the Trainer collects garbage after each training, and would visit the libraries' objects
    gc.freeze()
    return folder


@pytest.fixture
def workspace(_prepared, tmp_path, monkeypatch):
    """A copy of the prepared store for one test, as working directory."""
    folder = tmp_path / "workspace"
    shutil.copytree(_prepared, folder)
    monkeypatch.chdir(folder)
    with restored_signals():
        yield Workspace(folder)


@pytest.fixture(scope="session")
def _classes(_prepared, tmp_path_factory) -> Path:
    from tests import real_classes

    folder = tmp_path_factory.mktemp("classes") / "store"
    shutil.copytree(_prepared, folder)
    with contextlib.chdir(folder):
        real_classes.fill(real_classes.grid())
    return folder


@pytest.fixture(scope="module")
def published(_classes, tmp_path_factory):
    """Grid of every real class of model, with a copy of their store as working directory."""
    from tests import real_classes

    folder = tmp_path_factory.mktemp("published") / "store"
    shutil.copytree(_classes, folder)
    with contextlib.chdir(folder):
        yield real_classes.grid()


@pytest.fixture(scope="session")
def root(_prepared):
    """Function from a model's name to the folder of its initial checkpoint."""
    grid = make_grid()
    return lambda model: _prepared / grid.trainings.root(model).path


@pytest.fixture(scope="session")
def rows(_prepared):
    """Function that returns canonical rows: rows(task, language, split)."""
    from xstilts import store

    grid = make_grid()
    return lambda *names: store.read_rows(_prepared / grid.data.dataset(*names).path)


@pytest.fixture(scope="session")
def tokenizer(root):
    """A tokenizer like XLM-R's, with 200 pieces."""
    from xstilts.modelling.checkpoints import load_tokenizer

    return load_tokenizer(root("xlmr"))


@pytest.fixture(scope="session")
def bert(tmp_path_factory, rows) -> SimpleNamespace:
    """A BERT with WordPiece, and with token types that distinguish the texts of a pair."""
    import transformers

    from xstilts.modelling import checkpoints

    folder = tmp_path_factory.mktemp("bert")
    text = " ".join(row["text"] for row in rows("text", "en", "train"))
    characters = sorted(set(text) - {" "})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(text.split()))[:80]]
    pieces = dict.fromkeys([*pieces, *characters, *(f"##{c}" for c in characters)])
    tokenizer = transformers.BertTokenizer({piece: id for id, piece in enumerate(pieces)})
    tokenizer.save_pretrained(folder)
    checkpoints.initialise(architecture("bert"), tokenizer, 1).save_pretrained(folder)
    return SimpleNamespace(folder=folder, tokenizer=checkpoints.load_tokenizer(folder))


@pytest.fixture(scope="session")
def nfkc(root):
    """The tiny tokenizer with XLM-R's normalisation: one character can become many tokens."""
    import tokenizers

    from xstilts.modelling.checkpoints import load_tokenizer

    tokenizer = load_tokenizer(root("xlmr"))
    tokenizer.backend_tokenizer.normalizer = tokenizers.normalizers.NFKC()
    return tokenizer


@pytest.fixture(scope="session")
def tokenizers(tokenizer, nfkc, bert) -> dict:
    """Three kinds of tokenizer by name."""
    return {"sentencepiece": tokenizer, "nfkc": nfkc, "wordpiece": bert.tokenizer}
