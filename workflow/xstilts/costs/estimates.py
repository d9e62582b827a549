"""Estimated costs of artefacts.

A job's time is scaled from the most similar measured jobs. Before any run it is the number of
floating-point operations over the rate of the hardware (`hardware.yaml`). Pure, except for reading
that file.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from statistics import fmean, harmonic_mean, linear_regression
from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from xstilts.config.origins import LabSplit, Strict
from xstilts.config.project import Project, validate
from xstilts.config.settings import Precision
from xstilts.config.yaml import read_yaml
from xstilts.costs.measured import Cost, Evidence
from xstilts.errors import InputError, nearest
from xstilts.families import family
from xstilts.grid.artefacts import (
    Checkpoint,
    Dataset,
    Download,
    Predictions,
    Score,
    TrainPart,
    cells_of,
    gpus_of,
)
from xstilts.grid.base import Artefact
from xstilts.modelling.steps import shares, steps_of
from xstilts.store import read_json
from xstilts.units import percent

HARDWARE = Path(__file__).parent / "hardware.yaml"
ESTIMATED = "FLOP estimate"
_BYTES = {"fp32": 4, "bf16": 2}  # of a weight in a checkpoint
_STATE = 12  # bytes per weight of a resume state: the weight and AdamW's two moments


class Hardware(Strict):
    """One processor that a job computes on."""

    label: str = Field(description="Name.")
    peak: dict[Precision, PositiveFloat] = Field(description="TFLOP/s by precision.")
    utilisation: dict[Precision, Annotated[float, Field(gt=0, le=1)]] = Field(
        description="Share of the peak that a training reaches, by precision."
    )

    source: ClassVar[str] = "assumed"

    def spellings(self) -> list[str]:
        """Return other names of the processor."""
        return [self.label, self.label.removeprefix("NVIDIA ")]

    def flops(self, precision: Precision, phase: str, name: str, eager: bool) -> float:
        """Return the operations per second that a job reaches, the same for all phases."""
        return self.peak[precision] * self.utilisation[precision] * 1e12

    def basis(self, precision: Precision) -> str:
        """Return how the rate is known, in words."""
        share = percent(self.utilisation[precision])
        return f"{self.label}, {precision}: {share} of {self.peak[precision]:g} TFLOP/s (assumed)"


# phase -> precision -> family -> FLOP/s
Rates = dict[Literal["train", "predict"], dict[Precision, dict[str, PositiveFloat]]]


class MeasuredHardware(Strict):
    """A GPU that `benchmarks/gpu.py` has measured."""

    source: ClassVar[str] = "measured"

    label: str
    path: Path
    rates: Rates
    eager: Rates = Field({}, description="Without CUDA graphs and compact embeddings.")

    def flops(self, precision: Precision, phase: str, name: str, eager: bool) -> float:
        """Return the operations per second of a family, or the mean of all if it was not measured.

        Masked language modelling has the rate without CUDA graphs unless its own was measured.
        Raise InputError if the precision was not measured in the phase.
        """
        recorded, plain = self.rates.get(phase, {}), self.eager.get(phase, {})
        # the rates of small heads say little about logits of a vocabulary
        unlike = family(name).MASKED and name not in recorded.get(precision, {})
        by_precision = recorded | plain if eager or unlike else plain | recorded
        by_family = by_precision.get(precision, {})
        if not by_family:
            known = ", ".join(by_precision) or "none"
            raise InputError(
                f"--hardware {self.path}: no rate of phase {phase} in {precision} (measured: "
                f"{known}); state a name of costs/hardware.yaml, such as `--hardware a100`"
            )
        return by_family.get(name) or harmonic_mean(list(by_family.values()))

    def basis(self, precision: Precision) -> str:
        """Return how the rate is known, in words."""
        rates = (
            f"{phase} {name} {flops / 1e12:.3g}"
            for phase, by_precision in self.rates.items()
            for name, flops in by_precision.get(precision, {}).items()
        )
        return f"{self.label}, {precision}: TFLOP/s measured in {self.path}: {', '.join(rates)}"


class Assumptions(Strict):
    """Assumptions of an estimate without measurements."""

    rows: dict[str, PositiveFloat] = Field(description="Of a split whose entry states none.")
    seconds: dict[str, NonNegativeFloat] = Field(description="Of a job's start, by phase.")
    bytes_per_row: dict[str, NonNegativeFloat] = Field(description="On disk, by phase.")


class Table(Strict):
    """Content of `hardware.yaml`: processors by name, and assumptions."""

    hardware: dict[str, Hardware]
    assumptions: Assumptions

    def with_measured(self, path: Path) -> "Table":
        """Return the table with the GPU of a file of `benchmarks/gpu.py`, under the file's name.

        Raise InputError naming file and key if the file is not as expected.
        """
        remedy = "expected a file that benchmarks/gpu.py has written"
        values = read_json(path, remedy)
        if not isinstance(values, dict) or not {"device", "rates"} <= values.keys():
            raise InputError(f"{path}: no keys `device` and `rates`; {remedy}")
        rates = {key: values[key] for key in ("rates", "eager") if key in values}
        stated = {"label": values["device"], "path": path, **rates}
        gpu = validate(MeasuredHardware, stated, str(path))
        return self.model_copy(update={"hardware": {**self.hardware, str(path): gpu}})


def load_table(path: Path = HARDWARE) -> Table:
    """Return the hardware and the assumptions. Raise InputError naming file and key."""
    return validate(Table, read_yaml(path), str(path))


@dataclass(frozen=True)
class Estimator:
    """Estimates the cost of each artefact of a project from the evidence."""

    project: Project
    evidence: Evidence = field(default_factory=Evidence)
    table: Table = field(default_factory=load_table)
    gpu: str = "a100"  # for estimates without measurements; models without a GPU use `cpu`

    def __post_init__(self):
        for name in (self.gpu, "cpu"):
            if name not in self.table.hardware:
                hint = nearest(name, self.table.hardware)
                raise InputError(f"unknown hardware {name!r}: {hint}")

    def estimate(self, artefacts: Iterable[Artefact]) -> dict[str, Cost]:
        """Return costs by id: measured if the evidence has them, otherwise estimated.

        Raise InputError for a model without `parameters` if an estimate needs them.
        """
        artefacts, known = list(artefacts), self.evidence.costs
        complete = self._with_all_rows(artefacts)
        references = _References()
        for artefact in artefacts:
            if cost := known.get(artefact.id):
                work, rows = complete.work(artefact), complete.held(artefact)
                references.add(_groups(artefact, cost.gpus, cost.cells), work, rows, cost)
        sharers = Counter(artefact.job.benchmark for artefact in artefacts)
        return {
            artefact.id: known.get(artefact.id)
            or complete._expected(artefact, references, sharers[artefact.job.benchmark])
            for artefact in artefacts
        }

    def _with_all_rows(self, artefacts: list[Artefact]) -> "Estimator":
        """Return an estimator that knows the rows of all data sets and downloads."""
        rows: Counter[str] = Counter()
        for data in artefacts:
            if isinstance(data, Dataset):
                rows[data.id] = self.rows(data)
                if data.download:
                    rows[data.download.id] += rows[data.id]
        return replace(self, evidence=replace(self.evidence, rows=rows))

    def _expected(self, artefact: Artefact, references: "_References", sharers: int) -> Cost:
        asked = gpus_of(artefact, self.project)
        cells = cells_of(artefact, self.project)
        groups = _groups(artefact, asked, cells)
        work, rows = self.work(artefact), self.held(artefact)
        group = references.nearest(groups)
        if not group and cells > 1:  # what sharing a GPU saves is only known from a measurement
            cells, groups = 1, _groups(artefact, asked)
            group = references.nearest(groups)
        if group:
            key, source = group
            fixed, rate = references.line(key)
            seconds = fixed + rate * work
        else:
            start = self.table.assumptions.seconds[artefact.identity.phase] / sharers
            seconds, source = start + self._compute(artefact, work), ESTIMATED
        if group and not (isinstance(artefact, Checkpoint) and group in groups[2:]):
            disk = references.bytes_per_row(key) * rows
        else:  # the size of a checkpoint is its own model's
            disk = self.disk(artefact, rows)
        download = disk if artefact.identity.phase == "fetch" else 0
        return Cost(seconds, asked, disk, download, source, cells)

    def _compute(self, artefact: Artefact, work: float) -> float:
        """Return the seconds of the floating-point operations of a training or prediction."""
        if not isinstance(artefact, Predictions) and not getattr(artefact, "parts", ()):
            return 0
        return work / (self.rate(artefact) * max(1, gpus_of(artefact, self.project)))

    def rate(
        self,
        artefact: Checkpoint | Predictions,
        precision: Precision | None = None,
        eager: bool = False,
    ) -> float:
        """Return the operations per second of a device; in another precision if one is stated.

        `eager` leaves out CUDA graphs and compact embeddings, if that was measured. Raise
        InputError if the precision was not measured.
        """
        name = self.gpu if gpus_of(artefact, self.project) else "cpu"
        hardware = self.table.hardware[name]
        precision, phase = precision or artefact.settings.precision, artefact.identity.phase
        if isinstance(artefact, Predictions):
            return hardware.flops(precision, phase, artefact.family, eager)
        rates = [
            hardware.flops(precision, phase, part.family, eager or self._is_eager(artefact))
            for part in artefact.parts
        ]
        return harmonic_mean(rates)

    def _is_eager(self, step: Checkpoint) -> bool:
        """Whether a training has no CUDA graphs (see `modelling.graphs`)."""
        needs, several = self.project.models[step.model].resources, gpus_of(step, self.project) > 1
        return needs.eager or several or step.settings.packing

    def work(self, artefact: Artefact) -> float:
        """Return the work of a job, on which its time depends: FLOPs of a model, or rows of data.

        A training token costs 6 FLOPs per parameter, a predicted one 2 (Kaplan et al. 2020,
        section 2.1); the embedding table counts only as head of masked language modelling, for the
        masked tokens.
        """
        match artefact:
            case Checkpoint(parts=()):
                return 1
            case Checkpoint():
                return self._training(artefact)
            case Predictions():
                tokens = _tokens(artefact.family, artefact.encode.max_length)
                per_row = 2 * self.parameters(artefact.model, 0) * tokens
                return per_row * self.held(artefact)
        return self.held(artefact)

    def _training(self, step: Checkpoint) -> float:
        """Return the FLOPs of a step: of its optimiser steps and its validations."""
        settings = step.settings
        sizes = [self._examples(part) for part in step.parts]
        capped = [
            min(size, part.settings.examples_cap or size)
            for size, part in zip(sizes, step.parts, strict=True)
        ]
        epochs = [part.settings.epochs for part in step.parts]
        steps = settings.max_steps or steps_of(
            zip(capped, epochs, strict=True), settings.batch_size
        )
        drawn = shares(capped, settings.mixing, settings.temperature).tolist()
        flops = 0.0
        for part, share in zip(step.parts, drawn, strict=True):
            tokens = _tokens(part.family, part.encode.max_length)
            masked = part.settings.mask_rate if family(part.family).MASKED else 0
            per_example = self.parameters(step.model, masked) * tokens
            flops += 6 * per_example * steps * settings.batch_size * share
            if settings.evaluate_every and part.validation and part.metrics:
                examples = self.rows(part.validation)
                examples = min(examples, settings.validation_examples or examples)
                flops += 2 * per_example * examples * (steps // settings.evaluate_every)
        return flops

    def _examples(self, part: TrainPart) -> float:
        rows = sum(self.rows(data) for data in part.train)
        return part.size.of(round(rows)) if part.size else rows

    def stated_rows(self, dataset: Dataset) -> float | None:
        """Return the rows of a data set, prepared or stated by its task; None if unknown."""
        if dataset.id in self.evidence.rows:
            return self.evidence.rows[dataset.id]
        if isinstance(dataset.spec, LabSplit):
            return dataset.spec.size
        stated, limit = dataset.spec.expected("rows", dataset.language), dataset.spec.limit
        return min(stated, limit) if stated and limit else stated or limit

    def rows(self, dataset: Dataset) -> float:
        """Return the rows of a data set, assumed if they are unknown."""
        stated = self.stated_rows(dataset)
        return self.table.assumptions.rows[dataset.split] if stated is None else stated

    def parameters(self, model: str, masked: float = 1) -> float:
        """Return the number of weights of a model, embeddings times the fraction `masked`.

        These multiply each token: embeddings are looked up, except for the logits of masked tokens.
        Raise InputError if the model's entry does not state the number.
        """
        entry = self.project.models[model]
        total, embeddings = entry.weights
        if total is None:
            raise InputError(
                f"model {model!r}: its cost cannot be estimated; state `parameters`, the number of "
                "its weights, in config/models/*.yaml"
            )
        return total - (1 - masked) * embeddings

    def disk(self, artefact: Artefact, rows: float) -> float:
        """Return the bytes of a checkpoint's weights, or those assumed for `rows` rows."""
        if isinstance(artefact, Checkpoint):
            saved = artefact.settings.save_precision if artefact.settings else "fp32"
            return _BYTES[saved] * self.parameters(artefact.model)
        return self.table.assumptions.bytes_per_row[artefact.identity.phase] * rows

    def held(self, artefact: Artefact) -> float:
        """Return the rows that an artefact holds or scores; 1 for a checkpoint."""
        match artefact:
            case Score():
                return self.held(artefact.predictions)
            case Predictions():
                return sum(self.rows(data) for data in artefact.datasets)
            case Dataset():
                return self.rows(artefact)
        return self.evidence.rows.get(artefact.id, 1)

    def scratch(self, artefact: Artefact) -> float:
        """Return the bytes of a running training's resume state: the last and the next save."""
        if not isinstance(artefact, Checkpoint) or not artefact.parts:
            return 0
        return 2 * _STATE * self.parameters(artefact.model)


def _tokens(family_name: str, max_length: int) -> float:
    kind = family(family_name)
    return min(kind.TOKENS, max_length * kind.SEQUENCES)


def _groups(artefact: Artefact, gpus: int, cells: int = 1) -> list[tuple[tuple, str]]:
    """Return reference groups for an artefact's cost, most similar first, with descriptions.

    All jobs of a group have the same number of GPUs, and of processes that share a GPU.
    """
    phase, asked = artefact.identity.phase, (gpus, cells)
    if isinstance(artefact, Dataset | Download | Score):
        task = artefact.cell.target if isinstance(artefact, Score) else artefact.task
        near = ((phase, task), f"scaled from {phase} jobs of the task")
        return [near, ((phase,), f"scaled from {phase} jobs")]
    is_training = isinstance(artefact, Checkpoint)
    tasks = "+".join(part.name for part in artefact.parts) if is_training else artefact.target
    model = artefact.model
    return [
        ((phase, asked, model, tasks), "scaled from jobs of the same model and task"),
        ((phase, asked, model), "scaled from jobs of the same model"),
        ((phase, asked, None, tasks), "scaled from jobs of other models on the task"),
        ((phase, asked), "scaled from jobs of other models"),
    ]


class _References:
    """Measured jobs by reference group: (work, seconds) and (rows, bytes)."""

    def __init__(self):
        self.times: dict[tuple, list[tuple[float, float]]] = defaultdict(list)
        self.sizes: dict[tuple, list[tuple[float, float]]] = defaultdict(list)
        self.line = cache(lambda key: line(self.times[key]))
        self.bytes_per_row = cache(lambda key: _ratio(self.sizes[key]))

    def add(self, groups: list[tuple[tuple, str]], work: float, rows: float, cost: Cost) -> None:
        """Add a measured job to each of its groups."""
        for key, _ in groups:
            self.times[key].append((work, cost.seconds))
            self.sizes[key].append((rows, cost.disk))

    def nearest(self, groups: list[tuple[tuple, str]]) -> tuple[tuple, str] | None:
        """Return the first group with a measured job; None if there is none."""
        return next((group for group in groups if group[0] in self.times), None)


def _ratio(pairs: list[tuple[float, float]]) -> float:
    return sum(value for _, value in pairs) / max(1, sum(base for base, _ in pairs))


def line(points: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Return intercept and slope, neither negative, of points (work, seconds) by least squares.

    If all works are equal or the intercept would be negative, the line goes through the origin and
    the mean; if the slope would not be positive, it is flat.
    """
    works, values = zip(*points, strict=True)
    mean_work, mean = fmean(works), fmean(values)
    if max(works) - min(works) <= 1e-6 * abs(mean_work):
        return (0.0, mean / mean_work) if mean_work else (mean, 0.0)
    slope, intercept = linear_regression(works, values)
    if slope <= 0:
        return mean, 0.0
    return (intercept, slope) if intercept >= 0 else (0.0, mean / mean_work)
