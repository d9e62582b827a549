"""Files of a user, plain or inside a zip archive; a path such as `own.zip/de.tsv` is a member."""

import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from hashlib import file_digest
from io import BufferedReader
from os import stat_result
from pathlib import Path, PurePath
from typing import BinaryIO

from xstilts.errors import InputError

_ZIP = ".zip"
_POINTER = b"version https://git-lfs.github.com/spec/"
_DAMAGED = (
    *(gzip.BadGzipFile, zipfile.BadZipFile, EOFError, RuntimeError),
    *(zlib.error, lzma.LZMAError),
)


def matching(root: Path, pattern: str) -> Iterator[Path]:
    """Yield the files below `root` that match a pattern, also members of zip archives.

    As in a shell, only a pattern that begins with a point matches hidden files and folders. A
    pattern that ends in `.zip` means the only file of an archive. Raise InputError for an archive
    with several.
    """
    head, separator, member = pattern.partition(f"{_ZIP}/")
    if separator or pattern.endswith(_ZIP):
        for archive in sorted(root.glob(head + (_ZIP if separator else ""))):
            yield from _members(archive, member)
    else:
        for path in root.glob(pattern):
            if path.is_file() and not _is_hidden(path.relative_to(root), pattern):
                yield path


def _is_hidden(path: PurePath, pattern: str) -> bool:
    """Whether a path is what a program keeps for itself, such as `.ipynb_checkpoints/de.tsv`."""
    hidden = [part for part in path.parts if re.match(r"\.[^.]|__MACOSX$", part)]
    return bool(hidden) and not re.search(r"(^|/)\.[^./]|__MACOSX", pattern)


def _members(archive: Path, pattern: str) -> list[Path]:
    """Return the members of an archive that match; without a pattern, its only file."""
    with _explained(archive), zipfile.ZipFile(archive) as opened:
        names = [entry.filename for entry in opened.infolist() if not entry.is_dir()]
    names = [name for name in names if not _is_hidden(PurePath(name), pattern)]
    if not pattern and len(names) != 1:
        shown = ", ".join(names[:3])
        raise InputError(
            f"{archive}: {len(names)} files ({shown}), expected one; name it, as in "
            f"{archive.name}/NAME"
        )
    return [archive / name for name in names if not pattern or fnmatchcase(name, pattern)]


def _archive(path: Path) -> Path | None:
    """Return the zip archive that a path leads into; None for a plain file."""
    inside = (parent for parent in path.parents if parent.suffix == _ZIP and parent.is_file())
    return next(inside, None)


@contextmanager
def opened(path: Path, unpacked: bool = True) -> Iterator[BinaryIO]:
    """Open a file for reading; `.gz` is decompressed if `unpacked`.

    Raise InputError if it is damaged.
    """
    archive = _archive(path)
    with ExitStack() as stack, _explained(path):
        if archive is None:
            file = stack.enter_context(open(path, "rb"))
        else:
            parts = stack.enter_context(zipfile.ZipFile(archive))
            file = stack.enter_context(parts.open(path.relative_to(archive).as_posix()))
        if unpacked:
            _check_content(file, path)
        if unpacked and path.suffix == ".gz":
            file = stack.enter_context(gzip.open(file))
        yield file


def _check_content(file: BufferedReader, path: Path) -> None:
    """Raise InputError for what Git leaves in place of a large file that was not downloaded."""
    if file.peek(len(_POINTER)).startswith(_POINTER):
        raise InputError(
            f"{path}: a pointer of Git LFS instead of the file; `git lfs pull` downloads the file"
        )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn errors of damaged and unreadable files into an InputError."""
    try:
        yield
    except _DAMAGED as error:
        kind = "gzip" if path.suffix == ".gz" and not _archive(path) else "zip"
        raise InputError(f"{path}: not valid {kind}, or truncated: {error}") from None
    except KeyError:
        raise InputError(f"{path}: no such file in the archive") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def status(path: Path) -> stat_result:
    """Return the status of a file, or of the archive that it is in."""
    return (_archive(path) or path).stat()


def sha256(path: Path) -> str:
    """Return the sha256 of a file as it is; a member's is that of the file in the archive."""
    with opened(path, unpacked=False) as file:
        return file_digest(file, "sha256").hexdigest()
