"""Odd input in large numbers: each is accepted, or rejected by the project's own error.

    python -m tests.fuzz --count 100000 --seed 1

prints the inputs that ended in another exception, and how many of each kind were tried.
"""

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import string
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests import SMALL
from tests.hub.repositories import parquet as parquet_bytes
from tests.odd import MARKUP, TOKENS, cut, swapped
from tests.sources.samples import READS
from xstilts import store
from xstilts.cli import main as command
from xstilts.config.claims import parse as parse_claim
from xstilts.config.project import (
    Project,
    assemble,
    load,
    places,
    read_definitions,
    read_study,
    validate,
)
from xstilts.config.schema import Lock, Model, Task
from xstilts.config.spelling import respelled_recipe
from xstilts.config.subsets import read_ids
from xstilts.costs.estimates import HARDWARE, load_table
from xstilts.costs.measured import Benchmark
from xstilts.errors import InputError
from xstilts.grid.grid import Grid
from xstilts.identity import canonical
from xstilts.recipe import parse
from xstilts.results.samples import read_examples
from xstilts.results.score_file import ScoreFile
from xstilts.sources.files import read
from xstilts.sources.hub import READERS
from xstilts.store import locks
from xstilts.store.about import About
from xstilts.store.manifest import CheckpointManifest, DatasetManifest, Manifest
from xstilts.store.progress import Progress
from xstilts.xtreme import score_files

Attempt = Callable[[random.Random], None]


def recipes(rng: random.Random) -> None:
    """Read a recipe."""
    text = "".join(rng.choices(TOKENS, k=rng.randint(1, 8)))
    tasks = _definitions().tasks
    parse(respelled_recipe(text, tasks))


def yaml_texts(rng: random.Random) -> None:
    """Read a study that was damaged as text."""
    text = cut((SMALL / "config.yaml").read_bytes(), rng)
    if rng.random() < 0.5:
        text = "".join(rng.choices(MARKUP + list(string.ascii_letters), k=30)).encode(
            "utf-8", "ignore"
        )
    Path("s.yaml").write_bytes(text)
    _study(read_study([Path("s.yaml")]))


def studies(rng: random.Random) -> None:
    """Expand a study in which a value is odd."""
    study = yaml.safe_load((SMALL / "config.yaml").read_text()) | _MORE
    for _ in range(rng.randint(1, 2)):
        study = swapped(study, rng) if isinstance(study, dict) else {}
    if isinstance(study, dict):
        _study(study)


_MORE = {
    "arms": {"a": {"train": {"epochs": 2}, "tasks": {"nli": {"encode": {"max_length": 32}}}}},
    "subsets": {"half": {"target": "paraphrase", "whole": "tatoeba"}},
    "published": {"nli": {"paraphrase": 50.0}},
    "orders": {"tasks": ["nli", "lab_nli"], "steps": 10, "given": [{"x": ["nli", "lab_nli"]}]},
    "only": ["tiny*.*.*.s1"],
    "hyperparameters": "lab",
    "train": {"lora": {"rank": 2}, "select": "last"},
    "predict": {"layer": -1},
    "controls": ["lab_random"],
}
_CACHE: dict[str, Any] = {}


def _definitions() -> Any:
    if "definitions" not in _CACHE:
        from tests import CONFIG

        _CACHE["definitions"] = read_definitions([SMALL, CONFIG])
    return _CACHE["definitions"]


def _study(values: Any) -> None:
    definitions = _definitions()
    project = assemble(values, definitions)
    project.check_settings(places(values, definitions))
    grid = Grid(project)
    if len(grid.study.targets) * len(grid.recipes) * len(grid.study.seeds) < 100:
        for artefact in grid.shared().all():
            canonical(dict(artefact.identity.content)).encode()
        project.model_dump_json(exclude_defaults=True).encode()


def entries(rng: random.Random) -> None:
    """Read a task or model in which a value is odd."""
    kind = rng.choice(["tasks", "models"])
    known = getattr(_definitions(), kind)
    name = rng.choice(list(known))
    values = swapped(known[name].model_dump(mode="json", exclude_unset=True), rng)
    made = validate(Task if kind == "tasks" else Model, values, "f.yaml, x")
    made.model_dump_json().encode()


def site_and_lock_files(rng: random.Random) -> None:
    """Read a file of locked commits in which a value is odd."""
    values = swapped({"datasets": {"a/b": "0" * 40}, "models": {"c/d": "1" * 40}}, rng)
    validate(Lock, values, "hub.lock.yaml")


def files(rng: random.Random) -> None:
    """Read a damaged file of a benchmark's format."""
    name = rng.choice(list(READS))
    texts = READS[name][0]
    texts = texts if isinstance(texts, dict) else {"data": texts}
    hit = rng.choice(list(texts))
    paths = []
    for file, text in texts.items():
        paths.append(Path(file))
        content = text if isinstance(text, bytes) else text.encode()
        paths[-1].write_bytes(_damaged(content, rng) if file == hit else content)
    options = {"size": 1} if name == "checklist" else {}
    _stored(read(name, paths, rng.choice(["en", "sw", "de", "x"]), **options).rows)


def _damaged(content: bytes, rng: random.Random) -> bytes:
    """Return a damaged text; one in three JSON files keeps its form and gets an odd value."""
    if rng.random() < 0.4 and content[:1] in b"{[":
        with contextlib.suppress(ValueError):
            lines = [json.loads(line) for line in content.decode().splitlines()]
            lines[rng.randrange(len(lines))] = swapped(lines[0], rng)
            return "\n".join(map(json.dumps, lines)).encode()
    return cut(content, rng)


def _stored(rows: list[dict]) -> None:
    json.dumps(rows, ensure_ascii=False).encode()


def hub_files(rng: random.Random) -> None:
    """Read a damaged file of a data set on the Hub."""
    record = {"a": "x", "b": {"c": ["y"]}, "d": 1}
    kind = rng.choice(list(READERS))
    samples = {
        ".parquet": parquet_bytes([record] * 3),
        ".json": json.dumps([record] * 3).encode(),
        ".jsonl": b"\n".join([json.dumps(record).encode()] * 3),
        ".csv": b'a,b\nx,"y\nz"\nx,y\n',
    }
    path = Path(f"data{kind}")
    path.write_bytes(cut(samples.get(kind, b"a\tb\nx\ty\nx\tz\n"), rng))
    _stored([row for _, row in READERS[kind](path)])


CLAIM = "gain of multitask on pos > gain of each other by 0.5 ~ + - none nli text 3 -1 mean".split()
TEXTS = {
    read_ids: b"a1\nb2\ten\nc3\tde\n",
    Benchmark.read: b"s\th:m:s\tmax_rss\tio_in\n3.5\t0:00:03\t10.0\t0.0\n",
    read_examples: b"PAR1",
    load_table: HARDWARE.read_bytes(),
}
SUBMISSIONS = {  # task -> a gold file
    "xnli": b"entailment\nneutral\n",
    "panx": b"a\tB-PER\nb\tO\n\nc\tO\n",
    "udpos": b"a\tNOUN\n\nb\tVERB\n",
    "xquad": json.dumps({"1": "x", "2": "y"}).encode(),
    "bucc2018": b"de-1\ten-1\nde-2\ten-2\n",
    "tatoeba": b"0\n1\n",
}


def claims(rng: random.Random) -> None:
    """Read the text of a claim."""
    parse_claim(rng.choice(["", " "]).join(rng.choices(CLAIM + TOKENS[:14], k=rng.randint(0, 9))))


def other_texts(rng: random.Random) -> None:
    """Read a damaged list of ids, benchmark, table of hardware, or file of examples."""
    reader, content = rng.choice(list(TEXTS.items()))
    Path("text").write_bytes(cut(content, rng))
    reader(Path("text"))


def submissions(rng: random.Random) -> None:
    """Score a damaged file of predictions."""
    task, content = rng.choice(list(SUBMISSIONS.items()))
    paths = [Path("gold"), Path("predictions")]
    for path in paths:
        path.write_bytes(_damaged(content, rng) if rng.random() < 0.7 else content)
    score_files(task, "de", paths[1], paths[0])


def own_files(rng: random.Random) -> None:
    """Read a damaged file of the results folder."""
    path = Path("own.json")
    sample = rng.choice([{"files": {"a": "0"}}, {"schema": 1, "cell": "x", "languages": {}}, [1]])
    whole = json.dumps(sample).encode()
    path.write_bytes(rng.choice([cut(whole, rng), json.dumps(swapped(sample, rng)).encode()]))
    readers = [store.read_json, store.read_lines, ScoreFile.read, locks._holder]
    rng.choice(readers)(path)
    shutil.copy(path, _made(store.progress_file("x")))
    Progress.read("x")
    for kind in (Manifest, DatasetManifest, CheckpointManifest):
        folder = _made(Path(f"results/data/x/{store.MANIFEST}")).parent
        shutil.copy(path, folder / store.MANIFEST)
        kind.verify(folder)
    shutil.copy(path, folder / store.ABOUT)
    About.read(folder)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def snapshots(rng: random.Random) -> None:
    """Open a damaged snapshot of a run."""
    if "snapshot" not in _CACHE:
        study = yaml.safe_load((SMALL / "config.yaml").read_text())
        project = assemble(study, _definitions())
        used = {name: project.tasks[name] for name in ("nli", "paraphrase", "tatoeba", "text")}
        changes = {"tasks": used, "models": {"tiny": project.models["tiny"]}}
        _CACHE["snapshot"] = project.model_copy(update=changes).model_dump(
            mode="json", exclude_defaults=True
        )
    path = Path("study.json")
    values = _CACHE["snapshot"]
    if rng.random() < 0.7:
        path.write_text(json.dumps(swapped(values, rng)))
    else:
        path.write_bytes(cut(json.dumps(values).encode(), rng))
    project: Project = load(path)
    for artefact in Grid(project).shared().all():
        canonical(dict(artefact.identity.content)).encode()


_ARGUMENTS = [
    *"status plan why gc list export-xtreme score-files schema doctr prepare train --study".split(),
    *"--config --log --recipe --seed --out --task --language --predictions --gold".split(),
    *"--hardware --gpus --gpu-hours --disk --aim --write --seconds --every --model".split(),
    *"--threads --help --version tasks Models study s1 1 -1 nan 1e999 500GB GB CELLS".split(),
    *"tiny.nli.tatoeba.s1 tiny.NLI.tatoeba.1 ... config/config.yaml config / none.json".split(),
    *"seeds=[1] seeds= =x a.b=c targets=[NLI] ~ xnli NER de H100 config/tasks/small.yaml".split(),
    *("", "9" * 5000, "train={learning_rate: .nan}", "\udcff", "\x00", "x\x00y", "\x1b[2J"),
]


def arguments(rng: random.Random) -> None:
    """Call the command line."""
    given = rng.choices(_ARGUMENTS, k=rng.randint(1, 6))
    given = [rng.choice(_ARGUMENTS[:11]), *given] if rng.random() < 0.8 else given
    error = io.StringIO()
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(error),
        contextlib.suppress(SystemExit),
    ):
        command(given)
    if "Traceback" in error.getvalue():
        raise AssertionError(f"{given}:\n{error.getvalue()}")


ATTEMPTS: dict[str, tuple[Attempt, float]] = {  # with the share of each
    "recipes": (recipes, 0.2),
    "yaml texts": (yaml_texts, 0.1),
    "studies": (studies, 0.15),
    "entries": (entries, 0.15),
    "locked commits": (site_and_lock_files, 0.03),
    "files": (files, 0.17),
    "hub files": (hub_files, 0.09),
    "own files": (own_files, 0.06),
    "snapshots": (snapshots, 0.04),
    "claims": (claims, 0.05),
    "other texts": (other_texts, 0.05),
    "submissions": (submissions, 0.05),
    "arguments": (arguments, 0.01),
}


def fuzz(count: int, seed: int, kinds: Sequence[str] = ()) -> Iterator[tuple[str, int, str]]:
    """Yield (kind, seed of the input, traceback) for each input that is not handled."""
    names = kinds or list(ATTEMPTS)
    weights = [ATTEMPTS[name][1] for name in names]
    drawn = random.Random(seed).choices(names, weights, k=count)
    for number, kind in enumerate(drawn):
        own = seed * 1_000_003 + number
        try:
            ATTEMPTS[kind][0](random.Random(own))
        except InputError as error:
            if not str(error).strip():
                yield kind, own, "an empty message"
        except Exception:
            yield kind, own, traceback.format_exc()


@contextlib.contextmanager
def workplace() -> Iterator[None]:
    """Work in an empty folder with the small study."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(SMALL, Path(folder) / "config")
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def main() -> int:
    """Run the fuzzer; return 1 if an input was not handled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=ATTEMPTS, nargs="+", default=[], help="kinds of input")
    options = parser.parse_args()
    failures: Counter[str] = Counter()
    with workplace():
        for kind, own, message in fuzz(options.count, options.seed, options.only):
            last = message.strip().splitlines()[-1]
            failures[f"{kind}: {last[:150]}"] += 1
            if failures[f"{kind}: {last[:150]}"] == 1:
                print(f"--- {kind}, input {own}\n{message}", flush=True)
    for name, number in failures.most_common():
        print(f"{number:6}  {name}")
    print(f"{options.count} inputs, {sum(failures.values())} not handled")
    return bool(failures)


if __name__ == "__main__":
    raise SystemExit(main())
