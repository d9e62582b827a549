"""Savings of a study by cause."""

from math import fsum

import pytest

from tests import ROOT
from xstilts.costs import bill
from xstilts.costs.estimates import Estimator
from xstilts.costs.savings import savings
from xstilts.grid.grid import Grid
from xstilts.grid.state import open_study


def plan(precision: str) -> tuple[bill.Plan, Estimator]:
    """Return the plan of the paper's grid on two targets that share their trainings."""
    project = open_study(ROOT / "config/studies/phang2020.yaml")[0].project
    study = project.study.model_copy(update={"targets": ["xquad", "mlqa"], "seeds": [1]})
    models = {}
    for name, model in project.models.items():
        train, predict = ({**s, "precision": precision} for s in (model.train, model.predict))
        models[name] = model.model_copy(update={"train": train, "predict": predict})
    grid = Grid(project.model_copy(update={"study": study, "models": models}))
    estimator = Estimator(grid.project, gpu="h100")
    return bill.make(grid, estimator, ()), estimator


def test_savings_and_bill_add_up():
    half, estimator = plan("bf16")
    precision, shared = savings(half, estimator)
    assert precision.cause == "bf16 instead of fp32"
    assert precision.source == "rates assumed"
    assert shared.cause == "22 trainings that targets share"
    full, of_full = plan("fp32")
    (apart,) = savings(full, of_full)
    everything = full.total().gpu_hours + apart.hours
    total = fsum([half.total().gpu_hours, precision.hours, shared.hours])
    assert total == pytest.approx(everything)
