import numpy as np
import pytest

from jetlab.data import ragged
from jetlab.types import Jets


def jets_of(counts: list[int], seed: int = 0) -> Jets:
    """Jets whose particles are numbered: column 0 holds jet, column 1 place."""
    rng = np.random.default_rng(seed)
    total = sum(counts)
    measured = rng.normal(size=(total, 8)).astype(np.float16)
    measured[:, 0] = np.repeat(np.arange(len(counts)), counts)
    measured[:, 1] = np.concatenate([np.arange(n) for n in counts])
    return Jets(
        label=np.arange(len(counts), dtype=np.int16) % 10,
        counts=np.array(counts, np.int32),
        jet=rng.normal(size=(len(counts), 4)).astype(np.float32),
        measured=measured,
        charge=rng.integers(-1, 2, total).astype(np.int8),
        species=rng.integers(0, 5, total).astype(np.int8),
    )


def split(jets: Jets) -> list[np.ndarray]:
    return np.split(jets.measured, np.cumsum(jets.counts)[:-1])


@pytest.fixture
def jets() -> Jets:
    return jets_of([3, 1, 5, 2])


def test_take_returns_jets_in_the_order_of_the_indices(jets):
    indices = np.array([2, 0, 2])
    taken = ragged.take(jets, indices)
    assert taken.counts.tolist() == [5, 3, 5]
    assert taken.label.tolist() == [2, 0, 2]
    np.testing.assert_array_equal(taken.jet, jets.jet[indices])
    expected = np.concatenate([split(jets)[i] for i in indices])
    np.testing.assert_array_equal(taken.measured, expected)


def test_particle_columns_stay_together(jets):
    taken = ragged.take(jets, np.array([3, 1]))
    np.testing.assert_array_equal(taken.charge, jets.charge[[9, 10, 3]])
    np.testing.assert_array_equal(taken.species, jets.species[[9, 10, 3]])


def test_take_of_no_indices_is_empty(jets):
    taken = ragged.take(jets, np.array([], np.int64))
    assert (len(taken.counts), len(taken.charge)) == (0, 0)


@pytest.mark.parametrize(("start", "stop"), [(0, 4), (1, 3), (2, 2), (4, 4)])
def test_slice_and_concatenate_are_inverse(jets, start, stop):
    starts = ragged.first_rows(jets)
    bounds = [(0, start), (start, stop), (stop, 4)]
    parts = [ragged.slice_jets(jets, starts, *bound) for bound in bounds]
    assert [len(part.counts) for part in parts] == [b - a for a, b in bounds]
    for joined, column in zip(ragged.concatenate(parts), jets, strict=True):
        np.testing.assert_array_equal(joined, column)


def test_truncate_keeps_the_first_particles(jets):
    truncated = ragged.truncate(jets, 2)
    assert truncated.counts.tolist() == [2, 1, 2, 2]
    assert truncated.measured[:, 1].tolist() == [0, 1, 0, 0, 1, 0, 1]
    assert truncated.measured[:, 0].tolist() == [0, 0, 1, 2, 2, 3, 3]


def test_pad_puts_zeros_after_the_particles(jets):
    jets = ragged.truncate(jets, 4)
    padded = ragged.pad(jets.measured, jets.counts, 4)
    for row, count, particles in zip(padded, jets.counts, split(jets), strict=True):
        np.testing.assert_array_equal(row[:count], particles)
        assert not row[count:].any()


def test_pad_keeps_trailing_shapes(jets):
    flat = np.arange(22, dtype=np.int32).reshape(11, 2, 1)
    padded = ragged.pad(flat, jets.counts, 5)
    assert padded.shape == (4, 5, 2, 1)
    np.testing.assert_array_equal(padded[2], flat[4:9])


def test_float16_values_are_finite_and_energies_positive():
    wild = np.full((2, 8), 1e9)
    wild[1] = -1e9
    wild[1, :2] = 1e-12
    stored = ragged.to_float16(wild)
    assert stored.dtype == np.float16
    assert np.isfinite(stored).all()
    assert stored[1, :2].tolist() == [2**-14] * 2  # the smallest normal number
    assert stored[0].tolist() == [65504] * 8
    assert stored[1, 2] == -65504
