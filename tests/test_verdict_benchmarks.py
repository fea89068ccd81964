"""Benchmarks of verdicts: what runs cost, what a goal takes, independent studies."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.taught_coverage import divided, judged, studies_grid
from benchmarks.verdict import BRANCH, GOAL, WAYS, WIDTHS, flops, times_over
from jetlab.laws.evidence.verdict import Verdict
from jetlab.records import Table
from jetlab.runs.sources import open_source

D = np.array([100, 200, 400])


def law(**intervals: tuple[float, float]) -> Any:
    """What the benchmarks ask of a fit with these 68 % intervals around the middle."""
    middle = {name: (low + high) / 2 for name, (low, high) in intervals.items()}
    verdicts = {
        name: Verdict(name=name, status="decided", value=middle[name], interval=ends)
        for name, ends in intervals.items()
    }
    return SimpleNamespace(
        params=middle, verdicts=verdicts, interval=lambda name: intervals[name]
    )


def test_flops_of_trajectories_branches_and_runs_trained_anew():
    table = Table(D=D, C=6.0 * D)
    ours, branches, anew = WAYS[:3]
    assert flops(table, ours) == 6 * 400
    assert flops(table, anew) == 6 * 700
    assert flops(table, branches) == pytest.approx(6 * (400 + BRANCH * 300))


def test_an_interval_twice_as_wide_as_the_goal_takes_four_times_the_compute():
    half = 2 * GOAL["a"]
    assert times_over(law(a=(0.3, 0.3 + 2 * half), L_inf=(1.0, 1.0))) == pytest.approx(
        4
    )
    wide = 1 + 3 * GOAL["L_inf"]
    assert times_over(law(a=(0.3, 0.3), L_inf=(2 - wide, wide))) == pytest.approx(9)


def test_studies_share_no_run():
    runs = studies_grid(open_source("taught"), 4, 2**19)
    assert len({run.id for run in runs}) == len(runs)
    table = Table(
        seed=np.array([run.seed for run in runs]),
        width=np.array([run.model.width for run in runs]),
        row=np.arange(len(runs)),
    )
    for seeds, studies in ((1, 4), (2, 2)):
        parts = list(divided(table, 4, seeds))
        assert len(parts) == studies
        assert sorted(np.concatenate([p["row"] for p in parts])) == [*range(len(runs))]
        for part in parts:
            of_width = [len(set(part.where(width=w)["seed"])) for w in WIDTHS]
            assert of_width == [seeds] * len(WIDTHS)


def test_intervals_are_judged_by_the_truth():
    """One that holds it, one that does not, and one that is farther from it than three
    half-widths."""
    ends = [(0.9, 1.1), (1.1, 1.5), (1.7, 1.9)]
    laws = [law(L_inf=e, alpha=e, beta=e, a=e) for e in ends]
    truth: dict[str, float] = dict.fromkeys(("L_inf", "alpha", "beta", "a"), 1.0)
    for row in judged(laws, truth):
        assert row[2:] == ["1.00", "0.33", "0.33", "0.1"]
