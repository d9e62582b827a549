"""The study's grid, and what the rules share: paths, wildcards, commands, resources."""

import sys
from functools import cache

from xstilts.config import read_site
from xstilts.errors import InputError
from xstilts.artefacts import Download, prediction_file
from xstilts.resources import amount
from xstilts.slurm import queued_jobs
from xstilts.workplan import StudyView, is_done, open_values, use_this_installation

LOGS = "results/logs"
BENCHMARKS = "results/benchmarks"
ID = r"[^/]+\.[0-9a-f]{12}"

use_this_installation(Path(workflow.basedir))

try:
    GRID, NOTICES = open_values(config, Path(workflow.basedir) / "config")
    ARTEFACTS = GRID.artefacts()
    SITE = read_site(Path(workflow.basedir) / "profiles" / "slurm" / "site.yaml")
except InputError as error:
    raise WorkflowError(str(error)) from None

STUDY = GRID.study
VIEW = StudyView(GRID)
if workflow.is_main_process:
    for notice in NOTICES:
        print(notice, file=sys.stderr)


def command(stage):
    """The shell command of a stage; `exec`, so that a scheduler's signal reaches Python."""
    return f"exec python -m xstilts {stage} --study {VIEW.snapshot} --log {{log:q}} "


def manifests(artefacts):
    """The files that say that folder artefacts are whole."""
    return [ancient(f"{artefact.path}/manifest.json") for artefact in artefacts]


def everything():
    """All files that the study wants, so that a deleted one is made again."""
    folders = [*ARTEFACTS.datasets.values(), *ARTEFACTS.checkpoints.values()]
    files = [p.file(d) for p in ARTEFACTS.predictions.values() for d in p.datasets]
    files += [path for score in ARTEFACTS.scores.values() for path in score.files]
    return manifests(folders) + [ancient(path) for path in files]


def needs(phase, rule=None):
    """The resources of a rule's jobs: the model's, the site's, the phase's; more at each attempt."""
    prefix = f"rule_{rule or phase}"

    def asked(resource):
        def value(wildcards, attempt):
            return amount(resource, phase, model_needs(wildcards), SITE, attempt)

        return value

    def on_gpu(wildcards):
        return amount("gpu", phase, model_needs(wildcards), SITE) > 0

    def sbatch_options(wildcards, attempt):
        """A warning before the time limit; after a job of an earlier run that makes the same."""
        options = f"--signal=TERM@{SITE.save_seconds} {SITE.sbatch}".strip()
        if nodes(wildcards):
            options += f" --gpus-per-node={gpus_per_node(wildcards)}"
        node = getattr(wildcards, "node", "")
        earlier = earlier_jobs().get(f"{prefix}_wildcards_{node}" if node else prefix)
        if earlier and attempt == 1:
            options += f" --dependency=afterany:{earlier}"
        return options

    def nodes(wildcards):
        """How many, of a training on several."""
        model = model_needs(wildcards) if phase == "train" else None
        return model.nodes if model and model.nodes > 1 else None

    def gpus_per_node(wildcards):
        model = model_needs(wildcards)
        return model.gpu // model.nodes if nodes(wildcards) else None

    return {
        "nodes": nodes,
        # so that the plugin leaves it to the command to call srun
        "mpi": lambda wildcards: "srun" if nodes(wildcards) else None,
        "tasks_per_node": gpus_per_node,
        "gpu": asked("gpu"),
        "mem_mb": asked("mem_mb"),
        "runtime": asked("runtime"),
        "gpu_model": lambda wildcards: SITE.gpu_model if on_gpu(wildcards) else None,
        "slurm_account": lambda wildcards: SITE.account,
        "slurm_partition": lambda wildcards: (
            SITE.partitions.gpu if on_gpu(wildcards) else SITE.partitions.cpu
        ),
        "slurm_extra": sbatch_options,
    }


def processors(phase):
    """The threads of a rule's jobs."""
    return lambda wildcards: amount("threads", phase, model_needs(wildcards), SITE)


def model_needs(wildcards):
    """The `resources` of the model that a job is about; none of a job about data."""
    model = GRID.project.models.get(getattr(wildcards, "node", "").split(".")[0])
    return model.resources if model else None


@cache
def earlier_jobs():
    """Jobs of this folder that SLURM still has, of a run that ended without them."""
    return queued_jobs(Path.cwd()) if workflow.is_main_process else {}


def train_options(wildcards):
    """Options of a training job that do not change its result."""
    needs = model_needs(wildcards)
    stated = {"micro-batch": needs.micro_batch}
    if (needs.gpu or 0) > 1:
        stated |= {"processes": needs.gpu, "nodes": needs.nodes}
    return " ".join(f"--{option} {value}" for option, value in stated.items() if value)


def cell_labels(cell):
    """A cell's coordinates, as the report lists them."""
    return {"model": cell.model, "recipe": cell.recipe, "seed": str(cell.seed)}
