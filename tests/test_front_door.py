"""The front door: public names, their cost to import, and the two scripts."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jetlab as jl
from jetlab.data.shower.source import Shower
from jetlab.data.store_writer import write

ROOT = Path(__file__).parents[1]
TRUTH = {"L_inf": 0.3, "A": 11.0, "alpha": 0.45, "B": 3.0, "beta": 0.25}


def test_every_public_name_is_there_and_documented():
    for name in jl.__all__:
        assert getattr(jl, name).__doc__, name
    assert set(jl.__all__) <= set(dir(jl))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        jl.nonsense  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


def test_the_names_for_type_checkers_are_the_names_at_run_time():
    tree = ast.parse((ROOT / "jetlab" / "__init__.py").read_text())
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    stated = {
        alias.name: node.module
        for node in typed.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert stated == {name: f"jetlab.{room}" for name, room in jl._NAMES.items()}


def test_importing_jetlab_imports_nothing_else():
    script = """
import sys, time
begin = time.process_time()
import jetlab
print(time.process_time() - begin, *{"jax", "numpy", "flax"} & set(sys.modules))
"""
    seconds, *heavy = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not heavy
    assert float(seconds) < 0.3


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("front") / "store"
    write([Shower().train(0, 3000)], path, expected=3000, origin={})
    return path


def planted(table: jl.Table) -> jl.Table:
    """The table with the losses of a known law, 2 % scatter."""
    N, D = table["N"].astype(float), table["D"].astype(float)
    exact = TRUTH["L_inf"] + TRUTH["A"] / N**0.45 + TRUTH["B"] / D**0.25
    noise = np.random.default_rng(0).normal(size=len(N))
    return table | {"L": exact * np.exp(1e-4 * noise)}


def test_from_jets_to_a_plan_and_a_tagger(store, tmp_path):
    """The first script of the README, on few jets."""
    jets = jl.Store(store)
    sizes = jl.log_spaced(512, 2048, 3)
    runs = jl.grid(
        jets,
        inputs="full-10",
        width=(4, 8),
        num_train=sizes,
        seed=range(2),
        num_valid=200,
    )
    assert str(runs.cost()).startswith("12 runs, ")
    table = jl.train(runs, out=tmp_path / "mine")
    assert table.rows == 12
    assert set(table["width"]) == {4, 8}
    again = jl.train(runs, out=tmp_path / "mine")  # nothing is trained twice
    assert all(np.array_equal(table[name], again[name]) for name in ("id", "L"))
    assert np.array_equal(jl.read_runs(tmp_path / "mine")["L"], table["L"])

    known = {"alpha": TRUTH["alpha"], "beta": TRUTH["beta"]}  # six cells: too few
    law = jl.fit("additive", planted(table).learned(), fixed=known, bootstrap=50)
    assert law.params == pytest.approx(TRUTH, rel=0.03)
    assert 8 <= len(repr(law).splitlines()) <= 24
    assert "L_inf" in repr(law)
    law.plot(tmp_path / "law.png")
    assert (tmp_path / "law.png").stat().st_size > 10_000

    plan = jl.allocate(law, flops=1e12)
    assert law.particles == pytest.approx(table["n_p"].mean())
    assert plan.N * plan.D * 6 * law.particles == pytest.approx(1e12)
    tagger = jl.load_model(tmp_path / "mine", table.best())
    scores = tagger(jets.valid(100))
    assert scores.shape == (100, 10)
    loss = np.asarray(tagger.evaluate(jets.valid(200)).loss).mean()
    assert loss == pytest.approx(table.best()["L"][0], rel=1e-6)


def test_from_a_table_to_simulating_or_repeating(tmp_path):
    """The second script of the README, with a planted law."""
    N, D = (a.ravel() for a in np.meshgrid(np.logspace(4, 8, 5), np.logspace(4, 8, 5)))
    rows = planted(jl.Table(N=N, D=D))
    lines = ["params,jets,loss"]
    lines += [f"{n},{d},{loss}" for n, d, loss in zip(N, D, rows["L"], strict=True)]
    (tmp_path / "runs.csv").write_text("\n".join(lines))

    table = jl.read_csv(tmp_path / "runs.csv", N="params", D="jets", L="loss")
    law = jl.fit("additive", table, bootstrap=100)
    assert law.reliable
    for name, value in TRUTH.items():
        assert law.params[name] == pytest.approx(value, rel=0.02)
    assert law.derived["a"] == pytest.approx(0.25 / 0.70, rel=0.01)
    both = jl.simulate_or_repeat(law, flops=1e18, flops_per_jet=1e9, max_epochs=50)
    assert both.epochs is not None
    assert both.epochs > 1  # repeats cost no simulation
    spent = both.epochs * 240 * both.N * both.D + 1e9 * both.D
    assert spent == pytest.approx(1e18, rel=1e-6)
