"""Taggers and learning rates by width, the one size that a grid varies."""

from jetlab.models.tagger import Tagger


def tagger(width: int, *, features: int = 21, classes: int = 10) -> Tagger:
    """The paper's tagger of this width: 4 layers, max(1, width // 64) heads."""
    return Tagger(width=width, features=features, classes=classes)


def learning_rate(width: int, steps: int = 2048) -> float:
    """A constant learning rate for averaged weights: 1.1e-3 (d / 64)^-0.86
    (T / 2048)^-0.26 for T steps.

    The powers are those of the best rate of 20 cells of shower jets at the last
    weights (experiments/LOG.md, 2026-11-23: 8.6e-4 at d = 64 and T = 2048). The best
    rate of averaged weights is 1.3 times higher. The paper's 1e-4 is too low for a few
    thousand steps.
    """
    return 1.1e-3 * (width / 64) ** -0.86 * (steps / 2048) ** -0.26
