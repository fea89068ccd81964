"""Forecasts of a planted law, and the run that was trained after."""

from dataclasses import replace

import numpy as np
import pytest
from study_records import record

from jetlab.data.shower.source import Shower
from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.records import Table
from jetlab.runs.grid import grid
from jetlab.studies.forecast import checked, forecast_of, foretell
from jetlab.training.step import num_params

LAW = {"L_inf": 0.7, "A": 30.0, "alpha": 0.75, "B": 800.0, "beta": 0.85}


def loss(N, D):
    return LAW["L_inf"] + LAW["A"] / N ** LAW["alpha"] + LAW["B"] / D ** LAW["beta"]


@pytest.fixture(scope="module")
def records():
    rng = np.random.default_rng(0)
    return [
        record(N, D, loss(N, D) * np.exp(0.003 * rng.normal()), arm="single", seed=s)
        for s, N in enumerate((1_000, 2_000, 4_000, 8_000, 16_000))
        for D in (40_000, 80_000, 160_000, 320_000)
    ]


@pytest.fixture(scope="module")
def law(records):
    return fit(forms.additive, Table.of_records(records), bootstrap=200)


def test_a_forecast_is_the_law_and_its_scatter(law):
    found = forecast_of(law, 32_000, 640_000)
    assert found.loss == pytest.approx(loss(32_000, 640_000), rel=0.01)
    assert found.beyond == pytest.approx(4, rel=1e-9)
    assert found.run
    assert found.mean
    assert np.ptp(found.run) > 0.9 * np.ptp(found.mean)
    assert found.sentence.startswith("Forecast for N = 3.20e4, D = 6.40e5 (4 times")
    assert np.isnan(found.miss)


@pytest.mark.parametrize(("off", "held"), [(0.0, "inside"), (0.2, "outside")])
def test_the_run_that_was_trained_is_compared(law, records, off, held):
    N, D = 32_000, 640_000
    reached = loss(N, D) + off
    run = record(N, D, reached, arm="forecast")
    failed = replace(run, id="other", status="diverged", loss=None)
    (found,) = checked(law, [*records, run, failed])
    assert found.reached == reached
    assert held in found.sentence
    assert found.run
    half = np.ptp(found.run) / 2
    assert found.miss == pytest.approx(abs(reached - found.loss) / half)
    assert (found.miss > 1) == (held == "outside")


def test_the_run_itself_is_not_used(records):
    """A wrong loss of the arm "forecast" changes nothing."""
    (run,) = grid(Shower(), inputs="full-40", width=16, num_train=640_000)
    wrong = record(13_690, 640_000, 5.0, arm="forecast")
    alone, beside = (foretell(rows, run) for rows in (records, [*records, wrong]))
    assert alone == beside
    assert (alone.N, alone.D) == (num_params(run.model), 640_000)
    assert alone.loss == pytest.approx(loss(alone.N, 640_000), rel=0.01)
