"""A platform that watches a real cluster, and what stands between the two and breaks."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from guard.config.settings import Settings
from guard.core.workloads import Gone, Snapshot, WorkloadId
from guard.platforms.kubernetes.platform import Kubernetes, connect_platform
from tests.e2e.command import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

WITHIN = 60.0
"""Seconds until a test gives up waiting."""

Seen = Snapshot | Gone


@dataclass
class Watched:
    """What a platform yields of one workload, with when it came."""

    platform: Kubernetes
    seen: list[tuple[float, Seen]] = field(default_factory=list)
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def watch(self) -> None:
        async for item in self.platform.watch():
            self.seen.append((time.perf_counter(), item))
            async with self._more:
                self._more.notify_all()

    @property
    def last(self) -> Snapshot:
        found = self.seen[-1][1]
        assert isinstance(found, Snapshot)
        return found

    async def until(self, true: Callable[[Snapshot], bool]) -> float:
        """When a snapshot of which this is true came."""

        def found() -> float | None:
            if not self.seen:
                return None
            at, item = self.seen[-1]
            return at if isinstance(item, Snapshot) and true(item) else None

        return await self._wait(found)

    async def until_gone(self) -> float:
        return await self._wait(
            lambda: self.seen[-1][0] if self.seen and isinstance(self.seen[-1][1], Gone) else None
        )

    async def _wait(self, found: Callable[[], float | None]) -> float:
        async with asyncio.timeout(WITHIN), self._more:
            while (at := found()) is None:
                await self._more.wait()
        return at


@asynccontextmanager
async def watching(kubeconfig: Path, namespace: str, *names: str) -> AsyncIterator[Watched]:
    """A platform that watches one namespace, and follows these Deployments of it by name."""
    settings = await asyncio.to_thread(
        lambda: Settings(kubeconfig=kubeconfig, namespace=namespace, namespaces=(namespace,))
    )
    platform = await connect_platform(settings, time.time)
    platform.follow(frozenset(WorkloadId("kubernetes", namespace, name) for name in names))
    watched = Watched(platform)
    task = asyncio.create_task(watched.watch())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.wait([task])
        await platform.close()


class Wire:
    """A stretch of wire before the API server, which can be cut and can fall silent."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._dead: set[asyncio.StreamWriter] = set()
        self.connections = 0

    def freeze(self) -> None:
        """Nothing passes, and nothing is lost: an API server that stands still."""
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        """Every connection is reset."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def lose(self) -> None:
        """Every connection there is now carries nothing any more, and nobody is told."""
        self._dead |= self._writers

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._to)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        for one, other in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pass(one, other))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._flows.wait()
                if writer not in self._dead:
                    writer.write(data)
                    await writer.drain()
        if writer not in self._dead:
            writer.close()
        self._writers.discard(writer)

    async def end(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in tuple(self._writers | self._dead):
            writer.transport.abort()


@asynccontextmanager
async def wired(kubeconfig: Path, folder: Path) -> AsyncIterator[tuple[Wire, Path]]:
    """A wire, and a kubeconfig that leads through it; TLS reaches from end to end."""
    text = await run("kubectl", "config", "view", "--raw", "--minify", "--flatten", "-o=json")
    config: dict[str, Any] = json.loads(text)
    cluster = config["clusters"][0]["cluster"]
    parts = urlsplit(cluster["server"])
    assert parts.hostname is not None
    wire = Wire(parts.hostname, parts.port or 443)
    server = await asyncio.start_server(wire.take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    cluster["tls-server-name"] = cluster.get("tls-server-name", parts.hostname)
    cluster["server"] = f"https://127.0.0.1:{port}"
    file = folder / "through-the-wire.json"
    await asyncio.to_thread(file.write_text, json.dumps(config))
    try:
        yield wire, file
    finally:
        server.close()
        await wire.end()
        await server.wait_closed()
