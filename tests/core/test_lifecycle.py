"""The one transition function, told as rollouts."""

from __future__ import annotations

from typing import Any

import pytest

from guard.core.actions import OutcomeKind
from guard.core.findings import Finding, Reason, Verdict
from guard.core.policy import OnBlind, OnFail, OnInconclusive, OnShared
from guard.core.states import (
    Act,
    Deleted,
    Hold,
    Phase,
    Save,
    State,
    Superseded,
    Tell,
    Trust,
    TurnedOff,
)
from guard.core.workloads import Mode
from tests.core.conftest import BEGAN, FACTS, GOOD, Story, case, judged


def begun(**policy: Any) -> Story:
    return Story(State(case=case(**policy), phase=Phase.PROGRESSING, since=BEGAN))


def rolling_back() -> Story:
    story = begun()
    story.judge(Verdict.FAIL)
    assert story.phase is Phase.ROLLING_BACK
    return story


# Promotion.


def test_a_good_release_bakes_and_is_promoted_and_trusted(story: Story) -> None:
    story.judge(Verdict.PASS, times=2, pods_ready=False)
    assert story.phase is Phase.PROGRESSING
    story.judge(Verdict.PASS, times=10)
    assert story.phase is Phase.BAKING
    story.judge(Verdict.PASS)
    assert story.phase is Phase.PROMOTED
    assert isinstance(story.last[1], Trust)
    assert story.told == ["informed Promoted"]
    assert story.state.ended


def test_what_passes_is_not_promoted_before_the_platform_is_done(story: Story) -> None:
    story.judge(Verdict.PASS, times=30, complete=False)
    assert story.phase is Phase.BAKING
    story.judge(Verdict.PASS)
    assert story.phase is Phase.PROMOTED


def test_a_gap_in_which_nobody_judged_is_no_baking(story: Story) -> None:
    story.take(judged(Verdict.PASS))
    story.take(judged(Verdict.PASS), after=3600.0)
    assert story.state.elapsed == 15.0


def test_a_clock_that_goes_back_takes_no_time_away(story: Story) -> None:
    story.judge(Verdict.PASS, times=3)
    story.take(judged(Verdict.PASS), after=-100.0)
    assert story.state.elapsed == 2.0


def test_a_policy_without_bake_promotes_on_the_first_pass() -> None:
    story = begun(bake=0.0)
    story.judge(Verdict.PASS)
    assert story.phase is Phase.PROMOTED


# The deadline.


@pytest.mark.parametrize(
    ("on", "phase", "told"),
    [
        (OnInconclusive.ACCEPT, Phase.UNPROVEN, "informed Unproven"),
        (OnInconclusive.HOLD, Phase.HELD, "opened Inconclusive"),
        (OnInconclusive.ROLLBACK, Phase.ROLLING_BACK, "opened RollingBack"),
    ],
)
def test_too_little_evidence_at_the_deadline_does_what_the_policy_says(
    on: OnInconclusive, phase: Phase, told: str
) -> None:
    story = begun(on_inconclusive=on)
    story.judge(Verdict.WAIT, times=60, text="37 of 230 requests seen")
    assert story.phase is Phase.BAKING
    story.judge(Verdict.WAIT, text="37 of 230 requests seen")
    assert story.phase is phase
    assert story.told == [told]


@pytest.mark.parametrize("reason", [Reason.NO_TRAFFIC, Reason.OTHER_PODS])
def test_what_could_not_be_measured_is_never_rolled_back_for_that(reason: Reason) -> None:
    """Nobody used the release, or other pods kept it from being judged."""
    finding = Finding("a", "error_ratio", Verdict.WAIT, reason, "nothing to judge by")
    story = begun(on_inconclusive=OnInconclusive.ROLLBACK)
    story.judge(Verdict.WAIT, times=62, findings=(finding,))
    assert story.phase is Phase.HELD
    assert not story.acts


def test_an_inconclusive_hold_ends_by_a_pass_alone() -> None:
    story = begun(on_inconclusive=OnInconclusive.HOLD)
    story.judge(Verdict.WAIT, times=70)
    assert story.phase is Phase.HELD
    story.judge(Verdict.PASS)
    assert story.phase is Phase.PROMOTED
    assert story.told == ["opened Inconclusive", "resolved Resumed", "informed Promoted"]


# Failing.


def test_a_fail_writes_its_intent_before_it_acts(story: Story) -> None:
    story.judge(Verdict.FAIL, text="20 of 40 requests failed", pods_ready=False)
    assert story.phase is Phase.ROLLING_BACK
    kinds = [type(command) for command in story.last]
    assert kinds.index(Save) < kinds.index(Act)
    assert story.notes == ["decided", "intent"]
    intent = story.acts[0].intent
    assert (intent.known_good, intent.candidate.hash) == (GOOD, "new")
    assert intent == story.state.intent
    assert story.told == ["opened RollingBack"]


def test_notify_tells_once_and_changes_nothing() -> None:
    story = begun(on_fail=OnFail.NOTIFY)
    story.judge(Verdict.FAIL, times=5)
    assert story.told == ["informed Failed"]
    assert not story.acts


def test_hold_tells_once_and_pages() -> None:
    story = begun(on_fail=OnFail.HOLD)
    story.judge(Verdict.FAIL, times=50)
    assert (story.phase, story.state.hold) == (Phase.HELD, Hold.POLICY)
    assert story.told == ["opened Held"]
    assert "FAILED AND IS SERVING" in story.notices[0].title


def test_observing_it_says_what_it_would_have_done() -> None:
    story = begun()
    facts = FACTS.__class__(mode=Mode.OBSERVE, known_good=GOOD)
    story.judge(Verdict.FAIL, facts=facts)
    assert story.state.hold is Hold.OBSERVE
    assert "it would have rolled back to old" in story.state.text
    # A person gives it leave to act while it still fails.
    story.judge(Verdict.FAIL)
    assert story.phase is Phase.ROLLING_BACK
    assert story.told == ["opened WouldRollBack", "opened RollingBack", "resolved HoldOver"]


# Holding.


def test_shared_trouble_holds_is_told_again_after_each_patience_and_resumes() -> None:
    story = begun()
    story.judge(Verdict.WAIT, times=45, hold=True, text="stable fails too")
    assert story.told == ["opened SharedTrouble", *["updated SharedTrouble"] * 2]
    story.judge(Verdict.WAIT)
    assert story.phase is Phase.BAKING
    assert story.told[-1] == "resolved Resumed"


def test_a_hold_before_the_pods_were_ready_resumes_to_progressing() -> None:
    story = begun()
    story.judge(Verdict.WAIT, hold=True, pods_ready=False)
    story.judge(Verdict.WAIT, pods_ready=False)
    assert story.phase is Phase.PROGRESSING


def test_held_time_is_no_baking_and_a_hold_never_ends_by_the_deadline() -> None:
    story = begun()
    story.judge(Verdict.PASS, times=5)
    story.judge(Verdict.WAIT, times=500, hold=True)
    assert story.phase is Phase.HELD
    assert story.state.elapsed <= 5.0


def test_a_shared_hold_goes_on_while_blind() -> None:
    story = begun()
    story.judge(Verdict.WAIT, hold=True)
    story.judge(Verdict.BLIND, times=3)
    assert (story.phase, story.state.hold) == (Phase.HELD, Hold.SHARED)


def test_a_release_that_may_have_broken_both_is_undone_where_the_policy_says_so() -> None:
    finding = Finding(
        "a",
        "error_ratio",
        Verdict.WAIT,
        Reason.SHARED,
        "both",
        hold=True,
        numbers={"may_have_broken_both": 1.0},
    )
    held, undone = begun(), begun(on_shared=OnShared.ROLLBACK)
    for story in (held, undone):
        story.judge(Verdict.WAIT, hold=True, findings=(finding,))
    assert (held.phase, undone.phase) == (Phase.HELD, Phase.ROLLING_BACK)


# Blindness.


def test_blindness_is_told_after_its_patience_and_resolved_when_it_ends() -> None:
    story = begun()
    story.judge(Verdict.BLIND, times=20)
    assert story.told == []
    story.judge(Verdict.BLIND, times=30)
    assert story.told == ["opened Blind"]
    assert (story.phase, story.state.hold) == (Phase.HELD, Hold.BLIND)
    story.judge(Verdict.WAIT)
    assert story.phase is Phase.BAKING
    assert story.told == ["opened Blind", "resolved SeeingAgain"]


def test_blindness_shorter_than_its_patience_is_nobodys_business() -> None:
    story = begun()
    story.judge(Verdict.BLIND, times=15)
    story.judge(Verdict.WAIT)
    story.judge(Verdict.BLIND, times=15)
    assert story.told == []


def test_blindness_under_notify_is_told_and_does_not_hold() -> None:
    story = begun(on_blind=OnBlind.NOTIFY)
    story.judge(Verdict.BLIND, times=30)
    assert (story.phase, story.told) == (Phase.BAKING, ["opened Blind"])
    story.judge(Verdict.BLIND, times=40)
    assert story.phase is Phase.UNPROVEN
    assert story.told[1:] == ["informed Unproven", "resolved SeeingAgain"]


def test_blindness_that_begins_just_before_the_deadline_holds_at_it() -> None:
    story = begun()
    story.judge(Verdict.WAIT, times=55)
    story.judge(Verdict.BLIND, times=6)
    assert (story.phase, story.state.hold) == (Phase.HELD, Hold.BLIND)
    assert story.told == ["opened Blind"]
    story.judge(Verdict.BLIND, times=60)
    assert story.told == ["opened Blind"]


def test_blindness_that_a_failure_ends_is_resolved_once_and_nothing_is_resumed() -> None:
    story = begun()
    story.judge(Verdict.BLIND, times=160)
    story.judge(Verdict.FAIL)
    assert sorted(story.told) == ["opened Blind", "opened RollingBack", "resolved SeeingAgain"]


def test_blindness_never_acts_whatever_the_policy() -> None:
    for on in OnInconclusive:
        story = begun(on_inconclusive=on)
        story.judge(Verdict.BLIND, times=200)
        assert not story.acts
        assert story.phase is Phase.HELD


# Zero replicas.


def test_scaled_to_0_a_rollout_is_suspended_and_goes_on_when_it_comes_back() -> None:
    story = begun()
    story.judge(Verdict.WAIT, times=5)
    before = story.state.elapsed
    story.judge(Verdict.WAIT, times=10, replicas=0)
    assert story.notes.count("suspended") == 1
    story.judge(Verdict.WAIT, times=2)
    assert story.notes.count("resumed") == 1
    assert story.state.suspended_since is None
    assert story.state.elapsed == before + 1.0


def test_a_day_at_0_replicas_leaves_the_rollout() -> None:
    story = begun()
    story.judge(Verdict.WAIT, replicas=0)
    story.judge(Verdict.WAIT, replicas=0, after=24 * 3600.0)
    assert story.phase is Phase.LEFT


# The rollback's end.


@pytest.mark.parametrize(
    ("recovered", "words"),
    [(True, "4 of 4 pods ready"), (None, "4 of 4 pods ready"), (False, "HAS NOT RECOVERED")],
)
def test_a_patched_rollback_is_watched_to_its_end(recovered: bool | None, words: str) -> None:  # noqa: FBT001 - a row
    story = rolling_back()
    story.acted(OutcomeKind.PATCHED)
    assert story.state.verify_by == story.now + 600.0
    story.settle(complete=False)
    assert story.phase is Phase.ROLLING_BACK
    story.settle(complete=True, recovered=recovered)
    assert story.phase is Phase.ROLLED_BACK
    assert story.told == ["opened RollingBack", "resolved RolledBack"]
    assert words in story.notices[-1].title


def test_a_rollback_that_does_not_come_up_in_time_has_failed() -> None:
    story = rolling_back()
    story.acted(OutcomeKind.PATCHED)
    story.settle(complete=False, after=600.0)
    assert story.phase is Phase.ROLLBACK_FAILED
    assert "critical" in {notice.severity for notice in story.notices}


def test_a_platform_that_does_not_answer_is_asked_again() -> None:
    story = rolling_back()
    story.acted(OutcomeKind.UNAVAILABLE)
    assert (story.phase, story.state.verify_by) == (Phase.ROLLING_BACK, None)
    story.settle(complete=True)
    assert story.phase is Phase.ROLLING_BACK, "there is nothing to verify before the patch"


@pytest.mark.parametrize(
    ("kind", "by_guard", "phase"),
    [
        (OutcomeKind.SUPERSEDED, False, Phase.SUPERSEDED),
        (OutcomeKind.REFUSED, False, Phase.ROLLBACK_FAILED),
        (OutcomeKind.ALREADY, False, Phase.SUPERSEDED),
        (OutcomeKind.ALREADY, True, Phase.ROLLING_BACK),
    ],
)
def test_every_outcome_leads_to_its_phase(
    kind: OutcomeKind,
    by_guard: bool,  # noqa: FBT001 - a row
    phase: Phase,
) -> None:
    story = rolling_back()
    story.acted(kind, "admission refused it", by_guard=by_guard)
    assert story.phase is phase


def test_a_rollback_is_itself_never_rolled_back() -> None:
    story = rolling_back()
    story.judge(Verdict.FAIL, times=5)
    assert len(story.acts) == 1


# Ends from outside.


@pytest.mark.parametrize(
    ("event", "phase"),
    [
        (Superseded("a newer release, x, took its place"), Phase.SUPERSEDED),
        (Deleted(), Phase.LEFT),
        (TurnedOff(), Phase.LEFT),
    ],
)
@pytest.mark.parametrize("held", [False, True])
def test_a_person_a_newer_release_or_a_deletion_ends_it_and_is_no_failure(
    event: Superseded | Deleted | TurnedOff,
    phase: Phase,
    held: bool,  # noqa: FBT001 - a row
) -> None:
    story = begun()
    story.judge(Verdict.WAIT, hold=held)
    story.take(event)
    assert story.phase is phase
    assert all(notice.severity != "critical" for notice in story.notices)
    assert ("resolved HoldOver" in story.told) == held


def test_an_end_knows_no_event() -> None:
    story = begun()
    story.take(Deleted())
    before = story.state
    for event in (judged(Verdict.FAIL), Superseded(""), Deleted(), TurnedOff()):
        assert story.take(event) == ()
        assert story.state is before


def test_an_event_that_a_phase_does_not_know_changes_nothing() -> None:
    story = begun()
    story.settle(complete=True)
    assert (story.phase, story.last) == (Phase.PROGRESSING, ())


def test_every_told_command_speaks_of_the_same_rollout() -> None:
    story = rolling_back()
    story.acted(OutcomeKind.PATCHED)
    story.settle(complete=True)
    told = [command for command in story.commands if isinstance(command, Tell)]
    assert {one.notice.rollout for one in told} == {"kubernetes/shop/auth@new#2"}
    assert {one.notice.owner for one in told} == {"team-identity"}
