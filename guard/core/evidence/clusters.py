"""How clustered errors are: dispersion φ from blocks of history, and the allowance k from φ.

The law of this module (decisions.md, C): neither a day's drift nor one incident makes errors look
clustered, for φ is the median over short windows, each judged by its own ratio.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

BLOCKS = 10
"""Blocks of one window (decisions.md, C)."""
ERRORS_AT_LEAST = 5
"""Errors that a window needs to say anything (decisions.md, C)."""
SHARE_AT_LEAST = 0.5
"""Share of the windows with traffic that must have so many errors. Where most have fewer, those
that do are the service's incidents, and say nothing of how its everyday errors come."""
MEDIAN_OF_NINE = 8.342832692252957 / 9.0
"""Median of χ²/9 with 9 degrees of freedom: what the median window of errors that come one by one
gives. 8.3428 is the median of χ² with 9 degrees of freedom (any table of χ²)."""
CONFIDENCE = 0.95
CLEAN = 1.2
"""φ up to which errors count as coming one by one (decisions.md, C)."""

Pair = tuple[int, int]
"""(bad, total)"""


@dataclass(frozen=True, slots=True)
class Dispersion:
    """φ, variance over mean of the errors in a block given its requests.

    Attributes:
        estimate: the median over windows, without bias for errors that come one by one.
        upper: its 95% upper bound.
        windows: how many windows it rests on.
    """

    estimate: float
    upper: float
    windows: int


def dispersion(blocks: Sequence[Pair]) -> Dispersion | None:
    """φ from blocks of 1 to 2 min, in the order of time; None where they are too few to tell.

    The bound is that of a median by its order statistics, which holds for any distribution.
    """
    used = [block for block in blocks if block[1] > 0]
    whole = [used[at : at + BLOCKS] for at in range(0, len(used) - BLOCKS + 1, BLOCKS)]
    enough = [window for window in whole if sum(bad for bad, _ in window) >= ERRORS_AT_LEAST]
    ranks = _ranks(len(enough))
    if ranks is None or len(enough) < SHARE_AT_LEAST * len(whole):
        return None
    values = sorted(_of_window(window) / MEDIAN_OF_NINE for window in enough)
    rank, share = ranks
    upper = values[rank - 1] + share * (values[rank] - values[rank - 1])
    middle = len(values) // 2
    estimate = values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2.0
    return Dispersion(estimate, max(upper, estimate), len(values))


def _of_window(window: Sequence[Pair]) -> float:
    """Pearson's χ² of a window's errors, given its requests, over its degrees of freedom."""
    bad = sum(block[0] for block in window)
    total = sum(block[1] for block in window)
    ratio = bad / total
    if ratio >= 1.0:
        return 1.0  # Everything fails: nothing left that could vary.
    squares = sum((x - n * ratio) ** 2 / (n * ratio * (1.0 - ratio)) for x, n in window)
    return squares / (len(window) - 1)


@lru_cache(maxsize=2048)
def _ranks(count: int) -> tuple[int, float] | None:
    """Between which order statistics of so many values the 95% upper bound of the median lies.

    Returns:
        (rank r from 1, share of the way to r + 1); None where even the largest is no bound.
    """
    if count == 0 or 1.0 - 0.5**count < CONFIDENCE:
        return None
    below = 0.0
    for rank in range(count):
        # P(at most `rank` of the values lie under the median).
        until = below + math.comb(count, rank) * 0.5**count
        if until >= CONFIDENCE:
            return rank, (CONFIDENCE - below) / (until - below)
        below = until
    raise AssertionError(count)


def allowance(found: Dispersion) -> int:
    """Allowance k from φ (decisions.md, C). Above 10 the check holds and never fails."""
    if found.upper <= CLEAN:
        return 1
    if found.estimate <= CLEAN:
        return 2
    return math.ceil(found.upper) + 1
