"""Numbers of rows of local files that are not prepared yet."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from xstilts.config.origins import FilesSplit
from xstilts.config.project import Project
from xstilts.errors import InputError
from xstilts.grid.artefacts import Dataset
from xstilts.grid.rows import read_rows
from xstilts.sources import archives, files

_LIMIT = 200e6  # bytes of a data set; reading takes up to a second per 10 MB


def count(
    project: Project, datasets: Iterable[Dataset], known: Collection[str]
) -> tuple[Mapping[str, int], Sequence[str]]:
    """Return the rows by id of the data sets whose files alone state them, and damaged files.

    A release states its numbers, and `prepare` checks them unless the study has `rows: any`. Left
    out are the data sets in `known`, and large files.
    """
    counts, problems = {}, []
    for data in datasets:
        if data.id not in known and _is_counted(project, data):
            try:
                counts[data.id] = len(read_rows(data, project).rows)
            except InputError as error:
                problems.append(f"{data.identity.name} cannot be prepared: {error}")
    return counts, problems


def _is_counted(project: Project, data: Dataset) -> bool:
    if not isinstance(data.spec, FilesSplit) or not data.raw:
        return False
    if project.study.rows != "any" and data.spec.expected("rows", data.language):
        return False
    paths = files.locate(data.spec.path, project.data_folder(), data.spec.code(data.language))
    return sum(archives.status(path).st_size for path in paths) <= _LIMIT
