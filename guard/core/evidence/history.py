"""What is normal for a service, from its counters of the last day (decisions.md, What is normal).

The law of this module: a bound is only ever raised by evidence that the stable revision itself is
over it. Silence, few requests, a past incident or counters that cannot be believed raise nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from guard.core.evidence import clusters
from guard.core.evidence.statistics import Z95_ONE_SIDED, Z99_ONE_SIDED, wilson

HOUR = 3600.0
DAY = 24 * HOUR
"""Seconds of the two spans whose lower bound counts (decisions.md, What is normal)."""
ERRORS_AT_LEAST = 10
"""Errors that raise a bound: with fewer, the upper bound says little but that they are few."""
OVER_AT_MOST = 0.5
"""No bound is raised further: what fails most of its requests is no measure of anything."""
UNBELIEVED = 0.02
"""Share of falls among a pod's blocks from which several processes answer behind its address."""
FALLS_AT_LEAST = 3
LONG_BLOCK = 1.5
"""Steps beyond which a block has a gap in it, and says nothing about clusters."""

Pair = tuple[int, int]
"""(bad, total)"""


@dataclass(frozen=True, slots=True)
class Mark:
    """One pod's cumulative counters as of one moment.

    Attributes:
        at: the moment, seconds since the epoch.
        total, bad: requests since the process started, and bad ones among them.
    """

    at: float
    total: float
    bad: float


@dataclass(frozen=True, slots=True)
class Track:
    """One pod's counters over time, oldest first; a moment without a sample has no mark."""

    pod: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """What one pod served from `since` to `until` (seconds since the epoch)."""

    since: float
    until: float
    bad: int
    total: int


@dataclass(frozen=True, slots=True)
class Normal:
    """What is normal for the stable revision.

    Attributes:
        at: until when history was looked at, seconds since the epoch.
        bad, total: its requests in the span that `over` rests on, or in the whole day.
        over: b, the 95% upper bound of its ratio where that ratio is over the check's bound.
        pod_over: the 99% upper bound of the one stable pod whose 99% lower bound is highest
            over the check's bound: test A alone is judged against it.
        allowance: k of decisions.md C; None where history is too short to tell.
        dispersion: φ, and `dispersion_upper` its 95% upper bound; 0 where it is not known.
    """

    at: float
    bad: int = 0
    total: int = 0
    over: float | None = None
    pod_over: float | None = None
    allowance: int | None = None
    dispersion: float = 0.0
    dispersion_upper: float = 0.0


def blocks_of(track: Track) -> tuple[Block, ...]:
    """The differences between a pod's marks.

    A fall says that the process began anew, or that another one answered: that block is left out,
    for what it served before the fall is not known. Where falls are no exception nothing is
    believed: several processes answer behind one address (decisions.md, Counting 4).
    """
    blocks = []
    falls = 0
    marks = [mark for mark in track.marks if _usable(mark)]
    for before, after in pairwise(marks):
        total, bad = after.total - before.total, after.bad - before.bad
        if total < 0 or bad < 0:
            falls += 1
        else:
            whole = round(total)
            blocks.append(Block(before.at, after.at, min(round(bad), whole), whole))
    if falls >= FALLS_AT_LEAST and falls > UNBELIEVED * len(marks):
        return ()
    return tuple(blocks)


def _usable(mark: Mark) -> bool:
    return math.isfinite(mark.total) and math.isfinite(mark.bad) and 0 <= mark.bad <= mark.total


def served(tracks: Iterable[Track], since: float, until: float) -> Pair:
    """(bad, total) of all pods in the blocks that lie within a span."""
    bad = total = 0
    for track in tracks:
        for block in blocks_of(track):
            if block.since >= since and block.until <= until:
                bad += block.bad
                total += block.total
    return bad, total


def normal(tracks: Sequence[Track], p0: float, at: float, step: float) -> Normal:
    """What is normal for the stable revision.

    Args:
        tracks: each stable pod's counters of the last 24 h.
        p0: the check's own bound (fraction).
        at: now, seconds since the epoch.
        step: seconds between two marks.
    """
    pods = [blocks_of(track) for track in tracks]
    found = clusters.dispersion(_slots(pods, step))
    # Clustered errors tell less: so many of them are worth one.
    k = max(found.estimate, 1.0) if found else 2.0
    side = [block for blocks in pods for block in blocks]
    counts, span = _lower_span(side, at, k, Z95_ONE_SIDED)
    over = None
    if counts[0] >= ERRORS_AT_LEAST and counts[0] > p0 * counts[1]:
        over = min(span[1], OVER_AT_MOST)
    if over is None:
        counts = _sum(side, at - DAY)
    spans = [_lower_span(blocks, at, k, Z99_ONE_SIDED)[1] for blocks in pods]
    above = [(low, high) for low, high in spans if low > p0]
    return Normal(
        at=at,
        bad=counts[0],
        total=counts[1],
        over=over,
        pod_over=min(max(above)[1], OVER_AT_MOST) if above else None,
        allowance=clusters.allowance(found) if found else None,
        dispersion=found.estimate if found else 0.0,
        dispersion_upper=found.upper if found else 0.0,
    )


def _slots(pods: Iterable[Sequence[Block]], step: float) -> list[Pair]:
    """The whole side's requests by slot of time, in order."""
    slots: dict[int, Pair] = defaultdict(lambda: (0, 0))
    for blocks in pods:
        for block in blocks:
            if block.until - block.since <= LONG_BLOCK * step:
                bad, total = slots[round(block.until / step)]
                slots[round(block.until / step)] = bad + block.bad, total + block.total
    return [slots[slot] for slot in sorted(slots)]


def _lower_span(
    blocks: Sequence[Block], at: float, k: float, z: float
) -> tuple[Pair, tuple[float, float]]:
    """Counts and bounds of the last hour or the last day, whichever has the lower upper bound."""
    spans = []
    for seconds in (HOUR, DAY):
        bad, total = _sum(blocks, at - seconds)
        spans.append(((bad, total), wilson(bad / k, total / k, z)))
    return min(spans, key=lambda span: span[1][1])


def _sum(blocks: Iterable[Block], since: float) -> Pair:
    bad = total = 0
    for block in blocks:
        if block.since >= since:
            bad += block.bad
            total += block.total
    return bad, total
