"""Tagging: classify jets by the particle that initiated them, with cross-entropy."""

import math
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int
from scipy.special import entr, log_softmax, xlogy

from jetlab.data.features import Inputs
from jetlab.data.shower.bayes_limit import known_limit
from jetlab.models import scaling
from jetlab.models.tagger import Tagger
from jetlab.models.token_layout import flat_layout
from jetlab.physics.expected_metrics import expected_performance
from jetlab.physics.metrics import performance
from jetlab.records import Rejection
from jetlab.types import Batch, Jets, Source


@dataclass(frozen=True)
class Tagging:
    """Cross-entropy of the class in nats; outputs are logits, targets labels."""

    @property
    def name(self) -> str:
        return "tagging"

    def model(self, width: int, inputs: Inputs, source: Source) -> Tagger:
        """The set Transformer of arXiv:2602.15781 with a logit for each class."""
        features, classes = len(inputs.features), len(source.classes)
        return scaling.tagger(width, features=features, classes=classes)

    def targets(self, jets: Jets) -> Int[np.ndarray, "b"]:
        return jets.label.astype(np.int32)

    def loss(
        self, model: Any, batch: Batch, rngs: nnx.Rngs | None = None
    ) -> Float[Array, ""]:
        logits = _logits(model, batch, rngs)
        return jnp.sum(batch.weight * self.losses(logits, batch.targets))

    def predict(self, model: Any, batch: Batch) -> Float[Array, "b k"]:
        return _logits(model, batch, None)

    def losses(
        self, outputs: Float[Array, "b k"], targets: Int[Array, "b"]
    ) -> Float[Array, "b"]:
        """-ln p(true class) of each jet."""
        return optax.softmax_cross_entropy_with_integer_labels(outputs, targets)

    def excess_losses(
        self, outputs: Float[np.ndarray, "b k"], posterior: Float[np.ndarray, "b k"]
    ) -> tuple[Float[np.ndarray, "b"], Float[np.ndarray, "b"]]:
        """KL(posterior || prediction) and the entropy of the posterior, in nats."""
        predicted = log_softmax(np.asarray(outputs, np.float64), axis=1)
        entropy = entr(posterior).sum(1)
        return -(posterior * predicted).sum(1) - entropy, entropy

    def metrics(
        self,
        outputs: Float[np.ndarray, "b k"],
        targets: Int[np.ndarray, "b"],
        classes: tuple[str, ...],
    ) -> dict[str, Any]:
        """Accuracy, macro AUC, and background rejections by class and efficiency."""
        reached = performance(outputs, targets, classes)
        rejections = tuple(
            Rejection(*what, r.value, r.low, None if r.is_limit else r.high)
            for what, r in reached.rejections.items()
        )
        scores = {"accuracy": reached.accuracy, "auc": reached.auc}
        return {**scores, "rejections": rejections}

    def expected_metrics(
        self,
        outputs: Float[np.ndarray, "b k"],
        posterior: Float[np.ndarray, "b k"],
        classes: tuple[str, ...],
    ) -> dict[str, Any]:
        """The same over jets of a known posterior."""
        reached = expected_performance(outputs, posterior, classes)
        rejections = tuple(Rejection(*w, *r) for w, r in reached.rejections.items())
        scores = {"accuracy": reached.accuracy, "auc": reached.auc}
        return {**scores, "rejections": rejections}

    def ideal_outputs(
        self, posterior: Float[np.ndarray, "b k"]
    ) -> Float[np.ndarray, "b k"]:
        """ln p(class | jet)."""
        with np.errstate(divide="ignore"):
            return np.log(posterior)

    def chance_loss(
        self, targets: Int[np.ndarray, "b"], classes: tuple[str, ...]
    ) -> float:
        """The entropy of the class shares: ln(classes) for balanced jets."""
        number = len(classes)
        shares = np.bincount(targets, minlength=number) / len(targets)
        return math.log(number) - float(xlogy(shares, number * shares).sum())

    def floor(self, source: str, inputs: Inputs) -> tuple[float, float] | None:
        """The Bayes limit of simulated jets."""
        return known_limit(source, inputs)


def _logits(model: Any, batch: Batch, rngs: nnx.Rngs | None) -> Float[Array, "b k"]:
    return model.call_flat(batch.x, flat_layout(batch), rngs=rngs).astype(jnp.float32)
