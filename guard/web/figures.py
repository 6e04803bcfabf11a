"""Where the marks of the page's figures stand, in percent of their width."""

from __future__ import annotations

import math
from dataclasses import dataclass

BEYOND = 10.0
"""A log bar reaches so many times beyond its goal, so that how far over is seen as well."""
ROOM = 1.08
"""The ratio scale ends so many times beyond what it must hold."""


@dataclass(frozen=True, slots=True)
class Whisker:
    """A ratio with its 95% interval on a shared scale, all in percent of the width."""

    low: float
    high: float
    at: float

    @property
    def width(self) -> float:
        """The interval's length."""
        return round(self.high - self.low, 2)


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar that grows from the left to `filled`; `marks` are places with their labels."""

    filled: float
    goal: float
    marks: tuple[tuple[float, str], ...] = ()


def scale(bound: float, highs: tuple[float, ...]) -> float:
    """The ratio at the right end: the bound is never at the edge."""
    return min(max((2.0 * bound, *highs)) * ROOM, 1.0) or 1.0


def whisker(ratio: float, interval: tuple[float, float], end: float) -> Whisker:
    """Place a ratio and its interval on a scale from 0 to `end`."""
    low, high = interval
    return Whisker(low=place(low, end), high=place(high, end), at=place(ratio, end))


def place(value: float, end: float) -> float:
    """A value in percent of a linear scale from 0 to `end`."""
    return _within(100.0 * value / end) if end > 0 else 0.0


def log_bar(log_value: float, log_goal: float, marks: tuple[float, ...] = ()) -> Bar:
    """A log-scaled bar from 1 to ten times its goal; below 1 it is empty."""
    end = log_goal + math.log(BEYOND)
    return Bar(
        filled=_within(100.0 * log_value / end),
        goal=_within(100.0 * log_goal / end),
        marks=tuple((_within(100.0 * math.log(mark) / end), f"{mark:g}") for mark in marks),
    )


def _within(percent: float) -> float:
    if math.isnan(percent):
        return 0.0
    return round(min(max(percent, 0.0), 100.0), 2)
