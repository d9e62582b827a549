"""Reminder that the code of a phase changed since its hash was recorded; `make lint` prints it.

Only results count: the golden results in `tests/golden` fail when a phase computes something else.
The hash of the code sees what these tests do not exercise. It ignores comments, layout and imports.

    python -m tests.phase_code              list the phases whose code changed
    python -m tests.phase_code --record     record the present hashes
"""

import ast
import json
import sys
from functools import lru_cache
from pathlib import Path

from xstilts import identity
from xstilts.config import origins, settings

PACKAGE = Path(identity.__file__).parent
RECORD = Path(__file__).with_name("phase_hashes.json")
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_IMPORTS = (ast.Import, ast.ImportFrom)

# Modules and folders that compute the results of a phase.
_NUMBERS = ("families", "metrics.py")
CODE = {
    "fetch": ("stages/fetch.py", "sources", "languages"),
    "prepare": (
        *("stages/prepare.py", "grid/rows.py", "sources", "languages", "lab", "recipe.py"),
        *_NUMBERS,
    ),
    "initialise": ("stages/initialise.py", "modelling", *_NUMBERS),
    "train": ("stages/train.py", "modelling", "recipe.py", *_NUMBERS),
    "merge": ("stages/merge.py", "modelling", "recipe.py", *_NUMBERS),
    "predict": ("stages/predict.py", "modelling", *_NUMBERS),
    "score": ("stages/score.py", "results/predictions.py", "results/score_file.py", *_NUMBERS),
}
# A digest omits settings at their default, so a changed default changes results under one digest.
SETTINGS = {
    "fetch": (origins.HubModel,),
    "prepare": (origins.LabSplit, origins.FilesSplit, origins.HubSplit),
    "initialise": (origins.Init,),
    "train": (settings.Encode, settings.Train, settings.Lora, settings.Predict),
    "merge": (),
    "predict": (settings.Encode, settings.Predict),
    "score": (),
}


def code_hash(*paths: Path) -> str:
    """Return a hash of Python files.

    It ignores comments, docstrings, layout, imports and file names.
    """
    return identity.digest(sorted(_tree(path.read_text(encoding="utf-8")) for path in paths))


@lru_cache
def _tree(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body.pop(0)
        for field in ("body", "orelse"):
            lines = getattr(node, field, None)
            if isinstance(lines, list):
                kept = [line for line in lines if not isinstance(line, _IMPORTS)]
                setattr(node, field, kept)
    return ast.dump(tree)


def current() -> dict[str, dict]:
    """Return the version, code hash and default settings of each phase."""
    phases = {
        phase: {
            "version": version,
            "code": code_hash(*_files(CODE[phase])),
            "defaults": {model.__name__: _defaults(model) for model in SETTINGS[phase]},
        }
        for phase, version in identity.VERSIONS.items()
    }
    return json.loads(json.dumps(phases))  # tuples become lists, as in the record


def changes(recorded: dict[str, dict], now: dict[str, dict]) -> list[str]:
    """Return one line for each phase that differs from the record."""
    return [
        f"{phase}: {' and '.join(different)} changed. If any result can change, raise "
        f"identity.VERSIONS[{phase!r}] (now {values['version']})."
        for phase, values in now.items()
        if (different := [key for key in values if recorded.get(phase, {}).get(key) != values[key]])
    ]


def _files(places: tuple[str, ...]) -> list[Path]:
    paths = [PACKAGE / place for place in places]
    return [file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))]


def _defaults(model: type) -> dict:
    fields = model.model_fields.items()
    return {name: field.default for name, field in fields if not field.is_required()}


def main() -> None:
    """Print the reminder, or record the hashes."""
    if sys.argv[1:] == ["--record"]:
        RECORD.write_text(json.dumps(current(), indent=1) + "\n", encoding="utf-8")
    elif lines := changes(json.loads(RECORD.read_text(encoding="utf-8")), current()):
        print("Reminder, not an error:", *lines, sep="\n  ")
        print("  Then record the new state: python -m tests.phase_code --record")


if __name__ == "__main__":
    main()
