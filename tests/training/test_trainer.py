"""The trainer: equal numbers from memory or disk, alone or in replicas, and resumed."""

import dataclasses
import itertools
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jetlab.data.features import INPUTS, featurize
from jetlab.models.tagger import Tagger
from jetlab.records import Record
from jetlab.training import mesh, replicas, trainer
from jetlab.training.dataset import batches_of
from jetlab.training.placement import Placement
from jetlab.training.trainer import Trainer
from jetlab.training.weights import load_weights

VALID = 100


def stripped(record: Record) -> Record:
    return dataclasses.replace(record, seconds=0.0)


def run_all(runs, dataset, **options) -> list[Record]:
    """Records in the order of the runs."""
    found = {record.id: record for record in Trainer(runs, dataset, "test", **options)}
    return [found[run.id] for run in runs]


def at_most_four(placement: Placement, trajectories: int) -> int:
    return min(4, trajectories)


@pytest.fixture
def four_replicas(monkeypatch):
    """Four replicas under vmap, as on an accelerator."""
    monkeypatch.setattr(Placement, "_num_replicas", at_most_four)


def test_the_seed_determines_the_record(dataset, spec):
    first, other = run_all([spec(), spec(seed=1)], dataset)
    (again,) = run_all([spec()], dataset)
    assert stripped(first) == stripped(again)
    assert first.loss != other.loss
    assert (first.status, first.N, first.D, first.steps) == ("done", 638, 512, 4)
    assert first.C == pytest.approx(6 * 638 * 512 * dataset.n_p)


def test_learning_rate_and_weight_decay_reach_the_optimizer(dataset, spec, tmp_path):
    """Without a learning rate nothing moves, weight decay included; with one, decay
    multiplies the parameters by 1 - 0.3 in each of four steps."""
    runs = [
        spec(learning_rate=rate, weight_decay=decay)
        for rate, decay in ((0.0, 0.0), (0.0, 100.0), (3e-3, 0.0), (3e-3, 100.0))
    ]
    records = run_all(runs, dataset, weights=tmp_path)
    begin, still, free, decayed = (
        load_weights(tmp_path / record.weights["final"]).arrays for record in records
    )
    name = "['embed']['kernel']"
    np.testing.assert_array_equal(begin[name], still[name])
    assert (begin[name] != free[name]).all()
    difference = decayed[name] - 0.7**4 * begin[name]
    # what remains are the steps of Adam, of about the learning rate each
    assert np.abs(difference).max() < 5 * 3e-3
    assert np.abs(begin[name]).max() > 0.1


def test_groups_in_threads_give_the_bits_of_single_groups(dataset, spec):
    runs = [spec(seed=seed) for seed in range(2)]
    alone = run_all(runs, dataset)
    with ThreadPoolExecutor(2) as pool:
        lists = pool.map(lambda run: run_all([run], dataset), runs)
        together = list(itertools.chain(*lists))
    assert list(map(stripped, alone)) == list(map(stripped, together))


def test_replicas_give_the_losses_of_single_runs(dataset, spec, four_replicas):
    """With several seeds, learning rates and lengths, and one run that diverges.

    The learning rates are low: high ones amplify rounding tenfold in a few steps.
    """
    rates = ((0, 1e-4), (1, 3e-4), (2, 1e-3))
    runs = [
        *(spec(seed=s, learning_rate=r) for s, r in rates),
        spec(seed=3, epochs=30, learning_rate=3e-4),
        spec(seed=4, learning_rate=1e30),
        spec(seed=5, weight_decay=0.3, epochs=20, learning_rate=3e-4),
    ]
    together = run_all(runs, dataset)
    for run, record in zip(runs, together, strict=True):
        (alone,) = run_all([run], dataset)
        assert (record.status, record.steps) == (alone.status, alone.steps)
        if alone.loss is not None:
            assert record.loss == pytest.approx(alone.loss, rel=2e-6)
    assert [r.status for r in together].count("diverged") == 1


def test_each_number_of_replicas_is_traced_once(
    dataset, spec, four_replicas, monkeypatch
):
    """Halving the replicas at the end makes the only new programs."""
    traced = []

    def counting(engine, gather):
        scan = make_scan(engine, gather)

        def counted(*operands):
            traced.append(jax.typeof(operands[2].rows).shape)
            return scan(*operands)

        return counted

    make_scan = mesh.make_scan
    replicas._programs.cache_clear()
    monkeypatch.setattr(mesh, "make_scan", counting)
    run_all([spec(seed=s, epochs=1 + 60 * (s == 0)) for s in range(9)], dataset)
    replicas._programs.cache_clear()
    assert len(traced) == 2  # of four replicas, and of the last one


def test_runs_of_one_trajectory_equal_separate_runs(dataset, spec):
    """To the bit, for four D of one seed."""
    runs = [spec(num_train=e) for e in (128, 256, 512, 768)]
    shared = run_all(runs, dataset)
    separate = run_all(runs, dataset, one_trajectory=False)
    for one, other in zip(shared, separate, strict=True):
        assert (one.loss, one.metrics, one.steps) == (
            other.loss,
            other.metrics,
            other.steps,
        )
    assert [r.trajectory for r in shared] == [runs[-1].id] * 3 + [""]
    assert not any(r.trajectory for r in separate)


def test_known_runs_give_no_record(dataset, spec):
    runs = [spec(num_train=e) for e in (128, 256, 512)]
    found = list(Trainer(runs, dataset, "test", known=[runs[1].id]))
    assert [record.D for record in found] == [128, 512]


def test_training_from_disk_gives_the_record_from_memory(store, dataset, spec):
    run = spec(num_train=384, epochs=2)
    (memory,) = run_all([run], dataset)
    (disk,) = run_all([run], dataset._replace(train=store))
    assert stripped(memory) == stripped(disk)


def test_a_stream_begins_at_any_batch(store, dataset, spec):
    run = spec(num_train=768, epochs=20, seed=3)
    packing = dataset.packing(run)
    here = batches_of(dataset, packing, run)
    there = batches_of(dataset._replace(train=store), packing, run)
    for start, stop in ((0, 50), (50, 120), (7, 30)):
        one, other = here.scan(start, stop), there.scan(start, stop)
        assert one.batches == other.batches > 0
        busy = one.steps.count > 0
        for row, far in zip(one.steps.rows[busy], other.steps.rows[busy], strict=True):
            np.testing.assert_array_equal(
                one.jets.targets[row], other.jets.targets[far]
            )


def test_each_jet_is_seen_once_per_epoch(dataset, spec):
    run = spec(epochs=20)
    batches = batches_of(dataset, dataset.packing(run), run)
    scans = batches.scan(0, 80), batches.scan(50, 80)
    rows = np.concatenate([s.steps.rows[s.steps.count > 0] for s in scans])
    seen, times = np.unique(rows[rows >= 0], return_counts=True)
    assert len(seen) == 512
    assert set(times) == {20}


def test_training_lowers_the_loss(dataset, spec):
    (record,) = run_all([spec(epochs=100, learning_rate=1e-2)], dataset)
    losses = [loss for _, loss in record.curve]
    assert losses[0] > 2.2
    assert losses[-1] < 2.0


def test_a_diverged_run_is_recorded_as_diverged(dataset, spec):
    diverged, other = run_all([spec(learning_rate=1e30), spec()], dataset)
    assert (diverged.status, diverged.loss) == ("diverged", None)
    assert "not finite" in diverged.message
    assert other.status == "done"


def test_early_stopping_keeps_the_best(dataset, spec):
    """With few jets and many epochs a run overfits, stops, and records the minimum."""
    run = spec(num_train=128, epochs=4000, patience=5, learning_rate=1e-2)
    (record,) = run_all([run], dataset)
    losses = dict(record.valid_curve)
    assert record.loss == pytest.approx(min(losses.values()), rel=1e-6)
    assert losses[record.steps] == min(losses.values())
    later = [step for step in losses if step > record.steps]
    assert len(later) == 5
    assert max(losses) < run.steps


def test_early_stopping_in_replicas_is_that_of_single_runs(
    dataset, spec, four_replicas
):
    """Equal first evaluations, before rounding is amplified; then each replica stops by
    its own validation curve."""
    fields = dict(num_train=128, epochs=600, patience=3, learning_rate=1e-2)
    runs = [spec(seed=seed, **fields) for seed in range(6)]
    for run, record in zip(runs, run_all(runs, dataset), strict=True):
        (alone,) = run_all([run], dataset)
        np.testing.assert_allclose(
            record.valid_curve[:3], alone.valid_curve[:3], rtol=1e-5
        )
        losses = [loss for _, loss in record.valid_curve]
        waited = len(losses) - 1 - int(np.argmin(losses))
        assert record.steps == record.valid_curve[int(np.argmin(losses))][0]
        assert waited == 3 or record.valid_curve[-1][0] == run.steps


def test_evaluation_takes_at_most_a_fifth_of_the_flops(dataset, spec):
    """The forward pass of a jet costs a third of its training step."""
    run = spec(num_train=512, epochs=100, patience=100, num_valid=VALID)
    (record,) = run_all([run], dataset)
    evaluated = len(record.valid_curve) * VALID / 3
    assert evaluated / (evaluated + run.steps * run.batch) < 0.2 + 1e-9


def test_replicas_are_not_halved_below_one_per_device():
    placement = object.__new__(Placement)
    placement._mesh = SimpleNamespace(shape={mesh.REPLICA: 4})  # type: ignore[assignment]
    placement.replicas = SimpleNamespace(count=4)  # type: ignore[assignment]
    assert not placement.shrink([0])
    placement.replicas.count = 12  # six replicas do not divide among four devices
    assert not placement.shrink([0])


def test_a_device_error_fails_one_run_and_not_the_others(dataset, spec, monkeypatch):
    calls = itertools.count()
    advance = replicas.Replicas.advance

    def sometimes(self, store, steps):
        if next(calls) == 0:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return advance(self, store, steps)

    monkeypatch.setattr(replicas.Replicas, "advance", sometimes)
    first, second = run_all([spec(), spec(seed=1)], dataset)
    assert (first.status, second.status) == ("failed", "done")
    assert "out of memory" in first.message


def test_validation_jets_are_balanced_and_disjoint_from_training(store, dataset):
    assert np.bincount(dataset.valid.labels).tolist() == [VALID // 10] * 10
    train = featurize(store.train(0, store.size), INPUTS["full-10"])
    seen = {part.tobytes() for part in np.split(train.x, train.counts.cumsum())}
    valid = jax.device_get(dataset.valid.jets)
    held_out = np.split(valid.x, valid.counts.cumsum())[:-1]
    assert not any(part.tobytes() in seen for part in held_out)


def test_steps_are_reported_after_each_scan(dataset, spec):
    reported = []
    run = spec(epochs=30)
    run_all([run], dataset, on_steps=lambda run, steps: reported.append(steps))
    assert reported == [50, 50, 20]
    assert sum(reported) == run.steps


def test_runs_of_two_compile_keys_are_refused(dataset, spec):
    with pytest.raises(ValueError, match=r"RunConfig\.compile_key"):
        Trainer([spec(), spec(model=Tagger(width=8))], dataset, "test")


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def uninterrupted(dataset, spec) -> tuple[list, list]:
    """Six runs of several lengths in four replicas, and their records."""
    runs = [spec(seed=s, epochs=10 + 25 * s) for s in range(6)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Placement, "_num_replicas", at_most_four)
        return runs, run_all(runs, dataset)


@pytest.mark.parametrize("after", [1, 2, 5])
def test_a_group_resumes_from_its_checkpoint(
    after, dataset, uninterrupted, four_replicas, monkeypatch, tmp_path
):
    """To the bit, after an interruption at any scan; runs in training are not
    restarted."""
    runs, whole = uninterrupted
    monkeypatch.setattr(trainer, "CHECKPOINT_INTERVAL", 0.0)
    reported = []

    def until(run, steps):
        reported.append(steps)
        if len(reported) > 4 * after:
            raise Killed

    found = []
    group = Trainer(runs, dataset, "test", folder=tmp_path / "saved", on_steps=until)
    with pytest.raises(Killed):
        found.extend(group)
    known = [record.id for record in found]
    rest = Trainer(runs, dataset, "test", folder=tmp_path / "saved", known=known)
    found += list(rest)
    assert rest.busy < sum(run.steps for run in runs)
    by_id = {record.id: record for record in found}
    assert [stripped(by_id[r.id]) for r in runs] == [stripped(r) for r in whole]
    assert not (tmp_path / "saved").exists()


def test_a_checkpoint_of_another_grid_is_not_used(dataset, spec, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_INTERVAL", 0.0)

    reported = []

    def stop(run, steps):
        reported.append(steps)
        if len(reported) == 3:
            raise Killed

    folder = tmp_path / "saved"
    with pytest.raises(Killed):
        list(Trainer([spec(epochs=100)], dataset, "test", folder=folder, on_steps=stop))
    assert any(folder.iterdir())
    (record,) = Trainer([spec(seed=7)], dataset, "test", folder=folder)
    (alone,) = run_all([spec(seed=7)], dataset)
    assert stripped(record) == stripped(alone)
