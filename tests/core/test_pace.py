"""The pause at the first pods, told as rollouts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core import pace
from guard.core.actions import Outcome, OutcomeKind
from guard.core.findings import Finding, Reason, Verdict
from guard.core.policy import (
    ErrorRatio,
    Objective,
    OnBlind,
    OnInconclusive,
    Pods,
    Ratio,
    Selector,
    Step,
)
from guard.core.states import (
    Facts,
    Hold,
    Note,
    Pacing,
    PauseAnswered,
    Phase,
    Resume,
    ResumeAnswered,
    Save,
    State,
)
from guard.core.workloads import GuardPause, Mode, Pod, Snapshot
from tests.core.conftest import BAD, BEGAN, FACTS, GOOD, Story, case, judged

HELD = GuardPause("new", BEGAN, previous="as it was")
AT_FIRST: dict[str, Any] = {"pause": HELD, "complete": False, "beside": (1, 4)}
OBSERVING = replace(FACTS, mode=Mode.OBSERVE)


def begun(**policy: Any) -> Story:
    """A rollout that asks to be paused."""
    given = case(**{"pace": (Step.FIRST,), **policy})
    state = State(case=given, phase=Phase.PROGRESSING, since=BEGAN, pacing=Pacing.PAUSING)
    return Story(state)


def answered(kind: OutcomeKind) -> PauseAnswered:
    return PauseAnswered(Outcome(kind, BEGAN, "why"))


def held(**policy: Any) -> Story:
    """A rollout that is held at its first pods."""
    story = begun(**policy)
    story.take(answered(OutcomeKind.PATCHED))
    story.judge(Verdict.WAIT, **AT_FIRST)
    assert story.state.pacing is Pacing.PAUSED
    return story


def resumes(story: Story) -> list[Resume]:
    return [command for command in story.commands if isinstance(command, Resume)]


# How it begins.


def pod(revision: str, **more: Any) -> Pod:
    return Pod(f"pod-{revision}", "p", "shop", revision, BEGAN, ready=True, **more)


SNAPSHOT = Snapshot(
    case().workload, "u", 2, BEGAN, BAD, 4, pods=(pod("old"), pod("new")), max_surge=1
)


@pytest.mark.parametrize(
    ("facts", "changes", "words"),
    [
        (OBSERVING, {}, "only observes"),
        (replace(FACTS, paused=True), {}, "a person paused"),
        (replace(FACTS, may_patch=False), {}, "lacks the right"),
        (FACTS, {"strategy": "Recreate"}, "Recreate, which has no first pods"),
        (replace(FACTS, known_good=replace(GOOD, revision=BAD)), {}, "the known-good one"),
        (FACTS, {"complete": True}, "no pod of another revision"),
        (FACTS, {"pods": (pod("new"), pod("old", deleted_at=BEGAN))}, "no pod of another"),
    ],
    ids=["observe", "spec.paused", "no right", "Recreate", "restart", "complete", "late"],
)
def test_what_cannot_be_paced_says_why(facts: Any, changes: dict[str, Any], words: str) -> None:
    given = case(pace=(Step.FIRST,))
    pacing, why = pace.begins(given, facts, replace(SNAPSHOT, **changes))
    assert pacing is Pacing.UNPACED
    assert words in why
    pacing, _ = pace.begins(given, facts, replace(SNAPSHOT, pause=HELD, **changes))
    assert pacing is Pacing.RESUMING, "a pause that is in force is ended"


def test_a_policy_that_does_not_pace_ends_a_pause_that_it_finds() -> None:
    unpaced = case(pace=())
    assert pace.begins(unpaced, FACTS, SNAPSHOT) == (Pacing.UNPACED, "")
    assert pace.begins(unpaced, FACTS, replace(SNAPSHOT, pause=HELD)) == (Pacing.RESUMING, "")


def test_a_policy_that_paces_pauses_at_once() -> None:
    assert pace.begins(case(pace=(Step.FIRST,)), FACTS, SNAPSHOT) == (Pacing.PAUSING, "")


def test_a_policy_of_whole_services_alone_is_not_paced_and_says_why() -> None:
    selector = Selector("requests", (), "requests")
    sli = Ratio(selector, selector, whole_service=True)
    check = ErrorRatio("edge", Objective("edge", 0.99, 3600.0, sli))
    pacing, why = pace.begins(case(pace=(Step.FIRST,), checks=(check,)), FACTS, SNAPSHOT)
    assert (pacing, "count the whole service" in why) == (Pacing.UNPACED, True)
    mixed = case(pace=(Step.FIRST,), checks=(check, Pods()))
    assert pace.begins(mixed, FACTS, SNAPSHOT) == (Pacing.PAUSING, "")


def test_an_evicted_pod_of_the_old_revision_is_nobody_to_judge_beside() -> None:
    snapshot = replace(SNAPSHOT, pods=(pod("new"), pod("old", phase="Failed")))
    assert "no pod of another" in pace.begins(case(pace=(Step.FIRST,)), FACTS, snapshot)[1]


def test_an_evicted_first_pod_is_not_waited_for() -> None:
    mine = frozenset({"new"})
    pods = (pod("new"), pod("new", phase="Failed"))
    snapshot = replace(SNAPSHOT, pods=pods, pause=HELD)
    assert (snapshot.due(mine), snapshot.ready(mine)) == (1, 2)


# Held.


def test_first_pods_that_do_not_become_ready_are_told_at_the_deadline() -> None:
    """The platform's own clock is off meanwhile."""
    story = begun(deadline=60.0, bake=10.0)
    story.take(answered(OutcomeKind.PATCHED))
    story.judge(Verdict.WAIT, **AT_FIRST, pods_ready=False)
    story.judge(Verdict.WAIT, **AT_FIRST, pods_ready=False, after=56.0)
    assert story.state.phase is Phase.PROGRESSING
    story.judge(Verdict.WAIT, **AT_FIRST, pods_ready=False, after=5.0)
    assert (story.state.phase, story.state.hold) == (Phase.HELD, Hold.INCONCLUSIVE)
    assert "not all ready after 60 s" in story.state.text


def test_it_is_held_once_the_platform_shows_it_and_what_it_changed_is_in_the_record() -> None:
    story = begun()
    story.take(answered(OutcomeKind.PATCHED))
    assert story.state.pacing is Pacing.PAUSING
    story.judge(Verdict.WAIT, **AT_FIRST)
    assert (story.state.pacing, story.state.previous) == (Pacing.PAUSED, "as it was")
    assert story.notes == ["pause", "paused", "baking"]


def test_a_pause_for_the_candidate_before_starts_no_clock_of_this_one() -> None:
    story = begun()
    story.judge(Verdict.PASS, times=30, **{**AT_FIRST, "pause": replace(HELD, candidate="before")})
    assert (story.state.pacing, story.state.bake_began_at) == (Pacing.PAUSING, None)


def test_a_pause_that_is_not_possible_now_is_waited_for_while_judging_goes_on() -> None:
    story = begun()
    story.take(answered(OutcomeKind.UNAVAILABLE))
    story.judge(Verdict.WAIT, complete=False)
    assert story.state.pacing is Pacing.PAUSING
    story.judge(Verdict.PASS, times=30)
    assert story.phase is Phase.PROMOTED


def test_a_refused_pause_is_told_and_the_release_judged_unpaced() -> None:
    story = begun()
    story.take(answered(OutcomeKind.REFUSED))
    story.judge(Verdict.PASS, times=30)
    assert story.phase is Phase.PROMOTED
    assert story.told[0] == "informed NotPaced"


@pytest.mark.parametrize("pause", [None, replace(HELD, candidate="before")])
def test_leave_to_act_that_goes_before_the_pause_gives_it_up(pause: GuardPause | None) -> None:
    story = begun()
    story.judge(Verdict.WAIT, facts=OBSERVING, complete=False, pause=pause)
    assert story.state.pacing is (Pacing.RESUMING if pause else Pacing.UNPACED)


def test_a_pause_that_was_taken_and_never_shows_was_ended_by_somebody() -> None:
    story = begun()
    story.take(answered(OutcomeKind.PATCHED))
    story.judge(Verdict.WAIT, complete=False)
    assert story.state.pacing is Pacing.PAUSING
    story.judge(Verdict.WAIT, complete=False, after=pace.SEEN_WITHIN)
    assert story.state.pacing is Pacing.RELEASED


def test_what_a_pause_changed_is_known_from_its_answer_on() -> None:
    story = begun()
    story.take(PauseAnswered(Outcome(OutcomeKind.PATCHED, BEGAN, previous="as it was")))
    assert pace.intent(story.state, BEGAN).previous == "as it was"
    story.take(PauseAnswered(Outcome(OutcomeKind.ALREADY, BEGAN)))
    assert story.state.previous == "as it was"


def test_an_answer_that_comes_late_changes_nothing() -> None:
    story = held()
    state = story.state
    story.take(answered(OutcomeKind.REFUSED))
    story.take(ResumeAnswered(Outcome(OutcomeKind.PATCHED, BEGAN)))
    assert story.state == state


def test_a_fail_at_the_first_pods_undoes_with_what_the_pause_changed() -> None:
    story = held()
    story.judge(Verdict.FAIL, **AT_FIRST)
    assert story.phase is Phase.ROLLING_BACK
    assert story.acts[0].intent.previous == "as it was"
    assert not resumes(story)


def test_the_record_says_how_many_pods_there_were_also_where_not_all_were_ready_yet() -> None:
    story = held()
    story.judge(Verdict.FAIL, pods_ready=False, **{**AT_FIRST, "beside": (1, 3)})
    said = "held at its first pods: 1 ready beside 3 stable, 25% of the pods"
    assert any(isinstance(note, Note) and said in note.text for note in story.last)


# Going on.


def test_a_pass_after_the_bake_goes_on_and_judging_begins_anew_with_all_pods() -> None:
    story = held()
    story.judge(Verdict.PASS, times=9, **AT_FIRST)
    assert not resumes(story)
    story.judge(Verdict.PASS, **AT_FIRST)
    assert story.state.pacing is Pacing.RESUMING
    assert resumes(story)[0].intent.previous == "as it was"
    assert "1 ready beside 4 stable, 20% of the pods" in story.last[0].text  # type: ignore[union-attr]
    assert isinstance(story.last[1], Save)
    story.take(ResumeAnswered(Outcome(OutcomeKind.PATCHED, BEGAN)))
    assert (story.state.pacing, story.state.step) == (Pacing.RESUMED, 1)
    assert (story.phase, story.state.bake_began_at) == (Phase.PROGRESSING, None)
    # The platform still shows the pause for a moment: no clock starts by its first pods.
    story.judge(Verdict.PASS, **AT_FIRST)
    assert story.state.bake_began_at is None
    story.judge(Verdict.PASS, times=10)
    assert story.phase is Phase.BAKING
    story.judge(Verdict.PASS)
    assert story.phase is Phase.PROMOTED


def test_an_answer_that_was_lost_shows_in_what_the_platform_shows() -> None:
    story = held()
    story.judge(Verdict.PASS, times=11, **AT_FIRST)
    story.take(ResumeAnswered(Outcome(OutcomeKind.UNAVAILABLE, BEGAN)))
    assert story.state.pacing is Pacing.RESUMING
    story.judge(Verdict.PASS, pods_ready=False, complete=False)
    assert story.state.pacing is Pacing.RESUMED


def test_trouble_before_it_could_be_let_go_keeps_it_at_its_first_pods() -> None:
    story = held()
    story.judge(Verdict.PASS, times=11, **AT_FIRST)
    story.judge(Verdict.WAIT, hold=True, **AT_FIRST)
    assert (story.phase, story.state.pacing) == (Phase.HELD, Pacing.RESUMING)
    story.judge(Verdict.WAIT, hold=True, **AT_FIRST)
    assert story.state.pacing is Pacing.PAUSED


def test_what_a_person_paused_is_not_let_go_by_the_guard() -> None:
    story = held()
    story.judge(Verdict.PASS, times=30, facts=replace(FACTS, paused=True), **AT_FIRST)
    assert not resumes(story)


def test_a_guard_that_may_only_observe_by_now_holds_nothing_any_longer() -> None:
    story = held()
    story.judge(Verdict.WAIT, facts=OBSERVING, **AT_FIRST)
    assert story.state.pacing is Pacing.RESUMING
    assert len(resumes(story)) == 1


# A person.


@pytest.mark.parametrize("pause", [None, replace(HELD, in_force=False)], ids=["marks too", "field"])
def test_a_person_who_lets_it_go_is_never_worked_against(pause: GuardPause | None) -> None:
    story = held()
    story.judge(Verdict.WAIT, pause=pause, complete=False, pods_ready=False)
    assert story.state.pacing is Pacing.RELEASED
    assert story.told == ["informed LetGo"]
    story.judge(Verdict.PASS, times=30, pause=pause)
    assert story.state.pacing is Pacing.RELEASED
    assert story.phase is Phase.PROMOTED


@pytest.mark.parametrize(
    ("on", "told"),
    [
        (
            {"on_inconclusive": OnInconclusive.HOLD},
            ["opened Inconclusive", "informed LetGo", "resolved Resumed"],
        ),
    ],
)
def test_a_person_who_lets_go_what_was_held_by_its_deadline_ends_the_hold(
    on: dict[str, Any], told: list[str]
) -> None:
    story = held(**on)
    story.judge(Verdict.WAIT, times=61, **AT_FIRST)
    assert story.state.hold is Hold.INCONCLUSIVE
    story.judge(Verdict.WAIT, complete=False, pods_ready=False)
    assert (story.phase, story.told) == (Phase.PROGRESSING, told)


def test_a_person_who_lets_go_what_was_held_blind_is_told_when_it_can_be_measured() -> None:
    story = held()
    story.judge(Verdict.BLIND, times=25, **AT_FIRST)
    assert story.state.hold is Hold.BLIND
    assert "it stays at its first pods: 1 ready beside 4 stable" in story.notices[0].title
    story.judge(Verdict.WAIT, complete=False)
    assert story.told == ["opened Blind", "informed LetGo", "resolved SeeingAgain"]


# The deadline.


def test_too_little_at_the_steps_deadline_goes_on_where_the_policy_accepts_it() -> None:
    story = held()
    story.judge(Verdict.WAIT, times=61, **AT_FIRST)
    assert (story.state.pacing, story.phase) == (Pacing.RESUMING, Phase.BAKING)
    story.judge(Verdict.WAIT, times=200, **AT_FIRST)
    assert len(resumes(story)) == 1
    assert not story.state.ended


def test_blind_at_the_steps_deadline_goes_on_where_the_policy_says_notify() -> None:
    story = held(on_blind=OnBlind.NOTIFY)
    story.judge(Verdict.BLIND, times=61, **AT_FIRST)
    assert story.state.pacing is Pacing.RESUMING
    assert story.told == ["opened Blind"]


def test_an_answer_that_comes_late_is_the_guards_own_going_on_and_no_persons() -> None:
    story = held()
    story.judge(Verdict.PASS, times=11, **AT_FIRST)
    story.judge(Verdict.WAIT, hold=True, **AT_FIRST)
    story.judge(Verdict.WAIT, hold=True, **AT_FIRST)
    assert story.state.pacing is Pacing.PAUSED
    story.take(ResumeAnswered(Outcome(OutcomeKind.PATCHED, BEGAN)))
    story.judge(Verdict.WAIT, hold=True, pause=None, complete=False)
    assert story.state.pacing is Pacing.RESUMED


# Later steps.


SHARES = (Step.FIRST, Step(0.5), Step(0.75))


def gone_on(*, beside: tuple[int, int] = (1, 4), replicas: int = 4) -> Story:
    """A rollout of several steps that has just gone on from its first pods."""
    story = begun(pace=SHARES)
    story.take(PauseAnswered(Outcome(OutcomeKind.PATCHED, story.now)))
    at = {**AT_FIRST, "beside": beside, "replicas": replicas}
    story.judge(Verdict.PASS, times=12, **at)
    story.take(ResumeAnswered(Outcome(OutcomeKind.PATCHED, BEGAN)))
    return story


def seen(candidates: int, **more: Any) -> Snapshot:
    pods = tuple(pod("new" if n < candidates else "old") for n in range(5))
    return replace(SNAPSHOT, pods=pods, pause=None, **more)


def anew(story: Story) -> GuardPause:
    return replace(HELD, since=story.now)


def test_after_a_step_it_goes_on_until_it_has_the_pods_of_the_next_one() -> None:
    story = gone_on()
    assert (story.state.pacing, story.state.step) == (Pacing.ADVANCING, 1)
    assert [pace.reached(story.state, seen(count)) for count in (1, 2, 3)] == [False, True, True]
    story.take(PauseAnswered(Outcome(OutcomeKind.PATCHED, story.now)))
    assert story.state.pacing is Pacing.PAUSING
    half = {"pause": anew(story), "complete": False, "beside": (2, 3)}
    story.judge(Verdict.PASS, **half)
    assert story.state.pacing is Pacing.PAUSED
    assert "held at 50% of its pods" in story.last[0].text  # type: ignore[union-attr]
    story.judge(Verdict.PASS, times=10, **half)
    assert "2 ready beside 3 stable, 40% of the pods" in story.last[0].text  # type: ignore[union-attr]
    story.take(ResumeAnswered(Outcome(OutcomeKind.PATCHED, BEGAN)))
    assert (story.state.pacing, story.state.step) == (Pacing.ADVANCING, 2)


def test_nothing_is_held_again_that_is_undone_or_has_no_pods() -> None:
    story = gone_on()
    assert not pace.reached(story.state, seen(3, replicas=0))
    story.judge(Verdict.FAIL, pause=None, complete=False)
    assert (story.phase, story.state.pacing) == (Phase.ROLLING_BACK, Pacing.ADVANCING)
    assert not pace.reached(story.state, seen(3))


def test_after_the_last_step_it_goes_on_to_all() -> None:
    story = gone_on(beside=(2, 3))  # It has the pods of the second step already.
    assert (story.state.pacing, story.state.step) == (Pacing.ADVANCING, 2)
    story.take(PauseAnswered(Outcome(OutcomeKind.PATCHED, story.now)))
    story.judge(Verdict.PASS, times=12, pause=anew(story), complete=False, beside=(3, 2))
    story.take(ResumeAnswered(Outcome(OutcomeKind.PATCHED, BEGAN)))
    assert (story.state.pacing, story.state.held_at) == (Pacing.RESUMED, None)
    assert not pace.reached(story.state, seen(4))
    story.judge(Verdict.PASS, times=12)
    assert story.phase is Phase.PROMOTED


def test_a_later_pause_is_marked_as_no_earlier_than_the_end_of_the_one_before() -> None:
    """By a guard whose clock is behind that of the guard before it."""
    story = gone_on()
    assert story.state.resumed_at is not None
    assert pace.intent(story.state, BEGAN).after == story.state.resumed_at
    story.take(PauseAnswered(Outcome(OutcomeKind.PATCHED, BEGAN)))
    marked = replace(HELD, since=story.state.resumed_at)
    story.judge(Verdict.PASS, pause=marked, complete=False)
    assert story.state.pacing is Pacing.PAUSED


@pytest.mark.parametrize("facts", [OBSERVING, replace(FACTS, paused=True)])
def test_who_counts_on_a_later_step_is_told_that_it_is_not_held_there(facts: Facts) -> None:
    story = gone_on()
    story.judge(Verdict.WAIT, facts=facts, pause=None, complete=False)
    assert story.state.pacing is Pacing.UNPACED
    assert story.told == ["informed NotPaced"]


def test_a_rollout_that_is_over_before_its_later_step_is_no_news() -> None:
    story = gone_on()
    story.judge(Verdict.WAIT, pause=None, complete=True)
    assert (story.state.pacing, story.told) == (Pacing.UNPACED, [])


def test_the_pause_that_was_just_ended_is_not_taken_for_the_next_one() -> None:
    story = gone_on()
    story.judge(Verdict.PASS, times=30, **AT_FIRST)  # What the platform shows is late.
    assert (story.state.pacing, story.state.bake_began_at) == (Pacing.ADVANCING, None)
    story.take(PauseAnswered(Outcome(OutcomeKind.PATCHED, story.now)))
    story.judge(Verdict.PASS, **AT_FIRST)
    assert story.state.pacing is Pacing.PAUSING
    story.judge(Verdict.PASS, pause=None, complete=False)
    assert story.state.pacing is Pacing.PAUSING
    story.judge(Verdict.PASS, pause=anew(story), complete=False)
    assert story.state.pacing is Pacing.PAUSED


def test_a_pause_whose_answer_was_lost_is_taken_up() -> None:
    story = gone_on()
    story.judge(Verdict.WAIT, pause=anew(story), complete=False, beside=(2, 3))
    assert story.state.pacing is Pacing.PAUSED


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        ({"facts": OBSERVING, "complete": False}, "may not act"),
        ({"facts": replace(FACTS, paused=True), "complete": False}, "may not act"),
        ({"complete": True}, "nothing is left"),
    ],
)
def test_where_it_cannot_be_held_again_the_record_says_so(seen: dict[str, Any], why: str) -> None:
    story = gone_on()
    story.judge(Verdict.WAIT, **seen)
    assert story.state.pacing is Pacing.UNPACED
    assert story.last[0].text.startswith("not held again: ")  # type: ignore[union-attr]
    assert why in story.last[0].text  # type: ignore[union-attr]


def test_what_a_person_let_go_is_held_at_no_further_step() -> None:
    story = gone_on()
    story.take(PauseAnswered(Outcome(OutcomeKind.PATCHED, story.now)))
    story.judge(Verdict.WAIT, pause=anew(story), complete=False)
    story.judge(Verdict.WAIT, pause=None, complete=False)
    assert story.state.pacing is Pacing.RELEASED
    assert "let go on from 50% of its pods" in story.notices[-1].title


def test_a_refused_pause_of_a_later_step_lets_it_go_on_and_tells() -> None:
    story = gone_on()
    story.take(answered(OutcomeKind.REFUSED))
    assert story.state.pacing is Pacing.UNPACED
    assert "cannot be held at 50% of its pods" in story.notices[-1].title


# Any order of events.

PAUSES = st.sampled_from(
    [
        None,
        HELD,
        replace(HELD, since=BEGAN + 300.0),
        replace(HELD, in_force=False),
        replace(HELD, candidate="x"),
    ]
)
SEEN = st.builds(
    judged,
    st.sampled_from(list(Verdict)),
    pause=PAUSES,
    hold=st.booleans(),
    pods_ready=st.booleans(),
    facts=st.sampled_from([FACTS, OBSERVING, replace(FACTS, paused=True)]),
    complete=st.just(False),  # noqa: FBT003 - a value, not a flag
)
OUTCOMES = st.builds(Outcome, st.sampled_from(list(OutcomeKind)), st.just(BEGAN))
ANSWERS = st.one_of(st.builds(PauseAnswered, OUTCOMES), st.builds(ResumeAnswered, OUTCOMES))
STEPS = st.lists(st.tuples(st.one_of(SEEN, SEEN, ANSWERS), st.sampled_from([1.0, 15.0, 90.0])))


@given(STEPS, st.sampled_from([1, 2, 3]))
def test_it_never_ends_while_held_and_never_pauses_again(steps: list[Any], number: int) -> None:
    story = begun(pace=SHARES[:number])
    let_go = False
    for event, after in steps:
        story.take(event, after)
        if let_go:
            assert story.state.pacing is Pacing.RELEASED
        let_go = story.state.pacing is Pacing.RELEASED
        if story.state.pacing in pace.AT_A_STEP:
            assert not story.state.ended


@pytest.mark.parametrize(
    ("replicas", "surge", "down", "narrow", "expected"),
    [
        (1, 1, 0, True, (1, 1, 1)),
        (4, 1, 0, True, (1, 1, 4)),
        (4, 1, 1, True, (1, 2, 4)),
        (4, 1, 1, False, (2, 2, 3)),
        (10, 3, 2, True, (3, 5, 10)),
        (20, 5, 5, True, (5, 10, 20)),
        (4, 0, 1, True, (1, 1, 3)),
        (4, 4, 0, True, (4, 4, 4)),
    ],
)
def test_how_many_pods_come_first(
    replicas: int, surge: int, down: int, *, narrow: bool, expected: tuple[int, int, int]
) -> None:
    snapshot = replace(SNAPSHOT, replicas=replicas, max_surge=surge, max_unavailable=down)
    assert pace.first_pods(snapshot, narrow=narrow) == expected


def test_at_the_first_pods_a_whole_service_does_not_decide_what_the_deadline_means() -> None:
    finding = Finding("edge", "error_ratio", Verdict.WAIT, Reason.OTHER_PODS, "judged later")
    story = held(on_inconclusive=OnInconclusive.ROLLBACK)
    story.judge(Verdict.WAIT, times=70, findings=(finding,), **AT_FIRST)
    assert story.state.phase is Phase.ROLLING_BACK
