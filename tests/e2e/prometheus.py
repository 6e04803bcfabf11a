"""Real Prometheus servers on this machine that scrape the cluster's pods."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp import web

from tests.e2e import servers
from tests.e2e.available import PROMETHEUS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCRAPE_INTERVAL: Final = 5
"""Seconds; short, so that a run ends in minutes."""

_CONFIG = """\
global: {{scrape_interval: {interval}s, scrape_timeout: 3s}}
scrape_configs:
  - job_name: pods
    kubernetes_sd_configs:
      - role: pod
        kubeconfig_file: {kubeconfig}
        namespaces: {{names: [{namespaces}]}}
    relabel_configs:
      - {{source_labels: [__meta_kubernetes_pod_container_port_name], regex: http, action: keep}}
      - {{source_labels: [__meta_kubernetes_namespace], target_label: namespace}}
      - {{source_labels: [__meta_kubernetes_pod_name], target_label: pod}}
      - {{source_labels: [__meta_kubernetes_pod_container_name], target_label: container}}
"""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Prometheus:
    """One server, that can be killed and started again on the same port and data."""

    folder: Path
    namespaces: Sequence[str]
    kubeconfig: Path
    port: int
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it answers; one that runs is left alone."""
        if self.process is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "prometheus.yml"
        text = _CONFIG.format(
            interval=SCRAPE_INTERVAL,
            kubeconfig=self.kubeconfig,
            namespaces=", ".join(self.namespaces),
        )
        config.write_text(text, encoding="utf-8")
        self.process = await servers.launch(
            self.folder,
            self.port,
            PROMETHEUS,
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=0.0.0.0:{self.port}",
            "--log.level=warn",
        )

    async def kill(self) -> None:
        """Kill it with -9. Idempotent."""
        if self.process is not None:
            await servers.kill(self.process)
            self.process = None


class RoundRobin:
    """Sends each request to the next server, as a plain load balancer before replicas does."""

    def __init__(self, ports: Sequence[int], port: int) -> None:
        self._ports = list(ports)
        self._next = 0
        self.port = port
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        application = web.Application()
        application.router.add_route("*", "/{tail:.*}", self._forward)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, "0.0.0.0", self.port).start()

    async def close(self) -> None:
        """Stop. Idempotent."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _forward(self, request: web.Request) -> web.Response:
        assert self._session is not None
        port = self._ports[self._next % len(self._ports)]
        self._next += 1
        kept = {k: v for k, v in request.headers.items() if k in {"Content-Type", "Authorization"}}
        try:
            async with self._session.request(
                request.method,
                f"http://127.0.0.1:{port}{request.path_qs}",
                data=await request.read(),
                headers=kept,
            ) as answer:
                body, kind = await answer.read(), answer.headers.get("Content-Type", "text/plain")
                return web.Response(body=body, status=answer.status, headers={"Content-Type": kind})
        except aiohttp.ClientError:
            return web.Response(status=502)
