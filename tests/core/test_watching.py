"""A promoted release is still looked after: what comes late is told, and undone where asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from guard.core.actions import KnownGood, Outcome, OutcomeKind
from guard.core.findings import Finding, Reason, Verdict
from guard.core.notices import Notice, Severity, Stage
from guard.core.policy import ErrorRatio, Objective, OnFail, OnLateFail, Ratio, Selector
from guard.core.states import (
    Acted,
    Deleted,
    Event,
    Facts,
    Judged,
    Phase,
    Settling,
    State,
    Superseded,
    Trust,
    TurnedOff,
)
from guard.core.workloads import Mode
from tests.core.conftest import BAD, BEGAN, FACTS, GOOD, Story, case, judged

TOTAL = Selector("http_requests_total", (), "http_requests_total")
OBJECTIVE = Objective("availability", 0.99, 30 * 86_400.0, Ratio(TOTAL, TOTAL))
ERRORS = ErrorRatio("availability", OBJECTIVE)
ITSELF = KnownGood(BAD, BEGAN + 30.0, "good enough")
PROMOTED = replace(FACTS, known_good=ITSELF)
ROLLBACK = {"on_late_fail": OnLateFail.ROLLBACK}


def watched(**policy: Any) -> Story:
    """A rollout that was promoted a minute ago."""
    given = {"watch": 1800.0, "checks": (ERRORS,), **policy}
    story = Story(State(case=case(**given), phase=Phase.PROGRESSING, since=BEGAN))
    story.judge(Verdict.PASS, times=12)
    assert story.phase is Phase.WATCHING
    story.judge(Verdict.PASS, after=60.0, facts=PROMOTED)
    return story


def failing(facts: Facts = PROMOTED, **numbers: float) -> Judged:
    recent = {"recent_bad": 5.0, "recent_total": 100.0, **numbers}
    kind = ("availability", "error_ratio", Verdict.FAIL, Reason.OVER_BOUND)
    finding = Finding(*kind, text="", numbers=recent, counted=True)
    return judged(Verdict.FAIL, "9 of 90 requests failed", findings=(finding,), facts=facts)


def told(story: Story, reason: str) -> list[Notice]:
    return [notice for notice in story.notices if notice.reason == reason]


def test_a_promoted_release_is_trusted_and_told_at_once_and_then_watched() -> None:
    story = Story(State(case=case(watch=1800.0), phase=Phase.PROGRESSING, since=BEGAN))
    story.judge(Verdict.PASS, times=12)
    assert story.phase is Phase.WATCHING
    assert sum(isinstance(command, Trust) for command in story.commands) == 1
    (notice,) = told(story, "Promoted")
    assert notice.title.endswith("promoted, watched for 30 min more")
    assert "promoted" in story.notes


def test_without_a_watch_a_promotion_is_the_end() -> None:
    story = Story(State(case=case(), phase=Phase.PROGRESSING, since=BEGAN))
    story.judge(Verdict.PASS, times=12)
    assert story.phase is Phase.PROMOTED


def test_after_its_time_the_watch_ends_as_promoted() -> None:
    story = watched()
    story.judge(Verdict.WAIT, times=115, after=15.0, facts=PROMOTED)
    assert story.phase is Phase.WATCHING
    story.judge(Verdict.WAIT, after=15.0, facts=PROMOTED)
    assert story.phase is Phase.PROMOTED
    assert story.state.text == "watched for 30 min after its promotion: nothing that stands"
    (notice,) = told(story, "Watched")
    assert (notice.stage, notice.severity) == (Stage.INFORMED, Severity.INFO)
    assert len(told(story, "Promoted")) == 1


def test_a_watch_that_is_blind_at_its_end_says_so() -> None:
    story = watched(watch=90.0)
    story.judge(Verdict.BLIND, after=40.0, facts=PROMOTED)
    assert story.phase is Phase.PROMOTED
    assert story.state.text.endswith("and cannot be measured at its end")


def test_what_fails_late_is_told_once_with_its_age_and_its_burn_rate() -> None:
    story = watched()
    story.take(failing(), 1140.0)
    story.take(failing(), 5.0)
    assert story.phase is Phase.WATCHING
    (notice,) = told(story, "LateFail")
    assert notice.title == (
        "auth-service: release new (auth:2) FAILS, promoted 20 min ago, and is serving: "
        "nothing was changed"
    )
    assert notice.severity is Severity.CRITICAL
    assert notice.body == (
        "9 of 90 requests failed; of the newest 100 requests 5% were bad, which burns the error "
        "budget of 99% 5 times as fast as it lasts: the whole of 30 d in 6 d. Nothing was changed "
        "(on_late_fail: notify)"
    )
    assert not story.acts


@pytest.mark.parametrize(
    "event",
    [
        failing(recent_bad=0.0),
        failing(recent_total=0.0),
        judged(Verdict.FAIL, "a crash loop", facts=PROMOTED),
        replace(failing(), judgement=replace(failing().judgement, findings=())),
    ],
    ids=["nothing bad of late", "no request of late", "a rule", "no finding"],
)
def test_without_requests_there_is_no_burn_rate(event: Judged) -> None:
    story = watched()
    story.take(event)
    assert "burns" not in told(story, "LateFail")[0].body


def test_a_check_that_the_policy_does_not_name_has_no_burn_rate() -> None:
    story = watched(checks=())
    story.take(failing())
    assert "burns" not in told(story, "LateFail")[0].body


def test_trouble_that_passes_is_resolved_and_can_be_told_again() -> None:
    story = watched()
    story.take(failing())
    story.judge(Verdict.WAIT, facts=PROMOTED)
    assert not told(story, "LateFailOver")
    story.judge(Verdict.PASS, times=2, facts=PROMOTED)
    (over,) = told(story, "LateFailOver")
    assert (over.stage, over.key) == (Stage.RESOLVED, told(story, "LateFail")[0].key)
    story.take(failing())
    assert len(told(story, "LateFail")) == 2


def test_the_watch_goes_on_while_trouble_stands() -> None:
    story = watched()
    story.take(failing())
    story.judge(Verdict.WAIT, after=7200.0, facts=PROMOTED)
    assert story.phase is Phase.WATCHING
    story.judge(Verdict.PASS, times=2, facts=PROMOTED)
    assert story.phase is Phase.PROMOTED


@pytest.mark.parametrize("on_fail", list(OnFail))
def test_where_the_policy_asks_it_is_rolled_back_to_what_was_known_good_before(
    on_fail: OnFail,
) -> None:
    story = watched(on_fail=on_fail, **ROLLBACK)
    story.take(failing())
    assert story.phase is Phase.ROLLING_BACK
    (act,) = story.acts
    assert act.intent.known_good == GOOD
    assert act.intent.candidate == BAD
    assert not told(story, "LateFail")
    story.take(Acted(Outcome(OutcomeKind.PATCHED, story.now)))
    story.take(Settling(complete=True, text="4 of 4"))
    assert story.phase is Phase.ROLLED_BACK


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (replace(PROMOTED, mode=Mode.OBSERVE), "it would have rolled back to old"),
        (replace(PROMOTED, paused=True), "A person paused this workload"),
        (replace(PROMOTED, circuit_open=True), "The circuit breaker is open"),
        (replace(PROMOTED, migration="migrate"), "This release runs a migration"),
    ],
)
def test_what_stands_in_the_way_of_a_late_rollback_is_told(facts: Facts, words: str) -> None:
    story = watched(**ROLLBACK)
    story.take(failing(facts))
    assert story.phase is Phase.WATCHING
    assert words in told(story, "LateFail")[0].body
    assert not story.acts


def test_with_nothing_known_good_before_it_a_late_fail_is_told() -> None:
    story = watched(**ROLLBACK)
    story.state = replace(story.state, case=replace(story.state.case, stable=None))
    story.take(failing())
    assert "No revision is known good" in told(story, "LateFail")[0].body


def test_a_rollback_whose_obstacle_goes_resolves_what_was_told() -> None:
    story = watched(**ROLLBACK)
    story.take(failing(replace(PROMOTED, mode=Mode.OBSERVE)))
    story.take(failing())
    assert story.phase is Phase.ROLLING_BACK
    assert len(told(story, "LateFailOver")) == 1


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Superseded("a newer release, x, took its place"), "a newer release, x, took its place"),
        (Deleted(), "the workload was deleted"),
        (TurnedOff(), "a person turned the guard off for this workload"),
    ],
)
def test_what_ends_the_watch_from_outside_leaves_the_release_promoted(
    event: Event, words: str
) -> None:
    story = watched()
    story.take(failing())
    story.take(event)
    assert story.phase is Phase.PROMOTED
    assert story.state.text == f"its watch ended: {words}"
    assert len(told(story, "LateFailOver")) == 1
