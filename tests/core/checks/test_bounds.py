"""Bounds by history: a service over its own bound is judged against what it does itself."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from guard.core.checks import bounds, counted
from guard.core.checks.bounds import news
from guard.core.evidence import weighing
from guard.core.evidence.history import Normal
from guard.core.findings import Verdict
from guard.core.policy import WorseThanStable
from guard.core.ticks import Frame, Youth
from tests.core.checks.conftest import BEGAN, OBJECTIVE, Rollout

if TYPE_CHECKING:
    from tests.core.checks.conftest import Begin

OVER = Normal(at=BEGAN, bad=3100, total=206_000, over=0.0155, allowance=1)
POD = Normal(at=BEGAN, bad=20, total=206_000, pod_over=0.041)
CALM = Normal(at=BEGAN, bad=20, total=206_000, allowance=4, dispersion=2.7, dispersion_upper=2.9)


def test_a_service_over_its_bound_moves_both_bounds(begin: Begin) -> None:
    bound = begin(normal={"errors": OVER}).state.bound
    assert (bound.p0, bound.good, bound.p1) == (0.0155, 0.0155, 0.031)
    assert (bound.k, bound.assumed) == (1, False)


def test_one_pod_over_the_bound_moves_test_a_alone(begin: Begin) -> None:
    bound = begin(normal={"errors": POD}).state.bound
    assert (bound.p0, bound.good, bound.p1) == (0.041, 0.01, 0.02)
    assert (bound.k, bound.assumed) == (2, True)


def test_a_service_within_its_bound_moves_nothing_but_k(begin: Begin) -> None:
    bound = begin(normal={"errors": CALM}).state.bound
    assert (bound.p0, bound.good, bound.p1, bound.k, bound.assumed) == (0.01, 0.01, 0.02, 4, False)


def test_the_allowance_that_a_policy_states_wins(begin: Begin) -> None:
    bound = begin({"allowance": 3}, normal={"errors": CALM}).state.bound
    assert (bound.k, bound.assumed) == (3, False)


def test_too_clustered_a_history_holds_and_never_fails(begin: Begin) -> None:
    clustered = Normal(at=BEGAN, total=9, allowance=12)
    rollout = begin(normal={"errors": clustered})
    rollout.pod("c")
    finding = rollout.until(30, c=(10, 10))
    assert finding.answer is Verdict.WAIT
    assert finding.hold


def test_worse_than_stable_keeps_its_floor() -> None:
    check = WorseThanStable("worse", OBJECTIVE)
    frame = Frame(began_at=BEGAN, normal={"worse": OVER})
    bound = counted.begin(check, frame).bound
    assert bound.p0 == bounds.floor(check)
    assert bound.good == 0.0155


def test_youth_under_what_is_normal_is_judged_with_the_rest(begin: Begin) -> None:
    youth = {"errors": Youth(bad=2, total=200)}
    assert begin(youth=youth).state.bound.youth_over is not None
    over = Normal(at=BEGAN, over=0.2)
    assert begin(youth=youth, normal={"errors": over}).state.bound.youth_over is None


# A release like its predecessor.


def serves(rollout: Rollout, draw: random.Random, ratio: float, seconds: int) -> Verdict:
    """Poll every second at 20 requests a second until FAIL or PASS."""
    rollout.pod("c", age=60.0)
    rollout.poll()
    verdict = Verdict.WAIT
    for _ in range(seconds):
        bad = sum(draw.random() < ratio for _ in range(20))
        verdict = rollout.poll(c=(bad, 20)).answer
        if verdict in {Verdict.FAIL, Verdict.PASS}:
            break
    return verdict


@pytest.mark.parametrize("seed", range(6))
def test_a_release_like_its_predecessor_at_2_percent_passes(begin: Begin, seed: int) -> None:
    normal = {"errors": Normal(at=BEGAN, over=0.0202, allowance=1)}
    assert serves(begin(normal=normal), random.Random(seed), 0.02, 600) is Verdict.PASS


def test_without_history_such_a_release_fails(begin: Begin) -> None:
    rollout = begin({"allowance": 1})
    assert serves(rollout, random.Random(1), 0.02, 900) is Verdict.FAIL


def test_a_release_that_is_clearly_worse_still_fails(begin: Begin) -> None:
    normal = {"errors": Normal(at=BEGAN, over=0.0202, allowance=1)}
    assert serves(begin(normal=normal), random.Random(1), 0.10, 60) is Verdict.FAIL


# What comes late.


def inform(rollout: Rollout, **late: object) -> None:
    """One more tick, with what Prometheus answered only now."""
    tick = rollout.tick({})
    for name, value in late.items():
        object.__setattr__(tick, name, {"errors": value})
    rollout.state = counted.update(rollout.state, tick)


def test_history_that_comes_before_the_first_request_counts(begin: Begin) -> None:
    rollout = begin()
    rollout.pod("c")
    rollout.poll()
    inform(rollout, normal=OVER)
    assert rollout.state.bound.good == 0.0155
    assert rollout.state.evidence == weighing.weigh(
        weighing.begin(BEGAN, rollout.state.bound),
        weighing.Poll(rollout.at, (0, 0), (0, 0), (0, 0), (0, 0, 0, 0), apart=False, gap=False),
        rollout.state.bound,
    )


def test_history_that_comes_after_evidence_was_weighed_changes_no_bound(begin: Begin) -> None:
    rollout = begin()
    rollout.pod("c")
    rollout.poll()
    rollout.poll(c=(0, 10))
    inform(rollout, normal=OVER)
    assert rollout.state.bound.normal is None
    assert rollout.state.bound.p0 == 0.01


def test_history_is_taken_once(begin: Begin) -> None:
    rollout = begin(normal={"errors": CALM})
    inform(rollout, normal=OVER)
    assert rollout.state.bound.normal == CALM


@pytest.mark.parametrize(
    ("before", "over"),
    [
        (Youth(bad=60, total=600), True),
        (Youth(bad=6, total=600), False),
        (Youth(bad=2, total=2), False),
        (Youth(), False),
    ],
    ids=["an incident", "all well", "two requests", "nobody asked"],
)
def test_an_incident_before_the_release_is_known_whenever_the_answer_comes(
    begin: Begin, before: Youth, *, over: bool
) -> None:
    assert begin(before={"errors": before}).state.bound.stable_was_over is over
    rollout = begin()
    rollout.pod("c")
    rollout.poll()
    rollout.poll(c=(0, 10))
    inform(rollout, before=before)
    assert rollout.state.bound.stable_was_over is over
    assert rollout.state.bound.asked_before


def test_a_repair_is_seen_although_the_incident_before_it_became_known_late(
    beside: Begin,
) -> None:
    rollout = beside()
    rollout.poll(c=(0, 20), s=(5, 20))
    inform(rollout, before=Youth(bad=60, total=600))
    rollout.until(30, c=(0, 20), s=(5, 20))
    assert weighing.m_better(rollout.state.evidence) > 100.0


# Words.


def test_people_are_told_against_what_a_release_is_judged(begin: Begin) -> None:
    rollout = begin(normal={"errors": OVER})
    rollout.pod("c")
    rollout.poll()
    text = rollout.poll(c=(0, 10)).text
    assert "the bound is 1.55%, since the service is over its own of 1%" in text
    assert "k = 1 by history" in text
    told = news(rollout.state.bound, "errors", 0.01)
    assert "3,100 of 206,000" in told
    assert "1.55%" in told


def test_people_are_told_of_one_bad_pod(begin: Begin) -> None:
    rollout = begin(normal={"errors": POD})
    rollout.pod("c")
    rollout.poll()
    assert "since one stable pod alone is up to there" in rollout.poll(c=(0, 10)).text
    assert "one stable pod alone fails up to 4.1%" in news(rollout.state.bound, "errors", 0.01)


def test_nothing_is_told_of_a_service_within_its_bound(begin: Begin) -> None:
    assert news(begin(normal={"errors": CALM}).state.bound, "errors", 0.01) == ""
    assert news(begin().state.bound, "errors", 0.01) == ""


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({}, "k = 2, assumed without history"),
        ({"allowance": 1}, "k = 1, bound without history"),
    ],
)
def test_without_history_the_finding_says_so(
    begin: Begin, check: dict[str, object], words: str
) -> None:
    rollout = begin(check)
    rollout.pod("c")
    rollout.poll()
    assert words in rollout.poll(c=(0, 10)).text


def test_an_allowance_that_is_stated_is_not_said_to_be_of_history(begin: Begin) -> None:
    rollout = begin({"allowance": 3}, normal={"errors": CALM})
    rollout.pod("c")
    rollout.poll()
    assert "k = 3" in rollout.poll(c=(0, 10)).text
    assert "by history" not in rollout.poll(c=(0, 10)).text
