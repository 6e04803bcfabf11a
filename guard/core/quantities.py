"""Numbers and times as a person reads them. UTC everywhere: pagers and pods speak it too."""

from __future__ import annotations

import math
from datetime import UTC, datetime

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_DIGITS = 3
_PLAIN = range(-3, 5)
"""Powers of ten that read well written out."""
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def clock(at: float) -> str:
    """Seconds since the epoch as `14:02:11`."""
    return _utc(at).strftime("%H:%M:%S")


def day(at: float) -> str:
    """Seconds since the epoch as `2026-11-25`."""
    return _utc(at).strftime("%Y-%m-%d")


def iso(at: float) -> str:
    """Seconds since the epoch for a `datetime` attribute."""
    return _utc(at).strftime("%Y-%m-%dT%H:%M:%SZ")


def _utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, tz=UTC)


def duration(seconds: float) -> str:
    """Seconds as the two largest units: `45 s`, `1 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    whole = max(int(seconds), 0)
    if whole < MINUTE:
        return f"{whole} s"
    for size, unit, smaller_size, smaller in (
        (DAY, "d", HOUR, "h"),
        (HOUR, "h", MINUTE, "min"),
        (MINUTE, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    raise AssertionError


def ago(at: float, now: float) -> str:
    """How long ago, by the largest unit: the page's script says it in the same words."""
    passed = int(now - at)
    if passed < 1:
        return "now"
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if passed >= size:
            return f"{passed // size} {unit} ago"
    return f"{passed} s ago"


def percent(ratio: float) -> str:
    """A fraction as a percentage with three digits."""
    return f"{100.0 * ratio:.3g}%"


def count(value: float) -> str:
    """A count with its thousands apart."""
    return f"{value:,.0f}" if math.isfinite(value) else "?"


def e_value(log_e: float) -> str:
    """An e-value from its natural logarithm: `0.43`, `87.2`, `1.2 × 10⁵`."""
    if not math.isfinite(log_e):
        return "?"
    # Rounded first: 9.97 is ten of the smaller power.
    exponent = math.floor(log_e / math.log(10.0) + 0.002)
    if exponent in _PLAIN:
        value = math.exp(log_e)
        return f"{value:,.0f}" if exponent >= _DIGITS else f"{value:.{_DIGITS}g}"
    mantissa = math.exp(log_e - exponent * math.log(10.0))
    return f"{mantissa:.1f} × 10{str(exponent).translate(_SUPERSCRIPTS)}"
