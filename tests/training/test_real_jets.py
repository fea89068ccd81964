"""A tagger that is trained on the shower alone, on 500 jets of JetClass.

Nothing is tuned on these: width 16, one epoch of 131,072 jets, the learning rate of
`scaling`. The preprocessing of the real jets uses no label and was fixed before the
first evaluation:

- All pT are multiplied by 600 GeV / (pT of the jet), the pT of all jets of the shower.
- The (deta, dphi) plane is rotated so that the hardest subjet is at +deta, and
  reflected so that the next one has dphi >= 0. The decays of the shower are oriented
  like this (docs/shower.md), by their products, in place of which subjets are used
  (anti-kT, arXiv:0802.1189). Their radius, 0.2, is below the angle between the products
  of a W: 2 m / pT = 0.27.
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest

from jetlab.data.features import INPUTS, featurize
from jetlab.data.ragged import to_float16
from jetlab.data.shower.decays import JET_PT
from jetlab.data.shower.source import Shower
from jetlab.models import cpu_attention, scaling
from jetlab.physics import metrics
from jetlab.tasks.tagging import Tagging
from jetlab.training.batching import gather_batch, with_offsets
from jetlab.training.dataset import batches_of, open_dataset
from jetlab.training.evaluate import make_evaluate, validation_set
from jetlab.training.optimizer import Hyperparams
from jetlab.training.run_config import RunConfig
from jetlab.training.scan import compiler_options, make_scan
from jetlab.training.step import make_engine
from jetlab.types import MEASURED, Jets

REAL = Path(__file__).parents[2] / "../shared/data/jets"
TASK = Tagging()
INPUT, WIDTH, EXAMPLES, BATCH = "kinematics-40", 16, 131_072, 128
RADIUS = 0.2
CHANCE = 0.1


class Real(NamedTuple):
    """Real jets; padding is zero."""

    pt: np.ndarray  # (jets, particles), GeV
    places: np.ndarray  # (jets, particles, 2): deta, dphi
    jet_pt: np.ndarray
    label: np.ndarray


def load(folder: Path) -> Real:
    vectors, points, mask, labels = (
        np.load(folder / f"SMALL{name}.npy")
        for name in ("pfVectors", "pfPoints", "pfMask", "labels")
    )
    there = mask[:, 0] > 0
    momentum = vectors[:, :2] * mask
    return Real(
        pt=np.where(there, np.hypot(momentum[:, 0], momentum[:, 1]), 0.0),
        places=np.where(there[..., None], points.transpose(0, 2, 1), 0.0),
        jet_pt=np.hypot(*momentum.sum(axis=2).T),
        label=labels.argmax(axis=1),
    )


def stored(jets: Real) -> Jets:
    """Jets with the columns of kinematics; others are zero (energies 1)."""
    there = jets.pt > 0
    measured = np.zeros((there.sum(), len(MEASURED)))
    measured[:, MEASURED.index("pt")] = jets.pt[there]
    measured[:, MEASURED.index("energy")] = 1.0
    measured[:, MEASURED.index("deta")] = jets.places[there, 0]
    measured[:, MEASURED.index("dphi")] = jets.places[there, 1]
    none = np.zeros(len(measured), np.int8)
    zero = np.zeros_like(jets.jet_pt)
    jet = np.stack([jets.jet_pt, zero, zero, jets.jet_pt], axis=1)
    return Jets(
        label=jets.label.astype(np.int16),
        counts=there.sum(axis=1, dtype=np.int32),
        jet=jet.astype(np.float32),
        measured=to_float16(measured),
        charge=none,
        species=none,
    )


def scaled(jets: Real) -> Real:
    factor = JET_PT / jets.jet_pt
    return jets._replace(pt=jets.pt * factor[:, None], jet_pt=jets.jet_pt * factor)


def oriented(jets: Real) -> Real:
    frames = np.stack(
        [frame(pt, places) for pt, places in zip(jets.pt, jets.places, strict=True)]
    )
    return jets._replace(places=np.einsum("bij,bpj->bpi", frames, jets.places))


def frame(pt: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The rotation or rotoreflection to the orientation of the shower."""
    hardest, *others = subjets(pt[pt > 0], places[pt > 0])
    along = hardest / np.hypot(*hardest)
    across = np.array([-along[1], along[0]])
    if others and across @ others[0] < 0:
        across = -across
    return np.stack([along, across])


def subjets(pt: np.ndarray, places: np.ndarray) -> list[np.ndarray]:
    """Axes of anti-kT subjets, the hardest first; pT and places add up by pT."""
    pt, places, found = pt.astype(float), places.astype(float), []
    while pt.size:
        apart = ((places[:, None] - places) ** 2).sum(axis=-1) / RADIUS**2
        np.fill_diagonal(apart, 1.0)  # to the beam
        distance = apart / np.maximum(pt[:, None], pt) ** 2
        i, j = np.unravel_index(distance.argmin(), distance.shape)
        if i == j:
            found.append((pt[i], places[i]))
        else:
            places[i] = (pt[i] * places[i] + pt[j] * places[j]) / (pt[i] + pt[j])
            pt[i] += pt[j]
        pt, places = np.delete(pt, j), np.delete(places, j, axis=0)
    return [axis for _, axis in sorted(found, key=lambda subjet: -subjet[0])]


def spec(seed: int) -> RunConfig:
    model = scaling.tagger(WIDTH, features=len(INPUTS[INPUT].features))
    return RunConfig(
        source="shower",
        task=TASK,
        inputs=INPUT,
        model=model,
        pool=EXAMPLES,
        num_train=EXAMPLES,
        num_valid=100,
        batch=BATCH,
        seed=seed,
    )


def train(dataset, engine, seed: int):
    """Parameters after one epoch."""
    run = spec(seed)
    packing = dataset.packing(run)
    batches = batches_of(dataset, packing, run)
    advance = jax.jit(
        make_scan(engine, partial(gather_batch, packing)),
        donate_argnums=0,
        compiler_options=compiler_options(),
    )
    rates = Hyperparams(scaling.learning_rate(WIDTH))
    state, done = jax.jit(engine.init)(jax.random.key(seed), rates), 0
    while done < EXAMPLES // BATCH:
        scan = batches.scan(done, EXAMPLES // BATCH)
        state, _ = advance(state, scan.jets, scan.steps)
        done += scan.batches
    return state.params


def logits_of(engine, params, jets: Real) -> np.ndarray:
    features = featurize(stored(jets), INPUTS[INPUT])
    grouped = not cpu_attention.available()
    valid = validation_set(with_offsets(*features), features.y, grouped=grouped)
    return np.asarray(make_evaluate(TASK, engine, valid)(params).outputs)


def test_an_oriented_jet_has_the_orientation_of_the_shower():
    """Three products with soft particles around each, at a random angle."""
    rng = np.random.default_rng(0)
    axes = np.array([[0.3, 0.0], [-0.25, 0.2], [-0.3, -0.35]])
    near = 0.01 * rng.normal(size=(3, 8, 2)) + axes[:, None]
    pt = np.repeat([40.0, 30.0, 15.0], 8) * rng.uniform(0.9, 1.1, 24)
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [np.sin(angle), -np.cos(angle)]])
    places = near.reshape(-1, 2) @ turn
    jets = Real(pt[None], places[None], pt.sum()[None], np.zeros(1, int))
    np.testing.assert_allclose(oriented(jets).places[0], near.reshape(-1, 2), atol=0.03)


@pytest.mark.slow
def test_accuracy_on_real_jets_is_above_chance():
    """By at least three binomial errors for each seed."""
    if not (REAL / "SMALLpfVectors.npy").exists():
        pytest.skip("no sample of JetClass")
    real = oriented(scaled(load(REAL)))
    dataset = open_dataset(Shower(), spec(0))
    engine = make_engine(spec(0).model, TASK.loss)
    error = np.sqrt(CHANCE * (1 - CHANCE) / len(real.label))
    for seed in range(3):
        logits = logits_of(engine, train(dataset, engine, seed), real)
        assert metrics.accuracy(logits, real.label) > CHANCE + 3 * error
