"""The laws that `lifecycle.step` carries, over any sequence of events (architecture.md, Laws)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from guard.core import lifecycle
from guard.core.actions import KnownGood, Outcome, OutcomeKind
from guard.core.findings import Verdict
from guard.core.notices import Stage
from guard.core.obstacles import obstacle
from guard.core.policy import OnBlind, OnFail, OnInconclusive, OnLateFail, OnShared
from guard.core.states import (
    Act,
    Acted,
    Deleted,
    Event,
    Facts,
    Phase,
    Save,
    Settling,
    State,
    Superseded,
    Tell,
    Trust,
    TurnedOff,
)
from guard.core.workloads import Mode
from tests.core.conftest import BAD, BEGAN, GOOD, Story, case, judged

BOOLS = st.booleans()
ASSUMED = replace(GOOD, assumed=True)
SAME = KnownGood(replace(BAD, hash="elsewhere"), 0.0, "the same template, restarted")

FACTS = st.builds(
    Facts,
    mode=st.sampled_from(list(Mode)),
    known_good=st.sampled_from([None, GOOD, ASSUMED, SAME]),
    rolled_back=st.sampled_from([frozenset(), frozenset({BAD.content})]),
    circuit_open=BOOLS,
    paused=BOOLS,
    may_patch=BOOLS,
    migration=st.sampled_from([None, "migrate"]),
)
JUDGED = st.builds(
    judged,
    st.sampled_from(list(Verdict)),
    facts=FACTS,
    hold=BOOLS,
    pods_ready=BOOLS,
    complete=BOOLS,
    replicas=st.sampled_from([0, 4, 4, 4]),
)
MEASURED = st.builds(judged, st.sampled_from([Verdict.PASS, Verdict.WAIT, Verdict.FAIL]))
ABSENT = st.builds(judged, st.just(Verdict.BLIND), hold=BOOLS, pods_ready=BOOLS, facts=FACTS)
ACTED = st.builds(
    Acted,
    st.builds(Outcome, st.sampled_from(list(OutcomeKind)), st.just(BEGAN), by_guard=BOOLS),
)
SETTLING = st.builds(Settling, BOOLS, st.just("3 of 4"), st.sampled_from([None, True, False]))
OUTSIDE = st.sampled_from([Superseded("newer"), Deleted(), TurnedOff()])
FAILED = st.just(judged(Verdict.FAIL))
EVENTS = st.one_of(JUDGED, JUDGED, MEASURED, ABSENT, ACTED, SETTLING)
SOMETIMES = st.one_of(EVENTS, EVENTS, EVENTS, FAILED, OUTSIDE)
AFTER = st.sampled_from([0.5, 5.0, 15.0, 90.0, 600.0])
PREFIXES: list[list[tuple[Event, float]]] = [
    [],
    [(judged(Verdict.WAIT, hold=True), 1.0)],
    [(judged(Verdict.FAIL), 1.0)],
    [(judged(Verdict.WAIT, hold=True), 1.0), (judged(Verdict.FAIL), 1.0)],
    [(judged(Verdict.BLIND), 1.0), (judged(Verdict.BLIND), 30.0)],
    [(judged(Verdict.PASS), 1.0), (judged(Verdict.PASS), 15.0)],
    [(judged(Verdict.PASS), 1.0), (judged(Verdict.PASS), 15.0), (judged(Verdict.FAIL), 1.0)],
    [
        (judged(Verdict.FAIL), 1.0),
        (Acted(Outcome(OutcomeKind.PATCHED, BEGAN)), 1.0),
    ],
]
"""Beginnings that chance alone would seldom find."""
PROMOTED = {Phase.WATCHING, Phase.PROMOTED}
STEPS = st.builds(
    lambda first, then: [*first, *then],
    st.sampled_from(PREFIXES),
    st.lists(st.tuples(SOMETIMES, AFTER), max_size=20),
)
POLICIES = st.fixed_dictionaries(
    {
        "on_fail": st.sampled_from(list(OnFail)),
        "on_blind": st.sampled_from(list(OnBlind)),
        "on_inconclusive": st.sampled_from(list(OnInconclusive)),
        "on_shared": st.sampled_from(list(OnShared)),
        "bake": st.sampled_from([0.0, 10.0]),
        "watch": st.sampled_from([0.0, 30.0, 1800.0]),
        "on_late_fail": st.sampled_from(list(OnLateFail)),
        "on_fail_stated": BOOLS,
    }
)


def told(policy: dict[str, Any], steps: list[tuple[Event, float]]) -> Story:
    story = Story(State(case=case(**policy), phase=Phase.PROGRESSING, since=BEGAN))
    for event, after in steps:
        story.take(event, after)
    return story


@given(POLICIES, st.lists(st.tuples(ABSENT, st.sampled_from([0.5, 15.0, 900.0])), max_size=30))
def test_law_1_blindness_alone_never_rolls_back_and_never_promotes(
    policy: dict[str, Any], steps: list[tuple[Event, float]]
) -> None:
    story = told(policy, steps)
    assert not story.acts
    assert story.phase not in (Phase.WATCHING, Phase.PROMOTED)


@given(POLICIES, STEPS)
def test_law_2_a_promotion_comes_from_a_pass_after_the_bake_alone(
    policy: dict[str, Any], steps: list[tuple[Event, float]]
) -> None:
    story = Story(State(case=case(**policy), phase=Phase.PROGRESSING, since=BEGAN))
    for event, after in steps:
        before = story.phase
        story.take(event, after)
        promoted = {before, story.phase} & PROMOTED == {story.phase} and before is not story.phase
        if promoted:
            assert story.state.verdict is Verdict.PASS
            assert story.state.elapsed >= policy["bake"]
        assert promoted == any(isinstance(command, Trust) for command in story.last)


@given(POLICIES, STEPS)
def test_a_watched_release_ends_promoted_or_rolled_back(
    policy: dict[str, Any], steps: list[tuple[Event, float]]
) -> None:
    story = Story(State(case=case(**policy), phase=Phase.PROGRESSING, since=BEGAN))
    watched = False
    for event, after in steps:
        watched = watched or story.phase is Phase.WATCHING
        story.take(event, after)
        if watched and not story.acts:
            assert story.phase in PROMOTED
    if watched:
        assert sum(isinstance(command, Trust) for command in story.commands) == 1


@given(POLICIES, STEPS)
def test_law_5_and_7_at_most_one_rollback_to_a_known_good_revision_with_nothing_in_its_way(
    policy: dict[str, Any], steps: list[tuple[Event, float]]
) -> None:
    story = Story(State(case=case(**policy), phase=Phase.PROGRESSING, since=BEGAN))
    for event, after in steps:
        before = story.state
        story.take(event, after)
        for act in (command for command in story.last if isinstance(command, Act)):
            assert act.intent.known_good == GOOD
            if before.phase is Phase.WATCHING:
                assert policy["on_late_fail"] is OnLateFail.ROLLBACK
                assert event.facts.mode is Mode.ACT  # type: ignore[union-attr]
            else:
                assert obstacle(before, event.facts) is None  # type: ignore[union-attr]
                assert policy["on_fail"] is OnFail.ROLLBACK
    assert len(story.acts) <= 1


@given(POLICIES, STEPS)
def test_law_6_the_intent_is_saved_in_the_same_step_before_the_act(
    policy: dict[str, Any], steps: list[tuple[Event, float]]
) -> None:
    story = Story(State(case=case(**policy), phase=Phase.PROGRESSING, since=BEGAN))
    for event, after in steps:
        story.take(event, after)
        kinds = [type(command) for command in story.last]
        if Act in kinds:
            assert Save in kinds[: kinds.index(Act)]
            assert story.state.intent is not None
            assert story.state.phase is Phase.ROLLING_BACK


@given(POLICIES, STEPS)
def test_every_change_of_phase_is_saved(
    policy: dict[str, Any], steps: list[tuple[Event, float]]
) -> None:
    story = Story(State(case=case(**policy), phase=Phase.PROGRESSING, since=BEGAN))
    for event, after in steps:
        before = story.phase
        story.take(event, after)
        if story.phase is not before:
            assert any(isinstance(command, Save) for command in story.last)


@given(POLICIES, STEPS)
def test_law_9_what_was_opened_is_resolved_when_the_rollout_ends(
    policy: dict[str, Any], steps: list[tuple[Event, float]]
) -> None:
    story = told(policy, [*steps, (Deleted(), 1.0)])
    assert story.state.ended
    opened: set[str] = set()
    for notice in (command.notice for command in story.commands if isinstance(command, Tell)):
        if notice.stage is Stage.OPENED:
            opened.add(notice.key)
        elif notice.stage is Stage.RESOLVED:
            assert notice.key in opened, "what was never opened cannot be resolved"
            opened.remove(notice.key)
    # A failed rollback stands until a person has seen to it.
    assert all(key.endswith("/rollback-failed") for key in opened)


@given(STEPS)
def test_a_step_is_a_function_the_same_in_gives_the_same_out(
    steps: list[tuple[Event, float]],
) -> None:
    first, second = told({}, steps), told({}, steps)
    assert (first.state, first.commands) == (second.state, second.commands)


@given(STEPS, EVENTS)
def test_an_ended_rollout_knows_no_event(steps: list[tuple[Event, float]], event: Event) -> None:
    ended = told({}, [*steps, (Deleted(), 1.0)]).state
    assert lifecycle.step(ended, event, BEGAN + 1e6) == (ended, ())
