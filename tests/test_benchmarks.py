"""The opponents of the benchmarks train the very model that jetlab trains."""

import sys
import time
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from benchmarks import against_torch, baselines
from benchmarks.baselines import PaddedJets
from benchmarks.timing import race
from jetlab.models import scaling
from jetlab.training.optimizer import Hyperparams
from jetlab.training.step import make_engine

WIDTH = 128  # two heads
ATOL = 1e-5
# Adam divides a gradient by its own size, so rounding of the smallest ones counts
SHARE = 1e-4


class Ours(NamedTuple):
    """Our tagger without dropout: some weights, and its logits with them and after
    three steps of training."""

    params: Any
    before: np.ndarray
    after: np.ndarray

    @property
    def moved(self) -> float:
        """How far training took a logit, at most."""
        return np.abs(self.after - self.before).max()


@pytest.fixture(scope="module")
def jets() -> PaddedJets:
    rng = np.random.default_rng(0)
    counts = np.array([9, 1, 4, 6])
    mask = np.arange(11) < counts[:, None]
    x = rng.normal(size=(4, 11, 21)) * mask[..., None]
    return PaddedJets(
        x.astype(np.float32), mask, rng.integers(0, 10, 4).astype(np.int32)
    )


def cross_entropy_padded(tagger, jets, rngs):
    logits = tagger(jets.x, jets.mask)
    return optax.softmax_cross_entropy_with_integer_labels(logits, jets.y).mean()


@pytest.fixture(scope="module")
def ours(jets) -> Ours:
    engine = make_engine(
        replace(scaling.tagger(WIDTH), dropout=0.0), cross_entropy_padded
    )
    rates = Hyperparams(baselines.LEARNING_RATE, baselines.WEIGHT_DECAY)
    state = jax.jit(engine.init)(jax.random.key(0), rates)
    rng = np.random.default_rng(1)

    def perturb(leaf):  # so that no bias is 0 and no scale 1
        return leaf + 0.05 * rng.normal(size=leaf.shape).astype(np.float32)

    @jax.jit
    def logits(params, jets):
        return engine.module(params)(jets.x, jets.mask)

    params = jax.tree.map(perturb, state.params)
    state, step = state._replace(params=params), jax.jit(engine.step)
    for _ in range(3):
        state, _ = step(state, jets)
    before, after = logits(params, jets), logits(state.params, jets)
    return Ours(nnx.to_pure_dict(params), np.asarray(before), np.asarray(after))


def linen_weights(params: Any, heads: int) -> dict[str, Any]:
    """Our weights under Linen's names; its attention has an axis for the heads."""

    def split(linear: dict[str, Any]) -> dict[str, Any]:
        return {k: v.reshape(*v.shape[:-1], heads, -1) for k, v in linear.items()}

    def layer(ours: Any) -> dict[str, Any]:
        attention = ours["attention"]
        halves = {k: jnp.split(v, 2, -1) for k, v in attention["key_value"].items()}
        out = attention["out"]
        kernel = out["kernel"].reshape(heads, -1, out["kernel"].shape[-1])
        return {
            "norm_attention": ours["norm_attention"],
            "norm_forward": ours["norm_forward"],
            **ours["forward"],
            "attention": {
                "query": split(attention["query"]),
                "key": split({k: v[0] for k, v in halves.items()}),
                "value": split({k: v[1] for k, v in halves.items()}),
                "out": {"kernel": kernel, "bias": out["bias"]},
            },
        }

    layers = {f"layer_{i}": layer(each) for i, each in params["layers"].items()}
    token = params["class_token"].reshape(1, 1, -1)
    rest = {name: params[name] for name in ("embed", "norm", "head")}
    return {"class_token": token, **rest, **layers}


def torch_weights(params: Any) -> dict[str, np.ndarray]:
    """Our weights under the names of PyTorch's state dict; its kernels lie across."""
    found = {"class_token": params["class_token"]}

    def put(name: str, linear: Any) -> None:
        key = "kernel" if "kernel" in linear else "scale"
        found[f"{name}.weight"], found[f"{name}.bias"] = linear[key].T, linear["bias"]

    for name in ("embed", "norm", "head"):
        put(name, params[name])
    for i, ours in params["layers"].items():
        attention = ours["attention"]
        joined = jax.tree.map(
            lambda q, kv: jnp.concatenate([q, kv], -1),
            attention["query"],
            attention["key_value"],
        )
        put(f"layers.{i}.query_key_value", joined)
        put(f"layers.{i}.out", attention["out"])
        for name in ("norm_attention", "norm_forward"):
            put(f"layers.{i}.{name}", ours[name])
        for name in ("up", "down"):
            put(f"layers.{i}.{name}", ours["forward"][name])
    return {name: np.array(value) for name, value in found.items()}


def test_flax_gives_our_logits_before_and_after_training(ours, jets):
    flax = baselines.flax_padded(WIDTH, dropout=0.0)
    weights = linen_weights(ours.params, scaling.tagger(WIDTH).heads)
    state = flax.init()
    # copies, because a step gives its buffers up
    state = state.replace(params=jax.tree.map(jnp.copy, weights))
    logits = jax.jit(partial(state.apply_fn, train=False))

    before = logits({"params": state.params}, jets.x, jets.mask)
    np.testing.assert_allclose(before, ours.before, atol=ATOL)
    for _ in range(3):
        state = flax.step(state, flax.load(jets))
    after = logits({"params": state.params}, jets.x, jets.mask)
    np.testing.assert_allclose(after, ours.after, atol=SHARE * ours.moved)


@pytest.mark.parametrize("cropped", [False, True])
def test_torch_gives_our_logits_before_and_after_training(ours, jets, cropped):
    torch = pytest.importorskip("torch")
    from benchmarks.baselines_torch import torch_eager

    eager = torch_eager(WIDTH, cropped=cropped, dropout=0.0)
    state, batch = eager.init(), eager.load(jets)
    assert batch[0].shape[1] == (9 if cropped else 11)
    weights = torch_weights(ours.params)
    state.model.load_state_dict({k: torch.tensor(v) for k, v in weights.items()})

    before = state.model(*batch[:2]).detach().numpy()
    np.testing.assert_allclose(before, ours.before, atol=ATOL)
    for _ in range(3):
        state = eager.step(state, batch)
    after = state.model(*batch[:2]).detach().numpy()
    np.testing.assert_allclose(after, ours.after, atol=SHARE * ours.moved)


def test_a_race_takes_turns_and_counts_steps():
    calls = []

    def contender(name: str, steps: int):
        def run() -> int:
            calls.append(name)
            time.sleep(0.02)
            return steps

        return run

    times = race({"a": contender("a", 1), "b": contender("b", 10)}, 3, 0.0)
    assert calls == ["a", "b"] * 4  # once to warm up
    assert 0.02 <= times["a"].wall < 0.04
    assert 0.002 <= times["b"].wall < 0.004
    assert times["a"].cpu < 0.01  # asleep


def test_without_torch_the_benchmark_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SystemExit) as stop:
        against_torch.main(["--quick"])
    assert stop.value.code == 2
    assert "pip install -e '.[benchmarks]'" in capsys.readouterr().err
