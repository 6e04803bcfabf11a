"""Test A (is p > p0?) and test D (is p good enough?): grid mixtures (decisions.md, A, C, D).

Valid at any polling schedule by Ville's inequality: each factor has mean at most 1 under its
null hypothesis, and weights sum to at most 1.
"""

from __future__ import annotations

import math

P_GRID = (1.3, 1.6, 2.0, 2.7, 4.0, 6.0, 10.0, 20.0, 40.0, 70.0)
"""Alternatives of test A as multiples of p0 (decisions.md, A)."""
Q_GRID = (1e-9, 0.1, 0.3, 0.6, 1.0)
"""Alternatives of test D as multiples of p0′ (decisions.md, D)."""
CEILING = 1e4
"""No R_g of A or B grows over this times the number of counted checks (decisions.md, A)."""
LARGEST_EXPONENT = 700.0
"""exp() of more overflows; the ceiling makes the cut without effect."""


def alternatives(p0: float) -> tuple[float, ...]:
    """The grid of A for a bound, each below 1."""
    return tuple(p0 * multiple for multiple in P_GRID if p0 * multiple < 1.0)


def factor_a(bad: float, total: float, p: float, p0: float, k: int) -> float:
    """Log of A's factor for `bad` of `total` requests; k = 1 is the binomial likelihood ratio."""
    if k == 1:
        good = total - bad
        return bad * math.log(p / p0) + good * math.log((1.0 - p) / (1.0 - p0))
    return bad / k * math.log(p / p0) - total * (p - p0) / k


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
    ceiling = CEILING * counted
    return tuple(
        min((was + weight) * grow(factor_a(bad, total, p, p0, k)), ceiling)
        for was, p in zip(r, alternatives(p0), strict=True)
    )


def mean_with_reserve(r: tuple[float, ...], spent: float) -> float:
    """M of a spread mixture: the mean of R_g and what is still in reserve."""
    return sum(r) / len(r) + (1.0 - spent)


def grow(exponent: float) -> float:
    """exp() that cannot overflow."""
    return math.exp(min(exponent, LARGEST_EXPONENT))


def log_m_d(bad: float, total: float, p0: float, p1: float, k: int) -> float:
    """Log M′ of D for `bad` of `total` requests since its start (all at once: order is free)."""
    logs = [_log_d(bad, total, multiple * p0, p1, k) for multiple in Q_GRID]
    top = max(logs)
    return top + math.log(sum(math.exp(value - top) for value in logs) / len(logs))


def _log_d(bad: float, total: float, q: float, p1: float, k: int) -> float:
    if k == 1:
        good = total - bad
        return bad * math.log(q / p1) + good * math.log((1.0 - q) / (1.0 - p1))
    return bad / k * math.log(q / p1) + total * (p1 - q) / k


def missing_to_pass(bad: float, total: float, bound: tuple[float, float, int, float]) -> int:
    """Requests still missing until D passes, if they come at the ratio seen so far.

    Args:
        bad: bad requests since the last traffic step.
        total: all requests since then.
        bound: (p0′, p1, k, β).

    Returns:
        Whole requests, 0 when D passes now; -1 where at this ratio it never will.
    """
    p0, p1, k, beta = bound
    goal = math.log(1.0 / beta)
    if log_m_d(bad, total, p0, p1, k) >= goal:
        return 0
    ratio = bad / total if total else 0.0
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
