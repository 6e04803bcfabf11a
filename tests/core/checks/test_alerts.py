"""Alerts: what began with the candidate counts, and nothing else does."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from guard.core.checks import alerts
from guard.core.checks.alerts import PODS_AT_MOST, AlertsState
from guard.core.findings import Finding, Reason, Verdict
from guard.core.policy import Alerts, WithoutPod
from guard.core.records import CheckState
from guard.core.samples import Alert, Alerted, AlertSample, Unavailable, UnavailableReason
from guard.core.ticks import Frame, Tick
from guard.core.workloads import Pod, Revision, Snapshot, WorkloadId

BEGAN = 1000.0
WORKLOAD = WorkloadId("kubernetes", "shop", "auth")
REVISION = Revision("new", "new", 2, "rs-new", BEGAN)
REFUSED = Unavailable(UnavailableReason.REFUSED, "no connection")


def pod(name: str, revision: str, created_at: float) -> Pod:
    return Pod(uid=name, name=name, namespace="shop", revision=revision, created_at=created_at)


STABLE = pod("auth-old", "old", 10.0)
CANDIDATE = pod("auth-new", "new", BEGAN + 5.0)


def alert(name: str, since: float, *, of: str = "") -> Alert:
    return Alert(f"{name}/{of}", name, of, since)


class Rollout:
    """Answers of Alertmanager, one a tick."""

    def __init__(self, check: Alerts | None = None, *pods: Pod) -> None:
        self.at = BEGAN
        self.pods = pods or (STABLE, CANDIDATE)
        self.state = alerts.begin(check or Alerts(), Frame(began_at=BEGAN))

    def tick(self, sample: AlertSample | None) -> Tick:
        snapshot = Snapshot(WORKLOAD, "uid", 2, self.at, REVISION, 1, pods=self.pods)
        return Tick(
            at=self.at,
            snapshot=snapshot,
            candidate=frozenset({"new"}),
            stable=frozenset({"old"}),
            alerts={} if sample is None else {self.state.check.name: sample},
        )

    def take(self, sample: AlertSample | None) -> Finding:
        tick = self.tick(sample)
        self.state = alerts.update(self.state, tick)
        return alerts.find(self.state, tick)

    def fire(self, *firing: Alert, after: float = 5.0) -> Finding:
        self.at += after
        return self.take(Alerted(firing, self.at))


def test_nothing_is_said_before_the_first_answer() -> None:
    finding = Rollout().take(None)
    assert (finding.answer, finding.reason) == (Verdict.WAIT, Reason.COLLECTING)


def test_no_alert_at_all_is_good() -> None:
    finding = Rollout().fire()
    assert (finding.answer, finding.reason) == (Verdict.PASS, Reason.INSIDE_BOUND)
    assert (finding.kind, finding.counted) == ("alerts", False)


def test_one_that_names_candidate_pods_alone_fails() -> None:
    finding = Rollout().fire(alert("HighLatency", BEGAN + 20.0, of="auth-new"))
    assert (finding.answer, finding.reason) == (Verdict.FAIL, Reason.ALERT_OF_CANDIDATE)
    assert finding.text == (
        "the alerts HighLatency began with the candidate and name its pods alone"
    )


def test_one_of_a_candidate_pod_that_is_gone_fails_too() -> None:
    rollout = Rollout()
    rollout.fire()
    rollout.pods = (STABLE, pod("auth-new-2", "new", BEGAN + 30.0))
    finding = rollout.fire(alert("Crashes", BEGAN + 20.0, of="auth-new"))
    assert finding.answer is Verdict.FAIL


def test_one_that_names_stable_pods_as_well_holds() -> None:
    finding = Rollout().fire(
        alert("HighLatency", BEGAN + 20.0, of="auth-new"),
        alert("HighLatency", BEGAN + 21.0, of="auth-old"),
    )
    assert (finding.answer, finding.reason, finding.hold) == (
        Verdict.WAIT,
        Reason.ALERT_BEGAN,
        True,
    )


def test_one_that_names_a_stable_pod_alone_is_not_the_candidates() -> None:
    finding = Rollout().fire(alert("HighLatency", BEGAN + 20.0, of="auth-old"))
    assert finding.answer is Verdict.PASS


def test_one_that_names_no_pod_holds_for_nothing_says_whose_fault_it_is() -> None:
    finding = Rollout().fire(alert("ErrorBudgetBurn", BEGAN + 20.0))
    assert (finding.answer, finding.hold) == (Verdict.WAIT, True)
    assert "nothing says whose fault that is" in finding.text


def test_the_policy_may_call_one_that_names_no_pod_the_releases() -> None:
    rollout = Rollout(Alerts(without_pod=WithoutPod.ROLLBACK))
    finding = rollout.fire(alert("ErrorBudgetBurn", BEGAN + 20.0))
    assert (finding.answer, finding.reason) == (Verdict.FAIL, Reason.ALERT_BEGAN)


def test_one_that_fired_before_the_first_candidate_pod_is_not_the_releases() -> None:
    finding = Rollout().fire(alert("ErrorBudgetBurn", BEGAN), alert("X", 3.0, of="auth-new"))
    assert (finding.answer, finding.reason) == (Verdict.PASS, Reason.PRE_EXISTING)
    assert finding.numbers == {"begun": 0.0, "pre_existing": 2.0}


def test_one_seen_before_there_was_a_candidate_pod_stays_known_whatever_its_time_says() -> None:
    rollout = Rollout(None, STABLE)
    rollout.fire(alert("ErrorBudgetBurn", BEGAN))
    rollout.pods = (STABLE, CANDIDATE)
    finding = rollout.fire(alert("ErrorBudgetBurn", BEGAN + 60.0))
    assert (finding.answer, finding.reason) == (Verdict.PASS, Reason.PRE_EXISTING)


def test_one_that_fired_before_counts_once_it_has_resolved_and_begins_anew() -> None:
    rollout = Rollout()
    rollout.fire(alert("ErrorBudgetBurn", BEGAN))
    assert rollout.fire().reason is Reason.INSIDE_BOUND
    assert rollout.fire(alert("ErrorBudgetBurn", BEGAN + 60.0)).hold


def test_one_that_resolves_lets_the_rollout_go_on() -> None:
    rollout = Rollout()
    rollout.fire(alert("ErrorBudgetBurn", BEGAN + 20.0))
    assert rollout.fire().answer is Verdict.PASS


def test_many_alerts_are_named_in_few_words() -> None:
    finding = Rollout().fire(*(alert(name, BEGAN + 20.0) for name in "EDCBA"))
    assert "the alerts A, B, C and 2 more began" in finding.text


def test_a_source_that_is_gone_is_blind_and_says_why() -> None:
    rollout = Rollout()
    rollout.fire(alert("HighLatency", BEGAN + 20.0))
    rollout.at += 5.0
    rollout.take(REFUSED)
    rollout.at += 5.0
    finding = rollout.take(REFUSED)
    assert (finding.answer, finding.reason) == (Verdict.BLIND, Reason.UNAVAILABLE)
    assert finding.text == "alerts cannot be read for 5 s: refused no connection"


def test_an_answer_that_is_too_old_says_nothing() -> None:
    rollout = Rollout()
    old = Alerted((), rollout.at)
    rollout.at += 61.0
    assert rollout.take(old).answer is Verdict.BLIND


def test_no_more_names_of_pods_are_kept_than_are_needed() -> None:
    rollout = Rollout(None, *(pod(f"p{n}", "new", BEGAN) for n in range(PODS_AT_MOST + 50)))
    rollout.fire()
    assert len(rollout.state.candidate_pods) == PODS_AT_MOST


# Laws.

PROPERTY = settings(max_examples=60, deadline=None)
STATE: TypeAdapter[CheckState] = TypeAdapter(CheckState)
NAMES = st.sampled_from(["auth-new", "auth-old", "cart-1", ""])
FIRING = st.lists(
    st.builds(alert, st.sampled_from("ABC"), st.floats(0.0, BEGAN + 500.0), of=NAMES),
    max_size=4,
    unique_by=lambda one: one.fingerprint,
)
ANSWERS = st.lists(st.one_of(st.none(), st.just(REFUSED), FIRING), min_size=1, max_size=30)


def feed(rollout: Rollout, answer: list[Alert] | Unavailable | None) -> Finding:
    rollout.at += 5.0
    sample = Alerted(tuple(answer), rollout.at) if isinstance(answer, list) else answer
    return rollout.take(sample)


@PROPERTY
@given(ANSWERS)
def test_law_1_a_source_that_is_gone_neither_fails_nor_passes(
    answers: list[list[Alert] | Unavailable | None],
) -> None:
    rollout = Rollout(Alerts(without_pod=WithoutPod.ROLLBACK))
    for answer in answers:
        feed(rollout, answer)
        assert feed(rollout, REFUSED).answer is Verdict.BLIND


@PROPERTY
@given(ANSWERS)
def test_law_2_nothing_passes_before_an_answer(
    answers: list[list[Alert] | Unavailable | None],
) -> None:
    rollout = Rollout()
    answered = False
    for answer in answers:
        answered = answered or isinstance(answer, list)
        finding = feed(rollout, answer)
        if finding.answer in {Verdict.PASS, Verdict.FAIL}:
            assert answered


@PROPERTY
@given(ANSWERS)
def test_law_3_the_same_answer_asked_for_more_often_says_the_same(
    answers: list[list[Alert] | Unavailable | None],
) -> None:
    once, often = Rollout(), Rollout()
    for answer in answers:
        one = feed(once, answer)
        feed(often, answer)
        often.at = once.at - 2.5
        two = feed(often, answer)
        often.at = once.at
        assert (one.answer, one.reason, one.numbers) == (two.answer, two.reason, two.numbers)


@PROPERTY
@given(ANSWERS)
def test_law_4_what_fired_before_or_for_stable_too_undoes_nothing(
    answers: list[list[Alert] | Unavailable | None],
) -> None:
    rollout = Rollout()
    for answer in answers:
        if isinstance(answer, list):
            before = [replace(one, since=min(one.since, CANDIDATE.created_at)) for one in answer]
            shared = [alert(one.name, one.since, of="auth-old") for one in answer]
            assert feed(rollout, before).answer is not Verdict.FAIL
            assert feed(rollout, [*answer, *shared]).answer is not Verdict.FAIL
        else:
            assert feed(rollout, answer).answer is not Verdict.FAIL


@PROPERTY
@given(ANSWERS, st.sets(st.integers(0, 30)))
def test_a_state_saved_and_restored_goes_on_to_the_bit(
    answers: list[list[Alert] | Unavailable | None], saved: set[int]
) -> None:
    one, two = Rollout(), Rollout()
    for number, answer in enumerate(answers):
        feed(one, answer)
        feed(two, answer)
        if number in saved:
            restored = STATE.validate_json(STATE.dump_json(two.state))
            assert isinstance(restored, AlertsState)
            two.state = restored
        assert two.state == one.state
