"""The grid of the main experiment on sources of every size."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from jetlab.runs.study import load_experiment
from jetlab.training.trajectory import trajectories_of

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "compute_optimal.py"


@dataclass(frozen=True)
class Shelf:
    """A source of which only the sizes matter."""

    size: int | None
    held_out: int | None
    classes: tuple[str, ...] = tuple("abcdefghij")
    identity: str = "shelf"

    def train(self, start, stop):
        raise NotImplementedError

    def valid(self, count):
        raise NotImplementedError


@pytest.fixture(scope="module")
def experiment():
    return load_experiment(EXPERIMENT)


@pytest.mark.parametrize("size", [None, 10**7, 100_000, 16_000, 8_192])
def test_no_point_stands_twice_and_none_asks_for_too_much(experiment, size):
    for name in experiment.SIZES:
        runs = experiment.study(name, Shelf(size, None)).runs
        assert len({run.id for run in runs}) == len(runs)
        assert size is None or max(run.num_train for run in runs) <= size


def test_evaluation_takes_a_fifth_of_a_grid_at_most(experiment):
    """An evaluation is a third of a training step for each of its jets."""
    for name in experiment.SIZES:
        runs = experiment.study(name, Shelf(None, None)).runs
        trained = sum(
            job.run.num_train for job in trajectories_of(runs, one_trajectory=True)
        )
        evaluated = sum(run.num_valid for run in runs) / 3
        assert evaluated < 0.2 * (trained + evaluated), name


def test_a_source_too_small_for_a_grid_is_refused(experiment):
    with pytest.raises(ValueError, match="has 3000 training jets"):
        experiment.study("laptop", Shelf(3000, 1000))


@pytest.mark.parametrize(("held_out", "valid"), [(None, 19_000), (3_750, 3_750)])
def test_validation_is_as_many_as_there_are(experiment, held_out, valid):
    runs = experiment.study("laptop", Shelf(20_000, held_out)).runs
    assert {run.num_valid for run in runs} == {valid}


def test_validation_is_balanced_over_any_number_of_classes(experiment):
    names = tuple(f"class {i}" for i in range(188))
    runs = experiment.study("laptop", Shelf(10**6, 10**5, names)).runs
    assert all(run.num_valid % 188 == 0 for run in runs)
    assert all(run.model.classes == 188 for run in runs)


def test_a_class_without_validation_jets_is_told(experiment):
    with pytest.raises(ValueError, match="0 validation jets of its rarest class"):
        experiment.study("laptop", Shelf(20_000, 0))
