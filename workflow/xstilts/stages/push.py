"""push: a cell's checkpoint and its model card to a repository on the Hugging Face Hub."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, errors

from xstilts import store
from xstilts.errors import InputError
from xstilts.exchange.card import card
from xstilts.grid.artefacts import Cell
from xstilts.grid.grid import Grid

_REPOSITORY = re.compile(
    r"(?!.*(?:--|\.\.|[.-]/|[.-]$|\.git$))[A-Za-z0-9][\w.-]*/\w[\w.-]*", re.ASCII
)
_LOGIN = "run `hf auth login` with a token that may write there"


def run(grid: Grid, cell: Cell, repository: str, public: bool = False) -> str:
    """Upload the checkpoint and the card in one commit, and return its address.

    A new repository is private unless `public`. Raise InputError for a damaged checkpoint, a cell
    without score, and what the Hub refuses.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise InputError(f"repository {repository!r} is not allowed; expected OWNER/NAME")
    text = card(grid, cell).replace("REPOSITORY", repository)
    folder = Path(grid.score(cell).predictions.checkpoint.path)
    names = [*store.CheckpointManifest.verify(folder).files, store.MANIFEST]
    files: dict[str, Path | bytes] = {name: folder / name for name in names}
    files["README.md"] = text.encode()
    additions = [CommitOperationAdd(*pair) for pair in files.items()]
    with _explained(repository):
        HfApi().create_repo(repository, private=not public, exist_ok=True)
        commit = HfApi().create_commit(repository, additions, commit_message=f"Add {cell}")
    return str(commit.commit_url)


@contextmanager
def _explained(repository: str) -> Iterator[None]:
    """Turn exceptions of the Hub's client into an InputError that states what to do."""
    try:
        yield
    except (errors.LocalTokenNotFoundError, errors.RepositoryNotFoundError):
        raise InputError(f"repository {repository}: no access; {_LOGIN}") from None
    except (errors.HTTPError, OSError, ValueError, RuntimeError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        remedy = "run again where there is a network"
        if status in (401, 403):
            reason, remedy = f"no access (HTTP status {status})", _LOGIN
        raise InputError(f"repository {repository}: {reason}; {remedy}") from None
