"""One dial: the width of a tagger decides the rest."""

from jetlab.models.tagger import Tagger


def tagger(width: int, *, features: int = 21, classes: int = 10) -> Tagger:
    """The paper's tagger of this width: 4 layers, max(1, width // 64) heads."""
    return Tagger(width=width, features=features, classes=classes)


def learning_rate(width: int) -> float:
    """A constant rate for short runs, falling with width: 3e-3 (16 / d)^0.8.

    The paper's 1e-4 hardly moves in a few hundred steps. Of 1e-3, 3e-3 and 1e-2, one
    pass over 32,768 jets of the shower liked 3e-3 to 1e-2 best at d = 16 and 1e-3 at
    d = 64 (experiments/LOG.md); the rule passes through both.
    """
    return 3e-3 * (16 / width) ** 0.8
