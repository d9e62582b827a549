"""The study's grid, and what the rules share.

Identity in the path and Snakemake share the work: a path ends in a digest of everything that
determines its content, so an existing file is current and inputs are ancient(); Snakemake orders,
runs and retries the jobs of missing files. `{node}` is an artefact's id and has no other meaning.
"""

import functools
import gc
import os
import shlex
import sys
from pathlib import Path

from snakemake.logging import logger

from xstilts import store
from xstilts.config.project import this_site
from xstilts.config.resources import JobResources
from xstilts.errors import InputError
from xstilts.grid.dag import GOALS, Requests, inspect_functions_once
from xstilts.grid.sharing import SharedJobs
from xstilts.grid.state import open_rules, open_study, use_this_installation
from xstilts.processes import devices, fork_server
from xstilts.report.view import StudyView
from xstilts.status import run as this_run
from xstilts.status.problems import notes, problems
from xstilts.status.slurm import queued_jobs
from xstilts.store import paths

ID = r"[^/]+\.[0-9a-f]{12}"
MANIFEST = f"{paths.CHECKPOINT}/{paths.MANIFEST}".format(id="{node}")

# The DAG allocates millions of long-lived objects; fewer GC passes save 20 % of planning time.
gc.set_threshold(500_000, 50, 1000)
inspect_functions_once()

PLANNING = workflow.is_main_process  # else this is the process of one job
DEPLOYMENT = workflow.deployment_settings.deployment_method  # jobs have another Python


def everything():
    """Why Snakemake wants all jobs, also those of existing files; None if it does not.

    "forced": it makes them again. "shown": it touches them, or shows them (--report, --dag,
    --summary and other runs without jobs, which have no `execution_settings`). Snakemake documents
    none of these attributes, and they are set after parsing; tests/workflow/test_flags.py runs
    each flag.
    """
    dag = workflow.dag_settings
    if dag.forceall or dag.forcerun or dag.forcetargets:
        return "forced"
    return "shown" if workflow.execution_settings is None or workflow.touch else None


def in_one_job(model):
    """Whether a job that trains a target task of a model also predicts it.

    It does on a cluster, which has a queue. A dry run has no executor; it has a number of jobs.
    """
    nodes = workflow.resource_settings.nodes
    on_cluster = nodes is not None if workflow.dryrun else not workflow.local_exec
    return on_cluster and RESOURCES.predicts_after_training(model)


use_this_installation()

# The process of a job reads the snapshot of its run: the configuration may have changed since.
RUN_SNAPSHOT = os.environ.get("XSTILTS_SNAPSHOT", "")

try:
    if RUN_SNAPSHOT and not PLANNING:
        GRID, NOTICES = open_study(Path(RUN_SNAPSHOT))
    else:
        GRID, NOTICES = open_rules(
            [Path(file) for file in workflow.configfiles],
            workflow.config_settings.config,
            None if workflow.modifier.is_main_snakefile() else config,
        )
    GRID.shared()  # expands a few cells: a mistake is reported here, not by a rule
    SITE = this_site()
except InputError as error:
    raise WorkflowError(str(error)) from None

VIEW = StudyView(GRID)
SNAPSHOT = VIEW.snapshot if PLANNING else Path(RUN_SNAPSHOT or VIEW.snapshot)
REQUESTS = Requests(GRID, PLANNING, everything, in_one_job)
# Also of a run without jobs: a job's process has the rules of its run.
SHARED_FILE = os.environ.get("XSTILTS_SHARED", "")
SHARED = (
    REQUESTS.shared_jobs()
    if PLANNING
    else SharedJobs.read(Path(SHARED_FILE)) if SHARED_FILE else SharedJobs()
)
REQUESTS.cells.update(SHARED.cells)
RESOURCES = JobResources(
    {name: model.resources for name, model in GRID.project.models.items()},
    SITE,
    queued_jobs(Path.cwd(), SharedJobs.by_comment()) if PLANNING else {},
    {name: model.weights[0] or 0 for name, model in GRID.project.models.items()},
    REQUESTS.cells,
)
if PLANNING:
    this_run.quieten(logger)
    PROBLEMS = problems(GRID)
    for _notice in [*NOTICES, *notes(GRID), *PROBLEMS]:
        print(_notice, file=sys.stderr)


def command(stage):
    """The shell command of a stage; `exec`, so that a scheduler's signal reaches Python."""
    return f"exec python -m xstilts {stage} --study {SNAPSHOT} --log {{log:q}} "


def then_predict(wildcards):
    """The commands that the process of a training runs afterwards."""
    threads = RESOURCES.options("predict", wildcards.node.split(".")[0])
    return [
        f"then predict {shlex.quote(id)} --study {SNAPSHOT} {threads} --measure "
        f"--log {shlex.quote(str(paths.log_file('predict', id)))}"
        for id in REQUESTS.cells.get(wildcards.node, [])
    ]


def inputs(group, ids=None):
    """The input function of jobs that make artefacts of a group: `ids`, else the job's `node`."""

    def files(wildcards):
        offer_gpus()
        schedule_when_jobs_end()
        return ancient(REQUESTS.inputs(group, ids or [wildcards.node]))

    return files


@functools.cache
def offer_gpus():
    """Let the jobs of this machine share its GPUs out; at most as many as `--resources gpu=N` say.

    The executor is known after parsing, and the scheduler copies the resources after the inputs.
    """
    if PLANNING and workflow.local_exec:
        stated = workflow.global_resources.get("gpu")
        workflow.register_resource("gpu", devices.offer(stated and stated.value))


@functools.cache
def schedule_when_jobs_end():
    """Let the scheduler look for jobs when a job ends, and at no other time.

    With Snakemake's default limit of 100 jobs per second, each look plans another one second later.
    So the looks per second grow with every job that ends, until they take a whole processor core.
    """
    settings = workflow.scheduling_settings
    limit = settings and settings.max_jobs_per_timespan
    if PLANNING and limit and (limit.max_jobs, limit.timespan) == (100, 1):
        settings.max_jobs_per_timespan = None


def labels(wildcards):
    """A cell's coordinates, as Snakemake's report lists them."""
    cell = REQUESTS.artefact("scores", wildcards.node).cell
    return {"model": cell.model, "recipe": cell.recipe, "seed": str(cell.seed)}
