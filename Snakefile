"""xstilts: does intermediate-task training improve zero-shot cross-lingual transfer?

A study (the configuration) is expanded to cells and to the tree of artefacts that they need; one
file of rules per phase makes them. `workflow/rules/common.smk` explains why the rules ignore dates.
"""

from xstilts.processes import signals

if workflow.is_main_process:
    signals.end_planning()

from snakemake.utils import min_version
from xstilts.config import DEFAULT_STUDY

min_version("9.27")

if not workflow.overwrite_configfiles:
    # of the working directory, else of this workflow
    if not DEFAULT_STUDY.exists():
        DEFAULT_STUDY = workflow.source_path(str(DEFAULT_STUDY))

    configfile: str(DEFAULT_STUDY)


report: "workflow/report/workflow.rst"


container: "xstilts.sif"  # with --sdm apptainer only; envs/xstilts.def makes it


include: "workflow/rules/common.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/together.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/study.smk"


rule all:
    default_target: True
    input:
        rules.study.output,
        lambda wildcards: ancient(REQUESTS.goal("all")),
    localrule: True


# fetch_all, prepare_all, train_all, predict_all, score_all: everything up to a phase
for _goal in [name for name in GOALS if name != "all"]:

    rule:
        name:
            _goal
        input:
            lambda wildcards, goal=_goal: ancient(REQUESTS.goal(goal)),
        localrule: True


onstart:
    # before the first job, instead of in the log of one of them
    if message := store.problem(paths.RESULTS) or "\n".join(PROBLEMS):
        raise WorkflowError(message)
    SHARED.cells |= REQUESTS.cells
    this_run.start(VIEW, SHARED, RUN, keep_snapshots=bool(EARLIER))


onerror:
    print(
        store.problem(paths.RESULTS)
        or this_run.last_words(map(Path, log), GRID, REQUESTS.cells)
    )
