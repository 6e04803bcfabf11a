"""What a proxy counts for a whole service: the release's only while all pods are the release's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from guard.core.checks import counted, counted_finding, service
from guard.core.checks.counted_state import CountedState
from guard.core.counting import CLOCK_SKEW
from guard.core.evidence.history import Normal
from guard.core.explanations import explain
from guard.core.findings import Reason, Verdict
from guard.core.policy import ErrorRatio, Objective, Policy, Ratio, of_whole_service
from guard.core.samples import (
    CounterSample,
    NoData,
    NoDataReason,
    Reading,
    Unavailable,
    UnavailableReason,
)
from guard.core.ticks import Frame, Tick, Youth
from guard.core.verdicts import judge
from guard.core.workloads import Pod, Snapshot
from tests.core.checks.conftest import BAD, BEGAN, LATENCY, REVISION, TOTAL, WORKLOAD

if TYPE_CHECKING:
    from guard.core.findings import Finding

SLI = Ratio(BAD, TOTAL, whole_service=True)
CHECK = ErrorRatio("availability", Objective("availability", 0.999, 2_592_000.0, SLI))
OK, ERRORS = "service/ok", "service/errors"
STEP = 15.0
STATES = TypeAdapter(CountedState)


def pod(name: str, revision: str = "new", *, ready: bool = True, going: bool = False) -> Pod:
    return Pod(
        uid=name,
        name=name,
        namespace="shop",
        revision=revision,
        created_at=BEGAN,
        ready=ready,
        ready_at=BEGAN,
        deleted_at=BEGAN + 1.0 if going else None,
    )


@dataclass
class Service:
    """A service behind one proxy, looked at each scrape."""

    check: ErrorRatio = CHECK
    frame: Frame = field(default_factory=lambda: Frame(BEGAN))
    at: float = BEGAN
    good: int = 1_000_000
    bad: int = 5_000
    pods: tuple[Pod, ...] = (pod("new-1"),)
    complete: bool = True

    def __post_init__(self) -> None:
        self.state = counted.begin(self.check, self.frame)

    def readings(self) -> dict[str, CounterSample]:
        return {
            OK: Reading(self.good, 0.0, self.at, "prometheus", paths_known=True),
            ERRORS: Reading(self.bad, self.bad, self.at, "prometheus", paths_known=True),
        }

    def poll(self, good: int = 0, bad: int = 0, **answers: CounterSample) -> Finding:
        """Serve, and look a scrape later. `answers` replaces the readings, by `ok`, `errors`."""
        self.good, self.bad, self.at = self.good + good, self.bad + bad, self.at + STEP
        named = {f"service/{name}": sample for name, sample in answers.items()}
        return self.take(named or self.readings())

    def take(self, readings: dict[str, CounterSample], **more: Any) -> Finding:
        snapshot = Snapshot(
            WORKLOAD, "uid", 2, self.at, REVISION, 1, pods=self.pods, complete=self.complete
        )
        tick = Tick(
            at=self.at,
            snapshot=snapshot,
            candidate=frozenset({"new"}),
            stable=frozenset({"old"}),
            counters={self.check.name: readings},
        )
        tick = replace(tick, **more)
        self.state = counted.update(self.state, tick)
        return counted_finding.find(self.state, tick)


def both(**changes: Any) -> Service:
    """A rollout in which a stable pod serves too."""
    return Service(pods=(pod("new-1"), pod("old-1", "old")), complete=False, **changes)


@pytest.mark.parametrize(
    "other", [pod("old-1", "old"), pod("old-1", "old", ready=False), pod("x", "x", going=True)]
)
def test_while_any_pod_of_another_revision_is_there_it_waits_and_says_why(other: Pod) -> None:
    shop = both()
    shop.pods = (pod("new-1"), other)
    for _ in range(20):
        finding = shop.poll(good=10, bad=500)
    assert (finding.answer, finding.reason) == (Verdict.WAIT, Reason.OTHER_PODS)
    assert "judged when all pods are the release's" in finding.text
    assert "for the whole service" in finding.text
    assert finding.numbers["total"] == 0
    assert finding.numbers["e_value"] == pytest.approx(1.0)


def test_it_waits_until_the_rollout_is_complete_and_not_a_moment_less() -> None:
    shop = Service(complete=False)
    assert shop.poll(bad=500).reason is Reason.OTHER_PODS
    shop.complete = True
    assert shop.poll().reason is not Reason.OTHER_PODS


def test_a_pod_that_ended_serves_nobody_and_is_not_waited_for() -> None:
    shop = Service(pods=(pod("new-1"), replace(pod("evicted", "old"), phase="Failed")))
    assert shop.poll().reason is not Reason.OTHER_PODS
    shop.pods = shop.pods[1:]
    assert shop.poll().reason is Reason.OTHER_PODS


def test_errors_before_all_pods_are_the_candidates_are_never_evidence() -> None:
    shop = both()
    shop.poll(good=100, bad=100)
    shop.pods, shop.complete = (pod("new-1"),), True
    assert shop.poll(good=100, bad=100).numbers["total"] == 0
    # This interval began in the moment that showed it: clocks may differ.
    assert shop.poll(good=100, bad=100).numbers["total"] == 0
    shop.poll(good=100)
    assert (shop.state.sums.bad, shop.state.sums.total) == (0, 100)


def test_a_candidate_pod_that_fails_afterwards_does_not_end_the_judging() -> None:
    shop = Service()
    shop.poll()
    shop.pods, shop.complete = (pod("new-1"), pod("new-2", ready=False)), False
    for _ in range(8):
        finding = shop.poll(good=900, bad=100)
    assert finding.answer is Verdict.FAIL


def test_a_good_release_passes_against_its_own_series_with_both_numbers_said() -> None:
    shop = Service(frame=Frame(BEGAN, normal={"availability": Normal(BEGAN, 3, 60_000)}))
    for _ in range(12):
        finding = shop.poll(good=1_000, bad=1)
    assert finding.answer is Verdict.PASS
    words = "no stable side to compare with: against its own series before the rollout"
    assert f"{words}, 3 of 60000 requests (0.005%)" in finding.text
    assert "10 of 10010 requests failed" in finding.text


def test_a_bad_release_fails_with_no_stable_side_and_says_so() -> None:
    shop = Service()
    for _ in range(8):
        finding = shop.poll(good=950, bad=50)
    assert (finding.answer, finding.reason) == (Verdict.FAIL, Reason.OVER_BOUND)
    assert "no stable side to compare with" in finding.text
    assert "there is no history" in finding.text
    assert "sum(increase(http_requests_total{" in finding.query
    assert "pod" not in finding.query


def test_what_is_normal_for_its_own_series_takes_the_bounds_place() -> None:
    normal = Normal(BEGAN, 3_000, 60_000, over=0.055, allowance=1)
    shop = Service(frame=Frame(BEGAN, normal={"availability": normal}))
    for _ in range(12):
        finding = shop.poll(good=950, bad=50)
    assert finding.answer is not Verdict.FAIL
    assert finding.numbers["p0"] == 0.055


def test_over_its_bound_before_the_rollout_a_fail_is_only_a_hold_until_it_is_good() -> None:
    shop = Service(frame=Frame(BEGAN, before={"availability": Youth(200, 2_000)}))
    for _ in range(8):
        finding = shop.poll(good=900, bad=100)
    assert (finding.answer, finding.reason) == (Verdict.WAIT, Reason.UNATTRIBUTED)
    assert finding.hold
    assert "in the 5 min before the rollout as well" in finding.text
    assert finding.numbers["e_value"] == 1.0
    assert "a FAIL is only a hold" in text_of(finding)


def text_of(finding: Finding) -> str:
    policy = Policy("auth", "team", (CHECK,))
    told = explain(finding, policy)
    return "\n".join([told.question, *(f"{line.label}: {line.text}" for line in told.lines)])


def test_the_explanation_says_whose_count_it_is_and_what_it_is_compared_with() -> None:
    shop = Service(frame=Frame(BEGAN, normal={"availability": Normal(BEGAN, 3, 60_000)}))
    for _ in range(4):
        finding = shop.poll(good=1_000)
    text = text_of(finding)
    assert "whole service's requests fail, by its proxy's count" in text
    assert "Before: 3 of 60,000 requests bad" in text
    assert "no stable side to compare with" in text
    assert "Stable:" not in text


def test_a_new_proxys_count_before_it_was_seen_is_a_baseline() -> None:
    shop = Service()
    shop.poll()
    new = Reading(9_000.0, 9_000.0, shop.at + STEP, "prometheus")
    finding = shop.poll(ok=shop.readings()[OK], new=new)
    assert finding.numbers["total"] == 0


def test_a_proxy_that_began_anew_counts_from_there() -> None:
    shop = Service()
    for _ in range(3):
        shop.poll(good=100)
    seen = shop.state.sums.total
    shop.good, shop.bad = 0, 0
    assert shop.poll(good=70, bad=70).numbers["total"] == seen
    assert shop.poll(good=30).numbers["total"] == seen + 30


def test_a_first_error_counts_where_the_scrape_before_showed_none() -> None:
    shop = Service()
    shop.poll()
    shop.poll()
    first = Reading(7.0, 7.0, shop.at + STEP, "prometheus", absent_at=shop.at)
    assert shop.poll(first=first).numbers["bad"] == 7
    early = replace(first, at=shop.at + STEP, absent_at=BEGAN)
    assert shop.poll(early=early).numbers["bad"] == 7
    wrong = replace(first, at=shop.at + STEP, absent_at=shop.at + STEP)
    assert shop.poll(wrong=wrong).numbers["bad"] == 7


def test_what_settles_is_left_out_from_the_moment_that_all_pods_were_the_candidates() -> None:
    shop = Service(check=replace(CHECK, settle=30.0))
    for _ in range(4):
        shop.poll(bad=10)
    assert shop.state.sums.total == 0
    assert shop.poll(good=10).numbers["total"] == 10


def test_counters_that_cannot_be_are_no_data_and_ended_series_are_forgotten() -> None:
    shop = Service()
    shop.poll()
    half = Reading(1.5, 0.0, shop.at + STEP, "prometheus")
    shop.poll(half=half)
    assert "service/half" not in shop.state.accounts
    pair = Reading(10.0, 0.0, shop.at + STEP, "prometheus")
    shop.poll(pair=pair)
    # Were it counted: six bad of five.
    shop.poll(pair=replace(pair, total=15.0, bad=6.0, at=shop.at + STEP))
    assert shop.state.sums.total == 0
    old = Reading(10.0, 0.0, shop.at - service.FORGET_AFTER, "prometheus")
    shop.poll(old=old)
    assert "service/old" not in shop.state.accounts
    shop.at += service.FORGET_AFTER
    shop.poll(good=1)
    assert set(shop.state.accounts) == {OK, ERRORS}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Unavailable(UnavailableReason.TIMEOUT, "no answer"), Reason.UNAVAILABLE),
        (NoData(NoDataReason.NO_SERIES, "nothing there"), Reason.NO_DATA),
    ],
)
def test_missing_data_is_blindness_and_neither_fails_nor_passes(
    answer: CounterSample, reason: Reason
) -> None:
    shop = Service()
    for _ in range(8):
        shop.poll(good=100)
    for _ in range(8):
        finding = shop.poll(x=answer)
    assert (finding.answer, finding.reason) == (Verdict.BLIND, reason)


def test_a_proxy_that_is_not_scraped_any_more_is_blindness_after_three_intervals() -> None:
    shop = Service()
    shop.poll()
    last = shop.readings()
    for _ in range(3):
        shop.at += STEP
        shop.take(last)
    shop.at += STEP
    assert shop.take(last).answer is Verdict.BLIND


def test_while_other_pods_are_there_missing_data_is_no_blindness() -> None:
    shop = both()
    for _ in range(8):
        finding = shop.poll(x=NoData(NoDataReason.NO_SERIES))
    assert finding.reason is Reason.OTHER_PODS


def test_late_counts_are_evidence_for_a_and_never_compared() -> None:
    shop = Service()
    shop.poll()
    shop.poll()
    shop.at += 200.0
    shop.poll(x=NoData(NoDataReason.NO_SERIES))
    assert shop.poll(good=50).numbers["total"] == 50


def test_a_latency_is_never_of_a_whole_service_and_old_records_read_as_per_revision() -> None:
    assert not of_whole_service(LATENCY.sli)
    document = TypeAdapter(Ratio).dump_python(SLI, mode="json")
    del document["whole_service"]
    assert not TypeAdapter(Ratio).validate_python(document).whole_service


# Laws.

Look = tuple[int, int, bool, bool, str]
LOOKS = st.lists(
    st.tuples(
        st.integers(0, 50),
        st.integers(0, 50),
        st.booleans(),
        st.booleans(),
        st.sampled_from(["read", "read", "read", "none", "away", "reset"]),
    ),
    max_size=12,
)


def follow(shop: Service, looks: list[Look]) -> None:
    for good, bad, alone, complete, how in looks:
        shop.pods = (pod("new-1"),) if alone else (pod("new-1"), pod("old-1", "old"))
        shop.complete = alone and complete
        if how == "none":
            shop.poll(x=NoData(NoDataReason.NO_SERIES))
        elif how == "away":
            shop.poll(x=Unavailable(UnavailableReason.TIMEOUT))
        else:
            if how == "reset":
                shop.good = shop.bad = 0
            shop.poll(good, bad)


@given(LOOKS)
def test_law_the_same_polls_give_the_same_state_to_the_bit(looks: list[Look]) -> None:
    first, second = Service(), Service()
    follow(first, looks)
    follow(second, looks)
    assert first.state == second.state


@given(LOOKS, LOOKS)
def test_law_a_state_survives_its_record_at_any_moment(
    before: list[Look], after: list[Look]
) -> None:
    whole, restored = Service(), Service()
    follow(whole, before)
    follow(restored, before)
    restored.state = STATES.validate_json(STATES.dump_json(restored.state))
    assert restored.state == whole.state
    follow(whole, after)
    follow(restored, after)
    assert restored.state == whole.state


@given(LOOKS)
def test_law_no_error_before_all_pods_are_the_candidates_is_evidence(looks: list[Look]) -> None:
    """Whatever was counted before changes no evidence that comes after."""
    loud, quiet = Service(), Service()
    before = [(good, bad, False, False, how) for good, bad, _, _, how in looks]
    follow(loud, before)
    follow(quiet, [(0, 0, False, False, how) for *_, how in looks])
    assert (loud.state.sums, loud.state.evidence) == (quiet.state.sums, quiet.state.evidence)
    assert loud.state.sums.total == 0


@given(LOOKS)
def test_law_every_counted_request_came_in_a_time_without_other_pods(looks: list[Look]) -> None:
    shop = Service()
    served, alone_since = 0, None
    for good, bad, alone, complete, how in looks:
        begin = shop.at
        follow(shop, [(good, bad, alone, complete, how)])
        if not alone:
            alone_since = None
        elif alone_since is None and complete:
            alone_since = shop.at
        if alone_since is not None and begin >= alone_since + CLOCK_SKEW:
            served += good + bad
    assert shop.state.sums.total <= served


@given(LOOKS)
def test_law_without_a_reading_nothing_passes_and_nothing_fails(looks: list[Look]) -> None:
    shop = Service()
    for good, bad, alone, complete, _ in looks:
        follow(shop, [(good, bad, alone, complete, "none")])
        finding = shop.poll(x=Unavailable(UnavailableReason.TIMEOUT))
        assert finding.answer in {Verdict.WAIT, Verdict.BLIND}


@given(LOOKS)
def test_law_over_its_bound_before_the_rollout_it_never_fails(looks: list[Look]) -> None:
    shop = Service(frame=Frame(BEGAN, before={"availability": Youth(200, 2_000)}))
    for look in looks:
        follow(shop, [look])
        finding = shop.poll(good=10, bad=50)
        assert judge([finding], shop.frame).verdict is not Verdict.FAIL


@given(LOOKS)
def test_law_before_all_pods_are_the_candidates_it_only_waits(looks: list[Look]) -> None:
    shop = both()
    for good, bad, _, _, how in looks:
        follow(shop, [(good, bad, False, False, how)])
        finding = shop.poll(bad=500)
        assert (finding.answer, finding.reason) == (Verdict.WAIT, Reason.OTHER_PODS)
        assert judge([finding], shop.frame).verdict is Verdict.WAIT
