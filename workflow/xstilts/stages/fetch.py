"""fetch: data sets and models from the Hub at pinned commits. The only stage with a network.

No code from a repository runs: a data set that is a script is refused, and weights are safetensors.
An interrupted run keeps the files that it has whole in `results/scratch/`; the next one goes on.
"""

import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from xstilts import store
from xstilts.config.origins import HubModel
from xstilts.errors import InputError, nearest
from xstilts.grid.artefacts import Artefact, Checkpoint, Download
from xstilts.identity import file_sha256
from xstilts.sources.hub import READERS, kind
from xstilts.store.provenance import provenance

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

log = logging.getLogger("xstilts")

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
# a tokenizer has one of the first; the others may be beside it
VOCABULARY = ("tokenizer.json", "*.model", "vocab.txt", "vocab.json")
_BESIDE = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt")
PARQUET_COPY = (
    "the Hub keeps a copy of many data sets in Parquet: state `branch: refs/convert/parquet` or a "
    "commit of it as `revision`, and as `files` e.g. CONFIG/SPLIT/*.parquet"
)
UNPINNED = (
    "no commit is stated: run `xstilts pin --study STUDY` where there is a network, and commit the "
    "lock file that it writes"
)
_PROGRESS_SECONDS = 10


def run(artefacts: Sequence[Download | Checkpoint]) -> None:
    """Fetch every artefact that is not there yet. Raises InputError for what the Hub lacks."""
    for artefact in artefacts:
        if (Path(artefact.path) / store.MANIFEST).exists():
            continue
        started = time.monotonic()
        data = isinstance(artefact, Download)
        origin = artefact.origin if data else artefact.origin.model_dump()
        if not origin["revision"]:
            kind_of = "data set" if data else "model"
            raise InputError(f"{kind_of} {origin['repository']}: {UNPINNED}")
        made, found = _fetch_data(artefact) if data else _fetch_model(artefact)
        content = artefact.identity.content
        told = {"id": artefact.id, "content": content, **found, "provenance": provenance(started)}
        store.publish(made, Path(artefact.path), told)


def _fetch_data(download: Download) -> tuple[Path, dict]:
    """A folder with the files of a split: mnli/train-0.parquet becomes mnli.train-0.parquet."""
    from huggingface_hub import HfApi

    name, revision = download.origin["repository"], download.origin["revision"]
    with explained("dataset", name, revision):
        paths = _data_files(download)
        files = HfApi().get_paths_info(name, paths, revision=revision, repo_type="dataset")
        made = _download(files, download, "dataset", name, revision)
    for path in paths:
        (made / path).rename(made / path.replace("/", "."))
    for path in made.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    return made, {}


def _data_files(download: Download) -> list[str]:
    """The paths of a split's files in the repository: of a glob, or as `datasets` finds them."""
    origin = download.origin
    paths = _matching(origin) if origin["files"] else _declared(download)
    for path in paths:
        if kind(path) not in READERS:
            raise InputError(
                f"data set {origin['repository']}: {path} is none of {', '.join(READERS)}; "
                f"{PARQUET_COPY}"
            )
    return paths


def _matching(origin: Mapping[str, str]) -> list[str]:
    from huggingface_hub import HfFileSystem

    root = f"datasets/{origin['repository']}@{origin['revision']}/"
    found = HfFileSystem().glob(root + origin["files"])
    if not found:
        raise InputError(f"data set {origin['repository']}: no file {origin['files']}")
    return sorted(path.removeprefix(root) for path in found)


def _declared(download: Download) -> list[str]:
    import datasets

    origin = download.origin
    wanted = list(dict.fromkeys(origin["split"].split("+")))
    cache = store.scratch(f"{download.id}.cache")
    builder = datasets.load_dataset_builder(
        origin["repository"],
        origin["config"] or None,
        revision=origin["revision"],
        cache_dir=str(cache),  # empty: it would answer instead of a Hub that is out of reach
    )
    shutil.rmtree(cache)
    found = {str(split): files for split, files in builder.config.data_files.items()}
    for split in wanted:
        if split not in found:
            raise InputError(
                f"data set {origin['repository']}, config {origin['config'] or 'default'!r}: "
                f"no split {split!r}; {nearest(split, found)}"
            )
    prefix = f"hf://datasets/{origin['repository']}@{origin['revision']}/"
    urls = dict.fromkeys(url for split in wanted for url in found[split])
    return [url.removeprefix(prefix) for url in urls]


def _fetch_model(root: Checkpoint) -> tuple[Path, dict]:
    """A folder with weights, configuration and tokenizer; and what training must know of them."""
    from huggingface_hub import HfApi

    name, revision = root.origin.repository, root.origin.revision
    with explained("model", name, revision):
        entries = HfApi().list_repo_tree(name, revision=revision)
        present = {entry.path: entry for entry in entries if hasattr(entry, "size")}
        small = _beside_weights(present, name)
        made = _download([present[path] for path in small], root, "model", name, revision)
        weights = [WEIGHTS]
        if WEIGHTS not in present:
            weights = sorted(set(store.read_json(made / INDEX)["weight_map"].values()))
        _download([present[path] for path in weights], root, "model", name, revision)
    shutil.rmtree(made / ".cache")
    _complete_tokenizer(made, root.origin)
    return made, {"lineage": [root.id], "pretrained_pooler": _has_pooler(made), "labels": {}}


def has_weights(present: Iterable[str]) -> bool:
    """Whether files of a model hold weights that can run no code."""
    return not {WEIGHTS, INDEX}.isdisjoint(present)


def _beside_weights(present: Iterable[str], name: str) -> list[str]:
    """The files to fetch before the weights. Raises InputError for a model that cannot be used."""
    if not has_weights(present):
        others = ", ".join(p for p in present if p.endswith((".bin", ".h5", ".msgpack", ".pt")))
        raise InputError(
            f"model {name}: no {WEIGHTS} ({others or 'no weights at all'}): other formats can run "
            "code. Many models have a converted copy in a pull request by SFconvertbot: its commit "
            "can be the `revision`; `xstilts pin` looks for one"
        )
    found = [p for p in present if any(fnmatchcase(p, glob) for glob in VOCABULARY)]
    if not found or "config.json" not in present:
        lacks = "config.json" if found else f"tokenizer: none of {', '.join(VOCABULARY)}"
        raise InputError(f"model {name}: no {lacks}")
    index = [INDEX] if WEIGHTS not in present else []
    return ["config.json", *found, *(p for p in present if p in _BESIDE), *index]


def _complete_tokenizer(folder: Path, origin: HubModel) -> None:
    """Write the tokenizer in its fast form. Raises InputError if it or the model is unknown."""
    import transformers

    name = origin.repository
    if not hasattr(transformers, origin.tokenizer_class):
        raise InputError(f"model {name}: transformers has no {origin.tokenizer_class!r}")
    tokenizer_class = getattr(transformers, origin.tokenizer_class)
    try:
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
        tokenizer = tokenizer_class.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise InputError(f"model {name}: not one that transformers reads: {error}") from None
    if len(tokenizer) > config.vocab_size:
        raise InputError(
            f"model {name}: its tokenizer has {len(tokenizer)} pieces, more than the model, "
            f"{config.vocab_size}"
        )
    tokenizer.save_pretrained(folder)


def _has_pooler(folder: Path) -> bool:
    from safetensors import safe_open

    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            if any("pooler." in key for key in file.keys()):  # noqa: SIM118
                return True
    return False


def _download(
    files: Sequence["RepoFile"],
    artefact: Artefact,
    kind: str,
    name: str,
    revision: str,
) -> Path:
    """Download files to the artefact's scratch folder; those that are there, whole, are kept."""
    from huggingface_hub import hf_hub_download

    folder = store.scratch(artefact.id, keep=True)
    total = sum(file.size for file in files)
    what = f"{_size(total)} in {len(files)} file(s)"
    log.info(f"{artefact.identity.name}: {what} of {name}@{revision}")
    for number, file in enumerate(files, 1):
        path = Path(
            hf_hub_download(
                name,
                file.path,
                repo_type=kind,
                revision=revision,
                local_dir=folder,
                tqdm_class=_progress(),
            )
        )
        if file.lfs and file_sha256(path) != file.lfs.sha256:
            path.unlink()
            raise InputError(f"{name}, {file.path}: damaged on its way; run again")
        log.info(f"  {number}/{len(files)} {file.path}, {_size(file.size)}")
    return folder


def _size(count: int) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


@cache
def _progress() -> type:
    """A progress bar that is a line every ten seconds, for logs."""
    from tqdm import tqdm

    class Progress(tqdm):
        def __init__(self, *args, **options):
            options |= {"mininterval": _PROGRESS_SECONDS, "delay": _PROGRESS_SECONDS}
            options |= {"disable": False, "leave": False, "bar_format": _LINE}
            options.pop("name", None)
            super().__init__(*args, **options)

        def display(self, msg=None, pos=None):
            log.info(f"  {self}")

    return Progress


_LINE = "{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left"


@cache
def _check_access(of: str, name: str, revision: str) -> None:
    from huggingface_hub import HfApi

    HfApi().auth_check(name, repo_type=of)
    HfApi().repo_info(name, revision=revision, repo_type=of)


@contextmanager
def explained(of: str, name: str, revision: str) -> Iterator[None]:
    """Turn what the clients raise into one message that says what to do."""
    from huggingface_hub import constants, errors

    what = f"{'data set' if of == 'dataset' else of} {name}"
    page = f"{constants.ENDPOINT}/{'datasets/' if of == 'dataset' else ''}{name}"
    try:
        _check_access(of, name, revision)
        yield
    except errors.GatedRepoError:
        raise InputError(
            f"{what}: gated: accept its terms on {page}, then run `hf auth login`"
        ) from None
    except errors.RepositoryNotFoundError:
        raise InputError(
            f"{what}: not on the Hub, or private: check its name, or run `hf auth login` as one "
            "who may read it"
        ) from None
    except errors.RevisionNotFoundError:
        raise InputError(
            f"{what}: no revision {revision}: its commits are on {page}/commits/main"
        ) from None
    except (errors.HTTPError, OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        if "Dataset scripts" in reason:
            raise InputError(f"{what}: a script, and none is ever run; {PARQUET_COPY}") from None
        network = isinstance(error, errors.HTTPError | ConnectionError | errors.EntryNotFoundError)
        hint = "; run again where there is a network, whole files are kept" if network else ""
        raise InputError(f"{what}@{revision}: {reason}{hint}") from None
