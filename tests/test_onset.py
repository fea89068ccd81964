"""The change point of learning curves: where it was put, and none on a law."""

import numpy as np
import pytest

from jetlab.onset import change_point
from jetlab.records import Table

D = 2.0 ** np.arange(13, 20)


def law(D, floor=0.3, B=40.0, beta=0.4):
    return floor + B / D**beta


@pytest.mark.parametrize("beta", [0.1, 0.4, 1.0, 1.5])
@pytest.mark.parametrize("floor", [0.0, 0.3])
def test_a_law_has_no_change_point(beta, floor):
    assert change_point(D, law(D, floor, 0.5 * D[0] ** beta, beta)) == 0


def test_scatter_makes_no_change_point():
    """2 % of the loss at twice as many jets each: of 500 laws at most one in fifty."""
    rng = np.random.default_rng(0)
    noisy = law(D) * np.exp(0.02 * rng.normal(size=(500, len(D))))
    assert np.mean([change_point(D, L) > 0 for L in noisy]) < 0.02


@pytest.mark.parametrize("late", [1, 2, 3])
def test_the_end_of_the_fall_from_a_plateau(late):
    """The first points stand at 2.3, the next is on the law."""
    L = np.where(np.arange(len(D)) < late, 2.3 - 0.01 * np.arange(len(D)), law(D))
    assert change_point(D, L) == (late if late > 1 else 0)


def test_a_point_in_the_middle_of_the_fall_goes_too():
    assert change_point(D[:5], np.array([2.28, 2.27, 2.0, 1.5, 1.45])) == 3


def test_two_points_have_none():
    assert change_point(D[:2], np.array([2.3, 1.0])) == 0


def test_trajectories_are_taken_one_by_one():
    """A seed that begins late loses its first runs, another keeps them; the rows may be
    in any order, and runs of several epochs are no trajectory."""
    early, late = law(D), np.where(np.arange(len(D)) < 2, 2.3, law(D))
    table = Table(
        N=[1000] * 21,
        D=np.tile(D, 3),
        L=[*early, *late, *late],
        seed=np.repeat([0, 1, 1], 7),
        epochs=np.repeat([1, 1, 5], 7),
        chance_loss=[2.5] * 21,
    )
    shuffled = table.take(np.random.default_rng(0).permutation(21))
    left = shuffled.unlearned()
    assert left["seed"].tolist() == [1, 1]
    assert left["epochs"].tolist() == [1, 1]
    assert sorted(left["D"]) == D[:2].tolist()
    assert shuffled.learned().rows == 19
