"""Inputs: the floor and the exponent of repeated data for each input configuration;
Fig. 4 and Table 2 of arXiv:2602.15781."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jetlab.laws import forms
from jetlab.laws.result import FitResult
from jetlab.laws.shared_parameters import fit_shared, holdout_errors
from jetlab.records import Record, Table, TableLike
from jetlab.runs.report import Findings, TextTable
from jetlab.studies import published
from jetlab.studies.headline import known, unknown
from jetlab.studies.inputs_plots import loss_by_inputs
from jetlab.studies.joint_law import (
    FREE,
    Fits,
    Floor,
    fit_free_and_fixed,
    known_floor,
    parameter_headers,
    parameter_rows,
    preferred,
)
from jetlab.studies.repeated_runs import envelope, repeated_runs
from jetlab.studies.run_quality import quality_sentences

SIGNIFICANT = 0.05
"""A p-value below which one exponent for all inputs is said to be contradicted."""

PARAMETERS = ("L_inf", "B_rep", "beta_rep")


@dataclass(frozen=True, kw_only=True)
class InputsResult:
    """Eq. 4 of one input configuration: the `envelope` of its repeated runs (columns D,
    the unique jets, and L), and the fits to it."""

    label: str
    envelope: Table
    fits: Fits
    floor: Floor | None


def analyse(records: Sequence[Record]) -> Findings:
    """Eq. 4 of each input configuration, and whether they share beta_rep."""
    results = fit_inputs(records)
    sentences = quality_sentences(records)
    if not results:
        why = "No run that has learned overfits: allow more epochs."
        return Findings(sentences=[*sentences, why])
    shared = one_exponent(results)
    tested = [f"{row[-1]} (floors {row[0]}; {row[1]})" for row in shared.rows if row[4]]
    return Findings(
        known=[*_lines(results, known), *(f"beta_rep: {text}." for text in tested)],
        unknown=_lines(results, unknown),
        sentences=sentences,
        tables={
            "Table 2: Eq. 4 by inputs": table_2(results),
            "One exponent for all inputs?": shared,
        },
        figures={"fig_4_inputs": loss_by_inputs(results)},
        results={f"fit_{one.label}": preferred(one.fits).to_json() for one in results},
    )


def _lines(
    results: Sequence[InputsResult],
    of: Callable[[FitResult, Floor | None], Sequence[str]],
) -> list[str]:
    """Lines of the first screen for each input configuration."""
    return [
        f"{one.label}{'' if kind == FREE else f' ({kind})'}: {line}"
        for one in results
        for kind, law in one.fits.items()
        for line in of(law, one.floor)
    ]


def fit_inputs(records: Sequence[Record]) -> list[InputsResult]:
    """Eq. 4 of every input configuration with a run that overfits, in the order of the
    records."""
    results = []
    for label in dict.fromkeys(record.inputs for record in records):
        own = [record for record in records if record.inputs == label]
        lowest = envelope(repeated_runs(own))
        if lowest.rows:
            table, floor = Table(D=lowest["U"], L=lowest["L"]), known_floor(own[0])
            fits = fit_free_and_fixed(forms.repeated, table, floor)
            results.append(
                InputsResult(label=label, envelope=table, fits=fits, floor=floor)
            )
    return results


def table_2(results: Sequence[InputsResult]) -> TextTable:
    """L_inf, B_rep and beta_rep of each, beside the paper's."""
    rows = [
        [one.label, *row]
        for one in results
        for row in parameter_rows(
            one.fits, PARAMETERS, published.TABLE_2.get(one.label, {}), one.floor
        )
    ]
    return TextTable(["inputs", *parameter_headers(PARAMETERS)], rows)


def one_exponent(results: Sequence[InputsResult]) -> TextTable:
    """One beta_rep for all inputs against one for each, with floors free and known: in
    the paper inputs move the floor and not the exponent. Inputs with too few data sets
    for a fit are left out."""
    headers = [
        "floors", "inputs", "one beta_rep", "one for each", "p-value (F test)",
        "AICc, one minus each", "error at the largest D, one and each", "",
    ]  # fmt: skip
    limited = [one for one in results if one.floor]
    rows = [_one_exponent("free", results, 3), _one_exponent("known", limited, 2)]
    return TextTable(headers, rows)


def _one_exponent(
    floors: str, results: Sequence[InputsResult], parameters: int
) -> list[str]:
    several = [one for one in results if one.envelope.rows > parameters]
    labels = ", ".join(one.label for one in several)
    if len(several) < 2:
        why = f"two inputs with more than {parameters} data sets are needed"
        return [floors, labels, "", "", "", "", "", f"not tested: {why}"]
    tables = [one.envelope for one in several]
    fixed = [
        {"L_inf": one.floor[0]} if one.floor and floors == "known" else {}
        for one in several
    ]
    both = fit_shared(forms.repeated, tables, ["beta_rep"], fixed)
    return [
        floors,
        labels,
        f"{both.values['beta_rep']:.3f}",
        ", ".join(f"{law.params['beta_rep']:.3f}" for law in both.separate),
        _finite(both.p_value, ".2g"),
        _finite(both.delta_aicc, "+.1f"),
        _holdout(tables, fixed, parameters),
        _verdict(both.p_value, sum(not law.identified for law in both.separate)),
    ]


def _verdict(p_value: float, unidentified: int) -> str:
    contradicted = p_value < SIGNIFICANT
    verdict = "one beta_rep is contradicted" if contradicted else "not contradicted"
    notes = [verdict if np.isfinite(p_value) else "not tested: too few data sets"]
    if unidentified:
        notes.append(f"{unidentified} laws are not identified")
    return "; ".join(notes)


def _holdout(
    tables: Sequence[TableLike], fixed: Sequence[Mapping[str, float]], parameters: int
) -> str:
    """Errors of the largest data sets, predicted by the others; empty where these are
    too few for a fit."""
    if min(len(rows["L"]) for rows in tables) < parameters + 2:
        return ""
    errors = holdout_errors(forms.repeated, tables, "beta_rep", fixed)
    return " and ".join(f"{100 * error:.1f} %" for error in errors)


def _finite(value: float, digits: str) -> str:
    return format(value, digits) if np.isfinite(value) else "too few rows"
