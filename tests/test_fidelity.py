"""Comparing simulated with reference jets: samples with and without differences."""

import json
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from benchmarks.fidelity import observables, tables, two_sample_test
from benchmarks.fidelity.__main__ import balance, main
from benchmarks.fidelity.bootstrap import (
    Estimate,
    estimate,
    mean,
    multiplicities,
    peak,
    quantiles,
    standard_deviation,
)
from benchmarks.fidelity.samples import Sample, read_reference, read_simulated
from benchmarks.fidelity.two_sample_test import (
    Auc,
    Features,
    _folds,
    logistic,
    null,
    two_sample_auc,
)
from jetlab.data.jetclass.branches import FLAGS, TEN_LABELS

JETS = 60


def particles(seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
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
    counts, columns = particles(0)
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
    write_reference(tmp_path, label)
    return tmp_path / "jets.root", tmp_path


def write_reference(folder: Path, label: np.ndarray) -> None:
    counts, columns = particles(1)
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
def test_the_command_prints_every_table_and_writes_them_with_a_figure(
    files, tmp_path, capsys
):
    jets, folder = files
    out = tmp_path / "out"
    main(["--jets", str(jets), "--real", str(folder), "--out", str(out), "--quick"])
    printed = capsys.readouterr().out
    assert "no jet_sdmass" in printed
    assert "too few simulated jets" in printed  # as many as reference jets: no control
    found = json.loads((out / "fidelity.json").read_text())
    assert printed.count("\n## ") == len(found) == 7
    quantities = {"charged hadrons", "photons", "sd of d0 [mm]", "beyond dR 0.8"}
    assert quantities <= {row["quantity"] for row in found["Composition"]}
    assert {path.suffix for path in out.iterdir()} == {".md", ".json", ".png", ".pdf"}


def test_both_formats_read_as_what_was_written(files):
    jets, folder = files
    for sample, (counts, columns) in (
        (read_simulated([jets]), particles(0)),
        (read_reference(folder), particles(1)),
    ):
        np.testing.assert_array_equal(sample.counts, counts)
        for number, name in enumerate(("part_deta", "part_dphi")):
            np.testing.assert_allclose(
                sample.angles[:, number], columns[name], rtol=1e-6, atol=1e-7
            )
        np.testing.assert_allclose(
            sample.momentum[:, 3], columns["part_energy"], rtol=1e-6
        )
        np.testing.assert_array_equal(sample.label, np.arange(JETS) % 10)
        # the axes lie at eta = 1
        np.testing.assert_allclose(
            observables.off_axis(sample),
            np.abs(1 - observables._eta(sample)),
            atol=1e-5,
        )


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["--jets", "--real"])
def test_missing_files_are_named_in_one_line(files, tmp_path, capsys, missing):
    given = {"--jets": str(files[0]), "--real": str(files[1])}
    (tmp_path / "empty").mkdir()
    given[missing] = str(tmp_path / "empty")
    with pytest.raises(SystemExit) as stop:
        main([word for pair in given.items() for word in pair])
    assert stop.value.code == 2
    assert "empty" in capsys.readouterr().err


def labelled(counts: dict[int, int]) -> Sample:
    """`counts[k]` jets of class k, of one particle each; deta is the jet's number."""
    label = np.repeat(list(counts), list(counts.values()))
    n = len(label)
    momentum = np.tile([500.0, 0, 0, 500], (n, 1))
    angles = np.stack([np.arange(n), np.zeros(n)], axis=1).astype(float)
    return Sample(label, np.ones(n, int), momentum, angles, {}, {})


def test_samples_are_balanced_class_by_class():
    """Twice as many simulated as reference jets: class 7 has just five for its two."""
    simulated, reference = labelled({0: 9, 3: 4, 7: 5}), labelled({0: 4, 5: 2, 7: 2})
    pair = balance(simulated, reference, 3)
    assert np.bincount(pair.reference.label).tolist() == [3, 0, 0, 0, 0, 0, 0, 2]
    assert np.bincount(pair.simulated.label).tolist() == [6, 0, 0, 0, 0, 0, 0, 4]
    numbers = [*range(6), *range(13, 17)]  # the first of each class
    np.testing.assert_array_equal(pair.simulated.angles[:, 0], numbers)
    with pytest.raises(ValueError, match="no class in common"):
        balance(labelled({1: 2}), reference, 3)


def two_prongs(mass: float) -> Sample:
    """One jet of two massless particles back to back in the frame of their sum."""
    energy, pz = np.hypot(mass, 600.0), 600.0
    x, z = np.array([mass / 2, -mass / 2]), np.full(2, pz / 2)
    momentum = np.stack([z, x, np.zeros(2), np.full(2, energy / 2)], axis=1)
    angles = np.stack([np.zeros(2), np.arctan2(x, z)], axis=1)
    return Sample(np.zeros(1, int), np.full(1, 2), momentum, angles, {}, {})


def test_mass_and_widths_of_two_prongs():
    jet = two_prongs(80.0)
    assert observables.of_jets(jet)["mass"][0] == pytest.approx(80.0)
    values = observables.engineered(jet)
    angle = np.arctan2(40.0, 300.0)
    assert values["major width"][0] == pytest.approx(angle)
    assert values["minor width"][0] == pytest.approx(0.0, abs=1e-9)
    assert values["energy correlation"][0] == pytest.approx(2 * angle / 4)
    assert values["sum z^2"][0] == pytest.approx(0.5)


def test_observables_of_two_uneven_jets():
    """Of 30, 20 and 10 GeV at dR = 0.1, 0.4 and 0.2; and of one particle."""
    pt = np.array([30.0, 20.0, 10.0, 500.0])
    momentum = np.stack([pt, 0 * pt, pt * np.sinh(0.5), pt * np.cosh(0.5)], axis=1)
    angles = np.array([[0.1, 0], [0, -0.4], [0.2, 0], [0, 0.3]])
    jets = Sample(np.array([0, 1]), np.array([3, 1]), momentum, angles, {}, {})
    values = observables.engineered(jets)
    expected = {
        "log multiplicity": np.log([3, 1]),
        "log jet pT": np.log([60, 500]),
        "|jet eta|": [0.5, 0.5],
        "sum z^2": [14 / 36, 1],
        "z of leading 1": [1 / 2, 1],
        "z of leading 2": [5 / 6, 1],
        "sum z dR^1": [0.05 + 0.4 / 3 + 0.2 / 6, 0.3],
        "log pT at 50%": np.log([20, 500]),
        "dR at 50%": [0.2, 0.3],
        "dR at 90%": [0.2, 0.3],  # index int(0.9 * 2)
    }
    for name, value in expected.items():
        np.testing.assert_allclose(values[name], value, err_msg=name)
    leading = observables.leading(jets)
    assert leading.shape == (2, 60)
    np.testing.assert_allclose(
        leading[0, :6], [np.log(30), 0.1, 0, np.log(20), 0, -0.4]
    )
    assert not leading[1, 3:].any()


def test_the_peak_of_a_normal_is_its_mean():
    rng = np.random.default_rng(0)
    found = peak(rng.normal(125, 10, 20_000), 200, rng)
    assert found is not None
    assert 0 < found.error < 0.7
    assert abs(found.value - 125) < 3 * found.error
    assert peak(np.full(100, 20.0), 10, rng) is None
    assert peak(np.full(100, 41.0), 10, rng) is None  # at the end of the range


def test_statistics_of_sums_over_jets():
    """Of x = 1, 2, 3 in one jet and 6 in another."""
    once = np.ones((1, 2), int)
    spread = standard_deviation(np.array([3, 1]), np.array([6, 6]), np.array([14, 36]))
    assert estimate(spread, once).value == pytest.approx(np.std([1, 2, 3, 6]))
    twice = np.array([[2, 0], [0, 2]])  # 1, 2, 3 alone, and 6 alone
    assert estimate(mean(np.array([2.0, 6.0])), twice) == Estimate(4.0, 2.0)


@pytest.mark.parametrize(
    ("ratio", "error", "verdict"),
    [
        (1.03, 0.01, "yes"),
        (0.97, 0.01, "yes"),
        (1.045, 0.01, "open"),
        (0.945, 0.01, "open"),
        (1.07, 0.01, "no"),
        (0.93, 0.01, "no"),
    ],
)
def test_agreement_within_five_per_cent(ratio, error, verdict):
    assert tables._within_tolerance(ratio, error) == verdict


def test_pulls_are_differences_over_both_errors():
    assert tables.pull(Estimate(3.0, 0.3), Estimate(2.0, 0.4)) == "+2.0"
    assert tables.pull(Estimate(2.0, 0.4), Estimate(3.0, 0.3)) == "-2.0"
    assert tables.pull(None, Estimate(1.0, 1.0)) == tables.NONE
    assert tables.pull(Estimate(1.0, 0.0), Estimate(2.0, 0.0)) == tables.NONE


def test_errors_of_means_and_quantiles_are_those_of_normals():
    """pi / 2 times the variance of the mean is the median's."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=4_000)
    times = multiplicities(np.zeros(len(x), int), 400, rng)
    assert (times.sum(axis=1) == len(x)).all()
    error = 1 / np.sqrt(len(x))
    assert estimate(mean(x), times).error == pytest.approx(error, rel=0.15)
    medians, errors = quantiles(x, np.arange(len(x)), times, (0.5,))
    assert medians[0] == pytest.approx(np.median(x), abs=1e-3)
    assert errors[0] == pytest.approx(error * np.sqrt(np.pi / 2), rel=0.2)


def test_the_bootstrap_is_stratified_by_class():
    label = np.array([0, 2, 2, 0, 2])
    times = multiplicities(label, 50, np.random.default_rng(0))
    assert (times[:, label == 0].sum(axis=1) == 2).all()
    assert (times[:, label == 2].sum(axis=1) == 3).all()
    assert times.std(axis=0).min() > 0


def test_folds_are_stratified_by_class():
    label = np.repeat(np.arange(10), 13)
    fold = _folds(label, np.random.default_rng(0))
    assert np.bincount(fold).tolist() == [26] * 5
    per_class = np.array(
        [np.bincount(fold[label == k], minlength=5) for k in range(10)]
    )
    assert set(per_class.ravel()) == {2, 3}


def test_jets_in_place_of_the_reference_are_not_simulated_ones_too(monkeypatch):
    """The control never compares a jet with itself."""
    tested = []

    def recorded(make, reference, pool, **options):
        tested.append((reference.x[:, 0], pool.x[:, 0]))
        return Auc(0.5, 0.4, 0.6)

    monkeypatch.setattr(two_sample_test, "two_sample_auc", recorded)
    label = np.repeat([0, 1], 10)
    pool = Features(np.arange(20.0)[:, None], label)
    null(logistic, pool, label[5:13], draws=1, repetitions=3, seed=0)
    for reference, rest in tested:
        np.testing.assert_array_equal(reference >= 10, label[5:13])
        assert sorted([*reference, *rest]) == list(range(20))


def test_a_shift_is_found_and_no_difference_is_not():
    """Two unit normals a distance of one apart: the best AUC is Phi(1 / sqrt 2)."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(10), 200)
    pool = Features(rng.normal(size=(2_000, 3)), label)
    theirs = Features(rng.normal((1, 0, 0), 1, (400, 3)), np.repeat(range(10), 40))
    found = two_sample_auc(logistic, theirs, pool, draws=3, seed=0)
    assert found.value == pytest.approx(0.760, abs=3 * (found.high - found.low) / 2)
    assert found.low > 0.7
    nulls = null(logistic, pool, theirs.label, draws=2, repetitions=12, seed=0)
    values = [each.value for each in nulls]
    assert abs(np.mean(values) - 0.5) < 3 * np.std(values) / np.sqrt(len(values))
    assert 5 <= sum(each.contains(0.5) for each in nulls) <= 12
