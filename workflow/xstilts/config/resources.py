"""What a job may use: processors, GPUs, memory and time, by phase, model, attempt and site.

None of it changes a result, so none of it is part of an artefact's identity.
"""

from typing import Literal

from pydantic import Field, model_validator

from xstilts.config.origins import Strict

Phase = Literal["prepare", "initialise", "train", "predict"]


class Needs(Strict):
    """What a job may use at its first attempt; memory and time grow with each further one."""

    threads: int | None = Field(
        None,
        gt=0,
        description="Processors, for each GPU where a job has several; only one gives the same "
        "bits every time.",
    )
    gpu: int | None = Field(
        None,
        ge=0,
        description="GPUs, of all nodes; a training by several shares out the model (FSDP), "
        "predictions take one.",
    )
    mem_mb: int | None = Field(None, gt=0, description="Main memory, on each node.")
    runtime: int | None = Field(None, gt=0, description="Minutes.")


class ModelNeeds(Needs):
    """Of a model's training steps, and of its predictions where `predict` says nothing else."""

    micro_batch: int | None = Field(
        None, gt=0, description="Examples in memory at a time; the batch size stays."
    )
    nodes: int = Field(
        1, gt=0, description="Nodes of a cluster that a training's GPUs are on, as many on each."
    )
    predict: Needs = Field(Needs(), description="The same keys for the jobs that predict.")

    @model_validator(mode="after")
    def _even_nodes(self) -> "ModelNeeds":
        if self.nodes > 1 and ((self.gpu or 0) % self.nodes or (self.gpu or 0) < 2 * self.nodes):
            raise ValueError(
                f"gpu: {self.gpu or 0}, expected a multiple of nodes, {self.nodes}, and at least "
                "two on each"
            )
        return self


class Limits(Strict):
    """What no job of a site may ask for more of."""

    mem_mb: int | None = Field(None, gt=0)
    runtime: int | None = Field(None, gt=0)


class Partitions(Strict):
    """Partitions by what a job needs."""

    cpu: str | None = Field(None, description="Of jobs without GPUs.")
    gpu: str | None = Field(None, description="Of jobs with GPUs.")


class Site(Strict):
    """A cluster: whom jobs are charged to, where they run, and what they may ask for."""

    account: str | None = Field(None, description="Charged with the jobs.")
    partitions: Partitions = Partitions()
    gpu_model: str | None = Field(None, description="As `sinfo -o %G` names it.")
    constraint: str | None = Field(None, description="Features of nodes that jobs with GPUs want.")
    qos: str | None = Field(None, description="Quality of service of jobs with GPUs.")
    limits: Limits = Limits()
    phases: dict[Phase, Needs] = Field({}, description="Where a phase needs more or less.")
    save_seconds: int = Field(120, gt=0, description="A training saves so long before its limit.")
    sbatch: str = Field("", description="Further options of sbatch.")


_DEFAULTS: dict[Phase, Needs] = {
    "prepare": Needs(threads=1, gpu=0, mem_mb=8000, runtime=60),
    "initialise": Needs(threads=1, gpu=0, mem_mb=4000, runtime=30),
    "train": Needs(threads=1, gpu=0, mem_mb=4000, runtime=60),
    "predict": Needs(threads=1, gpu=0, mem_mb=4000, runtime=30),
}


def amount(
    resource: str, phase: Phase, model: ModelNeeds | None, site: Site, attempt: int = 1
) -> int:
    """How much of a resource a job may use at an attempt.

    What the model says of its trainings and predictions goes before what the site says of the
    phase, and that before the defaults.
    """
    stated: list[Needs | None] = [site.phases.get(phase), _DEFAULTS[phase]]
    if model and phase == "predict":
        stated = [model.predict, model, *stated]
    elif model and phase == "train":
        stated = [model, *stated]
    found = next(
        value for needs in stated if needs and (value := getattr(needs, resource)) is not None
    )
    if (resource, phase) == ("gpu", "predict"):
        return min(found, 1)
    if resource not in Limits.model_fields:
        return found
    most = getattr(site.limits, resource)
    return min(found * attempt, most) if most else found * attempt


def request(
    phase: Phase, model: ModelNeeds | None, site: Site, attempt: int = 1
) -> dict[str, int | str | None]:
    """What a job asks of SLURM, by the names of Snakemake's plugin; None leaves it to SLURM.

    Of a training on several nodes SLURM is told tasks and GPUs of each node, and the command itself
    calls srun; one node is stated too: else SLURM may take the GPUs of a job from several.
    """
    gpus = amount("gpu", phase, model, site)
    nodes = model.nodes if model and phase == "train" else 1
    found: dict[str, int | str | None] = {
        "mem_mb": amount("mem_mb", phase, model, site, attempt),
        "runtime": amount("runtime", phase, model, site, attempt),
        "slurm_account": site.account,
        "slurm_partition": site.partitions.gpu if gpus else site.partitions.cpu,
        "slurm_extra": f"--signal=TERM@{site.save_seconds} {site.sbatch}".strip(),
        "constraint": site.constraint if gpus else None,
        "qos": site.qos if gpus else None,
        "nodes": nodes,
    }
    names = ("gpu", "gpu_model", "cpus_per_task", "mpi", "tasks_per_node", "gres")
    found |= dict.fromkeys(names)
    if nodes > 1:
        each = gpus // nodes
        kind = f"{site.gpu_model}:" if site.gpu_model else ""
        return found | {"mpi": "srun", "tasks_per_node": each, "gres": f"gpu:{kind}{each}"}
    found |= {"gpu": gpus, "gpu_model": site.gpu_model if gpus else None}
    if gpus > 1:
        found["cpus_per_task"] = gpus * amount("threads", phase, model, site)
    return found
