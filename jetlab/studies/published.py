"""Numbers of the papers, which the studies show beside their own.

All are of JetClass (arXiv:2202.03772); intervals are 68 %.
"""

from collections.abc import Mapping

Value = tuple[float, tuple[float, float] | None]
"""A value and its interval, None where none is published."""

TABLE_1: Mapping[str, Value] = {
    "L_inf": (0.32, (0.29, 0.34)),
    "A": (11.27, (8.01, 15.14)),
    "alpha": (0.44, (0.40, 0.48)),
    "B": (7.22, (6.66, 7.89)),
    "beta": (0.22, (0.21, 0.23)),
    "a": (0.22 / 0.66, None),
    "gamma": (0.15, (0.13, 0.16)),
}
"""L_inf + A/N^alpha + B/D^beta of 128 particles (arXiv:2602.15781, Table 1); L_inf is
that of its Section 3.2, a = beta / (alpha + beta) that of Eq. 3."""

TABLE_2: Mapping[str, Mapping[str, Value]] = {
    "kinematics-40": {
        "L_inf": (0.74, (0.67, 0.77)),
        "B_rep": (5.62, (4.16, 7.10)),
        "beta_rep": (0.21, (0.17, 0.24)),
    },
    "full-10": {
        "L_inf": (0.59, (0.57, 0.61)),
        "B_rep": (8.69, (7.59, 10.35)),
        "beta_rep": (0.26, (0.24, 0.28)),
    },
    "full-40": {
        "L_inf": (0.33, (0.30, 0.34)),
        "B_rep": (7.08, (6.27, 7.79)),
        "beta_rep": (0.23, (0.21, 0.24)),
    },
    "full-128": {
        "L_inf": (0.32, (0.29, 0.34)),
        "B_rep": (5.79, (5.06, 6.27)),
        "beta_rep": (0.22, (0.20, 0.23)),
    },
}
"""L_inf + B_rep/D^beta_rep by inputs (arXiv:2602.15781, Eq. 4 and Table 2)."""

OMEGA = {"full-128": 2.7}
"""Jets seen once that a repeated jet is worth (arXiv:2602.15781, Section 3.2)."""

THRESHOLD_EXPONENT = 0.47
"""lambda of the overfitting threshold N ~ D^lambda (arXiv:2602.15781, Fig. 3)."""

COMPUTE_FACTOR = 10
"""About: compute of repeated runs over that of the best single pass of equal loss
(arXiv:2602.15781, Section 3.2)."""

BEST_RATE = {"at": 0.00535, "p": 0.374, "q": 0.617}
"""eta* = at (d / 64)^-p (T / 2048)^-q in a demonstration by the group of
arXiv:2602.15781 (scaling-laws-demo, 2026), on another task."""

PART_REJECTIONS = {
    "Hbb": 9569.0, "Hcc": 2911.0, "Hgg": 112.0, "H4q": 1185.0, "Hqql": 3868.0,
    "Zqq": 311.0, "Wqq": 384.0, "Tbqq": 17699.0, "Tbl": 12987.0,
}  # fmt: skip
"""QCD rejections of ParT (plain) with 100M jets (arXiv:2202.03772, Table 2)."""

PART_QUALITY = (
    "ParT (plain), JetClass", "2,133,786", "100,000,000", "", "0.849", "0.9859"
)  # fmt: skip
"""ParT (plain): N, jets, loss, accuracy and AUC (arXiv:2202.03772, Table 2)."""


def quoted(inputs: str, floor: object | None) -> bool:
    """Whether these numbers stand beside a study's: for the paper's inputs, and jets
    whose floor is not known, as that of JetClass is not."""
    return inputs in TABLE_2 and floor is None
