"""The real engine over the local platform: releases are judged by real requests, and undone."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from guard.app import Adapters, Engine, assemble
from guard.config.defaults import DEFAULT_INDICATORS
from guard.core.policy import ErrorRatio, Health, Objective, Pods, Policy, Service
from guard.core.states import ENDS, Hold
from guard.core.workloads import Mode
from guard.engine.world import Options
from guard.platforms.local.users import Users
from guard.sources.health import HealthProber
from guard.sources.ledger import Ledger
from guard.sources.scrape import Scraper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from conftest import Shop

    from guard.core.workloads import Snapshot

RATE = 150.0
OBJECTIVE = Objective("availability", 0.99, 86_400.0, DEFAULT_INDICATORS[0])
CHECKS = (ErrorRatio("errors", OBJECTIVE, above=0.02, allowance=1), Health(every=0.5), Pods())
POLICY = Policy("checkout", "team", CHECKS, bake=1.0, deadline=20.0, watch=0.0, on_fail_stated=True)

Record = dict[str, Any]


@pytest.fixture
def slow(shop: Shop) -> float:
    """Seconds that a pod starts in, so that a rollout takes a while."""
    shop.good = replace(shop.good, starts_in=0.2)
    shop.bad = replace(shop.bad, starts_in=0.4)
    return 0.4


@asynccontextmanager
async def guarding(shop: Shop, mode: Mode = Mode.ACT) -> AsyncIterator[Engine]:
    """A guard that watches the shop, until the block ends."""
    async with AsyncExitStack() as stack:
        ledger = Ledger()
        scraper, prober = Scraper(ledger, time.time, None), HealthProber(ledger, time.time)
        stack.push_async_callback(scraper.close)
        stack.push_async_callback(prober.close)
        adapters = Adapters(shop.local, (scraper,), prober, None)
        service = Service("checkout", "team", (shop.id,), (OBJECTIVE,), POLICY)
        engine = assemble(adapters, [service], Options(mode=mode))
        running = asyncio.create_task(engine.supervisor.run())
        try:
            yield engine
        finally:
            running.cancel()
            await asyncio.wait([running])


@pytest.fixture
async def users(shop: Shop) -> AsyncIterator[Users]:
    """Users of the shop, from when it serves on."""
    shop.apply(shop.good)
    await shop.until(lambda s: s.complete)
    sending = Users(lambda: shop.ports, RATE)
    task = asyncio.create_task(sending.run())
    yield sending
    task.cancel()
    await asyncio.wait([task])


async def trusted(shop: Shop) -> None:
    """Wait until the guard has written down what is known good."""
    async with asyncio.timeout(10):
        while not await shop.local.load(shop.id, shop.now.uid):  # noqa: ASYNC110 - a store has no event
            await asyncio.sleep(0.02)


async def seen(engine: Engine, release: Snapshot, wanted: Callable[[Record], bool]) -> Record:
    """Wait until the record of a release is as wanted."""
    async with asyncio.timeout(40):
        while True:
            for record in engine.board.records():
                candidate = record["candidate"]
                same = candidate["hash"] == release.current.hash
                if same and candidate["number"] == release.current.number and wanted(record):
                    return record
            await asyncio.sleep(0.05)


def over(record: Record) -> bool:
    return record["phase"] in ENDS


@pytest.mark.usefixtures("slow")
async def test_a_good_release_is_promoted_on_its_users_requests_and_is_known_good_from_then_on(
    shop: Shop, users: Users
) -> None:
    async with guarding(shop) as engine:
        await trusted(shop)
        release = shop.apply(replace(shop.good, image="shop:1b"))
        record = await seen(engine, release, over)
    assert record["phase"] == "promoted"
    numbers = next(f["numbers"] for f in record["findings"] if f["kind"] == "error_ratio")
    assert numbers["total"] > 95  # what D needs at p0 = 2%
    assert numbers["total"] <= len(users.answers)
    assert not any(answer.failed for answer in users.answers)
    intent = shop.intent(release, release)
    assert (await shop.local.rehearse(intent)).detail == "in force already"
    assert shop.now.current == release.current


@pytest.mark.usefixtures("slow")
async def test_a_bad_release_is_undone_once_and_held_when_it_is_applied_again(
    shop: Shop, users: Users
) -> None:
    async with guarding(shop) as engine:
        await trusted(shop)
        before = shop.now.current
        release = shop.apply(shop.bad)
        record = await seen(engine, release, over)
        assert record["phase"] == "rolled_back"
        assert record["outcome"]["kind"] == "patched"
        assert shop.now.current.content == before.content
        failed = [answer for answer in users.answers if answer.failed]
        assert {answer.revision for answer in failed} == {shop.bad.hash}
        decided = record["intent"]["decided_at"]
        # How fast is the e2e table's to say, on machines that do nothing else.
        assert decided > min(answer.at for answer in failed)
        kinds = [note["kind"] for note in record["timeline"]]
        assert kinds.index("decided") < kinds.index("intent") < kinds.index("patched")
        assert kinds.count("patched") == 1

        again = shop.apply(shop.bad)
        held = await seen(engine, again, lambda r: r["phase"] == "held")
        assert held["hold"] == Hold.ONCE
        assert shop.now.current == again.current


@pytest.mark.usefixtures("slow", "users")
async def test_a_guard_that_only_observes_says_what_it_would_do_and_touches_nothing(
    shop: Shop,
) -> None:
    async with guarding(shop, Mode.OBSERVE) as engine:
        await trusted(shop)
        release = shop.apply(shop.bad)
        record = await seen(engine, release, lambda r: r["phase"] == "held")
    assert record["hold"] == Hold.OBSERVE
    assert "would have rolled back" in record["text"]
    assert shop.now.generation == release.generation


@pytest.mark.usefixtures("slow", "users")
async def test_a_guard_that_was_away_during_the_release_finds_it_and_undoes_it(
    shop: Shop,
) -> None:
    async with guarding(shop):
        await trusted(shop)
    before = shop.now.current
    release = shop.apply(shop.bad)
    await shop.until(lambda s: s.complete)
    async with guarding(shop) as engine:
        record = await seen(engine, release, over)
    assert record["phase"] == "rolled_back"
    assert shop.now.current.content == before.content
