"""Test B against an independent computation, its guarantee by enumeration, and its rhythms."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.evidence import comparison
from guard.core.evidence.comparison import ZERO, Blocks, Bound, Counts, Direct, Shifted

PLAIN = Bound(k=1, ceiling=1e4)
SIDE = st.integers(0, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def precise(counts: Counts, multiple: Fraction, psi0: Fraction, k: int) -> float:
    """The formula of decisions.md, B, in 50 digits; nothing shared with the code."""
    bad, total, stable_bad, stable_total = counts

    def theta(psi: Fraction) -> Fraction:
        return psi * total / (psi * total + stable_total)

    with localcontext() as context:
        context.prec = 50
        ours = theta(psi0 * multiple) / theta(psi0)
        others = (1 - theta(psi0 * multiple)) / (1 - theta(psi0))
        logs = [Decimal(r.numerator).ln() - Decimal(r.denominator).ln() for r in (ours, others)]
        return float((bad * logs[0] + stable_bad * logs[1]) / k)


@given(candidate=SIDE, stable=SIDE, k=st.integers(1, 6), psi0=st.sampled_from([1.0, 2.0]))
def test_the_factors_of_b_are_the_formula(
    candidate: tuple[int, int], stable: tuple[int, int], k: int, psi0: float
) -> None:
    counts = (*candidate, *stable)
    logs = comparison.log_factors(counts, k, psi0)
    if not (candidate[0] + stable[0] and candidate[1] and stable[1]):
        assert set(logs) == {0.0}
        return
    expected = [
        precise(counts, Fraction(multiple), Fraction(psi0), k) for multiple in comparison.PSI_GRID
    ]
    assert list(logs) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(
    requests=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stable=st.sampled_from([0.05, 0.2, 0.5]),
    better=st.sampled_from([0.3, 1.0]),
    k=st.integers(1, 3),
)
def test_the_mean_of_a_factor_is_at_most_one_while_the_candidate_is_no_worse(
    requests: tuple[int, int], stable: float, better: float, k: int
) -> None:
    n, m = requests
    p = stable * better
    means = [0.0] * len(comparison.PSI_GRID)
    for x, y in itertools.product(range(n + 1), range(m + 1)):
        chance = math.comb(n, x) * p**x * (1 - p) ** (n - x)
        chance *= math.comb(m, y) * stable**y * (1 - stable) ** (m - y)
        for place, log in enumerate(comparison.log_factors((x, n, y, m), k)):
            means[place] += chance * math.exp(log)
    assert max(means) <= 1.0 + 1e-12


def test_shared_trouble_tells_nothing_and_the_candidates_own_does() -> None:
    shared = comparison.log_factors((30, 100, 30, 100), 1)
    own = comparison.log_factors((30, 100, 1, 100), 1)
    assert max(shared) <= 0.0
    assert max(own) > math.log(1000)


# One burst.


def test_counts_wait_until_each_side_has_two_requests() -> None:
    state = comparison.update_direct(Direct(), 0.5, (1, 1, 0, 5), 1.0, PLAIN)
    assert state.r == comparison.NOTHING
    assert state.carried == (1, 1, 0, 5)
    assert comparison.m_direct(state, 0.5) == 1.0
    state = comparison.update_direct(state, 0.0, (1, 1, 0, 5), 2.0, PLAIN)
    assert state.carried == ZERO
    logs = comparison.log_factors((2, 2, 0, 10), 1)
    assert state.r == pytest.approx([0.5 * math.exp(log) for log in logs])


def test_carried_counts_of_both_sides_are_dropped_after_a_minute() -> None:
    state = comparison.update_direct(Direct(), 0.5, (1, 1, 0, 5), 1.0, PLAIN)
    state = comparison.update_direct(state, 0.1, (0, 0, 0, 5), 62.0, PLAIN)
    assert state.carried == ZERO
    assert state.carried_at is None
    assert state.pending_weight == pytest.approx(0.6)


def test_a_gap_postpones_the_comparison_of_both_sides() -> None:
    gap = Bound(k=1, ceiling=1e4, gap=True)
    state = comparison.update_direct(Direct(), 0.5, (9, 10, 0, 90), 1.0, gap)
    assert state.carried == (9, 10, 0, 90)
    state = comparison.update_direct(state, 0.0, (0, 0, 81, 90), 2.0, PLAIN)
    logs = comparison.log_factors((9, 10, 81, 180), 1)
    assert state.r == pytest.approx([0.5 * math.exp(log) for log in logs])


def test_without_any_request_nothing_begins_to_wait() -> None:
    state = comparison.update_direct(Direct(), 0.5, ZERO, 1.0, PLAIN)
    assert state == Direct(pending_weight=0.5)


def test_the_ceiling_is_that_of_the_counted_checks() -> None:
    bound = Bound(k=1, ceiling=comparison.ceiling(2))
    state = comparison.update_direct(Direct(), 0.5, (900, 1000, 0, 1000), 1.0, bound)
    assert max(state.r) == 2e4


def test_old_quarrels_are_cut_to_the_weight_spent() -> None:
    state = Direct(r=(0.1, 7.0), pending_weight=0.1)
    assert comparison.cut_direct(state, 0.6).r == pytest.approx((0.1, 0.5))
    small = Direct(r=(0.1, 0.2))
    assert comparison.cut_direct(small, 0.6) is small


# From Prometheus.


def shifted(polls: list[Counts], *, every: float = 15.0) -> Shifted:
    state = Shifted()
    for number, counts in enumerate(polls):
        weight = 0.5 if number == 0 else 0.0
        state = comparison.update_shifted(state, weight, counts, every * number, PLAIN)
    return state


def test_a_candidate_that_alone_is_bad_is_found_from_prometheus_too() -> None:
    state = shifted([(30, 150, 0, 150)] * 12)
    assert comparison.m_shifted(state, 0.5) > 100


def test_a_shared_incident_that_shows_one_scrape_later_on_stable_blames_nobody() -> None:
    calm, ours, both = (0, 150, 0, 150), (30, 150, 0, 150), (30, 150, 30, 150)
    recovery = (0, 150, 30, 150)
    polls = [calm, calm, ours, *[both] * 6, recovery, *[calm] * 4]
    burst = Direct()
    for number, counts in enumerate(polls):
        weight = 0.5 if number == 0 else 0.0
        burst = comparison.update_direct(burst, weight, counts, float(number), PLAIN)
        state = shifted(polls[: number + 1])
        assert comparison.m_shifted(state, 0.5) <= 1.0
    onset = comparison.log_factors(ours, 1)
    assert max(onset) > 10  # what plain B would have taken for the release's fault


def test_polls_within_one_interval_fill_one_slot() -> None:
    state = shifted([(1, 10, 0, 10)] * 3, every=5.0)
    assert state.slot == (3, 30, 0, 30)
    assert comparison.m_shifted(state, 0.5) == 1.0
    state = shifted([(1, 10, 0, 10)] * 4, every=5.0)
    assert state.slot == ZERO
    assert state.quick.middle == (4, 40, 0, 40)


def test_a_gap_keeps_the_slot_open() -> None:
    gap = Bound(k=1, ceiling=1e4, gap=True)
    state = comparison.update_shifted(Shifted(), 0.5, (1, 10, 0, 10), 0.0, gap)
    state = comparison.update_shifted(state, 0.0, (1, 10, 0, 10), 40.0, gap)
    assert state.slot == (2, 20, 0, 20)
    assert comparison.update_shifted(state, 0.0, ZERO, 41.0, PLAIN).slot == ZERO


def test_a_first_block_has_only_the_one_after_it_as_a_neighbour() -> None:
    state = shifted([(30, 150, 0, 150), (30, 150, 0, 150), (0, 150, 15, 150)])
    unmoved = comparison.log_factors((60, 300, 0, 300), 1)
    moved = comparison.log_factors((60, 300, 15, 150), 1)
    smallest = [min(pair) for pair in zip(unmoved, moved, strict=True)]
    assert state.quick.r == pytest.approx([0.5 * math.exp(log) for log in smallest])


def test_cutting_leaves_alone_what_is_not_over_the_weight() -> None:
    state = Shifted()
    assert comparison.cut_shifted(state, 0.5) is state
    loud = Shifted(quick=Blocks(r=(9.0,)), slow=Blocks(r=(0.2,), pending_weight=0.1))
    cut = comparison.cut_shifted(loud, 0.5)
    assert cut.quick.r == (0.5,)
    assert cut.slow.r == (0.2,)


def test_the_sides_can_be_exchanged() -> None:
    assert comparison.exchanged((1, 2, 3, 4)) == (3, 4, 1, 2)
