"""Learning rates: arms and best rates of runs whose losses follow planted laws."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jetlab.studies.rates.arms import arms, fitted, pairs, scanned
from jetlab.studies.rates.best import luck, rate_law, scan, scatter_of_seeds
from jetlab.studies.rates.report import analyse_rates

from jetlab.data.shower.source import Shower
from jetlab.laws import forms
from jetlab.laws.compare import Difference
from jetlab.laws.fit import fit
from jetlab.models import scaling
from jetlab.records import Record
from jetlab.runs.study import load_experiment

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "learning_rate.py"
LAW = {"L_inf": 0.3, "A": 6.0, "alpha": 0.4, "B": 8.0, "beta": 0.3}
WIDTHS, STEPS = (4, 16, 64, 256), (64, 256, 1024, 4096, 16384)
RATES = 1e-4 * 2.0 ** np.arange(11)
PENALTY = 0.003  # nats for one e-fold off the best rate


def best_rate(width, steps, p=0.5, q=0.5, at=8e-4):
    """On RATES for p = q = 1/2, as widths and steps go by fours."""
    return at * (width / 64) ** -p * (steps / 1024) ** -q


def record(width, steps, rate, seed=0, *, noise=0.0, **law):
    """A run off the planted law by the square of how far its rate is off the best."""
    N, D = 12 * width**2, 128 * steps
    exact = float(
        forms.additive.predict(LAW, {"N": np.array([N]), "D": np.array([D])})[0]
    )
    off = np.log(rate / best_rate(width, steps, **law))
    return Record(
        id=f"{width}-{steps}-{rate}-{seed}", status="done", study="test",
        source="none", inputs="full-40", width=width, N=N, D=D, epochs=1,
        C=240.0 * N * D, n_p=40.0, seed=seed, batch=128, learning_rate=float(rate),
        weight_decay=0.0, loss=float((exact + PENALTY * off**2) * np.exp(noise)),
        loss_error=0.002, num_valid=1000, seconds=0.0, device="", version="",
    )  # fmt: skip


def grid(rates=RATES, widths=WIDTHS, lengths=STEPS, **law):
    """Every rate in every cell, and the width rule's."""
    return [
        record(d, T, rate, **law)
        for d in widths
        for T in lengths
        for rate in (*rates, scaling.learning_rate(d))
    ]


@pytest.fixture(scope="module")
def records():
    return grid()


def law_of(rows):
    return fit(forms.additive, {name: rows[name] for name in ("N", "D", "L")})


def test_the_tuned_arm_has_the_planted_law(records):
    rows = arms(records)["tuned"]
    assert len(rows["L"]) == 20
    np.testing.assert_allclose(rows["rate"], best_rate(rows["width"], rows["steps"]))
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
    found = {name: fitted(table, (0.3, 0.002)) for name, table in rows.items()}
    moved = {pair.names: pair for pair in pairs(found, (0.3, 0.002))[-3:]}
    pair = moved["fixed", "tuned"]
    assert pair.kind == "L_inf known"
    assert pair.median < 0
    assert isinstance(pair.found, Difference)
    assert pair.found.values["beta"] < 0
    assert pair.found.differs("beta")
    assert pair.found.values["a"] < 0
    assert abs(pair.found.values["alpha"]) < abs(pair.found.values["beta"]) / 3
    names = {"A", "alpha", "B", "beta", "a", "a_D", "gamma"}
    assert set(pair.found.paired) == names


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


def test_cells_at_an_end_of_the_grid_are_counted_and_not_used():
    """With rates up to 8e-4, the best of d = 64 is the highest at 1,024 steps."""
    found = scanned(grid(RATES[:4]))
    truth = best_rate(found.width, found.steps)
    np.testing.assert_array_equal(found.at_high_end, truth > 7e-4)
    np.testing.assert_array_equal(found.at_low_end, truth < 1.5e-4)
    assert np.isnan(found.optimum[~found.inside]).all()
    assert any(
        f"an end of the grid ({sum(truth < 1.5e-4)} at the lowest" in sentence
        for sentence in analyse_rates(grid(RATES[:4]), None).words
    )


def test_a_rate_that_diverges_is_not_chosen(records):
    lost = replace(records[3], status="diverged", loss=None, loss_error=None)
    found = scanned([*records[:3], lost, *records[4:]])
    assert np.isnan(found.loss[0, 3])
    assert len(found.rates) == len(RATES)
    every = [replace(r, status="diverged", loss=None) for r in records]
    few = scanned([*every[: len(RATES) + 1], *records[len(RATES) + 1 :]])
    assert len(few.N) == 19


def test_a_seed_that_is_lost_at_a_rate_rules_it_out():
    rows = {
        "N": np.full(5, 100), "D": np.full(5, 1280), "width": np.full(5, 4),
        "steps": np.full(5, 10), "seed": np.array([0, 1, 0, 1, 0]),
        "rate": np.array([1.0, 1.0, 2.0, 2.0, 3.0]),
        "L": np.array([1.2, 1.4, 1.1, 1.3, 0.5]),
    }  # fmt: skip
    found = scan(rows, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(found.loss, [[1.3, 1.2, np.nan]])
    assert found.best.tolist() == [1]


@pytest.fixture(scope="module")
def seeded():
    """Losses of a seed share 2 % at all rates, and scatter by 0.3 % between them; three
    rates are within the scatter of each other."""
    rng = np.random.default_rng(0)
    cells = [(d, T) for d in WIDTHS for T in STEPS]
    count = (len(cells), 3, 1)
    noise = 0.02 * rng.normal(size=count) + 0.003 * rng.normal(size=(len(cells), 3, 3))
    rows = {"rate": [1.0, 2.0, 3.0] * 3, "seed": np.repeat([0, 1, 2], 3)}
    table = {name: np.tile(column, len(cells)) for name, column in rows.items()}
    width, steps = np.repeat(np.array(cells), 9, axis=0).T
    return scan(
        table | {"N": width, "D": steps, "width": width, "steps": steps,
                 "L": np.exp(noise).ravel()},
        np.array([1.0, 2.0, 3.0]),
    )  # fmt: skip


def test_what_seeds_share_at_all_rates_is_no_scatter(seeded):
    """80 degrees of freedom: an error of 8 %."""
    assert scatter_of_seeds(seeded) == pytest.approx(0.003, rel=0.2)


def test_equal_rates_are_told_apart_by_luck_alone():
    """The lowest of three normals is 0.846 below their mean (3 / (2 sqrt(pi)))."""
    one = {"N": [1] * 3, "D": [1] * 3, "width": [1] * 3, "steps": [1] * 3,
           "seed": [0] * 3, "rate": [1.0, 2.0, 3.0], "L": [1.0] * 3}  # fmt: skip
    rows = {name: np.array(column) for name, column in one.items()}
    found = scan(rows, np.array([1.0, 2.0, 3.0]))
    expected = -0.01 * 3 / (2 * np.sqrt(np.pi))
    assert luck(found, 0.01, draws=40_000)[0] == pytest.approx(expected, rel=0.02)
    assert np.isnan(scatter_of_seeds(found))


def test_a_report_on_planted_arms(records):
    found = analyse_rates(records, (0.3, 0.002))
    assert {f"fit_{arm}{kind}" for arm in ("fixed", "tuned", "width_rule")
            for kind in ("", "_known_limit")} == set(found.results)  # fmt: skip
    assert len(found.figures) == 2
    table = found.tables["Parameters of the law by learning rate"]
    rows = {row[0]: dict(zip(table.headers, row, strict=True)) for row in table.rows}
    assert rows["alpha"]["tuned"].startswith("0.400")
    assert rows["alpha"]["paper (68 %)"] == "0.440 (0.400, 0.480)"
    assert rows["L_inf known: L_inf"]["fixed"] == "0.300"
    assert rows["identified"]["tuned"] == "yes"
    rate = {row[0]: row[1:] for row in found.tables["The best rate"].rows}
    assert rate["p"][0] == "0.374"
    assert rate["p"][1].startswith("0.500")


def idle(run):
    return replace(run, loss=2.3) if run.learning_rate == RATES[0] else run


@pytest.mark.parametrize(
    "change",
    [
        idle,
        lambda run: replace(run, loss=2.3),
        lambda run: idle(run) if run.D < 10**6 else replace(run, status="failed"),
        lambda run: run if run.D == 128 * STEPS[0] and run.width < 20 else idle(
            replace(run, status="diverged", loss=None)),
    ],
    ids=["fixed arm idle", "all idle", "long runs failed", "two cells"],
)  # fmt: skip
def test_arms_without_runs_are_told(records, change):
    found = analyse_rates([change(run) for run in records], (0.3, 0.002))
    assert any("no difference of laws" in sentence for sentence in found.words)
    assert all("nan" not in cell for t in found.tables.values() for r in t.rows
               for cell in r)  # fmt: skip
    assert "nan" not in " ".join(found.words)


def test_every_cell_has_every_rate_and_the_rules_once():
    experiment = load_experiment(EXPERIMENT)
    for name, size in experiment.SIZES.items():
        runs = experiment.study(name, Shower()).runs
        assert len({run.id for run in runs}) == len(runs)
        shared = sum(scaling.learning_rate(d) in size.rates for d in size.widths)
        rates = len(size.widths) * (len(size.rates) + 1) - shared
        assert len(runs) == rates * len(size.num_train) * size.seeds
        assert len({run.trajectory for run in runs}) == rates * size.seeds
