"""Delivery: every notice to every channel, each channel for itself.

A channel that hangs or fails delays neither a decision nor another channel: each has a queue
and a worker of its own, and `tell` only puts into queues.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import structlog

from guard.core.errors import GuardError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guard.core.notices import Notice
    from guard.engine.metrics import Metrics
    from guard.engine.ports import Channel

GIVE_UP_AFTER = 600.0
"""Seconds of trying after which a notice is dropped for a channel, loudly."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
WAITING_AT_MOST = 1000
"""Notices that wait for one channel; a channel this far behind is dead."""

log = structlog.get_logger("guard.deliver")


class Deliverer:
    """Sends notices through channels."""

    def __init__(self, channels: Sequence[Channel], metrics: Metrics) -> None:
        """Take the channels; `run` must be running for anything to be sent."""
        self._metrics = metrics
        self._queues: dict[str, asyncio.Queue[Notice]] = {}
        self._channels = tuple(channels)
        for channel in channels:
            self._queues[channel.name] = asyncio.Queue(WAITING_AT_MOST)
            metrics.channel(channel.name)

    def tell(self, notice: Notice) -> None:
        """Log the notice and queue it for every channel. Never waits."""
        log.info(
            "notice",
            key=notice.key,
            stage=notice.stage.value,
            severity=notice.severity.value,
            reason=notice.reason,
            title=notice.title,
            body=notice.body,
            rollout=notice.rollout,
            service=notice.service,
            owner=notice.owner,
        )
        for name, queue in self._queues.items():
            if queue.full():
                self._lost(name, notice, "the channel is too far behind")
            else:
                queue.put_nowait(notice)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for channel in self._channels:
                group.create_task(self._work(channel), name=f"deliver:{channel.name}")

    async def drain(self, seconds: float) -> None:
        """Wait until every queue is empty, at most so long."""
        waiting = [queue.join() for queue in self._queues.values()]
        if waiting:
            await asyncio.wait([asyncio.ensure_future(w) for w in waiting], timeout=seconds)

    async def _work(self, channel: Channel) -> None:
        queue = self._queues[channel.name]
        while True:
            notice = await queue.get()
            try:
                await self._deliver(channel, notice)
            finally:
                queue.task_done()

    async def _deliver(self, channel: Channel, notice: Notice) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + GIVE_UP_AFTER
        pause = FIRST_PAUSE
        while True:
            try:
                await channel.send(notice)
            except TemporaryError as error:
                if loop.time() + pause > give_up:
                    self._lost(channel.name, notice, str(error))
                    return
                self._metrics.notices.labels(channel.name, "retried").inc()
                await asyncio.sleep(random.uniform(0.0, pause))  # noqa: S311 - jitter
                pause = min(2 * pause, LONGEST_PAUSE)
            except GuardError as error:
                self._lost(channel.name, notice, str(error))
                return
            else:
                self._metrics.notices.labels(channel.name, "sent").inc()
                return

    def _lost(self, channel: str, notice: Notice, why: str) -> None:
        self._metrics.notices.labels(channel, "dropped").inc()
        log.error("notice dropped", channel=channel, key=notice.key, why=why)
