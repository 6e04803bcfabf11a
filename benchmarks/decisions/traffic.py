"""Users: requests that arrive as a Poisson process, and errors, single or in clusters.

Of Poisson requests the bad and the good ones are independent Poisson counts, so both are drawn
directly. Clusters are compound Poisson: geometric sizes of mean (φ + 1)/2 give the number of
errors a variance of φ times its mean.
"""

from __future__ import annotations

import math
import random
from bisect import bisect
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Pair = tuple[int, int]
"""(bad, total)"""
LARGE = 400.0
"""Mean above which the normal approximation is as good as the table."""


@lru_cache(maxsize=4096)
def _table(mean: float) -> tuple[float, ...]:
    """Cumulative Poisson probabilities from 0 up to where nothing is left."""
    most = int(mean + 12.0 * math.sqrt(mean) + 20.0)
    logs = [n * math.log(mean) - mean - math.lgamma(n + 1) for n in range(most)]
    return tuple(accumulate(math.exp(value) for value in logs))


class Dice:
    """One run's chance."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def number(self, mean: float) -> int:
        """Draw a Poisson count."""
        if mean <= 0.0:
            return 0
        if mean > LARGE:
            return max(round(self.random.gauss(mean, math.sqrt(mean))), 0)
        return bisect(_table(mean), self.random.random())

    def counts(self, mean: float, ratio: float) -> Pair:
        """Draw the bad of all requests of one poll with so many on average."""
        bad = self.number(mean * ratio)
        return bad, bad + self.number(mean * (1.0 - ratio))

    def numbers(self, mean: float, many: int) -> list[int]:
        """Draw many Poisson counts of one mean."""
        table = _table(mean)
        chance = self.random.random
        return [bisect(table, chance()) for _ in range(many)]

    def series(self, mean: float, ratio: float, polls: int) -> list[Pair]:
        """Draw a steady series, one pair a poll."""
        good = self.numbers(mean * (1.0 - ratio), polls)
        if ratio <= 0.0:
            return [(0, total) for total in good]
        bad = self.numbers(mean * ratio, polls)
        return [(x, x + n) for x, n in zip(bad, good, strict=True)]

    def course(self, rate: float, ratio: Callable[[int], float], polls: int) -> list[Pair]:
        """Draw a series whose ratio follows the second."""
        return [self.counts(rate, ratio(second)) for second in range(1, polls + 1)]

    def clustered(
        self, rate: float, ratio: float, phi: float, spread: float, shape: tuple[int, float]
    ) -> list[Pair]:
        """Draw a series whose errors come in clusters.

        Args:
            rate: requests a second.
            ratio: how many of them are bad.
            phi: variance of the number of errors over its mean, in long windows.
            spread: seconds over which a cluster's errors are spread, evenly.
            shape: number of polls and seconds between them.
        """
        polls, every = shape
        size = (phi + 1.0) / 2.0
        bad = [0] * polls
        at, horizon = 0.0, polls * every
        mean_gap = size / (rate * ratio)
        # Clusters that began before are still under way.
        at = -spread
        while (at := at + self.random.expovariate(1.0) * mean_gap) < horizon:
            for _ in range(self.geometric(size)):
                when = at + spread * self.random.random()
                if 0.0 <= when < horizon:
                    bad[int(when / every)] += 1
        good = self.numbers(rate * every * (1.0 - ratio), polls)
        return [(x, x + n) for x, n in zip(bad, good, strict=True)]

    def geometric(self, mean: float) -> int:
        """Draw a cluster's size, at least 1."""
        if mean <= 1.0:
            return 1
        return 1 + int(math.log(1.0 - self.random.random()) / math.log(1.0 - 1.0 / mean))


def step_at(onset: float, before: float, after: float) -> Callable[[int], float]:
    """Give the ratio of something that turns bad at a second."""
    return lambda second: after if second > onset else before


def between(begins: float, ends: float, calm: float, bad: float) -> Callable[[int], float]:
    """Give the ratio of an incident that passes."""
    return lambda second: bad if begins < second <= ends else calm


def drift(low: float, high: float, over: float) -> Callable[[int], float]:
    """Give a ratio that climbs evenly from `low` to `high` over so many seconds."""
    return lambda second: low + (high - low) * min(second / over, 1.0)
