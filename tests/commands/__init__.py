"""The commands of the small study, run in this process, and what they leave."""

from pathlib import Path

from xstilts.cli import main
from xstilts.grid import state

STUDY = Path("config/config.yaml")
REVIEWS = """
reviews:
  family: {family}
  roles: [target]
  languages: [en]
  {labels}
  splits:
    test: {{source: files, format: {format}, path: reviews.txt}}
  metrics: [{metric}]
"""


def edit(old: str, new: str, path: str | Path = STUDY) -> None:
    text = Path(path).read_text(encoding="utf-8")
    assert text.count(old) == 1, (old, text)
    Path(path).write_text(text.replace(old, new), encoding="utf-8")


def ids(group: str, study: Path = STUDY) -> dict[str, str]:
    """Ids by readable name."""
    grid, _ = state.open_study(study)
    return {id.rsplit(".", 1)[0]: id for id in getattr(grid.artefacts(), group)}


def results() -> dict[str, bytes]:
    """Content of all files below results/ except logs, encodings and unfinished artefacts."""
    return {
        str(path): path.read_bytes()
        for path in Path("results").rglob("*")
        if path.is_file() and path.parts[1] not in ("scratch", "logs", "encodings")
    }


def output(capsys, *arguments: str) -> str:
    """Run a command that must succeed; return its output."""
    capsys.readouterr()
    assert main(arguments) == 0
    return capsys.readouterr().out


def use_reviews(format: str, content: bytes | None, labels: str = "") -> str:
    """Make `reviews`, read from one file, the only target; return the id of its data."""
    family, metric = ("answer", "f1") if format == "squad" else ("classify", "accuracy")
    text = REVIEWS.format(family=family, format=format, metric=metric, labels=labels)
    Path("config/tasks/reviews.yaml").write_text(text)
    edit("targets: [paraphrase, tatoeba]", "targets: [reviews]")
    if content is not None:
        Path("data").mkdir()
        Path("data/reviews.txt").write_bytes(content)
    return ids("datasets")["reviews.en.test"]
