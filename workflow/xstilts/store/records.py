"""Records: small JSON files that this package writes and reads again, one class per format."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from xstilts.store.files import parse_json, reading, stamp

# may hold a number that is not finite, such as 1e999; `parse_json` decides
_NOT_FINITE = re.compile(rb"NaN|Infinity|[\s:,\[]-?[\d.]+[eE]\+?\d{3}")
_KEPT = 20_000  # parsed files in memory: a large study reads each manifest several times


class Record(BaseModel):
    """Content of a JSON file; keys of later versions are ignored."""

    model_config = ConfigDict(strict=True, populate_by_name=True, allow_inf_nan=False)

    @classmethod
    def load(cls, path: Path, remedy: str, if_missing: str = "run the workflow to make it") -> Self:
        """Return the content of a file, parsed once while the file does not change.

        Raise InputError naming the file, what is wrong, and the remedy.
        """
        with reading(path, remedy, if_missing):
            return _parsed(cls, path.absolute(), tuple(stamp(path.stat())))


def _check_libraries(provenance: dict[str, Any]) -> dict[str, Any]:
    libraries = provenance.get("libraries", {})
    if not (isinstance(libraries, dict) and all(isinstance(v, str) for v in libraries.values())):
        raise ValueError("expected the versions of `libraries` as text")
    return provenance


Provenance = Annotated[dict[str, Any], AfterValidator(_check_libraries)]


class Made(Record):
    """The provenance of any artefact: a part of its manifest or score file."""

    provenance: Provenance = {}


@lru_cache(_KEPT)
def _parsed(kind: type[Record], path: Path, unchanged: tuple[int, ...]) -> Record:
    content = path.read_bytes()
    if _NOT_FINITE.search(content):
        parse_json(content)  # pydantic accepts them where a field may hold anything
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise ValueError(_first_mistake(error)) from None


def _first_mistake(error: ValidationError) -> str:
    """Return the first mistake in a record, in plain words."""
    first = error.errors()[0]
    kind, place = first["type"], ".".join(str(part) for part in first["loc"] if part != "[key]")
    if kind == "json_invalid":
        return "not valid JSON"
    if not place and kind != "value_error":
        return "expected an object with keys"
    if kind == "missing":
        return f"no key {place!r}"
    message = first["msg"].removeprefix("Value error, ")
    return f"key {place!r}: {message[0].lower()}{message[1:]}" if place else message
