"""xstilts: does intermediate-task training improve zero-shot cross-lingual transfer?

A study (the configuration) is expanded to cells and to the tree of artefacts that they need; one
file of rules per phase makes them. Every path ends in a digest of what determines its content, so
present is up to date and absent is to do; inputs are ancient(): modification times decide nothing.
"""

from pathlib import Path
from snakemake.utils import min_version

min_version("9.27")

if not workflow.overwrite_configfiles:

    configfile: workflow.source_path("config/config.yaml")


report: "workflow/report/workflow.rst"


container: "xstilts.sif"  # with --sdm apptainer only; envs/xstilts.def makes it


include: "workflow/rules/common.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/study.smk"


rule all:
    default_target: True
    input:
        rules.study.output,
        everything,
    localrule: True


onstart:
    if found := unwritable_results():
        raise WorkflowError(found)
    VIEW.write_snapshot()


onsuccess:
    if any(is_done(score) for score in GRID.scores()):
        shell(f"python -m xstilts study --study {VIEW.snapshot}")


onerror:
    print(
        unwritable_results()
        or f"Some jobs failed; the logs are in {LOGS}/. What they left out runs next time."
    )
