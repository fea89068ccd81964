"""Weights of runs: exact, refused if damaged, and the start of further runs."""

import dataclasses
import sys
from types import ModuleType
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx, serialization

from jetlab.data.features import Inputs
from jetlab.models.tagger import Tagger
from jetlab.runs.ledger import Ledger
from jetlab.runs.retention import Keep
from jetlab.runs.runner import run_study
from jetlab.runs.study import Study
from jetlab.training.run_config import RunConfig
from jetlab.training.weights import load_weights, params_of, save_weights

CLASSES = ("QCD", "Hbb")


def params(model: Tagger, seed: int = 0):
    return nnx.as_pure(nnx.state(model.build(nnx.Rngs(seed)), nnx.Param))


@pytest.fixture
def run(spec) -> RunConfig:
    """A run with every kind of field: another run, own inputs, an arm."""
    own = Inputs(particles=7, features=("part_deta", "part_pt_log"), label="mine")
    return spec(inputs=own, init_from=spec(seed=3), arm="tuned", patience=2)


def test_weights_are_loaded_bit_for_bit(run, tmp_path):
    written = params(run.model)
    name = save_weights(tmp_path / "new", run, CLASSES, written)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]
    found = load_weights(tmp_path / "new" / name)
    assert (found.run, found.classes) == (run, CLASSES)
    assert (found.run.id, found.run.arm) == (run.id, "tuned")
    assert found.run.input_config.label == "mine"
    restored = params_of(found, run.model)
    assert jax.tree.structure(restored) == jax.tree.structure(written)
    jax.tree.map(np.testing.assert_array_equal, restored, written)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(restored)} == {"float32"}


def test_the_name_is_a_function_of_the_content(run, tmp_path):
    one = save_weights(tmp_path, run, CLASSES, params(run.model))
    stamp = (tmp_path / one).stat().st_mtime_ns
    assert save_weights(tmp_path, run, CLASSES, params(run.model)) == one
    assert (tmp_path / one).stat().st_mtime_ns == stamp
    other = dataclasses.replace(run, seed=9)
    names = {
        one,
        save_weights(tmp_path, run, CLASSES, params(run.model, seed=1)),
        save_weights(tmp_path, other, CLASSES, params(run.model)),
        save_weights(tmp_path, run, CLASSES[:1], params(run.model)),
    }
    assert len(names) == 4
    assert {path.name for path in tmp_path.iterdir()} == names


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no weights .*nowhere"):
        load_weights(tmp_path / "nowhere.msgpack")


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-1], lambda c: c[:99] + b"?" + c[100:]]
)
def test_a_damaged_file_is_refused(run, tmp_path, damage):
    path = tmp_path / save_weights(tmp_path, run, CLASSES, params(run.model))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="is damaged"):
        load_weights(path)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Tagger(width=8, layers=2), r"\(4,\), where \(8,\) is needed"),
        (Tagger(width=4, layers=1), r"where None is needed"),
        (Tagger(width=4, layers=3), r"has shape None, where"),
    ],
)
def test_another_model_is_refused(run, tmp_path, model, message):
    path = tmp_path / save_weights(tmp_path, run, CLASSES, params(run.model))
    with pytest.raises(ValueError, match=f"run {run.id} do not fit .*{message}"):
        params_of(load_weights(path), model)


@dataclasses.dataclass(frozen=True)
class Own(Tagger):
    """A model of the user's own."""


def test_a_class_that_is_not_imported_is_refused(spec, tmp_path, monkeypatch):
    module = ModuleType("users_own_module")
    setattr(module, "Own", Own)  # noqa: B010
    monkeypatch.setattr(Own, "__module__", "users_own_module")
    run = spec(model=Own(width=4, layers=2))
    path = tmp_path / save_weights(tmp_path, run, CLASSES, params(run.model))
    message = "holds a users_own_module:Own: import its module first"
    with pytest.raises(ValueError, match=message):
        load_weights(path)
    monkeypatch.setitem(sys.modules, "users_own_module", module)
    assert load_weights(path).run == run


@pytest.mark.parametrize("name", ["jetlab.records:identity", "jetlab.types:Nothing"])
def test_only_dataclasses_are_made(run, tmp_path, name):
    """A file cannot call any other code of jetlab."""
    path = tmp_path / save_weights(tmp_path, run, CLASSES, params(run.model))
    content: Any = serialization.msgpack_restore(path.read_bytes())
    content["run"] = content["run"].replace("jetlab.models.tagger:Tagger", name)
    changed = tmp_path / "changed"
    changed.write_bytes(serialization.msgpack_serialize(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jetlab.training.weights._digest", lambda content: "changed")
        with pytest.raises(ValueError, match=f"holds a {name}"):
            load_weights(changed)


def train(folder, source, *runs, keep: Keep = "best") -> dict:
    """Records of a study by id."""
    ledger = Ledger(folder)
    with ledger.lock():
        run_study(Study(name="test", runs=runs, keep=keep), source, ledger)
    return ledger.records()


@pytest.mark.parametrize("patience", [0, 2])
def test_a_run_begins_with_the_weights_of_its_parent(store, spec, tmp_path, patience):
    """Without a learning rate its loss is the parent's final, or best, to the bit."""
    parent = spec(epochs=40 if patience else 1, patience=patience, learning_rate=0.03)
    still = dict(init_from=parent, learning_rate=0.0, weight_decay=0.0, seed=5)
    child, alone = spec(**still), spec(**(still | {"init_from": None}))
    further = spec(init_from=child, seed=6)
    # children may be listed before their parents
    found = train(tmp_path, store, further, child, alone, parent)
    assert found[child.id].loss == found[parent.id].loss
    assert found[child.id].metrics == found[parent.id].metrics
    assert found[alone.id].loss != found[parent.id].loss
    assert found[further.id].status == "done"
    assert len({run.id for run in (parent, child, alone, further)}) == 4
    if patience:
        losses = [loss for _, loss in found[parent.id].valid_curve]
        assert found[parent.id].loss == pytest.approx(min(losses), rel=1e-6)
        assert losses[-1] > min(losses)


def test_the_first_training_loss_is_the_parents(store, dataset, spec, tmp_path):
    """Steps begin with the weights, not with those of the child's own seed."""
    parent = spec(epochs=40, learning_rate=0.01)
    child = spec(init_from=parent, num_train=128, learning_rate=1e-4)
    fresh = spec(num_train=128, learning_rate=1e-4)
    found = train(tmp_path, store, parent, child, fresh)
    first = {run.id: found[run.id].curve[0][1] for run in (parent, child, fresh)}
    assert first[child.id] < 0.95 * first[fresh.id]


@pytest.mark.parametrize("diverges", [False, True])
def test_a_missing_parent_is_one_clear_error(store, spec, tmp_path, diverges):
    parent = spec(learning_rate=1e30 if diverges else 1e-3)
    child = spec(init_from=parent, seed=1)
    runs = (parent, child) if diverges else (child,)
    message = f"run {child.id} begins with the weights of run {parent.id}, which"
    with pytest.raises(ValueError, match=message):
        train(tmp_path, store, *runs)


def test_parents_keep_their_weights_in_a_study_that_keeps_none(store, spec, tmp_path):
    parent = spec(num_train=128)
    child = spec(num_train=128, init_from=parent)
    found = train(tmp_path, store, parent, child, keep="none")
    files = {path.name for path in (tmp_path / "weights").iterdir()}
    assert files == set(found[parent.id].weights.values())
    assert set(found[parent.id].weights) == {"final"}
