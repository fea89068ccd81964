"""The verdicts of a fit, and what they rest on."""

from collections.abc import Mapping
from dataclasses import replace

import jax
import numpy as np

from jetlab.laws.derived import optimal_exponents
from jetlab.laws.evidence.clusters import row_clusters, too_few
from jetlab.laws.evidence.intervals import around, percentiles, student_factor
from jetlab.laws.evidence.lack_of_fit import law_tests
from jetlab.laws.evidence.random_effects import effects_of
from jetlab.laws.evidence.stability import robust, stability
from jetlab.laws.evidence.steep_start import steep_start
from jetlab.laws.evidence.verdict import (
    NARROW,
    NOTHING,
    Evidence,
    Quantity,
    Verdict,
    judged,
)
from jetlab.laws.fit import fit_part
from jetlab.laws.fitting import identifiability
from jetlab.laws.fitting.information import efficiency
from jetlab.laws.result import FINEST, FitResult
from jetlab.laws.terms import Parameter, exponent_name

NARROW_SHARE = 0.1  # half a 68 % interval of a or a_D
FREEDOM = 3  # rows beyond the parameters, below which the scatter is not known
SPAN, REACH = 100.0, 10.0  # factors in D and in L - L_inf that one curve must have
LINEAR_DRAWS = 1000  # of a fit without bootstrap
FARTHEST = 30.0  # of a coordinate from the optimum in such a draw


def evidence(law: FitResult) -> Evidence:
    """What the verdicts of a fit rest on. `law.evidence` keeps it."""
    sample, doubt = {}, _doubt(law)
    if not doubt:
        sample, doubt = _sample(law)
    if doubt or not law.table:
        return Evidence(sample=sample, doubt=doubt)
    start = steep_start(law)
    later = fit_part(law, ~start) if start.any() else law
    if not later.converged:
        later = law
    if short := _short_curve(later):
        return Evidence(sample=sample, doubt=short)
    return Evidence(
        sample=sample,
        tests=law_tests(later),
        refits=stability(later),
        lowest=float(np.min(law.table["L"])),
    )


def _doubt(law: FitResult) -> str:
    """Why nothing is decided."""
    if law.doubt:
        return law.doubt
    finite = bool(np.isfinite([*law.params.values(), law.objective]).all())
    if not law.converged:
        mixed = _not_separated(law).values() if law.table and finite else ()
        return "; ".join(dict.fromkeys([law.outcome, *mixed]))
    if not finite:
        return "the fit has no parameters"
    if not law.table:
        return ""
    if law.weight and law.weight not in law.table:
        return "the file lacks the weights of its rows: fit again"
    spare = law.rows - law.free
    if spare < FREEDOM and not law.scatter <= FINEST:
        return (
            f"{law.rows} rows leave {spare} degrees of freedom beside {law.free}"
            f" parameters, which do not give their scatter: add {FREEDOM - spare} rows"
            " or more, or fix parameters"
        )
    return ""


def _short_curve(law: FitResult) -> str:
    """Why one learning curve cannot separate its floor from a slower fall; `law` is
    that of the rows after the steep start. A floor near zero has an upper limit.

    The bend of a curve at its beginning is taken for a floor ahead: on relabelled jets,
    whose floor is known, curves of repeated data over a factor 8 in D had it 5 and 16 %
    too high, by 3 and 12 of their half-widths (experiments/LOG.md, 2026-11-28). A grid
    in N and D has many curves, which do not bend alike.
    """
    floor = law.params.get("L_inf", 0.0)
    ahead = floor > NOTHING * float(np.min(law.table["L"]))
    column, *others = law.form.columns
    if others or "L_inf" in law.fixed or not ahead:
        return ""
    low, high = law.span[column]
    above = law.predict(law.table) - floor
    fall = float(above.max() / above.min())
    if (high >= SPAN * low and fall >= REACH) or law.scatter <= FINEST:
        return ""
    return (
        f"one curve over a factor {high / low:.3g} in {column}, along which the loss"
        f" above L_inf falls by {fall:.3g}, cannot separate its floor from a slower"
        f" fall: add rows until these are {SPAN:g} and {REACH:g}, or fix L_inf"
    )


def _sample(law: FitResult) -> tuple[dict[str, np.ndarray], str]:
    """Draws of the parameters, or why there are none."""
    if law.draws is not None:
        return law.draws.values, "" if law.draws.values else law.draws.message
    if not law.table:  # parameters stated by somebody else
        return {name: np.array([value]) for name, value in law.params.items()}, ""
    ids = row_clusters(law)
    with jax.enable_x64(True):
        problem = law.problem
        optimum = problem.space.coordinates(law.params)
        here = law.linearised
        effects = effects_of(here, ids)
        if effects is None:
            return {}, too_few(int(ids.max()) + 1, law.free)
        effects = robust(effects, here, law)
        scatter = effects.drawn(np.random.default_rng(0), LINEAR_DRAWS)
        scatter *= efficiency(problem, law.rows, law.free)
        steps = scatter @ np.linalg.pinv(here.jacobian).T
        steps *= student_factor(effects.freedom)
        z = optimum + np.clip(steps, -FARTHEST, FARTHEST)
        return problem.space.many_params(z), ""


def _not_separated(law: FitResult) -> dict[str, str]:
    """Parameters that the rows cannot separate or that run to a bound, with why."""
    with jax.enable_x64(True):
        z = law.problem.space.coordinates(law.params)
        return identifiability.not_separated(law.problem, z)


def verdicts(law: FitResult) -> dict[str, Verdict]:
    """What is known of each parameter and derived exponent. `law.verdicts` keeps
    them."""
    found = {name: _parameter_verdict(law, name) for name in law.params}
    unseen = _open_reasons(law)
    for name, why in unseen.items():
        if name not in law.fixed:
            found[name] = _undecided(law, name, why)
    if law.evidence.doubt:
        return found | {n: _undecided(law, n, law.evidence.doubt) for n in law.derived}
    for parameter in law.form.parameters:  # log A is known as well as alpha is
        if parameter.name not in law.fixed and (own := _exponents_of(parameter)):
            found[parameter.name] = _as_exponents(law, found, parameter.name, own)
    for name in law.derived:
        found[name] = _derived_verdict(law, unseen, name)
    return found


def _open_reasons(law: FitResult) -> dict[str, str]:
    """Parameters that the rows do not show or cannot separate, with why."""
    if law.evidence.doubt or not law.table:
        return {}
    return _unseen(law) | _not_separated(law)


def _undecided(law: FitResult, name: str, why: str) -> Verdict:
    value = {**law.params, **law.derived}[name]
    drawn = law.draws and law.draws.values
    ends = law.interval(name) if drawn else None
    return Verdict(
        name=name, status="undecided", value=value, interval=ends, reason=why
    )


def _parameter_verdict(law: FitResult, name: str) -> Verdict:
    if name in law.fixed:
        return Verdict(name=name, status="fixed", value=law.params[name])
    if law.evidence.doubt:
        return _undecided(law, name, law.evidence.doubt)
    (parameter,) = (p for p in law.form.parameters if p.name == name)
    floor = parameter.positive and parameter.unit == (("L", 1.0),)
    return judged(law.evidence, name, law.params[name], _get(name), floor=floor)


def _get(name: str) -> Quantity:
    return lambda params: np.asarray(params[name])


def _exponents_of(parameter: Parameter) -> list[str]:
    return [exponent_name(p) for _, p in parameter.unit if isinstance(p, str)]


def _as_exponents(
    law: FitResult, found: Mapping[str, Verdict], name: str, exponents: list[str]
) -> Verdict:
    """The verdict on a scale: a change of its exponent by a hundredth moves it by a
    fifth, so its interval is as wide as it may be."""
    for exponent in exponents:
        if not found[exponent].known:
            one = found[exponent]
            same = _undecided(law, name, one.reason)
            return replace(same, failures=one.failures)
    value = law.params[name]
    ends = around(value, percentiles(law.evidence.sample[name]))
    return Verdict(name=name, status="decided", value=value, interval=ends)


def _derived_verdict(law: FitResult, unseen: Mapping[str, str], name: str) -> Verdict:
    """The verdict on a or gamma: undecided where the exponents are not seen, else by
    its own interval, which may be narrow where those of the exponents are not."""
    for exponent in ("alpha", "beta"):
        if exponent in unseen and exponent not in law.fixed:
            return _undecided(law, name, unseen[exponent])
    return judged(
        law.evidence,
        name,
        law.derived[name],
        lambda params: np.asarray(optimal_exponents(params)[name]),
        narrow=NARROW_SHARE if name in ("a", "a_D") else None,
    )


def _unseen(law: FitResult) -> dict[str, str]:
    """Scales and exponents of terms that no row shows: at none is the term, a power of
    one column, known to half of its size."""
    found = {}
    for scale in law.form.parameters:
        powers = [(c, p) for c, p in scale.unit if isinstance(p, str)]
        if not scale.positive or len(powers) != 1 or powers[0][1].startswith("-"):
            continue
        column, written = powers[0]
        exponent, doubled = exponent_name(written), written.startswith("2 ")
        if column not in law.table:
            continue
        x = np.log(np.unique(law.table[column]))
        sample = law.evidence.sample
        power = 2 * sample[exponent] if doubled else sample[exponent]
        with np.errstate(all="ignore"):  # a scale that runs to zero has no logarithm
            logs = np.log(sample[scale.name]) - np.outer(x, power)
            low, high = percentiles(logs.T)
            error = float(np.min(high - low)) / 2
        if not error <= NARROW:
            why = (
                f"no row shows the term of {column}: it is known to {100 * error:.0f} %"
                f" at best, {100 * NARROW:.0f} % allowed; add rows at more values of"
                f" {column} (now {np.exp(x[0]):.2g} to {np.exp(x[-1]):.2g})"
            )
            found |= {scale.name: why, exponent: why}
    return found


def summary(law: FitResult) -> str:
    """The verdict on the law in a line."""
    if law.evidence.doubt:
        return f"undecided: {law.evidence.doubt}"
    known = [name for name, one in law.verdicts.items() if one.known]
    rest = [name for name, one in law.verdicts.items() if not one.known]
    if not rest:
        return "decided"
    if not known:
        return "undecided"
    return f"decided in part: {', '.join(known)}; not {', '.join(rest)}"
