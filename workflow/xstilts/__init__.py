"""xstilts: does intermediate-task training improve zero-shot cross-lingual transfer?"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from xstilts.exchange.studies import StudyResults

__version__ = "0.1.0"


def study(name: "str | Path", folder: "str | Path" = ".") -> "StudyResults":
    """Return the results of a study: `study("lab").scores` and `.gains` are data frames.

    `name` is the name of a study in `folder`, or the path of its file or of a run's snapshot.

    Example:
        >>> from xstilts import study
        >>> study("lab").gains.query("significant and language == 'zero_shot'")
    """
    from xstilts.exchange.studies import open_results

    return open_results(name, folder)
