"""The error ratio's findings, told as rollouts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from guard.core.checks.counted_state import youth_of
from guard.core.findings import Reason, Verdict
from guard.core.samples import NoData, NoDataReason, Unavailable, UnavailableReason
from guard.core.ticks import Youth

if TYPE_CHECKING:
    from tests.core.checks.conftest import Begin

REFUSED = Unavailable(UnavailableReason.REFUSED, "10.0.0.7:8080")
STALE = NoData(NoDataReason.STALE, "last sample 70 s ago")


# Good, bad, too little.


def test_a_good_release_passes_and_says_on_what_evidence(beside: Begin) -> None:
    rollout = beside()
    finding = rollout.until(45, c=(0, 10), s=(0, 10))
    assert (finding.answer, finding.reason) == (Verdict.PASS, Reason.GOOD_ENOUGH)
    assert finding.text == (
        "0 of 450 requests failed (0%, 95% between 0% and 0.846%; the bound is 1%), "
        "stable 0 of 450 beside it, k = 2, assumed without history: good enough"
    )
    assert finding.counted
    assert finding.numbers["missing"] == 0


def test_a_bad_release_fails_within_seconds_with_its_numbers(beside: Begin) -> None:
    rollout = beside()
    finding = rollout.until(3, c=(5, 10), s=(0, 30))
    assert (finding.answer, finding.reason) == (Verdict.FAIL, Reason.OVER_BOUND)
    assert finding.text.startswith("15 of 30 requests failed (50%, 95% between 33.2% and 66.8%;")
    assert "all of it came in the first 10 s of a pod's life: `settle: 10s`" in finding.text
    assert finding.numbers["e_value"] >= finding.numbers["bound"] == pytest.approx(100.0)
    assert finding.numbers["control"] == 1.0


def test_all_requests_failing_is_written_as_a_plain_percentage(beside: Begin) -> None:
    assert "100 of 100 requests failed (100%," in beside().poll(c=(100, 100)).text


def test_without_stable_beside_it_a_bad_release_fails_on_its_own_and_says_no_control(
    begin: Begin,
) -> None:
    rollout = begin()
    rollout.pod("c")
    finding = rollout.until(3, c=(5, 10))
    assert finding.answer is Verdict.FAIL
    assert "no control" in finding.text
    assert "stable" not in finding.text.partition("(no control")[0]


def test_errors_after_the_first_seconds_do_not_rest_on_youth(beside: Begin) -> None:
    rollout = beside()
    rollout.until(15, c=(0, 10), s=(0, 30))
    finding = rollout.until(5, c=(5, 10), s=(0, 30))
    assert finding.answer is Verdict.FAIL
    assert "settle" not in finding.text


def test_an_undo_that_rests_on_youth_alone_names_settle(beside: Begin) -> None:
    rollout = beside({"allowance": 1})
    rollout.until(3, c=(0, 10), s=(0, 30))
    rollout.until(4, c=(1, 10), s=(0, 30))
    rollout.state = replace(
        rollout.state,
        sums=replace(rollout.state.sums, total=rollout.state.sums.total + 1),
    )
    finding = rollout.until(2, c=(2, 10), s=(0, 30))
    assert (finding.answer, finding.reason) == (Verdict.FAIL, Reason.YOUTH_OVER_BOUND)
    assert "`settle: 10s` would leave that out" in finding.text


def test_too_few_requests_say_how_many_are_missing_and_how_long_that_takes(beside: Begin) -> None:
    rollout = beside()
    finding = rollout.until(20, c=(0, 2), s=(0, 2))
    assert (finding.answer, finding.reason) == (Verdict.WAIT, Reason.COLLECTING)
    missing = finding.numbers["missing"]
    assert finding.numbers["rate"] == pytest.approx(2.0, rel=0.1)
    assert f"40 of {40 + missing:.0f} requests seen; 2 min more at this rate" in finding.text


def test_few_missing_requests_are_told_in_seconds(beside: Begin) -> None:
    finding = beside().until(20, c=(0, 15), s=(0, 15))
    assert "requests seen; 3 s more at this rate" in finding.text


def test_without_a_rate_the_time_is_left_open(beside: Begin) -> None:
    rollout = beside()
    finding = rollout.poll(c=(0, 30))
    assert finding.numbers["missing_seconds"] == -1.0
    assert "30 of" in finding.text
    assert "at this rate" not in finding.text


def test_over_the_bound_for_ever_is_said(beside: Begin) -> None:
    rollout = beside()
    finding = rollout.until(30, c=(1, 50), s=(1, 50))
    assert finding.answer is Verdict.WAIT
    assert "at this ratio it will never be good enough" in finding.text


def test_good_minutes_do_not_hide_a_bad_end(beside: Begin) -> None:
    rollout = beside({"allowance": 1})
    assert rollout.until(300, c=(0, 10), s=(0, 10)).answer is Verdict.PASS
    rollout.until(5, c=(1, 10), s=(1, 10))
    finding = rollout.until(2, c=(1, 10), s=(0, 10))
    assert finding.answer is Verdict.WAIT
    assert "the last requests are not good enough yet" in finding.text


# No traffic, not ready, blind.


def test_before_a_candidate_pod_is_ready_the_check_waits(begin: Begin) -> None:
    rollout = begin()
    rollout.pod("c", ready=False)
    finding = rollout.until(30)
    assert (finding.answer, finding.reason) == (Verdict.WAIT, Reason.NOT_READY_YET)
    assert finding.query.startswith("sum by (pod)")


def test_without_candidate_pods_there_is_no_query(begin: Begin) -> None:
    assert begin().silence().query == ""


def test_a_candidate_without_users_waits_while_stable_has_some(beside: Begin) -> None:
    finding = beside().until(60, s=(0, 20))
    assert (finding.answer, finding.reason) == (Verdict.WAIT, Reason.NO_TRAFFIC)
    assert finding.text == "no user's request has reached the candidate yet while stable had 1200"


def test_a_candidate_that_only_machines_talk_to_is_never_promoted_and_not_blind(
    begin: Begin,
) -> None:
    rollout = begin()
    rollout.pod("c")
    for second in range(1, 900):
        served = second // 10 + second // 15 + second
        reading = rollout.reading("c", total=float(served), at=rollout.at + 1.0)
        answer = replace(reading, paths_known=False, machine=0.1 + 1 / 15, sent=second)
        finding = rollout.poll({"c": answer})
    assert (finding.answer, finding.reason) == (Verdict.WAIT, Reason.NO_TRAFFIC)
    assert finding.text == "no user's request has reached the candidate yet"


@pytest.mark.parametrize(
    ("answer", "reason", "word"),
    [
        (REFUSED, Reason.UNAVAILABLE, "refused: 10.0.0.7:8080"),
        (STALE, Reason.NO_DATA, "stale: last sample 70 s ago"),
        (NoData(NoDataReason.NO_SERIES), Reason.NO_DATA, "no_series"),
    ],
)
def test_a_candidate_that_cannot_be_measured_becomes_blind_and_says_why(
    beside: Begin, answer: NoData | Unavailable, reason: Reason, word: str
) -> None:
    rollout = beside()
    rollout.until(5, c=(0, 10), s=(0, 10))
    for _ in range(9):
        assert rollout.poll({"c": answer}).answer is Verdict.WAIT
    finding = rollout.poll({"c": answer})
    assert (finding.answer, finding.reason) == (Verdict.BLIND, reason)
    assert f"cannot be measured for 10 s ({word})" in finding.text


def test_a_sample_that_never_changes_becomes_blind_too(beside: Begin) -> None:
    rollout = beside()
    rollout.poll(c=(0, 10))
    frozen = rollout.reading("c")
    for _ in range(10):
        finding = rollout.poll({"c": frozen})
    assert finding.answer is Verdict.BLIND


def test_a_sample_of_minutes_ago_is_stale_whatever_its_source_says(beside: Begin) -> None:
    rollout = beside()
    for _ in range(11):
        late = rollout.reading("c", total=500.0, at=rollout.at - 305.0)
        finding = rollout.poll({"c": late})
    assert finding.answer is Verdict.BLIND
    assert "stale: the sample is 306 s old" in finding.text


def test_a_candidate_that_nobody_ever_read_becomes_blind(begin: Begin) -> None:
    rollout = begin()
    rollout.pod("c")
    for _ in range(11):
        finding = rollout.silence()
    assert (finding.answer, finding.reason) == (Verdict.BLIND, Reason.NO_DATA)
    assert "nothing answered" in finding.text


def test_between_scrapes_of_prometheus_nobody_is_blind(beside: Begin) -> None:
    rollout = beside()
    rollout.from_prometheus = True
    rollout.poll(c=(0, 10), s=(0, 10))
    for _ in range(44):
        assert rollout.silence().answer is Verdict.WAIT
    assert rollout.silence().answer is Verdict.BLIND


def test_at_a_slow_rhythm_three_polls_may_be_missed(beside: Begin) -> None:
    rollout = beside()
    for _ in range(2):
        rollout.poll(seconds=5.0, c=(0, 10), s=(0, 10))
    assert rollout.silence(seconds=5.0).answer is Verdict.WAIT
    assert rollout.silence(seconds=5.0).answer is Verdict.WAIT
    assert rollout.silence(seconds=5.0).answer is Verdict.BLIND


def test_sight_regained_ends_blindness_and_the_gap_is_counted(beside: Begin) -> None:
    rollout = beside()
    for _ in range(20):
        rollout.poll({"c": REFUSED}, c=(0, 10), s=(0, 10))
    finding = rollout.poll(c=(0, 10), s=(0, 10))
    assert finding.answer is Verdict.WAIT
    assert finding.numbers["total"] == 210


def test_one_unread_pod_of_several_is_said_and_blinds_nobody(beside: Begin) -> None:
    rollout = beside()
    rollout.pod("d")
    for _ in range(60):
        finding = rollout.poll({"d": REFUSED}, c=(0, 10), s=(0, 10))
    assert finding.answer is Verdict.PASS
    assert "1 ready pods could not be read" in finding.text


def test_worker_processes_without_a_shared_registry_are_blind_with_that_reason(
    beside: Begin,
) -> None:
    rollout = beside()
    rollout.poll(c=(0, 100))
    for total in (90.0, 80.0, 70.0, 75.0):
        finding = rollout.poll({"c": replace(rollout.reading("c", total=total), at=rollout.at + 1)})
    assert (finding.answer, finding.reason) == (Verdict.BLIND, Reason.NOT_MONOTONIC)
    assert "several processes answer behind one address" in finding.text


# Clusters, several checks, settle and youth.


def test_above_the_largest_allowance_the_check_holds_and_never_fails(beside: Begin) -> None:
    rollout = beside({"allowance": 11})
    finding = rollout.until(60, c=(90, 100), s=(0, 100))
    assert (finding.answer, finding.reason) == (Verdict.WAIT, Reason.TOO_CLUSTERED)
    assert finding.hold
    assert finding.numbers["e_value"] <= 1.0


def test_a_stated_allowance_is_no_assumption(beside: Begin) -> None:
    assert "k = 3" in (text := beside({"allowance": 3}).poll(c=(0, 1)).text)
    assert "assumed" not in text


def test_settle_leaves_out_exactly_its_seconds(beside: Begin) -> None:
    rollout = beside({"settle": 5.0})
    finding = rollout.until(4, c=(10, 10), s=(0, 30))
    assert (finding.answer, finding.reason) == (Verdict.WAIT, Reason.NO_TRAFFIC)
    rollout.until(3, c=(0, 10), s=(0, 30))
    assert rollout.state.sums.total == 30
    assert rollout.state.sums.youth_total == 30


def test_a_pod_that_loses_its_readiness_is_not_young_again(beside: Begin) -> None:
    rollout = beside({"settle": 5.0})
    rollout.until(20, c=(0, 10), s=(0, 30))
    rollout.change("c", ready=False, ready_at=None)
    rollout.poll(c=(0, 10))
    rollout.change("c", ready=True, ready_at=rollout.at)
    before = rollout.state.sums.total
    rollout.poll(c=(0, 10))
    assert rollout.state.sums.total == before + 10


def test_a_pod_that_never_was_ready_is_young_from_its_start_on(begin: Begin) -> None:
    rollout = begin()
    rollout.pod("s", "old", age=900.0)
    rollout.pod("c", ready=False)
    rollout.until(15, c=(0, 10))
    assert 100 <= rollout.state.sums.youth_total <= 110
    assert rollout.state.sums.total == 150


def test_what_pods_did_when_young_is_kept_for_the_revision(beside: Begin) -> None:
    rollout = beside()
    rollout.until(9, c=(1, 10), s=(1, 10))
    assert youth_of(rollout.state) == Youth(bad=9, total=90)
    rollout.until(20, c=(0, 10), s=(0, 10))
    assert youth_of(rollout.state) == Youth(bad=9, total=90)


def test_youth_like_the_predecessors_convicts_nobody(beside: Begin) -> None:
    rollout = beside(youth={"errors": Youth(bad=300, total=1000)})
    finding = rollout.until(9, c=(3, 10), s=(0, 30))
    assert finding.answer is Verdict.WAIT
    finding = rollout.until(60, c=(0, 10), s=(0, 30))
    assert finding.answer is Verdict.PASS


def test_youth_much_worse_than_the_predecessors_fails_with_that_reason(beside: Begin) -> None:
    rollout = beside({"allowance": 1}, youth={"errors": Youth(bad=100, total=1000)})
    rollout.change("s", deleted_at=rollout.at)
    finding = rollout.until(8, c=(8, 10))
    assert (finding.answer, finding.reason) == (Verdict.FAIL, Reason.YOUTH_OVER_BOUND)
    assert "64 of 64" not in finding.text
    assert "requests failed there, where the revision before stayed under 11.7%" in finding.text


def test_youth_apart_does_not_excuse_what_comes_after_it(beside: Begin) -> None:
    rollout = beside(youth={"errors": Youth(bad=100, total=1000)})
    rollout.until(12, c=(1, 10), s=(0, 30))
    finding = rollout.until(8, c=(6, 10), s=(0, 30))
    assert (finding.answer, finding.reason) == (Verdict.FAIL, Reason.OVER_BOUND)


@pytest.mark.parametrize("youth", [Youth(50, 99), Youth(1, 1000)])
def test_a_record_of_youth_that_is_small_or_clean_changes_nothing(
    beside: Begin, youth: Youth
) -> None:
    assert beside(youth={"errors": youth}).state.bound.youth_over is None


def test_requests_that_met_young_pods_only_are_not_told_as_none(beside: Begin) -> None:
    rollout = beside(youth={"errors": Youth(bad=200, total=1000)})
    finding = rollout.until(3, c=(1, 10), s=(0, 30))
    assert (finding.answer, finding.reason) == (Verdict.WAIT, Reason.COLLECTING)
    assert "3 of 30 requests failed there, in the first 10 s of the pods' life" in finding.text
    assert (finding.numbers["total"], finding.numbers["youth_total"]) == (0, 30)
