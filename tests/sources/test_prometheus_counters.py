"""Readings from Prometheus: machines set off, replicas that hide each other's gaps."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from guard.core.policy import Scrape
from guard.core.samples import NoData, NoDataReason, Reading, Unavailable, UnavailableReason
from guard.core.workloads import Probe
from guard.sources.ledger import Ledger
from guard.sources.lookup import Address
from guard.sources.prometheus import PrometheusClient, PrometheusCounters
from guard.sources.prometheus_desk import REMEMBERED
from guard.sources.prometheus_queries import stale_after
from tests.sources.prometheus_world import (
    SLI,
    FakePrometheus,
    Scripted,
    matrix,
    of_pod,
    pod,
    requests,
    up,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_aiohttp import AiohttpServer

    from guard.core.samples import CounterSample
    from guard.core.workloads import Pod
    from guard.sources.prometheus_answers import Series

INTERVAL = 15.0
POD = pod()


def at(time: float, total: float, *, start: float = 50.0) -> tuple[Series, ...]:
    """One scrape of the pod."""
    begun = of_pod("process_start_time_seconds", (time, start))
    return up((time, 1.0)), requests((time, total)), begun


@dataclass
class Guard:
    """Reads one pod; the test says what comes back, and what time it is."""

    replicas: int = 1
    now: float = 100.0
    rows: tuple[Series, ...] | Unavailable = ()
    ledger: Ledger = field(default_factory=lambda: Ledger(lambda: 0.0))

    def __post_init__(self) -> None:
        self.client = Scripted(lambda _: self.rows)
        self.counters = PrometheusCounters(
            self.client,  # type: ignore[arg-type]  # a double
            self.ledger,
            lambda: self.now,
            INTERVAL,
            self.replicas,
        )

    async def read(
        self, rows: tuple[Series, ...] | Unavailable, now: float | None = None, pod: Pod = POD
    ) -> dict[str, CounterSample]:
        self.rows = rows
        self.now = self.now if now is None else now
        await asyncio.sleep(1.1)  # the answer before is no longer fresh
        return dict(await self.counters.read(SLI, [pod], Scrape()))


@pytest.mark.looptime
async def test_a_reading_stands_under_pod_and_container_with_machines_set_off() -> None:
    guard = Guard(replicas=2)
    guard.ledger.note(POD.uid, 99.0, bad=False)
    guard.ledger.note(POD.uid, 101.0, bad=True)
    probed = replace(POD, probes=(Probe("readiness", "app", "http", "/", 8080, period=10.0),))
    samples = await guard.read(
        (up((100.0, 1.0)), of_pod("http_requests_total", (100.0, 9.0), code="200")), pod=probed
    )
    reading = samples["uid-shop-1/app"]
    assert isinstance(reading, Reading)
    assert (reading.total, reading.bad, reading.at) == (9.0, None, 100.0)
    assert reading.source == guard.counters.name == "prometheus"
    assert not reading.paths_known
    assert reading.machine == pytest.approx(1 / 10 + 2 / INTERVAL)
    assert (reading.sent, reading.sent_bad) == (1, 0)


@pytest.mark.looptime
async def test_nobody_is_asked_where_there_are_no_pods() -> None:
    guard = Guard()
    assert await guard.counters.read(SLI, [], Scrape()) == {}
    assert guard.client.queries == []


@pytest.mark.looptime
async def test_what_is_unavailable_stands_under_each_pod() -> None:
    failure = Unavailable(UnavailableReason.PARTIAL, "warnings")
    assert await Guard().read(failure) == {"uid-shop-1/": failure}


@pytest.mark.looptime
async def test_a_pod_that_was_never_found_is_unjoined() -> None:
    samples = await Guard().read(())
    sample = samples["uid-shop-1/"]
    assert isinstance(sample, NoData)
    assert sample.reason is NoDataReason.UNJOINED


@pytest.mark.looptime
async def test_a_pod_whose_samples_end_is_stale_with_its_age() -> None:
    guard = Guard()
    await guard.read(at(100.0, 5.0))
    samples = await guard.read((), now=140.0)
    sample = samples["uid-shop-1/app"]
    assert isinstance(sample, NoData)
    assert sample.reason is NoDataReason.STALE
    assert "40 s ago" in sample.detail


@pytest.mark.looptime
async def test_a_replica_that_knows_nothing_is_not_noticed_until_all_are_stale() -> None:
    guard = Guard(replicas=2)
    newest = await guard.read(at(107.0, 5.0), now=107.0)
    assert await guard.read((), now=110.0) == newest
    down = up((112.0, 0.0)), requests((107.0, 5.0))
    assert await guard.read(down, now=112.0) == newest
    stale = await guard.read(down, now=107.1 + stale_after(INTERVAL))
    assert isinstance(stale["uid-shop-1/app"], NoData)
    gone = await guard.read((), now=107.1 + stale_after(INTERVAL))
    assert isinstance(gone["uid-shop-1/app"], NoData)


@pytest.mark.looptime
async def test_a_replica_that_is_behind_does_not_bring_an_older_value_back() -> None:
    guard = Guard(replicas=2)
    newest = await guard.read(at(107.0, 50.0), now=107.0)
    assert await guard.read(at(100.0, 40.0), now=108.0) == newest
    # The clock of the other one is ahead: its time is later, and its value older.
    assert await guard.read(at(109.0, 45.0), now=109.0) == newest
    later = await guard.read(at(115.0, 60.0), now=115.0)
    assert isinstance(later["uid-shop-1/app"], Reading)
    assert later != newest


@pytest.mark.looptime
async def test_a_process_that_begins_anew_is_never_taken_for_a_replica_that_is_behind() -> None:
    guard = Guard(replicas=2)
    await guard.read(at(107.0, 50.0), now=107.0)
    anew = (await guard.read(at(108.0, 1.0, start=107.5), now=108.0))["uid-shop-1/app"]
    assert isinstance(anew, Reading)
    assert (anew.total, anew.at) == (1.0, 108.0)


@pytest.mark.looptime
async def test_a_counter_that_keeps_reading_less_is_said_in_the_end() -> None:
    guard = Guard(replicas=2)
    await guard.read(at(107.0, 50.0), now=107.0)
    now = 107.1 + stale_after(INTERVAL)
    reading = (await guard.read(at(now, 1.0), now=now))["uid-shop-1/app"]
    assert isinstance(reading, Reading)
    assert reading.total == 1.0


@pytest.mark.looptime
async def test_one_server_alone_is_taken_at_its_word() -> None:
    guard = Guard()
    await guard.read(at(107.0, 50.0), now=107.0)
    reading = (await guard.read(at(109.0, 45.0), now=109.0))["uid-shop-1/app"]
    assert isinstance(reading, Reading)
    assert reading.total == 45.0


@pytest.mark.looptime
async def test_what_nobody_asks_about_any_more_is_forgotten() -> None:
    guard = Guard()
    await guard.read(at(100.0, 5.0))
    await asyncio.sleep(2 * REMEMBERED)
    guard.now = 1_000.0
    another = replace(SLI, total=replace(SLI.total, metric="other_total"))
    other = of_pod("other_total", (1_000.0, 1.0), code="200"), *at(1_000.0, 7.0)
    guard.rows = other
    await guard.counters.read(another, [POD], Scrape())
    assert len(guard.counters._desks) == 1
    assert len(guard.counters._kept) == 1


async def test_fifty_rollouts_at_one_moment_are_two_queries_to_a_real_server(
    aiohttp_server: AiohttpServer,
) -> None:
    fake = FakePrometheus()
    rollouts = [
        [pod(f"service-{number}-{n}", address=f"10.{number}.{n}.1") for n in range(4)]
        for number in range(50)
    ]

    def say(query: str) -> object:
        names = [one.name for rollout in rollouts for one in rollout]
        rows = [
            requests((100.0, float(n)), namespace="shop", pod=name) for n, name in enumerate(names)
        ]
        return matrix([] if "instance=" in query else rows)

    fake.say = say  # type: ignore[assignment]  # a response
    server = await aiohttp_server(fake.application())
    client = PrometheusClient(Address(str(server.make_url("")).rstrip("/")))
    counters = PrometheusCounters(client, Ledger(), lambda: 100.0, INTERVAL, 1)
    found = await asyncio.gather(*(_read(counters, rollout) for rollout in rollouts))
    assert len(fake.queries) == 2
    totals = [sample.total for one in found for sample in one if isinstance(sample, Reading)]
    assert totals == list(range(200))
    await counters.close()
    await counters.close()
    await client.close()


async def _read(counters: PrometheusCounters, pods: Sequence[Pod]) -> list[CounterSample]:
    samples = await counters.read(SLI, pods, Scrape())
    return [samples[f"{one.uid}/app"] for one in pods]
