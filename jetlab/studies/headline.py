"""The first screen of a report on a law: what is known, what is not, what is next."""

from typing import Any

from jetlab.laws.formatting import scientific, with_interval
from jetlab.laws.plans.allocation import allocate
from jetlab.laws.plans.budget import flops_per_parameter
from jetlab.laws.result import FitResult
from jetlab.studies.joint_law import FREE, Fits, Floor, has_optimum, preferred

AHEAD = 10.0  # times the largest compute of the runs: the budget of the first screen

MEANINGS = {
    "L_inf": "floor of the loss [nats], reached with endless jets and parameters",
    "alpha": "exponent of the model size N",
    "beta": "exponent of the number of training jets D",
    "a": "share of more compute, in powers, that goes into N",
    "beta_rep": "exponent of the number of repeated jets",
}


def first_screen(law: FitResult, floor: Floor | None) -> dict[str, Any]:
    """The fields `known`, `unknown` and `advice` of findings on a law."""
    lines = {"known": known(law, floor), "unknown": unknown(law, floor)}
    return {**lines, "advice": best_use(law)}


def known(law: FitResult, floor: Floor | None) -> list[str]:
    """What the rows decide, with 68 % intervals, the floor beside its known value."""
    lines = []
    for name, meaning in MEANINGS.items():
        verdict = law.verdicts.get(name)
        if verdict is None or not verdict.known or name in law.fixed:
            continue
        line = f"{verdict.words}: {meaning}"
        if name == "L_inf" and floor:
            line += f"; {_beside(law, floor)}"
        lines.append(f"{line}.")
    return lines


def _beside(law: FitResult, floor: Floor) -> str:
    """The fitted floor beside the known one."""
    value, off = floor[0], 100 * (law.params["L_inf"] / floor[0] - 1)
    if "L_inf" not in law.intervals:
        return f"the known floor is {value:.4g} ({off:+.1f} %)"
    low, high = law.interval("L_inf")
    held = "inside" if low <= value <= high else "outside"
    return f"the known floor is {value:.4g}, {held} the interval ({off:+.1f} %)"


def unknown(law: FitResult, floor: Floor | None) -> list[str]:
    """What they do not decide, and why; beside the floor, where it is known."""
    beside = f"; the known floor is {floor[0]:.4g}" if floor else ""
    return [
        f"{law.verdicts[name].words}: {law.verdicts[name].why}"
        f"{beside if name == 'L_inf' else ''}."
        for name in MEANINGS
        if name in law.verdicts and not law.verdicts[name].known
    ]


def free_floor(fits: Fits, floor: Floor | None) -> list[str]:
    """A line on L_inf of the free fit where the fit at the known floor is used; none
    where the free one is."""
    free = fits[FREE]
    if preferred(fits) is free or not floor:
        return []
    verdict = free.verdicts["L_inf"]
    why = f": {verdict.why}" if verdict.why else ""
    return [f"Fitted freely, {verdict.words}{why}; {_beside(free, floor)}."]


def best_use(law: FitResult) -> list[str]:
    """What `AHEAD` times the largest compute of the runs should buy."""
    if not has_optimum(law):
        return ["No plans: in the fit L does not fall with both N and D."]
    budget = AHEAD * law.span["ND"][1] * flops_per_parameter(law.particles)
    plan = allocate(law, flops=budget)
    words = [f"{name} = {scientific(getattr(plan, name))}" for name in ("N", "D")]
    loss = with_interval(plan.loss, plan.intervals.get("loss"))
    doubt = "" if plan.verdicts["loss"].known else " [undecided]"
    return [
        f"{scientific(budget)} FLOPs, {AHEAD:g} times the largest run, are best spent"
        f" on {' and '.join(words)}: loss {loss}{doubt}."
    ]
