"""Releases that are like a predecessor which was over the bound itself, and the fitted k.

The product's own history code reads the simulated counters of the stable pods' last day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.decisions.drive import P0
from benchmarks.decisions.fleet import START, Setting, replaced
from benchmarks.decisions.report import Effort, Row, Standing, share
from benchmarks.decisions.traffic import Dice
from guard.core.evidence.history import DAY, Mark, Track
from guard.core.evidence.history import normal as told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.decisions.fleet import Ending
    from benchmarks.decisions.traffic import Pair
    from guard.core.evidence.history import Normal

STEP = 120.0
"""Seconds between two marks of history."""
PODS = 5
RUNS = 1_000
SECONDS = 930
"""The default deadline, 15 min, from when the last of the pods is ready."""


def normal(effort: Effort) -> Iterator[Row]:
    """Yield releases exactly like their predecessor, at ratios over the bound."""
    figure = "like its predecessor"
    for ratio in (0.012, 0.015, 0.02, 0.03):
        for rate in (20.0, 100.0):
            found = effort.many(lambda seed, p=ratio, n=rate: _release(seed, p, n), RUNS)
            case = f"{ratio:.1%}, {rate:g}/s"
            undone = [ending.undone for ending in found]
            yield share(figure, f"{case}: undone", undone, "<= 1%")
            promoted = [ending.passed and not ending.undone for ending in found]
            yield share(figure, f"{case}: promoted", promoted, ">= 98%")
    for phi, wanted in ((1.0, 1), (3.0, 4), (5.0, 6)):
        found = sorted(effort.many(lambda seed, f=phi: _fitted(seed, f), RUNS))
        middle = found[len(found) // 2]
        value = f"median {middle}, 5% {found[len(found) // 20]}, 95% {found[-1 - len(found) // 20]}"
        standing = Standing.MET if abs(middle - wanted) <= 1 else Standing.MISSED
        case = f"φ = {phi:g}, 20/s at 0.5%"
        yield Row("k fitted from a day", case, value, f"{wanted} ± 1", standing, len(found))


def _release(seed: int, ratio: float, rate: float) -> Ending:
    dice = Dice(-1 - seed)
    blocks = int(DAY / STEP)
    pods = [dice.series(rate * STEP / PODS, ratio, blocks) for _ in range(PODS)]
    setting = Setting(rate, lambda _, __: ratio, k=None, normal=_history(pods))
    return replaced(seed, setting, SECONDS, 5.0)


def _fitted(seed: int, phi: float) -> int:
    blocks = int(DAY / STEP)
    pod = Dice(seed).clustered(20.0, P0 / 2, phi, 5.0, (blocks, STEP))
    return _history([pod]).allowance or 0


def _history(pods: list[list[Pair]]) -> Normal:
    tracks = []
    for number, series in enumerate(pods):
        bad = total = 0
        at = START - len(series) * STEP
        marks = [Mark(at, 0.0, 0.0)]
        for x, n in series:
            bad, total, at = bad + x, total + n, at + STEP
            marks.append(Mark(at, float(total), float(bad)))
        tracks.append(Track(f"old{number}", tuple(marks)))
    return told(tracks, P0, START, STEP)
