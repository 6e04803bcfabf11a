"""Slow ratio: as the error ratio, with what is slow in the place of what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.core.checks.counted_state import youth_of
from guard.core.findings import Reason, Verdict
from guard.core.policy import SlowRatio
from guard.core.ticks import Youth
from tests.core.checks.conftest import LATENCY

if TYPE_CHECKING:
    from tests.core.checks.conftest import Begin

SLOW = SlowRatio("fast", LATENCY, allowance=1)
USUAL = Youth(bad=2, total=1000)
"""A record of youth that is no worse than any other time."""


def test_slow_requests_of_the_candidate_alone_fail_and_say_what_slow_is(beside: Begin) -> None:
    rollout = beside(SLOW, youth={"fast": USUAL})
    finding = rollout.until(10, c=(30, 100), s=(1, 100))
    assert (finding.kind, finding.answer, finding.reason) == (
        "slow_ratio",
        Verdict.FAIL,
        Reason.OVER_BOUND,
    )
    assert "300 of 1000 requests took over 500 ms (30%" in finding.text
    assert "`settle: 60s` would leave that out" in finding.text


def test_without_a_record_nothing_counts_in_the_first_minute_of_a_pod(beside: Begin) -> None:
    rollout = beside(SLOW)
    young = rollout.until(58, c=(90, 100), s=(1, 100))
    assert (young.answer, young.reason) == (Verdict.WAIT, Reason.COLLECTING)
    assert "which is left out: no record tells what is usual there" in young.text
    assert young.numbers["total"] == 0
    assert young.numbers["e_value"] <= 1.0
    assert youth_of(rollout.state) == Youth(58 * 90, 58 * 100)
    rollout.until(3, c=(0, 100), s=(0, 100))
    good = rollout.until(30, c=(0, 100), s=(0, 100))
    assert good.answer is Verdict.PASS


def test_without_a_record_a_grown_pod_that_is_slow_fails_by_what_came_after_its_youth(
    beside: Begin,
) -> None:
    rollout = beside(SLOW)
    rollout.until(61, c=(0, 100), s=(0, 100))
    finding = rollout.until(20, c=(30, 100), s=(1, 100))
    assert (finding.answer, finding.reason) == (Verdict.FAIL, Reason.OVER_BOUND)
    assert "settle" not in finding.text


def test_youth_over_the_bound_in_the_record_is_judged_against_that_record(begin: Begin) -> None:
    usual, worse = (begin(SLOW, youth={"fast": Youth(bad=200, total=1000)}) for _ in range(2))
    for rollout in (usual, worse):
        rollout.pod("c")
        rollout.poll()
    assert usual.until(50, c=(20, 100)).answer is Verdict.WAIT
    finding = worse.until(30, c=(80, 100))
    assert (finding.answer, finding.reason) == (Verdict.FAIL, Reason.YOUTH_OVER_BOUND)
    assert "it rests on the first 60 s of the pods' life" in finding.text


def test_the_query_divides_the_bucket_by_the_count(beside: Begin) -> None:
    finding = beside(SLOW).poll(c=(0, 1))
    fast = r'rpc_seconds_bucket{pod=~"auth-c",le=~"0\\.50*|5(?:\\.0*)?[eE]-0*1"}'
    assert finding.query == (
        f"1 - sum by (pod) (increase({fast}[5m]))"
        ' / sum by (pod) (increase(rpc_seconds_count{pod=~"auth-c"}[5m]))'
    )
