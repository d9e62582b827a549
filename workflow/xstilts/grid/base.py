"""Properties that all artefacts share: identity, path, inputs, and the job that makes them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path

from xstilts.config.resources import slurm_comment
from xstilts.identity import Identity
from xstilts.store import paths


def memoised(method: Callable) -> Callable:
    """Decorate a method so that an instance computes the result of equal arguments once."""
    name = f"_{method.__name__}_results"

    @wraps(method)
    def call(self, *arguments):
        results = self.__dict__.setdefault(name, {})
        if arguments not in results:
            results[arguments] = method(self, *arguments)
        return results[arguments]

    return call


@dataclass(frozen=True)
class Job:
    """A job of the workflow. Its name is that of its log and its benchmark file."""

    phase: str
    rule: str
    name: str  # the task, or the artefact's id

    @property
    def log(self) -> Path:
        """Path of its log."""
        return paths.log_file(self.phase, self.name)

    @property
    def benchmark(self) -> Path:
        """Path of the file with its duration."""
        return paths.benchmark_file(self.phase, self.name)

    @property
    def comment(self) -> str:
        """Comment that Snakemake's SLURM plugin gives the job: its rule and wildcards."""
        return slurm_comment(self.rule, "" if self.rule.endswith(f"_{self.name}") else self.name)


class Artefact:
    """A result of a phase; its path states its identity."""

    path_pattern = ""  # with {id}
    identity: Identity

    @property
    def id(self) -> str:
        """Readable name and digest."""
        return self.identity.id

    @cached_property
    def path(self) -> str:
        """Path of the file or folder, relative to the working directory."""
        return self.path_pattern.format(id=self.id)

    @property
    def files(self) -> list[str]:
        """Files of a complete artefact, the last written last."""
        return [f"{self.path}/{paths.MANIFEST}"]

    @property
    def inputs(self) -> tuple["Artefact", ...]:
        """Artefacts that this one is made from."""
        return ()

    def ancestors(self) -> dict[str, "Artefact"]:
        """Everything that this artefact needs, by id: inputs before what is made from them."""
        found: dict[str, Artefact] = {}
        for artefact in self.inputs:
            if artefact.id not in found:
                found |= artefact.ancestors() | {artefact.id: artefact}
        return found

    @property
    def job(self) -> Job:
        """The job that makes this artefact; artefacts with equal jobs are made together."""
        return Job(self.identity.phase, self.identity.phase, self.id)
