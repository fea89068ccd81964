"""The result of a fit: parameters, intervals, verdict, warnings and its own rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Float, Int

from jetlab.laws.derived import optimal_exponents
from jetlab.laws.evidence.draws import Draws
from jetlab.laws.evidence.intervals import CONFIDENCE_LEVEL, around, percentiles
from jetlab.laws.fitting.information import Linearised, linearise, scatter
from jetlab.laws.fitting.misfit import HUBER, Misfit
from jetlab.laws.fitting.objective import Problem, pose
from jetlab.laws.plans.budget import PARTICLES
from jetlab.laws.tables import table_checks
from jetlab.laws.terms import Form
from jetlab.records import Table

if TYPE_CHECKING:
    import jetlab.laws.evidence.diagnostics
    import jetlab.laws.evidence.verdict

OUTLYING = 5.0  # robust sigmas
FINEST = 1e-6  # of log L: a scatter below it is the arithmetic's


@dataclass(frozen=True, kw_only=True, repr=False)
class FitResult:
    """A form fitted to the rows of a table.

        law = fit("additive", table, bootstrap=1000)
        print(law)
        law.params["alpha"], law.interval("alpha"), law.derived["a"]

    Attributes:
      params: physical values by name; NaN where there was nothing to fit.
      objective: weighted sum of the misfit of log residuals.
      converged: whether the optimum was found; `outcome` says so, or why not.
      residuals: log(fitted) - log(L), row by row.
      rows: number of rows fitted.
      span: range of each column in the rows, and of their product "ND" where the form
        has both N and D.
      table: the rows fitted: the form's columns, L, and the column `weight` if named.
      labels: further columns of the table that tell rows apart (learning rate, seed,
        experiment): the residuals are tested for a dependence on them.
      clusters: number of each row's cluster, where clusters were named or found;
        `clusters_of` says by what.
      particles: n_p of C = 6 n_p N D, for plans.
      min_rows: to which the table is padded at least, so that fits to parts of a table
        share the compiled programs of the whole.
      doubt: a reason from outside the fit why it decides nothing.
      left_out: the reason by number (from 0) of each row of the given table that was
        not fitted.
    """

    form: Form
    params: dict[str, float]
    objective: float
    converged: bool
    outcome: str
    rows: int
    span: dict[str, tuple[float, float]]
    residuals: Float[np.ndarray, "n"]
    fixed: dict[str, float] = field(default_factory=dict)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    ties: dict[str, str] = field(default_factory=dict)
    draws: Draws | None = None
    misfit: Misfit = HUBER
    weight: str | None = None
    left_out: dict[int, str] = field(default_factory=dict)
    table: Table = field(default_factory=Table)
    labels: Table = field(default_factory=Table)
    clusters: Int[np.ndarray, "n"] | None = None
    clusters_of: str = ""
    particles: float = PARTICLES
    min_rows: int = 0
    doubt: str = ""

    @cached_property
    def problem(self) -> Problem:
        """The problem that was solved.

        Raises:
          ValueError: for a fit whose table is not complete, as in files of weighted
            fits from before weights were kept.
        """
        choices = (self.fixed, self.bounds, self.misfit, self.weight, self.ties)
        with jax.enable_x64(True):
            return pose(self.form, self.table, *choices, min_rows=self.min_rows)

    @cached_property
    def linearised(self) -> Linearised:
        """Residuals and Jacobian at the optimum, of the problem that was solved."""
        with jax.enable_x64(True):
            return linearise(self.problem, self.problem.space.coordinates(self.params))

    @property
    def points(self) -> dict[str, Float[np.ndarray, "n"]]:
        """The form's columns of the rows fitted."""
        return {name: self.table[name] for name in self.form.columns}

    @property
    def scatter(self) -> float:
        """Robust sigma of log L about the law (`information.scatter`)."""
        if self.rows <= self.free:
            return np.nan
        squares = self.misfit.kind == "squares"
        return scatter(self.residuals, self.free, squares=squares)

    @property
    def free(self) -> int:
        """Number of parameters that were fitted."""
        return len(self.free_names)

    @property
    def free_names(self) -> list[str]:
        """Names of the parameters that were fitted."""
        given = {*self.fixed, *self.ties}
        return [name for name in self.form.names if name not in given]

    @property
    def outliers(self) -> tuple[int, ...]:
        """Rows (from 0) more than five robust sigmas off the law, the farthest first.
        They are part of the fit."""
        size = np.abs(self.residuals)
        far = np.flatnonzero(size > OUTLYING * max(self.scatter, FINEST))
        return tuple(int(i) for i in far[np.argsort(-size[far])])

    @cached_property
    def evidence(self) -> "jetlab.laws.evidence.verdict.Evidence":
        """What the verdicts rest on; computed on first use, by some ten refits."""
        from jetlab.laws.evidence import assessment

        return assessment.evidence(self)

    @cached_property
    def verdicts(self) -> "dict[str, jetlab.laws.evidence.verdict.Verdict]":
        """What is known of each parameter and derived exponent."""
        from jetlab.laws.evidence import assessment

        return assessment.verdicts(self)

    @property
    def summary(self) -> str:
        """The verdict on the law in a line."""
        from jetlab.laws.evidence import assessment

        return assessment.summary(self)

    @property
    def identified(self) -> bool:
        """Whether every parameter is decided, has a limit or is fixed."""
        return all(self.verdicts[name].known for name in self.params)

    @property
    def reliable(self) -> bool:
        """Whether all the numbers may be quoted: converged and identified."""
        return self.converged and self.identified

    @property
    def message(self) -> str:
        """The verdict and its reasons in one string."""
        from jetlab.laws.evidence import fit_warnings

        found = self.issues or (self.outcome, "identified")
        return "; ".join([*found, *fit_warnings.exceptions(self)])

    @property
    def issues(self) -> tuple[str, ...]:
        """Why the fit or a parameter is undecided; empty if none is."""
        from jetlab.laws.evidence import fit_warnings

        return fit_warnings.issues(self)

    @property
    def warnings(self) -> list[str]:
        """Sentences on the fit, its rows and its intervals; empty if all is well."""
        from jetlab.laws.evidence import fit_warnings

        return fit_warnings.warnings(self)

    @property
    def remarks(self) -> list[str]:
        """Sentences on what looks wrong in the table (`table_checks.remarks`)."""
        if not self.table:
            return []
        falls = self.form.name not in ("transfer", "rejection")
        return table_checks.remarks(self.table, falls=falls)

    @cached_property
    def diagnostics(self) -> "jetlab.laws.evidence.diagnostics.Diagnostics":
        """Condition number, gap to the floor, trends of the residuals and backtests;
        computed on first use, by some ten fits to parts of the rows."""
        from jetlab.laws.evidence.diagnostics import diagnose

        return diagnose(self)

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The fitted loss at each row of the form's columns."""
        return self.form.predict(self.params, columns)

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """68 % intervals, of no width for fixed parameters; empty without draws."""
        if not self.draws or not self.draws.values:
            return {}
        return {name: self.interval(name) for name in self.params}

    @property
    def derived(self) -> dict[str, float]:
        """a, a_D and gamma of a law with N and D (`optimal_exponents`); empty for
        others."""
        derived = optimal_exponents(self.params)
        return {name: float(value) for name, value in derived.items()}

    def interval(
        self, name: str, level: float = CONFIDENCE_LEVEL
    ) -> tuple[float, float]:
        """Percentile interval of a parameter or a derived exponent over the draws, of
        no width for a fixed parameter. Draws need not be centred on the fitted value;
        an interval that would not hold it is extended to it.

        Raises:
          ValueError: for an unknown name, or a fit without draws.
        """
        if name in self.fixed:
            return self.fixed[name], self.fixed[name]
        if name not in {*self.params, *self.derived}:
            known = ", ".join([*self.params, *self.derived])
            raise ValueError(f"the fit has no {name}; it has {known}")
        draws = self.draws.values if self.draws else {}
        values = {**draws, **optimal_exponents(draws)}
        if name not in values or not values[name].size:
            raise ValueError(f"no interval of {name}: fit with bootstrap=1000")
        value = {**self.params, **self.derived}[name]
        return around(value, percentiles(values[name], level))

    def __repr__(self) -> str:
        """About ten lines: the verdict, form, rows, what is known of each quantity,
        warnings."""
        size = f"{self.rows} rows, scatter {100 * self.scatter:.2g} %"
        lines = [
            f"{self.form.name}: {self.summary}",
            f"  {self.form.formula}; {size}; {self.misfit.words}: {self.objective:.6g}",
            *(f"  {one.words}" for one in self.verdicts.values()),
            *(f"  warning: {sentence}" for sentence in self.warnings),
        ]
        return "\n".join(lines)

    def plot(self, path: str | Path | None = None) -> Any:
        """Loss of the rows and of the law against D, a colour for each N, with the
        floor; against the one column of other forms. Saved to `path`, if given; the
        `matplotlib.figure.Figure` is returned.

        Raises:
          ValueError: for a fit without parameters, or a form of other columns.
        """
        from jetlab.laws.plots import loss_figure

        figure = loss_figure(self)
        if path is not None:
            figure.savefig(path)
        return figure

    def to_json(
        self, *, diagnostics: bool = False, level: float = CONFIDENCE_LEVEL
    ) -> str:
        """One object, with null for a number that is not finite and intervals at
        `level`; with `diagnostics` also those, as `evidence`, and the remarks.

        Scripts may rely on `params`, `intervals`, `objective`, `converged`,
        `identified` and `rows`; `from_json` reads the rest back.
        """
        from jetlab.laws import fit_io

        if not diagnostics:
            return fit_io.to_json(self, level)
        more = {"evidence": self.diagnostics.record(), "remarks": self.remarks}
        return fit_io.to_json(self, level, **more)

    @classmethod
    def from_json(cls, text: str) -> "FitResult":
        """A fit as `to_json` wrote it. Raises ValueError for anything else."""
        from jetlab.laws import fit_io

        return fit_io.from_json(text)
