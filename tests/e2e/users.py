"""The users of one shop: what they ask for at a fixed rate, and what they saw."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from examples.shop.load import Stream, Target
from tests.e2e.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from examples.shop.load import Failure

LOOK_EVERY = 0.01
"""Seconds between two looks at what users saw: short against any time that is measured."""


class Users:
    """Open-loop users of one shop."""

    def __init__(self, shop: str, host: str, port: int, rate: float) -> None:
        self._stream = Stream(Target(name=shop, host=host, port=port, rate=rate))

    async def arrive(self) -> None:
        """Begin to ask, once the way to the shop is open: its opening is not under test."""
        await until(self._reached, 30.0, f"the way to {self._stream.target.name}", every=0.05)
        self._stream.start()

    async def close(self) -> None:
        """Ask no more. Idempotent."""
        await self._stream.stop()

    def failures(self, since: float, until: float | None = None) -> list[Failure]:
        """The failed requests between two moments, epoch seconds."""
        found = self._stream.tally.since(since)
        return [f for f in found if until is None or f.at < until]

    def first_bad(self, revision: str) -> float | None:
        """When a user first got a bad answer from this revision."""
        failures = self._stream.tally.failures
        return next((f.at for f in failures if f.revision == revision), None)

    def errors(self) -> int:
        """How many answers were errors: no failures to connect, as a busy machine has them."""
        return self._stream.tally.by_kind().get("5xx", 0)

    def answered(self, revision: str) -> int:
        """How many requests this revision has answered, well or badly."""
        return sum(self._stream.tally.answered.get(revision, (0, 0)))

    async def meet(self, revision: str, answers: int = 1) -> None:
        """Wait until this revision has answered so many requests, well or badly."""
        await self.until(lambda: self.answered(revision) >= answers, 60.0)

    async def bad_answer(self, revision: str, within: float = 60.0) -> float:
        """Wait for the first bad answer of this revision; returns when it was."""
        await self.until(lambda: self.first_bad(revision) is not None, within)
        at = self.first_bad(revision)
        assert at is not None
        return at

    async def quiet(self, seconds: float, within: float = 60.0) -> None:
        """Wait until nobody has seen a failure for so long."""

        def calm() -> bool:
            return not self.failures(time.time() - seconds)

        await self.until(calm, within)

    async def until(self, holds: Callable[[], bool], within: float) -> None:
        """Wait until something holds of what users saw. Raises AssertionError."""
        name = self._stream.target.name

        async def ask() -> bool:
            return holds()

        await until(ask, within, lambda: f"{name}: users saw {self._seen()}", every=LOOK_EVERY)

    def _seen(self) -> str:
        tally = self._stream.tally
        return f"{tally.answered} by revision, {tally.by_kind()} failed"

    async def _reached(self) -> bool:
        target = self._stream.target
        try:
            _, writer = await asyncio.open_connection(target.host, target.port)
        except OSError:
            return False
        writer.close()
        return True
