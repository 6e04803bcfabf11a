"""Trailing windows in bounded memory: bins of a second that grow coarser with age."""

from __future__ import annotations

import math
from typing import NamedTuple

WIDTH = 1.0
"""Seconds of the finest bin."""
BINS_AT_MOST = 64
"""Bins kept; beyond that the older half is merged in pairs, so that a bin is at most about a
sixteenth as wide as it is old: blame asks for the last minute."""


class Bin(NamedTuple):
    """Counts of both sides from `since` on: candidate `bad` of `total`, stable likewise.

    A plain tuple, so that a checkpoint holds no names: bins are most of a check's state.
    """

    since: float
    bad: int
    total: int
    stable_bad: int
    stable_total: int


def add(bins: tuple[Bin, ...], at: float, counts: tuple[int, int, int, int]) -> tuple[Bin, ...]:
    """Add counts (bad, total, stable bad, stable total) of the moment `at`."""
    if bins and at - bins[-1].since < WIDTH:
        return (*bins[:-1], _plus(bins[-1], counts))
    since = math.floor(at * 1000.0) / 1000.0  # finer would only make the checkpoint longer
    grown = (*bins, Bin(since, *counts))
    return grown if len(grown) <= BINS_AT_MOST else _coarser(grown)


def trailing(
    bins: tuple[Bin, ...], at: float, seconds: float, requests: float, *, stable: bool = False
) -> tuple[int, int]:
    """(bad, total) of one side's last `seconds` or last `requests`, whichever is longer."""
    bad = total = 0
    for one in reversed(bins):
        if at - one.since > seconds and total >= requests:
            break
        bad += one.stable_bad if stable else one.bad
        total += one.stable_total if stable else one.total
    return bad, total


def _plus(one: Bin, counts: tuple[int, int, int, int]) -> Bin:
    bad, total, stable_bad, stable_total = counts
    return Bin(
        one.since,
        one.bad + bad,
        one.total + total,
        one.stable_bad + stable_bad,
        one.stable_total + stable_total,
    )


def _coarser(bins: tuple[Bin, ...]) -> tuple[Bin, ...]:
    """Merge the older half in pairs: memory stays constant, the newest seconds stay fine."""
    half = len(bins) // 2
    old = bins[: half - half % 2]
    merged = tuple(
        _plus(one, (two.bad, two.total, two.stable_bad, two.stable_total))
        for one, two in zip(old[::2], old[1::2], strict=True)
    )
    return merged + bins[len(old) :]
