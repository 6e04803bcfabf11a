"""Test A (is p > p0?) and test D (is p good enough?): grid mixtures (decisions.md, A, C, D).

Valid at any polling schedule by Ville's inequality: each factor has mean at most 1 under its
null hypothesis, and weights sum to at most 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from guard.core.evidence.statistics import lower

P_GRID = (1.3, 1.6, 2.0, 2.7, 4.0, 6.0, 10.0, 20.0, 40.0, 70.0)
"""Alternatives of test A as multiples of p0 (decisions.md, A)."""
Q_GRID = (1e-9, 0.1, 0.3, 0.6, 1.0)
"""Alternatives of test D as multiples of p0′ (decisions.md, D)."""
CEILING = 1e4
"""No R_g of A or B grows over this times the number of counted checks (decisions.md, A)."""
LARGEST_EXPONENT = 700.0
"""exp() of more overflows; the ceiling makes the cut without effect."""


Term = tuple[float, float]
"""What one bad request, and what one request, adds to a log factor."""


def alternatives(p0: float) -> tuple[float, ...]:
    """The grid of A for a bound, each below 1."""
    return tuple(p0 * multiple for multiple in P_GRID if p0 * multiple < 1.0)


@lru_cache(maxsize=256)
def terms_a(p0: float, k: int) -> tuple[Term, ...]:
    """A's log factors as terms of (bad, total); k = 1 gives the binomial likelihood ratio."""
    return tuple(_term(p, p0, k) for p in alternatives(p0))


def _term(p: float, against: float, k: int) -> Term:
    """Log likelihood ratio of p to `against`, split into what bad and what all requests add."""
    if k == 1:
        good = math.log1p(-p) - math.log1p(-against)
        return math.log(p / against) - good, good
    return math.log(p / against) / k, (against - p) / k


def update_a(
    r: tuple[float, ...], weight: float, counts: tuple[int, int], bound: tuple[float, int, int]
) -> tuple[float, ...]:
    """One step of A's recursion.

    Args:
        r: R_g of each alternative.
        weight: w_t of this poll.
        counts: (bad, total) of this poll.
        bound: (p0, k, number of counted checks).
    """
    p0, k, counted = bound
    bad, total = counts
    if total == 0:
        return tuple([was + weight for was in r])
    return _grown(r, weight, _factors_a(p0, k, bad, total), CEILING * counted)


@lru_cache(maxsize=4096)
def _factors_a(p0: float, k: int, bad: int, total: int) -> tuple[float, ...]:
    """A's factors; polls of few requests repeat themselves."""
    return tuple([grow(bad * of_bad + total * of_all) for of_bad, of_all in terms_a(p0, k)])


def take_in(
    r: tuple[float, ...], weight: float, logs: Sequence[float], ceiling: float
) -> tuple[float, ...]:
    """One step of the recursion with the given log factors."""
    return _grown(r, weight, [grow(log) for log in logs], ceiling)


def _grown(
    r: tuple[float, ...], weight: float, factors: Sequence[float], ceiling: float
) -> tuple[float, ...]:
    grown = [(was + weight) * factor for was, factor in zip(r, factors, strict=True)]
    if max(grown) > ceiling:
        return tuple([min(value, ceiling) for value in grown])
    return tuple(grown)


def mean_with_reserve(r: tuple[float, ...], spent: float) -> float:
    """M of a spread mixture: the mean of R_g and what is still in reserve."""
    return sum(r) / len(r) + (1.0 - spent)


def grow(exponent: float) -> float:
    """exp() that cannot overflow."""
    return math.exp(min(exponent, LARGEST_EXPONENT))


def log_m_d(bad: float, total: float, p0: float, p1: float, k: int) -> float:
    """Log M′ of D for `bad` of `total` requests since its start (all at once: order is free)."""
    logs = [bad * of_bad + total * of_all for of_bad, of_all in _terms_d(p0, p1, k)]
    top = max(logs)
    return top + math.log(sum(math.exp(value - top) for value in logs) / len(logs))


@lru_cache(maxsize=256)
def _terms_d(p0: float, p1: float, k: int) -> tuple[Term, ...]:
    return tuple(_term(multiple * p0, p1, k) for multiple in Q_GRID)


def missing_to_pass(bad: float, total: float, bound: tuple[float, float, int, float]) -> int:
    """Requests still missing until D passes: at least so many.

    They are taken to come at the lower 95% bound of the ratio seen so far: one early error among
    few requests would else ask for thousands that nobody will have to wait for.

    Args:
        bad: bad requests since the last traffic step.
        total: all requests since then.
        bound: (p0′, p1, k, β).

    Returns:
        Whole requests, 0 when D passes now; -1 where even then it never will.
    """
    p0, p1, k, beta = bound
    goal = math.log(1.0 / beta)
    if log_m_d(bad, total, p0, p1, k) >= goal:
        return 0
    ratio = lower(bad, total)
    low, high = 0, 64
    while log_m_d(bad + high * ratio, total + high, p0, p1, k) < goal:
        low, high = high, high * 2
        if high > 1 << 40:
            return -1
    while high - low > 1:
        middle = (low + high) // 2
        if log_m_d(bad + middle * ratio, total + middle, p0, p1, k) >= goal:
            high = middle
        else:
            low = middle
    return high
