"""What the rows of a fit decide of a quantity: a value, a limit, or nothing.

A quantity is decided if its interval is narrow (half a 68 % interval below half the
value: two standard errors from zero), and if the law holds as far as the quantity
depends on it: where a test of the residuals fails (`laws.evidence.lack_of_fit`), or a
refit to part of the rows moves by more than scatter explains
(`jetlab.laws.evidence.stability`), quantities that move by more than their interval are
undecided. A floor that may be zero has an upper limit, and a quantity without an upper
end a lower one, both at 95 %.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from jetlab.laws.evidence.intervals import around, percentiles
from jetlab.laws.evidence.lack_of_fit import LawTest
from jetlab.laws.evidence.stability import Stability
from jetlab.laws.formatting import with_interval

Quantity = Callable[[Mapping[str, np.ndarray]], np.ndarray]
"""A number from arrays of parameters."""

Status = Literal["decided", "upper limit", "lower limit", "undecided", "fixed"]

NARROW = 0.5  # half a 68 % interval over the value: two standard errors from zero
NOTHING = 1e-3  # of the lowest loss: a floor below it is zero
NEAR = 0.9  # of the lowest loss: an upper limit of a floor above it says nothing
LIMIT = 0.95  # coverage of limits
UNSTABLE = 3.5  # standard errors of a shift that count where no test fails
SIGNIFICANT_HALF = 2.0  # and where one does, for the half of the rows that tells least
SMALL = 5e-3  # of a value: smaller shifts decide nothing


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What verdicts rest on.

    Attributes:
      sample: parameters drawn: the bootstrap's, or normal ones about the optimum.
      tests: of the residuals.
      refits: to parts of the rows; None where there are none.
      lowest: loss of the rows; NaN for a fit without rows.
      doubt: why nothing is decided; empty if there is no such reason.
    """

    sample: dict[str, Float[np.ndarray, "draws"]]
    tests: tuple[LawTest, ...] = ()
    refits: Stability | None = None
    lowest: float = np.nan
    doubt: str = ""

    @property
    def failed(self) -> tuple[LawTest, ...]:
        """Tests that the law fails."""
        return tuple(test for test in self.tests if test.failed)

    @property
    def failures(self) -> str:
        """Those tests in words."""
        return "; ".join(test.sentence for test in self.failed)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is known of one quantity.

    `interval` is at 68 %, `limit` at 95 % (of an upper or a lower limit). `reason` says
    why a quantity is no more than that; empty for one that is decided. `failures` are
    the tests that the law fails, where these are why.
    """

    name: str
    status: Status
    value: float
    interval: tuple[float, float] | None = None
    limit: float | None = None
    reason: str = ""
    failures: str = ""

    @property
    def known(self) -> bool:
        """Whether the value, or the limit, may be quoted."""
        return self.status != "undecided"

    @property
    def words(self) -> str:
        """The quantity with what is known of it, in brackets where that is nothing."""
        if self.limit is not None:
            sign = "<" if self.status == "upper limit" else ">"
            return f"{self.name} {sign} {with_interval(self.limit, None)} (95 %)"
        if self.status == "fixed":
            return f"{self.name} = {self.value:.4g}, fixed"
        if not np.isfinite(self.value):
            return f"{self.name} undecided"
        number = with_interval(self.value, self.interval)
        decided = self.status == "decided"
        return f"{self.name} = {number}" if decided else f"{self.name} [{number}]"

    def record(self) -> dict[str, object]:
        """As JSON holds it."""
        return {"status": self.status, "limit": self.limit, "reason": self.why}

    @property
    def why(self) -> str:
        """The reason, with the tests that the law fails."""
        return f"{self.failures}: {self.reason}" if self.failures else self.reason


def judged(
    evidence: Evidence,
    name: str,
    value: float,
    quantity: Quantity,
    *,
    narrow: float | None = None,
    floor: bool = False,
) -> Verdict:
    """The verdict on a quantity that follows from the parameters, by the function that
    gives it for arrays of them. Args: as `judged_values`."""
    if evidence.doubt:
        return Verdict(
            name=name, status="undecided", value=value, reason=evidence.doubt
        )
    with np.errstate(all="ignore"):
        drawn = np.asarray(quantity(evidence.sample), float)
        at = None
        if evidence.refits is not None:
            at = np.asarray(quantity(evidence.refits.points), float)
    return judged_values(evidence, name, value, drawn, at, narrow=narrow, floor=floor)


def judged_values(
    evidence: Evidence,
    name: str,
    value: float,
    drawn: Float[np.ndarray, "draws"],
    at: Float[np.ndarray, "p"] | None,
    *,
    narrow: float | None = None,
    floor: bool = False,
    log: bool = False,
) -> Verdict:
    """The verdict on a quantity by its values.

    Args:
      value: of the fit.
      drawn: of each draw.
      at: at the points of the refits; None where there are none.
      narrow: half a 68 % interval that decides; half the value by default.
      floor: whether it is a part of the loss that may be zero.
      log: whether the values are decimal logarithms of it.
    """
    drawn = drawn[np.isfinite(drawn)]
    if evidence.doubt or not drawn.size or not np.isfinite(value):
        why = evidence.doubt or "it is not finite"
        return Verdict(name=name, status="undecided", value=value, reason=why)
    ends = around(value, percentiles(drawn))
    half = (ends[1] - ends[0]) / 2
    low, high = (float(np.quantile(drawn, q)) for q in (1 - LIMIT, LIMIT))
    none = floor and value < NOTHING * evidence.lowest
    why = moved(evidence, name, value, at, high if none else half, log=log)
    failures = evidence.failures if why else ""
    status, limit = "undecided", None
    if not why and not none and half <= (narrow or NARROW * abs(value)):
        status = "decided"
    elif not why:
        whole = (10**value, (10 ** ends[0], 10 ** ends[1])) if log else (value, ends)
        why = f"its 68 % interval is {with_interval(*whole)}: {_advice(floor)}"
        if floor and high < NEAR * evidence.lowest:
            status, limit = "upper limit", high
        elif not floor and narrow is None and low > NARROW * value:
            status, limit = "lower limit", low
    return Verdict(
        name=name,
        status=status,
        value=value,
        interval=ends,
        limit=limit,
        reason=why,
        failures=failures,
    )


def _advice(floor: bool) -> str:
    if floor:
        return "add rows at larger N and D, or fix it"
    return "add rows over a wider range, or fix a parameter"


def moved(
    evidence: Evidence,
    name: str,
    value: float,
    at: Float[np.ndarray, "p"] | None,
    half: float,
    *,
    log: bool = False,
) -> str:
    """Why the law does not hold for a quantity, by a shift of more than `half` on part
    of the rows; empty if it does, as far as can be seen."""
    refits = evidence.refits
    if refits is None or at is None:
        return "no part of the rows can be fitted to compare" * bool(evidence.failed)
    with np.errstate(all="ignore"):
        shift, error = refits.shifts(at)
    half, error = max(half, SMALL * abs(value)), np.maximum(error, 1e-300)
    later = float(at[len(shift)])  # without the steep start of learning, if any

    def there(other: float, where: str) -> str:
        first, second = (10**x if log else x for x in (value, other))
        return f"{name} is {first:.3g} with all rows, {second:.3g} {where}"

    if abs(later - value) > half:
        return there(later, "without those in the steep start of learning")
    allowed = np.full(len(shift), UNSTABLE)
    if evidence.failed:
        halves = np.array(["half" in part for part in refits.parts])
        allowed = SIGNIFICANT_HALF * halves
    far = (np.abs(shift) > half) & (np.abs(shift) > allowed * error)
    if not far.any():
        return ""
    worst = int(np.argmax(np.where(far, np.abs(shift) / error, 0)))
    return there(value + float(shift[worst]), refits.parts[worst])
