"""The running Snakemake: the only place that reads attributes of its `workflow`.

Snakemake documents none of them, and sets most of them after it has parsed the rules; so they are
read while jobs are planned, or later. tests/workflow/test_flags.py runs the flags that matter here.
"""

import argparse
import gc
import logging
import re
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any, Literal

from xstilts.errors import InputError, check_given_once
from xstilts.processes import devices

_ROUND = re.compile(r"Execute \d+ jobs\.\.\.")
_SHOWN = 5  # files of a job that its description names


class Snakemake:
    """A process of Snakemake, by its `workflow`."""

    def __init__(self, workflow: Any):
        self._workflow = workflow
        self.plans: bool = workflow.is_main_process  # else it is the process of one job

    @property
    def is_local(self) -> bool:
        """Whether jobs run on this machine."""
        return self._workflow.local_exec

    @property
    def deploys(self) -> bool:
        """Whether jobs have another Python: that of conda or of a container."""
        return bool(self._workflow.deployment_settings.deployment_method)

    @property
    def on_cluster(self) -> bool:
        """Whether jobs wait in a queue. A dry run has no executor, but a number of jobs."""
        nodes = self._workflow.resource_settings.nodes
        return nodes is not None if self._workflow.dryrun else not self.is_local

    @property
    def targets(self) -> frozenset[str]:
        """Rules and files that the command line names."""
        return frozenset(self._workflow.dag_settings.targets)

    @cached_property
    def everything(self) -> Literal["forced", "shown"] | None:
        """Reason to plan all jobs, also those of existing files; None if there is none.

        "forced": their results are made again. "shown": the jobs are only touched or listed
        (--report, --dag, --summary and other runs without jobs, which have no
        `execution_settings`).
        """
        dag = self._workflow.dag_settings
        if not self.plans:
            return None
        if dag.forceall or dag.forcerun or dag.forcetargets:
            return "forced"
        unlike_a_run = self._workflow.execution_settings is None or self._workflow.touch
        return "shown" if unlike_a_run else None

    def values(self, config: dict[str, Any]) -> tuple[list[str], dict[str, Any], dict | None]:
        """Return the configuration files, the values of `--config`, and those of a module.

        `config` has the values that another workflow passes if it uses this one as a module.
        """
        workflow = self._workflow
        is_module = not workflow.modifier.is_main_snakefile()
        return workflow.configfiles, workflow.config_settings.config, config if is_module else None

    @cache  # noqa: B019  a process has one
    def prepare_scheduler(self) -> None:
        """Set what Snakemake reads when it makes its scheduler, after the inputs of all jobs."""
        if self.plans and self.is_local:
            self._offer_gpus()
        if self.plans:
            self._schedule_when_jobs_end()

    def _offer_gpus(self) -> None:
        """Distribute this machine's GPUs among jobs, at most the N of `--resources gpu=N`."""
        stated = self._workflow.global_resources.get("gpu")
        self._workflow.register_resource("gpu", devices.offer(stated and stated.value))

    def _schedule_when_jobs_end(self) -> None:
        """Let the scheduler select jobs when a job ends, and at no other time.

        With Snakemake's default limit of 100 jobs per second, each selection plans another one a
        second later. So selections become more frequent with every job that ends, until they take a
        whole processor core.
        """
        settings = self._workflow.scheduling_settings
        limit = settings and settings.max_jobs_per_timespan
        if limit and (limit.max_jobs, limit.timespan) == (100, 1):
            settings.max_jobs_per_timespan = None


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise InputError for an option or a key of the study that a command line repeats.

    Snakemake uses the last one: of two `--config`, it ignores all keys of the first.
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--config", "-C", nargs="*", action="append", default=[])
    parser.add_argument("--configfile", "--configfiles", nargs="+", action="append", default=[])
    options, _ = parser.parse_known_args(list(arguments))
    for name, values in vars(options).items():
        if len(values) > 1:
            raise InputError(f"--{name} is given twice; write all values after one --{name}")
    check_given_once([text.partition("=")[0] for texts in options.config for text in texts])


def plan_fast() -> None:
    """Make planning cheaper: collect garbage less often, and inspect each function once.

    The graph of jobs has millions of long-lived objects; fewer collections save 20 % of the time.
    Snakemake inspects the parameters of each function again for each job.
    """
    from snakemake import common, rules

    gc.set_threshold(500_000, 50, 1000)
    common.get_function_params = rules.get_function_params = cache(common.get_function_params)


def shorten_output() -> None:
    """Leave out Snakemake's two lines per round of its scheduler, and shorten long lists of files.

    In the lab they were 700 of 3,800 lines, and the last job lists 8,700 characters of inputs.
    """
    from snakemake.logging import logger

    def shortened(record: logging.LogRecord) -> bool:
        for name in ("input", "output"):
            files = getattr(record, name, None) or []
            if len(files) > _SHOWN:
                setattr(record, name, [*files[:_SHOWN], f"… ({len(files):,} files)"])
        text = record.getMessage()
        return not (text == "Select jobs to execute..." or _ROUND.fullmatch(text))

    logger.addFilter(shortened)
