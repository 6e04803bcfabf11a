"""False aborts by likelihood ratio: the same probability as by counting, from far fewer runs.

A healthy run hardly ever aborts, so runs are drawn from a law Q under which they do, and each is
weighed by dP/dQ at the moment of its abort: P(abort) = E_Q[1/L; abort] (D. Siegmund, Annals of
Statistics 4, 1976). Q tilts the clusters as test A itself does: from a random poll on, drawn with
the weights of the spread start, clusters of K errors are e^(θK) times as likely, θ = ln(p_g/p0)/k.
Single errors are clusters of 1.
"""

from __future__ import annotations

import math
from bisect import bisect
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

from benchmarks.decisions.drive import spread_start
from benchmarks.decisions.traffic import Dice
from guard.core.evidence import mixtures, weighing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class Case:
    """One cell.

    Attributes:
        rate: requests a second; `ratio` the share of bad ones.
        phi: dispersion; `spread` the seconds over which a cluster's errors are spread.
        k: the allowance that is judged with.
        every: seconds between polls; `polls` how many.
    """

    rate: float
    ratio: float
    phi: float = 1.0
    spread: float = 0.0
    k: int = 1
    every: float = 1.0
    polls: int = 1800


@dataclass(frozen=True)
class _Tilt:
    """One alternative: θ, cluster rate and size under it, and what a second costs in log L."""

    theta: float
    gap: float
    size: float
    a_second: float


@lru_cache(maxsize=64)
def _tilts(case: Case, bound: weighing.Bound) -> tuple[_Tilt, ...]:
    mean = (case.phi + 1.0) / 2.0
    stop = 1.0 / mean
    clusters = case.rate * case.ratio / mean
    kept = []
    for p in mixtures.alternatives(bound.p0):
        theta = math.log(p / bound.p0) / case.k
        left = (1.0 - stop) * math.exp(theta)
        if left > 0.75:
            break  # Clusters would have no mean, or one beyond what ever happens.
        growth = stop * math.exp(theta) / (1.0 - left)
        kept.append(
            _Tilt(theta, 1.0 / (clusters * growth), 1.0 / (1.0 - left), clusters * (1.0 - growth))
        )
    return tuple(kept)


def abort_weight(seed: int, case: Case, bound: weighing.Bound) -> float:
    """Give 1/L at the abort of a run drawn from Q; 0 where it never aborts."""
    return level_weights(seed, case, bound, (bound.decides,))[0]


def level_weights(
    seed: int, case: Case, bound: weighing.Bound, levels: Sequence[float]
) -> list[float]:
    """Give 1/L when M first reaches each of the rising levels; 0 where it never does."""
    dice, tilts = Dice(seed), _tilts(case, bound)
    weights = spread_start(case.polls, case.every, None)
    sums = [spent for _, spent in weights]
    whole = sums[-1]
    change = bisect(sums, dice.random.random() * whole)
    drawn = dice.random.choice(tilts)
    bad, sizes = _clusters(dice, case, change * case.every, drawn)
    a_bound = (bound.p0, case.k, bound.counted)
    r = weighing.begin(0.0, bound).a
    likely = [0.0] * len(tilts)
    good = case.rate * case.every * (1.0 - case.ratio)
    reached: list[float] = []
    for number, (weight, spent) in enumerate(weights):
        x = bad[number]
        r = mixtures.update_a(r, weight, (x, x + dice.number(good)), a_bound)
        likely = [
            (was + weight) * math.exp(tilt.theta * sizes[number] + tilt.a_second * case.every)
            for was, tilt in zip(likely, tilts, strict=True)
        ]
        if x:
            m = mixtures.mean_with_reserve(r, spent)
            inverse = whole / (sum(likely) / len(likely) + whole - spent)
            while len(reached) < len(levels) and m >= levels[len(reached)]:
                reached.append(inverse)
            if len(reached) == len(levels):
                break
    return reached + [0.0] * (len(levels) - len(reached))


def _clusters(dice: Dice, case: Case, change: float, tilt: _Tilt) -> tuple[list[int], list[int]]:
    """Errors that show in each poll, and errors of the clusters that begin in each poll."""
    bad, sizes = [0] * case.polls, [0] * case.polls
    horizon = case.polls * case.every
    for at, size in _arrivals(dice, case, change, tilt):
        sizes[int(at / case.every)] += size
        for _ in range(size):
            when = at + case.spread * dice.random.random()
            if when < horizon:
                bad[int(when / case.every)] += 1
    return bad, sizes


def _arrivals(dice: Dice, case: Case, change: float, tilt: _Tilt) -> Iterator[tuple[float, int]]:
    mean = (case.phi + 1.0) / 2.0
    spans = (
        (0.0, change, mean / (case.rate * case.ratio), mean),
        (change, case.polls * case.every, tilt.gap, tilt.size),
    )
    for begins, ends, gap, size in spans:
        at = begins
        while (at := at + dice.random.expovariate(1.0) * gap) < ends:
            yield at, dice.geometric(size)


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """Give the mean and its standard error."""
    runs = len(values)
    mean = sum(values) / runs
    squares = list(accumulate((value - mean) ** 2 for value in values))[-1]
    return mean, math.sqrt(squares / max(runs - 1, 1) / runs)
