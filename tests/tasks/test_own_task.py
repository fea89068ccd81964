"""A task and a model of the user's own on the whole engine: regression of the mass.

The classes between the imports and the fixtures are all that a user writes.
"""

import dataclasses
import inspect
import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jetlab.data.features import Inputs
from jetlab.data.shower.source import Shower
from jetlab.data.store import Store
from jetlab.data.store_writer import write
from jetlab.models.tagger import Tagger
from jetlab.models.token_layout import flat_layout
from jetlab.runs.experiment import Experiment
from jetlab.runs.ledger import Ledger
from jetlab.runs.study_report import make_report
from jetlab.training import trainer
from jetlab.training.dataset import open_dataset
from jetlab.training.placement import Placement
from jetlab.training.run_config import RunConfig
from jetlab.training.step import make_engine
from jetlab.training.trainer import Trainer
from jetlab.training.weights import load_weights, params_of
from jetlab.types import MEASURED, Task


class DeepSets(nnx.Module):
    """An MLP of each particle, the mean over each jet, and an MLP of the mean."""

    def __init__(self, width, features, rngs):
        sizes = (features, width, width, width, 1)
        pairs = itertools.pairwise(sizes)
        self.layers = nnx.List(nnx.Linear(a, b, rngs=rngs) for a, b in pairs)

    def __call__(self, batch):
        first, second, third, last = self.layers
        x = batch.x.astype(first.kernel.dtype)
        jets, h = len(batch.counts), nnx.gelu(second(nnx.gelu(first(x))))
        total = jax.ops.segment_sum(h, batch.segment_ids, jets)
        mean = total / jnp.maximum(batch.counts, 1)[:, None]
        return last(nnx.gelu(third(mean)))


@dataclass(frozen=True)
class DeepSetsConfig:
    width: int
    features: int

    def build(self, rngs):
        return DeepSets(self.width, self.features, rngs)


@dataclass(frozen=True)
class LogMass:
    """Mean squared error of ln(m / 100 GeV); outputs and targets have one column."""

    name = "mass"

    def model(self, width, inputs, source):
        return DeepSetsConfig(width, len(inputs.features))

    def targets(self, jets):
        """m of the sum of the massless particles; the frame is that of the jet axis."""
        measured = jets.measured.astype(float).T
        pt, deta, dphi = (measured[MEASURED.index(n)] for n in ("pt", "deta", "dphi"))
        momenta = pt * [np.cosh(deta), np.sinh(deta), np.cos(dphi), np.sin(dphi)]
        first = np.cumsum(jets.counts) - jets.counts
        energy, *p = np.add.reduceat(momenta, first, axis=1)
        squared = energy**2 - np.square(p).sum(0)
        return np.log(np.sqrt(np.maximum(squared, 1.0)) / 100).astype(np.float32)[
            :, None
        ]

    def loss(self, model, batch, rngs=None):
        outputs = self.outputs(model, batch, rngs)
        return jnp.sum(batch.weight * self.losses(outputs, batch.targets))

    def predict(self, model, batch):
        return self.outputs(model, batch, None)

    def outputs(self, model, batch, rngs):
        if isinstance(model, DeepSets):
            return model(batch).astype(jnp.float32)
        logits = model.call_flat(batch.x, flat_layout(batch), rngs=rngs)
        return logits.astype(jnp.float32)

    def losses(self, outputs, targets):
        return jnp.square(outputs - targets)[:, 0]

    def metrics(self, outputs, targets, classes):
        error = (outputs - targets)[:, 0]
        return {"bias": error.mean(), "resolution": error.std(), "jets": len(error)}

    def chance_loss(self, targets, classes):
        return float(np.var(targets))

    def floor(self, source, inputs):
        return None


KINEMATICS = ("part_deta", "part_dphi", "part_pt_log")
INPUTS = Inputs(particles=20, features=KINEMATICS, label="kinematics-20")
MODELS = {
    "own": DeepSetsConfig(16, len(KINEMATICS)),
    "tagger": Tagger(width=8, features=len(KINEMATICS), classes=1, layers=1),
}
models = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    path = tmp_path_factory.mktemp("mass") / "store"
    write([Shower().train(0, 2000)], path, expected=2000, origin={})
    return Store(path)


def spec(**fields) -> RunConfig:
    defaults = dict(
        source="test",
        task=LogMass(),
        inputs=INPUTS,
        model=MODELS["own"],
        pool=1536,
        num_train=1536,
        num_valid=300,
        learning_rate=3e-3,
    )
    return RunConfig(**{**defaults, **fields})


@pytest.fixture(scope="module")
def dataset(store):
    return open_dataset(store, spec())


def run_all(runs, dataset, **options):
    """Records in the order of the runs, without the time that they took."""
    found = {r.id: r for r in Trainer(runs, dataset, "test", **options)}
    return [dataclasses.replace(found[run.id], seconds=0.0) for run in runs]


def test_it_is_a_task_and_the_mass_is_that_of_four_momenta(store):
    assert isinstance(LogMass(), Task)
    jets = store.train(0, 20)
    found = 100 * np.exp(LogMass().targets(jets)[:, 0])
    for mass, particles in zip(
        found, np.split(jets.measured.astype(float), jets.counts.cumsum()), strict=False
    ):
        pt, _, deta, dphi = particles.T[:4]
        pairs = np.cosh(deta[:, None] - deta) - np.cos(dphi[:, None] - dphi)
        assert mass == pytest.approx(
            np.sqrt((np.outer(pt, pt) * pairs).sum()), rel=1e-3
        )
    assert 20 < found.min() < 150 < found.max() < 400


@models
def test_it_trains_and_records_its_own_metrics(store, dataset, tmp_path, model):
    run = spec(model=model, epochs=12, learning_rate=1e-2)
    (record,) = run_all([run], dataset, weights=tmp_path)
    targets = dataset.valid.targets
    assert record.status == "done"
    assert (record.task, record.inputs) == ("mass", "kinematics-20")
    assert record.chance_loss == pytest.approx(np.var(targets))
    assert record.loss is not None
    assert record.loss < 0.5 * record.chance_loss
    assert record.curve[-1][1] < 0.6 * record.curve[0][1]
    assert set(record.metrics) == {"bias", "resolution", "jets"}
    bias, resolution = record.metrics["bias"], record.metrics["resolution"]
    assert record.loss == pytest.approx(bias**2 + resolution**2, rel=1e-5)
    assert type(record).from_json(record.to_json()) == record


@models
def test_its_weights_give_the_recorded_loss(store, dataset, tmp_path, model):
    (record,) = run_all([spec(model=model)], dataset, weights=tmp_path)
    weights = load_weights(tmp_path / record.weights["final"])
    assert weights.run == spec(model=model)
    engine = make_engine(model, LogMass().loss)
    module = engine.module(params_of(weights, model))
    one = Placement(spec(model=model), dataset)
    found = one.evaluate(params_of(weights, model))
    assert float(np.mean(found.loss)) == pytest.approx(record.loss, rel=1e-6)
    assert found.outputs.shape == (300, 1)
    assert type(module) is type(model.build(nnx.Rngs(0)))


def test_points_of_a_trajectory_are_separate_runs(dataset):
    runs = [spec(num_train=size) for size in (256, 512, 1536)]
    shared = run_all(runs, dataset)
    separate = run_all(runs, dataset, one_trajectory=False)
    for one, other in zip(shared, separate, strict=True):
        assert (one.loss, one.metrics) == (other.loss, other.metrics)
    assert [r.trajectory for r in shared] == [runs[-1].id] * 2 + [""]


def test_targets_from_disk_are_those_from_memory(store, dataset):
    """A stream has the particles that the inputs show, and so has memory."""
    run = spec(epochs=2)
    assert run_all([run], dataset._replace(train=store)) == run_all([run], dataset)


@models
def test_replicas_give_the_losses_of_single_runs(dataset, monkeypatch, model):
    fields = dict(num_train=256, learning_rate=1e-4, model=model)  # low: see trainer
    runs = [spec(seed=seed, epochs=1 + seed, **fields) for seed in range(5)]
    alone = [run_all([run], dataset)[0] for run in runs]
    monkeypatch.setattr(Placement, "_num_replicas", lambda placement, count: 4)
    for one, other in zip(run_all(runs, dataset), alone, strict=True):
        assert (one.status, one.steps) == ("done", other.steps)
        assert one.loss == pytest.approx(other.loss, rel=2e-6)


class Killed(Exception):
    pass


def test_it_resumes_to_the_bit(dataset, monkeypatch, tmp_path):
    """Two runs of early stopping, interrupted in the second."""
    runs = [spec(seed=s, num_train=128, epochs=24, patience=4) for s in range(2)]
    whole = run_all(runs, dataset)
    monkeypatch.setattr(trainer, "CHECKPOINT_INTERVAL", 0.0)
    scans = []

    def interrupt(run, steps):
        scans.append(run.seed)
        if scans.count(1) == 3:
            raise Killed

    folder = tmp_path / "saved"
    with pytest.raises(Killed):
        list(Trainer(runs, dataset, "test", folder=folder, on_steps=interrupt))
    assert any(folder.iterdir())
    rest = Trainer(runs, dataset, "test", folder=folder, known=[whole[0].id])
    (record,) = rest
    assert dataclasses.replace(record, seconds=0.0) == whole[1]
    assert rest.busy < len(whole[1].curve) * 4


def test_runs_of_two_tasks_are_refused(dataset):
    @dataclass(frozen=True)
    class Other(LogMass):
        name = "other"

    with pytest.raises(ValueError, match="compile_key"):
        Trainer([spec(), spec(task=Other())], dataset, "test")
    assert spec().group != spec(task=Other()).group


EXPERIMENT = '''"""Resolution of the jet's mass by the number of jets.

    jetlab run experiments/mass.py --size smoke
"""

import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jetlab.data.features import Inputs
from jetlab.models.token_layout import flat_layout
from jetlab.records import Table
from jetlab.runs.grid import grid
from jetlab.runs.report import Findings, TextTable
from jetlab.runs.study import Study
from jetlab.types import MEASURED

{classes}

KINEMATICS = {features}
INPUTS = Inputs(particles=20, features=KINEMATICS, label="kinematics-20")
SIZES = {{"smoke": (256, 1024)}}


def study(size, source):
    axes = dict(inputs=INPUTS, width=16, num_valid=300, pool=1024, task=LogMass())
    runs = grid(source, num_train=SIZES[size], seed=(0, 1), **axes)
    tuned = grid(source, num_train=1024, arm="tuned", init_from=runs[1], **axes)
    return Study(name="mass", runs=(*runs, *tuned), analyse=analyse)


def analyse(records):
    table = Table.of_records(records)
    best = table.best("D")
    rows = [(str(d), f"{{r:.4f}}") for d, r in zip(best["D"], best["resolution"])]
    return Findings(
        sentences=[f"The resolution of ln m is {{min(table['resolution']):.4f}}."],
        tables={{"Resolution": TextTable(("D", "resolution"), rows)}},
    )
'''


def test_an_experiment_with_its_own_task_is_trained_and_reported(store, tmp_path):
    """All in the user's file: the task, the model, the grid and the analysis."""
    classes = "\n\n".join(map(inspect.getsource, (DeepSets, DeepSetsConfig, LogMass)))
    file = tmp_path / "mass.py"
    file.write_text(EXPERIMENT.format(classes=classes, features=KINEMATICS))
    out = tmp_path / "out"
    experiment = Experiment(file=file, size="smoke", source=str(store.path), out=out)
    records = experiment.run()
    assert [r.status for r in records] == ["done"] * 5
    assert [(r.task, r.D, r.arm) for r in records[1:]] == [
        ("mass", 256, ""),
        ("mass", 1024, ""),
        ("mass", 1024, ""),
        ("mass", 1024, "tuned"),
    ]
    kept = {name for r in records for name in r.weights.values()}
    files = {path.name for path in Ledger(out).weights.iterdir()}
    assert files
    assert files < kept
    page, findings = make_report(out)
    best = min(r.metrics["resolution"] for r in records)
    assert findings.sentences == [f"The resolution of ln m is {best:.4f}."]
    assert findings.sentences[0] in page.read_text()
    assert experiment.run() == records  # nothing is trained twice
