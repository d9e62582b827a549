"""The results folder: complete files, locks and provenance."""

from xstilts.store.files import (
    check_addresses,
    check_writable,
    disk_bytes,
    json_lines,
    link_or_copy,
    machine_error,
    problem,
    read_json,
    read_lines,
    read_object,
    remove_temporaries,
    scratch,
    write_bytes,
    write_json,
    write_lines,
    write_text,
)
from xstilts.store.manifest import (
    CheckpointManifest,
    DatasetManifest,
    Manifest,
    is_released,
    record_of,
)
from xstilts.store.paths import (
    ABOUT,
    MANIFEST,
    SCRATCH,
    failure_file,
    lock_file,
    progress_file,
)
from xstilts.store.rows import read_rows, write_rows
