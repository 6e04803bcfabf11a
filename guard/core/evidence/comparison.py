"""Test B: is the candidate worse than the stable revision beside it (decisions.md, B)?

Conditioning on the bad requests of both sides removes their common rate, so that a trouble which
both share tells nothing. Source of the conditional test: Lindon & Malek, anytime-valid inference
for multinomial count data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from guard.core.evidence.mixtures import CEILING, grow

PSI_GRID = (1.3, 1.6, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0, 50.0)
"""Alternatives as multiples of ψ0 (decisions.md, B)."""
EACH_AT_LEAST = 2
"""Requests of each side that make a poll tell anything (decisions.md, B, Low traffic)."""
DROPPED_AFTER = 60.0
"""Seconds after which carried counts are dropped."""
LONG_BLOCK = 8
"""Slots of the slower of the two processes from Prometheus (decisions.md, B)."""

Counts = tuple[int, int, int, int]
"""(candidate bad, candidate total, stable bad, stable total)"""
ZERO: Counts = (0, 0, 0, 0)


def plus(one: Counts, two: Counts) -> Counts:
    """Add counts side by side."""
    return (one[0] + two[0], one[1] + two[1], one[2] + two[2], one[3] + two[3])


def exchanged(counts: Counts) -> Counts:
    """The same with the sides exchanged."""
    return (counts[2], counts[3], counts[0], counts[1])


def log_factors(counts: Counts, k: int, psi0: float = 1.0) -> tuple[float, ...]:
    """Log of B's factor for each alternative; 0 where the counts tell nothing."""
    bad, total, stable_bad, stable_total = counts
    if bad + stable_bad == 0 or total == 0 or stable_total == 0:
        return (0.0,) * len(PSI_GRID)
    theta0 = _theta(psi0, total, stable_total)
    return tuple(
        bad / k * math.log(theta / theta0)
        + stable_bad / k * math.log((1.0 - theta) / (1.0 - theta0))
        for theta in (_theta(psi0 * multiple, total, stable_total) for multiple in PSI_GRID)
    )


def _theta(psi: float, total: int, stable_total: int) -> float:
    return psi * total / (psi * total + stable_total)


@dataclass(frozen=True, slots=True)
class Direct:
    """B over counts of both sides read in one burst.

    Attributes:
        carried: counts that wait until each side has two requests; `carried_at` since when.
    """

    r: tuple[float, ...] = (0.0,) * len(PSI_GRID)
    carried: Counts = ZERO
    carried_at: float | None = None
    pending_weight: float = 0.0


def update_direct(
    state: Direct, weight: float, counts: Counts, at: float, bound: tuple[int, float]
) -> Direct:
    """One poll. `bound`: (k, ceiling of R_g).

    The requests alone decide when counts are taken in, never the errors: otherwise the test
    would choose its own data.
    """
    k, ceiling = bound
    carried = plus(state.carried, counts)
    since = at if state.carried_at is None else state.carried_at
    weight += state.pending_weight
    if carried[1] >= EACH_AT_LEAST and carried[3] >= EACH_AT_LEAST:
        r = take_in(state.r, weight, log_factors(carried, k), ceiling)
        return Direct(r=r)
    if at - since > DROPPED_AFTER:
        return replace(state, carried=ZERO, carried_at=None, pending_weight=weight)
    return replace(state, carried=carried, carried_at=since, pending_weight=weight)


def take_in(
    r: tuple[float, ...], weight: float, logs: tuple[float, ...], ceiling: float
) -> tuple[float, ...]:
    """One step of the recursion with the given factors."""
    return tuple(min((was + weight) * grow(log), ceiling) for was, log in zip(r, logs, strict=True))


@dataclass(frozen=True, slots=True)
class Blocks:
    """One process over blocks of slots, each compared with its neighbours in time.

    A block's factor is the smallest of the three with the stable side shifted by -1, 0 and +1
    block, so it is released one block later.
    """

    r: tuple[float, ...] = (0.0,) * len(PSI_GRID)
    before: Counts | None = None
    middle: Counts | None = None
    filling: Counts = ZERO
    slots: int = 0
    pending_weight: float = 0.0


def _slot(
    state: Blocks, weight: float, counts: Counts, size: int, bound: tuple[int, float]
) -> Blocks:
    filling = plus(state.filling, counts)
    weight += state.pending_weight
    if state.slots + 1 < size:
        return replace(state, filling=filling, slots=state.slots + 1, pending_weight=weight)
    if state.middle is None:
        return replace(state, middle=filling, filling=ZERO, slots=0, pending_weight=weight)
    k, ceiling = bound
    r = take_in(state.r, weight, _smallest(state, filling, k), ceiling)
    return Blocks(r=r, before=state.middle, middle=filling)


def _smallest(state: Blocks, after: Counts, k: int) -> tuple[float, ...]:
    middle = state.middle or ZERO
    shifted = [middle, (*middle[:2], *after[2:])]
    if state.before is not None:
        shifted.append((*middle[:2], *state.before[2:]))
    return tuple(min(logs) for logs in zip(*(log_factors(c, k) for c in shifted), strict=True))


@dataclass(frozen=True, slots=True)
class Shifted:
    """B over Prometheus' counts, whose targets are scraped up to one interval apart.

    Attributes:
        slot_at: when the present slot (one scrape interval) began; `slot` its counts so far.
    """

    quick: Blocks = Blocks()
    slow: Blocks = Blocks()
    slot_at: float | None = None
    slot: Counts = ZERO
    slot_weight: float = 0.0


def update_shifted(
    state: Shifted, weight: float, counts: Counts, at: float, bound: tuple[int, float, float]
) -> Shifted:
    """One poll. `bound`: (k, ceiling of R_g, scrape interval in seconds)."""
    k, ceiling, interval = bound
    since = at if state.slot_at is None else state.slot_at
    slot = plus(state.slot, counts)
    weight += state.slot_weight
    if at - since < interval:
        return replace(state, slot_at=since, slot=slot, slot_weight=weight)
    return Shifted(
        quick=_slot(state.quick, weight, slot, 1, (k, ceiling)),
        slow=_slot(state.slow, weight, slot, LONG_BLOCK, (k, ceiling)),
        slot_at=at,
    )


def ceiling(counted: int) -> float:
    """The highest R_g for a number of counted checks."""
    return CEILING * counted


def cut(r: tuple[float, ...], spent: float) -> tuple[float, ...]:
    """Old quarrels: while M_A < 1.5, no R_g stands over the weight spent (decisions.md, B)."""
    return tuple(min(value, spent) for value in r)
