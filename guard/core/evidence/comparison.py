"""Test B: is the candidate worse than the stable revision beside it (decisions.md, B)?

Conditioning on the bad requests of both sides removes their common rate, so that a trouble which
both share tells nothing. Source of the conditional test: Lindon & Malek, anytime-valid inference
for multinomial count data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from guard.core.evidence.mixtures import CEILING, mean_with_reserve, take_in

PSI_GRID = (1.3, 1.6, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0, 50.0)
"""Alternatives as multiples of ψ0 (decisions.md, B)."""
_MULTIPLES = tuple((math.log(multiple), multiple - 1.0) for multiple in PSI_GRID)
EACH_AT_LEAST = 2
"""Requests of each side that make a poll tell anything (decisions.md, B, Low traffic)."""
DROPPED_AFTER = 60.0
"""Seconds after which carried counts are dropped."""
LONG_BLOCK = 8
"""Slots of the slower of the two processes from Prometheus (decisions.md, B)."""

Counts = tuple[int, int, int, int]
"""(candidate bad, candidate total, stable bad, stable total)"""
ZERO: Counts = (0, 0, 0, 0)
NOTHING = (0.0,) * len(PSI_GRID)
"""R_g at the start, and log factors of counts that tell nothing."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What one poll of B is taken in under.

    Attributes:
        k: allowance for clusters; `ceiling`: the highest R_g.
        interval: Prometheus' scrape interval, seconds.
        gap: some target was left unread, so that the sides cover different times.
        psi0: how many times worse than stable still counts as no worse.
    """

    k: int
    ceiling: float
    interval: float = 15.0
    gap: bool = False
    psi0: float = 1.0


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
        return NOTHING
    # θ/θ0 is the multiple times (1−θ)/(1−θ0), so that one logarithm an alternative is enough.
    x, both = bad / k, (bad + stable_bad) / k
    share = psi0 * total / (psi0 * total + stable_total)
    return tuple(
        [
            x * log_multiple - both * math.log1p(share * above_one)
            for log_multiple, above_one in _MULTIPLES
        ]
    )


@dataclass(frozen=True, slots=True)
class Direct:
    """B over counts of both sides read in one burst.

    Attributes:
        carried: counts that wait until each side has two requests; `carried_at` since when.
        pending_weight: weight drawn meanwhile, still in reserve.
    """

    r: tuple[float, ...] = NOTHING
    carried: Counts = ZERO
    carried_at: float | None = None
    pending_weight: float = 0.0


def update_direct(state: Direct, weight: float, counts: Counts, at: float, bound: Bound) -> Direct:
    """One poll.

    The requests alone decide when counts are taken in, never the errors: otherwise the test
    would choose its own data.
    """
    carried = plus(state.carried, counts)
    weight += state.pending_weight
    enough = carried[1] >= EACH_AT_LEAST and carried[3] >= EACH_AT_LEAST
    if enough and not bound.gap:
        logs = log_factors(carried, bound.k, bound.psi0)
        return Direct(take_in(state.r, weight, logs, bound.ceiling))
    if carried == ZERO:
        return replace(state, pending_weight=weight)
    since = at if state.carried_at is None else state.carried_at
    if at - since > DROPPED_AFTER:
        return Direct(state.r, pending_weight=weight)
    return Direct(state.r, carried, since, weight)


def m_direct(state: Direct, spent: float) -> float:
    """M_B of counts read in one burst."""
    return mean_with_reserve(state.r, spent - state.pending_weight)


@dataclass(frozen=True, slots=True)
class Blocks:
    """One process over blocks of slots, each compared with its neighbours in time.

    A block's factor is the smallest of the three with the stable side shifted by -1, 0 and +1
    block, so it is released one block later.
    """

    r: tuple[float, ...] = NOTHING
    before: Counts | None = None
    middle: Counts | None = None
    filling: Counts = ZERO
    slots: int = 0
    pending_weight: float = 0.0


def _slot(state: Blocks, weight: float, counts: Counts, size: int, bound: Bound) -> Blocks:
    filling = plus(state.filling, counts)
    weight += state.pending_weight
    if state.slots + 1 < size:
        return replace(state, filling=filling, slots=state.slots + 1, pending_weight=weight)
    if state.middle is None:
        return replace(state, middle=filling, filling=ZERO, slots=0, pending_weight=weight)
    logs = _smallest(state.before, state.middle, filling, bound)
    r = take_in(state.r, weight, logs, bound.ceiling)
    return Blocks(r=r, before=state.middle, middle=filling)


def _smallest(
    before: Counts | None, middle: Counts, after: Counts, bound: Bound
) -> tuple[float, ...]:
    """The smallest factor of a block with the stable side shifted by -1, 0 and +1."""
    beside = [middle, after] if before is None else [before, middle, after]
    shifted = [log_factors((*middle[:2], *other[2:]), bound.k, bound.psi0) for other in beside]
    return tuple(min(logs) for logs in zip(*shifted, strict=True))


@dataclass(frozen=True, slots=True)
class Shifted:
    """B over Prometheus' counts, whose targets are scraped up to one interval apart.

    Attributes:
        slot_at: when the present slot (one scrape interval) began; `slot` its counts so far.
        slot_weight: weight drawn meanwhile, still in reserve.
    """

    quick: Blocks = Blocks()
    slow: Blocks = Blocks()
    slot_at: float | None = None
    slot: Counts = ZERO
    slot_weight: float = 0.0


def update_shifted(
    state: Shifted, weight: float, counts: Counts, at: float, bound: Bound
) -> Shifted:
    """One poll. A target with a gap keeps the slot open, and so does silence.

    Nothing is released for want of data.
    """
    since = at if state.slot_at is None else state.slot_at
    slot = plus(state.slot, counts)
    weight += state.slot_weight
    if at - since < bound.interval or bound.gap or slot == ZERO:
        return replace(state, slot_at=since, slot=slot, slot_weight=weight)
    return Shifted(
        quick=_slot(state.quick, weight, slot, 1, bound),
        slow=_slot(state.slow, weight, slot, LONG_BLOCK, bound),
        slot_at=at,
    )


def m_shifted(state: Shifted, spent: float) -> float:
    """M_B over Prometheus' counts: the mean of the quick and the slow process."""
    drawn = spent - state.slot_weight
    quick = mean_with_reserve(state.quick.r, drawn - state.quick.pending_weight)
    slow = mean_with_reserve(state.slow.r, drawn - state.slow.pending_weight)
    return (quick + slow) / 2.0


def ceiling(counted: int) -> float:
    """The highest R_g for a number of counted checks."""
    return CEILING * counted


def cut_direct(state: Direct, spent: float) -> Direct:
    """Old quarrels: while M_A < 1.5, no R_g stands over the weight spent (decisions.md, B)."""
    r = _cut(state.r, spent - state.pending_weight)
    return state if r is state.r else replace(state, r=r)


def cut_shifted(state: Shifted, spent: float) -> Shifted:
    """The same for both processes over Prometheus' counts."""
    drawn = spent - state.slot_weight
    quick = _cut(state.quick.r, drawn - state.quick.pending_weight)
    slow = _cut(state.slow.r, drawn - state.slow.pending_weight)
    if quick is state.quick.r and slow is state.slow.r:
        return state
    return replace(state, quick=replace(state.quick, r=quick), slow=replace(state.slow, r=slow))


def _cut(r: tuple[float, ...], spent: float) -> tuple[float, ...]:
    return r if max(r) <= spent else tuple([min(value, spent) for value in r])
