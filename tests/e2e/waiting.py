"""Waiting for what only asking again can tell."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")
EVERY = 0.3
"""Seconds between two questions to the API server: many scenarios ask at the same time."""


async def until(
    ask: Callable[[], Awaitable[T | None]],
    within: float,
    what: Callable[[], str] | str,
    *,
    every: float = EVERY,
) -> T:
    """Ask until the answer is true.

    Args:
        ask: the question.
        within: seconds after which it is given up.
        what: what is awaited, for the error; asked then, so that it can say where things stand.
        every: seconds between two questions.

    Returns:
        The first true answer.

    Raises:
        AssertionError: there was none in time.
    """
    __tracebackhide__ = True  # what was awaited says more than how it was
    end = time.monotonic() + within
    while True:
        answer = await ask()
        if answer:
            return answer
        if time.monotonic() > end:
            awaited = what if isinstance(what, str) else what()
            msg = f"not within {within:.0f} s: {awaited}"
            raise AssertionError(msg)
        await asyncio.sleep(every)
