"""Gathering beside the ticks: probes in each pod's own rhythm, expressions in theirs."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from guard.core.policy import Health, Promql
from guard.core.samples import Measured, NoData, NoDataReason, Unavailable
from guard.engine.gather import Gatherer, Sides
from tests.engine.cluster import Expressions, Source, now
from tests.engine.stage import ERRORS, POLICY, Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from guard.core.policy import Check
    from tests.engine.cluster import Deployment

pytestmark = pytest.mark.looptime

HEALTH = Health(path="/health", port=8080, every=2.0)
DEPTH = Promql("depth", "max(queue_depth)", above=1.0, every=5.0)


@contextlib.asynccontextmanager
async def gathering(
    stage: Stage, deployment: Deployment, *checks: Check
) -> AsyncIterator[tuple[Gatherer, Sides]]:
    """A gatherer at work for a rollout from `good` to `better`."""
    world = stage.start().world
    sides = Sides(deployment.snapshot())
    sides.candidate, sides.stable = frozenset({"better"}), frozenset({"good"})
    gatherer = Gatherer(world, replace(POLICY, checks=checks), sides)
    task = asyncio.create_task(gatherer.run())
    yield gatherer, sides
    task.cancel()
    await asyncio.wait([task])
    await gatherer.close()


def probed(stage: Stage) -> list[float]:
    return [round(at - now() + stage.loop.time(), 3) for at in stage.prober.at]


async def test_pods_are_probed_by_the_period_however_long_an_answer_takes(stage: Stage) -> None:
    auth = stage.cluster.create_serving(replicas=1)
    stage.services = ()
    stage.prober.delay = 0.8
    async with gathering(stage, auth, HEALTH) as (gatherer, _):
        await asyncio.sleep(7.0)
        assert probed(stage) == [0.0, 2.0, 4.0, 6.0]
        assert [answer.status for answer in gatherer.probes["health"].values()] == [200]


async def test_a_pod_that_becomes_ready_is_probed_at_once_and_one_that_goes_no_more(
    stage: Stage,
) -> None:
    auth = stage.cluster.create_serving(replicas=1, ready_after=3.3, drain_after=3.0)
    stage.services = ()
    async with gathering(stage, auth, HEALTH) as (gatherer, sides):
        auth.apply("better")
        for _ in range(10):
            await asyncio.sleep(1.0)
            sides.see(auth.snapshot())
        assert probed(stage) == [0.0, 2.0, 4.0, 4.0, 6.0, 6.0, 8.0]
        (only,) = auth.pods
        assert set(gatherer.probes["health"]) == {only.uid}
        auth.pods = []
        sides.see(auth.snapshot())
        await asyncio.sleep(0.1)
        assert gatherer.probes["health"] == {}


async def test_a_pod_without_an_address_or_going_is_asked_nothing(stage: Stage) -> None:
    auth = stage.cluster.create_serving(replicas=3)
    stage.services = ()
    nowhere, going, whole = auth.pods
    auth.pods = [replace(nowhere, address=None), replace(going, deleted_at=now()), whole]
    async with gathering(stage, auth, HEALTH, ERRORS) as (gatherer, sides):
        await asyncio.sleep(1.0)
        counters, apart = await gatherer.counters()
        assert sides.both == [whole]
        assert set(counters["availability"]) == {f"{whole.uid}/app"}
        assert not apart
        assert len(stage.prober.at) == 1


async def test_a_pod_without_an_endpoint_leaves_no_answer(stage: Stage) -> None:
    auth = stage.cluster.create_serving(replicas=1)
    stage.services = ()
    stage.cluster.health["good"] = 0
    async with gathering(stage, auth, HEALTH) as (gatherer, _):
        await asyncio.sleep(1.0)
        assert gatherer.probes == {"health": {}}


async def test_readings_from_prometheus_are_marked_as_taken_apart(stage: Stage) -> None:
    auth = stage.cluster.create_serving(replicas=1)
    stage.services = ()
    stage.sources[:] = [Source(stage.cluster, "prometheus")]
    async with gathering(stage, auth, ERRORS) as (gatherer, _):
        _, apart = await gatherer.counters()
        assert apart


async def test_expressions_are_evaluated_by_their_period_once_there_is_a_candidate(
    stage: Stage,
) -> None:
    auth = stage.cluster.create_serving(replicas=1)
    stage.services = ()
    samples = iter([Measured(0.5, 1.0), NoData(NoDataReason.NO_SERIES)])
    stage.expressions = Expressions(lambda: next(samples, Measured(0.5, now())))
    async with gathering(stage, auth, DEPTH) as (gatherer, sides):
        await asyncio.sleep(3.0)
        assert gatherer.values == {}
        auth.apply("better")
        sides.see(auth.snapshot())
        await asyncio.sleep(12.0)
        at = [round(one - now() + stage.loop.time(), 3) for one in stage.expressions.at]
        assert at == [3.0, 8.0, 13.0]
        registry = stage.guards[0].world.metrics.registry
        labels = {"source": "expression", "answer": "no_data"}
        assert registry.get_sample_value("guard_samples_total", labels) == 1.0


async def test_without_a_prometheus_an_expression_is_unavailable(stage: Stage) -> None:
    auth = stage.cluster.create_serving(replicas=1)
    stage.services = ()
    async with gathering(stage, auth, DEPTH) as (gatherer, _):
        await asyncio.sleep(0.1)
        assert isinstance(gatherer.values["depth"], Unavailable)


async def test_the_share_is_the_candidates_of_the_ready_pods(stage: Stage) -> None:
    auth = stage.cluster.create_serving(replicas=3)
    stage.services = ()
    async with gathering(stage, auth) as (_, sides):
        assert sides.share == 0.0
        auth.apply("better")
        await asyncio.sleep(2.0)
        auth.pods = auth.pods[:-2]
        sides.see(auth.snapshot())
        assert sides.share == pytest.approx(1 / 4)
