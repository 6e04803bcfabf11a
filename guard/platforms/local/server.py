"""What runs in a local pod: a real HTTP server with a request counter and faults on demand.

Its counter counts every request that it answers, probes and scrapes included, as most
instrumentations do.
"""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

if TYPE_CHECKING:
    from guard.platforms.local.template import Template

HOST = "127.0.0.1"
STOP_WITHIN = 2.0
"""Seconds for requests under way when a pod stops."""
READY_PATH = "/ready"
_PLAIN = "text/plain; version=0.0.4; charset=utf-8"


class Faults:
    """Decides, request by request, whether this one fails.

    Errors come in runs of `length`. A run begins at a request outside one with probability
    r / (r + length·(1 − r)): the mean distance of two runs is then length·(1 − r)/r good
    requests, and the share of errors r.
    """

    def __init__(self, ratio: float, length: int) -> None:
        """Take the share of failing requests, and how many fail in a row."""
        self._begins = ratio / (ratio + length * (1.0 - ratio)) if ratio > 0.0 else 0.0
        self._length = length
        self._left = 0
        self._random = random.Random()  # noqa: S311 - errors of a demo are no secret

    def fails(self) -> bool:
        """Whether the request that is being answered now fails."""
        if self._left:
            self._left -= 1
            return True
        if self._random.random() >= self._begins:
            return False
        self._left = self._length - 1
        return True


class PodServer:
    """One process of a workload, on a port of its own from the first moment on.

    Until `start` that port refuses connections, as that of a process does that still loads.
    """

    def __init__(self, template: Template, revision: str, started_at: float) -> None:
        """Take a port."""
        self._template = template
        self._faults = Faults(template.error_ratio, template.error_cluster)
        self._headers = {"Content-Type": _PLAIN, "X-Revision": revision}
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "http_requests", "Requests answered.", ["code", "method"], registry=self._registry
        )
        start = Gauge("process_start_time_seconds", "Start.", registry=self._registry)
        start.set(started_at)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.bind((HOST, 0))
        self.port: int = self._socket.getsockname()[1]
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        """Listen from now on."""
        server = web.Server(self._handle, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=STOP_WITHIN)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    async def stop(self) -> None:
        """Refuse new connections, wait for requests under way, and end. Idempotent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        self._socket.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        status, body = self._answer(request.path)
        # Counted after the answer was made, so a scrape does not see itself.
        self._requests.labels(str(status), request.method).inc()
        return web.Response(status=status, body=body, headers=self._headers)

    def _answer(self, path: str) -> tuple[int, bytes]:
        if path == "/metrics":
            return 200, generate_latest(self._registry)
        if path == READY_PATH:
            return (503, b"not ready\n") if self._template.never_ready else (200, b"ready\n")
        if path == "/health":
            return self._template.health_status, b"health\n"
        return (500, b"internal error\n") if self._faults.fails() else (200, b"ok\n")
