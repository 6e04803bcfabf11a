"""The demo shop: a small ASGI service with a request counter and faults on demand.

Its counter counts every request it answers, /metrics and the probes included, as most
instrumentations do. It is lean on purpose: a test drives a dozen of these at 50 requests a second
each on two cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

from faults import Faults, Settings, settings_from
from prometheus_client import REGISTRY as OWN_REGISTRY
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

LOG = logging.getLogger("shop")
DEPENDENCY_EVERY = 0.2
"""Seconds between two looks at the shared dependency: short against any detection time."""
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

Answer = tuple[int, bytes]


class Shop:
    """One process of the service."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._faults = Faults(settings)
        self._registry = _registry(settings)
        labels = ["code", "method", "path"] if settings.path_label else ["code", "method"]
        # Both stand in the process' own registry; several workers share files behind it.
        self._requests = Counter("http_requests_total", "Requests answered.", labels)
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Time to answer.",
            buckets=(0.005, 0.025, 0.1, 0.3, 1.0, 3.0),
        ).observe
        self._series: dict[tuple[int, str, str], Any] = {}
        self._revision = settings.revision.encode()
        self._metrics_for = b""
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        started = time.perf_counter()
        path, method = scope["path"], scope["method"]
        status, body = await self._answer(scope, receive)
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", CONTENT_TYPE),
                    (b"content-length", str(len(body)).encode()),
                    (b"x-revision", self._revision),
                ],
            }
        )
        await send({"type": "http.response.body", "body": body})
        self._count(status, method, path)
        self._seconds(time.perf_counter() - started)

    def _count(self, status: int, method: str, path: str) -> None:
        key = (status, method, path if self._settings.path_label else "")
        series = self._series.get(key)
        if series is None:
            series = self._requests.labels(*(str(part) for part in key if part != ""))
            self._series[key] = series
        series.inc()

    async def _answer(self, scope: Message, receive: Receive) -> Answer:
        path = scope["path"]
        if path == "/metrics":
            return self._metrics(scope)
        if path == "/ready":
            return (200, b"ready\n") if self._faults.ready() else (503, b"not ready\n")
        if path == "/health":
            return self._settings.health_status, b"health\n"
        if path == "/fault" and self._settings.fault_switch:
            return await self._switch(scope["method"], receive)
        return await self._sell()

    def _metrics(self, scope: Message) -> Answer:
        """Answer everyone, or only those whose User-Agent begins with what the switch says."""
        agents = (value for name, value in scope["headers"] if name == b"user-agent")
        if not next(agents, b"").lower().startswith(self._metrics_for):
            return 403, b"not for you\n"
        return 200, generate_latest(self._registry)

    async def _sell(self) -> Answer:
        """Answer what users ask for."""
        if self._settings.latency:
            await asyncio.sleep(self._settings.latency)
        try:
            return 200, _tenant({} if self._faults.fails() else {"tenant_id": b"ok\n"})
        except KeyError:
            LOG.exception("request failed")
            return 500, b"internal error\n"

    async def _switch(self, method: str, receive: Receive) -> Answer:
        """Take a fault at run time; README.md lists the words. GET is what dependents ask."""
        if method == "PUT":
            word, _, rest = (await receive()).get("body", b"").decode().partition(" ")
            if word == "die":
                print("dying on purpose: told to", flush=True)
                os._exit(1)
            if word == "metrics-for":
                self._metrics_for = rest.strip().lower().encode()
                return 200, b"taken\n"
            try:
                self._faults.shared_ratio = float(word)
            except ValueError:
                return 400, b"expected a ratio such as 0.3, `die` or `metrics-for AGENT`\n"
        return 200, f"{self._faults.shared_ratio}\n".encode()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                for task in self._tasks:
                    task.cancel()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _start(self) -> None:
        if self._settings.dependency_url:
            self._tasks.add(asyncio.create_task(self._follow_dependency(), name="dependency"))
        if self._settings.memory:
            self._tasks.add(asyncio.create_task(self._leak(), name="leak"))

    async def _follow_dependency(self) -> None:
        """Fail as the dependency says; while it does not answer, as it last said."""
        url = self._settings.dependency_url
        while True:
            with contextlib.suppress(OSError, ValueError):
                self._faults.shared_ratio = await asyncio.to_thread(_read_ratio, url)
            await asyncio.sleep(DEPENDENCY_EVERY)

    async def _leak(self) -> None:
        """Take memory for ever, MEMORY megabytes a second, and touch it."""
        kept = []
        while True:
            kept.append(b"x" * int(self._settings.memory * 100_000))
            await asyncio.sleep(0.1)


def _tenant(session: dict[str, bytes]) -> bytes:
    return session["tenant_id"]


def _read_ratio(url: str) -> float:
    with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - an operator's setting
        return float(answer.read())


def _registry(settings: Settings) -> CollectorRegistry:
    """The one that /metrics shows: all workers' numbers, or this process' own."""
    if settings.workers == 1 or not settings.shared_registry:
        return OWN_REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library's own gap
    return registry


def create() -> Shop:
    """Build the application; uvicorn calls this once in each worker."""
    logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(name)s %(message)s")
    return Shop(settings_from())
