"""Durations, ratios, targets and numbers as people write them.

Each reader takes whatever YAML gave and returns the core's unit (seconds, fractions), or raises
`Rejected` with what to write instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from guard.config.codes import Code
from guard.config.problems import Rejected, show

_UNITS: Final = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}

DURATION_PATTERN: Final = (
    r"^(?=[0-9])([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
)
_PART: Final = re.compile(r"([0-9]+)(ms|[wdhms])")
_A_DURATION: Final = "a duration such as 90s, 2m, 1h30m or 500ms"

PERCENT_PATTERN: Final = r"^[0-9]+(\.[0-9]+)? ?%$"
_MIN_TARGET: Final = 1.0
_ALL: Final = 100.0
_MAX_FACTOR: Final = 100.0
MIN_RATIO: Final = 0.00001
"""A promotion under a bound of 0.001% asks for some 300,000 requests without one error: less can
hardly be meant, and is a percentage that was divided twice."""
_MAX_DIGITS: Final = 1_000
_MIN_ERROR: Final = 0.0001  # under it no rollout of ordinary traffic is ever decided
_MAX_ERROR: Final = 0.2  # over it one in five is decided by chance

Reader = Callable[[object], float]


def duration(value: object) -> float:
    """Seconds of a duration in Prometheus' notation: whole numbers with units, largest first.

    Raises:
        Rejected: `duration-invalid`, or `duration-out-of-range` for a negative one.
    """
    text = value.strip() if isinstance(value, str) else ""
    if text.startswith("-") and re.fullmatch(DURATION_PATTERN, text[1:]):
        raise Rejected(
            Code.DURATION_OUT_OF_RANGE, show(value), _A_DURATION, "remove the minus sign"
        )
    if not re.fullmatch(DURATION_PATTERN, text):
        action = "write it with its unit, the largest unit first, without spaces"
        raise Rejected(Code.DURATION_INVALID, show(value), _A_DURATION, action)
    return math.fsum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def duration_between(low: str, high: str) -> Reader:
    """A reader of durations from `low` to `high`, both included."""
    least, most = duration(low), duration(high)

    def read(value: object) -> float:
        seconds = duration(value)
        if not least <= seconds <= most:
            expected = f"a duration from {low} to {high}"
            raise Rejected(Code.DURATION_OUT_OF_RANGE, show(value), expected, "choose one inside")
        return seconds

    return read


def ratio(value: object) -> float:
    """A fraction from 0.001% to under 100%, from `1%` or 0.01.

    Raises:
        Rejected: `ratio-invalid` or `ratio-out-of-range`.
    """
    expected = "a ratio such as 1% or 0.01"
    fraction = float(_fraction(value, Code.RATIO_INVALID, expected))
    if not MIN_RATIO <= fraction < 1:  # as it will be counted with: 99.9…9% can round to all
        action = "choose one from 0.001% to under 100%, with a % sign if you mean percent"
        raise Rejected(Code.RATIO_OUT_OF_RANGE, show(value), expected, action)
    return fraction


def probability(value: object) -> float:
    """A probability of a wrong decision: a ratio of 0.01% to 20%."""
    fraction = ratio(value)
    if not _MIN_ERROR <= fraction <= _MAX_ERROR:
        expected = "an error probability from 0.01% to 20%"
        raise Rejected(Code.RATIO_OUT_OF_RANGE, show(value), expected, "choose one inside")
    return fraction


def target(value: object) -> float:
    """The fraction of a target written in percent, 99.9 or `99.9%`; exact to the digit.

    Raises:
        Rejected: `target-invalid` or `target-out-of-range`.
    """
    expected = "a target in percent such as 99.9"
    if isinstance(value, str):
        fraction = _fraction(value, Code.TARGET_INVALID, expected)
    else:
        fraction = _number(value, Code.TARGET_INVALID, expected) / 100
    if not _MIN_TARGET <= fraction * 100 < _ALL or float(fraction) >= 1:
        action = "write percent, at least 1 and under 100 (a fraction such as 0.999 is not)"
        raise Rejected(Code.TARGET_OUT_OF_RANGE, show(value), expected, action)
    return float(fraction)


def number(value: object) -> float:
    """A finite number.

    Raises:
        Rejected: `number-invalid`.
    """
    return float(_number(value, Code.NUMBER_INVALID, "a number"))


def factor(value: object) -> float:
    """How many times one ratio may be another: a number from 1 to 100.

    Raises:
        Rejected: `number-invalid` or `number-out-of-range`.
    """
    times = number(value)
    if not 1.0 <= times <= _MAX_FACTOR:
        expected = f"a number from 1 to {_MAX_FACTOR:.0f}"
        raise Rejected(Code.NUMBER_OUT_OF_RANGE, show(value), expected, "choose one inside")
    return times


def whole_between(low: int, high: int) -> Callable[[object], int]:
    """A reader of whole numbers from `low` to `high`, both included."""
    expected = f"a whole number from {low} to {high}"

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            action = "write digits only, without quotes"
            raise Rejected(Code.NUMBER_INVALID, show(value), expected, action)
        if not low <= value <= high:
            raise Rejected(Code.NUMBER_OUT_OF_RANGE, show(value), expected, "choose one inside")
        return int(value)

    return read


def _fraction(value: object, code: Code, expected: str) -> Decimal:
    if isinstance(value, str):
        if not re.fullmatch(PERCENT_PATTERN, value.strip()):
            minus = value.strip().startswith("-")
            action = "remove the minus sign" if minus else "write digits and a % sign"
            raise Rejected(code, show(value), expected, action)
        if len(value) > _MAX_DIGITS:
            raise Rejected(code, show(value), expected, "write fewer digits")
        return Decimal(value.strip().removesuffix("%").strip()) / 100
    return _number(value, code, expected)


def _number(value: object, code: Code, expected: str) -> Decimal:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Rejected(code, show(value), expected, "write a number, without quotes")
    if not _finite(value):
        raise Rejected(code, show(value), expected, "write a finite number")
    return Decimal(str(value))


def _finite(value: float) -> bool:
    """Whether the number is still one as a float; whole numbers have no bound of their own."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
