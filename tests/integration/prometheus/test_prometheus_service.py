"""A proxy's counters of one service from real servers: counted exactly, joined to no pod."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guard.core.checks import service
from guard.core.checks.sides import Asked
from guard.core.policy import Matcher, MatchOp, Ratio, Scrape, Selector
from guard.core.samples import NoData, Reading
from guard.core.ticks import Tick
from guard.core.workloads import Pod, Revision, Snapshot, WorkloadId
from guard.sources.lookup import Address
from guard.sources.prometheus_client import PrometheusClient
from guard.sources.prometheus_history import PrometheusHistory
from tests.integration.prometheus.scene import AGAIN, INTERVAL, WITHIN, Fleet, Served, asker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from guard.core.counting import Account
    from guard.core.samples import CounterSample
    from tests.integration.prometheus.scene import Asker

NEW = Pod("uid-app", "app", "shop", "new", 1.0, ready=True)
OLD = Pod("uid-old", "old", "shop", "old", 1.0, ready=True)
WORKLOAD = WorkloadId("kubernetes", "shop", "app")
REVISION = Revision("new", "new", 2, "rs-new", 1.0)


@asynccontextmanager
async def asking(fleet: Fleet) -> AsyncIterator[Asker]:
    guard = asker(Address(fleet.server.url, timeout=WITHIN))
    yield guard
    await guard.close()


def sli(*proxies: Served) -> Ratio:
    """What these proxies count: no pod of the workload has any of it."""
    only = Matcher("pod", MatchOp.REGEX, "|".join(proxy.name for proxy in proxies))
    bad = (Matcher("code", MatchOp.REGEX, "5.."), only)
    metric = "http_requests_total"
    return Ratio(Selector(metric, bad, ""), Selector(metric, (only,), ""), whole_service=True)


@dataclass
class Count:
    """What core counts of a service whose pods the test names."""

    guard: Asker
    sli: Ratio
    pods: tuple[Pod, ...] = (NEW,)
    alone_since: float | None = None
    accounts: Mapping[str, Account] = field(default_factory=dict)
    bad: int = 0
    total: int = 0

    async def look(self) -> Mapping[str, CounterSample]:
        found = await self.guard.counters.read(self.sli, (), Scrape())
        now = time.time()
        complete = OLD not in self.pods
        snapshot = Snapshot(WORKLOAD, "uid", 2, now, REVISION, 1, pods=self.pods, complete=complete)
        counters = {"edge": found}
        tick = Tick(now, snapshot, frozenset({"new"}), frozenset({"old"}), counters=counters)
        self.alone_since = service.since(self.alone_since, tick)
        asked = Asked("edge", 0.0, 0.0, youth_apart=False, interval=INTERVAL, last_at=now)
        got = service.collect(self.accounts, tick, asked, self.alone_since)
        self.accounts = got.accounts
        self.bad += got.candidate.evidence[0]
        self.total += got.candidate.evidence[1]
        return found

    async def until_total(self, total: int) -> None:
        end = time.monotonic() + WITHIN
        while self.total < total:
            assert time.monotonic() < end, f"{self.total} of {total}"
            await self.look()
            await asyncio.sleep(AGAIN)

    async def during(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await self.look()
            await asyncio.sleep(AGAIN)

    async def until_seen(self, accounts: int) -> None:
        end = time.monotonic() + WITHIN
        while len(self.accounts) < accounts:
            assert time.monotonic() < end, "never scraped"
            await self.look()
            await asyncio.sleep(AGAIN)


async def test_each_request_of_all_proxies_is_counted_once_and_first_errors_too(
    fleet: Fleet,
) -> None:
    async with fleet.taken(2) as (one, two), asking(fleet) as guard:
        one.serve("200", 100)
        two.serve("200", 300)
        count = Count(guard, sli(one, two))
        await count.until_seen(2)
        # What was served before is no evidence, nor what began within the clocks' difference.
        await count.during(service.CLOCK_SKEW + 2 * INTERVAL)
        assert count.total == 0
        one.serve("200", 50)
        one.serve("500", 7)
        await count.until_total(57)
        two.serve("503", 3)
        await count.until_total(60)
        await count.during(2 * INTERVAL)
        assert (count.bad, count.total) == (10, 60)


async def test_a_proxy_that_begins_anew_and_a_new_one_bring_no_evidence_of_before(
    fleet: Fleet,
) -> None:
    async with fleet.taken(2) as (one, two), asking(fleet) as guard:
        one.serve("200", 100)
        count = Count(guard, sli(one, two))
        await count.until_seen(1)
        await count.during(service.CLOCK_SKEW + 2 * INTERVAL)
        one.restart()
        one.serve("200", 40)
        two.serve("500", 900)
        await count.during(3 * INTERVAL)
        assert (count.bad, count.total) == (0, 0)
        one.serve("200", 5)
        two.serve("500", 2)
        await count.until_total(7)
        assert (count.bad, count.total) == (2, 7)


async def test_errors_while_another_revisions_pod_is_there_are_never_evidence(
    fleet: Fleet,
) -> None:
    async with fleet.taken() as (one,), asking(fleet) as guard:
        one.serve("200", 100)
        count = Count(guard, sli(one), pods=(NEW, OLD))
        await count.until_seen(1)
        one.serve("500", 50)
        await count.during(3 * INTERVAL)
        count.pods = (NEW,)
        one.serve("500", 50)
        await count.during(service.CLOCK_SKEW + 2 * INTERVAL)
        assert count.total == 0
        one.serve("200", 9)
        await count.until_total(9)
        assert (count.bad, count.total) == (0, 9)


async def test_a_service_that_no_proxy_counts_is_no_data(fleet: Fleet) -> None:
    async with fleet.taken() as (one,), asking(fleet) as guard:
        other = Ratio(*sli(one).selectors[::-1], whole_service=True)
        nowhere = Matcher("pod", MatchOp.EQUAL, "nobody")
        total = Selector(other.total.metric, (nowhere,), "http_requests_total")
        bad = Selector(total.metric, (*other.bad.matchers[:1], nowhere), "")
        found = await guard.counters.read(Ratio(bad, total, whole_service=True), (), Scrape())
        assert [type(one) for one in found.values()] == [NoData]


async def test_the_past_of_a_service_is_its_proxies_own_series(fleet: Fleet) -> None:
    async with fleet.taken() as (one,), asking(fleet) as guard:
        one.serve("200", 100)
        one.serve("500", 1)
        asked = sli(one)
        count = Count(guard, asked)
        await count.until_seen(2)
        client = PrometheusClient(Address(fleet.server.url, timeout=WITHIN))
        now = time.time()
        tracks = await PrometheusHistory(client).look_back(
            asked, (), Scrape(), (now - 5.0, now, INTERVAL)
        )
        await client.close()
        assert isinstance(tracks, tuple)
        assert [track.pod for track in tracks] == [one.name]
        assert (tracks[0].marks[-1].total, tracks[0].marks[-1].bad) == (101.0, 1.0)
        assert all(isinstance(one, Reading) for one in (await count.look()).values())
