"""Identity: the path of a result states what determines its content.

Every artefact is stored under a readable name that ends in a digest. The digest covers everything
that determines the content and nothing else: the version of the phase, the resolved settings, the
data, and the digests of the parents. An artefact that exists is therefore current, and a missing
one must be made; modification times decide nothing. Host names, dates and library versions are
provenance, never identity.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

# Raise a phase's version when its results change: all its results must then be made again.
# tests/golden fails when a phase computes something else and its version was not raised. If only
# one family trains other weights, raise `Family.VERSION`; if one format is read differently, that
# of `READERS`.
VERSIONS = {
    **{"fetch": 1, "prepare": 2, "initialise": 1},
    **{"train": 2, "merge": 1, "predict": 3, "score": 2},
}

# Versions of the reading of files by format, where it is not the first
READERS = {"tsv": 2}  # texts in quotation marks

_LENGTH = 12  # hex digits; 48 bits: a collision among a million artefacts has odds of 1 in 500
# Bytes of the readable part that are kept of a long name: its beginning, with the model, and its
# end, with seed and target. File systems allow 255 bytes, including digest and ending.
_KEPT_FIRST, _KEPT_LAST = 90, 90


def canonical(value: Any) -> str:
    """Return canonical JSON: sorted keys, no spaces. Raise ValueError for NaN and infinity."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(value: Any) -> str:
    """Return the first 12 hex digits of the sha256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:_LENGTH]


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's content in hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_sha256(content: str) -> str:
    """Return the sha256 of a text in UTF-8, in hex digits: that of its file."""
    return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Identity:
    """Everything that determines an artefact: its phase, and the `content` of that phase."""

    phase: str
    name: str
    content: Mapping[str, Any]

    @cached_property
    def digest(self) -> str:
        """Digest of phase, version and content; the readable name is not part of it."""
        return digest({"phase": self.phase, "version": VERSIONS[self.phase], **self.content})

    @cached_property
    def id(self) -> str:
        """File or folder name of the artefact: `name.digest`."""
        return f"{shortened(self.name)}.{self.digest}"


def shortened(name: str) -> str:
    """Return a name that fits in a file name, long ones without their middle."""
    text = name.encode()
    if len(text) <= _KEPT_FIRST + _KEPT_LAST:
        return name
    first, last = text[:_KEPT_FIRST], text[-_KEPT_LAST:]
    return f"{first.decode(errors='ignore')}..{last.decode(errors='ignore')}"
