"""Rows of figures beside their goals, with confidence bounds and what each cell really had."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, TypeVar

from guard.core.evidence.statistics import Z95, Z95_ONE_SIDED, wilson

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


class Standing(StrEnum):
    """How a figure compares with its goal."""

    MET = "met"
    OPEN = "open"  # its confidence bounds lie on both sides of the goal
    MISSED = "MISSED"
    NOT_BUILT = "not built"
    SHOWN = ""  # no goal: a rival's figure


@dataclass(frozen=True)
class Row:
    """One figure."""

    figure: str
    case: str
    value: str
    goal: str = ""
    standing: Standing = Standing.SHOWN
    runs: int = 0


def share(figure: str, case: str, hits: Sequence[bool], goal: str) -> Row:
    """Compare a share of runs with a goal such as `<= 0.6%` or `>= 98%`, by its 95% bound."""
    runs, number = len(hits), sum(hits)
    low, high = wilson(number, runs, Z95_ONE_SIDED)
    value = f"{number / runs:.2%} (95% {low:.2%} to {high:.2%})"
    standing = Standing.SHOWN
    if goal:
        sign, limit = goal.split()
        bound = float(limit.rstrip("%")) / 100.0
        if sign == "<=":
            standing = _under(number / runs, (low, high), bound)
        else:
            standing = _under(1.0 - number / runs, (1.0 - high, 1.0 - low), 1.0 - bound)
    return Row(figure, case, value, goal, standing, runs)


def _under(value: float, bounds: tuple[float, float], goal: float) -> Standing:
    """A share meets its goal with its upper bound; a goal of 0 with no case in 300 runs or more."""
    if goal == 0.0:
        seen = Standing.MET if bounds[1] <= 0.01 else Standing.OPEN
        return seen if value == 0.0 else Standing.MISSED
    if bounds[1] <= goal:
        return Standing.MET
    return Standing.MISSED if bounds[0] > goal else Standing.OPEN


@dataclass(frozen=True)
class Unit:
    """How a quantile is shown: divided by `per`, and followed by `word`."""

    per: float = 1.0
    word: str = "s"


def quantile(
    figure: str, case: str, values: Sequence[float], goal: tuple[float, float], unit: Unit
) -> Row:
    """Compare a quantile with a goal: `goal` is which one and how large it may be.

    Its 95% interval comes from order statistics, which needs no distribution.
    """
    at, limit = goal
    ordered = sorted(value / unit.per for value in values)
    runs = len(ordered)
    spread = Z95 * math.sqrt(runs * at * (1.0 - at))
    places = [at * runs + move for move in (-spread, 0.0, spread)]
    low, value, high = (ordered[min(max(math.floor(place), 0), runs - 1)] for place in places)
    standing = Standing.MET if value <= limit else Standing.MISSED
    if standing is Standing.MISSED and low <= limit:
        standing = Standing.OPEN
    name = "median" if at == 0.5 else f"{at:.0%}"
    shown = f"{value:.3g} {unit.word} (95% {low:.3g} to {high:.3g})"
    return Row(figure, f"{case}, {name}", shown, f"<= {limit:g} {unit.word}", standing, runs)


def not_built(figure: str, case: str, goal: str) -> Row:
    """Name a row that needs a part not built yet."""
    return Row(figure, case, "not built", goal, Standing.NOT_BUILT)


@dataclass
class Effort:
    """How much work a whole benchmark may be.

    Attributes:
        share: runs of each cell, as a share of the full number.
        seconds: of CPU at most for each cell (None: no limit); a cell then has fewer runs.
        processes: worker processes.
        counting: also count false aborts, besides weighing them by likelihood ratio.
    """

    share: float = 1.0
    seconds: float | None = None
    processes: int = 1
    counting: bool = True

    def runs(self, full: int) -> int:
        """Runs of a cell that has so many in full."""
        return max(round(full * self.share), 5)

    def many(self, one: Callable[[int], T], full: int) -> list[T]:
        """Do one run for each seed; runs that are out of time are left out, and counted so."""
        began = time.process_time()
        if self.processes > 1:
            return self._together(one, self.runs(full))
        done: list[T] = []
        for seed in range(self.runs(full)):
            done.append(one(seed))
            if self.seconds is not None and time.process_time() - began > self.seconds:
                break
        return done

    def _together(self, one: Callable[[int], T], runs: int) -> list[T]:
        # Workers are forked after the run is known, so that a closure reaches them.
        _present[0] = one
        began, done = time.monotonic(), []
        with get_context("fork").Pool(self.processes) as pool:
            for result in pool.imap(_call, range(runs), chunksize=max(runs // 200, 1)):
                done.append(result)
                if self.seconds is not None and time.monotonic() - began > self.seconds:
                    break
        return done


_present: list[Callable[[int], Any]] = [lambda _: None]


def _call(seed: int) -> object:
    return _present[0](seed)


def as_line(row: Row) -> str:
    """One row of a Markdown table."""
    standing = f"**{row.standing}**" if row.standing is Standing.MISSED else row.standing.value
    cells = (row.figure, row.case, row.value, row.goal, standing, str(row.runs or ""))
    return "| " + " | ".join(cells) + " |"
