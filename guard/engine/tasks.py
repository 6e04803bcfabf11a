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
"""Seconds between two tries at most; work that ran for longer than this is taken as sound."""

T = TypeVar("T")
log = structlog.get_logger("guard.tasks")


def _quiet(_failures: int) -> None:
    """Tell nobody but the log and the metric."""


async def persist(
    name: str,
    work: Callable[[], Awaitable[T]],
    metrics: Metrics,
    failing: Callable[[int], None] = _quiet,
) -> T:
    """Run `work` until it returns; after a defect begin it again, ever more slowly.

    Args:
        name: for the log.
        work: what must not die. Cancellation passes through.
        metrics: where defects are counted.
        failing: called after each failure with their number in a row, to tell people.
    """
    clock = asyncio.get_running_loop().time
    pause = FIRST_PAUSE
    failures = 0
    while True:
        began = clock()
        try:
            return await work()
        except Exception:
            if clock() - began > LONGEST_PAUSE:
                pause, failures = FIRST_PAUSE, 0
            failures += 1
            metrics.crashes.inc()
            log.exception("task failed, beginning again", task=name, seconds=pause)
            failing(failures)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
