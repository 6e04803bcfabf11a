"""The guarantee itself, exactly: every path of a small horizon, every schedule, every death.

No simulation: the probability that E ever reaches 1/α is summed over all counts of errors. And M
over whole paths against sums over every possible start, in exact fractions.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from guard.core.evidence import comparison, mixtures, spend, weighing
from guard.core.evidence.weighing import Bound, Evidence, Poll

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

P0 = 0.2
"""Large, so that a few requests can reach 1/α."""
BOUND = Bound(p0=P0, p1=2 * P0, k=1, assumed=False, counted=1, alpha=0.2, beta=0.05, interval=15.0)
EVIDENCE = TypeAdapter(Evidence)
MOMENTS, REQUESTS = 3, 2

Counts = tuple[int, int, int, int]


def chance(bad: int, requests: int, ratio: float) -> float:
    return math.comb(requests, bad) * ratio**bad * (1.0 - ratio) ** (requests - bad)


def poll(at: float, counts: Counts) -> Poll:
    return Poll(
        at=at,
        candidate=counts[:2],
        stable=counts[2:],
        young=(0, 0),
        compared=counts,
        apart=False,
        gap=False,
    )


def e_value(evidence: Evidence, bound: Bound, *, control: bool) -> float:
    m_a = weighing.m_a(evidence, bound)
    return min(m_a, weighing.m_b(evidence)) if control else m_a


# The probability of a false abort.


def paths(ratio: float) -> Iterator[tuple[float, list[Counts]]]:
    """Every path of both sides, with its probability."""
    outcomes = list(itertools.product(range(REQUESTS + 1), repeat=2))
    for path in itertools.product(outcomes, repeat=MOMENTS):
        probability = math.prod(chance(bad, REQUESTS, ratio) for pair in path for bad in pair)
        yield probability, [(x, REQUESTS, y, REQUESTS) for x, y in path]


def ever(path: Sequence[Counts], made: Sequence[bool], died: int, bound: Bound) -> float:
    """The highest E that a guard sees which makes these polls and dies once, before poll `died`."""
    evidence = weighing.begin(0.0, bound)
    waiting: Counts = (0, 0, 0, 0)
    highest = 0.0
    for moment, counts in enumerate(path):
        if moment == died:
            evidence = EVIDENCE.validate_json(EVIDENCE.dump_json(evidence))
        waiting = comparison.plus(waiting, counts)
        if not made[moment]:
            continue
        evidence = weighing.weigh(evidence, poll(1.0 + 20.0 * moment, waiting), bound)
        waiting = (0, 0, 0, 0)
        highest = max(highest, e_value(evidence, bound, control=counts[3] > 0))
    return highest


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("alone", [False, True], ids=["under control", "alone"])
def test_whatever_is_missed_and_wherever_the_guard_dies_the_bound_holds(
    k: int,
    alone: bool,  # noqa: FBT001 # a parameter of the test
) -> None:
    bound = replace(BOUND, k=k)
    seen = [
        (probability, [(x, n, 0, 0) if alone else (x, n, y, m) for x, n, y, m in path])
        for probability, path in paths(P0)
    ]
    for made in itertools.product((True, False), repeat=MOMENTS):
        for died in range(MOMENTS):
            aborted = sum(
                probability
                for probability, path in seen
                if ever(path, made, died, bound) >= bound.decides
            )
            assert aborted <= bound.alpha


def test_the_bound_is_no_empty_promise() -> None:
    """The same horizon does abort, and nearly always where the release is bad."""
    made = (True,) * MOMENTS
    for ratio, low, high in ((P0, 0.005, BOUND.alpha), (0.9, 0.9, 1.0)):
        aborted = sum(
            probability
            for probability, path in paths(ratio)
            if ever([(x, n, 0, 0) for x, n, _, _ in path], made, 0, BOUND) >= BOUND.decides
        )
        assert low < aborted <= high


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.lists(st.integers(0, 3), min_size=1, max_size=5),
    pauses=st.lists(st.floats(0.1, 4000.0), min_size=5, max_size=5),
    ratios=st.lists(st.floats(0.0, P0), min_size=5, max_size=5),
    step=st.integers(0, 5),
)
def test_no_polling_schedule_and_no_drift_under_the_bound_raises_it(
    sizes: list[int], pauses: list[float], ratios: list[float], step: int
) -> None:
    """Any number of requests a poll, any pause, any course of p ≤ p0, a step at any poll."""
    states = [(1.0, weighing.begin(0.0, BOUND), False)]
    at = 0.0
    for number, size in enumerate(sizes):
        at += pauses[number]
        after = []
        for probability, before, aborted in states:
            evidence = weighing.step(before, at) if number == step else before
            for bad in range(size + 1):
                now = weighing.weigh(evidence, poll(at, (bad, size, 0, 0)), BOUND)
                over = aborted or weighing.m_a(now, BOUND) >= BOUND.decides
                after.append((probability * chance(bad, size, ratios[number]), now, over))
        states = after
    assert sum(probability for probability, _, aborted in states if aborted) <= BOUND.alpha + 1e-12


# Whole paths against an independent computation.


def factor_a(p: Fraction, counts: Counts) -> Fraction:
    p0 = Fraction(P0)
    bad, total = counts[:2]
    return (p / p0) ** bad * ((1 - p) / (1 - p0)) ** (total - bad)


def factor_b(multiple: Fraction, counts: Counts) -> Fraction:
    x, n, y, m = counts
    ours = multiple * n / (multiple * n + m)
    before = Fraction(n, n + m)
    return (ours / before) ** x * ((1 - ours) / (1 - before)) ** y


def started_anywhere(
    weights: Sequence[Fraction], factors: Sequence[Sequence[Fraction]]
) -> Fraction:
    """M as decisions.md means it: the mean over alternatives of the sum over every start."""
    total = Fraction(0)
    for alternative in factors:
        for start, weight in enumerate(weights):
            total += weight * math.prod(alternative[start:], start=Fraction(1))
    return total / len(factors) + 1 - sum(weights)


COUNTS = st.tuples(st.integers(0, 3), st.integers(3, 5), st.integers(0, 3), st.integers(3, 5))


@given(
    path=st.lists(COUNTS, min_size=1, max_size=6),
    pauses=st.lists(st.floats(0.5, 900.0), min_size=6, max_size=6),
    step=st.integers(0, 6),
)
def test_log_m_is_the_sum_over_every_possible_start(
    path: list[Counts], pauses: list[float], step: int
) -> None:
    bound = replace(BOUND, counted=10**9)  # the ceiling and the cut only lower M
    evidence = weighing.begin(0.0, bound)
    spent, direct = spend.begin(0.0), comparison.Direct()
    b_bound = comparison.Bound(k=1, ceiling=math.inf)
    weights = []
    at = 0.0
    for number, counts in enumerate(path):
        at += pauses[number]
        if number == step:
            evidence, spent = weighing.step(evidence, at), spend.step(spent, at)
        evidence = weighing.weigh(evidence, poll(at, counts), bound)
        spent, weight = spend.draw(spent, at)
        direct = comparison.update_direct(direct, weight, counts, at, b_bound)
        weights.append(Fraction(weight))
    by_a = [[factor_a(Fraction(p), one) for one in path] for p in mixtures.alternatives(P0)]
    by_b = [[factor_b(Fraction(g), one) for one in path] for g in comparison.PSI_GRID]
    for found, factors in (
        (weighing.m_a(evidence, bound), by_a),
        (comparison.m_direct(direct, spent.spent), by_b),
    ):
        expected = started_anywhere(weights, factors)
        assert math.log(found) == pytest.approx(math.log(expected), rel=1e-9, abs=1e-9)
