"""The study's grid, and what the rules share.

A path ends in a digest of everything that determines its content, so an existing file is current,
and all inputs are ancient(). Snakemake orders, runs and retries the jobs of missing files.
`{node}` is an artefact's id and has no other meaning.
"""

import sys
from pathlib import Path

from snakemake.logging import logger

from xstilts import store
from xstilts.commands.workflow import predict_in_process, shell_command
from xstilts.config.project import this_site
from xstilts.config.resources import JobResources
from xstilts.errors import InputError
from xstilts.grid.dag import GOALS, Requests
from xstilts.grid.sharing import SharedJobs
from xstilts.grid.state import use_this_installation
from xstilts.processes.snakemake import Snakemake, plan_fast, shorten_output
from xstilts.report.view import StudyView
from xstilts.status import run as this_run
from xstilts.status.problems import notes, problems
from xstilts.status.slurm import queued_jobs
from xstilts.store import paths

ID = r"[^/]+\.[0-9a-f]{12}"
MANIFEST = f"{paths.CHECKPOINT}/{paths.MANIFEST}".format(id="{node}")
RUN = Snakemake(workflow)

plan_fast()
shorten_output()
use_this_installation()
try:
    GRID, NOTICES = this_run.opened(RUN, config)
    GRID.shared()  # expands a few cells: a mistake is reported here, not by a rule
    SITE = this_site()
    SHARED = SharedJobs() if RUN.plans else this_run.shared_of()
except InputError as error:
    raise WorkflowError(str(error)) from None

VIEW = StudyView(GRID)
SNAPSHOT = this_run.snapshot_of(VIEW, RUN)
REQUESTS = Requests(GRID, RUN, SITE, SHARED.cells)
EARLIER = queued_jobs(Path.cwd(), SharedJobs.by_comment()) if RUN.plans else {}
RESOURCES = JobResources(
    {name: model.resources for name, model in GRID.project.models.items()},
    SITE,
    EARLIER,
    {name: model.weights[0] or 0 for name, model in GRID.project.models.items()},
    REQUESTS.predicted_by,
)
if RUN.plans:
    SHARED = REQUESTS.shared_jobs()
    PROBLEMS = problems(GRID)
    this_run.quieten(logger)
    sys.stderr.writelines(f"{line}\n" for line in [*NOTICES, *notes(GRID), *PROBLEMS])


def cell_of(wildcards):
    """The cell of a score."""
    return REQUESTS.artefact("scores", wildcards.node).cell


def labels_of(wildcards):
    """A cell's coordinates, as Snakemake's report lists them."""
    cell = cell_of(wildcards)
    return {"model": cell.model, "recipe": cell.recipe, "seed": str(cell.seed)}


def command(stage):
    """The shell command of a stage, as far as it is the same for all rules."""
    return shell_command(stage, SNAPSHOT)


def inputs(group, ids=None):
    """The input function of jobs that make artefacts of a group: `ids`, else the job's `node`."""

    def files(wildcards):
        RUN.prepare_scheduler()
        return ancient(REQUESTS.inputs(group, ids or [wildcards.node]))

    return files


def priority(group, ids=None):
    """The priority function of such jobs."""
    return lambda wildcards: REQUESTS.priority(group, ids or [wildcards.node])
