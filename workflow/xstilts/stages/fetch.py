"""fetch: datasets and models from the Hub at pinned commits. The only stage with a network.

Code from a repository never runs: datasets that are scripts are refused, and weights must be in
safetensors, or an entry asks for their conversion. An interrupted run keeps its complete files in
`results/scratch/` and resumes.

Import this module after `go_online`: the Hub's libraries read the environment when imported.
"""

import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from huggingface_hub import HfApi, HfFileSystem, constants, errors, hf_hub_download
from huggingface_hub.hf_api import RepoFile
from tqdm import tqdm

from xstilts import store
from xstilts.errors import InputError, nearest
from xstilts.grid.artefacts import Checkpoint, Download
from xstilts.grid.base import Artefact
from xstilts.identity import file_sha256
from xstilts.sources import models
from xstilts.sources.hub import READERS, kind
from xstilts.store.provenance import provenance
from xstilts.units import count, size

log = logging.getLogger("xstilts")

PARQUET_COPY = (
    "the Hub keeps a copy of many datasets in Parquet: state `branch: refs/convert/parquet` or a "
    "commit of it as `revision`, and as `files` e.g. CONFIG/SPLIT/*.parquet"
)
SCRIPT = f"a script, and scripts are never run; {PARQUET_COPY}"
UNPINNED = (
    "no commit is stated; run `xstilts pin --study STUDY` where there is a network, and commit the "
    "lock file"
)
PROGRESS_SECONDS = 10


def run(artefacts: Sequence[Download | Checkpoint]) -> None:
    """Fetch every missing artefact. Raise InputError for what the Hub does not have."""
    for artefact in artefacts:
        if (Path(artefact.path) / store.MANIFEST).exists():
            continue
        started = time.monotonic()
        data = isinstance(artefact, Download)
        origin = artefact.origin if data else artefact.origin.model_dump()
        if not origin["revision"]:
            kind_of = "dataset" if data else "model"
            raise InputError(f"{kind_of} {origin['repository']}: {UNPINNED}")
        folder, details = _fetch_data(artefact) if data else _fetch_model(artefact)
        manifest = store.Manifest if data else store.CheckpointManifest
        manifest.publish(
            folder,
            Path(artefact.path),
            content=artefact.identity.content,
            provenance=provenance(started) | details.pop("provenance", {}),
            **details,
        )


def _fetch_data(download: Download) -> tuple[Path, dict]:
    """Return a folder with the files of a split.

    The files have no folders of their own: mnli/train-0.parquet becomes mnli.train-0.parquet.
    """
    name, revision = download.origin["repository"], download.origin["revision"]
    with explained("dataset", name, revision):
        paths = _data_files(download)
        files = HfApi().get_paths_info(name, paths, revision=revision, repo_type="dataset")
        folder = _download(files, download, "dataset", name, revision)
    for path in paths:
        (folder / path).rename(folder / path.replace("/", "."))
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    return folder, {}


def _data_files(download: Download) -> list[str]:
    """Return the paths of a split's files: those of a glob, or those that `datasets` finds."""
    origin = download.origin
    paths = _matching(origin) if origin["files"] else _declared(download)
    for path in paths:
        if kind(path) not in READERS:
            raise InputError(
                f"dataset {origin['repository']}: {path}: expected one of {', '.join(READERS)}; "
                f"{PARQUET_COPY}"
            )
    return paths


def _matching(origin: Mapping[str, str]) -> list[str]:
    """Return the paths that the glob of an origin matches."""
    name, revision = origin["repository"], origin["revision"]
    root = f"datasets/{name}@{revision}/"
    paths = HfFileSystem().glob(root + origin["files"])
    if not paths:
        page = f"{constants.ENDPOINT}/datasets/{name}/tree/{revision}"
        raise InputError(f"dataset {name}: no file {origin['files']}; its files are on {page}")
    return sorted(path.removeprefix(root) for path in paths)


def _declared(download: Download) -> list[str]:
    """Return the paths of a split's files as `datasets` finds them, without running code."""
    import datasets

    origin = download.origin
    splits = list(dict.fromkeys(origin["split"].split("+")))
    cache = store.scratch(f"{download.id}.cache")
    builder = datasets.load_dataset_builder(
        origin["repository"],
        origin["config"] or None,
        revision=origin["revision"],
        cache_dir=str(cache),  # empty: a user's cache would hide that the Hub is out of reach
    )
    shutil.rmtree(cache)
    files = {str(split): urls for split, urls in builder.config.data_files.items()}
    for split in splits:
        if split not in files:
            raise InputError(
                f"dataset {origin['repository']}, config {origin['config'] or 'default'!r}: "
                f"no split {split!r}; {nearest(split, files)}"
            )
    prefix = f"hf://datasets/{origin['repository']}@{origin['revision']}/"
    urls = dict.fromkeys(url for split in splits for url in files[split])
    return [url.removeprefix(prefix) for url in urls]


def _fetch_model(root: Checkpoint) -> tuple[Path, dict]:
    """Return a folder with weights, configuration and tokenizer, and fields of its manifest."""
    name, revision = root.origin.repository, root.origin.revision
    with explained("model", name, revision):
        entries = HfApi().list_repo_tree(name, revision=revision)
        present = {entry.path: entry for entry in entries if hasattr(entry, "size")}
        convert = root.origin.convert
        small = models.beside_weights(present, f"model {name}", models.CONVERTED, convert)
        folder = _download([present[path] for path in small], root, "model", name, revision)
        weights = models.weights(present, folder)
        if missing := sorted({*weights} - present.keys()):
            raise InputError(f"model {name}: no {missing[0]}, but its index lists it")
        _download([present[path] for path in weights], root, "model", name, revision)
    hashes = {} if models.has_weights(present) else models.convert(folder, weights, f"model {name}")
    for pickle, digest in hashes.items():
        log.info(f"model {name}: {pickle} (sha256 {digest}) written as safetensors (`convert`)")
    shutil.rmtree(folder / ".cache")
    models.complete_tokenizer(folder, f"model {name}", root.origin.tokenizer_class)
    about = {"lineage": [root.id], "pretrained_pooler": models.has_pooler(folder), "labels": {}}
    return folder, about | {"provenance": {"converted": hashes} if hashes else {}}


def _download(
    files: Sequence[RepoFile], artefact: Artefact, kind: str, name: str, revision: str
) -> Path:
    """Download files to the artefact's scratch folder, except those that are complete there.

    `snapshot_download` would reuse an existing folder if the Hub is out of reach, and would not
    name the file that is being downloaded.
    """
    folder = store.scratch(artefact.id, keep=True)
    total = sum(file.size for file in files)
    amount = f"{size(total)} in {count(len(files), 'file')}"
    log.info(f"{artefact.identity.name}: {amount} of {name}@{revision}")
    for number, file in enumerate(files, 1):
        path = Path(
            hf_hub_download(
                name,
                file.path,
                repo_type=kind,
                revision=revision,
                local_dir=folder,
                tqdm_class=Progress,
            )
        )
        if file.lfs and file_sha256(path) != file.lfs.sha256:
            path.unlink()
            raise InputError(f"{name}, {file.path}: damaged during the download; run again")
        log.info(f"  {number}/{len(files)} {file.path}, {size(file.size)}")
    return folder


class Progress(tqdm):
    """A progress bar for logs: one line every ten seconds."""

    def __init__(self, *args, **options):
        options |= {"mininterval": PROGRESS_SECONDS, "delay": PROGRESS_SECONDS}
        options |= {"disable": False, "leave": False, "bar_format": _LINE}
        options.pop("name", None)
        super().__init__(*args, **options)

    def display(self, msg=None, pos=None):
        """Log the line."""
        log.info(f"  {self}")


_LINE = "{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left"


@cache
def _check_access(of: str, name: str, revision: str) -> None:
    HfApi().auth_check(name, repo_type=of)
    HfApi().repo_info(name, revision=revision, repo_type=of)


@contextmanager
def explained(of: str, name: str, revision: str) -> Iterator[None]:
    """Turn exceptions of the Hub's clients into an InputError that states what to do."""
    repository = f"{of} {name}"
    page = f"{constants.ENDPOINT}/{'datasets/' if of == 'dataset' else ''}{name}"
    try:
        _check_access(of, name, revision)
        yield
    except errors.GatedRepoError:
        raise InputError(
            f"{repository}: gated: accept its terms on {page}, then run `hf auth login`"
        ) from None
    except errors.RepositoryNotFoundError:
        raise InputError(
            f"{repository}: not on the Hub, or private: check its name, or run `hf auth login` as "
            "a user with access"
        ) from None
    except errors.RevisionNotFoundError:
        raise InputError(
            f"{repository}: no revision {revision}: its commits are on {page}/commits/main"
        ) from None
    except (errors.HTTPError, OSError, ValueError, RuntimeError) as error:
        if message := store.machine_error(error):
            raise InputError(f"{repository}: {message}") from None
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        if "Dataset scripts" in reason:
            raise InputError(f"{repository}: {SCRIPT}") from None
        network = isinstance(error, errors.HTTPError | ConnectionError | errors.EntryNotFoundError)
        hint = "; run again where there is a network: complete files are kept" if network else ""
        raise InputError(f"{repository}@{revision}: {reason}{hint}") from None
