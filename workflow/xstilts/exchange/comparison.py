"""Comparison of two studies, machines or library versions: differences of equal cells with CIs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from xstilts.errors import InputError
from xstilts.exchange.studies import StudyResults
from xstilts.grid.artefacts import Cell, Score
from xstilts.grid.differences import are_digests, differences, shown
from xstilts.identity import Identity
from xstilts.results.samples import Samples
from xstilts.results.scores import AVERAGES, Context, Results
from xstilts.results.tables import STAR, ends, signed
from xstilts.results.verdicts import family
from xstilts.units import count

SIDES = ("A", "B")
COLUMNS = [
    *["model", "recipe", "target", "language", "A", "B", "difference", "low", "high"],
    *["significant", "seeds"],
]
_MACHINE = ("python", "machine", "device", "gpu", "processes", "precision")
Key = tuple[str, str, str, int]  # model, recipe in its notation, target, seed


@dataclass(frozen=True)
class Comparison:
    """Differences between the scores, settings and versions of two studies, A and B."""

    table: pd.DataFrame  # with COLUMNS: B minus A, simultaneous CIs
    both: int  # cells scored in both
    equal: int  # of these, with equal scores in all languages
    only: tuple[int, int]  # cells scored in one of them
    settings: list[str]
    versions: list[str]
    notices: list[str]


def compare(a: StudyResults, b: StudyResults) -> Comparison:
    """Return the comparison of two studies. Raise InputError if no cell is scored in both."""
    sides = [_complete(side) for side in (a, b)]
    scores = [dict(_scores(side)) for side in sides]
    shared = scores[0].keys() & scores[1].keys()
    if not shared:
        raise InputError(
            f"{a.name} and {b.name} have no scored cell in common; expected the same model, recipe "
            "and target, with scores in both"
        )
    notices: list[str] = []
    merged, examples = _joined(sides, shared, notices)
    samples = Samples(merged, lambda cell: examples[cell]())
    pairs = [tuple(found[key] for found in scores) for key in sorted(shared)]
    values = [tuple(side.read(s) for side, s in zip(sides, pair, strict=True)) for pair in pairs]
    return Comparison(
        table=_table(samples, dict.fromkeys(key[:3] for key in scores[0] if key in shared)),
        both=len(shared),
        equal=sum(x.languages == y.languages for x, y in values),
        only=tuple(len(found) - len(shared) for found in scores),
        settings=_settings(pairs),
        versions=_versions(sides, pairs),
        notices=notices,
    )


def _complete(side: StudyResults) -> StudyResults:
    """Return the study; if it has no score, one that also reads those of other settings."""
    return side if len(side.scores) else replace(side, other_versions=True)


def _key(side: StudyResults, cell: Cell) -> Key:
    return cell.model, str(side.grid.recipes[cell.recipe]), cell.target, cell.seed


def _scores(side: StudyResults) -> Iterator[tuple[Key, Score]]:
    """Yield the cells that have a score; recipes are in their notation, short names may differ."""
    for cell in side.results.scores:
        yield _key(side, cell), side.grid.score(cell)


def _joined(sides, shared: Set[Key], notices: list[str]) -> tuple[Results, dict[Cell, Any]]:
    """Return the shared cells of both, with the models `A …` and `B …`, and readers of examples."""
    frames, cells, scores, examples = [], [], {}, {}
    metrics, sources = sides[0].results.metrics, sides[0].results.sources
    comparable = set(metrics)
    for target in set(metrics) & set(sides[1].results.metrics):
        same = [(s.results.metrics[target], s.results.languages(target)) for s in sides]
        if same[0] != same[1]:
            comparable.discard(target)
            notices.append(f"{target}: other languages or another main metric: not compared")
    for name, side in zip(SIDES, sides, strict=True):
        notation = {short: str(recipe) for short, recipe in side.grid.recipes.items()}
        frame = side.results.frame
        frame = frame[frame["target"].isin(comparable)]
        frame = frame.assign(recipe=frame["recipe"].map(notation))
        keys = frame[["model", "recipe", "target", "seed"]].itertuples(index=False, name=None)
        frame = frame[[key in shared for key in keys]]
        frames.append(frame.assign(model=f"{name} " + frame["model"]))
        for cell in side.results.scores:
            if cell.target in comparable and _key(side, cell) in shared:
                score, (model, recipe, *rest) = side.grid.score(cell), _key(side, cell)
                key = Cell(f"{name} {model}", recipe, *rest)
                cells.append(key)
                scores[key] = side.results.scores[cell]
                examples[key] = lambda side=side, score=score: side.examples(score)
    context = Context("comparison", tuple(cells))
    return Results(context, pd.concat(frames), metrics, sources, (), scores), examples


def _table(samples: Samples, groups: Mapping[tuple[str, str, str], None]) -> pd.DataFrame:
    rows = []
    for model, recipe, target in groups:
        if target not in samples.results.targets("avg"):
            continue
        languages = [x for x in AVERAGES if samples.languages(target, x)]
        language = languages[-1]  # zero_shot, where there are other languages than the source
        a, b = (samples.score(f"{side} {model}", recipe, target, language) for side in SIDES)
        if (difference := b - a).seeds:
            rows.append(((model, recipe, target, language, a.mean, b.mean), difference))
    judged = family([difference.interval for _, difference in rows])
    found = [
        (*row, x.value, x.low, x.high, x.significant, difference.seeds)
        for (row, difference), x in zip(rows, judged, strict=True)
    ]
    return pd.DataFrame(found, columns=COLUMNS)


def _settings(pairs: list[tuple[Score, Score]]) -> list[str]:
    """Return a line per setting or data that differs, with the number of artefacts."""
    counts: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    for pair in pairs:
        steps = [_contents(score) for score in pair]
        for name in steps[0].keys() & steps[1].keys():
            one, other = (some[name] for some in steps)
            if one.digest != other.digest and (one.digest, other.digest) not in seen:
                seen.add((one.digest, other.digest))
                lines = [
                    f"{name[0]}: {key} is {shown(old)} in A, {shown(new)} in B"
                    for key, old, new in differences(one.content, other.content)
                    if not are_digests(old, new)
                ]
                if name[0] == "prepare" and not lines:
                    lines = [f"prepare: the original files of {name[1]} differ"]
                counts.update(lines)
    return [f"{line} ({n:,} ×)" if n > 1 else line for line, n in counts.most_common()]


def _contents(score: Score) -> dict[tuple[str, str], Identity]:
    """Return the identities of a score and its ancestors, by phase and name."""
    identities = [artefact.identity for artefact in [*score.ancestors().values(), score]]
    return {(identity.phase, identity.name): identity for identity in identities}


def _versions(sides, pairs: list[tuple[Score, Score]]) -> list[str]:
    """Return a line per library or property of the machine that differs."""
    used = [Counter(), Counter()]
    for pair in pairs:
        for side, score, counter in zip(sides, pair, used, strict=True):
            counter.update(_environment(side, score))
    names = dict.fromkeys(name for counter in used for name, _ in counter)
    lines = []
    for name in names:
        a, b = ({value for key, value in counter if key == name} for counter in used)
        if a != b:
            values = (", ".join(sorted(map(str, some))) or "unknown" for some in (a, b))
            lines.append(f"{name}: {' in A, '.join(values)} in B")
    return lines


def _environment(side: StudyResults, score: Score) -> set[tuple[str, Any]]:
    """Return the libraries and the machine that scored a cell and trained its checkpoint."""
    file = side.read(score)
    known = [file.provenance if file else {}, side.provenance(score.predictions.checkpoint)]
    found = {pair for some in known for pair in (some.get("libraries") or {}).items()}
    return found | {(key, some[key]) for some in known for key in _MACHINE if some.get(key)}


def lines(found: Comparison) -> Iterator[str]:
    """Yield a comparison as text: counts, differences, settings and versions that differ."""
    a, b = found.only
    yield (
        f"{count(found.both, 'cell')} in both ({found.equal:,} with equal scores), "
        f"{a:,} only in A, {b:,} only in B"
    )
    significant = int(found.table["significant"].sum())
    yield (
        f"{significant:,} of {count(len(found.table), 'difference')} significant (B minus A, "
        "points, simultaneous 95 % CIs):"
    )
    width = max([len(_name(row)) for row in found.table.itertuples()], default=0)
    for row in found.table.itertuples():
        star = STAR if row.significant else ""
        yield (
            f"  {_name(row):{width}}  {signed(row.A)} → {signed(row.B)}  "
            f"{signed(row.difference, '+')}{star} {ends(row.low, row.high)}  "
            f"{count(row.seeds, 'seed')}"
        )
    for title, some in (("Settings", found.settings), ("Versions", found.versions)):
        yield f"{title} that differ: {'none' if not some else ''}".rstrip()
        yield from (f"  {line}" for line in some)


def _name(row: Any) -> str:
    return f"{row.model}.{row.recipe}.{row.target}, {row.language}"
