"""Fit a law to the rows of a table.

    from jetlab.laws.fit import fit

    law = fit("additive", {"N": ..., "D": ..., "L": ...}, bootstrap=1000)
    print(law)

Fits run in float64, whatever the rest of the program uses.
"""

from collections.abc import Mapping
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jetlab.laws import forms
from jetlab.laws.evidence import bootstrap as resampling
from jetlab.laws.evidence import lack_of_fit
from jetlab.laws.evidence.clusters import Labels, cluster_ids, trajectories
from jetlab.laws.evidence.lack_of_fit import labels_of
from jetlab.laws.fitting import identifiability
from jetlab.laws.fitting.misfit import HUBER, Misfit
from jetlab.laws.fitting.newton import CONVERGED
from jetlab.laws.fitting.objective import Problem, log_residuals, pose
from jetlab.laws.fitting.solver import FINALISTS, Optimum, solve
from jetlab.laws.plans.budget import PARTICLES, flops_per_parameter, require_positive
from jetlab.laws.result import FitResult
from jetlab.laws.terms import Form
from jetlab.records import Table, TableLike

SAME_SETTINGS = 0.2  # p-value below which rows of one N, seed and rate are of one run
ONE_NUMBER = 0.01  # relative range of n_p on the rows of a table
SAME_N = 0.003  # the same for rows of one N, where no column distinguishes runs


def fit(
    form: Form | str,
    table: TableLike,
    *,
    fixed: Mapping[str, float] | None = None,
    ties: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    misfit: Misfit = HUBER,
    weight: str | None = None,
    clusters: Labels | str | None = None,
    bootstrap: int = 0,
    seed: int = 0,
    particles: float | None = None,
    left_out: Mapping[int, str] | None = None,
) -> FitResult:
    """The parameters that minimise the sum over rows of w rho(log L_fit - log L).

    Args:
      form: a form of `jetlab.laws.forms`, or its name.
      table: the form's columns and "L", one row a run.
      fixed, bounds: physical values by parameter.
      ties: exponents, each with the one that it equals.
      misfit: rho.
      weight: the column of w; only ratios count.
      clusters: labels of the rows, or the name of a column of labels. Rows of one label
        are correlated and are resampled as one. By default those are the rows of one
        training run (`laws.evidence.clusters.trajectories`), or of one N where their
        residuals agree, else the rows that agree in the form's columns.
      bootstrap: number of refits to resampled rows, for intervals.
      seed: of the bootstrap.
      particles: n_p of C = 6 n_p N D, which plans made of the fit take; 1 where D
        counts tokens. By default the mean of the table's column n_p; without one C /
        (6 N D), if that is one number on every row; else 40.
      left_out: the second result of `laws.tables.table_checks.usable`, kept for the
        report: rows without a logarithm are refused here, never dropped.

    Returns:
      The fit. Where it did not converge, or the rows do not determine the parameters,
      `reliable` is False and `issues` has the reasons.

    Raises:
      ValueError: for rows or choices that are not usable, naming them.
    """
    form = forms.get_form(form) if isinstance(form, str) else form
    table = Table(table)
    named = _named(table, clusters)
    if particles is not None:
        require_positive(particles=particles)
    with jax.enable_x64(True):
        law = _fit(pose(form, table, fixed, bounds, misfit, weight, ties), misfit)
    columns = [*form.columns, "L", *([weight] if weight else [])]
    law = replace(
        law,
        weight=weight,
        left_out=dict(left_out or {}),
        table=Table({name: np.asarray(table[name], float) for name in columns}),
        labels=labels_of(table, columns),
        particles=_particles(table) if particles is None else particles,
    )
    ids, why = named or _found(law, table)
    law = replace(law, clusters=ids, clusters_of=why)
    if not bootstrap:
        return law
    return replace(law, draws=resampling.bootstrap(law, draws=bootstrap, seed=seed))


def fit_part(law: FitResult, chosen: np.ndarray) -> FitResult:
    """The fit of `law` to the rows `chosen`, a mask or row numbers.

    Raises:
      ValueError: as `fit` does.
    """
    part = law.table.take(chosen)
    ids = None if law.clusters is None else cluster_ids(law.clusters[chosen], part.rows)
    choices = (law.fixed, law.bounds, law.misfit, law.weight, law.ties)
    whole = max(law.rows, law.min_rows)
    with jax.enable_x64(True):
        problem = pose(law.form, part, *choices, min_rows=whole)
        found = _fit(problem, law.misfit)
    return replace(
        found,
        weight=law.weight,
        table=part,
        labels=law.labels.take(chosen),
        clusters=ids,
        clusters_of=law.clusters_of,
        particles=law.particles,
        min_rows=whole,
    )


def _particles(table: Table) -> float:
    """n_p of a table."""
    if "n_p" in table:
        return float(np.mean(table["n_p"]))
    if {"N", "D", "C"} <= table.keys():
        found = table["C"] / (flops_per_parameter(1.0) * table["N"] * table["D"])
        if np.ptp(found) < ONE_NUMBER * np.mean(found):
            return float(np.mean(found))
    return PARTICLES


def _named(
    table: Table, clusters: Labels | str | None
) -> tuple[np.ndarray, str] | None:
    """Cluster numbers of the rows, and by what; None where no clusters are named."""
    if clusters is None:
        return None
    if not isinstance(clusters, str):
        return cluster_ids(clusters, table.rows), "labels given"
    if clusters not in table:
        raise ValueError(f"the table has no column {clusters}; it has {list(table)}")
    return cluster_ids(table[clusters], table.rows), f"column {clusters}"


def _found(law: FitResult, table: Table) -> tuple[np.ndarray | None, str]:
    """Clusters of rows of one training run. A column that names the runs is enough;
    rows of one N and seed, or of one N, may be separate runs: their residuals must
    agree, and those of one cell must not agree for themselves."""
    named = trajectories(table, law.form.columns)
    if named is None or (not named.certain and lack_of_fit.cells_agree(law)):
        return None, ""
    why = f"rows of equal {', '.join(named.columns)}"
    if named.certain:
        return named.ids, why
    p = lack_of_fit.agreement(law, named.ids)
    if p > (SAME_SETTINGS if len(named.columns) > 1 else SAME_N):
        return None, ""
    return named.ids, f"{why}, which err alike (p = {p:.1g})"


def _fit(problem: Problem, misfit: Misfit) -> FitResult:
    reason = identifiability.underdetermined(problem)
    if reason:
        return _unsolved(problem, misfit, reason)
    optimum = solve(problem, absolute=misfit.kind == "absolute")
    stray = _not_converged(optimum)
    left = np.asarray(log_residuals(jnp.asarray(optimum.z), problem))
    return _result(
        problem,
        misfit,
        params=problem.space.params(optimum.z),
        objective=optimum.objective,
        converged=not stray,
        outcome=stray or "converged",
        residuals=left[: problem.rows.count],
    )


def _not_converged(optimum: Optimum) -> str:
    """Why the point may not be the optimum; empty if it is."""
    if not optimum.relative_gradient <= CONVERGED:
        return (
            f"not converged: the relative gradient is {optimum.relative_gradient:.1g},"
            f" {CONVERGED:g} allowed: fix or bound a parameter"
        )
    if optimum.starts < 2:
        return (
            f"not converged: only 1 of {FINALISTS} starting points reached the lowest"
            " objective, 2 required, so a lower one may exist: bound or fix a parameter"
        )
    return ""


def _unsolved(problem: Problem, misfit: Misfit, reason: str) -> FitResult:
    """A fit of rows that are too few or too alike for any number."""
    names = problem.space.form.names
    return _result(
        problem,
        misfit,
        params=dict.fromkeys(names, np.nan) | problem.space.fixed,
        objective=np.nan,
        converged=False,
        outcome=f"not fitted: {reason}",
        residuals=np.full(problem.rows.count, np.nan),
    )


def _result(
    problem: Problem,
    misfit: Misfit,
    *,
    params: dict[str, float],
    objective: float,
    converged: bool,
    outcome: str,
    residuals: Float[np.ndarray, "n"],
) -> FitResult:
    """The outcome beside the choices that it was asked with."""
    space, rows, _ = problem
    return FitResult(
        form=space.form,
        params=params,
        objective=objective,
        converged=converged,
        outcome=outcome,
        residuals=residuals,
        rows=rows.count,
        span=identifiability.span(rows.logs),
        fixed=space.fixed,
        bounds=space.bounds,
        ties=dict(space.ties),
        misfit=misfit,
    )
