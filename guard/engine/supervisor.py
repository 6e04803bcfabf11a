"""The supervisor: hands every snapshot to its workload's warden, and every change to all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from typing import TYPE_CHECKING

import structlog

from guard.core.errors import TemporaryError
from guard.core.workloads import Gone
from guard.engine.rights import AGAIN, EVERY, ask
from guard.engine.tasks import persist
from guard.engine.warden import Warden

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guard.core.policy import Service
    from guard.core.workloads import WorkloadId
    from guard.engine.catalogue import Catalogue
    from guard.engine.world import World

STOP_WITHIN = 2.5
"""Seconds that the wardens have for their last checkpoints."""
DRAIN_WITHIN = 1.0
"""Seconds that the channels have for the last notices."""
NOTHING_THERE_AFTER = 10.0
"""Seconds of watching without a single workload after which there is none to guard yet."""

UNSEEN = "no workload has been seen yet"

log = structlog.get_logger("guard.supervisor")


class Supervisor:
    """Runs the engine."""

    def __init__(self, world: World, catalogue: Catalogue) -> None:
        """Take what `guard.app` built."""
        self._world = world
        self._catalogue = catalogue
        self._wardens: dict[WorkloadId, Warden] = {}
        self._tasks: dict[WorkloadId, asyncio.Task[None]] = {}
        self._seen = False
        self._watching_since: float | None = None
        world.metrics.circuit.set_function(lambda: float(world.circuit.open))
        world.metrics.workloads.set_function(self._guarded)

    @property
    def unready(self) -> str:
        """Why the guard does not see its workloads yet; empty once it has, or there are none."""
        trouble = self._world.platform.trouble
        since = self._watching_since
        waited = since is not None and self._world.now() - since >= NOTHING_THERE_AFTER
        if self._seen or (waited and not trouble):
            return ""
        return f"{UNSEEN}: {trouble}" if trouble else UNSEEN

    async def run(self) -> None:
        """Watch until cancelled; then every warden stops with its last checkpoint."""
        metrics = self._world.metrics
        delivery = asyncio.create_task(
            persist("deliver", self._world.deliver.run, metrics), name="deliver"
        )
        unseen = asyncio.create_task(persist("unseen", self._unseen, metrics), name="unseen")
        self._world.platform.follow(self._catalogue.workloads)
        try:
            await persist("watch", self._watch, metrics)
        finally:
            await self._stop(delivery, unseen)

    async def _stop(self, delivery: asyncio.Task[None], unseen: asyncio.Task[None]) -> None:
        tasks = [unseen, *self._tasks.values()]
        for task in tasks:
            task.cancel()
        _, late = await asyncio.wait(tasks, timeout=STOP_WITHIN)
        for task in late:
            log.error("not stopped in time", task=task.get_name())
        await self._world.deliver.drain(DRAIN_WITHIN)
        delivery.cancel()
        await asyncio.wait([delivery])

    def take(self, services: Iterable[Service]) -> None:
        """Put changed SLO files in force."""
        self._catalogue.replace(services)
        self._world.platform.follow(self._catalogue.workloads)
        for warden in self._wardens.values():
            warden.poke()

    async def _watch(self) -> None:
        self._watching_since = self._world.now()
        watching = self._world.platform.watch()
        try:
            async for item in watching:
                self._seen = True
                warden = self._warden(item.workload)
                if isinstance(item, Gone):
                    warden.gone()
                else:
                    warden.see(item)
        finally:
            if isinstance(watching, AsyncGenerator):
                await watching.aclose()
        # A guard that sees nothing any more must not look as if nothing happened.
        message = "the platform's watch ended by itself"
        raise TemporaryError(message)

    async def _unseen(self) -> None:
        """Say what the guard may not do to workloads of SLO files that it has never seen.

        Those that it sees are asked for by their wardens.
        """
        due: dict[WorkloadId, float] = {}
        while True:
            await asyncio.sleep(NOTHING_THERE_AFTER)
            unseen = self._catalogue.workloads - self._wardens.keys()
            for workload in due.keys() - unseen:
                del due[workload]
                if workload not in self._wardens:
                    self._world.metrics.forget(workload)
            for workload in sorted(unseen, key=str):
                if self._world.now() >= due.get(workload, 0.0):
                    answered = await ask(self._world, workload) is not None
                    due[workload] = self._world.now() + (EVERY if answered else AGAIN)

    def _warden(self, workload: WorkloadId) -> Warden:
        task = self._tasks.get(workload)
        if task is not None and not task.done():
            return self._wardens[workload]
        warden = Warden(self._world, self._catalogue, workload)
        name = f"warden:{workload}"
        run = persist(name, warden.run, self._world.metrics, warden.failing)
        task = asyncio.create_task(run, name=name)
        self._wardens[workload] = warden
        self._tasks[workload] = task
        task.add_done_callback(partial(self._sweep, workload))
        return warden

    def _sweep(self, workload: WorkloadId, task: asyncio.Task[None]) -> None:
        """Let go of a warden whose workload is gone, unless another one keeps it already."""
        if self._tasks.get(workload) is task:
            del self._tasks[workload], self._wardens[workload]

    def _guarded(self) -> float:
        return float(sum(warden.guarding for warden in self._wardens.values()))
