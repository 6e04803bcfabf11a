"""Counters from real Prometheus servers, the current one and Debian's: counted exactly."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import pytest

from guard.core.counting import Account, Delta, advance, seen_without
from guard.core.samples import NoData, NoDataReason, Reading, Unavailable, UnavailableReason
from guard.core.workloads import Pod
from guard.sources.lookup import Address
from guard.sources.prometheus_queries import stale_after
from tests.integration.prometheus.scene import (
    AGAIN,
    INTERVAL,
    WITHIN,
    Asker,
    Fleet,
    RoundRobin,
    Served,
    Server,
    asker,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from guard.core.samples import CounterSample

LIMIT = 2.0
STALE = stale_after(INTERVAL)

# What may be said of a pod that was not scraped yet, has just been started anew, or was asked about
# twice between two scrapes. `up` is 0 until a pod of the pool is opened.
_HARMLESS = {
    NoDataReason.UNJOINED,
    NoDataReason.NO_SERIES,
    NoDataReason.NOT_NEWER,
    NoDataReason.STALE,
}


@dataclass
class Count:
    """What core counts of one pod in a rollout that began with the test."""

    began_at: float
    account: Account | None = None
    bad: int = 0
    total: int = 0
    troubles: list[CounterSample] = field(default_factory=list)

    async def ask(self, guard: Asker, served: Served) -> None:
        pod = served.pod()
        sample = await guard.one(pod)
        if isinstance(sample, NoData) and sample.reason is NoDataReason.NO_SERIES:
            self.account = seen_without(self.account, time.time())
        if not isinstance(sample, Reading):
            self._trouble(sample)
            return
        self.account, delta = advance(self.account, sample, pod.containers[0], self.began_at)
        if isinstance(delta, Delta):
            self.bad += delta.bad
            self.total += delta.total
        else:
            self._trouble(delta)

    async def until_met(self, guard: Asker, served: Served) -> None:
        """Ask until the pod was seen before it served: what it has then is all counted."""
        async with asyncio.timeout(WITHIN):
            while self.account is None:
                await self.ask(guard, served)
                await asyncio.sleep(AGAIN)

    async def until_all(self, guard: Asker, served: Served) -> None:
        """Ask until everything is counted that was served."""
        async with asyncio.timeout(WITHIN):
            while self.total != served.served:
                await self.ask(guard, served)
                await asyncio.sleep(AGAIN)

    def _trouble(self, sample: CounterSample) -> None:
        if not isinstance(sample, NoData) or sample.reason not in _HARMLESS:
            self.troubles.append(sample)


@pytest.fixture
async def guard(fleet: Fleet) -> AsyncIterator[Asker]:
    """A guard that asks one server."""
    asking = asker(Address(fleet.server.url, timeout=LIMIT))
    yield asking
    await asking.close()


@pytest.fixture
async def guard_of_two(fleet: Fleet) -> AsyncIterator[Asker]:
    """A guard that asks both replicas in turn."""
    balancer = RoundRobin(fleet.replicas)
    await balancer.open()
    asking = asker(Address(balancer.url, timeout=LIMIT), replicas=2)
    yield asking
    await asking.close()
    await balancer.close()


async def test_counts_are_what_the_pod_served_over_restarts(fleet: Fleet, guard: Asker) -> None:
    began_at = time.time()
    async with fleet.taken() as (pod,):
        count = Count(began_at)
        await count.until_met(guard, pod)
        luck = random.Random(1)
        for _ in range(3):
            for _ in range(6):
                pod.serve("200", luck.randrange(1, 40))
                pod.serve(luck.choice(["500", "503", "404"]), luck.randrange(3))
                await count.ask(guard, pod)
                await asyncio.sleep(0.2)
            await count.until_all(guard, pod)
            pod.restart()
        assert (count.bad, count.total) == (pod.bad, pod.served)
        assert not count.troubles


async def test_errors_that_appear_late_count_from_their_first(fleet: Fleet, guard: Asker) -> None:
    async with fleet.taken() as (pod,):
        pod.serve("200", 5)
        before = await guard.reading(pod.pod(), 5)
        assert before.bad is None
        pod.serve("500", 3)
        after = await guard.reading(pod.pod(), 8)
        assert after.bad == 3
        assert after.at > before.at
        assert after.process_start == pytest.approx(pod.started)
        assert after.paths_known


async def test_a_pod_that_answers_without_the_counter_is_seen_without_it(
    fleet: Fleet, guard: Asker
) -> None:
    async with fleet.taken() as (pod,):
        sample = await guard.until(pod.pod(), _no_data(NoDataReason.NO_SERIES))
        assert isinstance(sample, NoData)
        assert "http_requests_total" in sample.detail


async def test_a_pod_that_prometheus_cannot_scrape_is_stale_at_once(
    fleet: Fleet, guard: Asker
) -> None:
    async with fleet.taken() as (pod,):
        pod.serve("200")
        reading = await guard.reading(pod.pod(), 1)
        await pod.close()
        sample = await guard.until(pod.pod(), _no_data(NoDataReason.STALE))
        assert isinstance(sample, NoData)
        assert "up is 0" in sample.detail
        assert time.time() - reading.at < STALE


async def test_a_target_that_is_taken_away_is_stale(binary: str, tmp_path: Path) -> None:
    pod = Served("shop-1")
    server = Server(binary, tmp_path, [pod])
    server.start()
    server.ready()
    guard = asker(Address(server.url))
    try:
        await pod.open()
        pod.serve("200")
        await guard.reading(pod.pod(), 1)
        server.targets = []
        server.configure()
        last = await guard.until(pod.pod(), lambda sample: not isinstance(sample, Reading))
        assert isinstance(last, NoData)
        assert last.reason is NoDataReason.STALE
        # Prometheus has its samples of the last seconds still, VictoriaMetrics says at once.
        assert "no sample of it any more" in last.detail or "have ended" in last.detail
    finally:
        await guard.close()
        await pod.close()
        server.kill()


async def test_pods_are_joined_by_namespace_and_name(fleet: Fleet, guard: Asker) -> None:
    async with fleet.taken(2) as (one, two):
        one.serve("200", 3)
        two.serve("200", 4)
        await guard.reading(one.pod(), 3)
        await guard.reading(two.pod(), 4)
        # The address is the same, but the series carry another pod's name.
        stranger = one.pod("stranger")
        assert _no_data(NoDataReason.UNJOINED)(await guard.one(stranger))


async def test_pods_without_such_labels_are_joined_by_address(fleet: Fleet, guard: Asker) -> None:
    async with fleet.taken(2, named=False) as (one, two):
        one.serve("200", 3)
        two.serve("200", 4)
        await guard.both(
            [one.pod(), two.pod()], {f"uid-{one.name}/app": 3, f"uid-{two.name}/app": 4}
        )


async def test_two_replicas_behind_a_round_robin_count_nothing_twice(
    fleet: Fleet, guard_of_two: Asker
) -> None:
    began_at = time.time()
    async with fleet.taken() as (pod,):
        count = Count(began_at)
        for _ in range(30):
            pod.serve("200", 7)
            pod.serve("500", 1)
            await count.ask(guard_of_two, pod)
            await asyncio.sleep(0.1)
        await count.until_all(guard_of_two, pod)
        pod.restart()
        pod.serve("500", 5)
        await count.until_all(guard_of_two, pod)
        assert (count.bad, count.total) == (pod.bad, pod.served)
        assert not count.troubles


async def test_one_replica_that_dies_is_not_noticed(fleet: Fleet, guard_of_two: Asker) -> None:
    async with fleet.taken() as (pod,):
        pod.serve("200")
        await guard_of_two.reading(pod.pod(), 1)
        fleet.replicas[1].kill()
        try:
            samples = [await _later(guard_of_two.one(pod.pod())) for _ in range(20)]
        finally:
            fleet.replicas[1].start()
        assert all(isinstance(sample, Reading) for sample in samples)
        # It answers again, and has no sample of the last seconds yet: nor is that noticed.
        await asyncio.to_thread(fleet.replicas[1].ready)
        pod.serve("500")
        samples = [await _later(guard_of_two.one(pod.pod())) for _ in range(20)]
        assert all(isinstance(sample, Reading) for sample in samples)
        await guard_of_two.reading(pod.pod(), 2)


async def test_a_server_that_is_killed_and_back_loses_no_request(
    fleet: Fleet, guard: Asker
) -> None:
    began_at = time.time()
    async with fleet.taken() as (pod,):
        count = Count(began_at)
        pod.serve("200", 10)
        await count.until_all(guard, pod)
        fleet.server.kill()
        pod.serve("500", 2)
        try:
            sample = await guard.until(pod.pod(), lambda s: isinstance(s, Unavailable))
        finally:
            fleet.server.start()
        assert isinstance(sample, Unavailable)
        assert sample.reason is UnavailableReason.REFUSED
        await count.until_all(guard, pod)
        assert (count.bad, count.total) == (2, 12)


async def test_a_server_that_hangs_costs_one_time_out_and_not_one_each_poll(
    fleet: Fleet, guard: Asker
) -> None:
    async with fleet.taken() as (pod,):
        pod.serve("200")
        await guard.reading(pod.pod(), 1)
        fleet.server.hang()
        try:
            await guard.until(pod.pod(), _timed_out)
            begin = time.monotonic()
            samples = [await guard.one(pod.pod()) for _ in range(5)]
            took = time.monotonic() - begin
        finally:
            fleet.server.go_on()
        assert all(map(_timed_out, samples))
        assert took < LIMIT / 4
        await guard.until(pod.pod(), lambda sample: isinstance(sample, Reading))


@pytest.mark.usefixtures("only_prometheus")
async def test_fifty_rollouts_that_look_at_one_metric_make_two_queries(
    fleet: Fleet, guard: Asker
) -> None:
    async with fleet.taken() as (served,):
        served.serve("200")
        await guard.reading(served.pod(), 1)
        rollouts = [[served.pod(), *_strangers(number)] for number in range(50)]
        await asyncio.gather(*(guard.read(pods) for pods in rollouts))
        before = await _queries(fleet.server)
        await asyncio.sleep(2 * INTERVAL / 10)  # that answer is no longer fresh
        answers = await asyncio.gather(*(guard.read(pods) for pods in rollouts))
        # One by name; the strangers, which nobody scrapes, are looked for by address as well.
        assert await _queries(fleet.server) - before == 2
        key = f"uid-{served.name}/app"
        assert all(isinstance(answer[key], Reading) for answer in answers)


def _strangers(rollout: int) -> list[Pod]:
    names = [f"service-{rollout}-5d8f7c6b9-{number}" for number in range(3)]
    return [Pod(name, name, "shop", "new", 0.0, address="10.9.9.9") for name in names]


async def _later(sample: Awaitable[CounterSample]) -> CounterSample:
    await asyncio.sleep(2 * INTERVAL / 10)  # until the answer before is no longer fresh
    return await sample


async def _queries(server: Server) -> int:
    """How many instant queries the server itself says that it has answered."""
    wanted = 'prometheus_http_requests_total{code="200",handler="/api/v1/query"}'
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(int(line.split()[-1]) for line in lines if line.startswith(wanted))


def _no_data(reason: NoDataReason) -> Callable[[CounterSample], bool]:
    return lambda sample: isinstance(sample, NoData) and sample.reason is reason


def _timed_out(sample: CounterSample) -> bool:
    return isinstance(sample, Unavailable) and sample.reason is UnavailableReason.TIMEOUT
