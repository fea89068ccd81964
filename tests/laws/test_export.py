"""From a CSV file to a law, its files, and a suggestion."""

import csv
import json

import numpy as np
import pytest

from jetlab.cli.fit_tables import fit_rows, read_table
from jetlab.cli.main import main
from jetlab.laws import forms
from jetlab.laws.export import export
from jetlab.laws.result import FitResult

LAW = {"L_inf": 0.32, "A": 11.27, "alpha": 0.44, "B": 7.22, "beta": 0.22}
COLUMNS = {"N": "size", "C": "flops", "L": "loss"}


def fit_csv(path, columns, particles=None, **choices):
    table = read_table(path, columns, "additive", {}, particles)
    return fit_rows("additive", table, weight=None, particles=particles, **choices)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """25 runs of a known law, 1 % scatter, compute in place of D; two that failed."""
    n, d = (a.ravel() for a in np.meshgrid(np.logspace(3, 7, 5), np.logspace(3, 8, 5)))
    noise = 0.01 * np.random.default_rng(0).normal(size=25)
    loss = forms.additive.predict(LAW, {"N": n, "D": d}) * np.exp(noise)
    lines = [f"{a},{6 * a * b},{c}" for a, b, c in zip(n, d, loss, strict=True)]
    lines[3:3] = ["1e5,6e10,", "1e5,6e11,-1"]
    path = tmp_path_factory.mktemp("table") / "runs.csv"
    path.write_text("size,flops,loss\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def fitted(path):
    return fit_csv(path, COLUMNS, bootstrap=64, particles=1.0)


def test_examples_come_from_compute_and_failed_runs_are_named(fitted):
    law, rows = fitted, fitted.table
    assert law.rows == len(rows["L"]) == 25
    assert law.left_out == {3: "L is nan", 4: "L is -1"}
    assert "2 rows left out" in law.message
    assert sorted(set(np.round(np.log10(rows["D"]), 2))) == [3, 4.25, 5.5, 6.75, 8]
    assert law.params["beta"] == pytest.approx(LAW["beta"], abs=0.01)
    assert law.remarks == []


def test_the_files_say_what_the_fit_says(fitted, tmp_path):
    law = fitted
    files = export(law, tmp_path / "out")
    assert {f.name for f in files} == {f.name for f in (tmp_path / "out").iterdir()}
    for name in ("residuals", "profiles", "corner", "contours", "loss"):
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 5_000
    with (tmp_path / "out" / "parameters.csv").open() as file:
        found = {line["parameter"]: line for line in csv.DictReader(file)}
    assert float(found["alpha"]["value"]) == law.params["alpha"]
    for kind in ("draws", "profile"):
        low, high = (float(found["beta"][f"{kind}_{end}"]) for end in ("low", "high"))
        assert low < law.params["beta"] < high
    again = FitResult.from_json((tmp_path / "out" / "fit.json").read_text())
    np.testing.assert_allclose(again.points["D"], law.table["D"], rtol=1e-11)
    saved = json.loads((tmp_path / "out" / "fit.json").read_text())
    assert saved["evidence"]["condition"] == law.diagnostics.condition
    assert saved["remarks"] == []
    assert "\\toprule" in (tmp_path / "out" / "parameters.tex").read_text()


@pytest.mark.slow
def test_a_suggestion_stays_within_its_budget(fitted, tmp_path, capsys):
    path = tmp_path / "fit.json"
    path.write_text(fitted.to_json())
    command = ["suggest", str(path), "--budget", "1e14", "--particles", "1", "--json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    cost = sum(6 * n * d for n, d in zip(found["N"], found["D"], strict=True))
    assert found["cost"] == pytest.approx(cost)
    assert cost <= 1e14
    assert 0 < found["gain"] < 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--budget", "1"], "do not pay for one run"),
        (["--budget", "1e14", "--target", "omega"], "no target 'omega'"),
        (["--budget", "nan"], "must be positive"),
    ],
)
def test_a_suggestion_that_cannot_be_made_is_refused(
    fitted, tmp_path, capsys, options, words
):
    path = tmp_path / "fit.json"
    path.write_text(fitted.to_json())
    assert main(["suggest", str(path), *options]) == 2
    assert words in capsys.readouterr().err


def test_a_column_that_was_not_given_is_named(path):
    with pytest.raises(ValueError, match=r"has no column D: write --columns N="):
        fit_csv(path, {"N": "size", "L": "loss"})
