"""Subsets of a target's test examples, and the files that list their ids."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, model_validator

from xstilts.config.origins import Strict
from xstilts.errors import InputError
from xstilts.store.files import reading

EVERYWHERE = ""  # in place of a language: the same examples in all languages


class Subset(Strict):
    """Some of the test examples of a target, or another target instead of them."""

    target: str = Field(description="Target of the study.")
    wrong: str | None = Field(
        None,
        description="Task with the target's test data. The subset is what the study's first model "
        "gets wrong in the source language, trained on this task alone with the first seed.",
    )
    ids: str | None = Field(
        None,
        description="File in the `data` folder with the id of one example per line. A tab and a "
        "language after the id restrict it to that language.",
    )
    whole: str | None = Field(
        None, description="Another target of the study; all its test examples are the subset."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> "Subset":
        if sum(given is not None for given in (self.wrong, self.ids, self.whole)) != 1:
            raise ValueError("expected exactly one of `wrong`, `ids` and `whole`")
        return self


def read_ids(path: Path) -> dict[str, set[str]]:
    """Return the ids of examples by language, or by EVERYWHERE.

    Raise InputError naming file and line.
    """
    ids: dict[str, set[str]] = defaultdict(set)
    with reading(path):
        lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        id, *languages = [cell.strip() for cell in line.split("\t")]
        if not id or len(languages) > 1:
            raise InputError(
                f"{path}, line {number}: expected an id, or an id, a tab and a language"
            )
        language = languages[0] if languages else EVERYWHERE
        if id in ids[language]:
            raise InputError(f"{path}, line {number}: {id!r} is given twice")
        ids[language].add(id)
    if not ids:
        raise InputError(f"{path}: the file has no ids; expected one per line")
    return dict(ids)


def check_ids(path: Path, ids: Mapping[str, set[str]], examples: Mapping[str, set[str]]) -> None:
    """Raise InputError for a language or an id that is not in the target's test data."""
    everywhere = set().union(*examples.values())
    for language, chosen in ids.items():
        if language and language not in examples:
            raise InputError(f"{path}: no test data in language {language!r}")
        unknown = sorted(chosen - (examples[language] if language else everywhere))
        if unknown:
            raise InputError(f"{path}: no test example has id {unknown[0]!r}")
