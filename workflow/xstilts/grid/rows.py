"""The canonical rows of a data set, from its source."""

from pathlib import Path

from xstilts import lab, store
from xstilts.config.origins import FilesSplit
from xstilts.config.project import Project
from xstilts.errors import InputError
from xstilts.families import family
from xstilts.grid import raw_files
from xstilts.grid.artefacts import Dataset
from xstilts.languages.codes import fill
from xstilts.sources import files, hub
from xstilts.sources.records import Table


def read_rows(dataset: Dataset, project: Project) -> Table:
    """Return the canonical rows of a data set from its source. Raise InputError."""
    spec = dataset.spec
    if dataset.download:
        folder = Path(dataset.download.path)
        if not folder.exists():
            raise InputError(
                f"{folder}: not downloaded yet; run `make fetch STUDY=…` where there is a network"
            )
        paths = [folder / name for name in store.Manifest.verify(folder).files]
        items = family(project.tasks[dataset.task].family).hub_items
        return hub.read(spec, items, paths, dataset.language)
    if isinstance(spec, FilesSplit):
        paths = files.locate(spec.path, project.data_folder(), spec.code(dataset.language))
        if not paths:
            raise InputError(_missing(dataset, project, spec))
        raw_files.check_unchanged(paths, dataset.raw)
        if spec.columns:
            items = family(project.tasks[dataset.task].family).hub_items
            return hub.read(spec, items, paths, dataset.language)
        return files.read(spec.format, paths, dataset.language, limit=spec.limit, **spec.options)
    rows = lab.rows(spec.kind, dataset.language, dataset.split, spec.size, spec.seed, spec.portion)
    return Table(rows, {})


def _missing(dataset: Dataset, project: Project, spec: FilesSplit) -> str:
    """Return a message that states which release is missing, and where to unpack it."""
    task = project.tasks[dataset.task]
    templates = [spec.path] if isinstance(spec.path, str) else spec.path
    paths = [fill(template, spec.code(dataset.language)) for template in templates]
    release = f"; unpack the release there, it is at {task.homepage}" if task.homepage else ""
    licence = f", licence: {task.licence}" if release and task.licence else ""
    return (
        f"{dataset.identity.name}: no file {', '.join(paths)} for language {dataset.language!r} "
        f"below {project.data_folder()}{release}{licence}"
    )
