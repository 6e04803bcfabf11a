"""The board: every record the guard holds now, for the API and the status page."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from guard.core.findings import Verdict
from guard.engine import codec
from guard.engine.metrics import ACTIVE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from guard.core.records import Record
    from guard.engine.metrics import Metrics

PENDING_AT_MOST = 64
"""Updates waiting for one subscriber; beyond that the oldest goes: each update is whole."""


class Board:
    """Holds the newest version of each record and tells subscribers of changes."""

    def __init__(self, metrics: Metrics) -> None:
        """Start empty."""
        self._metrics = metrics
        self._records: dict[str, Record] = {}
        self._subscribers: set[asyncio.Queue[Record]] = set()

    def show(self, record: Record) -> None:
        """Take a record's newest version."""
        self._records[record.id] = record
        for queue in self._subscribers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(record)
        self._count()

    def drop(self, rollout: str) -> None:
        """Take a record off the board."""
        self._records.pop(rollout, None)
        self._count()

    def _count(self) -> None:
        live = [r for r in self._records.values() if not r.state.ended]
        for phase in ACTIVE:
            self._metrics.active.labels(phase.value).set(
                sum(1 for record in live if record.state.phase is phase)
            )
        self._metrics.blind.set(sum(1 for r in live if r.state.verdict is Verdict.BLIND))

    def newest(self) -> list[Record]:
        """All records as they are now, the newest rollout first: for who reads them elsewhere."""
        return sorted(self._records.values(), key=lambda r: -r.state.case.began_at)

    def records(self) -> list[dict[str, Any]]:
        """All records as documents, the newest rollout first."""
        return [codec.head(record) for record in self.newest()]

    def get(self, rollout: str) -> dict[str, Any] | None:
        """One record by its rollout's name."""
        record = self._records.get(rollout)
        return codec.head(record) if record else None

    async def subscribe(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield every record that changes from the first step on; close it to leave early."""
        queue: asyncio.Queue[Record] = asyncio.Queue(PENDING_AT_MOST)
        self._subscribers.add(queue)
        with contextlib.ExitStack() as stack:
            stack.callback(self._subscribers.discard, queue)
            while True:
                yield codec.head(await queue.get())
