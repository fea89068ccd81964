"""Sources by name: the shipped teacher, own teachers, and names that mean nothing."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from jetlab.data.features import INPUTS
from jetlab.data.shower.source import Shower
from jetlab.data.store import Store
from jetlab.data.store_writer import write
from jetlab.data.taught import Taught
from jetlab.records import Record
from jetlab.runs.api import train
from jetlab.runs.grid import grid
from jetlab.runs.ledger import Ledger
from jetlab.runs.sources import SCALE, absolute_name, open_source
from jetlab.tasks.tagging import Tagging
from jetlab.training.dataset import open_dataset
from jetlab.training.evaluate import Predictions, metrics_of


@pytest.fixture(scope="module")
def taught() -> Taught:
    found = open_source("taught")
    assert isinstance(found, Taught)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study of two runs, and a store."""
    out = tmp_path_factory.mktemp("teachers")
    runs = grid(
        Shower(), inputs="full-10", width=4, num_train=(256, 512), num_valid=200
    )
    train(runs, out / "runs", keep="all")
    write([Shower(seed=3).train(0, 1000)], out / "jets", expected=1000, origin={})
    return out


def test_the_shipped_teacher_relabels_the_shower(taught):
    assert taught.scale == SCALE
    assert taught.identity == f"taught-{taught.teacher.digest}*4@shower-v1:seed=0"
    assert taught.teacher.inputs == INPUTS["full-10"]
    jets = taught.train(0, 4000)
    shares = np.bincount(jets.label, minlength=10) / 4000
    assert shares.min() > 0.02
    assert (jets.label != Shower().train(0, 4000).label).mean() > 0.3


def test_a_jet_has_its_label_however_it_is_read(taught):
    whole = taught.train(0, 9000).label
    for start, stop in ((0, 10), (3990, 4010), (8000, 9000)):
        np.testing.assert_array_equal(
            taught.train(start, stop).label, whole[start:stop]
        )


def test_the_loss_of_the_teacher_is_the_floor(taught):
    """The scaled teacher's loss on drawn labels meets the mean entropy, to three
    errors; its excess is none."""
    task, count = Tagging(), 5000
    posterior = taught.posterior(count, INPUTS["full-10"])
    logits = taught.scale * taught.teacher(taught.valid(count))
    excess, entropy = task.excess_losses(logits, posterior.probability)
    assert np.abs(excess).max() < 1e-6
    labels = taught.valid(count).label
    surprise = -np.log(posterior.probability[np.arange(count), labels])
    miss = surprise - entropy
    assert abs(miss.mean()) < 3 * miss.std() / np.sqrt(count)


def test_training_sees_the_posterior_of_the_validation_jets(taught):
    (run,) = grid(taught, inputs="full-10", width=4, num_train=256, num_valid=200)
    valid = open_dataset(taught, run).valid
    assert valid.posterior is not None
    assert valid.posterior.exact
    assert valid.posterior.probability.shape == (200, 10)
    np.testing.assert_array_equal(valid.labels, taught.valid(200).label)


def test_metrics_are_those_of_the_teacher_for_the_teacher(taught, folder):
    """And the record of a run keeps both, its own and the ideal ones."""
    (run,) = grid(taught, inputs="full-10", width=4, num_train=256, num_valid=200)
    valid = open_dataset(taught, run).valid
    logits = taught.scale * taught.teacher(taught.valid(200))
    none = Predictions(jnp.zeros(200), jnp.asarray(logits))
    found = metrics_of(run.task, none, valid, taught.classes)
    ideal = found.pop("ideal")
    assert found["auc"] == pytest.approx(ideal["auc"])
    for own, best in zip(found["rejections"], ideal["rejections"], strict=True):
        assert own.value == pytest.approx(best.value)
    record = next(iter(Ledger(folder / "runs").records().values()))
    kept = replace(record, metrics={**found, "ideal": ideal})
    assert Record.from_json(kept.to_json()).ideal_rejections == ideal["rejections"]


def test_inputs_that_the_teacher_does_not_read_have_no_ideal(taught):
    (run,) = grid(taught, inputs="kinematics-40", width=4, num_train=256, num_valid=200)
    valid = open_dataset(taught, run).valid
    none = Predictions(jnp.zeros(200), jnp.zeros((200, 10)))
    assert "ideal" not in metrics_of(run.task, none, valid, taught.classes)


@pytest.mark.parametrize("kind", ["folder", "run", "file", "scaled"])
def test_own_teachers(folder, kind):
    records = sorted(
        Ledger(folder / "runs").records().values(), key=lambda r: r.loss or 0.0
    )
    best = records[0]
    model = {
        "folder": f"{folder}/runs",
        "run": f"{folder}/runs/{records[1].id}",
        "file": f"{folder}/runs/weights/{best.weights['averaged']}",
        "scaled": f"{folder}/runs*2.5",
    }[kind]
    found = open_source(f"taught:{model}@{folder}/jets")
    assert isinstance(found, Taught)
    assert isinstance(found.source, Store)
    expected = records[1] if kind == "run" else best
    assert found.teacher.digest == expected.weights["averaged"][:12]
    assert found.scale == (2.5 if kind == "scaled" else 1)
    assert len(found.train(0, 100).label) == 100


def test_absolute_names_of_teachers(folder, monkeypatch):
    monkeypatch.chdir(folder)
    name = absolute_name("taught:runs*2@jets")
    assert name == f"taught:{folder}/runs*2@{folder}/jets"
    assert open_source(name).identity == open_source("taught:runs*2@jets").identity
    assert absolute_name("taught") == "taught"
    assert absolute_name("taught:runs@shower").endswith("runs*1@shower")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("taught:", "write taught:MODEL@SOURCE"),
        ("taught:runs", "write taught:MODEL@SOURCE"),
        ("taught:runs*x@shower", "write taught:MODEL@SOURCE"),
        ("taught:runs*-1@shower", "write taught:MODEL@SOURCE"),
        ("taught:absent@shower", "there is no teacher absent"),
        ("taught:a.msgpack@shower", "there are no weights a.msgpack"),
    ],
)
def test_names_that_mean_nothing(name, problem):
    with pytest.raises(ValueError, match=problem):
        open_source(name)


def test_a_relabelled_source_may_be_relabelled(taught):
    again = Taught(source=taught, teacher=taught.teacher)
    assert again.identity.endswith(taught.identity)
    assert (again.train(0, 500).label != taught.train(0, 500).label).any()
