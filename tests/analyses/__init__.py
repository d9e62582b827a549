"""Shared by the tests of the analyses: an analysis on samples, and its estimates."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.simulated import from_points, simulate
from xstilts import analyses
from xstilts.analyses import Facts
from xstilts.analyses.answer import Answer
from xstilts.analyses.chosen import cross_fitted
from xstilts.grid.artefacts import Cell
from xstilts.recipe import parse
from xstilts.report.write import write_study
from xstilts.results.samples import Samples
from xstilts.results.scores import Context, collect
from xstilts.results.statistics import run_variance

SEEDS = (1, 2, 3)


def run(name, samples, folder=None, **facts):
    """Run an analysis; with a folder, also write its files there and check them."""
    outcome = analyses.run(name, samples, Facts("Does it?", **{"recipes": {}, **facts}))
    assert outcome.answer.analysis == name
    if folder:
        report = write_study(samples.judged, outcome, folder)
        assert all(path.stat().st_size for path in report.files)
        assert Answer.model_validate_json((folder / "answer.json").read_text()) == outcome.answer
        assert len(list(folder.glob("*.svg"))) == 2 + len(outcome.answer.figures) > 2
    return outcome


def estimates(outcome, pattern):
    """Return the estimates whose label matches a pattern."""
    return [e for e in outcome.answer.estimates if re.search(pattern, e.label)]


def single(outcome, pattern):
    """Return the only estimate whose label matches a pattern."""
    [estimate] = estimates(outcome, pattern)
    return estimate


def holds(estimate, truth):
    return estimate.low <= truth <= estimate.high
