"""A small store of shower jets for the tests of training."""

import pytest

from jetlab.data.shower.source import Shower
from jetlab.data.store import Store
from jetlab.data.store_writer import write
from jetlab.models.tagger import Tagger
from jetlab.tasks.tagging import Tagging
from jetlab.training.dataset import Dataset, open_dataset
from jetlab.training.run_config import RunConfig

POOL, VALID = 768, 100


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> Store:
    path = tmp_path_factory.mktemp("run") / "store"
    write([Shower().train(0, 1000)], path, expected=1000, origin={})
    return Store(path)


@pytest.fixture(scope="session")
def dataset(store, spec) -> Dataset:
    return open_dataset(store, spec())


@pytest.fixture(scope="session")
def spec():
    """A function that makes a small run with given fields."""

    def make(**fields) -> RunConfig:
        defaults = dict(
            source="test",
            task=Tagging(),
            inputs="full-10",
            model=Tagger(width=4, layers=2),
            pool=POOL,
            num_train=512,
            num_valid=VALID,
            learning_rate=3e-3,
        )
        return RunConfig(**{**defaults, **fields})

    return make
