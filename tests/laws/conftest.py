"""Tables with known answers for the tests of the laws."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.fitting.misfit import SQUARES
from jetlab.laws.tables.cells import cell_means

TABLES = Path(__file__).parents[2] / "../shared/data/laws"

# arXiv:2602.15781, Table 1
JETS = {"L_inf": 0.32, "A": 11.27, "alpha": 0.44, "B": 7.22, "beta": 0.22}


@pytest.fixture(scope="session")
def jets() -> dict[str, float]:
    return dict(JETS)


@pytest.fixture(scope="session")
def grid():
    """Rows of the jets' law on a grid, with normal scatter of log L."""

    def make(sizes, examples, scatter=0.0, seed=0, **changes):
        n, d = np.meshgrid(sizes, examples)
        rows = {"N": n.ravel(), "D": d.ravel()}
        noise = np.random.default_rng(seed).normal(size=n.size)
        exact = forms.additive.predict(JETS | changes, rows)
        return rows | {"L": exact * np.exp(scatter * noise)}

    return make


@pytest.fixture(scope="session")
def wide(grid):
    """Twenty-five rows over four decades of N and five of D, 1 % scatter."""
    return grid(np.logspace(3, 7, 5), np.logspace(3, 8, 5), scatter=0.01)


@pytest.fixture(scope="session")
def law(wide) -> Any:
    """The default fit of `wide`, with draws."""
    return fit(forms.additive, wide, bootstrap=200)


@pytest.fixture(scope="session")
def law_of_squares(wide):
    """Least squares through `wide`."""
    return fit(forms.additive, wide, misfit=SQUARES)


@pytest.fixture(scope="session")
def law_of_floor(wide):
    """The fit of `wide` with the floor fixed to the true one."""
    return fit(forms.additive, wide, fixed={"L_inf": 0.32}, bootstrap=64)


@pytest.fixture(scope="session")
def exact(grid):
    """Thirty rows on the law."""
    return grid(np.logspace(3, 7, 5), np.logspace(3, 8, 6))


@pytest.fixture(scope="session")
def exact_law(exact):
    """The fit of `exact`."""
    return fit(forms.additive, exact)


@pytest.fixture(scope="session")
def line():
    """A power law without a floor by least squares, a line in log N: twelve rows, their
    fit, and the slope and its standard error by linear regression."""
    size = np.logspace(3, 8, 12)
    noise = 0.01 * np.random.default_rng(0).normal(size=12)
    table = {"N": size, "L": 5 * size**-0.3 * np.exp(noise)}
    law = fit(forms.model_only, table, fixed={"L_inf": 1e-200}, misfit=SQUARES)
    centred = np.log(size) - np.log(size).mean()
    spread = centred @ centred
    slope = -centred @ np.log(table["L"]) / spread
    sigma = np.sqrt(law.residuals @ law.residuals / 10)
    return law, slope, sigma / np.sqrt(spread)


@pytest.fixture(scope="session")
def seeds_of_cells():
    """Three seeds in each of 25 cells, with scatter of the cells and of the seeds."""

    def make(cells_scatter, seeds_scatter, seed=0, **changes):
        n, d = np.meshgrid(np.logspace(3, 7, 5), np.logspace(3, 8, 5))
        cell = {"N": n.ravel(), "D": d.ravel()}
        rng = np.random.default_rng(seed)
        common = cells_scatter * rng.normal(size=25)
        loss = forms.additive.predict(JETS | changes, cell)
        rows = {name: np.repeat(column, 3) for name, column in cell.items()}
        noise = np.repeat(common, 3) + seeds_scatter * rng.normal(size=75)
        return rows | {
            "L": np.repeat(loss, 3) * np.exp(noise),
            "seed": np.tile([0, 1, 2], 25),
        }

    return make


def read_table(name: str) -> list[dict[str, str]]:
    path = TABLES / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def chinchilla() -> dict[str, np.ndarray]:
    """Hoffmann et al.'s runs as arXiv:2404.10102 read them off Fig. 4, in the order of
    the file, without the five largest losses."""
    rows = read_table("epoch_chinchilla_svg_extracted.csv")
    size, compute, loss = (
        np.array([float(row[name]) for row in rows])
        for name in ("Model Size", "Training FLOP", "loss")
    )
    kept = np.sort(np.argsort(loss)[:-5])
    examples = compute / (6 * size)
    return {"N": size[kept], "D": examples[kept], "L": loss[kept]}


@pytest.fixture(scope="session")
def teacher_student() -> dict[str, np.ndarray]:
    """Regressions on a teacher network with a known floor, mean loss over seeds; C as
    the table counts it, iso_C 0 for the grid or the budget of an iso-FLOP run."""
    rows = read_table("vigl_demo_mlp_teacher_student_L2.csv")
    names = {"N": "N", "D": "D", "C": "C", "L": "val_loss", "iso_C": "iso_C"}
    table = {
        name: np.array([float(row[column]) for row in rows])
        for name, column in names.items()
    }
    return dict(cell_means(table, ("N", "D", "iso_C")))
