"""What a study reaches in background rejection, by inputs: the best run, R(L) of each
class, the floor of the loss and the ideal tagger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jetlab.data.shower.bayes_limit import KnownRejection, known_rejections
from jetlab.records import Record
from jetlab.studies.inputs import fit_inputs
from jetlab.studies.joint_law import known_floor, preferred
from jetlab.studies.rejection_laws import RejectionLaw, rejection_laws


class LowestLoss(NamedTuple):
    """The loss that no more jets would lower, and draws of it."""

    loss: float
    draws: Float[np.ndarray, "m"]


@dataclass(frozen=True, kw_only=True)
class RejectionResult:
    """What is reached with one input configuration.

    Attributes:
      best: the run of the lowest loss.
      laws: R(L) of each signal class.
      lowest: the known floor, or L_inf of Eq. 4 where it is identified, or None.
      ideal: rejections of the ideal tagger by class and efficiency, where known.
    """

    label: str
    records: Sequence[Record]
    best: Record
    laws: Mapping[str, RejectionLaw]
    lowest: LowestLoss | None
    ideal: Mapping[tuple[str, float], KnownRejection]


def rejection_results(records: Sequence[Record]) -> list[RejectionResult]:
    """A result for each input configuration with rejections of a run that has learned,
    in the order of the records."""
    results = []
    for label in dict.fromkeys(record.inputs for record in records):
        own = [r for r in records if r.inputs == label and r.status == "done"]
        laws = rejection_laws(own)
        if laws:
            with_rejections = [record for record in own if record.rejections]
            results.append(
                RejectionResult(
                    label=label,
                    records=own,
                    best=min(with_rejections, key=lambda r: r.loss or np.inf),
                    laws=laws,
                    lowest=_lowest_loss(own),
                    ideal=_ideal(own[0]),
                )
            )
    return results


def _ideal(record: Record) -> Mapping[tuple[str, float], KnownRejection]:
    """Rejections of the best tagger: of the very validation jets of a run, or of the
    simulator of its jets; empty where neither is known."""
    if record.ideal_rejections:
        return {
            (r.signal, r.efficiency): (r.value, r.low, r.high)
            for r in record.ideal_rejections
        }
    return known_rejections(record.source, record.inputs) or {}


def _lowest_loss(records: Sequence[Record]) -> LowestLoss | None:
    floor = known_floor(records[0])
    if floor:
        draws = np.random.default_rng(0).normal(*floor, size=1000)
        return LowestLoss(floor[0], draws)
    for one in fit_inputs(records):
        law = preferred(one.fits)
        if law.identified and law.draws:
            return LowestLoss(law.params["L_inf"], law.draws.values["L_inf"])
    return None
