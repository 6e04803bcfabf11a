"""An open-loop load generator that counts every failed request a user saw.

Requests leave at a fixed rate whether or not earlier ones have been answered: a slow or dead
server cannot slow its users down, so nothing is hidden. One process drives many targets side by
side; requests are bare HTTP/1.1 over non-blocking sockets, since a client library would cost more
CPU than the servers under test.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE = 3.0
"""Seconds a user waits for an answer."""
BEHIND_AT_MOST = 1.0
"""Seconds of sending that are made up for after this process itself was stalled."""
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_REVISION = re.compile(rb"\r\nx-revision: *([^\r]*)\r\n", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Target:
    """One service under load. `rate` is requests a second, `deadline` seconds."""

    name: str
    host: str
    port: int
    path: str = "/"
    rate: float = 50.0
    deadline: float = DEADLINE
    keepalive: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed request: when the user knew (epoch seconds), what it was, who answered."""

    at: float
    kind: str  # 5xx | refused | reset | timeout | other
    revision: str


@dataclass(slots=True)
class Tally:
    """What the users of one target saw.

    Attributes:
        ok: answered with a status under 500.
        answered: by revision, [good, bad].
        seconds: by whole epoch second of the answer, [good, bad].
    """

    target: Target
    sent: int = 0
    ok: int = 0
    failures: list[Failure] = field(default_factory=list)
    answered: dict[str, list[int]] = field(default_factory=dict)
    first_seen: dict[str, float] = field(default_factory=dict)
    seconds: dict[int, list[int]] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Requests that failed, of every kind."""
        return len(self.failures)

    def since(self, began: float) -> list[Failure]:
        """The failures from `began` on."""
        return [failure for failure in self.failures if failure.at >= began]

    def by_kind(self) -> dict[str, int]:
        """Failures counted by kind."""
        counts: dict[str, int] = {}
        for failure in self.failures:
            counts[failure.kind] = counts.get(failure.kind, 0) + 1
        return counts

    def good(self, revision: str) -> None:
        """Count an answered request."""
        now = time.time()
        self.ok += 1
        self._bucket(now, revision, 0)

    def bad(self, kind: str, revision: str = "") -> None:
        """Count a failed request."""
        now = time.time()
        self.failures.append(Failure(now, kind, revision))
        self._bucket(now, revision, 1)

    def _bucket(self, now: float, revision: str, index: int) -> None:
        self.seconds.setdefault(int(now), [0, 0])[index] += 1
        if revision:
            self.first_seen.setdefault(revision, now)
            self.answered.setdefault(revision, [0, 0])[index] += 1


class _Request:
    """One request on its socket: connect, send, read the answer, tell how it went."""

    __slots__ = ("_data", "_done", "_loop", "_retry", "_sock", "_stream", "_timer")

    def __init__(self, stream: Stream, sock: socket.socket | None = None) -> None:
        self._stream = stream
        self._loop = stream.loop
        self._data = b""
        self._done = False
        self._retry = sock is not None
        self._timer = self._loop.call_later(stream.target.deadline, self._expire)
        if sock is not None:
            self._sock = sock
            self._send()
            return
        self._sock = socket.socket(stream.family, socket.SOCK_STREAM)
        self._sock.settimeout(0)  # never blocks
        error = self._sock.connect_ex(stream.address)
        if error in {0, errno.EINPROGRESS}:
            self._loop.add_writer(self._sock.fileno(), self._connected)
        else:
            self._fail(_kind(error))

    def _connected(self) -> None:
        self._loop.remove_writer(self._sock.fileno())
        error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._fail(_kind(error))
        else:
            self._send()

    def _send(self) -> None:
        try:
            self._sock.send(self._stream.wire)
        except OSError as error:
            self._broken(_kind(error.errno))
            return
        self._loop.add_reader(self._sock.fileno(), self._readable)

    def _readable(self) -> None:
        try:
            chunk = self._sock.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(_kind(error.errno))
            return
        self._data += chunk
        if not chunk:
            self._broken("reset")
        elif _complete(self._data):
            self._answered()

    def _broken(self, kind: str) -> None:
        """A kept connection that the server had closed meanwhile is no user's failure: again."""
        if self._retry and not self._data:
            self._end()
            _Request(self._stream)
        else:
            self._fail(kind)

    def _answered(self) -> None:
        status = _STATUS.match(self._data)
        found = _REVISION.search(self._data)
        revision = found.group(1).decode() if found else ""
        tally = self._stream.tally
        if status is None:
            tally.bad("other", revision)
        elif int(status.group(1)) >= 500:  # noqa: PLR2004 - HTTP's server errors
            tally.bad("5xx", revision)
        else:
            tally.good(revision)
        self._end(keep=self._stream.target.keepalive)

    def _fail(self, kind: str) -> None:
        if not self._done:
            self._stream.tally.bad(kind)
        self._end()

    def _expire(self) -> None:
        self._fail("timeout")

    def _end(self, *, keep: bool = False) -> None:
        if self._done:
            return
        self._done = True
        self._timer.cancel()
        number = self._sock.fileno()
        if number >= 0:
            self._loop.remove_reader(number)
            self._loop.remove_writer(number)
        if keep:
            self._stream.idle.append(self._sock)
        else:
            self._sock.close()


def _complete(data: bytes) -> bool:
    head, end, body = data.partition(_HEAD_END)
    if not end:
        return False
    length = _LENGTH.search(head)
    return len(body) >= (int(length.group(1)) if length else 0)


def _kind(number: int | None) -> str:
    if number == errno.ECONNREFUSED:
        return "refused"
    if number in {errno.ECONNRESET, errno.EPIPE}:
        return "reset"
    return "other"


class Stream:
    """The requests to one target, from `start` to `stop`."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.tally = Tally(target)
        self.loop = asyncio.get_running_loop()
        self.idle: list[socket.socket] = []
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        self.family, self.address = found[0][0], found[0][4]
        close = "" if target.keepalive else "Connection: close\r\n"
        self.wire = (
            f"GET {target.path} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\n{close}\r\n"
        ).encode()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Send from now on."""
        self._task = asyncio.create_task(self._send(), name=f"load {self.target.name}")

    async def stop(self) -> Tally:
        """Send no more, wait for the answers under way, and give the tally. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
            until = time.monotonic() + self.target.deadline + 1.0
            while self._waiting() and time.monotonic() < until:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.05)
            while self.idle:
                self.idle.pop().close()
        return self.tally

    def _waiting(self) -> int:
        return self.tally.sent - self.tally.ok - self.tally.failed

    async def _send(self) -> None:
        gap = 1.0 / self.target.rate
        due = self.loop.time()
        while True:
            now = self.loop.time()
            due = max(due, now - BEHIND_AT_MOST)
            while due <= now:
                self.tally.sent += 1
                _Request(self, self.idle.pop() if self.idle else None)
                due += gap
            await asyncio.sleep(due - self.loop.time())


async def drive(
    targets: list[Target], seconds: float, each_second: Callable[[list[Tally]], None] | None = None
) -> list[Tally]:
    """Load all targets side by side for so long; `each_second` sees the tallies meanwhile."""
    streams = [Stream(target) for target in targets]
    for stream in streams:
        stream.start()
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        await asyncio.sleep(min(1.0, left))
        if each_second is not None:
            each_second([stream.tally for stream in streams])
    return list(await asyncio.gather(*(stream.stop() for stream in streams)))
