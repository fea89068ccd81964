"""Learning rates: arms and best rates of runs whose losses follow planted laws."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm, t
from study_records import record as run_record

from jetlab.data.shower.source import Shower
from jetlab.laws import forms
from jetlab.laws.compare import Difference
from jetlab.laws.fit import fit
from jetlab.models import scaling
from jetlab.records import Table
from jetlab.runs.study import load_experiment
from jetlab.studies import best_rate as best_rate_module
from jetlab.studies import learning_rate
from jetlab.studies.best_rate import (
    best_rate_table,
    rate_law,
    scan,
    scatter_of_seeds,
    selection_bias,
)
from jetlab.studies.learning_rate import arms, differences, fit_arm, pairs, scanned

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "learning_rate.py"
LAW = {"L_inf": 0.3, "A": 6.0, "alpha": 0.4, "B": 8.0, "beta": 0.3}
WIDTHS, STEPS = (4, 16, 64, 256), (64, 256, 1024, 4096, 16384)
RATES = 1e-4 * 2.0 ** np.arange(11)
ARMS = ("fixed", "scan", "width rule")
PENALTY = 0.003  # nats for one e-fold off the best rate


def best_rate(width, steps, p=0.5, q=0.5, at=8e-4):
    """On RATES for p = q = 1/2, as widths and steps go by fours."""
    return at * (width / 64) ** -p * (steps / 1024) ** -q


def record(width, steps, rate, arm, seed=0, **law):
    """A run off the planted law by the square of how far its rate is off the best."""
    N, D = 12 * width**2, 128 * steps
    exact = float(
        forms.additive.predict(LAW, {"N": np.array([N]), "D": np.array([D])})[0]
    )
    off = np.log(rate / best_rate(width, steps, **law))
    return run_record(
        N, D, float(exact + PENALTY * off**2), id=f"{width}-{steps}-{rate}-{seed}",
        arm=arm, width=width, learning_rate=float(rate), seed=seed,
    )  # fmt: skip


def grid(rates=RATES, widths=WIDTHS, lengths=STEPS, **law):
    """Every rate in every cell, and the width rule's."""
    arms = [(rate, "fixed" if rate == 1e-4 else "scan") for rate in rates]
    return [
        record(d, T, rate, arm, **law)
        for d in widths
        for T in lengths
        for rate, arm in (*arms, (scaling.learning_rate(d), "width rule"))
    ]


@pytest.fixture(scope="module")
def records():
    return grid()


def law_of(rows):
    return fit(forms.additive, {name: rows[name] for name in ("N", "D", "L")})


def test_the_tuned_arm_has_the_planted_law(records):
    rows = arms(records)["tuned"]
    assert len(rows["L"]) == 20
    steps = rows["D"] / 128
    np.testing.assert_allclose(rows["learning_rate"], best_rate(rows["width"], steps))
    found = law_of(rows).params
    assert {n: found[n] == pytest.approx(v, rel=1e-4) for n, v in LAW.items()} == (
        dict.fromkeys(LAW, True)
    )


def test_between_the_rates_of_a_grid_tuning_is_off_by_half_a_step_at_most():
    """A step of two is 0.69 e-folds, half of it a penalty of 0.00036 nats."""
    rows = arms(grid(at=9e-4, p=0.374, q=0.45))["tuned"]
    exact = forms.additive.predict(LAW, rows)
    assert 0 < np.max(rows["L"] - exact) <= PENALTY * (np.log(2) / 2) ** 2 + 1e-9
    found = law_of(rows).params
    assert found["alpha"] == pytest.approx(LAW["alpha"], rel=0.02)
    assert found["beta"] == pytest.approx(LAW["beta"], rel=0.02)


def test_a_rate_too_low_for_short_runs_makes_beta_too_steep():
    """With a best rate that falls with T alone, to 1e-4 in the longest runs, 1e-4 costs
    short ones more: N has no part in it."""
    rows = arms(grid(at=4e-4, p=0.0))
    found = {name: fit_arm(table, (0.3, 0.002)) for name, table in rows.items()}
    moved = {pair.names: pair for pair in pairs(found, (0.3, 0.002))[-3:]}
    pair = moved["fixed", "tuned"]
    assert pair.kind == "L_inf fixed"
    assert pair.change < 0
    assert isinstance(pair.difference, Difference)
    assert pair.difference.values["beta"] < 0
    assert pair.difference.differs("beta")
    assert pair.difference.values["a"] < 0
    assert (
        abs(pair.difference.values["alpha"]) < abs(pair.difference.values["beta"]) / 3
    )
    names = {"A", "alpha", "B", "beta", "a", "a_D", "gamma"}
    assert set(pair.difference.paired) == names


def test_the_best_rate_is_found_off_the_grid_too():
    found = scanned(grid(at=9e-4, p=0.374, q=0.45))
    inside = found.inside
    truth = best_rate(found.width, found.steps, at=9e-4, p=0.374, q=0.45)
    np.testing.assert_allclose(found.optimum[inside], truth[inside], rtol=1e-6)
    law = rate_law(found)
    assert law.params["p"] == pytest.approx(0.374, rel=1e-5)
    assert law.params["q"] == pytest.approx(0.45, rel=1e-5)
    assert law.params["at"] == pytest.approx(9e-4 * 2**-0.45, rel=1e-5)
    assert law.cells == inside.sum()


def test_intervals_of_the_best_rate_are_widened_to_students_t(monkeypatch):
    """Twelve cells with scatter and three parameters: nine degrees of freedom."""
    found = scanned(grid(at=9e-4, p=0.374, q=0.45))
    noise = np.exp(1e-4 * np.random.default_rng(0).normal(size=found.losses.shape))
    noisy = replace(found, losses=found.losses * noise)
    whole = rate_law(noisy)
    monkeypatch.setattr(best_rate_module, "student_factor", lambda *_: 1.0)
    plain = rate_law(noisy)
    wider = t.ppf(0.84, whole.cells - 3) / norm.ppf(0.84)
    for name in ("p", "q"):
        for end, bare in zip(whole.intervals[name], plain.intervals[name], strict=True):
            value = whole.params[name]
            assert (end - value) / (bare - value) == pytest.approx(wider)


def test_cells_at_an_end_of_the_grid_are_counted_and_not_used():
    """With rates up to 8e-4, the best of d = 64 is the highest at 1,024 steps."""
    found = scanned(grid(RATES[:4]))
    truth = best_rate(found.width, found.steps)
    np.testing.assert_array_equal(found.at_high_end, truth > 7e-4)
    np.testing.assert_array_equal(found.at_low_end, truth < 1.5e-4)
    assert np.isnan(found.optimum[~found.inside]).all()
    sentence = learning_rate.analyse(grid(RATES[:4])).sentences[-1]
    low, high = sum(truth < 1.5e-4), sum(truth > 7e-4)
    assert f"({low} at the lowest, {high} at the highest)" in sentence


def test_a_rate_that_diverges_is_not_chosen(records):
    lost = replace(records[3], status="diverged", loss=None, loss_error=None)
    found = scanned([*records[:3], lost, *records[4:]])
    assert np.isnan(found.loss[0, 3])
    assert len(found.rates) == len(RATES)
    every = [replace(r, status="diverged", loss=None) for r in records]
    few = scanned([*every[: len(RATES) + 1], *records[len(RATES) + 1 :]])
    assert len(few.N) == 19


SEEDED = Table(
    N=np.full(5, 100), D=np.full(5, 1280), width=np.full(5, 4), batch=np.full(5, 128),
    seed=np.array([0, 1, 0, 1, 0]),
    learning_rate=np.array([1.0, 1.0, 2.0, 2.0, 3.0]),
    L=np.array([1.2, 1.4, 1.1, 1.3, 0.5]),
)  # fmt: skip


def test_a_seed_that_is_lost_at_a_rate_rules_it_out():
    found = scan(SEEDED, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(found.loss, [[1.3, 1.2, np.nan]])
    assert found.best.tolist() == [1]
    assert found.steps.tolist() == [10]


def test_the_mean_over_seeds_decides_the_best_rate():
    """The lowest loss of all is at rate 2 of seed 0, the lowest mean at rate 1."""
    rows = SEEDED.take(range(4)) | {"L": np.array([1.2, 1.2, 1.0, 1.5])}
    found = scan(rows, np.array([1.0, 2.0]))
    np.testing.assert_allclose(found.loss, [[1.2, 1.25]])
    assert found.best.tolist() == [0]


@pytest.fixture(scope="module")
def seeded():
    """Losses of a seed share 2 % at all rates, and scatter by 0.3 % between them; three
    rates are within the scatter of each other."""
    rng = np.random.default_rng(0)
    cells = [(d, T) for d in WIDTHS for T in STEPS]
    count = (len(cells), 3, 1)
    noise = 0.02 * rng.normal(size=count) + 0.003 * rng.normal(size=(len(cells), 3, 3))
    rows = {"learning_rate": [1.0, 2.0, 3.0] * 3, "seed": np.repeat([0, 1, 2], 3)}
    table = {name: np.tile(column, len(cells)) for name, column in rows.items()}
    width, steps = np.repeat(np.array(cells), 9, axis=0).T
    whole = Table(
        table, N=width, D=steps, width=width, batch=np.ones(len(width)),
        L=np.exp(noise).ravel(),
    )  # fmt: skip
    return scan(whole, np.array([1.0, 2.0, 3.0]))


def test_what_seeds_share_at_all_rates_is_no_scatter(seeded):
    """80 degrees of freedom: an error of 8 %."""
    assert scatter_of_seeds(seeded) == pytest.approx(0.003, rel=0.2)


def test_rates_ten_per_cent_above_the_lowest_loss_measure_no_scatter():
    """Two seeds at two rates, the second 9 or 11 % above the first: its seeds count in
    the first case only."""
    columns = {"learning_rate": [1.0, 1.0, 2.0, 2.0], "seed": [0, 1, 0, 1]}
    ones = {name: np.ones(4) for name in ("N", "D", "width", "batch")}
    found = {}
    for above in (1.09, 1.11):
        loss = np.array([1.0, 1.0, above * 0.98, above * 1.02])
        whole = scan(Table(ones, **columns, L=loss), np.array([1.0, 2.0]))
        found[above] = scatter_of_seeds(whole)
    half = np.log(1.02 / 0.98) / 4  # residual of each of four runs
    assert found[1.09] == pytest.approx(2 * half)
    assert np.isnan(found[1.11])


def test_the_lowest_of_equal_rates_is_biased():
    """The lowest of three normals is 0.846 below their mean (3 / (2 sqrt(pi)))."""
    names = ["N", "D", "width", "batch", "L"]
    ones = {name: np.ones(3) for name in names}
    rates = np.array([1.0, 2.0, 3.0])
    found = scan(Table(ones, seed=np.zeros(3), learning_rate=rates), rates)
    expected = -0.01 * 3 / (2 * np.sqrt(np.pi))
    bias = selection_bias(found, 0.01, draws=40_000)
    assert bias[0] == pytest.approx(expected, rel=0.02)
    assert np.isnan(scatter_of_seeds(found))


def test_seeds_reduce_the_bias_of_their_mean(seeded):
    """Three seeds: the noise of the mean is 1 / sqrt(3) of that of a run."""
    flat = replace(seeded, losses=np.ones_like(seeded.losses))
    one = replace(flat, losses=flat.losses[:, :, :1])
    ratio = selection_bias(flat, 0.01).mean() / selection_bias(one, 0.01).mean()
    assert ratio == pytest.approx(1 / np.sqrt(3), rel=0.01)


def test_the_scatter_is_that_of_seeds_or_at_most_that_of_the_law(seeded, records):
    rows = {row[0]: row[2] for row in best_rate_table(seeded, 0.5).rows}
    scatter = rows["scatter of log L between rates"]
    assert scatter == f"{100 * scatter_of_seeds(seeded):.2f} %, measured by seeds"
    one = scanned(records)
    rows = {row[0]: row[2] for row in best_rate_table(one, 0.01).rows}
    assert rows["scatter of log L between rates"].startswith("1.00 %, at most")
    rows = {row[0]: row[2] for row in best_rate_table(one, np.nan).rows}
    assert rows["scatter of log L between rates"] == "unknown: take two seeds"


def test_the_report_on_planted_arms(records):
    found = learning_rate.analyse(
        [replace(r, source="shower-v1:seed=0", inputs="full-128") for r in records]
    )
    assert {f"fit_{arm}{kind}" for arm in ("fixed", "tuned", "width_rule")
            for kind in ("", "_known_limit")} == set(found.results)  # fmt: skip
    assert len(found.figures) == 2
    table = found.tables["Parameters of the law by learning rate"]
    rows = {
        (row[0], row[2]): dict(zip(table.headers, row, strict=True))
        for row in table.rows
    }
    assert rows["tuned", "free"]["alpha"].startswith("0.400")
    assert rows["tuned", "free"]["learned"] == "20 of 20"
    assert rows["tuned", "free"]["verdict"] == "decided"
    assert rows["fixed", "L_inf fixed"]["L_inf"] == "0.330"
    assert rows["", "known floor"]["L_inf"] == "0.3302 ± 0.0051"
    rate = {row[0]: row[1:] for row in found.tables["The best rate"].rows}
    assert rate["p"][0] == "0.374"
    assert rate["p"][1].startswith("0.500")
    assert found.known[0].startswith("The best rate is eta*")
    assert "p = 0.500" in found.known[0]
    assert any("[law not reliable: fixed]" in line for line in found.unknown)


def test_stars_mark_differences_beyond_their_intervals(records):
    fitted = {name: fit_arm(rows, None) for name, rows in arms(records).items()}
    pair = pairs(fitted, None)[0]
    assert isinstance(pair.difference, Difference)
    (row,) = differences([pair]).rows
    for cell, name in zip(row[4:8], ("alpha", "beta", "a", "L_inf"), strict=True):
        assert cell.endswith(" *") == pair.difference.differs(name)
    assert row[:4] == [
        "fixed to tuned", "free", "20", f"{100 * np.expm1(pair.change):+.2f} %"
    ]  # fmt: skip


def test_cells_that_have_not_learned_have_no_best_rate(records):
    found = learning_rate.analyse(
        [replace(r, loss=2.3) if r.width == 4 else r for r in records]
    )
    rows = {row[0]: row[2] for row in found.tables["The best rate"].rows}
    assert rows["cells that have learned"] == "15"


def at_chance(run):
    return replace(run, loss=2.3) if run.learning_rate == RATES[0] else run


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (at_chance, "no run has learned in both"),
        (lambda run: replace(run, loss=2.3), "no run has learned in both"),
        (lambda run: at_chance(run) if run.D < 10**6 else replace(run, status="failed"),
         "no run has learned in both"),
        (lambda run: run if run.D == 128 * STEPS[0] and run.width < 20 else at_chance(
            replace(run, status="diverged", loss=None)), "fixed: not fitted"),
    ],
    ids=["fixed arm at chance", "all at chance", "long runs failed", "two cells"],
)  # fmt: skip
def test_arms_without_runs_have_no_differences(records, change, why):
    found = learning_rate.analyse([change(run) for run in records])
    rows = found.tables["Differences between arms"].rows
    assert any(why in row[-1] for row in rows)
    cells = [cell for t in found.tables.values() for r in t.rows for cell in r]
    assert all("nan" not in cell for cell in (*cells, *found.sentences))


def test_every_cell_has_every_rate_of_the_grid_and_the_width_rule():
    """A run at a rate of the grid that is the rule's stands under both arms."""
    experiment = load_experiment(EXPERIMENT)
    for name, size in experiment.SIZES.items():
        runs = experiment.study(name, Shower()).runs
        cells = len(size.num_train) * len(size.widths) * size.seeds
        count = [sum(run.arm == arm for run in runs) for arm in ARMS]
        assert count == [cells, cells * (len(size.learning_rates) - 1), cells]
        steps = max(size.num_train) // runs[0].batch
        for run in runs:
            rule = scaling.learning_rate(run.model.width, steps)
            assert (run.arm == "fixed") <= (run.learning_rate == size.constant)
            assert (run.arm == "width rule") <= (run.learning_rate == rule)


def test_a_run_under_two_arms_counts_in_both():
    """At d = 16 the rule's rate, 3e-3, is one of the grid."""
    runs = grid(np.array([1e-4, 3e-3, 1e-2]), widths=(16,), lengths=(256, 1024))
    found = arms(runs)
    assert found["width rule"].rows == found["tuned"].rows == found["fixed"].rows == 2
    assert np.allclose(found["tuned"]["learning_rate"], 3e-3)
