"""Alerts, and several counted checks of one indicator, in whole rollouts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from guard.core.policy import Alerts, Pods, WorseThanStable
from guard.core.samples import Alert, Alerted, AlertSample, Unavailable, UnavailableReason
from guard.core.states import Hold, Phase
from guard.core.workloads import WorkloadId
from tests.engine.cluster import AUTH, EPOCH, Traffic, now
from tests.engine.stage import AVAILABILITY, ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.engine.stage import Stage

pytestmark = pytest.mark.looptime

BUDGET = Alert("aa", "ErrorBudgetBurn", "", 0.0)


class Alertmanager:
    """Answers with what fires; keeps who asked."""

    def __init__(self, answer: Callable[[], AlertSample]) -> None:
        self.answer = answer
        self.asked: list[tuple[WorkloadId, str]] = []

    async def firing(self, check: Alerts, workload: WorkloadId, service: str) -> AlertSample:
        self.asked.append((workload, service))
        return self.answer()


def firing(stage: Stage, *alerts: Alert) -> Alertmanager:
    stage.alarms = made = Alertmanager(lambda: Alerted(alerts, now()))
    return made


async def test_an_alert_of_candidate_pods_undoes_the_release(stage: Stage) -> None:
    stage.checks(Alerts(), Pods())
    auth = stage.cluster.create_serving()
    asked = firing(stage)
    async with stage.guarding():
        auth.apply("bad")
        await asyncio.sleep(10.0)
        (candidate, *_) = [pod for pod in auth.pods if pod.created_at > EPOCH]
        asked.answer = lambda: Alerted((Alert("bb", "Slow", candidate.name, now()),), now())
        await stage.reaches(Phase.ROLLED_BACK)
    assert "the alerts Slow began with the candidate" in stage.channel.of("RollingBack")[0].body
    assert set(asked.asked) == {(AUTH, "auth-service")}


async def test_an_alert_that_names_no_pod_holds_and_lets_go_when_it_resolves(stage: Stage) -> None:
    stage.checks(Alerts(), Pods())
    auth = stage.cluster.create_serving()
    asked = firing(stage)
    async with stage.guarding():
        auth.apply("better")
        await asyncio.sleep(10.0)
        since = now()
        asked.answer = lambda: Alerted((Alert("bb", "Burn", "", since),), now())
        await stage.reaches(Phase.HELD)
        assert stage.record().state.hold is Hold.SHARED
        asked.answer = lambda: Alerted((), now())
        await stage.reaches(Phase.PROMOTED)
    assert stage.cluster.patches == []


async def test_an_alert_that_fired_before_is_not_the_releases(stage: Stage) -> None:
    stage.checks(Alerts(), Pods())
    auth = stage.cluster.create_serving()
    firing(stage, BUDGET)
    async with stage.guarding():
        auth.apply("better")
        await stage.reaches(Phase.PROMOTED)
    assert "fired before the release, not over yet" in stage.record().findings[0].text


@pytest.mark.parametrize("configured", [True, False], ids=["gone", "not configured"])
async def test_without_alertmanager_a_release_is_neither_undone_nor_promoted(
    stage: Stage,
    configured: bool,  # noqa: FBT001
) -> None:
    stage.checks(Alerts(), Pods())
    auth = stage.cluster.create_serving()
    if configured:
        stage.alarms = Alertmanager(lambda: Unavailable(UnavailableReason.REFUSED))
    async with stage.guarding():
        auth.apply("better")
        await stage.reaches(Phase.HELD)
    assert stage.record().state.hold is Hold.BLIND
    assert stage.cluster.patches == []


async def test_what_is_worse_than_stable_under_the_bound_is_undone_by_one_reading_a_tick(
    stage: Stage,
) -> None:
    errors = ERRORS.__class__("availability", AVAILABILITY, above=0.05, allowance=1)
    stage.checks(errors, WorseThanStable("against", AVAILABILITY, above=0.05, allowance=1))
    stage.cluster.traffic["good"] = Traffic(50.0, 0.0)
    stage.errors("worse", 0.03, rate=50.0)
    auth = stage.cluster.create_serving(drain_after=100.0, ready_after=30.0)
    async with stage.guarding():
        auth.apply("worse")
        await stage.until(lambda: stage.cluster.patches)
    assert "times stable's" in stage.channel.of("RollingBack")[0].body
    assert len(stage.scrape.asked) == len(set(stage.scrape.asked))
