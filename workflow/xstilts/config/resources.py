"""Resources of jobs: processors, GPUs, memory and time, by phase, model, attempt and site.

They change no result, so they are not part of an artefact's identity.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal

from pydantic import Field, model_validator

from xstilts.config.origins import Strict
from xstilts.config.training import SAVE_MINUTES, TrainingOptions

Phase = Literal["prepare", "initialise", "train", "merge", "predict"]
Keep = Literal["all", "parents", "none"]
Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio"]


class Needs(Strict):
    """Resources of a job's first attempt; memory and time grow with each further attempt."""

    threads: int | None = Field(
        None,
        gt=0,
        description="Processor cores, per GPU if there are several. Only one core gives "
        "bit-identical results.",
    )
    gpu: int | None = Field(
        None,
        ge=0,
        description="GPUs on all nodes together. With several, the model is sharded across them "
        "(FSDP); predictions use one.",
    )
    mem_mb: int | None = Field(
        None,
        gt=0,
        description="Main memory per node. By default 4,000 or, if more, 1,500 plus 16 bytes per "
        "weight (training) or 8 (prediction) of the model's `parameters`.",
    )
    runtime: int | None = Field(None, gt=0, description="Minutes.")


class ModelNeeds(Needs):
    """Resources of a model's training jobs, and of its predictions unless `predict` states them."""

    micro_batch: int | None = Field(
        None,
        gt=0,
        description="Examples in memory at the same time; the batch size stays. It changes a "
        "training by rounding, and by the random numbers of dropout where a model has dropout.",
    )
    compact_embeddings: bool = Field(
        False,
        description="Train only the embeddings of tokens that occur in the training data; all "
        "others decay as AdamW would let them. It changes a training by rounding. It has no effect "
        "with masked language modelling, tied embeddings, LoRA and `fp16`, and needs one process.",
    )
    eager: bool = Field(
        False,
        description="Start each kernel of a GPU from Python. By default the kernels of a batch are "
        "recorded once for each shape and replayed (CUDA graphs), where that is possible. It "
        "changes a training by rounding.",
    )
    nodes: int = Field(
        1, gt=0, description="Nodes of a cluster for the GPUs of a training, equally many on each."
    )
    save_minutes: float = Field(
        SAVE_MINUTES,
        gt=0,
        description="Minutes between two saves of a training's state, from which it resumes.",
    )
    cells_per_gpu: int = Field(
        1,
        gt=0,
        description="Trainings, or predictions, that one job runs at the same time on one GPU. "
        "Memory and processors of the job are those of one, times their number.",
    )
    predict: Needs = Field(
        Needs(), description="`threads`, `gpu`, `mem_mb` and `runtime` of prediction jobs."
    )

    @model_validator(mode="after")
    def _gpus_fit(self) -> "ModelNeeds":
        gpus = self.gpu or 0
        if self.nodes > 1 and (gpus % self.nodes or gpus < 2 * self.nodes):
            raise ValueError(
                f"gpu: {gpus}, expected a multiple of nodes ({self.nodes}) with at least two on "
                "each"
            )
        if self.compact_embeddings and gpus > 1:
            raise ValueError(
                f"compact_embeddings: true needs gpu: 1, not {gpus}: several GPUs share the "
                "weights; leave it out"
            )
        if self.cells_per_gpu > 1 and gpus != 1:
            given = "; add it" if self.gpu is None else f", not {self.gpu}"
            raise ValueError(f"cells_per_gpu: {self.cells_per_gpu} needs gpu: 1{given}")
        return self


class Limits(Strict):
    """Upper limits of a site's jobs."""

    mem_mb: int | None = Field(None, gt=0)
    runtime: int | None = Field(None, gt=0)


class Partitions(Strict):
    """Partitions for jobs with and without GPUs."""

    cpu: str | None = Field(None, description="For jobs without GPUs.")
    gpu: str | None = Field(None, description="For jobs with GPUs.")


class Site(Strict):
    """A cluster: account, partitions and limits of its jobs."""

    account: str | None = Field(None, description="Account that pays for the jobs.")
    partitions: Partitions = Partitions()
    gpu_model: str | None = Field(None, description="Name of the GPU in `sinfo -o %G`.")
    constraint: str | None = Field(None, description="Node features required by jobs with GPUs.")
    qos: str | None = Field(None, description="Quality of service of jobs with GPUs.")
    limits: Limits = Limits()
    phases: dict[Phase, Needs] = Field({}, description="Phases that need more or less.")
    save_seconds: int = Field(
        120, gt=0, description="Seconds before its time limit that a training saves."
    )
    sbatch: str = Field("", description="Further options of sbatch.")
    keep: Keep | None = Field(
        None, description="Weights that stay, for studies without a `keep` of their own."
    )
    trackers: list[Tracker] = Field([], description="Trackers that trainings report to.")
    one_job_per_cell: bool = Field(
        True, description="Whether a job of SLURM that trains a target task also predicts it."
    )


_DEFAULTS: dict[Phase, Needs] = {
    "prepare": Needs(threads=1, gpu=0, mem_mb=8000, runtime=60),
    "initialise": Needs(threads=1, gpu=0, mem_mb=4000, runtime=30),
    "train": Needs(threads=1, gpu=0, mem_mb=4000, runtime=60),
    "merge": Needs(threads=1, gpu=0, mem_mb=8000, runtime=30),
    "predict": Needs(threads=1, gpu=0, mem_mb=4000, runtime=30),
}
# Memory of large models. Training: weights, gradients and the two moments of Adam, in 4 bytes each;
# prediction: the weights, twice while they are read. The rest is Python, libraries and data.
_BYTES_PER_WEIGHT: dict[Phase, int] = {"train": 16, "predict": 8}
_BASE_MEMORY = 1500  # MB; a training of 117.5 M weights peaked at 3.4 to 3.6 GB in all


@dataclass(frozen=True)
class Demand:
    """Resources that a job of a phase requests.

    `cells` processes run in the job at the same time; `weights` is the model's number of weights.
    """

    phase: Phase
    model: ModelNeeds | None
    site: Site
    attempt: int = 1
    cells: int = 1
    weights: float = 0

    def amount(self, resource: str) -> int:
        """Return the amount of a resource.

        The model's resources for trainings and predictions take precedence over the site's
        resources for the phase, and these over the defaults, whose memory grows with the weights.
        """
        stated: list[Needs | None] = [self.site.phases.get(self.phase), self._defaults()]
        if self.model and self.phase == "predict":
            stated = [self.model.predict, self.model, *stated]
        elif self.model and self.phase == "train":
            stated = [self.model, *stated]
        value = next(
            value for needs in stated if needs and (value := getattr(needs, resource)) is not None
        )
        if (resource, self.phase) == ("gpu", "predict"):
            return min(value, 1)
        if resource in ("mem_mb", "threads"):
            value *= self.cells
        if resource not in Limits.model_fields:
            return value
        most = getattr(self.site.limits, resource)
        return min(value * self.attempt, most) if most else value * self.attempt

    def _defaults(self) -> Needs:
        usual = _DEFAULTS[self.phase]
        memory = _BASE_MEMORY + self.weights * _BYTES_PER_WEIGHT.get(self.phase, 0) / 1e6
        return usual.model_copy(update={"mem_mb": max(usual.mem_mb or 0, math.ceil(memory))})

    def request(self) -> dict[str, int | str | None]:
        """Return the resources by the names of Snakemake's SLURM plugin; None leaves it to SLURM.

        For a training on several nodes, SLURM gets the tasks and GPUs per node, and the command
        itself calls srun. A single node is stated too: otherwise SLURM may spread a job's GPUs over
        nodes.
        """
        site, gpus = self.site, self.amount("gpu")
        nodes = self.model.nodes if self.model and self.phase == "train" else 1
        each = gpus // nodes
        kind = f"{site.gpu_model}:" if site.gpu_model else ""
        several = nodes > 1
        return {
            "mem_mb": self.amount("mem_mb"),
            "runtime": self.amount("runtime"),
            "slurm_account": site.account,
            "slurm_partition": site.partitions.gpu if gpus else site.partitions.cpu,
            "slurm_extra": f"--signal=TERM@{site.save_seconds} {site.sbatch}".strip(),
            "constraint": site.constraint if gpus else None,
            "qos": site.qos if gpus else None,
            "nodes": nodes,
            "mpi": "srun" if several else None,
            "tasks_per_node": each if several else None,
            "gres": f"gpu:{kind}{each}" if several else None,
            "gpu": None if several else gpus,
            "gpu_model": site.gpu_model if gpus and not several else None,
            "cpus_per_task": None if several or gpus < 2 else gpus * self.amount("threads"),
        }


def predicts_after_training(needs: ModelNeeds, site: Site) -> bool:
    """Whether one job can train a target task and predict it: both need the same device."""

    def amounts(name: str) -> set[int]:
        return {Demand(p, needs, site).amount(name) for p in ("train", "predict")}

    same = amounts("gpu") in ({0}, {1}) and len(amounts("threads")) == 1
    return same and needs.cells_per_gpu == 1 and site.one_job_per_cell


def slurm_comment(rule: str, node: str) -> str:
    """Return the comment that Snakemake's SLURM plugin gives a job: its rule and wildcard."""
    return f"rule_{rule}" + (f"_wildcards_{node}" if node else "")


class JobResources:
    """Resources of the jobs of a study's models at a site.

    `earlier` has the jobs of an interrupted run that SLURM still holds: their numbers by comment,
    and by the ids of what they make. `weights` are the models' numbers of weights. `predicted_by`
    returns the ids of the predictions that the job of a training also makes.
    """

    def __init__(
        self,
        models: Mapping[str, ModelNeeds],
        site: Site,
        earlier: Mapping[str, str] | None = None,
        weights: Mapping[str, float] | None = None,
        predicted_by: Callable[[str], Collection[str]] = lambda training: (),
    ):
        self.models = models
        self.predicted_by = predicted_by
        self.site = site
        self.weights = weights or {}
        self.earlier = earlier or {}
        self.request = cache(self._request)

    def _request(
        self, phase: Phase, model: str, attempt: int, cells: int = 1
    ) -> dict[str, int | str | None]:
        weights = self.weights.get(model, 0)
        return Demand(phase, self.models.get(model), self.site, attempt, cells, weights).request()

    def _model_of(self, wildcards: Any) -> str:
        """Name of the model of a job, from its wildcard `node`; empty for data."""
        name = _node(wildcards).split(".")[0]
        return name if name in self.models else ""

    def keywords(
        self, phase: Phase, rule: str | None = None, model: str = "", ids: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return the resources of a rule: constants, or functions of wildcards and attempt.

        Snakemake calls a function for each job, so what is equal for all jobs is a constant. The
        job of a rule that states `ids` makes these artefacts of a model on one GPU, each in a
        process.
        """
        models = list(self.models) if phase in ("train", "predict") else [""]
        first, *others = [
            self.request(phase, name, attempt, len(ids) or 1)
            for name in ([model] if model else models)
            for attempt in (1, 2)
        ]
        keywords: dict[str, Any] = {}
        for name, value in first.items():
            is_constant = all(other[name] == value for other in others)
            of_job = partial(self._of_job, phase, name, model, len(ids) or 1)
            keywords[name] = value if is_constant else of_job
        if self.earlier:
            keywords["slurm_extra"] = partial(self._sbatch_options, phase, rule or phase, ids)
        return {name: value for name, value in keywords.items() if value is not None}

    def _of_job(
        self, phase: Phase, name: str, model: str, cells: int, wildcards: Any, attempt: int
    ) -> int | str | None:
        """Return a resource of a job; a training that also predicts needs the time of both."""
        model = model or self._model_of(wildcards)
        own = self.request(phase, model, attempt, cells)[name]
        if name not in Limits.model_fields or phase != "train":
            return own
        if not self.predicted_by(_node(wildcards)):
            return own
        amounts = [int(own or 0), int(self.request("predict", model, attempt)[name] or 0)]
        if name == "mem_mb":
            return max(amounts)
        return min(sum(amounts), self.site.limits.runtime or sum(amounts))

    def _sbatch_options(
        self, phase: Phase, rule: str, ids: Sequence[str], wildcards: Any, attempt: int
    ) -> str:
        """Return the options of sbatch for a job.

        A first attempt waits for the earlier jobs that make the same.
        """
        node = _node(wildcards)
        stated = str(self.request(phase, "", attempt)["slurm_extra"])
        names = [slurm_comment(rule, node), *(ids or [node])]
        numbers = {self.earlier[name] for name in names if name in self.earlier}
        if attempt > 1 or not numbers:
            return stated
        return f"{stated} --dependency=afterany:{':'.join(sorted(numbers))}"

    def threads(self, phase: Phase) -> int | Callable[[Any], int]:
        """Return the processors of a job; of each process, if several train.

        As in `keywords`, the result is a function only if the models differ.
        """
        numbers = {self.threads_of(phase, model) for model in self.models}
        if len(numbers) == 1:
            return numbers.pop()
        return lambda wildcards: self.threads_of(phase, self._model_of(wildcards))

    def threads_of(self, phase: Phase, model: str, cells: int = 1) -> int:
        """Return the processors of a job of a model that runs `cells` processes."""
        return Demand(phase, self.models.get(model), self.site, cells=cells).amount("threads")

    def options(self, phase: Phase, model: str) -> str:
        """Return the options of each process of a shared job."""
        threads = f"--threads {self.threads_of(phase, model)}"
        return f"{threads} {self.train_options(model)}" if phase == "train" else threads

    def train_options(self, model: str) -> str:
        """Return the options of a model's training command that do not change its result."""
        needs = self.models[model]
        options = TrainingOptions(
            needs.micro_batch,
            save_minutes=needs.save_minutes,
            compact_embeddings=needs.compact_embeddings,
            eager=needs.eager,
            trackers=tuple(self.site.trackers),
        )
        processes = [f"--processes {needs.gpu} --nodes {needs.nodes}"] * ((needs.gpu or 0) > 1)
        return " ".join([*options.flags(), *processes])


def _node(wildcards: Any) -> str:
    return getattr(wildcards, "node", "")
