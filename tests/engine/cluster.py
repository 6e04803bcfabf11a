"""A cluster that outlives the guard: workloads, users' requests and the guard's store, all virtual.

It is the only double of these tests besides the channels: everything of the engine is real. A
guard gets a `Connection` of its own, which dies with it.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from guard.core.actions import (
    Intent,
    KnownGood,
    Outcome,
    OutcomeKind,
    PauseIntent,
    Rehearsal,
    Rights,
)
from guard.core.samples import NoData, NoDataReason, Reading, Unavailable, UnavailableReason
from guard.core.ticks import ProbeAnswer
from guard.core.workloads import (
    Container,
    Gone,
    GuardPause,
    Mode,
    Pod,
    Revision,
    Snapshot,
    WorkloadId,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from guard.core.errors import GuardError
    from guard.core.policy import Health, Promql, Scrape, Sli
    from guard.core.samples import CounterSample, Sample

EPOCH = 1_700_000_000.0
STEP_AFTER = 0.5
"""Seconds after which the controller of a stepwise workload brings up all others after the first
pod, or the next one where it brings them up singly."""
AUTH = WorkloadId("kubernetes", "shop", "auth-service")


def now() -> float:
    """The wall clock of these tests: it follows the loop's virtual time."""
    return EPOCH + asyncio.get_running_loop().time()


@dataclass
class Traffic:
    """What users ask of one content, requests a second and the share that fails.

    A share fails from so many seconds of a pod's readiness on, for so many seconds.
    """

    rate: float = 12.5
    errors: float = 0.0
    since: float = 0.0
    lasts: float = math.inf


@dataclass
class Deployment:
    """One workload; `ready_after` and `drain_after` in seconds shape its rollouts."""

    cluster: Cluster
    id: WorkloadId
    uid: str
    replicas: int = 2
    ready_after: float = 1.0
    drain_after: float = 30.0
    mode: Mode | None = None
    opted_in: bool = False
    paused: bool = False
    itself: bool = False
    migration: str | None = None
    observed: bool = True
    pause: GuardPause | None = None
    stepwise: bool = False
    singly: bool = False
    intent: str = ""
    generation: int = 0
    revisions: list[Revision] = field(default_factory=list)
    pods: list[Pod] = field(default_factory=list)

    @property
    def current(self) -> Revision:
        return self.revisions[0]

    @property
    def complete(self) -> bool:
        mine = [pod for pod in self.pods if pod.revision == self.current.hash and pod.ready]
        return self.pause is None and len(mine) == self.replicas == len(self.pods)

    def apply(self, content: str, name: str | None = None) -> None:
        """Put a template in force; `name` tells templates of one content apart (a restart)."""
        name = name or content
        if self.revisions and self.current.hash == name:
            return
        number = self.revisions[0].number + 1 if self.revisions else 1
        others = [revision for revision in self.revisions if revision.hash != name]
        if self.held:
            # The controller itself removes the held candidate first.
            self.pods = [pod for pod in self.pods if pod.revision != self.current.hash]
        revision = Revision(name, f"content-{content}", number, f"rs-{name}", now())
        self.revisions = [revision, *others]
        self.generation += 1
        self._spawn(revision)
        self.changed()

    def _spawn(self, revision: Revision, *, going_on: bool = False) -> None:
        mine = sum(pod.revision == revision.hash for pod in self.pods)
        missing = self.replicas - mine
        if self.stepwise and not going_on and any(p.revision != revision.hash for p in self.pods):
            missing = min(missing, 0 if mine else 1)
            asyncio.get_running_loop().call_later(STEP_AFTER, self._go_on, revision)
        elif going_on and self.singly and missing > 1:
            missing = 1
            asyncio.get_running_loop().call_later(STEP_AFTER, self._go_on, revision)
        for _ in range(missing):
            number = next(self.cluster.numbers)
            uid = f"pod-{number}"
            container = Container("app", started_at=now())
            self.pods.append(
                Pod(
                    uid=uid,
                    name=uid,
                    namespace=self.id.namespace,
                    revision=revision.hash,
                    created_at=now(),
                    address=f"10.0.0.{number}",
                    containers=(container,),
                )
            )
        loop = asyncio.get_running_loop()
        loop.call_later(self.ready_after, self._ready, revision)
        loop.call_later(self.ready_after + self.drain_after, self._drained, revision)

    def _go_on(self, revision: Revision) -> None:
        """The controller's next step, which a pause prevents."""
        if revision == self.current and not self.held:
            self._spawn(revision, going_on=True)
            self.changed()

    @property
    def held(self) -> bool:
        return self.pause is not None and self.pause.in_force

    def hold(self, hash_: str) -> None:
        """Hold the template in force at its first pods, as the guard does."""
        self.pause = GuardPause(hash_, now(), previous="as it was")
        self.changed()

    def let_go(self, *, marks: bool = False) -> None:
        """Let it go on; `marks`: only the fields were changed, and the guard's marks stay."""
        assert self.pause is not None
        self.pause = replace(self.pause, in_force=False) if marks else None
        self._go_on(self.current)
        self.changed()

    def _ready(self, revision: Revision) -> None:
        if revision == self.current and not self.cluster.never_ready.get(revision.content):
            self.pods = [
                replace(pod, ready=True, ready_at=pod.ready_at or now())
                if pod.revision == revision.hash
                else pod
                for pod in self.pods
            ]
            self.changed()

    def _drained(self, revision: Revision) -> None:
        mine = [pod for pod in self.pods if pod.revision == revision.hash]
        if not self.held and revision == self.current and all(pod.ready for pod in mine):
            self.pods = mine
            self.changed()

    def scale(self, replicas: int) -> None:
        self.replicas = replicas
        mine = [pod for pod in self.pods if pod.revision == self.current.hash]
        self.pods = mine[:replicas]
        self._spawn(self.current)
        self.changed()

    def label(self, mode: Mode | None) -> None:
        self.mode = mode
        self.changed()

    def changed(self) -> None:
        self.cluster.changed(self.id)

    def snapshot(self) -> Snapshot:
        return Snapshot(
            workload=self.id,
            uid=self.uid,
            generation=self.generation,
            at=now(),
            current=self.current,
            replicas=self.replicas,
            revisions=tuple(self.revisions),
            pods=tuple(self.pods),
            complete=self.complete,
            progress_deadline=60.0,
            observed=self.observed,
            paused=self.paused,
            mode=self.mode,
            opted_in=self.opted_in,
            migration=self.migration,
            itself=self.itself,
            pause=self.pause,
        )


@dataclass
class Try:
    """What people had set when a guard tried to roll back, and what its store held."""

    intent: Intent
    mode: Mode | None
    paused: bool
    written: bool


@dataclass
class Call:
    """One call of a guard, and what it came to."""

    at: float
    name: str
    what: str = ""


class Cluster:
    """Everything outside the guard."""

    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.workloads: dict[WorkloadId, Deployment] = {}
        self.documents: dict[WorkloadId, tuple[str, dict[str, str]]] = {}
        self.kept: dict[tuple[WorkloadId, str], str] = {}
        self.kept_before: dict[tuple[WorkloadId, str], str] = {}
        self.traffic: dict[str, Traffic] = {}
        self.never_ready: dict[str, bool] = {}
        self.health: dict[str, int] = {}
        self.calls: list[Call] = []
        self.watchers: list[asyncio.Queue[WorkloadId]] = []
        self.patches: list[str] = []
        self.undone: list[tuple[str, str]] = []
        self.tries: list[Try] = []
        self.pause_refused = ""
        self.rights = Rights(may_patch=True)
        self.hashed_anew = ""

    def create(
        self, content: str = "good", workload: WorkloadId = AUTH, **more: object
    ) -> Deployment:
        uid = f"uid-{next(self.numbers)}"
        deployment = Deployment(self, workload, uid, **more)  # type: ignore[arg-type]  # a double
        self.workloads[workload] = deployment
        deployment.apply(content)
        return deployment

    def create_serving(
        self, content: str = "good", workload: WorkloadId = AUTH, **more: Any
    ) -> Deployment:
        """A workload that has served for a while."""
        deployment = self.create(content, workload, **more)
        deployment._ready(deployment.current)
        return deployment

    def delete(self, workload: WorkloadId = AUTH) -> None:
        del self.workloads[workload]
        self.changed(workload)

    def changed(self, workload: WorkloadId) -> None:
        for queue in self.watchers:
            queue.put_nowait(workload)

    def counts(self, pod: Pod) -> tuple[float, float]:
        """Requests that a pod has answered so far: all, and the failed ones."""
        content = pod.revision.partition("~")[0]
        traffic = self.traffic.get(content, Traffic())
        seconds = now() - pod.ready_at if pod.ready_at is not None else 0.0
        total = float(int(seconds * traffic.rate))
        failing = min(max(seconds - traffic.since, 0.0), traffic.lasts)
        return total, float(int(int(failing * traffic.rate) * traffic.errors))

    def named(self, name: str) -> list[Call]:
        return [call for call in self.calls if call.name == name]


class Connection:
    """One guard's platform. `fail` and `hang` by call name; `die` stops the guard at a call."""

    name = "kubernetes"

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.followed: frozenset[WorkloadId] = frozenset()
        self.trouble = ""
        self.fail: dict[str, GuardError] = {}
        self.hang: set[str] = set()
        self.slow: dict[str, float] = {}
        self.dead = asyncio.Event()
        self.die_at: tuple[str, int, str] | None = None
        self.terminate: Callable[[], object] | None = None
        self.made: Counter[str] = Counter()
        self.end_watch = asyncio.Event()

    async def _call(self, name: str, what: str, act: Callable[[], object]) -> object:
        self.made[name] += 1
        number = self.made[name]
        await self._death((name, number, "before"))
        if name in self.slow:
            await asyncio.sleep(self.slow[name])
        if name in self.hang:
            await asyncio.Event().wait()
        if name in self.fail:
            raise self.fail[name]
        await asyncio.sleep(0.01)
        result = act()
        self.cluster.calls.append(Call(now(), name, what))
        await self._death((name, number, "after"))
        return result

    async def _death(self, point: tuple[str, int, str]) -> None:
        """A killed process neither hears an answer nor sends anything more."""
        if point == self.die_at and self.terminate is not None:
            self.terminate()
            await asyncio.sleep(0)
        elif point == self.die_at:
            self.dead.set()
        if self.dead.is_set():
            await asyncio.Event().wait()

    # The port.

    def follow(self, workloads: frozenset[WorkloadId]) -> None:
        self.followed = workloads
        for workload in self.cluster.workloads:
            self.cluster.changed(workload)

    async def watch(self) -> AsyncIterator[Snapshot | Gone]:
        queue: asyncio.Queue[WorkloadId] = asyncio.Queue()
        self.cluster.watchers.append(queue)
        for workload in self.cluster.workloads:
            queue.put_nowait(workload)
        seen: set[WorkloadId] = set()
        try:
            while not self.end_watch.is_set():
                workload = await queue.get()
                broken = self.fail.pop("watch", None)
                if broken is not None:
                    raise broken
                found = self.cluster.workloads.get(workload)
                if found is None and workload in seen:
                    yield Gone(workload, now())
                elif found is not None and (
                    workload in self.followed or workload in seen or found.opted_in
                ):
                    seen.add(workload)
                    yield found.snapshot()
        finally:
            self.cluster.watchers.remove(queue)

    async def rehearse(self, intent: Intent) -> Rehearsal:
        kept = self.cluster.kept.get((intent.workload, intent.uid))
        possible = kept == intent.known_good.revision.hash
        detail = "rehearsed" if possible else "would be refused: nothing kept"
        done = Rehearsal(possible, now(), detail)
        await self._call("rehearse", intent.id, lambda: None)
        return done

    async def rollback(self, intent: Intent) -> Outcome:
        workload = self.cluster.workloads.get(intent.workload)
        owner, documents = self.cluster.documents.get(intent.workload, ("", {}))
        written = owner == intent.uid and any(intent.id in text for text in documents.values())
        if workload is not None and not self.dead.is_set():
            tried = Try(intent, workload.mode, workload.paused, written)
            self.cluster.tries.append(tried)
        outcome = await self._call("rollback", intent.id, lambda: self._rolled_back(intent))
        assert isinstance(outcome, Outcome)
        return outcome

    def _rolled_back(self, intent: Intent) -> Outcome:
        workload = self.cluster.workloads.get(intent.workload)
        good = intent.known_good.revision
        if workload is None or workload.uid != intent.uid:
            return Outcome(OutcomeKind.SUPERSEDED, now(), "gone")
        if workload.intent == intent.id:
            return Outcome(OutcomeKind.ALREADY, now(), "before", by_guard=True)
        if workload.current.content == good.content:
            return Outcome(OutcomeKind.ALREADY, now(), "by someone else")
        if workload.current.content != intent.candidate.content:
            return Outcome(OutcomeKind.SUPERSEDED, now(), "another template")
        key = (intent.workload, intent.uid)
        if good.hash not in {self.cluster.kept.get(key), self.cluster.kept_before.get(key)}:
            return Outcome(OutcomeKind.REFUSED, now(), "nothing kept")
        workload.intent = intent.id
        workload.pause = None
        self.cluster.patches.append(intent.id)
        self.cluster.undone.append((intent.uid, intent.candidate.content))
        workload.apply(good.content.removeprefix("content-"), good.hash + self.cluster.hashed_anew)
        return Outcome(OutcomeKind.PATCHED, now(), "put back")

    async def pause(self, intent: PauseIntent) -> Outcome:
        def act() -> Outcome:
            workload = self.cluster.workloads.get(intent.workload)
            if workload is None or workload.current.hash != intent.candidate.hash:
                return Outcome(OutcomeKind.SUPERSEDED, now(), "another template")
            if workload.paused:
                return Outcome(OutcomeKind.UNAVAILABLE, now(), "a person paused it")
            if self.cluster.pause_refused:
                return Outcome(OutcomeKind.REFUSED, now(), self.cluster.pause_refused)
            held = workload.pause
            if held is not None and held.in_force and held.candidate == intent.candidate.hash:
                return Outcome(OutcomeKind.ALREADY, now(), "held", by_guard=True)
            workload.hold(intent.candidate.hash)
            return Outcome(OutcomeKind.PATCHED, now(), "held")

        outcome = await self._call("pause", intent.candidate.hash, act)
        assert isinstance(outcome, Outcome)
        return outcome

    async def resume(self, intent: PauseIntent) -> Outcome:
        def act() -> Outcome:
            workload = self.cluster.workloads.get(intent.workload)
            if workload is None or workload.current.hash != intent.candidate.hash:
                return Outcome(OutcomeKind.SUPERSEDED, now(), "another template")
            if workload.paused:
                return Outcome(OutcomeKind.UNAVAILABLE, now(), "a person paused it")
            if workload.pause is None:
                return Outcome(OutcomeKind.ALREADY, now(), "not held")
            workload.let_go()
            return Outcome(OutcomeKind.PATCHED, now(), "let go")

        outcome = await self._call("resume", intent.previous, act)
        assert isinstance(outcome, Outcome)
        return outcome

    async def keep(self, snapshot: Snapshot, known_good: KnownGood) -> bool:
        def act() -> bool:
            workload = self.cluster.workloads.get(snapshot.workload)
            if workload is None or workload.current.hash != known_good.revision.hash:
                return False
            key, kept = (snapshot.workload, snapshot.uid), known_good.revision.hash
            if self.cluster.kept.get(key, kept) != kept:
                self.cluster.kept_before[key] = self.cluster.kept[key]
            self.cluster.kept[key] = kept
            return True

        return bool(await self._call("keep", known_good.revision.hash, act))

    async def load(self, workload: WorkloadId, uid: str) -> Mapping[str, str]:
        def act() -> dict[str, str]:
            owner, documents = self.cluster.documents.get(workload, ("", {}))
            return dict(documents) if owner == uid else {}

        found = await self._call("load", uid, act)
        assert isinstance(found, dict)
        return found

    async def save(self, workload: WorkloadId, uid: str, documents: Mapping[str, str]) -> None:
        def act() -> None:
            self.cluster.documents[workload] = (uid, dict(documents))

        await self._call("save", "\n".join(documents.values()), act)

    async def forget(self, workload: WorkloadId) -> None:
        def act() -> None:
            living = self.cluster.workloads.get(workload)
            owner, _ = self.cluster.documents.get(workload, ("", {}))
            if owner and (living is None or living.uid != owner):
                del self.cluster.documents[workload]

        await self._call("forget", str(workload), act)

    async def rights(self, workload: WorkloadId) -> Rights:
        await self._call("rights", str(workload), lambda: None)
        return self.cluster.rights

    async def close(self) -> None:
        """Nothing is held open."""


class Source:
    """A source of counters, `scrape` or `prometheus`."""

    def __init__(self, cluster: Cluster, name: str = "scrape") -> None:
        self.name = name
        self.cluster = cluster
        self.down = False
        self.delay = 0.01
        self.hanging: set[str] = set()
        self.unknown: set[str] = set()
        self.without_counter = False
        self.defect = False
        self.asked: list[tuple[float, frozenset[str]]] = []

    async def read(
        self, sli: Sli, pods: Sequence[Pod], scrape: Scrape
    ) -> Mapping[str, CounterSample]:
        self.asked.append((now(), frozenset(pod.uid for pod in pods)))
        if self.defect:
            message = "a defect of a source"
            raise RuntimeError(message)
        await asyncio.sleep(self.delay)
        if any(pod.uid in self.hanging for pod in pods):
            await asyncio.sleep(2.0)
        return {key: sample for pod in pods for key, sample in self._pod(pod)}

    def _pod(self, pod: Pod) -> list[tuple[str, CounterSample]]:
        if self.down or pod.uid in self.hanging:
            return [(f"{pod.uid}/", Unavailable(UnavailableReason.TIMEOUT))]
        if pod.uid in self.unknown:
            return []
        if pod.ready_at is None:
            return [(f"{pod.uid}/", Unavailable(UnavailableReason.REFUSED))]
        if self.without_counter:
            return [(f"{pod.uid}/app", NoData(NoDataReason.NO_SERIES, "no such counter"))]
        total, bad = self.cluster.counts(pod)
        reading = Reading(
            total, bad, now(), self.name, process_start=pod.created_at, paths_known=True
        )
        return [(f"{pod.uid}/app", reading)]


class Prober:
    """Health endpoints; `cluster.health` by content, 200 without an entry."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.at: list[float] = []
        self.delay = 0.0

    async def probe(self, check: Health, pod: Pod) -> ProbeAnswer | None:
        self.at.append(now())
        await asyncio.sleep(self.delay)
        status = self.cluster.health.get(pod.revision, 200)
        return ProbeAnswer(now(), status, port=8080) if status else None


class Expressions:
    """Free PromQL: answers with `sample`, made anew at each evaluation."""

    def __init__(self, sample: Callable[[], Sample]) -> None:
        self.sample = sample
        self.at: list[float] = []

    async def evaluate(
        self, check: Promql, candidate: Sequence[Pod], stable: Sequence[Pod]
    ) -> Sample:
        self.at.append(now())
        return self.sample()
