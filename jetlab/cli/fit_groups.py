"""Laws of groups of rows: printed one after the other, and compared."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from jetlab.cli.options import log_warnings

if TYPE_CHECKING:
    import jetlab.laws.result

logger = logging.getLogger(__name__)


def shared_laws(
    form: str, laws: dict[str, "jetlab.laws.result.FitResult"], names: Sequence[str]
) -> Any:
    """The laws of all groups with parameters in common; None without any."""
    from jetlab.laws import forms
    from jetlab.laws.shared_parameters import fit_shared

    if not names:
        return None
    tables = [law.table for law in laws.values()]
    fixed = [law.fixed for law in laws.values()]
    return fit_shared(forms.get_form(form), tables, names, fixed)


def show_groups(
    column: str,
    laws: dict[str, "jetlab.laws.result.FitResult"],
    shared: Any,
    level: float,
    as_json: bool,
) -> None:
    """The laws of the groups, one after the other, and what they share."""
    from jetlab.laws.summary import lines

    for name, law in laws.items():
        log_warnings(law.warnings, f"{column} = {name}: ")
    worths = _worths(laws)
    if as_json:
        fits = {
            name: json.loads(law.to_json(diagnostics=True, level=level))
            for name, law in laws.items()
        }
        record = {
            "groups": fits,
            "shared": shared and shared.record(list(laws)),
            "equivalent_compute": {n: asdict(worth) for n, worth in worths.items()},
        }
        click.echo(json.dumps(record, allow_nan=False))
        return
    for name, law in laws.items():
        click.echo(f"{column} = {name}")
        for line in lines(law, level):
            click.echo(f"  {line}")
    first = next(iter(laws))
    for name, worth in worths.items():
        click.echo(worth.sentence(first, name))
    if shared:
        for line in shared.lines(list(laws)):
            click.echo(line)


def _worths(laws: dict[str, "jetlab.laws.result.FitResult"]) -> dict[str, Any]:
    """What each further group is worth in compute of the first, where that can be
    said."""
    from jetlab.laws.plans.equivalent_compute import equivalent_compute

    first, *others = laws
    found = {}
    for name in others:
        try:
            found[name] = equivalent_compute(laws[first], laws[name])
        except ValueError as error:
            logger.warning("warning: %s in compute of %s: %s", name, first, error)
    return found
