"""Writes one workload's documents: one write at a time, the newest last, beside everything else.

A store that hangs delays no tick, no decision and no notice. Only an intent waits until it is
written (law 6).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from guard.core.errors import GuardError
from guard.engine.tasks import persist
from guard.engine.troubles import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from guard.core.workloads import WorkloadId
    from guard.engine.troubles import Troubles
    from guard.engine.world import World

WRITE_WITHIN = 5.0
"""Seconds after which one attempt counts as failed, whatever the platform's own patience is."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
TOLD_AFTER = 30.0
"""Seconds of failing after which people are told, where nothing waits for the write."""

log = structlog.get_logger("guard.writer")


class Writer:
    """Brings one workload's documents to the platform's store."""

    def __init__(
        self,
        world: World,
        workload: WorkloadId,
        uid: str,
        documents: Callable[[], Mapping[str, str]],
        troubles: Troubles,
    ) -> None:
        """Take what gives the newest documents."""
        self._world = world
        self._workload = workload
        self._uid = uid
        self._documents = documents
        self._troubles = troubles
        self._lock = asyncio.Lock()
        self._newest = 0
        self._written = 0
        self._failing_since: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def changed(self) -> None:
        """Write soon. Never waits."""
        self._newest += 1
        if self._closed or (self._task is not None and not self._task.done()):
            return
        name = f"write:{self._workload}"
        self._task = asyncio.create_task(
            persist(name, self._until_written, self._world.metrics), name=name
        )

    async def now(self) -> bool:
        """Write what is known now, trying once. Returns whether it is in the store."""
        failure = await self._attempt(self._newest)
        if failure and not self._closed:
            self._troubles.open(Trouble.RECORD, failure)
        return not failure

    async def flush(self, seconds: float) -> bool:
        """Wait until everything is written, at most so long. Returns whether it is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._until_written()
        return self._written >= self._newest

    async def close(self) -> None:
        """Write no more, not even what is under way. Idempotent."""
        self._closed = True
        await self.halt()

    async def halt(self) -> None:
        """Drop what is under way; the next change is written again."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _until_written(self) -> None:
        pause = FIRST_PAUSE
        while self._written < self._newest and not self._closed:
            failure = await self._attempt(self._newest)
            if not failure:
                pause = FIRST_PAUSE
                continue
            since = self._failing_since
            if since is not None and self._world.now() - since >= TOLD_AFTER:
                self._troubles.open(Trouble.RECORD, failure)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _attempt(self, wanted: int) -> str:
        """Try once, unless another one wrote it meanwhile. Returns why it failed, if it did."""
        async with self._lock:
            if self._written >= wanted:
                return ""
            if self._closed:
                return "nothing is written any more"
            newest = self._newest
            try:
                await self._save()
            except (GuardError, TimeoutError) as error:
                return self._failed(str(error) or f"no answer within {WRITE_WITHIN:.0f} s")
            self._written = newest
            self._failing_since = None
            self._troubles.over(Trouble.RECORD)
            return ""

    async def _save(self) -> None:
        async with asyncio.timeout(WRITE_WITHIN):
            await self._world.platform.save(self._workload, self._uid, self._documents())

    def _failed(self, why: str) -> str:
        if self._failing_since is None:
            self._failing_since = self._world.now()
        self._world.metrics.record_failures.inc()
        log.warning("record not written", workload=str(self._workload), why=why)
        return why
