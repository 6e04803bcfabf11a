"""Releases that are like a predecessor which was over the bound itself.

p0′ is worked out here from simulated counts of the stable revision's last hour and last day, by
the product's own bounds, and given to the check as its bound: reading those counts from
Prometheus is not part of a simulation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.decisions.drive import P0
from benchmarks.decisions.fleet import Setting, replaced
from benchmarks.decisions.report import Effort, Row, share
from benchmarks.decisions.traffic import Dice
from guard.core.evidence.statistics import upper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.decisions.fleet import Ending

HOUR, DAY = 3600.0, 86_400.0
RUNS = 400


def normal(effort: Effort) -> Iterator[Row]:
    """Yield releases exactly like their predecessor, at ratios over the bound."""
    for ratio in (0.012, 0.015, 0.02, 0.03):
        for rate in (20.0, 100.0):
            found = effort.many(lambda seed, p=ratio, n=rate: _release(seed, p, n), RUNS)
            figure = "like its predecessor, p0′ from simulated history"
            case = f"{ratio:.1%}, {rate:g}/s"
            undone = [ending.undone for ending in found]
            yield share(figure, f"{case}: undone", undone, "<= 1%")
            promoted = [ending.passed and not ending.undone for ending in found]
            yield share(figure, f"{case}: promoted", promoted, ">= 98%")


def _release(seed: int, ratio: float, rate: float) -> Ending:
    dice = Dice(-1 - seed)
    bounds = [upper(*dice.counts(rate * seconds, ratio)) for seconds in (HOUR, DAY)]
    above = max(P0, min(bounds))
    return replaced(seed, Setting(rate, lambda _, __: ratio, p0=above), 600, 5.0)
