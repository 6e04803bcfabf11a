"""Everybody who asks a pod, in compressed time: each request is real, and so is its order.

Kubelet, Prometheus, the guard itself and users ask real servers as their rhythms say; only the
clock between two requests is moved by hand. What is due at the same time is asked at once.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import aiohttp

from guard.config.selectors import selector
from guard.core.checks import counted
from guard.core.policy import ErrorRatio, Health, Objective, Ratio, Scrape
from guard.core.ticks import Frame, Tick
from guard.core.workloads import Container, Pod, Probe, Revision, Snapshot, WorkloadId
from guard.engine.burst import Burst
from guard.engine.rhythm import rhythm
from guard.sources.health import HealthProber
from guard.sources.ledger import Ledger
from guard.sources.machines import PrometheusScrapes
from guard.sources.pages import Pages
from guard.sources.scrape import Scraper

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from guard.core.checks.counted_state import CountedState
    from guard.core.samples import CounterSample

SLI = Ratio(bad=selector('http_requests_total{code=~"5.."}'), total=selector("http_requests_total"))
CHECK = ErrorRatio("availability", Objective("availability", 0.999, 1.0, SLI))
HEALTH = Health(path="/health", port="http")
PROMETHEUS = PrometheusScrapes(15.0, 1)


@dataclass
class Clock:
    """The time of everybody; it begins now, as the servers' processes do."""

    at: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.at


def pod(uid: str, port: int, *, started: float, period: float) -> Pod:
    """A pod whose kubelet asks two paths, one in each period."""
    probes = tuple(
        Probe(kind, "app", "http", "/ready", port, period=period)
        for kind in ("readiness", "liveness")
    )
    return Pod(
        uid=uid,
        name=f"shop-{uid}",
        namespace="shop",
        revision=uid,
        created_at=started,
        address="127.0.0.1",
        ready=True,
        ready_at=started,
        containers=(Container("app", ready=True, started_at=started, ports=(("http", port),)),),
        probes=probes,
    )


@dataclass
class Stage:
    """Two pods, `new` (just started) and `old`, and all who ask them.

    Attributes:
        period: seconds between two probes of the kubelet, each.
        users: users' requests a second and pod.
        patience: real seconds for which everybody waits for an answer.
    """

    ports: dict[str, int]
    period: float = 1.0
    patience: float = 5.0
    users: float = 0.0
    clock: Clock = field(default_factory=Clock)
    served: int = 0
    last: dict[str, CounterSample] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        """Start a guard, and let the rollout begin."""
        self.session = aiohttp.ClientSession()
        began = self._began = self.clock.at
        self.pods = [
            pod("new", self.ports["new"], started=began, period=self.period),
            pod("old", self.ports["old"], started=began - 5000.0, period=self.period),
        ]
        self.state: CountedState = counted.begin(CHECK, Frame(began))
        self._queue: list[tuple[float, int, float, Callable[[], Awaitable[None]]]] = []
        self._order = itertools.count()
        self.start_guard()
        self._plan()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End every connection."""
        await self.stop_guard()
        await self.session.close()

    def start_guard(self) -> None:
        """A guard that knows nothing of one before it but its record (`state`)."""
        ledger = Ledger(self.clock)
        self.scraper = Scraper(ledger, self.clock, PROMETHEUS)
        self.prober = HealthProber(ledger, self.clock)
        self.scraper._pages = Pages(ledger, self.clock, self.patience)
        self.burst = Burst(
            (self.scraper,), CHECK.objective.sli, Scrape(asked=frozenset({"/health"}))
        )

    async def stop_guard(self) -> None:
        await self.burst.close()
        await self.scraper.close()
        await self.prober.close()

    async def run(self, seconds: float, *, users: float | None = None) -> None:
        """Let so much time pass; `users`: requests a second and pod from now on."""
        if users is not None:
            self.users = users
            self._at(0.0, self._user)
        end = self.clock.at + seconds
        while self._queue and self._queue[0][0] <= end:
            due = [heapq.heappop(self._queue)]
            while self._queue and self._queue[0][0] <= due[0][0]:
                due.append(heapq.heappop(self._queue))
            self.clock.at = due[0][0]
            await asyncio.gather(*(action() for _, _, _, action in due))
            for at, _, every, action in due:
                if every > 0.0:
                    self._push(at + every, every, action)
        self.clock.at = end

    @property
    def counted(self) -> tuple[int, int]:
        """Users' requests that were counted: the candidate's and the stable revision's."""
        return self.state.sums.total, self.state.sums.stable_total

    def _plan(self) -> None:
        for number, one in enumerate(self.pods):
            port = self.ports[one.uid]
            for probe, phase in zip(one.probes, (0.25, 0.25 + 0.5 * number), strict=True):
                self._at(phase, self._get(port, probe.path), every=self.period)
            self._at(0.5 + number, self._get(port, "/metrics"), every=PROMETHEUS.interval)
            self._at(0.5, self._health(one), every=HEALTH.every)
        self._at(0.5, self._tick)

    def _at(self, after: float, action: Callable[[], Awaitable[None]], every: float = 0.0) -> None:
        self._push(self.clock.at + after, every, action)

    def _push(self, at: float, every: float, action: Callable[[], Awaitable[None]]) -> None:
        heapq.heappush(self._queue, (at, next(self._order), every, action))

    def _get(self, port: int, path: str) -> Callable[[], Awaitable[None]]:
        async def get() -> None:
            with suppress(TimeoutError):
                async with (
                    asyncio.timeout(self.patience),
                    self.session.get(f"http://127.0.0.1:{port}{path}") as answer,
                ):
                    await answer.read()

        return get

    def _health(self, one: Pod) -> Callable[[], Awaitable[None]]:
        async def probe() -> None:
            await self.prober.probe(replace(HEALTH, timeout=self.patience), one)

        return probe

    async def _user(self) -> None:
        if self.users <= 0.0:
            return
        self._at(1.0 / self.users, self._user)
        self.served += 1
        await asyncio.gather(*(self._get(port, "/buy")() for port in self.ports.values()))

    async def _tick(self) -> None:
        self._at(rhythm(self.clock.at - self._began), self._tick)
        self.last, _ = await self.burst.read(self.pods)
        snapshot = Snapshot(
            WorkloadId("local", "shop", "shop"),
            "uid",
            2,
            self.clock.at,
            Revision("new", "new", 2, "rs", self._began),
            2,
            pods=tuple(self.pods),
        )
        tick = Tick(
            self.clock.at,
            snapshot,
            frozenset({"new"}),
            frozenset({"old"}),
            counters={CHECK.name: self.last},
        )
        self.state = counted.update(self.state, tick)
