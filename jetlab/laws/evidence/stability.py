"""How far a fit moves when rows are left out, against what scatter alone moves it.

The law is refitted without its smallest and its largest N and D, without the tenth of
the rows of the largest N D and the tenth of the highest losses, to the lower half of
the losses, and to the rows of each value of a label. Near the optimum the estimates are
linear in the residuals, so the shift of a refit has a known standard error: rows that
both fits share cancel (Hausman, Econometrica 46 (1978) 1251, for nested samples).
"""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Bool, Float

from jetlab.laws.evidence.bootstrap import refit
from jetlab.laws.evidence.clusters import row_clusters
from jetlab.laws.evidence.lack_of_fit import levels
from jetlab.laws.evidence.random_effects import RandomEffects, effects_of
from jetlab.laws.fitting.information import Linearised, efficiency, scatter
from jetlab.laws.fitting.newton import ProblemBatch
from jetlab.laws.formatting import label
from jetlab.laws.result import FitResult

STEP = 1e-4  # of a coordinate, for numerical derivatives
SPARE = 2  # rows at other points that a refit has beyond its parameters
CONDITION = 1e3  # of the scaled Jacobian of a part, above which it determines no law
NEGLIGIBLE = 1e-4  # norm of a column of the Jacobian, relative, that counts as none


@dataclass(frozen=True, kw_only=True)
class Stability:
    """Refits to parts of the rows.

    Attributes:
      parts: which rows, in words, one a refit that converged.
      params: parameters of the refits.
      influence: derivative of the coordinates of each refit, less those of the whole
        fit, with respect to the residuals.
      steps: parameters of the whole fit, followed by those a step along each
        coordinate.
      effects: the scatter of the rows.
      efficiency: standard errors of the misfit over those of least squares.
    """

    parts: tuple[str, ...]
    params: dict[str, Float[np.ndarray, "m"]]
    influence: Float[np.ndarray, "m k n"]
    steps: dict[str, Float[np.ndarray, "k1"]]
    effects: RandomEffects
    efficiency: float

    @property
    def points(self) -> dict[str, Float[np.ndarray, "p"]]:
        """Parameters at which `shifts` needs a quantity: the refits, the whole fit, and
        a step along each coordinate."""
        return {n: np.append(v, self.steps[n]) for n, v in self.params.items()}

    def shifts(self, values: Float[np.ndarray, "p"]) -> tuple[np.ndarray, np.ndarray]:
        """By part: the shift of a quantity that has `values` at `points`, and the
        standard error of this shift that scatter alone gives it."""
        found, at = np.split(np.asarray(values, float), [len(self.parts)])
        slope = (at[1:] - at[0]) / STEP
        rows = np.einsum("k,mkn->mn", slope, self.influence)
        return found - at[0], self._error(rows)

    def _error(self, rows: Float[np.ndarray, "m n"]) -> Float[np.ndarray, "m"]:
        own = self.effects.within * np.sum(rows**2, axis=1)
        sums = np.stack([np.bincount(self.effects.ids, row) for row in rows])
        common = self.effects.between * np.sum(sums**2, axis=1)
        return self.efficiency * np.sqrt(own + common)


def stability(law: FitResult) -> Stability | None:
    """The refits of a fit; None where it has no parameters or no degree of freedom."""
    with jax.enable_x64(True):
        problem = law.problem
        optimum = problem.space.coordinates(law.params)
        here = law.linearised
        effects = effects_of(here, row_clusters(law))
        if effects is None:
            return None
        effects = robust(effects, here, law)
        masks = {
            name: mask
            for name, mask in parts(law).items()
            if _determines(law, mask, here)
        }
        if not masks:
            return None
        weight = np.tile(np.asarray(problem.rows.weight), (len(masks), 1))
        weight[:, : law.rows] *= np.stack(list(masks.values()))
        starts = np.tile(optimum, (len(masks), 1))
        batch = ProblemBatch.same_rows(starts, problem.rows)._replace(weight=weight)
        z, found = refit(problem, batch)
        steps = np.concatenate([optimum[None], optimum + STEP * np.eye(len(optimum))])
        names = [name for name, ok in zip(masks, found, strict=True) if ok]
        whole = _influence(here, np.ones(law.rows, bool))
        return Stability(
            parts=tuple(names),
            params=problem.space.many_params(z[found]),
            influence=np.array(
                [_influence(here, masks[name]) - whole for name in names]
            ).reshape(len(names), *whole.shape),
            steps=problem.space.many_params(steps),
            effects=effects,
            efficiency=efficiency(problem, law.rows, law.free),
        )


def robust(effects: RandomEffects, here: Linearised, law: FitResult) -> RandomEffects:
    """Independent rows scatter as their robust sigma says, which outliers do not
    dominate."""
    if effects.between or len(set(effects.ids)) < law.rows:
        return effects
    squares = law.misfit.kind == "squares"
    return effects._replace(
        within=scatter(here.residuals, law.free, squares=squares) ** 2
    )


def parts(law: FitResult) -> dict[str, Bool[np.ndarray, "n"]]:
    """The rows of each refit."""
    found: dict[str, np.ndarray] = {}
    for name in law.form.columns:
        sizes, column = levels(law.table[name]), law.table[name]
        if len(sizes) > 1:
            found[f"without the smallest {name}"] = column > sizes[0]
            found[f"without the largest {name}"] = column <= sizes[-2]
    loss = law.table["L"]
    if {"N", "D"} <= set(law.form.columns):
        product = law.table["N"] * law.table["D"]
        found["without the largest N D"] = product <= np.quantile(product, 0.9)
    found["without the highest losses"] = loss <= np.quantile(loss, 0.9)
    found["on the lower half of the losses"] = loss <= np.quantile(loss, 0.5)
    for name, column in law.labels.items():
        for value in np.unique(column):
            found[f"on the rows of {name} = {label(value)}"] = column == value
    return found


def _determines(
    law: FitResult, chosen: Bool[np.ndarray, "n"], here: Linearised
) -> bool:
    """Whether a part of the rows can be fitted."""
    points = law.table.cells(law.form.columns)[chosen]
    if chosen.all() or len(set(points)) < law.free + SPARE:
        return False
    size = np.linalg.norm(here.jacobian, axis=0)
    shown = size > NEGLIGIBLE * size.max()  # not those that run to zero
    scaled = here.jacobian[:, shown] / size[shown]
    return bool(np.linalg.cond(scaled[chosen]) < CONDITION)


def _influence(
    here: Linearised, chosen: Bool[np.ndarray, "n"]
) -> Float[np.ndarray, "k n"]:
    """Minus the pseudo-inverse of the Jacobian of a part, zero on other rows."""
    found = np.zeros(here.jacobian.shape[::-1])
    found[:, chosen] = -np.linalg.pinv(here.jacobian[chosen])
    return found
