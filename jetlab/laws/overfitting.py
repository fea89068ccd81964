"""The overfitting threshold N = k D^lambda (arXiv:2602.15781, Fig. 3).

A run is classified by its validation curve: it overfits if the loss has risen
significantly by the end, underfits if it ends on a plateau, and is undecided if it is
still falling. The threshold is where overfitting has probability 1/2, by logistic
regression on log N and log D. The likelihood of separable classes has no finite
maximum; it is therefore weighted by Jeffreys' prior (Firth, Biometrika 80 (1993) 27;
Heinze and Schemper, Stat. Med. 21 (2002) 2409), which puts the line into the gap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from jetlab.laws.evidence.intervals import CONFIDENCE_LEVEL, percentiles

CurveClass = Literal["overfits", "underfits", "undecided"]

SIGNIFICANT = 3.0  # standard errors of a rise or a fall
MIN_CHANGE = 1e-3  # of the loss: smaller rises and falls are neglected
STEPS = 50  # of Newton's method
MAX_STEP = 5.0  # of a coefficient


def classify_curve(losses: Float[np.ndarray, "t"], *, window: int = 3) -> CurveClass:
    """The class of a validation curve, evaluated at equal distances.

    The curve is averaged over `window` evaluations. Its noise is estimated by second
    differences d2, negligible for a smooth curve: 1.4826 median |d2| / sqrt 6. A run
    overfits if its end lies above its minimum, and is undecided if the last quarter
    falls, both by more than three standard errors and a thousandth of the loss. A curve
    of fewer than four windows is undecided.
    """
    if len(losses) < 4 * window:
        return "undecided"
    second = np.diff(losses, 2)
    noise = 1.4826 * float(np.median(np.abs(second))) / np.sqrt(6)
    error = noise * np.sqrt(2 / window)  # of a difference of two averages
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    significant = max(SIGNIFICANT * error, MIN_CHANGE * float(smooth.min()))
    if smooth[-1] - smooth.min() > significant:
        return "overfits"
    if smooth[3 * len(smooth) // 4] - smooth[-1] > significant:
        return "undecided"
    return "underfits"


MAX_LOST = 0.03  # share of resamples, as of refits


@dataclass(frozen=True, kw_only=True)
class OverfittingThreshold:
    """N = k D^exponent, above which models overfit; `intervals` are 68 % bootstrap
    intervals of log_k and exponent. `runs` counts those that underfit and overfit,
    `lost` is the share of resamples without a threshold."""

    k: float
    exponent: float
    intervals: dict[str, tuple[float, float]]
    draws: dict[str, Float[np.ndarray, "m"]]
    runs: tuple[int, int]
    message: str
    lost: float

    @property
    def decided(self) -> bool:
        """Whether the exponent has an interval that few lost resamples can bias."""
        return bool(self.intervals) and self.lost <= MAX_LOST

    def size(self, examples: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """N at the threshold for each number of examples D."""
        return self.k * examples**self.exponent

    def band(
        self, examples: Float[np.ndarray, "n"], level: float = CONFIDENCE_LEVEL
    ) -> Float[np.ndarray, "2 n"]:
        """Percentile interval of `size` at each D."""
        log_k, exponent = (self.draws[name][:, None] for name in ("log_k", "exponent"))
        lines = log_k + exponent * np.log(examples)
        return np.exp(percentiles(lines, level))


def overfitting_threshold(
    N: Float[np.ndarray, "n"],
    D: Float[np.ndarray, "n"],
    classes: Sequence[str],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> OverfittingThreshold:
    """The threshold between runs of N parameters and D examples; undecided runs are
    left out and counted.

    Args:
      classes: of each run, as `classify_curve` returns them.
      draws: bootstrap resamples of runs.

    Raises:
      ValueError: where a class is missing, N or D does not vary, or larger models do
        not overfit more.
    """
    decided = np.array([one != "undecided" for one in classes])
    over = np.array([one == "overfits" for one in classes])[decided]
    x = np.log(np.stack([N[decided], D[decided]], axis=1))
    _check(x, over)
    centre, width = x.mean(axis=0), x.std(axis=0)
    scaled = np.concatenate([np.ones((len(x), 1)), (x - centre) / width], axis=1)
    coefficients = _bootstrap(scaled, over, draws, seed)
    slopes = coefficients[:, 1:] / width
    offset = coefficients[:, 0] - slopes @ centre
    rising = slopes[:, 0] > 0
    if not rising[0]:
        raise ValueError("larger models do not overfit more: there is no threshold")
    exponent = -slopes[rising, 1] / slopes[rising, 0]
    log_k = -offset[rising] / slopes[rising, 0]
    values = {"log_k": log_k[1:], "exponent": exponent[1:]}
    ends = {name: _ends(v) for name, v in values.items()} if draws else {}
    return OverfittingThreshold(
        k=float(np.exp(log_k[0])),
        exponent=float(exponent[0]),
        intervals=ends,
        draws=values,
        runs=(int((~over).sum()), int(over.sum())),
        message=_message(int((~decided).sum()), draws - len(values["log_k"]), draws),
        lost=1 - len(values["log_k"]) / draws if draws else 0.0,
    )


def _check(x: Float[np.ndarray, "n 2"], over: Bool[np.ndarray, "n"]) -> None:
    if over.all() or not over.any():
        kind = "overfits" if not over.any() else "underfits"
        raise ValueError(f"no run {kind}: a threshold needs runs on both sides")
    for name, column in (("N", x[:, 0]), ("D", x[:, 1])):
        if np.ptp(column) == 0:
            raise ValueError(f"{name} is {np.exp(column[0]):.6g} in every run: vary it")


def _bootstrap(
    x: Float[np.ndarray, "n 3"], over: Bool[np.ndarray, "n"], draws: int, seed: int
) -> Float[np.ndarray, "m 3"]:
    """Coefficients of all runs first, then of resamples with replacement; resamples
    without both classes are left out."""
    count = len(over)
    times = np.random.default_rng(seed).multinomial(
        count, np.full(count, 1 / count), draws
    )
    both = (times @ over > 0) & (times @ ~over > 0)
    return _regression(x, over, np.concatenate([np.ones((1, count), int), times[both]]))


def _regression(
    x: Float[np.ndarray, "n 3"],
    over: Bool[np.ndarray, "n"],
    times: Int[np.ndarray, "m n"],
) -> Float[np.ndarray, "m 3"]:
    """Coefficients of m of Firth's logistic regressions, with multiplicities `times` of
    the rows: Newton's method on the modified score X^T w (y - p + h (1/2 - p))."""
    beta = np.zeros((len(times), x.shape[1]))
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(beta @ x.T, -30, 30)))
        weight = times * p * (1 - p)
        information = np.einsum("mn,ni,nj->mij", weight, x, x)
        inverse = np.linalg.inv(information + 1e-9 * np.eye(x.shape[1]))
        leverage = p * (1 - p) * np.einsum("ni,mij,nj->mn", x, inverse, x)
        score = (times * (over - p + leverage * (0.5 - p))) @ x
        step = np.einsum("mij,mj->mi", inverse, score)
        beta += np.clip(step, -MAX_STEP, MAX_STEP)
        if np.abs(step).max() < 1e-8:
            break
    return beta


def _ends(draws: Float[np.ndarray, "m"]) -> tuple[float, float]:
    low, high = percentiles(draws)
    return float(low), float(high)


def _message(undecided: int, without: int, draws: int) -> str:
    notes = []
    if undecided:
        notes.append(f"{undecided} runs undecided and left out: train them longer")
    if without:
        notes.append(f"{without} of {draws} draws have no threshold and are left out")
    return "; ".join(notes)
