"""Opting in by label alone: the counter is found, said once, and no rollout waits for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from guard.core.policy import ErrorRatio
from guard.core.states import Phase
from tests.engine.cluster import AUTH, Source
from tests.engine.stage import default_policies

if TYPE_CHECKING:
    from tests.engine.stage import Guard, Stage

pytestmark = pytest.mark.looptime


def counted(guard: Guard, stage: Stage) -> bool:
    """Whether requests count in the policy now in force."""
    snapshot = stage.cluster.workloads[AUTH].snapshot()
    policy = guard.supervisor._catalogue.policy(snapshot)
    return policy is not None and any(isinstance(check, ErrorRatio) for check in policy.checks)


async def test_a_workload_with_the_label_is_guarded_by_the_counter_it_exposes(
    stage: Stage,
) -> None:
    stage.services = ()
    auth = stage.cluster.create_serving(opted_in=True)
    stage.errors("bad", 0.5)
    async with stage.guarding() as guard:
        (told,) = stage.channel.of("Guarded")
        assert told.title.startswith("auth-service: guarded by error ratio (http_requests_total{")
        assert counted(guard, stage)
        auth.apply("bad")
        await stage.reaches(Phase.ROLLED_BACK)


async def test_one_without_a_counter_is_told_so_once_and_asked_again(stage: Stage) -> None:
    stage.services = ()
    stage.scrape.without_counter = True
    stage.cluster.create_serving(opted_in=True)
    async with stage.guarding() as guard:
        (told,) = stage.channel.of("Guarded")
        assert "by pods and health only: no request counter (none of the usual" in told.title
        await asyncio.sleep(300.0)
        assert len(stage.channel.of("Guarded")) == 1
        assert not counted(guard, stage)
        # Many libraries show a counter only after the first request.
        stage.scrape.without_counter = False
        await asyncio.sleep(66.0)
        assert counted(guard, stage)
        assert "guarded by error ratio" in stage.channel.of("Guarded")[1].title
        asked = len(stage.scrape.asked)
        await asyncio.sleep(300.0)
        assert len(stage.scrape.asked) == asked


async def test_a_restarted_guard_does_not_say_it_again(stage: Stage) -> None:
    stage.services = ()
    stage.cluster.create_serving(opted_in=True)
    for _ in range(3):
        async with stage.guarding() as guard:
            assert counted(guard, stage)
    assert len(stage.channel.of("Guarded")) == 1


async def test_pods_that_are_not_ready_are_waited_for(stage: Stage) -> None:
    stage.services = ()
    stage.cluster.create(opted_in=True, ready_after=30.0)
    async with stage.guarding() as guard:
        await asyncio.sleep(20.0)
        assert stage.channel.of("Guarded") == []
        await asyncio.sleep(15.0)
        assert counted(guard, stage)


async def test_sources_that_hang_delay_no_rollout_by_more_than_moments(stage: Stage) -> None:
    stage.services = ()
    stage.scrape.delay = 1000.0
    auth = stage.cluster.create_serving(opted_in=True)
    stage.cluster.never_ready["content-bad"] = True
    async with stage.guarding():
        auth.apply("bad")
        await stage.until(lambda: stage.channel.of("RolloutBegan"), within=2.0)
        assert "nothing to scrape" in stage.channel.of("Guarded")[0].title


async def test_a_second_source_that_hangs_keeps_no_answer_of_the_first_back(stage: Stage) -> None:
    stage.services = ()
    hanging = Source(stage.cluster, "prometheus")
    hanging.delay = 1000.0
    stage.sources.append(hanging)
    stage.cluster.create_serving(opted_in=True)
    async with stage.guarding() as guard:
        await asyncio.sleep(1.0)
        assert counted(guard, stage)


async def test_who_takes_the_label_away_is_left_and_chooses_anew_later(stage: Stage) -> None:
    stage.services = ()
    auth = stage.cluster.create_serving(opted_in=True)
    async with stage.guarding() as guard:
        auth.apply("better")
        await asyncio.sleep(5.0)
        auth.opted_in = False
        auth.changed()
        await stage.until(lambda: stage.channel.of("Left"), within=2.0)
        assert guard.metric("guard_workloads") == 0.0
        assert guard.supervisor._catalogue._chosen == {}
        auth.opted_in = True
        auth.changed()
        await asyncio.sleep(66.0)
        assert counted(guard, stage)


async def test_an_slo_file_outweighs_the_label(stage: Stage) -> None:
    stage.cluster.create_serving(opted_in=True)
    async with stage.guarding() as guard:
        assert stage.channel.of("Guarded") == []
        assert counted(guard, stage)


async def test_without_any_source_of_counters_pods_and_health_remain(stage: Stage) -> None:
    stage.services = ()
    stage.sources.clear()
    auth = stage.cluster.create_serving(opted_in=True)
    stage.cluster.health["bad"] = 503
    async with stage.guarding():
        assert "nothing to scrape" in stage.channel.of("Guarded")[0].title
        auth.apply("bad")
        await stage.reaches(Phase.ROLLED_BACK)
    policy = stage.record().state.case.policy
    assert policy == default_policies(AUTH)[-1]
