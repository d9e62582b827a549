"""The study's grid, and what the rules share: paths, wildcards, commands, resources."""

import gc
import sys
from functools import cache

from xstilts import store
from xstilts.config.project import read_site
from xstilts.errors import InputError
from xstilts.grid.artefacts import Download
from xstilts.config.resources import amount, request
from xstilts.status.slurm import queued_jobs
from xstilts.grid.state import (
    RESULTS,
    is_done,
    loose_ends,
    missing,
    open_values,
    use_this_installation,
)
from xstilts.report.view import StudyView

LOGS = "results/logs"
BENCHMARKS = "results/benchmarks"
ID = r"[^/]+\.[0-9a-f]{12}"

gc.set_threshold(
    500_000, 50, 1000
)  # jobs are made and kept: looking for waste takes a fifth
use_this_installation(Path(workflow.basedir))

try:
    GRID, NOTICES = open_values(config, Path(workflow.basedir) / "config")
    # each job reads this file: what takes long is for the main process
    SHARED = GRID.shared()
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


missing = cache(missing)  # as it was when the jobs were planned


def needed(artefacts):
    """Files to wait for: of each job that is to make some of these, the last that is missing.

    Snakemake plans a job for every file that it is asked for, though it be there; so planning
    costs what is to do, not what there is. Reports and drawings show everything.
    """
    files = {}
    for artefact in artefacts:
        if path := artefact.files[-1] if shows_everything() else missing(artefact):
            files[artefact.job] = ancient(path)
    return list(files.values())


def prediction_files():
    """Target -> the names of its files that a job may be asked for.

    Of the job of a few languages, Snakemake need not look at each: planning a study costs half.
    """
    names = {}
    planned = GRID.artefacts() if workflow.is_main_process else SHARED
    for predictions in planned.predictions.values():
        found = names.setdefault(predictions.target, {})
        files = predictions.files
        if workflow.is_main_process:
            files = [files[-1], missing(predictions) or files[-1]]
        found.update((Path(path).name, None) for path in files)
    return names


def shows_everything():
    """Whether all jobs are asked for: for a report, a drawing or a summary, or to be forced."""
    if not workflow.is_main_process:
        return False
    chosen = workflow.dag_settings
    forced = chosen.forceall or chosen.forcerun or chosen.forcetargets
    return bool(forced) or workflow.execution_settings is None or workflow.touch


def artefact(group, id):
    """An artefact of the study; a job's own process does not expand all cells for it."""
    known = getattr(GRID.artefacts(), group) if workflow.is_main_process else {}
    return known.get(id) or GRID.find(group, id)


def inputs(group):
    """The input function of a rule whose wildcard `node` is the id of an artefact of a group."""
    return lambda wildcards: needed(artefact(group, wildcards.node).inputs)


def downloads(datasets):
    """The input function of the rule that prepares these data sets."""
    return lambda wildcards: needed(
        d.download
        for d in datasets
        if d.download and (missing(d) or shows_everything())
    )


def everything(wildcards):
    """All that the study wants, so that what was deleted is made again."""
    found = GRID.artefacts()
    groups = [found.datasets, found.checkpoints, found.predictions, found.scores]
    artefacts = [artefact for group in groups for artefact in group.values()]
    return needed(artefacts if shows_everything() else loose_ends(artefacts))


def unwritable_results():
    """What is the matter with the results folder: read-only, or full, so that no log says so."""
    try:
        store.check_writable(RESULTS)
    except InputError as error:
        return str(error)
    return ""


def needs(phase, rule=None):
    """The resources of a rule's jobs: the model's, the site's, the phase's; more at each attempt."""
    prefix = f"rule_{rule or phase}"

    def asked(name):
        return lambda wildcards, attempt: request_of(
            phase, model_of(wildcards), attempt
        )[name]

    def sbatch_options(wildcards, attempt):
        """Those of all jobs; after a job of an earlier run that makes the same."""
        options = request_of(phase, model_of(wildcards), attempt)["slurm_extra"]
        node = getattr(wildcards, "node", "")
        earlier = earlier_jobs().get(f"{prefix}_wildcards_{node}" if node else prefix)
        if earlier and attempt == 1:
            options += f" --dependency=afterany:{earlier}"
        return options

    # Snakemake calls a function for each job: what is alike for all is stated as a value
    models = ["", *STUDY.models, *STUDY.controls]
    requests = [request_of(phase, model, n) for model in models for n in (1, 2)]
    found = {
        name: value if all(one[name] == value for one in requests) else asked(name)
        for name, value in requests[0].items()
    }
    found["slurm_extra"] = sbatch_options
    return {name: value for name, value in found.items() if value is not None}


@cache
def request_of(phase, model, attempt):
    """What jobs of a phase and a model, if they are about one, ask of SLURM at an attempt."""
    return request(phase, model_needs(model), SITE, attempt)


def processors(phase):
    """The threads of a rule's jobs; of each process, where several train."""
    return lambda wildcards: amount(
        "threads", phase, model_needs(model_of(wildcards)), SITE
    )


def model_of(wildcards):
    """The name of the model that a job is about; empty if it is about data."""
    name = getattr(wildcards, "node", "").split(".")[0]
    return name if name in GRID.project.models else ""


def model_needs(name):
    """The `resources` of a model."""
    return GRID.project.models[name].resources if name else None


@cache
def earlier_jobs():
    """Jobs of this folder that SLURM still has, of a run that ended without them."""
    return queued_jobs(Path.cwd()) if workflow.is_main_process else {}


def train_options(wildcards):
    """Options of a training job that do not change its result."""
    needs = model_needs(model_of(wildcards))
    stated = {"micro-batch": needs.micro_batch}
    if (needs.gpu or 0) > 1:
        stated |= {"processes": needs.gpu, "nodes": needs.nodes}
    return " ".join(f"--{option} {value}" for option, value in stated.items() if value)


def cell(wildcards):
    """The cell of a score."""
    return artefact("scores", wildcards.node).cell


def cell_labels(wildcards):
    """A cell's coordinates, as the report lists them."""
    found = cell(wildcards)
    return {"model": found.model, "recipe": found.recipe, "seed": str(found.seed)}
