"""The study's grid, and what the rules share: paths, wildcards, commands, resources."""

import sys

from xstilts.errors import InputError
from xstilts.artefacts import Download, prediction_file
from xstilts.workplan import StudyView, is_done, open_values, use_this_installation

LOGS = "results/logs"
BENCHMARKS = "results/benchmarks"
ID = r"[^/]+\.[0-9a-f]{12}"

use_this_installation(Path(workflow.basedir))

try:
    GRID, NOTICES = open_values(config, Path(workflow.basedir) / "config")
    ARTEFACTS = GRID.artefacts()
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
    files += [score.path for score in ARTEFACTS.scores.values()]
    return manifests(folders) + [ancient(path) for path in files]


# what a job of a phase needs where its model does not say; memory in MB, time in minutes
NEEDS = {
    "fetch": {"mem_mb": 4000, "runtime": 240},
    "prepare": {"mem_mb": 8000, "runtime": 60},
    "initialise": {"mem_mb": 4000, "runtime": 30},
    "train": {"mem_mb": 4000, "runtime": 60, "gpu": 0},
    "predict": {"mem_mb": 4000, "runtime": 30, "gpu": 0},
    "score": {"mem_mb": 2000, "runtime": 10},
    "study": {"mem_mb": 4000, "runtime": 10},
}


def needs(phase, resource):
    """What a job may use: the model's `resources` or the phase's; more at every attempt."""

    def amount(wildcards, attempt):
        name = getattr(wildcards, "node", "").split(".")[0]
        model = GRID.project.models.get(name)
        stated = model.resources if model and phase in ("train", "predict") else {}
        found = stated.get(resource, NEEDS[phase][resource])
        return found if resource == "gpu" else found * attempt

    return amount


def train_options(wildcards):
    """Options of a training job that do not change its result."""
    model = GRID.project.models[wildcards.node.split(".")[0]]
    micro_batch = model.resources.get("micro_batch")
    return f"--micro-batch {micro_batch}" if micro_batch else ""


def cell_labels(cell):
    """A cell's coordinates, as the report lists them."""
    return {"model": cell.model, "recipe": cell.recipe, "seed": str(cell.seed)}
