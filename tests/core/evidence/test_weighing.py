"""A and B together: sources in turn, beginning anew, and the guarantee over missed polls."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from guard.core.evidence import weighing
from guard.core.evidence.weighing import Bound, Evidence, Poll

BOUND = Bound(p0=0.01, p1=0.02, k=1, assumed=False, counted=1, alpha=0.01, beta=0.05, interval=15.0)


def poll(
    at: float,
    candidate: tuple[int, int],
    stable: tuple[int, int] = (0, 0),
    *,
    young: tuple[int, int] = (0, 0),
    apart: bool = False,
) -> Poll:
    return Poll(
        at=at,
        candidate=candidate,
        stable=stable,
        young=young,
        compared=(*candidate, *stable),
        apart=apart,
        gap=False,
    )


def weighed(*polls: Poll, bound: Bound = BOUND) -> Evidence:
    evidence = weighing.begin(0.0, bound)
    for one in polls:
        evidence = weighing.weigh(evidence, one, bound)
    return evidence


def test_before_any_request_every_process_stands_at_one() -> None:
    evidence = weighed(*(poll(float(at), (0, 0)) for at in range(1, 100)))
    assert weighing.m_a(evidence, BOUND) == pytest.approx(1.0)
    assert weighing.m_a_stable(evidence) == pytest.approx(1.0)
    assert weighing.m_b(evidence) == pytest.approx(1.0)


def test_a_change_of_source_never_raises_m_b_by_itself() -> None:
    shared = [poll(float(at), (3, 30), (10, 100)) for at in range(1, 30)]
    before = weighing.m_b(weighed(*shared))
    assert before < 1.0
    idle = [poll(float(at), (0, 0), (0, 1), apart=True) for at in range(30, 40)]
    assert weighing.m_b(weighed(*shared, *idle)) <= before + 1e-12


def test_evidence_of_both_sources_is_multiplied() -> None:
    direct = [poll(float(at), (1, 10), (0, 90)) for at in range(1, 4)]
    late = [poll(100.0 + 15.0 * at, (1, 10), (0, 90), apart=True) for at in range(4)]
    alone = weighing.m_b(weighed(*direct))
    after = weighing.m_b(weighed(*direct, *late))
    assert alone > 10
    assert after > 2 * alone


def test_prometheus_alone_has_its_own_process() -> None:
    evidence = weighed(*(poll(15.0 * at, (3, 100), (0, 100), apart=True) for at in range(1, 15)))
    assert not evidence.used_direct
    assert weighing.m_b(evidence) > 100


def test_old_quarrels_leave_b_at_one_while_a_is_not_suspicious() -> None:
    quarrel = [poll(float(at), (5, 1000), (30, 10_000)) for at in range(1, 120)]
    evidence = weighed(*quarrel)
    assert weighing.m_a(evidence, BOUND) < 1.0
    assert weighing.m_b(evidence) <= 1.0 + 1e-9
    late = [poll(15.0 * at, (5, 1000), (30, 10_000), apart=True) for at in range(1, 40)]
    assert weighing.m_b(weighed(*late)) <= 1.0 + 1e-9


def test_begun_anew_only_the_unspent_weight_is_left() -> None:
    evidence = weighed(*(poll(float(at), (5, 10), (5, 10)) for at in range(1, 20)))
    after = weighing.anew(evidence, 20.0, BOUND)
    left = 1.0 - evidence.spend.spent
    assert weighing.m_a(after, BOUND) == pytest.approx(left)
    assert weighing.m_b(after) == pytest.approx(left)
    later = after
    for at in range(21, 90):
        later = weighing.weigh(later, poll(float(at), (0, 0)), BOUND)
    assert later.spend.spent > after.spend.spent
    assert weighing.m_a(later, BOUND) == pytest.approx(left)
    assert later.before == after.before == after.spend.spent > 0.0


def test_a_step_frees_weight_for_what_comes_after() -> None:
    quiet = weighed(*(poll(float(at), (0, 100)) for at in range(1, 200)))
    stepped = weighing.step(quiet, 200.0)
    for at in range(200, 212):
        quiet = weighing.weigh(quiet, poll(float(at), (5, 100)), BOUND)
        stepped = weighing.weigh(stepped, poll(float(at), (5, 100)), BOUND)
    assert weighing.m_a(stepped, BOUND) > weighing.m_a(quiet, BOUND)


def test_youth_apart_is_weighed_against_its_own_bound() -> None:
    apart = replace(BOUND, youth_over=0.3)
    same = weighed(*(poll(float(at), (0, 0), young=(3, 10)) for at in range(1, 11)), bound=apart)
    worse = weighed(*(poll(float(at), (0, 0), young=(9, 10)) for at in range(1, 11)), bound=apart)
    assert weighing.m_a(same, apart) < 2.0
    assert weighing.m_youth(worse) > 100
    assert weighing.m_a(worse, apart) == pytest.approx((1.0 + weighing.m_youth(worse)) / 2.0)


def test_better_than_stable_is_weighed_only_where_stable_was_over_before() -> None:
    polls = [poll(float(at), (0, 30), (20, 100)) for at in range(1, 20)]
    assert weighing.m_better(weighed(*polls)) <= 1.0
    repaired = weighed(*polls, bound=replace(BOUND, stable_was_over=True))
    assert weighing.m_better(repaired) > 100


def test_what_decides_is_the_number_of_checks_over_alpha() -> None:
    assert replace(BOUND, counted=3).decides == pytest.approx(300.0)


@pytest.mark.parametrize("k", [1, 2])
def test_whatever_polls_are_missed_the_mean_of_e_is_at_most_one(k: int) -> None:
    """Law 3 by exact enumeration: all errors of both sides, all subsets of missed polls.

    A poll that is missed enters with the next that is not: also when the guard was killed.
    """
    p0, requests, moments = 0.1, 2, 3
    bound = replace(BOUND, p0=p0, p1=2 * p0, k=k, counted=10**9)
    outcomes = list(itertools.product(range(requests + 1), repeat=2))
    for kept in itertools.product((True, False), repeat=moments - 1):
        means = {"a": 0.0, "b": 0.0, "e": 0.0}
        for path in itertools.product(outcomes, repeat=moments):
            chance = math.prod(
                math.comb(requests, bad) * p0**bad * (1 - p0) ** (requests - bad)
                for pair in path
                for bad in pair
            )
            evidence = weighing.begin(0.0, bound)
            x = y = n = 0
            for moment, (bad, stable_bad) in enumerate(path):
                x, y, n = x + bad, y + stable_bad, n + requests
                if moment < moments - 1 and not kept[moment]:
                    continue
                evidence = weighing.weigh(
                    evidence, poll(1.0 + 600.0 * moment, (x, n), (y, n)), bound
                )
                x = y = n = 0
            a, b = weighing.m_a(evidence, bound), weighing.m_b(evidence)
            means["a"] += chance * a
            means["b"] += chance * b
            means["e"] += chance * min(a, b)
        assert max(means.values()) <= 1.0 + 1e-9
