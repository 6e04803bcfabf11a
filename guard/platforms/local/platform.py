"""The local platform: workloads of real HTTP servers in this process, for the demo and for tests.

It keeps the contract of `engine.ports.Platform` as Kubernetes does: level-triggered snapshots, a
rollback bound to the candidate it was decided on, and a known-good template of the guard's own.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp

from guard.core.actions import (
    Intent,
    KnownGood,
    Outcome,
    OutcomeKind,
    PauseIntent,
    Rehearsal,
    Rights,
)
from guard.core.errors import PermanentError, TemporaryError
from guard.core.workloads import Gone, Snapshot, WorkloadId
from guard.platforms.local.store import Store
from guard.platforms.local.template import Template
from guard.platforms.local.workload import Labels, LocalWorkload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping

NAME = "local"


class Local:
    """Runs workloads, and lets a guard watch them and act on them."""

    name = NAME

    def __init__(self, store: Store | None = None, now: Callable[[], float] = time.time) -> None:
        """Start without workloads; without a store, what is kept ends with the process."""
        self._store = store or Store()
        self._now = now
        self._workloads: dict[WorkloadId, LocalWorkload] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._followed: frozenset[WorkloadId] = frozenset()
        self._watches: set[_Watch] = set()
        self._kubelet: aiohttp.ClientSession | None = None

    # What people do.

    def apply(
        self, workload: WorkloadId, template: Template, replicas: int = 1, cause: str = ""
    ) -> None:
        """Create a workload, or put another template and number of pods in force."""
        found = self._workloads.get(workload)
        if found is None:
            found = LocalWorkload(
                workload, template, replicas, lambda: self._changed(workload), self._now
            )
            self._workloads[workload] = found
            self._start(found)
            self._changed(workload)
            return
        found.apply(template, cause)
        found.scale(replicas)

    def label(self, workload: WorkloadId, labels: Labels) -> None:
        """Replace what people set on a workload."""
        self._workloads[workload].label(labels)

    def delete(self, workload: WorkloadId) -> None:
        """Delete a workload; its pods drain."""
        self._workloads.pop(workload).delete()
        self._changed(workload)

    def endpoints(self, workload: WorkloadId) -> list[int]:
        """The ports on 127.0.0.1 of the pods that users are sent to now."""
        found = self._workloads.get(workload)
        return found.endpoints if found else []

    def snapshot(self, workload: WorkloadId) -> Snapshot | Gone:
        """The whole truth about a workload now."""
        found = self._workloads.get(workload)
        return found.snapshot() if found else Gone(workload, self._now())

    async def until(
        self, workload: WorkloadId, wanted: Callable[[Snapshot], bool]
    ) -> Snapshot | None:
        """Wait for a snapshot of a workload that is as wanted; None where the platform closes."""
        with self._watching((workload,)) as watch:
            while (changed := await watch.next()) is not None:
                item = self.snapshot(workload)
                if changed == workload and isinstance(item, Snapshot) and wanted(item):
                    return item
        return None

    # What the guard asks.

    @property
    def trouble(self) -> str:
        """Nothing: its workloads are in this process."""
        return ""

    def follow(self, workloads: frozenset[WorkloadId]) -> None:
        """Name the workloads of the SLO files."""
        self._followed = workloads
        for workload in self._workloads:
            self._changed(workload)

    async def watch(self) -> AsyncIterator[Snapshot | Gone]:
        """Yield a followed workload whenever it changed; first all of them."""
        seen: set[WorkloadId] = set()
        with self._watching(self._workloads) as watch:
            while (workload := await watch.next()) is not None:
                item = self.snapshot(workload)
                if isinstance(item, Gone):
                    if workload in seen:
                        seen.discard(workload)
                        yield item
                elif workload in self._followed or item.opted_in or workload in seen:
                    # One that is followed no longer is shown all the same: the guard leaves it.
                    seen.add(workload)
                    yield item

    async def rehearse(self, intent: Intent) -> Rehearsal:
        """Say what a rollback by this intent would come to."""
        answer = await self._possible(intent)
        if isinstance(answer, Outcome):
            possible = None if answer.kind is OutcomeKind.UNAVAILABLE else False
            return Rehearsal(possible, answer.at, answer.detail)
        target = intent.known_good.revision.hash
        return Rehearsal(possible=True, at=self._now(), detail=f"rollback to {target} rehearsed")

    async def rollback(self, intent: Intent) -> Outcome:
        """Put the known-good template back, if the intent's candidate is still in force."""
        answer = await self._possible(intent)
        if isinstance(answer, Outcome):
            return answer
        workload, template = answer
        workload.apply(template, intent.cause, intent.id)
        return Outcome(OutcomeKind.PATCHED, self._now(), "the known-good template was put back")

    async def pause(self, intent: PauseIntent) -> Outcome:
        """Hold the rollout where it is, if the intent's candidate is in force."""
        workload = self._in_force(intent)
        if workload is None:
            return self._outcome(OutcomeKind.SUPERSEDED, "another template is in force")
        held = workload.paused
        if held is not None and held.candidate == intent.candidate.hash:
            return self._outcome(OutcomeKind.ALREADY, "held before", by_guard=True)
        workload.pause()
        return self._outcome(OutcomeKind.PATCHED, "held")

    async def resume(self, intent: PauseIntent) -> Outcome:
        """Let the rollout go on, if the intent's candidate is in force."""
        workload = self._in_force(intent)
        if workload is None:
            return self._outcome(OutcomeKind.SUPERSEDED, "another template is in force")
        if workload.paused is None:
            return self._outcome(OutcomeKind.ALREADY, "not held", by_guard=True)
        workload.resume()
        return self._outcome(OutcomeKind.PATCHED, "let go on")

    async def keep(self, snapshot: Snapshot, known_good: KnownGood) -> bool:
        """Keep the template now in force as the known good one."""
        workload = self._workloads.get(snapshot.workload)
        revision = known_good.revision.hash
        if workload is None or workload.uid != snapshot.uid or workload.revision.hash != revision:
            return False
        await self._store.keep(workload.id, workload.uid, revision, workload.template.text)
        return True

    async def load(self, workload: WorkloadId, uid: str) -> Mapping[str, str]:
        """The stored documents of this very workload."""
        return await self._store.load(workload, uid)

    async def save(self, workload: WorkloadId, uid: str, documents: Mapping[str, str]) -> None:
        """Replace the stored documents."""
        await self._store.save(workload, uid, documents)

    async def forget(self, workload: WorkloadId) -> None:
        """Drop what is stored of a workload that is gone; a new one of that name keeps its own."""
        living = self._workloads.get(workload)
        await self._store.forget(workload, living.uid if living else "")

    async def rights(self, workload: WorkloadId) -> Rights:
        """The guard may do everything here to a workload that there is."""
        return Rights(may_patch=workload in self._workloads)

    async def stated(self, workload: WorkloadId) -> tuple[str, ...]:  # noqa: ARG002 - the port's
        """No manifest but the templates themselves."""
        return ()

    async def close(self) -> None:
        """End every pod, watch and connection. Idempotent."""
        for watch in self._watches:
            watch.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._workloads.clear()
        if self._kubelet is not None:
            await self._kubelet.close()
        await self._store.close()

    # Inside.

    def _in_force(self, intent: PauseIntent) -> LocalWorkload | None:
        """The workload, where the intent's candidate is its template."""
        found = self._workloads.get(intent.workload)
        if found is None or found.uid != intent.uid:
            return None
        return found if found.revision.hash == intent.candidate.hash else None

    async def _possible(self, intent: Intent) -> tuple[LocalWorkload, Template] | Outcome:
        """The workload and the template to put back, or what stands against it."""
        good = intent.known_good.revision
        try:
            text = await self._store.kept(intent.workload, intent.uid, good.hash)
            template = Template.read(text) if text is not None else None
        except TemporaryError as error:
            return self._outcome(OutcomeKind.UNAVAILABLE, str(error))
        except PermanentError as error:
            return self._outcome(OutcomeKind.REFUSED, str(error))
        # From here on nothing awaits: what is compared is what is changed.
        workload = self._workloads.get(intent.workload)
        if workload is None or workload.uid != intent.uid:
            return self._outcome(OutcomeKind.SUPERSEDED, "this workload is gone")
        current = workload.revision
        if current.content == good.content:
            by_guard = workload.intent == intent.id
            return self._outcome(OutcomeKind.ALREADY, "in force already", by_guard=by_guard)
        if current.hash != intent.candidate.hash:
            return self._outcome(OutcomeKind.SUPERSEDED, f"{current.hash} is in force")
        if template is None:
            return self._outcome(OutcomeKind.REFUSED, f"no template of {good.hash} is kept")
        return workload, template

    def _outcome(self, kind: OutcomeKind, detail: str, *, by_guard: bool = False) -> Outcome:
        return Outcome(kind, self._now(), detail, by_guard=by_guard)

    def _start(self, workload: LocalWorkload) -> None:
        if self._kubelet is None:
            # No connection is kept: one that a pod closes meanwhile would look like a failure.
            self._kubelet = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True, limit=0)
            )
        task = asyncio.create_task(workload.run(self._kubelet), name=f"workload:{workload.id}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()  # A defect reaches the loop's exception handler, and is not lost.

    @contextmanager
    def _watching(self, workloads: Iterable[WorkloadId]) -> Iterator[_Watch]:
        watch = _Watch(workloads)
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    def _changed(self, workload: WorkloadId) -> None:
        for watch in self._watches:
            watch.mark(workload)


class _Watch:
    """Which workloads one watcher has not seen since they changed."""

    def __init__(self, workloads: Iterable[WorkloadId]) -> None:
        self._changed: dict[WorkloadId, None] = dict.fromkeys(workloads)
        self._any = asyncio.Event()
        self._closed = False
        self._any.set()

    def mark(self, workload: WorkloadId) -> None:
        self._changed[workload] = None
        self._any.set()

    def close(self) -> None:
        self._closed = True
        self._any.set()

    async def next(self) -> WorkloadId | None:
        """The workload that waited longest; None when the platform closed."""
        while not self._changed:
            self._any.clear()
            if self._closed:
                return None
            await self._any.wait()
        workload = next(iter(self._changed))
        del self._changed[workload]
        return workload
