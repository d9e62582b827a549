"""fetch: a pretrained model from the Hub at a pinned revision. The only stage with a network."""

import time
from pathlib import Path

from xstilts import store
from xstilts.errors import InputError
from xstilts.provenance import provenance
from xstilts.study import Checkpoint

# weights only as safetensors: the other formats are pickles
_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.model", "*.txt"]


def run(root: Checkpoint) -> None:
    """Download, check and publish. Raises InputError for what the Hub does not have."""
    import transformers
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    from safetensors import safe_open

    started = time.monotonic()
    origin = root.origin
    made = store.scratch(root.id, keep=True)  # kept: an interrupted download goes on
    try:
        snapshot_download(
            origin.repository, revision=origin.revision, local_dir=made, allow_patterns=_FILES
        )
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{origin.repository}@{origin.revision}: {reason}") from None
    weights = sorted(made.glob("*.safetensors"))
    if not weights:
        raise InputError(f"{origin.repository}@{origin.revision}: has no safetensors weights")
    pooler = False
    for path in weights:
        with safe_open(path, "pt") as file:
            pooler |= any("pooler." in key for key in file.keys())  # noqa: SIM118
    getattr(transformers, origin.tokenizer_class).from_pretrained(made).save_pretrained(made)
    store.publish(
        _flat(made),
        Path(root.path),
        {
            "id": root.id,
            "content": root.identity.content,
            "lineage": [root.id],
            "pretrained_pooler": pooler,
            "labels": {},
            "provenance": provenance(started),
        },
    )


def _flat(folder: Path) -> Path:
    """The folder without the downloader's own bookkeeping."""
    import shutil

    shutil.rmtree(folder / ".cache", ignore_errors=True)
    return folder
