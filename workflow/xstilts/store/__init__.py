"""The results folder: whole files, locks and provenance."""

from xstilts.store.files import (
    check_writable,
    json_lines,
    problem,
    publish,
    read_json,
    read_lines,
    read_rows,
    scratch,
    verify,
    write_bytes,
    write_json,
    write_lines,
    write_rows,
    write_text,
)
from xstilts.store.paths import (
    ABOUT,
    MANIFEST,
    SCRATCH,
    failure_file,
    lock_file,
    progress_file,
)

__all__ = [
    "ABOUT",
    "MANIFEST",
    "SCRATCH",
    "check_writable",
    "failure_file",
    "json_lines",
    "lock_file",
    "problem",
    "progress_file",
    "publish",
    "read_json",
    "read_lines",
    "read_rows",
    "scratch",
    "verify",
    "write_bytes",
    "write_json",
    "write_lines",
    "write_rows",
    "write_text",
]
