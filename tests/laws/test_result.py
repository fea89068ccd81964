"""A fit as a value: printed, saved, drawn, and asked for intervals."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.evidence.bootstrap import bootstrap
from jetlab.laws.evidence.draws import Draws
from jetlab.laws.evidence.intervals import percentiles
from jetlab.laws.fit import fit
from jetlab.laws.fitting.misfit import SQUARES, Misfit
from jetlab.laws.plans.predictions import predictions
from jetlab.laws.result import FitResult

OLD = Path(__file__).parent / "fit_without_losses.json"


def test_a_fit_prints_itself(law, law_of_floor):
    lines = repr(law).splitlines()
    assert lines[0] == "additive: decided"
    start = "  L_inf + A / N^alpha + B / D^beta; 25 rows, scatter "
    assert lines[1].startswith(start)
    assert f"{law.objective:.6g}" in lines[1]
    names = [line.split()[0] for line in lines[2:10]]
    assert names == [*forms.additive.names, "a", "a_D", "gamma"]
    low, high = law.interval("beta")
    assert lines[6] == f"  beta = {law.params['beta']:.3f} ({low:.3f}, {high:.3f})"
    assert lines[10:] == []
    assert "  L_inf = 0.32, fixed" in repr(law_of_floor)


def test_a_fit_that_is_not_reliable_prints_its_warnings(wide):
    law = fit("additive", {name: column[:5] for name, column in wide.items()})
    lines = repr(law).splitlines()
    assert lines[0].startswith("additive: undecided: not fitted: 5 rows do not")
    assert lines[2] == "  L_inf undecided"
    assert lines[-1].startswith("  warning: not fitted: 5 rows do not determine")
    assert not law.reliable


def test_derived_exponents_by_hand(law):
    alpha, beta = law.params["alpha"], law.params["beta"]
    a = beta / (alpha + beta)
    assert law.derived == pytest.approx({"a": a, "a_D": 1 - a, "gamma": alpha * a})
    assert abs(law.derived["a"] - 1 / 3) < 0.02 < abs(law.derived["a_D"] - 1 / 3)
    draws = law.draws.values
    ends = percentiles(draws["beta"] / (draws["alpha"] + draws["beta"]))
    assert law.interval("a") == pytest.approx(tuple(ends))


def test_intervals_by_name_and_level(law, law_of_floor):
    draws = law.draws.values["alpha"]
    expected = tuple(np.quantile(draws, (0.025, 0.975)))
    assert law.interval("alpha", 0.95) == pytest.approx(expected)
    assert law.interval("alpha") == law.intervals["alpha"]
    assert law_of_floor.interval("L_inf") == (0.32, 0.32)
    assert replace(law_of_floor, draws=None).interval("L_inf") == (0.32, 0.32)
    with pytest.raises(ValueError, match="no interval of alpha: fit with bootstrap"):
        replace(law, draws=None).interval("alpha")
    with pytest.raises(ValueError, match="has no gama; it has L_inf, A"):
        law.interval("gama")


def test_outliers_are_named_and_kept(wide):
    losses = wide["L"] * np.where(np.arange(25) == 7, 1.5, 1)
    law = fit(forms.additive, wide | {"L": losses})
    assert law.outliers == (7,)
    words = "1 row more than 5 robust sigmas from the law, kept: 7 (+"
    assert words in law.message
    assert any(words in warning for warning in law.warnings)
    assert json.loads(law.to_json())["outliers"] == [7]
    assert len(law.residuals) == 25


def test_outliers_begin_at_five_sigmas(law):
    """Robust sigma is 1.4826 times the median of the 20 largest of 25 residuals."""
    sizes = np.append(np.linspace(0.001, 0.01, 24), 1.0)
    sigma = 1.4826 * np.median(sizes[5:])
    for factor, found in ((4.99, ()), (5.01, (24,))):
        sizes[-1] = factor * sigma
        assert replace(law, residuals=-sizes).outliers == found


def test_a_fit_survives_json(law, wide):
    back = FitResult.from_json(law.to_json())
    assert back.params == law.params
    assert back.form is law.form
    assert back.span == law.span
    assert back.issues == law.issues
    assert back.draws is not None
    assert back.draws.message == law.draws.message
    for name in forms.additive.names:
        assert back.intervals[name] == pytest.approx(law.intervals[name], rel=1e-7)
    np.testing.assert_array_equal(back.predict(wide), law.predict(wide))
    np.testing.assert_array_equal(back.table["L"], wide["L"])
    np.testing.assert_allclose(back.table["D"], wide["D"], rtol=1e-11)
    again, first = (bootstrap(f, draws=16).values["beta"] for f in (back, law))
    np.testing.assert_allclose(again, first, rtol=1e-6)


def test_weights_clusters_and_misfits_survive_json(wide):
    weight = np.linspace(1, 3, 25)
    law = fit(
        "additive",
        wide | {"w": weight},
        misfit=Misfit(kind="squares", above=0.5),
        weight="w",
        clusters=np.arange(25) // 2,
    )
    back = FitResult.from_json(law.to_json())
    assert (back.misfit, back.weight) == (law.misfit, "w")
    np.testing.assert_allclose(back.table["w"], weight, rtol=1e-11)
    np.testing.assert_array_equal(back.clusters, np.arange(25) // 2)
    weights = np.asarray(back.problem.rows.weight)
    np.testing.assert_allclose(weights[:25], weight / 2, rtol=1e-9)
    assert not weights[25:].any()


def test_files_without_losses_are_read(wide):
    """Written at commit e0d5424: losses follow from residuals, which have six
    digits."""
    old = FitResult.from_json(OLD.read_text())
    assert old.table.rows == 25
    law = fit("additive", {**old.points, "L": old.table["L"]})
    assert law.params == pytest.approx(old.params, rel=1e-4)
    np.testing.assert_allclose(law.residuals, old.residuals, atol=1e-6)
    assert old.reliable
    assert old.warnings == []
    assert bootstrap(old, draws=16).intervals["beta"][0] < old.params["beta"]
    weighted = json.loads(OLD.read_text()) | {"weight": "w"}
    without = FitResult.from_json(json.dumps(weighted))
    assert json.loads(without.to_json())["weights"] is None
    with pytest.raises(ValueError, match="no column w"):
        _ = without.problem


@pytest.mark.parametrize("text", ["{}", "[1]", "not json"])
def test_json_that_is_no_fit(text):
    with pytest.raises(ValueError, match="not a fit"):
        FitResult.from_json(text)


def test_a_file_whose_columns_differ_in_length_is_refused(law):
    record = json.loads(law.to_json())
    for name in ("losses", "residuals"):
        with pytest.raises(ValueError, match="25 rows each"):
            FitResult.from_json(json.dumps(record | {name: record[name][:-1]}))


def test_the_problem_is_posed_once(law):
    assert law.problem is law.problem
    assert law.problem.rows.count == 25
    expected = np.log(law.table["L"])
    np.testing.assert_array_equal(np.asarray(law.problem.rows.log_loss)[:25], expected)


def test_the_figure_has_the_rows_and_the_curves(law, tmp_path):
    figure = law.plot(tmp_path / "law.png")
    assert (tmp_path / "law.png").stat().st_size > 5_000
    (ax,) = figure.axes
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert sum(len(line.get_xdata()) for line in points) == 25
    curves = [line for line in ax.lines if len(line.get_xdata()) == 120]
    assert len(curves) == 5
    D = np.asarray(curves[0].get_xdata(), float)
    expected = law.predict({"N": np.full(120, 1e3), "D": D})
    np.testing.assert_array_equal(curves[0].get_ydata(), expected)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert f"fitted $L_\\infty$ = {law.params['L_inf']:.3f}" in labels


def test_many_sizes_have_a_colour_bar(law):
    table = law.table | {"N": np.geomspace(1e3, 1e7, 25)}
    figure = replace(law, table=table).plot()
    assert len(figure.axes) == 2
    curves = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 120]
    assert len(curves) == 5


def test_a_law_of_one_column_is_drawn_against_it(line):
    law, *_ = line
    (ax,) = law.plot().axes
    assert ax.get_xlabel() == "$N$"
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), law.table["N"])


def test_what_cannot_be_drawn_is_refused(law):
    with pytest.raises(ValueError, match="no law to draw"):
        replace(law, objective=np.nan).plot()
    with pytest.raises(ValueError, match="repetition has columns N, D, U"):
        replace(law, form=forms.repetition).plot()


def predicted(law, *more):
    return predictions(law, {"N": np.array([1e5, *more]), "D": np.array([1e5, *more])})


def test_predictions_of_two_draws_by_hand(law):
    """The interval of the law is that of its draws; a new run adds residuals."""
    params = [law.params, law.params | {"L_inf": law.params["L_inf"] + 0.1}]
    draws = Draws(
        values={n: np.array([p[n] for p in params]) for n in law.params},
        asked=2,
        message="",
    )
    one = replace(law, draws=draws, residuals=np.append(np.zeros(5), np.full(20, 0.3)))
    found = predicted(one)
    low, high = (law.form.predict(p, found.columns)[0] for p in params)
    assert found.loss[0] == pytest.approx(low)
    ends = low + np.array([0, 0.84]) * (high - low)  # extended to the fitted value
    np.testing.assert_allclose(found.mean[:, 0], ends, rtol=1e-9)
    factor = np.exp(-0.3)  # residuals are log L_fit - log L: these runs are better
    np.testing.assert_allclose(found.run[:, 0], [low * factor, high * factor])


def test_squares_scatter_is_larger_by_the_parameters(law_of_squares):
    size = np.sort(np.abs(law_of_squares.residuals))
    assert law_of_squares.scatter == pytest.approx(1.4826 * size[12] * np.sqrt(25 / 20))
    assert law_of_squares.misfit is SQUARES
