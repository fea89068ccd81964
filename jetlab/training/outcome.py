"""The record of a run from what its job did."""

import math
from importlib.metadata import version
from typing import Any

import jax
import numpy as np

from jetlab.models import flops
from jetlab.physics.performance import performance
from jetlab.records import Record, Rejected
from jetlab.training.dataset import Feed
from jetlab.training.evaluate import PerJet, mean
from jetlab.training.job import Job
from jetlab.training.run_config import RunConfig, cost


def done(per_jet: PerJet, feed: Feed, steps: int) -> dict[str, Any]:
    """What a finished run says of itself; its loss was reached after so many steps."""
    labels = feed.valid.labels
    loss, error = mean(per_jet.loss, labels)
    reached = performance(np.asarray(per_jet.logits), labels, feed.classes)
    return {
        "status": "done",
        "loss": loss,
        "loss_error": error,
        "metrics": {
            "accuracy": reached.accuracy,
            "auc": reached.auc,
            "rejections": tuple(
                Rejected(*what, r.value, r.low, None if r.is_limit else r.high)
                for what, r in reached.rejections.items()
            ),
        },
        "steps": steps,
    }


def lost(status: str, message: str, steps: int) -> dict[str, Any]:
    """What a run says that ended without a loss."""
    return {"status": status, "message": message, "steps": steps}


def record(run: RunConfig, job: Job, feed: Feed, study: str, **outcome: Any) -> Record:
    """One row: the run's spec, its job's progress, and how it ended."""
    progress, whole = job.progress, run is job.run
    return Record(
        id=run.id,
        study=study,
        source=run.source,
        inputs=run.inputs,
        width=run.model.width,
        N=flops.parameters(run.model).total,
        D=run.num_train,
        epochs=run.epochs,
        C=cost(run, feed.n_p),
        n_p=feed.n_p,
        seed=run.seed,
        batch=run.batch,
        learning_rate=run.learning_rate,
        weight_decay=run.weight_decay,
        chance_loss=math.log(run.model.classes),
        num_valid=len(feed.valid.labels),
        curve=tuple(progress.curve),
        valid_curve=tuple(progress.valid_curve) if whole else (),
        trajectory="" if whole else job.run.id,
        cut=progress.cut,
        precision=run.precision,
        patience=run.patience,
        seconds=progress.seconds,
        device=jax.devices()[0].device_kind,
        version=version("jetlab"),
        **outcome,
    )
