"""What the guard may do to a workload: asked at the start and hourly, beside everything else."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog

from guard.core.errors import GuardError
from guard.engine.tasks import persist

if TYPE_CHECKING:
    from guard.core.actions import Rights
    from guard.core.workloads import WorkloadId
    from guard.engine.keeper import Keeper
    from guard.engine.world import World

EVERY = 3600.0
AGAIN = 30.0
"""Seconds until it is asked again where the platform did not answer."""
ANSWER_WITHIN = 10.0

log = structlog.get_logger("guard.rights")


class RightsCheck:
    """Keeps one workload's rights current. No rollout waits for an answer."""

    def __init__(self, world: World, workload: WorkloadId) -> None:
        """Start with nothing asked."""
        self._world = world
        self._workload = workload
        self._due = 0.0
        self._task: asyncio.Task[None] | None = None

    def look(self, keeper: Keeper) -> None:
        """Ask if it is time to. Never waits."""
        under_way = self._task is not None and not self._task.done()
        if under_way or self._world.now() < self._due:
            return
        self._due = self._world.now() + EVERY
        name = f"rights:{self._workload}"
        ask = partial(self._ask, keeper)
        self._task = asyncio.create_task(persist(name, ask, self._world.metrics), name=name)

    def drop(self) -> None:
        """Drop a question under way, and ask anew at the next look. Never waits."""
        self._due = 0.0
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """Drop a question under way and wait for its end. Idempotent."""
        self.drop()
        task, self._task = self._task, None
        if task is not None:
            await asyncio.wait([task])

    async def _ask(self, keeper: Keeper) -> None:
        rights = await ask(self._world, self._workload)
        if rights is None:
            self._due = self._world.now() + AGAIN
        else:
            keeper.rights = rights


async def ask(world: World, workload: WorkloadId) -> Rights | None:
    """Ask what the guard may do to a workload, and show it; None where nobody answers."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            rights = await world.platform.rights(workload)
    except (GuardError, TimeoutError) as error:
        why = str(error) or f"no answer within {ANSWER_WITHIN:.0f} s"
        log.warning("rights not known", workload=str(workload), why=why)
        return None
    shown = world.metrics.rights_missing.labels(workload.namespace, workload.name)
    shown.set(len(rights.missing))
    if rights.missing:
        log.warning("rights missing", workload=str(workload), missing=list(rights.missing))
    return rights
