"""Users of a local workload: open-loop load that remembers every answer.

Requests leave at a fixed rate whether or not earlier ones were answered: a slow or dead server
cannot slow its users down, so nothing is hidden. Each goes to the next ready pod, as a Service
does with each new connection.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guard.platforms.local.server import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATIENCE = 2.0
"""Seconds a user waits for an answer."""
FAILED_FROM = 500
"""HTTP status from which an answer is a failure of the service."""
_HEAD_AT_MOST = 2048
"""Bytes of an answer that are read for its status and revision; local answers are shorter."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One request as its user saw it.

    Attributes:
        sent_at: when it left; `at` when it was answered or given up. Seconds since the epoch.
        revision: who answered, by the header X-Revision; empty without an answer.
    """

    sent_at: float
    at: float
    failed: bool
    revision: str = ""


class Users:
    """The users of one workload, while `run` runs."""

    def __init__(
        self,
        endpoints: Callable[[], Sequence[int]],
        rate: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Take where requests may go now (ports on 127.0.0.1), and how many leave a second."""
        self.answers: list[Answer] = []
        self._endpoints = endpoints
        self._rate = rate
        self._now = now
        self._turn = 0

    async def run(self) -> None:
        """Send until cancelled; requests under way are given up then, and not counted."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        async with asyncio.TaskGroup() as requests:
            while True:
                requests.create_task(self._request())
                due += 1.0 / self._rate
                await asyncio.sleep(due - loop.time())

    def since(self, began: float, until: float = float("inf")) -> list[Answer]:
        """The answers to requests that left from `began` on and before `until`."""
        return [answer for answer in self.answers if began <= answer.sent_at < until]

    async def _request(self) -> None:
        sent_at = self._now()
        head = b""
        ports = self._endpoints()
        if ports:
            self._turn += 1
            head = await _get(ports[self._turn % len(ports)])
        self.answers.append(_read(head, sent_at, self._now()))


async def _get(port: int) -> bytes:
    """The answer's head; empty where there was none. A bare socket costs a tenth of a client."""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
                return await reader.read(_HEAD_AT_MOST)
            finally:
                writer.close()
    except (TimeoutError, OSError):
        return b""


def _read(head: bytes, sent_at: float, at: float) -> Answer:
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else FAILED_FROM
    named = (line.partition(":") for line in lines[1:])
    revision = next((v.strip() for k, _, v in named if k.lower() == "x-revision"), "")
    return Answer(sent_at, at, status >= FAILED_FROM, revision)
