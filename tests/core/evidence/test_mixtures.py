"""Tests A and D against an independent computation, and their guarantee by enumeration."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.evidence import mixtures
from guard.core.evidence.statistics import lower

P0 = 0.01
COUNTS = st.integers(0, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def precise_log_factor(bad: int, total: int, p: Fraction, against: Fraction, k: int) -> float:
    """The formula of decisions.md, A and C, in 50 digits; nothing shared with the code."""
    with localcontext() as context:
        context.prec = 50
        ratio = decimal(p / against).ln()
        if k == 1:
            good = decimal((1 - p) / (1 - against)).ln()
            return float(bad * ratio + (total - bad) * good)
        return float(bad * ratio / k - total * decimal(p - against) / k)


def decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def exact(value: float) -> Fraction:
    return Fraction(value)


@given(counts=COUNTS, k=st.integers(1, 10), p0=st.sampled_from([0.0001, 0.01, 0.2]))
def test_the_factors_of_a_are_the_formula(counts: tuple[int, int], k: int, p0: float) -> None:
    bad, total = counts
    for p, (of_bad, of_all) in zip(mixtures.alternatives(p0), mixtures.terms_a(p0, k), strict=True):
        expected = precise_log_factor(bad, total, exact(p), exact(p0), k)
        assert bad * of_bad + total * of_all == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_every_alternative_is_below_one() -> None:
    assert len(mixtures.alternatives(0.01)) == 10
    assert mixtures.alternatives(0.2) == pytest.approx((0.26, 0.32, 0.4, 0.54, 0.8))


@given(counts=COUNTS, k=st.integers(1, 6))
def test_d_is_the_formula(counts: tuple[int, int], k: int) -> None:
    bad, total = counts
    p1 = 2 * P0
    with localcontext() as context:
        context.prec = 50
        factors = [
            Decimal(precise_log_factor(bad, total, exact(multiple * P0), exact(p1), k)).exp()
            for multiple in mixtures.Q_GRID
        ]
        expected = float((sum(factors) / len(factors)).ln())
    assert mixtures.log_m_d(bad, total, P0, p1, k) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_requests_that_pass_are_as_many_as_stated() -> None:
    """decisions.md, Figures to reach: at most 190 requests at p = 0, 340 at p0/2, k = 1."""
    bound = (P0, 2 * P0, 1, 0.05)
    missing = mixtures.missing_to_pass(0, 0, bound)
    assert 150 < missing <= 190
    assert mixtures.missing_to_pass(0, missing, bound) == 0
    assert mixtures.missing_to_pass(0, missing - 1, bound) == 1


def test_what_is_missing_is_counted_at_the_lower_bound_of_the_ratio_seen() -> None:
    bound = (P0, 2 * P0, 2, 0.05)
    missing = mixtures.missing_to_pass(1, 200, bound)
    share = lower(1, 200)
    enough = mixtures.log_m_d(1 + missing * share, 200 + missing, P0, 2 * P0, 2)
    assert enough >= math.log(20)
    fewer = mixtures.log_m_d(1 + (missing - 1) * share, 199 + missing, P0, 2 * P0, 2)
    assert fewer < math.log(20)


def test_one_early_error_does_not_ask_for_thousands_of_requests() -> None:
    assert mixtures.missing_to_pass(1, 30, (2 * P0, 4 * P0, 1, 0.05)) < 300


def test_at_a_bad_ratio_it_is_never_good_enough() -> None:
    assert mixtures.missing_to_pass(40, 1000, (P0, 2 * P0, 1, 0.05)) == -1


def test_no_exponent_overflows_and_no_r_grows_over_the_ceiling() -> None:
    r = (0.5,) * len(mixtures.alternatives(P0))
    grown = mixtures.update_a(r, 0.0, (100_000, 100_000), (P0, 1, 3))
    assert grown == (3e4,) * len(r)


def test_without_requests_the_weight_alone_is_added() -> None:
    assert mixtures.update_a((0.25, 0.5), 0.125, (0, 0), (P0, 1, 1)) == (0.375, 0.625)


def test_before_any_evidence_m_is_one() -> None:
    assert mixtures.mean_with_reserve((0.0,) * 10, 0.0) == 1.0
    assert mixtures.mean_with_reserve((0.5,) * 10, 0.5) == 1.0


@given(
    sizes=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    weights=st.lists(st.floats(0.0, 0.25), min_size=4, max_size=4),
    k=st.integers(1, 3),
)
def test_the_mean_of_m_over_every_path_is_at_most_one(
    sizes: list[int], weights: list[float], k: int
) -> None:
    """Ville's condition, by exact enumeration of all error counts of a small horizon."""
    p0 = 0.1
    grid = (0.0,) * len(mixtures.alternatives(p0))
    paths = [(1.0, grid, 0.0)]
    for size, weight in zip(sizes, weights, strict=False):
        paths = [
            (
                chance * math.comb(size, bad) * p0**bad * (1 - p0) ** (size - bad),
                mixtures.update_a(r, weight, (bad, size), (p0, k, 10**9)),
                spent + weight,
            )
            for chance, r, spent in paths
            for bad in range(size + 1)
        ]
    mean = sum(chance * mixtures.mean_with_reserve(r, spent) for chance, r, spent in paths)
    assert mean <= 1.0 + 1e-12
    if k == 1:
        assert mean == pytest.approx(1.0)


@given(cluster=st.integers(1, 6), k=st.integers(2, 6))
def test_clusters_of_at_most_k_errors_stay_calibrated_and_larger_ones_do_not(
    cluster: int, k: int
) -> None:
    """decisions.md, C: the mean over a compound Poisson count of equal clusters."""
    p0, total = 0.05, 60
    clusters = p0 * total / cluster
    for of_bad, of_all in mixtures.terms_a(p0, k)[:4]:
        mean = sum(
            math.exp(
                number * (math.log(clusters) + cluster * of_bad)
                - math.lgamma(number + 1)
                - clusters
                + total * of_all
            )
            for number in range(400)
        )
        assert (mean <= 1.0 + 1e-9) == (cluster <= k)


@given(bad=st.integers(0, 4), k=st.integers(1, 3))
def test_d_has_a_mean_of_at_most_one_at_the_bad_bound(bad: int, k: int) -> None:
    p1, total = 0.2, 12 + bad
    mean = sum(
        math.comb(total, x)
        * p1**x
        * (1 - p1) ** (total - x)
        * math.exp(mixtures.log_m_d(x, total, 0.1, p1, k))
        for x in range(total + 1)
    )
    assert mean <= 1.0 + 1e-12
