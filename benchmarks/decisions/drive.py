"""Drives the product's own evidence functions, as fast as honest arithmetic allows.

`a_alone` calls test A and nothing else, which is E wherever stable has no control: the rows on
false aborts need 20,000 runs of 1,800 polls. `weighed` calls A and B as a check does.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from guard.core.checks.counted_state import D_REQUESTS, D_WINDOW
from guard.core.evidence import mixtures, spend, weighing, windows
from guard.core.verdicts import E_TOO_HIGH_TO_PROMOTE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.decisions.traffic import Pair

P0 = 0.01
ALPHA = 0.01
HORIZON = 1800
NEVER = math.inf


def bound(k: int = 1, p0: float = P0, counted: int = 1) -> weighing.Bound:
    """What a check is judged under."""
    return weighing.Bound(
        p0=p0,
        p1=2 * p0,
        k=k,
        assumed=False,
        counted=counted,
        alpha=ALPHA,
        beta=0.05,
        interval=15.0,
    )


@lru_cache(maxsize=64)
def spread_start(polls: int, every: float, step: float | None) -> tuple[tuple[float, float], ...]:
    """Weight of each poll and the sum so far: they depend on time alone."""
    state, drawn = spend.begin(0.0), []
    for number in range(1, polls + 1):
        at = number * every
        if step is not None and at - every < step <= at:
            state = spend.step(state, at)
        state, weight = spend.draw(state, at)
        drawn.append((weight, state.spent))
    return tuple(drawn)


def a_alone(
    series: Sequence[Pair],
    fixed: weighing.Bound,
    *,
    every: float = 1.0,
    step: float | None = None,
    levels: Sequence[float] = (),
) -> list[float]:
    """Seconds at which E reaches each level (default: what decides); infinite where never.

    Exact, with two shortcuts: polls without any request are taken in together with the next one,
    and M is looked at only where there was an error, since nothing else lets it grow.
    """
    goals = list(levels or (fixed.decides,))
    crossed = [NEVER] * len(goals)
    next_goal = 0
    a_bound = (fixed.p0, fixed.k, fixed.counted)
    r = weighing.begin(0.0, fixed).a
    held = 0.0
    update = mixtures.update_a
    for number, (counts, (weight, spent)) in enumerate(
        zip(series, spread_start(len(series), every, step), strict=True)
    ):
        held += weight
        if not counts[1]:
            continue
        r = update(r, held, counts, a_bound)
        held = 0.0
        if counts[0]:
            m = mixtures.mean_with_reserve(r, spent)
            while m >= goals[next_goal]:
                crossed[next_goal] = (number + 1) * every
                next_goal += 1
                if next_goal == len(goals):
                    return crossed
    return crossed


def weighed(
    candidate: Sequence[Pair],
    stable: Iterable[Pair],
    fixed: weighing.Bound,
    *,
    onset: int = 0,
) -> float:
    """Seconds after `onset` at which E = min(M_A, M_B) decides; negative where before it."""
    evidence = weighing.begin(0.0, fixed)
    for second, (mine, others) in enumerate(zip(candidate, stable, strict=True), 1):
        evidence = weighing.weigh(evidence, poll(float(second), mine, others), fixed)
        if mine[0] and weighing.m_a(evidence, fixed) >= fixed.decides <= weighing.m_b(evidence):
            return float(second - onset)
    return NEVER


def poll(at: float, mine: Pair, others: Pair) -> weighing.Poll:
    """One burst of both sides."""
    return weighing.Poll(
        at=at,
        candidate=mine,
        stable=others,
        young=(0, 0),
        compared=(*mine, *others),
        apart=False,
        gap=False,
    )


def mean_of_checks(checks: Sequence[Sequence[Pair]], fixed: weighing.Bound) -> float:
    """Seconds until the mean of E over several checks decides; the first one is the bad one."""
    fixed = replace(fixed, counted=len(checks))
    a_bound = (fixed.p0, fixed.k, fixed.counted)
    states = [weighing.begin(0.0, fixed).a for _ in checks]
    weights = spread_start(len(checks[0]), 1.0, None)
    for second, (weight, spent) in enumerate(weights, 1):
        counts = [series[second - 1] for series in checks]
        states = [
            mixtures.update_a(r, weight, pair, a_bound)
            for r, pair in zip(states, counts, strict=True)
        ]
        e_values = [mixtures.mean_with_reserve(r, spent) for r in states]
        if sum(e_values) >= fixed.decides:
            return float(second)
    return NEVER


def promoted(
    series: Iterable[Pair], fixed: weighing.Bound, *, every: float = 1.0, floor: float = 0.0
) -> float:
    """Seconds until D passes as the check asks it: over all, over the window, and E under 3.

    Never, where the rollout is undone before.
    """
    goal = math.log(1.0 / fixed.beta)
    requests = D_REQUESTS * fixed.k / fixed.p0
    bins: tuple[windows.Bin, ...] = ()
    evidence = weighing.begin(0.0, fixed)
    bad = total = 0
    for number, counts in enumerate(series, 1):
        at = number * every
        bad, total = bad + counts[0], total + counts[1]
        evidence = weighing.weigh(evidence, poll(at, counts, (0, 0)), fixed)
        m_a = weighing.m_a(evidence, fixed)
        if m_a >= fixed.decides:
            return NEVER
        if any(counts):
            bins = windows.add(bins, at, (*counts, 0, 0))
        if at < floor or _log_d(bad, total, fixed) < goal:
            continue
        late = windows.trailing(bins, at, D_WINDOW, requests)
        if m_a < E_TOO_HIGH_TO_PROMOTE and _log_d(*late, fixed) >= goal:
            return at
    return NEVER


def _log_d(bad: int, total: int, fixed: weighing.Bound) -> float:
    return mixtures.log_m_d(bad, total, fixed.p0, fixed.p1, fixed.k)
