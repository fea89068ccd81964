"""Numbers with intervals as text."""

from numbers import Real


def with_interval(value: float, interval: tuple[float, float] | None) -> str:
    """0.32 (0.29, 0.34), as arXiv:2602.15781 prints it; the value alone without one."""
    digits = _digits(value)

    def shown(number: float) -> str:
        if abs(number) >= 1e5 or 0 < abs(value) < 1e-3:
            return scientific(number)
        return f"{number:.{digits}f}"

    if interval is None:
        return shown(value)
    low, high = interval
    return f"{shown(value)} ({shown(low)}, {shown(high)})"


def label(value: object) -> str:
    """A value of a column that names rows: short for a number, as it is for text."""
    return f"{value:.4g}" if isinstance(value, Real) else str(value)


def zeroed(value: float) -> float:
    """A positive number, or 0 below a thousandth."""
    return 0.0 if value < 1e-3 else value


def scientific(value: float) -> str:
    """Two decimals and a short exponent: 1.23e-4."""
    return f"{value:.2e}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")


def _digits(value: float) -> int:
    """Three decimals below ten, more below a tenth; two below a thousand, then none."""
    if 0 < abs(value) < 0.1:
        return 4 if abs(value) >= 0.01 else 5
    if abs(value) < 10:
        return 3
    return 2 if abs(value) < 1000 else 0
