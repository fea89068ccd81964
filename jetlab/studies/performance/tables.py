"""Tables of physics performance, beside the ideal tagger and published numbers."""

from collections.abc import Sequence

from jetlab.records import Rejected
from jetlab.runs.tables import TextTable, with_interval
from jetlab.studies.performance.rejection_laws import RejectionLaw, at_loss
from jetlab.studies.performance.views import PART, Floor, View


def rejections(view: View) -> TextTable:
    """By class: of the best run, foretold at the floor of the loss, of the ideal
    tagger, and published."""
    rows = []
    for signal, one in view.maps.items():
        at = (signal, one.efficiency)
        here = next(r for r in view.best.rejections if (r.signal, r.efficiency) == at)
        ideal = Rejected(*at, *view.ideal[at]) if at in view.ideal else None
        floor = view.floor
        rows.append(
            [
                f"{signal}, {100 * one.efficiency:g} %",
                _measured(here),
                _foretold(one, floor) if floor else "",
                _measured(ideal) if ideal else "",
                f"{PART[signal]:,.0f}" if signal in PART else "",
            ]
        )
    headers = [
        "class, efficiency",
        f"best run, loss {view.best.loss:.3f}",
        f"foretold at {view.floor.loss:.3f}" if view.floor else "foretold at the floor",
        "ideal tagger",
        "ParT (plain), JetClass",
    ]
    return TextTable(headers, rows)


def _measured(r: Rejected) -> str:
    """With its interval, or as the lower limit that it is."""
    if r.high is None:
        return f"> {r.value:,.0f}"
    return with_interval(r.value, (r.low, r.high))


def _foretold(law: RejectionLaw, floor: Floor) -> str:
    """Nothing where the runs do not decide R(L)."""
    if not law.told:
        return "not identified"
    one = at_loss(law, floor.loss, floor.draws)
    return "" if one.rejection is None else with_interval(one.rejection, one.interval)


def quality(found: Sequence[View]) -> TextTable:
    """Loss, accuracy and AUC of the best run with each choice of inputs."""
    rows = []
    for view in found:
        best = view.best
        numbers = (best.loss, best.metrics.get("accuracy"), best.metrics.get("auc"))
        shown = ["" if n is None else f"{n:.4f}" for n in numbers]
        rows.append([view.name, f"{best.N:,}", f"{best.D:,}", *shown])
    # arXiv:2202.03772, Table 2
    rows.append(
        ["ParT (plain), JetClass", "2,133,786", "100,000,000", "", "0.849", "0.9859"]
    )
    return TextTable(["inputs", "N", "jets", "loss", "accuracy", "AUC"], rows)
