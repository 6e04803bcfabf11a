"""Tasks that must not die: a defect in one rollout's task is told and survived, never silent.

This is the one place where any exception is caught: between a task and its next try.
"""

from __future__ import annotations

import asyncio
import traceback
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
        except Exception as error:  # noqa: BLE001 - the one place: what failed is begun again
            if clock() - began > LONGEST_PAUSE:
                pause, failures = FIRST_PAUSE, 0
            failures += 1
            metrics.crashes.inc()
            _log(name, pause, error)
            failing(failures)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _log(name: str, pause: float, error: Exception) -> None:
    log.error("task failed, beginning again", task=name, seconds=pause, error=described(error))


def described(error: BaseException) -> list[str]:
    """Where a defect happened, frame by frame, and what it was.

    Without locals, source lines and causes: the first two may hold a secret or block the loop on
    the disk, and a foreign cause was mapped away on purpose.
    """
    frames = traceback.walk_tb(error.__traceback__)
    where = [f"{f.f_code.co_filename}:{line} in {f.f_code.co_name}" for f, line in frames]
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    within = [line for part in parts for line in described(part)]
    return [*where, f"{type(error).__name__}: {error}", *within]
