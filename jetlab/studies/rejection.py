"""Background rejection: R(L) of each class, at the floor of the loss, and on simulated
jets against the ideal tagger; Figs. 5 and 6 of arXiv:2602.15781."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jetlab.laws import forms
from jetlab.laws.formatting import with_interval
from jetlab.laws.plot_style import Figure
from jetlab.physics.metrics import BACKGROUND
from jetlab.records import Record, Rejection, Table
from jetlab.runs.report import Findings, TextTable
from jetlab.studies import published
from jetlab.studies import rejection_plots as plots
from jetlab.studies.headline import first_screen
from jetlab.studies.joint_law import (
    begun,
    fit_free_and_fixed,
    fit_sentences,
    fits_as_json,
    known_floor,
    law_table,
    preferred,
)
from jetlab.studies.rejection_laws import (
    RejectionLaw,
    predict_rejection,
    rejection_law_table,
    repeats_excess,
    with_rejections,
)
from jetlab.studies.rejection_results import RejectionResult, rejection_results
from jetlab.studies.run_quality import NO_RUNS, quality_sentences, unlearned_sentences

NO_IDEAL = (
    "How far R(L) extrapolates: the rejections of the best tagger are not known for"
    " these jets and inputs, or R(L) is not reliable."
)

TOP = "Tbqq"
"""The signal class of Fig. 6."""


def analyse(records: Sequence[Record]) -> Findings:
    """Rejections by inputs; R(L), and L(N, D) of single passes, of the last inputs."""
    sentences, results = quality_sentences(records), rejection_results(records)
    if not results:
        return Findings(sentences=[*sentences, _no_rejections(records)])
    last = results[-1]
    joint = _joint_law(last)
    ideal = ideal_sentences(last)
    return Findings(
        known=[*ideal, *joint.known],
        unknown=[*([] if ideal else [NO_IDEAL]), *joint.unknown],
        advice=joint.advice,
        sentences=[
            *sentences,
            repeats_sentence(list(last.laws.values())),
            *joint.sentences,
        ],
        tables={
            f"Fig. 5: R(L) with {last.label}": rejection_law_table(last.laws),
            f"Rejections with {last.label}": rejection_table(last),
            "Accuracy and AUC of the best runs": quality_table(results),
            **joint.tables,
        },
        figures=draw(results),
        results=joint.results,
    )


def _no_rejections(records: Sequence[Record]) -> str:
    done = [record for record in records if record.status == "done"]
    if done and not any(record.rejections for record in done):
        return f"No rejections: no class is called {BACKGROUND}, the background."
    return NO_RUNS


def _joint_law(result: RejectionResult) -> Findings:
    """L(N, D) of the single passes, as JSON with R(L) for `jetlab predict`."""
    single = Table.of_records(result.records).where(arm="single")
    rows, unlearned = begun(forms.additive, single)
    if not rows.rows:
        return Findings(sentences=[NO_RUNS])
    floor = known_floor(result.best)
    fits = fit_free_and_fixed(forms.additive, rows, floor)
    texts = fits_as_json(fits)
    return Findings(
        **first_screen(preferred(fits), floor),
        sentences=[*unlearned_sentences(unlearned), *fit_sentences(fits)],
        tables={
            f"Table 1: L(N, D) with {result.label}": law_table(
                fits, floor, result.label
            )
        },
        results={name: with_rejections(t, result.laws) for name, t in texts.items()},
    )


def repeats_sentence(laws: Sequence[RejectionLaw]) -> str:
    """Whether R depends on the loss alone, or repeated runs differ."""
    excess = repeats_excess(laws)
    if excess is None:
        return "Repeated runs and single passes have too few losses in common."
    return (
        f"At equal loss repeated runs reject {with_interval(*excess)} % more than"
        " single passes, mean over classes (0 if R depends on the loss alone)."
    )


class Comparison(NamedTuple):
    """Predicted over ideal rejection of one class, whether both agree within their 68 %
    intervals, and the relative error of the ideal one."""

    ratio: float
    agrees: bool
    error: float


def compare_with_ideal(result: RejectionResult, signal: str) -> Comparison | None:
    """R(L) at the lowest loss against the ideal tagger; None where either is unknown or
    a limit."""
    one, lowest = result.laws[signal], result.lowest
    value, low, high = result.ideal.get((signal, one.efficiency), (0.0, 0.0, None))
    if lowest is None or high is None or not one.law.reliable:
        return None
    predicted = predict_rejection(one, lowest.loss, lowest.draws)
    if not (predicted.interval and predicted.rejection):
        return None
    error = np.log(high / low) / 2
    width = np.log(predicted.interval[1] / predicted.interval[0]) / 2
    ratio = predicted.rejection / value
    agrees = abs(np.log(ratio)) <= np.hypot(width, error)
    return Comparison(ratio, bool(agrees), float(error))


def ideal_sentences(result: RejectionResult) -> list[str]:
    """How far R(L) extrapolates to the ideal tagger, which real jets cannot show."""
    pairs = [compare_with_ideal(result, signal) for signal in result.laws]
    known = [pair for pair in pairs if pair]
    if result.lowest is None or not known:
        return []
    gap = (result.best.loss or np.nan) - result.lowest.loss
    ratios = [pair.ratio for pair in known]
    return [
        f"R(L) at the floor of the loss, {gap:.2f} nats below the best run, agrees with"
        f" the ideal tagger in {sum(pair.agrees for pair in known)} of {len(known)}"
        f" classes (ratio {min(ratios):.2g} to {max(ratios):.2g}; error of the ideal"
        f" rejection at most {100 * max(pair.error for pair in known):.0f} %)."
    ]


def rejection_table(result: RejectionResult) -> TextTable:
    """By class: of the best run, predicted at the lowest loss, of the ideal tagger, the
    ratio of these, and published for inputs of the paper."""
    lowest, paper = result.lowest, _quoted(result)
    headers = [
        "class, efficiency",
        f"best run, loss {result.best.loss:.3f}",
        f"R(L) at {lowest.loss:.3f}" if lowest else "R(L) at the floor",
        "ideal tagger",
        "predicted over ideal",
        *(["ParT (plain), JetClass"] if paper else []),
    ]
    rows = [_rejection_row(result, signal)[: len(headers)] for signal in result.laws]
    return TextTable(headers, rows)


def _quoted(result: RejectionResult) -> bool:
    return published.quoted(result.label, known_floor(result.best))


def _rejection_row(result: RejectionResult, signal: str) -> list[str]:
    one, lowest = result.laws[signal], result.lowest
    at = (signal, one.efficiency)
    best = next(r for r in result.best.rejections if (r.signal, r.efficiency) == at)
    predicted = "" if one.law.reliable or not lowest else "not reliable"
    if lowest and one.law.reliable:
        found = predict_rejection(one, lowest.loss, lowest.draws)
        value = found.rejection
        predicted = "" if value is None else with_interval(value, found.interval)
    pair, ideal = compare_with_ideal(result, signal), result.ideal.get(at)
    part = published.PART_REJECTIONS.get(signal)
    return [
        f"{signal}, {100 * one.efficiency:g} %",
        _measured(best),
        predicted,
        _measured(Rejection(*at, *ideal)) if ideal else "",
        f"{pair.ratio:.2g}" + (", agrees" if pair.agrees else "") if pair else "",
        f"{part:,.0f}" if part else "",
    ]


def _measured(r: Rejection) -> str:
    """With its interval, or as the lower limit that it is."""
    if r.high is None:
        return f"> {r.value:,.0f}"
    return with_interval(r.value, (r.low, r.high))


def quality_table(results: Sequence[RejectionResult]) -> TextTable:
    """Loss, accuracy and AUC of the best run with each input configuration."""
    rows: list[Sequence[str]] = []
    for one in results:
        best = one.best
        numbers = (best.loss, best.metrics.get("accuracy"), best.metrics.get("auc"))
        shown = ["" if n is None else f"{n:.4f}" for n in numbers]
        rows.append([one.label, f"{best.N:,}", f"{best.D:,}", *shown])
    if any(map(_quoted, results)):
        rows.append(published.PART_QUALITY)
    return TextTable(["inputs", "N", "jets", "loss", "accuracy", "AUC"], rows)


def draw(results: Sequence[RejectionResult]) -> dict[str, Figure]:
    """Fig. 5 of the last inputs, Figs. 6a and 6b of all."""
    last = results[-1]
    ideal = {
        signal: last.ideal[signal, one.efficiency]
        for signal, one in last.laws.items()
        if (signal, one.efficiency) in last.ideal
    }
    part = published.PART_REJECTIONS if _quoted(last) else {}
    floor = last.lowest.loss if last.lowest else None
    fig_5 = plots.rejection_against_loss(last.laws, floor, ideal, part)
    top = [one for one in results if TOP in one.laws]
    if not top:
        return {"fig_5_rejection": fig_5}
    return {
        "fig_5_rejection": fig_5,
        "fig_6a_roc": plots.roc(
            {one.label: plots.measured_roc(one.best, TOP) for one in top},
            {
                one.label: plots.predicted_roc(one.records, TOP, one.lowest.loss)
                for one in top
                if one.lowest
            },
            {one.label: plots.ideal_roc(one.ideal, TOP) for one in top if one.ideal},
            TOP,
        ),
        "fig_6b_rejection_by_inputs": plots.rejection_by_inputs(
            {one.label: one.laws[TOP] for one in top}, TOP
        ),
    }
