"""Rollouts judged by what a proxy counts for the whole service, in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from guard.core.findings import Reason
from guard.core.policy import ErrorRatio, Pods, Ratio, Scrape, Step, of_whole_service
from guard.core.samples import NoData, Reading
from guard.core.states import Pacing, Phase
from guard.engine.gather import Gatherer, Sides
from guard.engine.past import ask_normal
from guard.engine.service_burst import NOBODY, ServiceBurst
from tests.engine.cluster import Source, now
from tests.engine.stage import ERRORS, POLICY
from tests.engine.test_past import Library

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guard.core.policy import Sli
    from guard.core.samples import CounterSample
    from guard.core.workloads import Pod
    from tests.engine.cluster import Cluster
    from tests.engine.stage import Stage

pytestmark = pytest.mark.looptime

_PODS = ERRORS.objective.sli
assert isinstance(_PODS, Ratio)
SLI = replace(_PODS, whole_service=True)
EDGE = ErrorRatio("edge", replace(ERRORS.objective, name="edge", sli=SLI))
SCRAPED_EVERY = 5.0


@dataclass
class Edge(Source):
    """A Prometheus that has one proxy's series; of pods it knows nothing."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster, "prometheus")
        self.pods: dict[str, Pod] = {}
        self.late = 0.0

    async def read(
        self, sli: Sli, pods: Sequence[Pod], scrape: Scrape
    ) -> Mapping[str, CounterSample]:
        if not of_whole_service(sli):
            return {}
        await asyncio.sleep(self.late)
        self.pods |= {pod.uid: pod for pod in pods if pod.ready_at is not None}
        counts = [self.cluster.counts(pod) for pod in self.pods.values()]
        total, bad = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
        at = now() // SCRAPED_EVERY * SCRAPED_EVERY
        return {"service/edge": Reading(float(total), float(bad), at, self.name)}


@pytest.fixture
def edge(stage: Stage) -> Edge:
    one = Edge(stage.cluster)
    stage.scrape.without_counter = True
    stage.sources = [Blind(stage.cluster), one]
    stage.options = replace(stage.options, scrape_interval=SCRAPED_EVERY)
    stage.policy(checks=(EDGE, Pods()))
    return one


class Blind(Source):
    """A direct scrape: it says nothing of what a proxy counts."""

    async def read(
        self, sli: Sli, pods: Sequence[Pod], scrape: Scrape
    ) -> Mapping[str, CounterSample]:
        return {} if of_whole_service(sli) else await super().read(sli, pods, scrape)


def reasons(stage: Stage) -> dict[str, Reason]:
    records = stage.records()
    return {one.check: one.reason for one in records[-1].findings} if records else {}


def pacing(stage: Stage) -> Pacing | None:
    records = stage.records()
    return records[-1].state.pacing if records else None


async def test_a_bad_release_is_undone_once_all_pods_are_its_own_and_not_before(
    stage: Stage, edge: Edge
) -> None:
    auth = stage.cluster.create_serving(replicas=4, stepwise=True, drain_after=2.0)
    stage.errors("bad", 0.3)
    async with stage.guarding():
        auth.apply("bad")
        await stage.until(lambda: reasons(stage).get("edge") is Reason.OTHER_PODS)
        await stage.until(lambda: stage.phase() in {Phase.ROLLING_BACK, Phase.ROLLED_BACK})
        failed = next(one for one in stage.records()[-1].findings if one.check == "edge")
        assert "no stable side to compare with" in failed.text
        assert edge.pods


async def test_at_its_first_pods_it_blocks_nothing_and_the_record_says_so(
    stage: Stage, edge: Edge
) -> None:
    stage.policy(checks=(EDGE, Pods()), pace=(Step.FIRST,), bake=10.0)
    auth = stage.cluster.create_serving(replicas=4, stepwise=True, drain_after=2.0)
    async with stage.guarding():
        auth.apply("new")
        await stage.until(lambda: pacing(stage) is Pacing.PAUSED)
        await stage.until(lambda: pacing(stage) is Pacing.RESUMED)
        told = " ".join(one.text for one in stage.records()[-1].timeline)
        assert "edge is asked once all pods are the release's" in told
        assert stage.phase() is not Phase.PROMOTED
        await stage.until(lambda: stage.phase() is Phase.PROMOTED)
        assert reasons(stage)["edge"] is Reason.GOOD_ENOUGH


async def test_its_readings_do_not_make_the_pods_look_as_if_read_from_prometheus(
    stage: Stage, edge: Edge
) -> None:
    auth = stage.cluster.create_serving(replicas=1)
    world = stage.start().world
    gatherer = Gatherer(world, replace(POLICY, checks=(EDGE,)), Sides(auth.snapshot()))
    gatherer._sides.stable = frozenset({"good"})
    found, from_prometheus = await gatherer.counters()
    assert set(found["edge"]) == {"service/edge"}
    assert not from_prometheus
    await gatherer.close()
    assert edge.pods


async def test_an_answer_that_is_late_comes_with_a_later_tick_and_nothing_is_said_before(
    stage: Stage, edge: Edge
) -> None:
    pods = stage.cluster.create_serving(replicas=1).snapshot().pods
    edge.late = 1.5
    burst = ServiceBurst(stage.sources, SLI, Scrape())
    assert await burst.read(pods) == ({}, [])
    chosen, told = await burst.read(pods)
    assert set(chosen) == {"service/edge"}
    assert [name for name, _ in told] == ["prometheus"]
    await burst.read(pods)
    await burst.close()


async def test_where_only_a_scrape_is_there_the_check_says_that_it_needs_prometheus(
    stage: Stage,
) -> None:
    pods = stage.cluster.create_serving(replicas=1).snapshot().pods
    burst = ServiceBurst([Blind(stage.cluster)], SLI, Scrape())
    assert await burst.read(pods) == ({"service/": NOBODY}, [])
    assert await burst.read([]) == ({"service/": NOBODY}, [])
    assert isinstance(NOBODY, NoData)
    await burst.close()


async def test_one_proxy_alone_never_raises_what_is_normal(stage: Stage, edge: Edge) -> None:
    library = stage.history = Library(ratio=0.03)
    auth = stage.cluster.create_serving()
    world = stage.start().world
    pods = auth.snapshot().pods
    whole = await ask_normal(world, replace(POLICY, checks=(EDGE,)), pods, now())
    by_pods = await ask_normal(world, replace(POLICY, checks=(ERRORS,)), pods, now())
    assert whole["edge"].over == by_pods[ERRORS.name].over
    assert whole["edge"].pod_over is None
    assert by_pods[ERRORS.name].pod_over is not None
    assert library.days
    assert edge.name == "prometheus"
