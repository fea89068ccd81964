"""Occupancy of replicas whose runs stop early at unknown steps."""

import pytest

from benchmarks.occupancy import naive, occupancy


@pytest.mark.slow
def test_at_least_85_percent_of_replica_steps_are_useful():
    assert naive(seed=0) < 0.35
    assert 0.85 <= occupancy(seed=0) <= 1
