"""Rejections of the ideal tagger of the shower, its exact posterior, by class and
signal efficiency for each input configuration.

    python -m benchmarks.ideal_tagger [--quick]

Writes jetlab/data/shower/v1_ideal.json from 40,000 jets (4,000 of QCD) in half an hour
on one core. With --quick it prints a table from 2,000 jets and writes nothing.
"""

import json
import sys
from pathlib import Path

from tqdm import tqdm

from jetlab.data.shower.bayes_limit import REJECTIONS, posterior
from jetlab.data.shower.likelihood import OBSERVED
from jetlab.data.shower.parameters import VERSION
from jetlab.laws.formatting import with_interval
from jetlab.physics.metrics import performance, working_point
from jetlab.runs.report import TextTable
from jetlab.types import CLASSES

JETS = 40_000


def ideal(inputs: str, jets: int) -> list[dict]:
    """Rejections with 68 % intervals; `high` is None for a lower limit."""
    log_p, labels = posterior(OBSERVED[inputs], jets=jets, progress=tqdm)
    found = performance(log_p, labels, CLASSES).rejections
    return [
        {
            "signal": signal,
            "efficiency": efficiency,
            "value": round(r.value, 3),
            "low": round(r.low, 3),
            "high": None if r.is_limit else round(r.high, 3),
        }
        for (signal, efficiency), r in found.items()
    ]


def main() -> None:
    quick = "--quick" in sys.argv
    jets = 2_000 if quick else JETS
    found = {inputs: ideal(inputs, jets) for inputs in OBSERVED}
    print(_table(found).markdown())
    if not quick:
        text = json.dumps({"version": VERSION, "jets": jets, "rejections": found})
        Path(REJECTIONS).write_text(text + "\n")


def _table(found: dict[str, list[dict]]) -> TextTable:
    quoted = {
        inputs: [
            with_interval(r["value"], (r["low"], r["high"]))
            if r["high"]
            else f"> {r['value']:,.0f}"
            for r in rows
            if r["efficiency"] == working_point(r["signal"])
        ]
        for inputs, rows in found.items()
    }
    signals = [name for name in CLASSES if name != "QCD"]
    return TextTable(
        ["class", *quoted], list(zip(signals, *quoted.values(), strict=True))
    )


if __name__ == "__main__":
    main()
