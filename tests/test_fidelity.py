"""Comparing simulated with real jets: samples of known differences, and of none."""

import json
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from benchmarks import fidelity, observables
from benchmarks.jet_samples import Sample, real, simulated
from benchmarks.resampling import mean, measured, peak, quantiles, times_drawn
from benchmarks.telling_apart import Described, logistic, null, told_apart
from jetlab.data.jetclass.decoding import FLAGS, TEN_LABELS

JETS = 60


def flat(seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Particles by falling pT around axes at eta = 1, phi = 0.5."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(5, 60, JETS)
    total, owner = counts.sum(), np.repeat(np.arange(JETS), counts)
    pt = rng.exponential(12, total) + 0.5
    pt = pt[np.lexsort((-pt, owner))]
    deta, dphi = rng.normal(0, 0.2, (2, total))
    momentum = {
        "part_px": pt * np.cos(0.5 + dphi),
        "part_py": pt * np.sin(0.5 + dphi),
        "part_pz": pt * np.sinh(1 + deta),
        "part_energy": pt * np.cosh(1 + deta),
    }
    return counts, momentum | {"part_deta": deta, "part_dphi": dphi}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A ROOT file and a folder of arrays, of random jets of all classes."""
    rng = np.random.default_rng(2)
    counts, columns = flat(0)
    species = rng.integers(0, 5, counts.sum())
    for name in ("d0val", "dzval", "charge"):
        columns[f"part_{name}"] = np.where(np.isin(species, (1, 2)), 0.0, 1.0)
    for name in ("d0err", "dzerr"):
        columns[f"part_{name}"] = np.full(counts.sum(), 0.1)
    columns |= {name: np.equal(species, n) * 1.0 for n, name in enumerate(FLAGS)}
    data = {n: ak.unflatten(v.astype(np.float32), counts) for n, v in columns.items()}
    label = np.arange(JETS) % 10
    data |= {name: np.equal(label, k) * 1 for k, name in enumerate(TEN_LABELS)}
    data |= {f"jet_{n}": np.full(JETS, 600.0) for n in ("pt", "eta", "phi", "energy")}
    with uproot.recreate(tmp_path / "jets.root") as file:
        file["tree"] = data
    write_arrays(tmp_path, label)
    return tmp_path / "jets.root", tmp_path


def write_arrays(folder: Path, label: np.ndarray) -> None:
    counts, columns = flat(1)
    mask = np.arange(128) < counts[:, None]
    names = ("part_px", "part_py", "part_pz", "part_energy", "part_deta", "part_dphi")
    padded = np.zeros((JETS, 6, 128), np.float32)
    for number, name in enumerate(names):
        padded[:, number][mask] = columns[name]
    np.save(folder / "SMALLpfVectors.npy", padded[:, :4])
    np.save(folder / "SMALLpfPoints.npy", padded[:, 4:])
    np.save(folder / "SMALLpfMask.npy", mask[:, None].astype(np.float32))
    np.save(folder / "SMALLlabels.npy", np.eye(10, dtype=np.float32)[label])


@pytest.mark.slow
def test_it_prints_every_table_and_writes_them_with_a_figure(files, tmp_path, capsys):
    jets, folder = files
    out = tmp_path / "out"
    fidelity.main(
        ["--jets", str(jets), "--real", str(folder), "--out", str(out), "--quick"]
    )
    said = capsys.readouterr().out
    assert "no jet_sdmass" in said
    assert "too few simulated jets" in said  # as many as real ones, so no control
    found = json.loads((out / "fidelity.json").read_text())
    assert said.count("\n## ") == len(found) == 7
    kinds = {"charged hadrons", "photons", "sd of d0 [mm]", "beyond dR 0.8"}
    assert kinds <= {row["quantity"] for row in found["What jets are made of"]}
    assert {path.suffix for path in out.iterdir()} == {".md", ".json", ".png", ".pdf"}


def test_both_formats_read_as_what_was_written(files):
    jets, folder = files
    for sample, (counts, columns) in (
        (simulated([jets]), flat(0)),
        (real(folder), flat(1)),
    ):
        np.testing.assert_array_equal(sample.counts, counts)
        np.testing.assert_allclose(
            sample.place[:, 0], columns["part_deta"], rtol=1e-6, atol=1e-7
        )
        np.testing.assert_array_equal(sample.label, np.arange(JETS) % 10)


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["--jets", "--real"])
def test_what_is_missing_is_said_in_a_line(files, tmp_path, capsys, missing):
    given = {"--jets": str(files[0]), "--real": str(files[1])}
    (tmp_path / "empty").mkdir()
    given[missing] = str(tmp_path / "empty")
    with pytest.raises(SystemExit) as stop:
        fidelity.main([word for pair in given.items() for word in pair])
    assert stop.value.code == 2
    assert "empty" in capsys.readouterr().err


def two_prongs(mass: float) -> Sample:
    """One jet of two massless particles back to back in the frame of their sum."""
    energy, pz = np.hypot(mass, 600.0), 600.0
    x, z = np.array([mass / 2, -mass / 2]), np.full(2, pz / 2)
    momentum = np.stack([z, x, np.zeros(2), np.full(2, energy / 2)], axis=1)
    place = np.stack([np.zeros(2), np.arctan2(x, z)], axis=1)
    return Sample(np.zeros(1, int), np.full(1, 2), momentum, place, {}, {})


def test_mass_and_widths_of_two_prongs():
    jet = two_prongs(80.0)
    assert observables.of_jets(jet)["mass"][0] == pytest.approx(80.0)
    seen = observables.by_hand(jet)
    angle = np.arctan2(40.0, 300.0)
    assert seen["major width"][0] == pytest.approx(angle)
    assert seen["minor width"][0] == pytest.approx(0.0, abs=1e-9)
    assert seen["energy correlation"][0] == pytest.approx(2 * angle / 4)
    assert seen["sum z^2"][0] == pytest.approx(0.5)


def test_the_peak_of_a_normal_is_its_mean():
    rng = np.random.default_rng(0)
    found = peak(rng.normal(125, 10, 20_000), 200, rng)
    assert found is not None
    assert 0 < found.error < 0.7
    assert abs(found.value - 125) < 3 * found.error
    assert peak(np.full(100, 20.0), 10, rng) is None


def test_errors_of_means_and_quantiles_are_those_of_normals():
    """pi / 2 times the variance of the mean is the median's."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=4_000)
    drawn = times_drawn(np.zeros(len(x), int), 400, rng)
    assert (drawn.sum(axis=1) == len(x)).all()
    error = 1 / np.sqrt(len(x))
    assert measured(mean(x), drawn).error == pytest.approx(error, rel=0.15)
    _, errors = quantiles(x, np.arange(len(x)), drawn, (0.5,))
    assert errors[0] == pytest.approx(error * np.sqrt(np.pi / 2), rel=0.2)


def test_a_shift_is_told_and_none_is_not():
    """Two unit normals a distance of one apart: the best AUC is Phi(1 / sqrt 2)."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(10), 200)
    pool = Described(rng.normal(size=(2_000, 3)), label)
    theirs = Described(rng.normal((1, 0, 0), 1, (400, 3)), np.repeat(range(10), 40))
    found = told_apart(logistic, theirs, pool, draws=3, seed=0)
    assert found.value == pytest.approx(0.760, abs=3 * (found.high - found.low) / 2)
    assert found.low > 0.7
    nulls = null(logistic, pool, theirs.label, draws=2, times=12, seed=0)
    values = [each.value for each in nulls]
    assert abs(np.mean(values) - 0.5) < 3 * np.std(values) / np.sqrt(len(values))
    assert 5 <= sum(each.holds(0.5) for each in nulls) <= 12
