"""One dial: the width of a tagger decides the rest."""

from jetlab.models.tagger import Tagger


def tagger(width: int, *, features: int = 21, classes: int = 10) -> Tagger:
    """The paper's tagger of this width: 4 layers, max(1, width // 64) heads."""
    return Tagger(width=width, features=features, classes=classes)


def learning_rate(width: int) -> float:
    """A constant rate for short runs, falling with width.

    The paper's 1e-4 hardly moves in a few hundred steps.
    """
    return 3e-3 * (16 / width) ** 0.5
