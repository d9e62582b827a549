"""The guard of identity: results must not change while their digests stay.

A digest holds the version of the phase and the settings that differ from their defaults. Recorded
in phase_hashes.json are therefore, for each phase, its version, a hash of the code that makes its
results and the defaults of its settings. Comments, docstrings and layout do not count.

    python tests/test_versions.py --record      after a change that was considered
"""

import ast
import json
import sys
from pathlib import Path

import pytest

from xstilts import identity, origins, settings

PACKAGE = Path(identity.__file__).parent
RECORD = Path(__file__).with_name("phase_hashes.json")

# The code that determines a phase's results, beyond its own stage.
_FAMILIES = "families/*.py"
CODE = {
    "fetch": [
        "stages/fetch.py",
        *(f"sources/{name}.py" for name in ("__init__", "hub", "languages", "records", "tables")),
        *(f"sources/{name}.py" for name in ("sentences", "squad", "words")),
    ],
    "prepare": [
        "stages/prepare.py",
        "sources/*.py",
        "lab/*.py",
        "recipe.py",
        _FAMILIES,
        "metrics.py",
    ],
    "initialise": ["stages/initialise.py", "models.py", "heads.py", _FAMILIES, "metrics.py"],
    "train": [
        "stages/train.py",
        "callbacks.py",
        "distributed.py",
        "lora.py",
        "batches.py",
        "recipe.py",
        "models.py",
        "heads.py",
        "inference.py",
        _FAMILIES,
        "metrics.py",
    ],
    "predict": [
        "stages/predict.py",
        "models.py",
        "heads.py",
        "inference.py",
        _FAMILIES,
        "metrics.py",
    ],
    "score": ["stages/score.py", _FAMILIES, "metrics.py"],
}
# What every stage uses and no result depends on: a digest has what configuration and expansion
# resolve to, the store moves files, the rest is words and provenance.
NEUTRAL = {
    "artefacts",
    "checks",
    "config",
    "origins",
    "settings",
    "errors",
    "identity",
    "store/provenance",
    "store/files",
    "store/__init__",
    "study",
    "__init__",
}
# Settings that a digest leaves out where they have their default.
SETTINGS = {
    "fetch": [origins.HubModel],
    "prepare": [origins.LabSplit, origins.FilesSplit, origins.HubSplit],
    "initialise": [origins.Init],
    "train": [settings.Encode, settings.Train, settings.Lora, settings.Predict],
    "predict": [settings.Encode, settings.Predict],
    "score": [],
}


def files(phase: str) -> list[Path]:
    """The modules of a phase."""
    return sorted(path for pattern in CODE[phase] for path in PACKAGE.glob(pattern))


def current() -> dict[str, dict]:
    """Version and hash of each phase as they are now."""
    found = {
        phase: {
            "version": identity.VERSIONS[phase],
            "code": identity.code_hash(*files(phase)),
            "defaults": {
                model.__name__: {
                    name: field.default
                    for name, field in model.model_fields.items()
                    if not field.is_required()
                }
                for model in SETTINGS[phase]
            },
        }
        for phase in CODE
    }
    return json.loads(json.dumps(found))  # as it is recorded


def complaint(phase: str, recorded: dict, now: dict) -> str | None:
    """What to do about a phase that is not as it was recorded."""
    if recorded == now:
        return None
    what = [key for key in now if recorded.get(key) != now[key]]
    return (
        f"phase {phase!r}: its {' and '.join(what)} changed since {RECORD.name} was recorded.\n"
        f"1. If any result of this phase can change: raise identity.VERSIONS[{phase!r}], now "
        f"{now['version']}. Everything that it made is then to do again.\n"
        f"2. In any case: python tests/{Path(__file__).name} --record"
    )


@pytest.mark.parametrize("phase", list(identity.VERSIONS))
def test_a_change_of_code_was_considered(phase):
    recorded = json.loads(RECORD.read_text(encoding="utf-8")).get(phase, {})
    message = complaint(phase, recorded, current()[phase])
    assert message is None, "\n" + str(message)


def test_every_phase_has_its_code():
    assert CODE.keys() == SETTINGS.keys() == identity.VERSIONS.keys()
    for phase, patterns in CODE.items():
        for pattern in patterns:
            assert list(PACKAGE.glob(pattern)), f"{phase}: no file {pattern}"


def _module_file(name: str) -> Path:
    path = PACKAGE.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imports(path: Path) -> set[Path]:
    """The package's modules that a module imports, wherever in it, neutral ones left out."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports are not followed"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Attribute) and node.attr == "import_module":
            # the one dynamic import: a family by its name
            assert path == PACKAGE / "families" / "__init__.py", path
            found |= set(PACKAGE.glob(_FAMILIES))
        ours = [name for name in names if name.split(".")[0] == "xstilts"]
        found |= {file for file in map(_module_file, ours) if file.exists()}
    return {
        file
        for file in found
        if file.relative_to(PACKAGE).with_suffix("").as_posix() not in NEUTRAL
    }


@pytest.mark.parametrize("phase", list(CODE))
def test_the_code_of_a_phase_is_what_its_stage_imports(phase):
    reached, todo = set(), {PACKAGE / "stages" / f"{phase}.py"}
    while todo:
        path = todo.pop()
        reached.add(path)
        todo |= _imports(path) - reached
    listed = set(files(phase))
    names = [
        sorted(str(path.relative_to(PACKAGE)) for path in paths) for paths in (reached, listed)
    ]
    assert names[0] == names[1]


def test_comments_layout_and_imports_do_not_count(tmp_path):
    path = tmp_path / "module.py"
    path.write_text('"""Docs."""\n\ndef f(x):\n    """Docs."""\n    return x + 1  # comment\n')
    before = identity.code_hash(path)
    path.write_text("def f(\n    x,\n):\n    return (x\n        + 1)\n")
    assert identity.code_hash(path) == before
    path.write_text("import re\n\n\ndef f(x):\n    import os\n\n    return x + 1\n")
    assert identity.code_hash(path) == before
    path.write_text("def f(x):\n    return x + 2\n")
    assert identity.code_hash(path) != before


def test_what_changed_is_said_with_what_to_do(monkeypatch):
    before = current()
    assert all(complaint(phase, before[phase], before[phase]) is None for phase in before)
    monkeypatch.setitem(identity.VERSIONS, "train", identity.VERSIONS["train"] + 1)
    after = current()
    changed = [phase for phase in after if complaint(phase, before[phase], after[phase])]
    assert changed == ["train"], "a raised version is to be recorded too"
    message = complaint("train", before["train"], {**before["train"], "code": "0"})
    assert "its code changed" in message
    assert "raise identity.VERSIONS['train']" in message
    assert "python tests/test_versions.py --record" in message


def test_another_default_is_noticed(monkeypatch):
    before = current()
    monkeypatch.setattr(settings.Encode.model_fields["max_length"], "default", 256)
    after = current()
    changed = {phase for phase in after if complaint(phase, before[phase], after[phase])}
    assert changed == {"train", "predict"}


if __name__ == "__main__":
    if sys.argv[1:] != ["--record"]:
        sys.exit(f"usage: python {sys.argv[0]} --record")
    RECORD.write_text(json.dumps(current(), indent=1) + "\n", encoding="utf-8")
