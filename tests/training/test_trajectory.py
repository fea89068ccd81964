"""Trajectories: evaluation steps, early stopping, and the fields of records."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jetlab.training.evaluate import Predictions
from jetlab.training.optimizer import no_best, update_best
from jetlab.training.placement import Placement
from jetlab.training.trainer import Trainer
from jetlab.training.trajectory import Trajectory, trajectories_of


@pytest.mark.parametrize(("num_valid", "interval"), [(100, 2), (960, 10), (970, 11)])
def test_evaluations_take_a_fifth_of_the_flops(spec, num_valid, interval):
    """The smallest interval with V / 3 <= 0.2 (V / 3 + 128 interval)."""
    trajectory = Trajectory([spec(num_valid=num_valid, patience=1)])
    assert trajectory.interval == interval
    evaluation = num_valid / 3
    assert evaluation <= 0.2 * (evaluation + 128 * interval) + 1e-9
    assert evaluation > 0.2 * (evaluation + 128 * (interval - 1))


def test_a_run_that_may_stop_is_evaluated_at_multiples_and_at_its_end(spec):
    trajectory = Trajectory([spec(num_valid=970, epochs=6, patience=2)])
    assert trajectory.run.steps == 24
    steps = []
    for done in (0, 10, 11, 21, 22, 23):
        trajectory.progress.batches = done
        steps.append(trajectory.next_eval_step)
    assert steps == [11, 11, 22, 22, 24, 24]


def test_a_trajectory_is_evaluated_where_its_runs_end(spec):
    runs = [spec(num_train=size) for size in (768, 128, 512)]
    (trajectory,) = trajectories_of(runs, one_trajectory=True)
    assert trajectory.run.num_train == 768
    found = []
    for done in range(6):
        trajectory.progress.batches = done
        found.append(trajectory.next_eval_step)
    assert found == [1, 4, 4, 4, 6, 6]
    trajectory.progress.batches = 4
    assert [run.num_train for run in trajectory.runs_ending_here()] == [512]
    assert [run.num_train for run in trajectory.unfinished_runs()] == [512, 768]


def test_the_longest_trajectory_is_trained_first(spec):
    runs = [spec(seed=1, num_train=128), spec(seed=2), spec(seed=1, num_train=256)]
    found = trajectories_of(runs, one_trajectory=True)
    assert [[run.num_train for run in one.runs] for one in found] == [[512], [128, 256]]
    separate = trajectories_of(runs, one_trajectory=False)
    assert [one.run.num_train for one in separate] == [512, 256, 128]


def test_the_best_is_the_first_of_the_lowest_losses():
    """A NaN and an equal loss are no improvement."""
    best = no_best(jnp.array(0.0))
    assert (float(best.loss), int(best.waited)) == (math.inf, 0)
    found = []
    for step, loss in enumerate([math.nan, 2.0, math.nan, 2.0, 1.5, 1.75], start=1):
        best = update_best(
            best, jnp.array(1.0 * step), jnp.float32(loss), jnp.int32(step)
        )
        kept = float(best.params), float(best.loss), int(best.step), int(best.waited)
        found.append(kept)
    assert found == [
        (0.0, math.inf, 0, 1),
        (2.0, 2.0, 2, 0),
        (2.0, 2.0, 2, 1),
        (2.0, 2.0, 2, 2),
        (5.0, 1.5, 5, 0),
        (5.0, 1.5, 5, 1),
    ]


@pytest.fixture
def scripted(monkeypatch):
    """Replaces the losses of evaluations by given numbers, the last one repeated."""

    def script(losses):
        values, evaluate = iter(losses), Placement.evaluate

        def fake(self, params):
            found = evaluate(self, params)
            loss = next(values, losses[-1])
            return Predictions(jnp.full_like(found.loss, loss), found.outputs)

        monkeypatch.setattr(Placement, "evaluate", fake)

    return script


@pytest.mark.parametrize(
    ("losses", "evaluations", "best"),
    [
        # two evaluations without improvement do not stop a run of patience 3
        ([3.0, 2.0, 2.5, 2.5, 1.5, 1.75, 1.5, 1.75], 8, 5),
        ([3.0, 2.0, 2.0, 2.0, 2.0, 1.0], 5, 2),
        ([3.0, 3.5, 3.5, 2.5, 3.0, 2.0, 3.0, 3.0, 1.0, 4.0, 4.0, 4.0], 12, 9),
    ],
)
def test_a_run_stops_after_its_patience(
    dataset, spec, scripted, losses, evaluations, best
):
    scripted(losses)
    run = spec(epochs=20, patience=3)
    (record,) = Trainer([run], dataset, "test")
    interval = Trajectory([run]).interval
    assert [loss for _, loss in record.valid_curve] == losses[:evaluations]
    steps = [step for step, _ in record.valid_curve]
    assert steps == [interval * n for n in range(1, evaluations + 1)]
    assert record.steps == interval * best


def test_a_run_that_still_improves_ends_with_its_steps(dataset, spec, scripted):
    scripted([3.0, 2.5, 2.0, 1.5, 1.0, 0.5, 0.25, 0.125])
    run = spec(epochs=4, patience=1)
    (record,) = Trainer([run], dataset, "test")
    assert record.steps == run.steps == record.valid_curve[-1][0]


def test_a_nan_of_the_validation_loss_is_a_divergence(dataset, spec, scripted):
    scripted([3.0, math.nan, 2.0])
    (record,) = Trainer([spec(epochs=4, patience=5)], dataset, "test")
    assert (record.status, record.loss) == ("diverged", None)
    assert [loss for _, loss in record.valid_curve] == [3.0]


def test_a_record_has_the_fields_of_its_run(store, dataset, spec):
    run = spec(num_train=384, epochs=2, seed=3, weight_decay=0.125, arm="tuned")
    (record,) = Trainer([run], dataset, "study")
    n_p = np.minimum(store.train(0, run.pool).counts, 10).mean(dtype=float)
    assert (record.id, record.study, record.arm) == (run.id, "study", "tuned")
    assert (record.task, record.inputs, record.width) == ("tagging", "full-10", 4)
    assert (record.N, record.D, record.epochs) == (638, 384, 2)
    assert record.n_p == pytest.approx(n_p, rel=1e-12)
    assert record.C == pytest.approx(6 * 638 * 384 * 2 * n_p, rel=1e-12)
    assert (record.seed, record.batch, record.steps) == (3, 128, 6)
    assert (record.learning_rate, record.weight_decay) == (3e-3, 0.125)
    assert (record.num_valid, record.chance_loss) == (100, math.log(10))
    assert (record.precision, record.patience, record.trajectory) == ("float32", 0, "")
    assert record.device == jax.devices()[0].device_kind
    assert [step for step, _ in record.curve] == [6]
    assert record.valid_curve == ((6, record.loss),)
    assert record.weights == {}
    assert record.seconds > 0


def test_a_shorter_run_of_a_trajectory_names_the_longer_one(dataset, spec):
    short, long = spec(num_train=128), spec(num_train=384)
    records = {r.D: r for r in Trainer([short, long], dataset, "study")}
    assert records[128].trajectory == long.id
    assert (records[128].valid_curve, records[384].trajectory) == ((), "")
    assert [step for step, _ in records[384].valid_curve] == [1, 3]
    assert (records[128].steps, records[384].steps) == (1, 3)
