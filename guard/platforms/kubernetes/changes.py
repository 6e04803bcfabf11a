"""Which workloads changed and were not looked at yet: bursts become one look, the first at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

GAP: Final = 0.02
"""Seconds between two looks at one workload. The first change of a burst is seen at once; a release
comes as some ten changes within 50 ms, a scaled Deployment as one for each step of each pod."""

K = TypeVar("K", bound="Hashable")


class Changes(Generic[K]):
    """A queue in which each key stands once."""

    def __init__(self, gap: float = GAP) -> None:
        """Start empty; `gap` in seconds."""
        self._gap = gap
        self._marked: dict[K, None] = {}
        self._looked: dict[K, float] = {}
        self._wake = asyncio.Event()
        self._ended: asyncio.Future[None] | None = None

    def mark(self, key: K) -> None:
        """It changed."""
        self._marked[key] = None
        self._wake.set()

    def end(self, source: asyncio.Future[None] | None = None) -> None:
        """Nothing more comes; `next` raises what the source ended with."""
        self._ended = source or asyncio.get_running_loop().create_future()
        self._wake.set()

    def forget(self, key: K) -> None:
        """It is gone: nothing of it need be remembered."""
        self._looked.pop(key, None)

    async def next(self) -> K | None:
        """Wait for the next one that is due; None at the end."""
        loop = asyncio.get_running_loop()
        while self._ended is None:
            now = loop.time()
            soonest = None
            for key in self._marked:
                due = self._looked.get(key, now - self._gap) + self._gap
                if due <= now:
                    del self._marked[key]
                    self._looked[key] = now
                    return key
                soonest = due if soonest is None else min(due, soonest)
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(soonest):
                    await self._wake.wait()
        if self._ended.done() and not self._ended.cancelled():
            self._ended.result()
        return None
