"""From the loss to an analysis: Figs. 5 and 6 of arXiv:2602.15781, and on the shower
what the best possible tagger rejects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jetlab.data.features import INPUTS
from jetlab.data.shower.bayes_limit import KnownRejection, known_limit, known_rejections
from jetlab.physics.metrics import BACKGROUND, EFFICIENCIES
from jetlab.records import Record
from jetlab.runs.plots import Figure
from jetlab.runs.tables import with_interval
from jetlab.studies.performance import figures
from jetlab.studies.performance.figures import Curve
from jetlab.studies.performance.rejection_laws import (
    RejectionLaw,
    at_loss,
    mapping,
    mappings,
)
from jetlab.studies.repetition.inputs import configurations

TOP = "Tbqq"

PART = {
    "Hbb": 9569.0, "Hcc": 2911.0, "Hgg": 112.0, "H4q": 1185.0, "Hqql": 3868.0,
    "Zqq": 311.0, "Wqq": 384.0, "Tbqq": 17699.0, "Tbl": 12987.0,
}  # fmt: skip
"""Rejections of ParT (plain) on JetClass, 100M jets (arXiv:2202.03772, Table 2)."""


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The loss that no more jets lower, and draws of it."""

    loss: float
    draws: np.ndarray


@dataclass(frozen=True, kw_only=True)
class View:
    """What was reached with one choice of inputs: the run of the lowest loss, R(L) of
    each class, the floor of the loss (known, or that of Eq. 4 where its runs tell it),
    and what no tagger can beat."""

    name: str
    records: Sequence[Record]
    best: Record
    maps: Mapping[str, RejectionLaw]
    floor: Floor | None
    ideal: Mapping[tuple[str, float], KnownRejection]


def views(records: Sequence[Record]) -> list[View]:
    """A view for each choice of inputs with a run that had begun to learn and has
    rejections, the richest inputs last."""
    found = []
    for name in INPUTS:
        own = [r for r in records if r.inputs == name and r.status == "done"]
        maps = mappings(own)
        if maps:
            found.append(
                View(
                    name=name,
                    records=own,
                    best=min(
                        (record for record in own if record.rejections),
                        key=lambda record: record.loss or np.inf,
                    ),
                    maps=maps,
                    floor=_floor(own),
                    ideal=known_rejections(own[0].source, name) or {},
                )
            )
    return found


def nothing(records: Sequence[Record]) -> str:
    """Why there is no view."""
    done = [record for record in records if record.status == "done"]
    if done and not any(record.rejections for record in done):
        return f"No class is called {BACKGROUND}: there is no background to reject."
    return "No run that had begun to learn has a rejection: train on more jets."


def _floor(records: Sequence[Record]) -> Floor | None:
    limit = known_limit(records[0].source, records[0].inputs)
    if limit:
        draws = np.random.default_rng(0).normal(*limit, size=1000)
        return Floor(loss=limit[0], draws=draws)
    for one in configurations(records):
        if one.best.identified and one.best.draws:
            draws = one.best.draws.values["L_inf"]
            return Floor(loss=one.best.params["L_inf"], draws=draws)
    return None


def one_curve(maps: Mapping[str, RejectionLaw]) -> str:
    """Whether repeated and single passes of equal loss reject alike."""
    more = repeats_reject_more(list(maps.values()))
    if more is None:
        return "Repeated and single passes share no range of losses to be compared in."
    told = with_interval(*more)
    return (
        f"At equal loss repeated runs reject {told} % more than single passes, in the"
        " mean over classes (0 if R depends on the loss alone)."
    )


def repeats_reject_more(
    maps: Sequence[RejectionLaw],
) -> tuple[float, tuple[float, float]] | None:
    """By how many per cent, with the 68 % interval by runs drawn anew, those of each
    kind for all classes at once: log R about R(L), in the mean over classes, of the
    runs in the range of losses that both kinds have; None for less than two of a kind.
    """
    off = np.nanmean([_off(one) for one in maps], axis=0)
    loss, repeated = maps[0].points["loss"], maps[0].points["repeated"]
    if not (repeated.any() and not repeated.all()):
        return None
    kinds = [loss[repeated], loss[~repeated]]
    low, high = max(k.min() for k in kinds), min(k.max() for k in kinds)
    shared = (loss >= low) & (loss <= high) & np.isfinite(off)
    often, once = off[shared & repeated], off[shared & ~repeated]
    if min(len(often), len(once)) < 2:
        return None
    rng = np.random.default_rng(0)
    draws = [
        rng.choice(often, len(often)).mean() - rng.choice(once, len(once)).mean()
        for _ in range(1000)
    ]
    ends = 100 * np.expm1(np.quantile(draws, [0.16, 0.84]))
    value = 100 * float(np.expm1(often.mean() - once.mean()))
    return value, (float(ends[0]), float(ends[1]))


def _off(one: RejectionLaw) -> np.ndarray:
    """log R of every run minus that of R(L) at its loss; NaN where R is a limit."""
    if not np.isfinite(one.law.objective):
        return np.full(len(one.points["loss"]), np.nan)
    return np.where(one.points["limit"], np.nan, -one.law.residuals)


def against_ideal(view: View) -> list[str]:
    """How far R(L), read at the known limit, is from what the ideal tagger rejects:
    the test that nobody can make on real jets."""
    if view.floor is None:
        return []
    held, off, errors = 0, [], []
    for signal, one in view.maps.items():
        value, low, high = view.ideal.get((signal, one.efficiency), (0.0, 0.0, None))
        told = at_loss(one, view.floor.loss, view.floor.draws)
        if high is None or not one.told or not told.interval or not told.rejection:
            continue
        errors.append(np.log(high / low) / 2)
        width = np.hypot(np.log(told.interval[1] / told.interval[0]) / 2, errors[-1])
        off.append(told.rejection / value)
        held += abs(np.log(off[-1])) <= width
    if not off:
        return []
    lowest = view.best.loss or np.nan
    return [
        f"R(L) read at the known limit, {lowest - view.floor.loss:.2f} nats below the"
        f" best run, against the ideal tagger: within both 68 % intervals in {held} of"
        f" {len(off)} classes; it foretells {min(off):.2g} to {max(off):.2g} times the"
        f" rejection, which is itself known to {100 * max(errors):.0f} % or better."
    ]


def draw(found: Sequence[View]) -> dict[str, Figure]:
    """Fig. 5 of the richest inputs, Figs. 6a and 6b of all."""
    richest = found[-1]
    ideal = {
        signal: richest.ideal[signal, one.efficiency]
        for signal, one in richest.maps.items()
        if (signal, one.efficiency) in richest.ideal
    }
    floor = richest.floor.loss if richest.floor else None
    drawn = {
        "fig_5_rejection": figures.rejection_against_loss(
            richest.maps, floor, ideal, PART
        )
    }
    told = [view for view in found if TOP in view.maps]
    if not told:
        return drawn
    return drawn | {
        "fig_6a_roc": figures.roc(
            {view.name: _reached(view.best) for view in told},
            {
                view.name: _foretold(view, view.floor.loss)
                for view in told
                if view.floor
            },
            {view.name: _ideal(view.ideal) for view in told if view.ideal},
            TOP,
        ),
        "fig_6b_rejection_by_inputs": figures.rejection_by_inputs(
            {view.name: view.maps[TOP] for view in told}, TOP
        ),
    }


def _reached(best: Record) -> Curve:
    """Without the efficiencies at which no background jet passed."""
    rows = [r[1:] for r in best.rejections if r.signal == TOP and r.high is not None]
    return Curve(*np.array(rows, float).reshape(-1, 4).T)


def _foretold(view: View, loss: float) -> Curve:
    """R(L) of each efficiency, read at the floor; NaN where the runs do not tell."""
    values = []
    for efficiency in EFFICIENCIES:
        one = mapping(view.records, TOP, efficiency, draws=0)
        values.append(at_loss(one, loss).rejection if one.told else None)
    value = np.array(values, float)
    return Curve(np.array(EFFICIENCIES), value, value, value)


def _ideal(table: Mapping[tuple[str, float], KnownRejection]) -> Curve:
    """Without the efficiencies at which too few jets were simulated to say."""
    rows = [(e, *table[TOP, e]) for e in EFFICIENCIES if (TOP, e) in table]
    told = [row for row in rows if row[3] is not None]
    return Curve(*np.array(told, float).reshape(-1, 4).T)
