"""What a study of learning rates says in words."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from jetlab.laws.result import FitResult
from jetlab.records import Record
from jetlab.runs.tables import with_interval
from jetlab.studies.rates.arms import PAPER, Arm, Pair
from jetlab.studies.rates.best import DEMO, RateLaw, Scan, luck, scatter_of_seeds


def measured(records: Sequence[Record]) -> list[str]:
    """How the losses were measured, and which runs have none."""
    done = [record for record in records if record.status == "done"]
    errors = [r.loss_error / r.loss for r in done if r.loss and r.loss_error]
    words = [
        f"Validation: {records[0].num_valid} jets, the same for every run, so that"
        " their luck is largely common to the arms and hardly moves the choice of a"
        " rate"
        + (f"; alone it is at most {100 * max(errors):.2f} %." if errors else ".")
    ]
    if any(record.trajectory for record in records):
        words.append(
            "Single passes of one width, rate and seed lie on one trajectory and share"
            " their luck, of which the intervals do not know."
        )
    lost = Counter(r.learning_rate for r in records if r.status != "done")
    if lost:
        named = ", ".join(f"{lost[rate]} at {rate:.2g}" for rate in sorted(lost))
        words.append(
            f"{sum(lost.values())} runs diverged or failed: {named}. Such a rate is not"
            " chosen in its cell."
        )
    return words


def of_arm(name: str, arm: Arm) -> str:
    begun = f"{len(arm.rows['L'])} of its {arm.runs} runs have learned"
    if arm.laws is None:
        return f"Arm {name!r}: {begun} (5 % below guessing): there is nothing to fit."
    laws = {"free": arm.laws.free, "L_inf known": arm.laws.pinned}
    said = [f"{kind}: {law.message}" for kind, law in laws.items() if law]
    return f"Arm {name!r}: {begun} and are fitted; {'; '.join(said)}."


def of_pair(pair: Pair) -> str:
    where = f"From {pair.names[0]!r} to {pair.names[1]!r} ({pair.kind})"
    if isinstance(pair.found, str):
        return f"{where}: no difference of laws on {pair.shared} runs: {pair.found}."
    found = pair.found
    moves = [
        f"{name} by {with_interval(found.values[name], found.paired[name])}"
        for name in PAPER
        if name in found.values
    ]
    real = [name for name in PAPER if name in found.values and found.differs(name)]
    return (
        f"{where}, on {pair.shared} runs of both: the loss changes by"
        f" {100 * np.expm1(pair.median):+.2f} % (median); {', '.join(moves)};"
        + (
            f" these runs do not decide the law of {' and '.join(pair.open)}."
            if pair.open
            else f" beyond 68 %: {', '.join(real) or 'none'}."
        )
    )


def of_rates(begun: Scan, law: RateLaw | None) -> list[str]:
    low, high = int(begun.at_low_end.sum()), int(begun.at_high_end.sum())
    words = []
    if low + high:
        words.append(
            f"Not tuned: in {low + high} of {len(begun.N)} cells the best rate is at an"
            f" end of the grid ({low} at the lowest, {high} at the highest); the best"
            " of all may lie beyond. They are left out of p and q, which then come out"
            " too small where the best rates scatter about their law."
        )
    if open_ := int((begun.inside & ~np.isfinite(begun.optimum)).sum()):
        words.append(
            f"In {open_} cells a rate beside the best did not finish: no parabola."
        )
    if law is None:
        used = int(np.isfinite(begun.optimum).sum())
        words.append(
            f"No power law of the best rate: {used} cells have it inside the grid, too"
            " few or too alike to tell p and q."
        )
    else:
        p, q = (with_interval(law.params[n], law.intervals[n]) for n in ("p", "q"))
        words.append(
            f"The best rate falls as d^-p T^-q, T = D / batch: p {p}, q {q}, from"
            f" {law.cells} cells (demonstration by the paper's group on another task:"
            f" {DEMO['p']} and {DEMO['q']})."
        )
    return words


def of_luck(begun: Scan, tuned: FitResult | None) -> list[str]:
    """How far the tuned losses are low by chance: measured by seeds, or bounded."""
    if not len(begun.N):
        return []
    scatter, source = scatter_of_seeds(begun), "seeds scatter between rates by"
    if np.isnan(scatter):
        scatter = tuned.scatter if tuned else np.nan
        source = (
            "one seed does not tell the scatter between rates; were it all of the"
            " scatter about the tuned law, misfit included,"
        )
    if np.isnan(scatter):
        return ["Nothing tells how far luck lowers the tuned losses: take two seeds."]
    fallen = 100 * np.abs(luck(begun, scatter))
    return [
        f"Choosing the lowest of noisy losses: {source} {100 * scatter:.2f} %; that"
        f" lowers the tuned losses by {fallen.mean():.2f} % on average"
        f" ({fallen.min():.2f} to {fallen.max():.2f} % by cell). An equal share in"
        " every cell moves L_inf by that share and no exponent."
    ]
