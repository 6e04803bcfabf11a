"""Tasks that must not die, SLO files that change, and the watch that everything hangs on."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from guard.core import names
from guard.core.actions import Rights
from guard.core.errors import TemporaryError
from guard.core.policy import OnFail, Promql
from guard.core.samples import Measured
from guard.core.states import Hold, Phase
from guard.core.workloads import WorkloadId
from guard.engine.world import Options
from tests.engine.cluster import AUTH, Expressions, Source, now
from tests.engine.stage import HEALTH, POLICY, Channel, service

if TYPE_CHECKING:
    from tests.engine.stage import Stage

pytestmark = pytest.mark.looptime

CARTS = WorkloadId("kubernetes", "shop", "carts")


# Defects.


async def test_a_defect_in_a_rollouts_task_is_survived_counted_and_told(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding() as guard:
        stage.scrape.defect = True
        auth.apply("bad")
        await asyncio.sleep(10.0)
        assert guard.metric("guard_task_crashes_total") >= 3.0
        (told,) = stage.channel.of("NotJudged")
        assert told.rollout == "kubernetes/shop/auth-service@bad#2"
        stage.scrape.defect = False
        await stage.reaches(Phase.ROLLED_BACK)
    assert stage.channel.open_stories() == set()


async def test_a_defect_for_a_moment_is_not_told(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    async with stage.guarding() as guard:
        auth.apply("better")
        await asyncio.sleep(5.0)
        stage.scrape.defect = True
        await asyncio.sleep(0.6)
        stage.scrape.defect = False
        await stage.reaches(Phase.PROMOTED)
        assert guard.metric("guard_task_crashes_total") == 1.0
    assert stage.channel.reasons == ["RolloutBegan", "Promoted"]
    assert len(stage.records()) == 1


async def test_a_defect_beside_the_ticks_is_not_silent_either(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    stage.checks(Promql("depth", "x", above=1.0))

    def broken() -> Measured:
        message = "a defect of the expressions"
        raise RuntimeError(message)

    stage.expressions = Expressions(broken)
    async with stage.guarding() as guard:
        auth.apply("better")
        await asyncio.sleep(5.0)
        assert guard.metric("guard_task_crashes_total") >= 1.0
        stage.expressions.sample = lambda: Measured(0.0, now())
        await stage.reaches(Phase.PROMOTED)


async def test_a_defect_of_the_warden_costs_neither_rollout_nor_workload(stage: Stage) -> None:
    stage.cluster.create_serving(CARTS.name, workload=CARTS)
    stage.services = (service(POLICY, AUTH, CARTS),)
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding() as guard:
        auth.apply("better")
        await asyncio.sleep(10.0)
        warden = guard.supervisor._wardens[AUTH]
        whole, warden._rights = warden._rights, None
        await asyncio.sleep(12.0)
        assert [n.workload for n in stage.channel.of("GuardFails")] == [AUTH]
        warden._rights = whole
        await asyncio.sleep(10.0)
        assert stage.phase() is Phase.BAKING
        await stage.reaches(Phase.PROMOTED)
        assert len(stage.records()) == 1
        await asyncio.sleep(61.0)
        assert stage.channel.open_stories() == set()
        auth.apply("bad")
        await stage.reaches(Phase.ROLLED_BACK)


# The watch.


async def test_a_watch_that_fails_is_begun_again(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding() as guard:
        guard.connection.fail["watch"] = TemporaryError("the API server went away")
        auth.changed()
        await asyncio.sleep(3.0)
        assert guard.metric("guard_task_crashes_total") == 1.0
        assert len(stage.cluster.watchers) == 1
        auth.apply("bad")
        await stage.reaches(Phase.ROLLED_BACK)


async def test_a_watch_that_just_ends_is_begun_again_too(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    async with stage.guarding() as guard:
        guard.connection.end_watch.set()
        auth.changed()
        await asyncio.sleep(0.5)
        assert not guard.task.done()
        guard.connection.end_watch.clear()
        await asyncio.sleep(1.0)
        auth.apply("better")
        await stage.reaches(Phase.PROMOTED)


async def test_ready_once_the_workloads_were_seen(stage: Stage) -> None:
    stage.cluster.create_serving()
    guard = stage.start()
    assert guard.supervisor.unready
    await asyncio.sleep(0.1)
    assert not guard.supervisor.unready


async def test_ready_where_there_is_nothing_to_guard_yet(stage: Stage) -> None:
    guard = stage.start()
    await asyncio.sleep(5.0)
    assert guard.supervisor.unready
    await asyncio.sleep(5.0)
    assert not guard.supervisor.unready


async def test_not_ready_while_nothing_can_be_seen_and_why(stage: Stage) -> None:
    guard = stage.start()
    guard.connection.trouble = "deployments is forbidden"
    await asyncio.sleep(60.0)
    assert guard.supervisor.unready.endswith("seen yet: deployments is forbidden")
    guard.connection.trouble = ""
    assert not guard.supervisor.unready


async def test_what_the_guard_may_not_do_to_a_workload_it_cannot_see_is_shown(
    stage: Stage,
) -> None:
    """A guard without any right sees nothing, and must say more than that."""
    stage.cluster.rights = Rights(may_patch=False, missing=("list deployments in shop",))
    guard = stage.start()
    await asyncio.sleep(60.0)
    labels = {"namespace": AUTH.namespace, "workload": AUTH.name}
    metrics = guard.world.metrics.registry
    assert metrics.get_sample_value(names.METRIC_RIGHTS, labels) == 1.0


async def test_what_it_may_do_is_asked_again_soon_where_nobody_answered(stage: Stage) -> None:
    stage.cluster.rights = Rights(may_patch=False, missing=("list deployments in shop",))
    guard = stage.start(fail={"rights": TemporaryError("no answer")})
    await asyncio.sleep(25.0)
    asked = guard.connection.made["rights"]
    assert asked >= 1
    guard.connection.fail.clear()
    await asyncio.sleep(60.0)
    labels = {"namespace": AUTH.namespace, "workload": AUTH.name}
    assert guard.world.metrics.registry.get_sample_value(names.METRIC_RIGHTS, labels) == 1.0
    answered = guard.connection.made["rights"]
    await asyncio.sleep(600.0)
    assert guard.connection.made["rights"] == answered


async def test_what_it_lacks_is_no_longer_shown_of_a_workload_that_no_file_names(
    stage: Stage,
) -> None:
    stage.cluster.rights = Rights(may_patch=False, missing=("list deployments in shop",))
    guard = stage.start()
    await asyncio.sleep(30.0)
    guard.supervisor.take(())
    await asyncio.sleep(30.0)
    labels = {"namespace": AUTH.namespace, "workload": AUTH.name}
    assert guard.world.metrics.registry.get_sample_value(names.METRIC_RIGHTS, labels) is None


async def test_stopping_before_anything_was_seen_stops(stage: Stage) -> None:
    stage.channels = []
    guard = stage.start()
    await asyncio.sleep(1.0)
    await guard.stop()
    assert guard.task.done()


async def test_a_warden_that_does_not_stop_keeps_no_guard_alive(stage: Stage) -> None:
    stage.cluster.create_serving()
    guard = stage.start()
    await asyncio.sleep(1.0)

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(3600.0)
            except asyncio.CancelledError:
                if stage.loop.time() > 100.0:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    guard.supervisor._tasks[AUTH] = task
    began = stage.loop.time()
    await guard.stop()
    assert stage.loop.time() - began <= 4.0
    await asyncio.sleep(100.0)
    task.cancel()


# SLO files.


async def test_a_changed_slo_file_takes_effect_without_a_restart(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding() as guard:
        stage.policy(on_fail=OnFail.HOLD)
        guard.supervisor.take(stage.services)
        auth.apply("bad")
        await stage.reaches(Phase.HELD)
    assert stage.record().state.hold is Hold.POLICY


async def test_a_rollout_under_way_keeps_the_policy_it_began_with(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding() as guard:
        auth.apply("bad")
        await asyncio.sleep(1.0)
        stage.policy(on_fail=OnFail.HOLD)
        guard.supervisor.take(stage.services)
        await stage.reaches(Phase.ROLLED_BACK)


async def test_a_removed_slo_file_leaves_the_rollout_within_two_seconds(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding() as guard:
        auth.apply("better")
        await asyncio.sleep(10.0)
        guard.supervisor.take(())
        assert await stage.until(lambda: stage.channel.of("Left")) <= 2.0
        assert guard.metric("guard_workloads") == 0.0
        labels = {"namespace": "shop", "workload": "auth-service"}
        assert guard.metric(names.METRIC_RIGHTS, **labels) is None
        auth.apply("bad")
        await asyncio.sleep(30.0)
        assert len(stage.records()) == 1
        guard.supervisor.take(stage.services)
        await stage.reaches(Phase.ROLLED_BACK)
        assert guard.metric(names.METRIC_RIGHTS, **labels) == 0.0


async def test_a_file_removed_before_the_rollouts_task_first_ran_is_obeyed(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    async with stage.guarding() as guard:
        warden = guard.supervisor._wardens[AUTH]
        begin = warden._start

        def begin_and_lose_the_file(*args: object) -> None:
            begin(*args)
            guard.supervisor.take(())
            warden._leave(auth.snapshot())

        warden._start = begin_and_lose_the_file
        auth.apply("better")
        await stage.until(lambda: stage.channel.of("Left"), within=1.0)


async def test_a_workload_deleted_before_the_rollouts_task_first_ran_is_left(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    async with stage.guarding() as guard:
        warden = guard.supervisor._wardens[AUTH]
        begin = warden._start

        def begin_and_delete(*args: object) -> None:
            begin(*args)
            warden.gone()

        warden._start = begin_and_delete
        auth.apply("better")
        await stage.until(lambda: stage.channel.of("Left"), within=1.0)


# Many workloads.


async def test_the_circuit_breaker_stops_a_burst_of_rollbacks_decided_in_one_moment(
    stage: Stage,
) -> None:
    workloads = [WorkloadId("kubernetes", "shop", f"service-{n}") for n in range(5)]
    stage.services = (service(POLICY, *workloads),)
    stage.options = Options(mode=stage.options.mode, circuit_breaker=2, circuit_window=200.0)
    deployments = [stage.cluster.create_serving(workload=one) for one in workloads]
    stage.errors("bad", 0.5)
    async with stage.guarding() as guard:
        for deployment in deployments:
            deployment.apply("bad")
        await asyncio.sleep(30.0)
        assert len(stage.cluster.patches) == 2
        assert guard.metric(names.METRIC_CIRCUIT) == 1.0
        holds = [stage.record(one).state.hold for one in workloads]
        assert holds.count(Hold.CIRCUIT_BREAKER) == 3
    # It is remembered by the next guard, until its window is over.
    async with stage.guarding() as guard:
        await asyncio.sleep(60.0)
        assert guard.metric(names.METRIC_CIRCUIT) == 1.0
        assert len(stage.cluster.patches) == 2
        await asyncio.sleep(200.0)
        assert len(stage.cluster.patches) == 4


async def test_a_rollback_that_came_to_nothing_does_not_count(stage: Stage) -> None:
    stage.options = Options(mode=stage.options.mode, circuit_breaker=1)
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding() as guard:
        guard.connection.fail["rollback"] = TemporaryError("away")
        auth.apply("bad")
        await stage.reaches(Phase.ROLLING_BACK)
        assert guard.metric(names.METRIC_CIRCUIT) == 1.0
        auth.apply("good")
        guard.connection.fail.clear()
        await stage.reaches(Phase.SUPERSEDED)
        assert guard.metric(names.METRIC_CIRCUIT) == 0.0


async def test_each_workload_has_its_own_story(stage: Stage) -> None:
    stage.services = (service(POLICY, AUTH, CARTS),)
    auth = stage.cluster.create_serving()
    carts = stage.cluster.create_serving(workload=CARTS)
    stage.errors("bad", 0.5)
    async with stage.guarding() as guard:
        auth.apply("bad")
        carts.apply("better")
        await stage.until(lambda: stage.phase(CARTS) is Phase.PROMOTED)
        assert stage.phase(AUTH) is Phase.ROLLED_BACK
        assert guard.metric("guard_rollouts_total", end="promoted") == 1.0
        assert guard.metric("guard_rollouts_total", end="rolled_back") == 1.0
        assert guard.metric("guard_workloads") == 2.0
        ids = [record["rollout"] for record in guard.world.board.records()]
        assert ids == ["kubernetes/shop/auth-service@bad#2", "kubernetes/shop/carts@better#2"]


# Sources and channels that hang.


async def test_a_second_source_that_hangs_delays_no_decision(stage: Stage) -> None:
    prometheus = Source(stage.cluster, "prometheus")
    prometheus.delay = 1000.0
    stage.sources.append(prometheus)
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("bad")
        await stage.until(lambda: stage.cluster.patches, within=4.0)


async def test_a_pod_that_hangs_delays_the_decision_by_one_time_out(stage: Stage) -> None:
    auth = stage.cluster.create_serving(replicas=4)
    stage.checks(HEALTH, *POLICY.checks[:1])
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("bad")
        stage.scrape.hanging.add(auth.pods[-1].uid)
        await stage.until(lambda: stage.cluster.patches, within=7.0)


async def test_a_dead_first_source_leaves_the_second_one_in_charge(stage: Stage) -> None:
    stage.scrape.down = True
    stage.sources.append(Source(stage.cluster, "prometheus"))
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding() as guard:
        auth.apply("bad")
        await stage.reaches(Phase.ROLLED_BACK)
        labels = {"source": "prometheus", "answer": "measured"}
        assert guard.metric(names.METRIC_SAMPLES, **labels) > 0.0


async def test_a_channel_that_hangs_delays_neither_decisions_nor_other_channels(
    stage: Stage,
) -> None:
    dead = Channel("dead")
    dead.hang = True
    stage.channels.append(dead)
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("bad")
        await stage.until(lambda: stage.cluster.patches, within=4.0)
        assert stage.channel.reasons == ["RolloutBegan", "RollingBack"]
    assert dead.got == []


# Free PromQL.


async def test_an_expression_beyond_its_bound_rolls_back(stage: Stage) -> None:
    stage.checks(Promql("queue depth", "max(queue_depth)", above=100.0))
    values = iter([10.0, 10.0])
    stage.expressions = Expressions(lambda: Measured(next(values, 500.0), now()))
    auth = stage.cluster.create_serving()
    async with stage.guarding():
        auth.apply("bad")
        await stage.reaches(Phase.ROLLED_BACK)
    # Inside, inside, and three evaluations beyond, 5 s apart.
    gaps = {round(later - sooner, 2) for sooner, later in pairwise(stage.expressions.at)}
    assert gaps == {5.0}


async def test_an_expression_without_a_prometheus_is_blind_and_says_why(stage: Stage) -> None:
    stage.checks(Promql("queue depth", "max(queue_depth)", above=100.0))
    auth = stage.cluster.create_serving()
    async with stage.guarding():
        auth.apply("better")
        await stage.reaches(Phase.HELD)
    assert stage.record().state.hold is Hold.BLIND
    assert "no Prometheus is configured" in stage.channel.of("Blind")[0].body
