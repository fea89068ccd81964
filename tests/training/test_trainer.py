"""Runs to records: same numbers from memory, from disk, in any company, on any way."""

import dataclasses
import itertools
from concurrent.futures import ThreadPoolExecutor

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

VALID = 100


def stripped(record: Record) -> Record:
    return dataclasses.replace(record, seconds=0.0)


def run_all(runs, dataset, **options) -> list[Record]:
    """Records in the order of the runs."""
    found = {record.id: record for record in Trainer(runs, dataset, "test", **options)}
    return [found[run.id] for run in runs]


@pytest.fixture
def four_lanes(monkeypatch):
    """As on an accelerator: several lanes under vmap."""
    monkeypatch.setattr(
        Placement, "_num_replicas", lambda placement, trajectories: min(4, trajectories)
    )


def test_same_seed_same_numbers_and_another_seed_others(dataset, spec):
    first, other = run_all([spec(), spec(seed=1)], dataset)
    (again,) = run_all([spec()], dataset)
    assert stripped(first) == stripped(again)
    assert first.loss != other.loss
    assert (first.status, first.N, first.D, first.steps) == ("done", 638, 512, 4)
    assert first.C == pytest.approx(6 * 638 * 512 * dataset.n_p)


def test_company_changes_nothing(dataset, spec):
    """Groups side by side in threads give the bits that they give alone."""
    runs = [spec(seed=seed) for seed in range(2)]
    alone = run_all(runs, dataset)
    with ThreadPoolExecutor(2) as pool:
        lists = pool.map(lambda run: run_all([run], dataset), runs)
        together = list(itertools.chain(*lists))
    assert list(map(stripped, alone)) == list(map(stripped, together))


def test_lanes_give_what_runs_give_alone(dataset, spec, four_lanes):
    """Seeds, rates, lengths and a lane that diverges, in four lanes and one by one.

    The rates are low: a high one makes rounding grow tenfold every few steps.
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


def test_each_number_of_lanes_is_traced_once(dataset, spec, four_lanes, monkeypatch):
    """One program a shape: halving the lanes at the end makes the only new ones."""
    traced = []

    def counting(engine, take):
        chunk = make_scan(engine, take)

        def counted(*operands):
            traced.append(jax.typeof(operands[2].rows).shape)
            return chunk(*operands)

        return counted

    make_scan = mesh.make_scan
    replicas._programs.cache_clear()
    monkeypatch.setattr(mesh, "make_scan", counting)
    run_all([spec(seed=s, epochs=1 + 60 * (s == 0)) for s in range(9)], dataset)
    replicas._programs.cache_clear()
    assert len(traced) == 2  # of four lanes, and of one where one is left


def test_points_on_one_way_are_the_runs_alone(dataset, spec):
    """Four D of one seed: one trajectory, and each trained anew, to the bit."""
    runs = [spec(num_train=e) for e in (128, 256, 512, 768)]
    shared = run_all(runs, dataset)
    anew = run_all(runs, dataset, one_trajectory=False)
    for one, other in zip(shared, anew, strict=True):
        assert (one.loss, one.metrics, one.steps) == (
            other.loss,
            other.metrics,
            other.steps,
        )
    assert [r.trajectory for r in shared] == [runs[-1].id] * 3 + [""]
    assert not any(r.trajectory for r in anew)


def test_what_is_known_gives_no_record(dataset, spec):
    runs = [spec(num_train=e) for e in (128, 256, 512)]
    found = list(Trainer(runs, dataset, "test", known=[runs[1].id]))
    assert [record.D for record in found] == [128, 512]


def test_training_from_disk_gives_the_loss_from_memory(store, dataset, spec):
    run = spec(num_train=384, epochs=2)
    (here,) = run_all([run], dataset)
    (there,) = run_all([run], dataset._replace(train=store))
    assert stripped(here) == stripped(there)


def test_a_stream_begins_where_it_is_asked_to(store, dataset, spec):
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


def test_every_example_is_seen_once_an_epoch(dataset, spec):
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


def test_a_diverged_run_is_recorded_as_such(dataset, spec):
    wild, calm = run_all([spec(learning_rate=1e30), spec()], dataset)
    assert (wild.status, wild.loss) == ("diverged", None)
    assert "not finite" in wild.message
    assert calm.status == "done"


def test_early_stopping_keeps_the_best(dataset, spec):
    """Few jets, many passes: it overfits, stops, and reports the lowest loss."""
    run = spec(num_train=128, epochs=4000, patience=5, learning_rate=1e-2)
    (record,) = run_all([run], dataset)
    losses = dict(record.valid_curve)
    assert record.loss == pytest.approx(min(losses.values()), rel=1e-6)
    assert losses[record.steps] == min(losses.values())
    later = [step for step in losses if step > record.steps]
    assert len(later) == 5
    assert max(losses) < run.steps


def test_patience_in_lanes_is_patience_alone(dataset, spec, four_lanes):
    """The same evaluations to rounding, which later steps amplify; then each lane
    stops where its own curve says."""
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


def test_evaluation_takes_a_fifth_at_most(dataset, spec):
    """An evaluation is a third of a training step for each of its jets."""
    run = spec(num_train=512, epochs=100, patience=100, num_valid=VALID)
    (record,) = run_all([run], dataset)
    evaluated = len(record.valid_curve) * VALID / 3
    assert evaluated / (evaluated + run.steps * run.batch) < 0.2 + 1e-9


def test_a_device_out_of_memory_fails_the_run_and_not_the_others(
    dataset, spec, monkeypatch
):
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


def test_validation_jets_are_balanced_and_apart(store, dataset):
    assert np.bincount(dataset.valid.labels).tolist() == [VALID // 10] * 10
    train = featurize(store.train(0, store.size), INPUTS["full-10"])
    seen = {part.tobytes() for part in np.split(train.x, train.counts.cumsum())}
    valid = jax.device_get(dataset.valid.jets)
    held_out = np.split(valid.x, valid.counts.cumsum())[:-1]
    assert not any(part.tobytes() in seen for part in held_out)


def test_steps_are_reported_as_they_are_taken(dataset, spec):
    heard = []
    run = spec(epochs=30)
    run_all([run], dataset, on_steps=lambda run, steps: heard.append(steps))
    assert heard == [50, 50, 20]
    assert sum(heard) == run.steps


def test_runs_of_two_shapes_are_refused(dataset, spec):
    with pytest.raises(ValueError, match=r"RunConfig\.compile_key"):
        Trainer([spec(), spec(model=Tagger(width=8))], dataset, "test")


class Killed(Exception):
    pass


@pytest.mark.parametrize("after", [1, 2, 5])
def test_a_group_goes_on_from_its_checkpoint(
    after, dataset, spec, four_lanes, monkeypatch, tmp_path
):
    """Stopped after some chunks with a checkpoint of each: the same table, no run
    begun anew that was under way."""
    runs = [spec(seed=s, epochs=10 + 25 * s) for s in range(6)]
    whole = run_all(runs, dataset)
    monkeypatch.setattr(trainer, "SAVE_EVERY", 0.0)
    heard = []

    def until(run, steps):
        heard.append(steps)
        if len(heard) > 4 * after:
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


def test_a_checkpoint_of_another_grid_is_not_taken(
    dataset, spec, tmp_path, monkeypatch
):
    monkeypatch.setattr(trainer, "SAVE_EVERY", 0.0)

    heard = []

    def stop(run, steps):
        heard.append(steps)
        if len(heard) == 3:
            raise Killed

    folder = tmp_path / "saved"
    with pytest.raises(Killed):
        list(Trainer([spec(epochs=100)], dataset, "test", folder=folder, on_steps=stop))
    assert any(folder.iterdir())
    (record,) = Trainer([spec(seed=7)], dataset, "test", folder=folder)
    (alone,) = run_all([spec(seed=7)], dataset)
    assert stripped(record) == stripped(alone)
