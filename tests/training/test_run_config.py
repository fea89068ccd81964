"""RunConfig: identities, cost, trajectories, and invalid values."""

import pytest

from jetlab.models.tagger import Tagger
from jetlab.tasks.tagging import Tagging
from jetlab.training.run_config import RunConfig, cost


def spec(**fields) -> RunConfig:
    defaults = dict(
        source="test",
        task=Tagging(),
        inputs="full-10",
        model=Tagger(width=4),
        pool=768,
        num_train=512,
        num_valid=100,
        learning_rate=3e-3,
    )
    return RunConfig(**{**defaults, **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_train": 500}, "multiple of the batch"),
        ({"num_train": 1024}, "up to the pool"),
        ({"inputs": "everything"}, "choose from"),
        ({"precision": "float8"}, "choose from float32, bfloat16"),
    ],
)
def test_invalid_fields_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        spec(**fields)


def test_cost_is_the_formula_of_the_paper():
    run = spec(model=Tagger(width=64), num_train=256, epochs=3)
    assert cost(run, 40.0) == 6 * 40 * 202_186 * 256 * 3


def test_identities_are_pinned():
    """A changed default or canonical form would orphan finished runs."""
    assert spec().id == spec(epochs=1, precision="float32", patience=0).id
    assert len({spec().id, spec(epochs=2).id, spec(patience=2).id}) == 3
    assert spec().id == "25d67cdeec6c"


def test_single_epoch_runs_that_differ_in_num_train_share_a_trajectory():
    assert spec().trajectory == spec(num_train=256).trajectory
    assert spec().trajectory != spec(seed=1).trajectory
    assert spec(epochs=2).trajectory is None
    assert spec(patience=1).trajectory is None
