"""The demo's stage: two copies of a shop with their users, and the real engine for one of them."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guard import __version__
from guard.app import Adapters, Engine, assemble
from guard.cli.demo_figures import BOUND, Figures, Release
from guard.config.defaults import DEFAULT_INDICATORS
from guard.core.policy import ErrorRatio, Health, Objective, Pods, Policy, Service
from guard.core.workloads import Mode, Snapshot, WorkloadId
from guard.engine.world import Options
from guard.platforms.local.platform import NAME, Local
from guard.platforms.local.template import Template
from guard.platforms.local.users import Users
from guard.sources.health import HealthProber
from guard.sources.ledger import Ledger
from guard.sources.scrape import Scraper
from guard.web.server import application, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REPLICAS: Final = 4
RATE: Final = 50.0
"""Requests a second to each copy."""
STARTS_IN: Final = 1.5
"""Seconds that a pod needs to start."""
USUAL: Final = 0.001
"""Share of requests that fail in any version of this shop: no service is without errors."""

GUARDED: Final = WorkloadId(NAME, "shop", "checkout")
ALONE: Final = WorkloadId(NAME, "shop", "checkout-alone")
COPIES: Final = (GUARDED, ALONE)

FIRST = Release("version 1", Template("shop:1", USUAL), "serves since before")
GOOD = Release("version 2", Template("shop:2", USUAL, starts_in=STARTS_IN), "good: 0.1% errors")
BAD = Release("version 3", Template("shop:3", 0.2, starts_in=STARTS_IN), "bad: 20% errors")

_OBJECTIVE = Objective("availability", target=0.99, window=30 * 86_400.0, sli=DEFAULT_INDICATORS[0])

POLICY = Policy(
    service="checkout",
    owner="you",
    checks=(
        # This shop's errors are independent of each other by construction, so each counts in full:
        # k = 1. With k = 2, which is assumed where nothing is known, both decisions take about
        # twice the requests.
        ErrorRatio("errors", _OBJECTIVE, above=BOUND, allowance=1),
        Health(every=1.0),
        Pods(),
    ),
    bake=6.0,
    deadline=30.0,
    patience=10.0,
    watch=0.0,
    on_fail_stated=True,
)


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that runs. `page` is the address of the page; empty without one."""

    local: Local
    engine: Engine
    figures: Figures
    page: str

    def release(self, release: Release) -> None:
        """Put a release in force on both copies at the same moment."""
        self.figures.begin(release, time.time())
        for copy in COPIES:
            self.local.apply(copy, release.template, REPLICAS, f"release of {release.version}")

    def shown(self, copy: WorkloadId) -> Snapshot:
        """What the platform says of a copy now."""
        snapshot = self.local.snapshot(copy)
        assert isinstance(snapshot, Snapshot)
        return snapshot


@asynccontextmanager
async def stage(port: int | None) -> AsyncIterator[Stage]:
    """Set the stage with version 1 on both copies; take it down at the end.

    Args:
        port: the page's; 0 takes a free one, None serves no page.

    Raises:
        ConfigurationError: nothing can listen on that port.
    """
    async with AsyncExitStack() as stack:
        local = Local()
        stack.push_async_callback(local.close)
        figures = Figures(*(_users(local, copy) for copy in COPIES))
        engine = assemble(_adapters(local, stack), [_service()], Options(mode=Mode.ACT))
        page = await _page(engine, figures, port, stack) if port is not None else ""
        for copy in COPIES:
            local.apply(copy, FIRST.template, REPLICAS)
            await local.until(copy, lambda snapshot: snapshot.complete)
        _run(engine, figures, stack)
        yield Stage(local, engine, figures, page)


def _users(local: Local, copy: WorkloadId) -> Users:
    return Users(lambda: local.endpoints(copy), RATE)


def _service() -> Service:
    return Service(POLICY.service, POLICY.owner, (GUARDED,), (_OBJECTIVE,), POLICY)


def _adapters(local: Local, stack: AsyncExitStack) -> Adapters:
    """The real sources: the pods' own /metrics and health endpoints."""
    ledger = Ledger()
    scraper = Scraper(ledger, time.time, None)
    prober = HealthProber(ledger, time.time)
    stack.push_async_callback(scraper.close)
    stack.push_async_callback(prober.close)
    return Adapters(platform=local, counters=(scraper,), prober=prober, expressions=None)


async def _page(engine: Engine, figures: Figures, port: int, stack: AsyncExitStack) -> str:
    built = application(
        engine.board,
        engine.metrics,
        lambda: engine.supervisor.unready,
        version=__version__,
        mode=Mode.ACT.value,
        users=figures.rows,
    )
    served = await serve(built, "127.0.0.1", port)
    stack.push_async_callback(served.close)
    return served.url


def _run(engine: Engine, figures: Figures, stack: AsyncExitStack) -> None:
    works = [engine.supervisor.run(), *(users.run() for users in figures.users.values())]
    tasks = [asyncio.create_task(work) for work in works]

    async def stop() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()

    stack.push_async_callback(stop)
