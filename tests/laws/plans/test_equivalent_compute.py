"""Worth in compute, of laws that differ by a known factor."""

import numpy as np
import pytest

from jetlab.laws.fit import fit
from jetlab.laws.plans.equivalent_compute import equivalent_compute

SIZES, EXAMPLES = np.logspace(3, 7, 5), np.logspace(3, 8, 6)


@pytest.fixture(scope="module")
def arms(grid):
    """The second needs 2 N D for the loss of the first: A and B are smaller by 2^-alpha
    and 1, so that its optimum is that of half the N."""
    other = {"A": 11.27 * 2**-0.44}
    return [
        fit(
            "additive",
            grid(SIZES, EXAMPLES, scatter=0.003, seed=s, **more),
            bootstrap=50,
        )
        for s, more in enumerate(({}, other))
    ]


def test_the_planted_factor_is_found(arms):
    found = equivalent_compute(*arms)
    assert found.factor == pytest.approx(2, rel=0.03)
    assert found.interval is not None
    low, high = found.interval
    assert low < found.factor < high
    assert low < 2.03
    assert high > 1.97
    assert found.lack_of_fit[0] <= low
    assert found.lack_of_fit[1] >= high
    words = found.sentence("one", "two")
    assert words.startswith(f"two is worth {found.factor:.3f} (")
    assert "L_inf is 0.32" in words


def test_the_other_way_round_is_the_inverse(arms):
    there, back = equivalent_compute(*arms), equivalent_compute(*arms[::-1])
    assert there.factor * back.factor == pytest.approx(1, rel=1e-3)


def test_an_arm_is_worth_itself(arms):
    assert equivalent_compute(arms[0], arms[0]).factor == pytest.approx(1, abs=2e-3)


def test_a_loss_below_the_floor_of_the_other_arm_is_refused(arms, grid):
    low = fit("additive", grid(SIZES, EXAMPLES, scatter=0.003, L_inf=0.01))
    with pytest.raises(ValueError, match="one arm does not reach the loss"):
        equivalent_compute(arms[0], low)


def test_rows_without_common_compute_are_refused(arms, grid):
    far = fit("additive", grid(SIZES * 1e8, EXAMPLES * 1e8, scatter=0.003))
    with pytest.raises(ValueError, match="no compute in common"):
        equivalent_compute(arms[0], far)
