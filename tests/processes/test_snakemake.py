"""Snakemake's own output: what is left out says nothing."""

import logging

import pytest
from snakemake.logging import logger

from xstilts.processes.snakemake import shorten_output


@pytest.fixture
def passes():
    """Return a function that says whether a record would be printed, and shortens it."""
    before = list(logger.filters)
    shorten_output()

    def ask(text: str, **more) -> tuple[bool, logging.LogRecord]:
        record = logger.makeRecord(logger.name, logging.INFO, "f", 1, text, (), None, extra=more)
        return bool(logger.filter(record)), record

    yield ask
    logger.filters[:] = before


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Select jobs to execute...", False),
        ("Execute 12 jobs...", False),
        ("Execute nothing", True),
        ("Error in rule train: the loss is nan", True),
    ],
)
def test_rounds_of_the_scheduler_are_left_out(passes, text, shown):
    assert passes(text)[0] is shown


def test_long_lists_of_files_are_shortened(passes):
    names = [f"results/scores/{number}.json" for number in range(120)]
    shown, record = passes("rule all", input=names, output=names[:5])
    assert shown
    assert record.input == [*names[:5], "… (120 files)"]
    assert record.output == names[:5]
