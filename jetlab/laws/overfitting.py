"""From which size on does a model overfit? N = k D^lambda (arXiv:2602.15781, Fig. 3).

Each run is judged by its validation curve: it overfits if the loss has clearly risen
again by the end, underfits if it ends on a plateau, and is undecided if it still falls.
The threshold is where overfitting is as likely as not, by logistic regression on log N
and log D. Runs that a line parts without a mistake have no finite maximum of the
likelihood; it is therefore weighted by Jeffreys' prior (Firth, Biometrika 80 (1993) 27;
Heinze and Schemper, Stat. Med. 21 (2002) 2409), which keeps the line in the gap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from jetlab.laws.result import LEVEL, percentiles

Verdict = Literal["overfits", "underfits", "undecided"]

CLEARLY = 3.0  # standard errors of a rise or a fall that count
SHARE = 1e-3  # of the loss, below which no rise or fall counts
STEPS = 50  # of Newton's method
FARTHEST = 5.0  # that a coordinate moves in one step


def verdict(losses: Float[np.ndarray, "t"], *, span: int = 3) -> Verdict:
    """What a validation curve says, evaluations at even distances.

    The curve is smoothed over `span` evaluations, and its noise taken from second
    differences (1.4826 median |d2| / sqrt 6), which a smooth curve has none of. A run
    overfits if its end lies above its minimum, and is undecided if the last quarter
    falls, both by more than three standard errors and a thousandth of the loss. A curve
    of fewer than four spans is undecided.
    """
    if len(losses) < 4 * span:
        return "undecided"
    second = np.diff(losses, 2)
    noise = 1.4826 * float(np.median(np.abs(second))) / np.sqrt(6)
    error = noise * np.sqrt(2 / span)
    smooth = np.convolve(losses, np.ones(span) / span, mode="valid")
    least = max(CLEARLY * error, SHARE * float(smooth.min()))
    if smooth[-1] - smooth.min() > least:
        return "overfits"
    if smooth[3 * len(smooth) // 4] - smooth[-1] > least:
        return "undecided"
    return "underfits"


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """N = k D^exponent, above which models overfit, with 68 % intervals of log_k and
    exponent by runs drawn anew. `runs` counts those that underfit and that overfit."""

    k: float
    exponent: float
    intervals: dict[str, tuple[float, float]]
    draws: dict[str, Float[np.ndarray, "m"]]
    runs: tuple[int, int]
    message: str

    def size(self, examples: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """N at the threshold, at each number of examples."""
        return self.k * examples**self.exponent

    def band(
        self, examples: Float[np.ndarray, "n"], level: float = LEVEL
    ) -> Float[np.ndarray, "2 n"]:
        """Interval of the threshold at each number of examples."""
        log_k, exponent = (self.draws[name][:, None] for name in ("log_k", "exponent"))
        lines = log_k + exponent * np.log(examples)
        return np.exp(percentiles(lines, level))


def threshold(
    N: Float[np.ndarray, "n"],
    D: Float[np.ndarray, "n"],
    verdicts: Sequence[str],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Threshold:
    """The threshold through runs of N parameters and D examples; undecided runs are
    left out and counted.

    Raises:
      ValueError: where runs of one kind are missing, D does not vary, or larger models
        do not overfit more.
    """
    told = np.array([one != "undecided" for one in verdicts])
    over = np.array([one == "overfits" for one in verdicts])[told]
    x = np.log(np.stack([N[told], D[told]], axis=1))
    _check(x, over)
    centre, width = x.mean(axis=0), x.std(axis=0)
    scaled = np.concatenate([np.ones((len(x), 1)), (x - centre) / width], axis=1)
    lines = _lines(scaled, over, draws, seed)
    slopes = lines[:, 1:] / width
    offset = lines[:, 0] - slopes @ centre
    rising = slopes[:, 0] > 0
    if not rising[0]:
        raise ValueError("larger models do not overfit more: there is no threshold")
    exponent = -slopes[rising, 1] / slopes[rising, 0]
    log_k = -offset[rising] / slopes[rising, 0]
    values = {"log_k": log_k[1:], "exponent": exponent[1:]}
    ends = {name: _ends(v) for name, v in values.items()} if draws else {}
    return Threshold(
        k=float(np.exp(log_k[0])),
        exponent=float(exponent[0]),
        intervals=ends,
        draws=values,
        runs=(int((~over).sum()), int(over.sum())),
        message=_words(int((~told).sum()), int((~rising).sum()), draws),
    )


def _check(x: Float[np.ndarray, "n 2"], over: Bool[np.ndarray, "n"]) -> None:
    if over.all() or not over.any():
        kind = "overfits" if not over.any() else "underfits"
        raise ValueError(f"no run {kind}: a threshold has runs on both sides")
    for name, column in (("N", x[:, 0]), ("D", x[:, 1])):
        if np.ptp(column) == 0:
            raise ValueError(f"{name} is {np.exp(column[0]):.6g} in every run: vary it")


def _lines(
    x: Float[np.ndarray, "n 3"], over: Bool[np.ndarray, "n"], draws: int, seed: int
) -> Float[np.ndarray, "m 3"]:
    """Coefficients of all runs first, then of runs drawn with replacement, those draws
    left out that lack runs of one kind."""
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
    """Firth's logistic regression with each row counted so many times, m at once:
    Newton's steps on the modified score X^T w (y - p + h (1/2 - p))."""
    beta = np.zeros((len(times), x.shape[1]))
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(beta @ x.T, -30, 30)))
        weight = times * p * (1 - p)
        information = np.einsum("mn,ni,nj->mij", weight, x, x)
        inverse = np.linalg.inv(information + 1e-9 * np.eye(x.shape[1]))
        leverage = p * (1 - p) * np.einsum("ni,mij,nj->mn", x, inverse, x)
        score = (times * (over - p + leverage * (0.5 - p))) @ x
        step = np.einsum("mij,mj->mi", inverse, score)
        beta += np.clip(step, -FARTHEST, FARTHEST)
        if np.abs(step).max() < 1e-8:
            break
    return beta


def _ends(draws: Float[np.ndarray, "m"]) -> tuple[float, float]:
    low, high = percentiles(draws)
    return float(low), float(high)


def _words(undecided: int, without: int, draws: int) -> str:
    words = []
    if undecided:
        words.append(f"{undecided} runs undecided and left out: train them longer")
    if without:
        words.append(f"{without} of {draws} draws have no threshold and are left out")
    return "; ".join(words)
