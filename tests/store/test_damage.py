"""Every file that a phase leaves: damage is named, and the remedy makes the next run repair it."""

import contextlib
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.tiny_project import STUDY, make_grid
from xstilts import store
from xstilts.errors import InputError
from xstilts.grid.artefacts import Checkpoint, Dataset, Predictions
from xstilts.grid.base import Artefact
from xstilts.grid.state import is_done
from xstilts.results.predictions import read_language
from xstilts.results.samples import read_examples
from xstilts.results.score_file import ScoreFile
from xstilts.stages import score as scoring
from xstilts.store.paths import RESULTS


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").touch()


def _rewrite(change, path: Path) -> None:
    path.write_bytes(change(path.read_bytes()))


DAMAGES = {
    "truncated": partial(_rewrite, lambda content: content[: len(content) // 2]),
    "empty": partial(_rewrite, lambda content: b""),
    "another byte": partial(_rewrite, lambda content: bytes([content[0] ^ 1]) + content[1:]),
    "longer": partial(_rewrite, lambda content: content + b"x"),
    "a folder": _folder,
    "missing": Path.unlink,
}


@pytest.fixture(scope="module")
def finished(_prepared, tmp_path_factory):
    """A working directory with all artefacts of a cell, and its grid."""
    from xstilts.stages import predict, train

    folder = tmp_path_factory.mktemp("finished") / "store"
    shutil.copytree(_prepared, folder)
    grid = make_grid(models=["xlmr"], train={**STUDY["train"], "max_steps": 1})
    [score] = grid.scores()
    with contextlib.chdir(folder):
        train.run(score.predictions.checkpoint)
        predict.run(score.predictions)
        scoring.run(score)
        shutil.copytree(RESULTS, "copy")
        yield score


def read(artefact: Artefact) -> None:
    """Read an artefact as the phase does that needs it."""
    match artefact:
        case Dataset():
            store.read_rows(Path(artefact.path))
        case Checkpoint():
            store.CheckpointManifest.verify(Path(artefact.path))
        case Predictions():
            for data in artefact.predicted:
                read_language(artefact, data)
        case _:
            ScoreFile.read(Path(artefact.path))
            read_examples(Path(artefact.examples_path))


def files(score) -> Iterator[tuple[Artefact, Path]]:
    """Yield every file of an artefact of each phase."""
    by_phase = {artefact.identity.phase: artefact for artefact in score.ancestors().values()}
    for artefact in [*by_phase.values(), score]:
        path = Path(artefact.path)
        found = sorted(path.glob("*")) if path.is_dir() else map(Path, artefact.files)
        yield from ((artefact, file) for file in found)


def restore(artefact: Artefact) -> None:
    """Put the files of an artefact back."""
    place = Path(artefact.path).parent if artefact.path.endswith(".json") else Path(artefact.path)
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree("copy" / place.relative_to(RESULTS), place)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_and_its_remedy_works(finished, damage):
    damaged = list(files(finished))
    assert {file.suffix for _, file in damaged} == {".json", ".jsonl", ".parquet", ".safetensors"}
    for artefact, path in damaged:
        DAMAGES[damage](path)
        if is_done(artefact):
            with pytest.raises(InputError) as error:
                read(artefact)
            message = str(error.value)
            assert message.startswith(str(path)), message
            [remedy] = re.findall(r"delete (\S+)", message)
            target = path if remedy in ("it", "the") else Path(remedy)
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
            assert not is_done(artefact), message
        restore(artefact)
