"""The words: the full text of every notice, so that a change of words is seen as one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guard.core import stories
from guard.core.actions import Intent
from guard.core.notices import Notice, Severity, Stage
from guard.core.states import Hold, Phase, State
from tests.core.conftest import BAD, BEGAN, GOOD, case

NOW = BEGAN + 60.0
CASE = case()
INTENT = Intent("i", CASE.workload, "u", BAD, GOOD, NOW, "cause")
STATE = State(
    CASE, Phase.BAKING, BEGAN, text="12 of 40 requests failed", intent=INTENT, beside=(2, 2)
)
KEY = "kubernetes/shop/auth@new#2"


def words(notice: Notice) -> tuple[str, str, str, str]:
    return (
        f"{notice.key.removeprefix(KEY)} {notice.stage} {notice.severity}".strip(),
        notice.reason,
        notice.title,
        notice.body,
    )


def test_a_rollout_began() -> None:
    assert words(stories.began(STATE, NOW)) == (
        "informed info",
        "RolloutBegan",
        "auth-service: release new (auth:2) began, being judged",
        "known good: old, was promoted",
    )
    alone = replace(STATE, case=replace(CASE, stable=None, candidate=replace(BAD, images=())))
    assert words(stories.began(alone, NOW))[2:] == (
        "auth-service: release new began, being judged",
        "nothing known good",
    )


def test_a_rollback_begins() -> None:
    assert words(stories.rolling_back(STATE, NOW)) == (
        "opened warning",
        "RollingBack",
        "auth-service: release new (auth:2) failed, rolling back to old",
        "12 of 40 requests failed",
    )


def test_a_failure_under_notify() -> None:
    assert words(stories.failed_only_told(STATE, NOW)) == (
        "informed critical",
        "Failed",
        (
            "auth-service: release new (auth:2) failed and is serving (on_fail: notify, nothing "
            "was changed)"
        ),
        "12 of 40 requests failed",
    )


@pytest.mark.parametrize(
    ("hold", "expected"),
    [
        (
            Hold.SHARED,
            (
                "/held opened warning",
                "SharedTrouble",
                "has trouble that is not clearly its own: held, nothing was changed",
            ),
        ),
        (
            Hold.BLIND,
            ("/blind opened warning", "Blind", "cannot be measured: held, nothing was changed"),
        ),
        (
            Hold.INCONCLUSIVE,
            (
                "/held opened warning",
                "Inconclusive",
                "too little evidence at the deadline: held, nothing was changed",
            ),
        ),
        (
            Hold.OBSERVE,
            (
                "/held opened critical",
                "WouldRollBack",
                "FAILED AND IS SERVING: held, nothing was changed",
            ),
        ),
        (
            Hold.CIRCUIT_BREAKER,
            ("/held opened critical", "Held", "FAILED AND IS SERVING: held, nothing was changed"),
        ),
    ],
)
def test_a_hold_says_what_it_is_and_that_nothing_was_changed(
    hold: Hold, expected: tuple[str, str, str]
) -> None:
    kind, reason, title = expected
    told = words(stories.held(replace(STATE, phase=Phase.HELD, hold=hold), NOW))
    assert told == (
        kind,
        reason,
        f"auth-service: release new (auth:2) {title}",
        "12 of 40 requests failed",
    )


@pytest.mark.parametrize("hold", [Hold.POLICY, Hold.CIRCUIT_BREAKER])
def test_of_a_failed_release_without_a_ready_pod_nobody_is_told_that_it_serves(hold: Hold) -> None:
    state = replace(STATE, phase=Phase.HELD, hold=hold, beside=(0, 2))
    said = "failed, none of its pods is ready"
    assert f"{said}: held, nothing was changed" in stories.held(state, NOW).title
    assert f"{said} (on_fail: notify" in stories.failed_only_told(state, NOW).title


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (Phase.SUPERSEDED, "another template took its place"),
        (Phase.LEFT, "it is not the guard's to judge any longer"),
    ],
)
def test_a_hold_that_ends_with_the_judging_says_how(end: Phase, why: str) -> None:
    was = replace(STATE, phase=Phase.HELD, hold=Hold.POLICY)
    told = stories.ended(was, replace(STATE, phase=end), NOW, "")[1]
    assert (told.key, told.stage) == (stories.held(was, NOW).key, Stage.RESOLVED)
    assert told.title.endswith(f"is no longer held: {why}")


def test_a_hold_that_is_told_again_is_an_update_of_the_same_story() -> None:
    state = replace(STATE, phase=Phase.HELD, hold=Hold.SHARED)
    first, again = stories.held(state, NOW), stories.held(state, NOW, again=True)
    assert (first.key, first.stage) == (again.key, Stage.OPENED)
    assert again.stage is Stage.UPDATED


def test_a_hold_ends_by_evidence() -> None:
    assert words(stories.resumed(replace(STATE, hold=Hold.SHARED), NOW)) == (
        "/held resolved info",
        "Resumed",
        "auth-service: release new (auth:2) is no longer held, judging goes on",
        "12 of 40 requests failed",
    )


def test_blindness_says_since_when_and_its_end() -> None:
    blind = replace(STATE, blind_since=NOW - 120.0, text="no answer")
    assert words(stories.blind(blind, NOW)) == (
        "/blind opened warning",
        "Blind",
        "auth-service: release new (auth:2) cannot be measured for 120 s; nothing was changed",
        "no answer",
    )
    assert "for 0 s" in stories.blind(STATE, NOW).title
    assert words(stories.seeing(blind, NOW))[:3] == (
        "/blind resolved info",
        "SeeingAgain",
        "auth-service: release new (auth:2) can be measured again",
    )


@pytest.mark.parametrize(
    ("phase", "before", "kind", "title"),
    [
        (Phase.PROMOTED, Phase.BAKING, "informed info", "promoted"),
        (
            Phase.UNPROVEN,
            Phase.BAKING,
            "informed info",
            "ends unproven: nothing bad seen, too little seen to vouch for it",
        ),
        (
            Phase.ROLLED_BACK,
            Phase.ROLLING_BACK,
            "resolved info",
            "was rolled back to old; it is over: 4 of 4 pods ready",
        ),
        (Phase.SUPERSEDED, Phase.BAKING, "informed info", "superseded"),
        (Phase.LEFT, Phase.BAKING, "informed info", "is no longer the guard's to judge"),
        (
            Phase.ROLLBACK_FAILED,
            Phase.ROLLING_BACK,
            "/rollback-failed opened critical",
            "FAILED AND ITS ROLLBACK FAILED: it may still be serving",
        ),
    ],
)
def test_every_end_has_its_last_word(phase: Phase, before: Phase, kind: str, title: str) -> None:
    was = replace(STATE, phase=before)
    last = stories.ended(was, replace(STATE, phase=phase), NOW, "4 of 4 pods ready")[0]
    assert words(last)[0] == kind
    assert last.title == f"auth-service: release new (auth:2) {title}"


def test_a_failed_rollback_pages_anew_and_closes_the_story_it_takes_over() -> None:
    was = replace(STATE, phase=Phase.ROLLING_BACK)
    failed, closed = stories.ended(was, replace(STATE, phase=Phase.ROLLBACK_FAILED), NOW, "")
    assert failed.severity is Severity.CRITICAL
    assert (closed.key, closed.stage) == (KEY, Stage.RESOLVED)
    assert closed.title == ("auth-service: rolling back release new (auth:2) is over: it failed")


def test_an_end_resolves_every_story_that_was_open() -> None:
    held = replace(STATE, phase=Phase.HELD, hold=Hold.SHARED, blind_told=True)
    told = stories.ended(held, replace(STATE, phase=Phase.SUPERSEDED), NOW, "")
    assert [notice.reason for notice in told] == ["Superseded", "HoldOver", "SeeingAgain"]
    blind = replace(held, hold=Hold.BLIND)
    told = stories.ended(blind, replace(STATE, phase=Phase.SUPERSEDED), NOW, "")
    assert [notice.reason for notice in told] == ["Superseded", "SeeingAgain"]


def test_a_change_cause_is_one_short_line() -> None:
    assert stories.cause(CASE, GOOD) == "guard rolled new back to old"
    long = replace(CASE, candidate=replace(BAD, hash="x" * 500))
    assert len(stories.cause(long, GOOD)) == stories.CAUSE_AT_MOST


def test_without_an_intent_the_target_is_not_invented() -> None:
    state = replace(STATE, intent=None)
    assert stories.rolling_back(state, NOW).title.endswith("rolling back to ?")
    was = replace(state, phase=Phase.ROLLING_BACK)
    last = stories.ended(was, replace(state, phase=Phase.ROLLED_BACK), NOW, "x")[0]
    assert "rolled back to ?" in last.title
