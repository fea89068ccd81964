"""Are verdicts right? Fits of tables with a planted law and a planted fault.

    python benchmarks/verdicts.py --quick

For each kind of table (`benchmarks.planted_tables`), over grids of 9 to 64 cells: the
share of fits of which every parameter is decided or a limit, the share in which a test
of the law fails, and for L_inf, alpha, beta and a the share decided, the share of these
whose 68 % interval holds the truth, and the share that is a gross miss: farther from it
than three half-widths. Limits are at 95 %: the share of them that the truth breaks.
"""

import argparse
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from benchmarks.planted_tables import KINDS, planted
from benchmarks.timing import lined_up
from jetlab.laws.fit import fit
from jetlab.laws.result import FitResult

SIDES = (3, 4, 5, 6, 7, 8)  # grids of 9 to 64 cells
QUANTITIES = ("L_inf", "alpha", "beta", "a")
DRAWS = 200


class Outcome(NamedTuple):
    """The verdict on one quantity of one table: status, whether the interval held the
    truth, and whether it missed grossly; None for a quantity without a truth."""

    status: str
    held: bool | None
    gross: bool | None


class Judged(NamedTuple):
    """One table: whether all was decided, whether a test failed, and each quantity."""

    decided: bool
    failed: bool
    outcomes: dict[str, Outcome]


def judge(kind: str, side: int, seed: int, draws: int = DRAWS) -> Judged:
    """The verdicts of one table against its truth."""
    table, truth = planted(kind, side, seed)
    law = fit("additive", table, bootstrap=draws)
    found = {name: outcome(law, name, truth.get(name)) for name in QUANTITIES}
    return Judged(law.identified, bool(law.evidence.failed), found)


def outcome(law: FitResult, name: str, true: float | None) -> Outcome:
    """The verdict on one quantity of a fit against its truth."""
    one, held, gross = law.verdicts[name], None, None
    if true is not None and one.status == "decided" and one.interval:
        low, high = one.interval
        held = low <= true <= high
        gross = abs(true - one.value) > 1.5 * (high - low)
    elif true is not None and one.limit is not None:
        below = one.status == "upper limit"
        held = true <= one.limit if below else true >= one.limit
    return Outcome(one.status, held, gross)


def shares(judged: Sequence[Judged]) -> dict[str, float]:
    """Shares over the tables of one kind; NaN over none."""
    found = {
        "all known": float(np.mean([one.decided for one in judged])),
        "test fails": float(np.mean([one.failed for one in judged])),
    }
    every, gross = [], []
    for name in QUANTITIES:
        own = [one.outcomes[name] for one in judged]
        decided = [one for one in own if one.status == "decided"]
        found[f"{name} decided"] = len(decided) / len(own)
        found[f"{name} held"] = _share([one.held for one in decided])
        found[f"{name} gross"] = _share([one.gross for one in decided])
        every += [one.held for one in decided]
        gross += [one.gross for one in decided]
    found["held"], found["gross"] = _share(every), _share(gross)
    limits = [
        one.held
        for table in judged
        for one in table.outcomes.values()
        if "limit" in one.status
    ]
    found["limits broken"] = 1 - _share(limits)
    return found


def _share(values: Sequence[bool | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else np.nan


def _text(found: dict[str, float]) -> list[str]:
    """A line of the table."""

    def two(name: str) -> str:
        return "" if np.isnan(found[name]) else f"{found[name]:.2f}"

    own = [
        " ".join(
            filter(None, (two(f"{n} {what}") for what in ("decided", "held", "gross")))
        )
        for n in QUANTITIES
    ]
    whole = [two(n) for n in ("held", "gross", "limits broken")]
    return [two("all known"), two("test fails"), *own, *whole]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the tables")
    parser.add_argument("--tables", type=int, default=100, metavar="COUNT")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--sides", nargs="+", type=int, default=SIDES)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    count = max(1, args.tables // 10) if args.quick else args.tables
    lines, record = [], {}
    for kind in tqdm(args.kinds, "kinds", disable=None):
        sides = np.resize(args.sides, count)
        judged = [judge(kind, int(side), i) for i, side in enumerate(sides)]
        record[kind] = shares(judged)
        lines.append([kind, *_text(record[kind])])
    if args.json:
        print(json.dumps({"tables": count, "kinds": record}))
        return
    print(f"{count} tables a kind; of each quantity: decided, held, gross")
    headers = ["all known", "test fails", *QUANTITIES, "held", "gross", "limits broken"]
    print(lined_up(lines, ["", *headers]))


if __name__ == "__main__":
    main()
