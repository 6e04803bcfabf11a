"""Tasks that must not die: a defect in one rollout's task is told and survived, never silent.

This is the one place where any exception is caught: between a task and its next try.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from guard.engine.metrics import Metrics

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0

T = TypeVar("T")
log = structlog.get_logger("guard.tasks")


async def persist(name: str, work: Callable[[], Awaitable[T]], metrics: Metrics) -> T:
    """Run `work` until it returns; after a defect begin it again, ever more slowly."""
    pause = FIRST_PAUSE
    while True:
        try:
            return await work()
        except Exception:
            metrics.crashes.inc()
            log.exception("task failed, beginning again", task=name, seconds=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
