"""`jetlab fit` on tables as people have them, `predict` and `allocate` after it."""

import json
import logging

import numpy as np
import pytest

from jetlab.cli.main import main
from jetlab.laws import forms
from jetlab.laws.tables.csv_tables import write_csv
from jetlab.records import Table

LAW = {"L_inf": 0.32, "A": 11.27, "alpha": 0.44, "B": 7.22, "beta": 0.22}
QUICK = ("--bootstrap", "32")


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    status = main(list(arguments))
    out, err = capsys.readouterr()
    return status, out, err


def rows(scatter=0.005, seed=0, **changes):
    n, d = np.meshgrid(np.logspace(3, 7, 5), np.logspace(3, 8, 5))
    points = {"N": n.ravel(), "D": d.ravel()}
    noise = np.random.default_rng(seed).normal(size=25)
    loss = forms.additive.predict(LAW | changes, points) * np.exp(scatter * noise)
    return Table(points, L=loss)


@pytest.fixture
def write(tmp_path):
    def save(table):
        path = tmp_path / "runs.csv"
        path.write_text(write_csv(table))
        return str(path)

    return save


def test_the_verdict_comes_first_and_numbers_state_their_level(capsys, write):
    path = write(rows())
    status, out, _ = run(capsys, "fit", path, *QUICK, "--level", "0.9")
    lines = out.splitlines()
    assert status == 0
    assert lines[0] == "verdict: decided"
    assert lines[1].startswith("L_inf + A / N^alpha + B / D^beta, 25 rows, which sc")
    assert lines[2] == "90 % intervals of 32 bootstrap draws; limits at 95 %"
    (beta,) = [line for line in lines if line.split()[:1] == ["beta"]]
    assert "decided  the part of the loss that D lowers falls as D^-beta" in beta
    assert "C = 6 n_p N D with n_p = 40" in lines
    _, wide, _ = run(capsys, "fit", path, *QUICK, "--level", "0.9", "--json")
    _, narrow, _ = run(capsys, "fit", path, *QUICK, "--json")
    wide, narrow = json.loads(wide), json.loads(narrow)
    assert (wide["level"], narrow["level"]) == (0.9, 0.68)
    ratio = np.ptp(wide["intervals"]["beta"]) / np.ptp(narrow["intervals"]["beta"])
    assert ratio > 1.2


def test_a_limit_and_undecided_numbers_in_print(capsys, write):
    _, out, _ = run(capsys, "fit", write(rows(L_inf=1e-9)), *QUICK)
    (floor,) = [line for line in out.splitlines() if line.startswith("  L_inf")]
    assert floor.split()[1] == "<"
    assert "upper limit" in floor
    _, out, _ = run(capsys, "fit", write(rows(A=1e-7)), *QUICK)
    (alpha,) = [line for line in out.splitlines() if line.split()[:1] == ["alpha"]]
    assert "[" in alpha
    assert "undecided" in alpha


def test_rows_by_condition_best_and_mean(capsys, write, caplog):
    """Two rates a cell: 1e-3 on the law, 1e-2 some 10 % above."""
    base = rows().take(np.flatnonzero(rows()["N"] < 1e7)[:16])
    twice = base.take(np.repeat(np.arange(16), 2))
    rate, above = np.tile([1e-3, 1e-2], 16), np.tile([1.0, 1.1], 16)
    path = write(twice | {"L": twice["L"] * above, "rate": rate})
    _, out, _ = run(capsys, "fit", path, *QUICK, "--json")
    assert not json.loads(out)["identified"]
    assert any("--best-of-cell" in r.getMessage() for r in caplog.records)
    found = []
    for choice in (["--where", "rate==1e-3"], ["--best-of-cell"]):
        _, out, _ = run(capsys, "fit", path, *QUICK, *choice, "--json")
        found.append(json.loads(out))
    assert found[0]["params"] == pytest.approx(found[1]["params"], rel=1e-9)
    assert found[0]["rows"] == 16
    _, out, _ = run(capsys, "fit", path, *QUICK, "--seed-mean", "--json")
    assert json.loads(out)["rows"] == 16
    status, _, err = run(capsys, "fit", path, "--seed-mean", "--best-of-cell")
    assert status == 2
    assert "exclude each other" in err
    status, _, err = run(capsys, "fit", path, "--where", "rate==7")
    assert status == 2
    assert "no row meets 'rate==7'" in err


@pytest.mark.slow
def test_three_approaches_in_print_and_json(capsys, write):
    path = write(rows())
    asked = ("--approaches", "--bootstrap", "0")
    _, out, _ = run(capsys, "fit", path, *asked)
    assert any(line.startswith("- a from ") for line in out.splitlines())
    _, out, _ = run(capsys, "fit", path, *asked, "--json")
    assert set(json.loads(out)["approaches"]) == {
        "envelope", "parabola", "cubic", "parametric"
    }  # fmt: skip
    assert json.loads(out)["approaches_differ"][0].startswith("a from ")


@pytest.mark.slow
def test_groups_share_parameters_and_are_worth_compute(capsys, write):
    first, second = rows(seed=1), rows(seed=2, A=11.27 * 2**-0.44)
    whole = {n: np.append(first[n], second[n]) for n in first}
    path = write(Table(whole, arm=np.repeat(["old", "new"], 25)))
    shared = ("--group", "arm", "--share", "alpha,beta")
    status, out, _ = run(capsys, "fit", path, *QUICK, *shared, "--json")
    assert status == 0
    found = json.loads(out)
    assert set(found["groups"]) == {"old", "new"}
    assert found["shared"]["values"]["alpha"] == pytest.approx(0.44, abs=0.03)
    assert found["shared"]["p_value"] > 0.01
    worth = found["equivalent_compute"]["old"]  # in compute of the new arm
    assert worth["factor"] == pytest.approx(0.5, rel=0.1)
    _, out, _ = run(capsys, "fit", path, *QUICK, "--group", "arm")
    assert "arm = new" in out.splitlines()
    assert "old is worth 0.5" in out
    status, _, err = run(capsys, "fit", path, "--share", "beta")
    assert status == 2
    assert "--share needs --group" in err


@pytest.mark.slow
def test_ties_bounds_delta_and_asymmetry(capsys, write):
    path = write(rows())
    _, out, _ = run(
        capsys, "fit", path, "--bootstrap", "0", "--tie", "beta=alpha", "--bounds",
        "L_inf=0:0.3", "--delta", "0.01", "--asymmetry", "0.5", "--json",
    )  # fmt: skip
    found = json.loads(out)
    assert found["params"]["alpha"] == found["params"]["beta"]
    assert found["ties"] == {"beta": "alpha"}
    assert found["params"]["L_inf"] <= 0.3
    assert found["misfit"] == {"kind": "huber", "delta": 0.01, "above": 0.5}
    for option, words in (("L_inf=0.3", "L_inf=0.3"), ("L_inf=a:b", "L_inf=a:b")):
        status, _, err = run(capsys, "fit", path, "--bounds", option)
        assert status == 2
        assert f"{words!r} is not NAME=LOW:HIGH" in err


def test_n_p_goes_with_the_fit(capsys, write, tmp_path, caplog):
    """Tokens: n_p = 1 in the fit is n_p = 1 in the plan, and another is said."""
    law = tmp_path / "fit.json"
    path = write(rows())
    _, out, _ = run(capsys, "fit", path, *QUICK, "--particles", "1", "--json")
    law.write_text(out)
    _, out, _ = run(capsys, "allocate", str(law), "--budget", "1e15", "--json")
    plan = json.loads(out)
    assert 6 * plan["N"] * plan["D"] == pytest.approx(1e15)
    assert (plan["particles"], plan["flops_per_N_D"]) == (1, 6)
    assert plan["verdict"] == "decided"
    caplog.clear()
    other = ("--budget", "1e15", "--particles", "40", "--json")
    _, out, _ = run(capsys, "allocate", str(law), *other)
    plan = json.loads(out)
    assert 240 * plan["N"] * plan["D"] == pytest.approx(1e15)
    said = [record.getMessage() for record in caplog.records]
    assert "warning: n_p = 40 in place of 1, that of the fit" in said


def test_losses_at_points(capsys, write, tmp_path):
    law = tmp_path / "fit.json"
    _, out, _ = run(capsys, "fit", write(rows()), *QUICK, "--json")
    law.write_text(out)
    points = ("--at", "N=1e5,D=1e6", "--at", "N=1e8,D=1e10")
    _, out, _ = run(capsys, "predict", str(law), *points, "--json")
    inside, outside = json.loads(out)["points"]
    exact = forms.additive.predict(LAW, {"N": np.array([1e5]), "D": np.array([1e6])})
    assert inside["loss"] == pytest.approx(exact[0], rel=0.01)
    assert inside["mean"][0] <= inside["loss"] <= inside["mean"][1]
    assert np.ptp(inside["run"]) > np.ptp(inside["mean"])
    assert (inside["decades"], inside["status"]) == (0, "decided")
    assert outside["decades"] == pytest.approx(3)
    _, out, _ = run(capsys, "predict", str(law), *points)
    lines = out.splitlines()
    assert lines[0] == "verdict of the fit: decided"
    assert lines[2].startswith("N = 1.00e5, D = 1.00e6: L = ")
    assert lines[2].endswith("; interpolation")
    assert lines[3].endswith("; extrapolation by 3 decades")
    for more, words in (
        ((), "give --at N=...,D=... or --budget"),
        (("--at", "N=1"), "--at names N: additive takes N, D"),
    ):
        status, _, err = run(capsys, "predict", str(law), *more)
        assert status == 2
        assert words in err


def test_a_suggestion_that_gains_nothing_is_refused(capsys, write, tmp_path):
    law = tmp_path / "fit.json"
    _, out, _ = run(capsys, "fit", write(rows()), *QUICK, "--json")
    law.write_text(out)
    budget = str(240 * 1e3 * 1e3 * 1.01)  # one run of the smallest cell
    status, _, err = run(capsys, "suggest", str(law), "--budget", budget)
    assert status == 2
    assert "lower the error of L_inf to less than" in err
    status, out, _ = run(capsys, "suggest", str(law), "--budget", "1e16")
    assert status == 0
    assert out.splitlines()[0] == "verdict of the fit: decided"
    assert " of 1.00e16 FLOPs" in out


def test_a_folder_of_runs_is_a_table(capsys, tmp_path, monkeypatch):
    table = rows() | {"n_p": np.full(25, 10.0)}
    monkeypatch.setattr("jetlab.runs.api.read_runs", lambda folder: table)
    status, out, _ = run(capsys, "fit", str(tmp_path), *QUICK, "--json")
    assert status == 0
    assert json.loads(out)["particles"] == 10


def test_a_form_without_a_size_that_matters_says_so(capsys, write, caplog):
    run(capsys, "fit", write(rows()), "--form", "model_only", *QUICK)
    words = "L depends on D, which model_only lacks: take a form with it"
    assert any(words in record.getMessage() for record in caplog.records)
    status, _, err = run(capsys, "fit", write(rows()), "--form", "model_only",
                         "--approaches")  # fmt: skip
    assert status == 2
    assert "--approaches are of the additive law" in err


def test_warnings_are_logged(capsys, write, caplog):
    caplog.set_level(logging.WARNING)
    table = rows()
    table["L"][3] *= 1.5
    run(capsys, "fit", write(table), *QUICK)
    assert any("5 robust sigmas" in r.getMessage() for r in caplog.records)
