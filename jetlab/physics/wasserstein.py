"""How far two samples of jets are apart: the sliced Wasserstein distance of their
observables, its value between two samples of one source, and a binned divergence.

The distance of arXiv:1410.7455: W_p between the samples projected on a direction,
averaged over directions,

    SWD_p = (E_theta W_p(theta . x, theta . y)^p)^(1/p).

In one dimension W_p of equally many points pairs them in order. Observables have
different units, so they are standardised by the mean and deviation of the truth.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

DIRECTIONS = 1000
BINS = 30
SPLITS = 20  # of the truth in two halves, for the distance that it has from itself
RESAMPLED = 50  # times, for the error


def directions(
    dimensions: int, count: int = DIRECTIONS, seed: int = 0
) -> Float[np.ndarray, "count d"]:
    """Directions that are uniform on the sphere; equal for equal arguments, so that
    samples are compared along the same ones."""
    drawn = np.random.default_rng(seed).normal(size=(count, dimensions))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def sliced_wasserstein(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "m e"],
    along: Float[np.ndarray, "count d"],
    p: int = 1,
) -> float:
    """SWD_p of two samples of equal size.

    Raises:
      ValueError: for samples of different shapes, or values that are not finite.
    """
    if x.shape != y.shape:
        raise ValueError(
            f"the samples have shapes {x.shape} and {y.shape}: take equally many jets"
            " and the same observables"
        )
    _check_finite("first", x)
    _check_finite("second", y)
    # One direction at a time: memory of two columns in place of two matrices.
    powers = [
        np.mean(np.abs(np.sort(x @ theta) - np.sort(y @ theta)) ** p) for theta in along
    ]
    return float(np.mean(powers) ** (1 / p))


def _check_finite(name: str, sample: np.ndarray) -> None:
    bad = int((~np.isfinite(sample.reshape(len(sample), -1))).any(axis=1).sum())
    if bad:
        raise ValueError(f"{bad} jets of the {name} sample are not finite")


@dataclass(frozen=True)
class Distance:
    """A distance with its standard error, and what two samples of the truth of the same
    size are apart (mean and standard deviation over splits). The error and the floor
    are along a tenth of the directions."""

    value: float
    error: float
    floor: float
    floor_error: float


class Truth(NamedTuple):
    """The truth sample, standardised, and its mean and deviation by observable."""

    sample: Float[np.ndarray, "n d"]
    mean: Float[np.ndarray, "d"]
    deviation: Float[np.ndarray, "d"]

    @classmethod
    def of(cls, sample: Float[np.ndarray, "n d"]) -> "Truth":
        """Of observables that vary.

        Raises:
          ValueError: for an observable without a spread, or values that are not finite.
        """
        _check_finite("truth", sample)
        mean, deviation = sample.mean(0), sample.std(0)
        if not (deviation > 0).all():
            constant = int(np.argmin(deviation > 0))
            raise ValueError(f"observable {constant} has one value in all jets")
        return cls((sample - mean) / deviation, mean, deviation)

    def standardised(
        self, sample: Float[np.ndarray, "m d"]
    ) -> Float[np.ndarray, "m d"]:
        """Another sample in the units of this one."""
        return (sample - self.mean) / self.deviation


def distance(
    truth: Truth,
    made: Float[np.ndarray, "m d"],
    *,
    count: int = DIRECTIONS,
    seed: int = 0,
) -> Distance:
    """SWD_1 of a made sample from the truth, on as many jets as the smaller of the made
    sample and half of the truth has.

    The error is the standard deviation over resampled jets of both; the floor is the
    distance of two halves of the truth, cut to the same size.

    Raises:
      ValueError: for fewer than 10 jets, or values that are not finite.
    """
    n = min(len(made), len(truth.sample) // 2)
    if n < 10:
        raise ValueError(f"{n} jets to compare: at least 10 are needed")
    along = directions(made.shape[1], count, seed)
    rng = np.random.default_rng(seed)
    drawn = truth.standardised(made)[rng.permutation(len(made))[:n]]
    others = truth.sample[rng.permutation(len(truth.sample))[:n]]
    few = along[: max(count // 10, 10)]  # an error does not need all
    resampled = [
        sliced_wasserstein(_again(drawn, rng), _again(others, rng), few)
        for _ in range(RESAMPLED)
    ]
    floors = []
    for _ in range(SPLITS):
        order = rng.permutation(len(truth.sample))
        halves = truth.sample[order[:n]], truth.sample[order[n : 2 * n]]
        floors.append(sliced_wasserstein(*halves, few))
    return Distance(
        value=sliced_wasserstein(drawn, others, along),
        error=float(np.std(resampled)),
        floor=float(np.mean(floors)),
        floor_error=float(np.std(floors)),
    )


def _again(
    sample: Float[np.ndarray, "n d"], rng: np.random.Generator
) -> Float[np.ndarray, "n d"]:
    return sample[rng.integers(0, len(sample), len(sample))]


def quantile_divergence(
    truth: Float[np.ndarray, "n"], made: Float[np.ndarray, "m"], bins: int = BINS
) -> float:
    """KL(truth || made) in nats of one observable, over bins that hold equally many
    jets of the truth, but for equal values. Half a jet is added to every bin of the
    made sample, so that an empty one gives a finite number.

    Raises:
      ValueError: for values that are not finite.
    """
    _check_finite("first", truth)
    _check_finite("second", made)
    edges = np.quantile(truth, np.linspace(0, 1, bins + 1)[1:-1])
    counts = np.bincount(np.searchsorted(edges, made, side="right"), minlength=bins)
    own = np.bincount(np.searchsorted(edges, truth, side="right"), minlength=bins)
    p, q = own / own.sum(), (counts + 0.5) / (counts.sum() + 0.5 * bins)
    seen = p > 0
    return float((p[seen] * np.log(p[seen] / q[seen])).sum())
