"""The exponent a under each way to count parameters.

N may be all parameters, those without embeddings, those without the head: the loss is
the same, the law is not. Small networks differ most, and a law in a count that leaves
out what they are mostly made of is bent (arXiv:2406.12907 finds that this explains
Kaplan's exponent). A count under which a holds still as the smallest networks are left
out is one to plan by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan

import numpy as np

from jetlab.laws import forms
from jetlab.laws.fit import fit
from jetlab.laws.misfit import HUBER, Misfit
from jetlab.laws.result import FitResult


@dataclass(frozen=True, kw_only=True)
class Convention:
    """The law with N counted one way: its fit, the exponent a = beta / (alpha + beta),
    and `larger`, the same without the smallest third of the sizes (NaN where either
    fit does not converge or the rows do not decide it)."""

    column: str
    law: FitResult
    a: float
    larger: float

    @property
    def drift(self) -> float:
        """How far a moves when the smallest sizes are left out."""
        return self.larger - self.a


def conventions(
    rows: Mapping[str, np.ndarray], columns: Sequence[str], *, misfit: Misfit = HUBER
) -> tuple[Convention, ...]:
    """The additive law fitted with N from each of `columns`, beside columns D and L, in
    the order given. Raises ValueError as `fit` does."""
    return tuple(_convention(rows, column, misfit) for column in columns)


def _convention(
    rows: Mapping[str, np.ndarray], column: str, misfit: Misfit
) -> Convention:
    if column not in rows:
        raise ValueError(f"the table has no column {column}; it has {list(rows)}")
    table = {"N": rows[column], "D": rows["D"], "L": rows["L"]}
    law = fit(forms.additive, table, misfit=misfit)
    sizes = np.unique(table["N"])
    large = np.asarray(table["N"]) >= sizes[len(sizes) // 3]
    rest = {name: np.asarray(values)[large] for name, values in table.items()}
    part = fit(forms.additive, rest, misfit=misfit)
    return Convention(column=column, law=law, a=_exponent(law), larger=_exponent(part))


def _exponent(law: FitResult) -> float:
    alpha, beta = law.params["alpha"], law.params["beta"]
    told = law.converged and law.identified and isfinite(alpha + beta)
    return beta / (alpha + beta) if told else nan
