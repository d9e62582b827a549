"""The data sets that a study reads: which exist for a task, and which are predicted on.

Pure: nothing here reads or writes a file.
"""

from dataclasses import replace

from xstilts.config.origins import FilesSplit, HubSplit, LabSplit
from xstilts.config.project import Project
from xstilts.config.schema import Task
from xstilts.errors import InputError
from xstilts.grid.artefacts import Dataset, Download
from xstilts.grid.base import memoised
from xstilts.languages.codes import fill

# keys of a split on the Hub that select its files
_ORIGIN = ("repository", "revision", "config", "split", "files")


class Data:
    """The data sets of a project's tasks, resolved on demand; equal requests give one object."""

    def __init__(self, project: Project):
        self.project = project

    def languages(self, task: str) -> list[str]:
        """Return the languages in which the study scores a target task."""
        entry = self.project.study.tasks.get(task)
        chosen = entry.languages if entry and entry.languages else None
        return list(chosen or self.project.tasks[task].languages)

    def dataset(self, task: str, language: str, split: str) -> Dataset:
        """Return the data of a split that is one data set."""
        [found] = self.datasets(task, language, split)
        return found

    def datasets(self, task: str, language: str, split: str) -> tuple[Dataset, ...]:
        """Return the data of a split: several data sets if it is composed of other tasks'."""
        spec = self.project.tasks[task].splits.get(split)
        if spec is None:
            raise InputError(f"task {task!r} has no split {split!r}")
        if others := self.project.tasks[task].references(split):
            return tuple(self.dataset(other, language, split) for other in others)
        return (self.own_dataset(task, language, split),)

    @memoised
    def own_dataset(self, task: str, language: str, split: str) -> Dataset:
        """Return the data of a split that the task defines itself."""
        spec = self.project.tasks[task].splits[split]
        if isinstance(spec, HubSplit):
            origin = {key: fill(getattr(spec, key), spec.code(language)) for key in _ORIGIN}
            return Dataset(task, language, split, spec, download=Download(task, origin))
        raw = self.project.raw.get(raw_key(spec, language), ())
        return Dataset(task, language, split, spec, tuple(raw))

    @memoised
    def examined(self, target: str) -> tuple[Dataset, ...]:
        """Return the data sets that a task is predicted on.

        They are its test data, the candidates that all languages rank, if these are a split of
        their own, and the validation data of the source language.
        """
        task, entry = self.project.tasks[target], self.project.study.tasks.get(target)
        if "test" in task.splits:
            found = [
                self.dataset(target, language, split)
                for language in self.languages(target)
                for split in task.predicted_splits()
            ]
            if "candidates" in task.splits:
                found.append(self.dataset(target, task.source_language, "candidates"))
            found += self._validation(task, target)
        else:
            found = [self.dataset(target, task.source_language, "validation")]
        if entry and entry.examples:
            found = [self.first(dataset, entry.examples) for dataset in found]
        return tuple(found)

    def _validation(self, task: Task, target: str) -> tuple[Dataset, ...]:
        """Return the source language's validation data of a target that is trained, if any."""
        if not {"train", "validation"} <= task.splits.keys():
            return ()
        found = self.dataset(target, task.source_language, "validation")
        is_missing = isinstance(found.spec, FilesSplit) and not found.raw
        return () if is_missing else (found,)  # optional

    @memoised
    def first(self, dataset: Dataset, examples: int) -> Dataset:
        """Return the first examples of a data set, as a data set of its own."""
        key = "size" if isinstance(dataset.spec, LabSplit) else "limit"
        least = min(getattr(dataset.spec, key) or examples, examples)
        return replace(dataset, spec=dataset.spec.model_copy(update={key: least}))


def raw_key(spec: LabSplit | FilesSplit | HubSplit, language: str) -> str:
    """Return the key of a language's raw files in `Project.raw`; empty if it has none."""
    return f"{spec.path} {spec.code(language)}" if isinstance(spec, FilesSplit) else ""
