"""The record of a run from its trajectory and how it ended."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import jax

from jetlab.records import Record
from jetlab.training.dataset import Dataset
from jetlab.training.evaluate import Predictions, metrics_of, validation_loss
from jetlab.training.run_config import RunConfig, cost
from jetlab.training.step import num_params
from jetlab.training.trajectory import Trajectory


def finished(
    predictions: Predictions,
    dataset: Dataset,
    steps: int,
    weights: Mapping[str, str],
    **details: float,
) -> dict[str, Any]:
    """The fields of a finished run whose loss was reached after `steps`; `details` are
    further metrics."""
    valid, task = dataset.valid, dataset.task
    loss = validation_loss(task, predictions, valid.labels, valid.posterior)
    metrics = metrics_of(task, predictions, valid, dataset.classes)
    return {
        "status": "done",
        "loss": loss.mean,
        "loss_error": loss.error,
        "metrics": {**metrics, **loss.details, **details},
        "steps": steps,
        "weights": dict(weights),
    }


def failed(status: str, message: str, steps: int) -> dict[str, Any]:
    """The fields of a run that ended without a loss."""
    return {"status": status, "message": message, "steps": steps}


def record_of(
    run: RunConfig,
    trajectory: Trajectory,
    dataset: Dataset,
    study: str,
    **outcome: Any,
) -> Record:
    """One row: the run's spec, its trajectory's progress, and how it ended."""
    progress, longest = trajectory.progress, run is trajectory.run
    targets = dataset.valid.targets
    return Record(
        id=run.id,
        study=study,
        task=run.task.name,
        arm=run.arm,
        source=run.source,
        inputs=run.input_config.label,
        width=run.model.width,
        N=num_params(run.model),
        D=run.num_train,
        epochs=run.epochs,
        C=cost(run, dataset.n_p),
        n_p=dataset.n_p,
        seed=run.seed,
        batch=run.batch,
        learning_rate=run.learning_rate,
        weight_decay=run.weight_decay,
        chance_loss=dataset.task.chance_loss(targets, dataset.classes),
        num_valid=len(dataset.valid.labels),
        curve=tuple(progress.curve),
        valid_curve=tuple(progress.valid_curve) if longest else (),
        trajectory="" if longest else trajectory.id,
        cut=progress.cut,
        precision=run.precision,
        patience=run.patience,
        averaging=run.averaging,
        annealing=run.annealing,
        seconds=progress.seconds,
        device=jax.devices()[0].device_kind,
        version=version("jetlab"),
        **outcome,
    )
