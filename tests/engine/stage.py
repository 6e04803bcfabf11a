"""A guard on a virtual cluster: what its users, its people and its killer do, in sentences."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from guard.core.notices import Stage as NoticeStage
from guard.core.policy import (
    Check,
    ErrorRatio,
    Health,
    Matcher,
    MatchOp,
    Objective,
    Pods,
    Policy,
    Ratio,
    Selector,
    Service,
)
from guard.core.states import Phase
from guard.core.workloads import Mode, WorkloadId
from guard.engine import codec
from guard.engine.board import Board
from guard.engine.catalogue import Catalogue
from guard.engine.deliver import Deliverer
from guard.engine.metrics import Metrics
from guard.engine.supervisor import Supervisor
from guard.engine.world import Circuit, Options, World
from tests.engine.cluster import (
    AUTH,
    Cluster,
    Connection,
    Deployment,
    Expressions,
    Prober,
    Source,
    Traffic,
    now,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from guard.core.errors import GuardError
    from guard.core.notices import Notice
    from guard.core.records import Memory, Record
    from guard.engine.ports import Alarms, History

TOTAL = Selector("http_requests_total", (), "http_requests_total")
BAD = replace(
    TOTAL,
    matchers=(Matcher("code", MatchOp.REGEX, "5.."),),
    text='http_requests_total{code=~"5.."}',
)
AVAILABILITY = Objective("availability", 0.999, 30 * 86400.0, Ratio(BAD, TOTAL))
ERRORS = ErrorRatio("availability", AVAILABILITY, above=0.01)
HEALTH = Health(path="/health", port=8080)
POLICY = Policy(
    service="auth-service",
    owner="team-identity",
    checks=(ERRORS, HEALTH, Pods()),
    bake=30.0,
    deadline=120.0,
    patience=20.0,
    trust_after=300.0,
    watch=0.0,
    pace=(),
)


def service(policy: Policy = POLICY, *workloads: WorkloadId) -> Service:
    return Service("auth-service", policy.owner, workloads or (AUTH,), (AVAILABILITY,), policy)


def default_policies(workload: WorkloadId) -> tuple[Policy, ...]:
    """As `guard.config.defaults`: one with a counter, the last one without any."""
    fallback = replace(POLICY, checks=(HEALTH, Pods()), by_default=True, service=workload.name)
    return (replace(fallback, checks=(ERRORS, HEALTH, Pods())), fallback)


class Channel:
    """A channel that may hang, fail or break; `got` holds what arrived, with when."""

    def __init__(self, name: str = "pager") -> None:
        self.name = name
        self.got: list[tuple[float, Notice]] = []
        self.tries = 0
        self.fail: list[BaseException] = []
        self.failing: GuardError | None = None
        self.hang = False

    async def send(self, notice: Notice) -> None:
        self.tries += 1
        if self.hang:
            await asyncio.Event().wait()
        if self.fail:
            raise self.fail.pop(0)
        if self.failing is not None:
            raise self.failing
        self.got.append((now(), notice))

    async def close(self) -> None:
        """Nothing is held open."""

    @property
    def titles(self) -> list[str]:
        return [notice.title for _, notice in self.got]

    @property
    def reasons(self) -> list[str]:
        return [notice.reason for _, notice in self.got]

    def of(self, reason: str) -> list[Notice]:
        return [notice for _, notice in self.got if notice.reason == reason]

    def open_stories(self) -> set[str]:
        """Keys of the stories that were opened and not resolved."""
        still: set[str] = set()
        for _, notice in self.got:
            if notice.stage in (NoticeStage.OPENED, NoticeStage.UPDATED):
                still.add(notice.key)
            elif notice.stage is NoticeStage.RESOLVED:
                still.discard(notice.key)
        return still


@dataclass
class Guard:
    """One guard's process."""

    connection: Connection
    world: World
    supervisor: Supervisor
    task: asyncio.Task[None]

    async def kill(self) -> None:
        """Kill it with -9: nothing it does from now on has any effect."""
        self.connection.dead.set()
        await self.stop()

    async def stop(self) -> None:
        """Stop it as SIGTERM does."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    def metric(self, name: str, **labels: str) -> float | None:
        return self.world.metrics.registry.get_sample_value(name, labels)


class Stage:
    """Cluster, sources, channel, and the guards that run one after another."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.channel = Channel()
        self.channels = [self.channel]
        self.scrape = Source(self.cluster)
        self.sources = [self.scrape]
        self.prober = Prober(self.cluster)
        self.expressions: Expressions | None = None
        self.alarms: Alarms | None = None
        self.history: History | None = None
        self.options = Options(mode=Mode.ACT)
        self.services: Iterable[Service] = (service(),)
        self.guards: list[Guard] = []

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def policy(self, **changes: Any) -> None:
        """Change the one SLO file before a guard starts."""
        self.services = (service(replace(POLICY, **changes)),)

    def checks(self, *checks: Check) -> None:
        self.policy(checks=checks)

    def errors(self, content: str, ratio: float, rate: float = 12.5) -> None:
        self.cluster.traffic[content] = Traffic(rate, ratio)

    def start(self, **connection: Any) -> Guard:
        """Start a guard's process."""
        connected = Connection(self.cluster)
        for name, value in connection.items():
            setattr(connected, name, value)
        metrics = Metrics("test")
        world = World(
            platform=connected,
            counters=tuple(self.sources),
            prober=self.prober,
            expressions=self.expressions,
            deliver=Deliverer(self.channels, metrics),
            board=Board(metrics),
            metrics=metrics,
            options=self.options,
            circuit=Circuit(self.options, now),
            now=now,
            alarms=self.alarms,
            history=self.history,
        )
        supervisor = Supervisor(world, Catalogue(self.services, default_policies))
        task = asyncio.create_task(supervisor.run())
        guard = Guard(connected, world, supervisor, task)
        self.guards.append(guard)
        return guard

    @contextlib.asynccontextmanager
    async def guarding(self, **connection: Any) -> AsyncIterator[Guard]:
        """A guard that has seen the workloads that are there."""
        guard = self.start(**connection)
        try:
            await asyncio.sleep(1.0)
            yield guard
        finally:
            await guard.stop()

    async def until(
        self, what: Callable[[], object], within: float = 600.0, every: float = 0.05
    ) -> float:
        """Wait in virtual time until something is so; returns after how many seconds."""
        began = self.loop.time()
        while not what():
            assert self.loop.time() - began < within, f"not within {within} s"
            await asyncio.sleep(every)
        return self.loop.time() - began

    # What was written.

    def stored(self, workload: WorkloadId = AUTH) -> tuple[Memory | None, tuple[Record, ...]]:
        owner, documents = self.cluster.documents.get(workload, ("", {}))
        return codec.decode(documents if owner == self.cluster.workloads[workload].uid else {})

    def memory(self, workload: WorkloadId = AUTH) -> Memory:
        memory, _ = self.stored(workload)
        assert memory is not None
        return memory

    def records(self, workload: WorkloadId = AUTH) -> list[Record]:
        return list(self.stored(workload)[1])

    def record(self, workload: WorkloadId = AUTH) -> Record:
        return self.records(workload)[-1]

    def phase(self, workload: WorkloadId = AUTH) -> Phase | None:
        """The phase of the newest rollout in the store."""
        records = self.records(workload)
        return records[-1].state.phase if records else None

    async def reaches(self, phase: Phase, within: float = 600.0) -> float:
        """Wait until the newest stored rollout is in a phase."""
        return await self.until(lambda: self.phase() is phase, within, within / 2000.0)

    def notes(self, kind: str) -> list[str]:
        return [note.text for note in self.record().timeline if note.kind == kind]


def saved_intents(cluster: Cluster) -> list[float]:
    """When a write held an intent that was not patched yet."""
    pattern = re.compile(r'"verify_by":null')
    return [
        call.at
        for call in cluster.named("save")
        if '"id":"rollback:' in call.what and pattern.search(call.what)
    ]


__all__ = ["Deployment", "Stage"]
