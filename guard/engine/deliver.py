"""Delivery: every notice to every channel, each channel for itself.

A channel that hangs or fails delays neither a decision nor another channel: each has a queue
and a worker of its own, and `tell` only puts into queues.
"""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import TYPE_CHECKING

import structlog

from guard.core.errors import GuardError, TemporaryError
from guard.engine.tasks import persist

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guard.core.notices import Notice
    from guard.engine.metrics import Metrics
    from guard.engine.ports import Channel

SEND_WITHIN = 30.0
"""Seconds after which one attempt counts as failed, whatever the channel's own patience is."""
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
        """Work until cancelled. A defect in one channel ends neither it nor another one."""
        async with asyncio.TaskGroup() as group:
            for channel in self._channels:
                name = f"deliver:{channel.name}"
                work = partial(self._work, channel)
                group.create_task(persist(name, work, self._metrics), name=name)

    async def drain(self, seconds: float) -> None:
        """Wait until every queue is empty, at most so long; what is left is lost, loudly."""
        waiting = [asyncio.ensure_future(queue.join()) for queue in self._queues.values()]
        if waiting:
            _, pending = await asyncio.wait(waiting, timeout=seconds)
            for join in pending:
                join.cancel()
        for name, queue in self._queues.items():
            while not queue.empty():
                self._lost(name, queue.get_nowait(), "the guard stops")
                queue.task_done()

    async def _work(self, channel: Channel) -> None:
        queue = self._queues[channel.name]
        while True:
            notice = await queue.get()
            settled = False
            try:
                await self._deliver(channel, notice)
                settled = True
            finally:
                if not settled:
                    # By a defect of the channel, which it would meet again, or by the guard's end.
                    self._lost(channel.name, notice, "sending it was cut short")
                queue.task_done()

    async def _deliver(self, channel: Channel, notice: Notice) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + GIVE_UP_AFTER
        pause = FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout(SEND_WITHIN):
                    await channel.send(notice)
            except (TemporaryError, TimeoutError) as error:
                if loop.time() + pause > give_up:
                    self._lost(channel.name, notice, str(error) or "no answer")
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
