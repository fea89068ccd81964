"""The outputs and losses of a network on validation jets, and their mean."""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, Int, Shaped

from jetlab.training.batching import (
    DeviceJets,
    Packing,
    exact_packing,
    gather_batch,
)
from jetlab.training.mesh import (
    REPLICA,
    by_replica,
    make_mesh,
    put_global,
    replicated,
)
from jetlab.training.scan import MicroBatches, compiler_options
from jetlab.training.step import Engine
from jetlab.types import JudgesPosteriors, Posterior, Task

BLOCK = 512  # jets at a time: bounds the memory of attention


class Predictions(NamedTuple):
    """The loss of each jet, and the network's outputs for it."""

    loss: Float[Array, "*b"]
    outputs: Shaped[Array, "..."]


class ValidationSet(NamedTuple):
    """Validation jets on the devices, in blocks of one static shape.

    Jets are sorted by length and dealt round-robin to the blocks, so blocks have
    similar lengths: almost nothing is padded, and no block overflows. `labels` are the
    classes of the jets, `targets` what the task predicts, `posterior` the probability
    of each class where it is known, and `ideal` then the metrics of the best outputs,
    for inputs with which they can be reached.
    """

    jets: DeviceJets
    blocks: MicroBatches
    packing: Packing
    labels: Int[np.ndarray, "b"]
    targets: Shaped[np.ndarray, "b *t"]
    posterior: Posterior | None = None
    ideal: Mapping[str, Any] | None = None


def validation_set(
    jets: DeviceJets,
    labels: Int[np.ndarray, "b"],
    *,
    grouped: bool,
    posterior: Posterior | None = None,
    ideal: Mapping[str, Any] | None = None,
) -> ValidationSet:
    """Validation jets in blocks, which the devices share. `grouped` is whether
    attention runs over groups of jets of similar length."""
    counts, devices = np.asarray(jets.counts), jax.device_count()
    order = np.argsort(-counts, kind="stable").astype(np.int32)
    number = -(-len(order) // (BLOCK * devices)) * devices
    size = -(-len(order) // number)
    rows = np.full((number, size), -1, np.int32)
    for block in range(number):
        dealt = order[block::number]
        rows[block, : len(dealt)] = dealt
    lengths = np.where(rows >= 0, counts[rows], 0)
    packing = exact_packing(lengths, grouped=grouped)
    ones = np.ones(number, np.int32)
    mesh = make_mesh(devices)
    blocks = put_global(MicroBatches(rows, 0 * ones, ones), by_replica(mesh))
    loaded = put_global(jets, replicated(mesh))
    targets = np.asarray(jets.targets)
    return ValidationSet(loaded, blocks, packing, labels, targets, posterior, ideal)


def make_evaluate(
    task: Task, engine: Engine, valid: ValidationSet
) -> Callable[[Any], Predictions]:
    """`evaluate(params)`: all validation jets, without dropout, block by block."""
    evaluate = evaluate_program(task, engine, valid.packing)
    return lambda params: evaluate(params, valid.jets, valid.blocks)


@lru_cache(64)
def evaluate_program(task: Task, engine: Engine, packing: Packing) -> Callable:
    """`evaluate(params, jets, blocks)`: the predictions of all jets in their order;
    those of jets that are in no block are zero. Traced once for each shape."""

    mesh = make_mesh(jax.device_count())
    shard, everywhere = PartitionSpec(REPLICA), PartitionSpec()

    def of_device(params: Any, jets: DeviceJets, blocks: MicroBatches) -> Predictions:
        model = engine.module(params)

        def block(entry: MicroBatches) -> Predictions:
            batch = gather_batch(packing, jets, entry)
            outputs = task.predict(model, batch)
            return Predictions(task.losses(outputs, batch.targets), outputs)

        return jax.lax.map(block, blocks)

    @partial(
        jax.jit, out_shardings=replicated(mesh), compiler_options=compiler_options()
    )
    def evaluate(params: Any, jets: DeviceJets, blocks: MicroBatches) -> Predictions:
        results = jax.shard_map(
            of_device,
            mesh=mesh,
            in_specs=(everywhere, everywhere, shard),
            out_specs=shard,
            check_vma=False,  # as in `shard_scan`
        )(params, jets, blocks)
        # Empty places go to a row past the end, which is cut off.
        count = len(jets.counts)
        to = jnp.where(blocks.rows >= 0, blocks.rows, count).reshape(-1)

        def in_order(a: Array) -> Array:
            rows = a.reshape(len(to), *a.shape[2:])
            return jnp.zeros((count + 1, *rows.shape[1:])).at[to].set(rows)[:-1]

        return jax.tree.map(in_order, results)

    return evaluate


class Loss(NamedTuple):
    """A validation loss and its sampling error, and further numbers on it by name."""

    mean: float
    error: float
    details: dict[str, float]


def validation_loss(
    task: Task,
    reached: Predictions,
    labels: Int[np.ndarray, "b"],
    posterior: Posterior | None,
) -> Loss:
    """The mean loss of validation jets.

    Where the posterior of the jets is known, it is the expected loss over their
    classes, which the draw of the labels does not scatter. The details are then the
    loss on the labels and, for an exact posterior, the lowest loss of these jets
    (`floor`) and the excess of the expected loss over it, each with its sampling error.
    """
    sampled = stratified_mean(reached.loss, labels)
    if posterior is None or not isinstance(task, JudgesPosteriors):
        return Loss(*sampled, {})
    outputs = np.asarray(reached.outputs)
    excess, lowest = task.excess_losses(outputs, posterior.probability)
    found = {"label_loss": sampled}
    if posterior.exact:
        found |= {"floor": _mean(lowest), "excess": _mean(excess)}
    details = {name: value for name, (value, _) in found.items()}
    errors = {f"{name}_error": error for name, (_, error) in found.items()}
    return Loss(*_mean(excess + lowest), {**details, **errors})


def metrics_of(
    task: Task, reached: Predictions, valid: ValidationSet, classes: tuple[str, ...]
) -> dict[str, Any]:
    """The task's metrics of a network; where the posterior of the jets is known,
    averaged over their classes, with those of the best network as `ideal`."""
    outputs, posterior = np.asarray(reached.outputs), valid.posterior
    if posterior is None or not isinstance(task, JudgesPosteriors):
        return dict(task.metrics(outputs, valid.targets, classes))
    found = task.expected_metrics(outputs, posterior.probability, classes)
    return {**found, **({"ideal": valid.ideal} if valid.ideal else {})}


def ideal_metrics(
    task: Task, posterior: Posterior | None, classes: tuple[str, ...]
) -> Mapping[str, Any] | None:
    """The metrics of the outputs of the lowest loss, for an exact posterior."""
    if not isinstance(task, JudgesPosteriors):
        return None
    if posterior is None or not posterior.exact:
        return None
    best = task.ideal_outputs(posterior.probability)
    return task.expected_metrics(best, posterior.probability, classes)


def _mean(each: Float[np.ndarray, "b"]) -> tuple[float, float]:
    """The mean and its standard error."""
    return float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each)))


def stratified_mean(
    losses: Float[Array | np.ndarray, "b"], labels: Int[np.ndarray, "b"]
) -> tuple[float, float]:
    """Mean loss, and its standard error for a sample of fixed class shares.

    Only the variance within the classes counts:
    error^2 = sum_k (n_k / n)^2 s_k^2 / n_k, with s_k^2 the sample variance (n_k - 1).
    """
    each = np.asarray(losses, dtype=np.float64)
    variance = 0.0
    for label in np.unique(labels):
        of_class = each[labels == label]
        spread = of_class.var(ddof=1) if len(of_class) > 1 else np.nan
        variance += spread * len(of_class) / len(each) ** 2
    return float(each.mean()), float(np.sqrt(variance))
