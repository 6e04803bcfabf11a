"""The supervisor: hands every snapshot to its workload's warden, and every change to all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from guard.core.workloads import Gone
from guard.engine.tasks import persist
from guard.engine.warden import Warden

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guard.core.policy import Service
    from guard.core.workloads import WorkloadId
    from guard.engine.catalogue import Catalogue
    from guard.engine.world import World

log = structlog.get_logger("guard.supervisor")


class Supervisor:
    """Runs the engine."""

    def __init__(self, world: World, catalogue: Catalogue) -> None:
        """Take what `guard.app` built."""
        self._world = world
        self._catalogue = catalogue
        self._wardens: dict[WorkloadId, Warden] = {}
        self._tasks: dict[WorkloadId, asyncio.Task[None]] = {}
        self.ready = False

    async def run(self) -> None:
        """Watch until cancelled; then every warden stops with its last checkpoint."""
        delivery = asyncio.create_task(self._world.deliver.run(), name="deliver")
        self._world.platform.follow(self._catalogue.workloads)
        try:
            await persist("watch", self._watch, self._world.metrics)
        finally:
            await self._stop(delivery)

    async def _stop(self, delivery: asyncio.Task[None]) -> None:
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        await self._world.deliver.drain(1.0)
        delivery.cancel()
        await asyncio.gather(delivery, return_exceptions=True)

    def take(self, services: Iterable[Service]) -> None:
        """Put changed SLO files in force."""
        self._catalogue.replace(services)
        self._world.platform.follow(self._catalogue.workloads)
        for warden in self._wardens.values():
            warden.poke()

    async def _watch(self) -> None:
        async for item in self._world.platform.watch():
            self.ready = True
            self._sweep()
            warden = self._warden(item.workload)
            if isinstance(item, Gone):
                warden.gone()
            else:
                warden.see(item)
            self._world.metrics.workloads.set(len(self._wardens))

    def _warden(self, workload: WorkloadId) -> Warden:
        warden = self._wardens.get(workload)
        if warden is None:
            warden = Warden(self._world, self._catalogue, workload)
            self._wardens[workload] = warden
            name = f"warden:{workload}"
            self._tasks[workload] = asyncio.create_task(
                persist(name, warden.run, self._world.metrics), name=name
            )
        return warden

    def _sweep(self) -> None:
        for workload, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[workload], self._wardens[workload]
