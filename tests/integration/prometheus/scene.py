"""Real Prometheus servers that scrape real pods' servers on this machine.

A Prometheus takes some 6 s to its first scrape, so the servers are started once for all tests, with
targets on which nobody listens until a test takes one.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp import web

from guard.core.policy import Matcher, MatchOp, Ratio, Scrape, Selector, Sli
from guard.core.samples import Reading
from guard.core.workloads import Container, Pod
from guard.sources.ledger import Ledger
from guard.sources.lookup import Address
from guard.sources.prometheus import PrometheusClient, PrometheusCounters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from guard.core.samples import CounterSample

INTERVAL: Final = 1.0
WITHIN: Final = 40.0
AGAIN: Final = 0.05
POOL: Final = 60
PLAIN: Final = 4
HOST: Final = "127.0.0.1"

_PROMETHEUS_FLAGS: Final = ("--config.file", "--storage.tsdb.path", "--web.listen-address")
_VICTORIA_FLAGS: Final = (
    "-promscrape.config",
    "-storageDataPath",
    "-httpListenAddr",
    "-search.latencyOffset=0s",
)

TOTAL: Final = Selector("http_requests_total", (), "http_requests_total")
BAD: Final = Selector(
    "http_requests_total",
    (Matcher("code", MatchOp.REGEX, "5.."),),
    'http_requests_total{code=~"5.."}',
)
SLI: Final = Ratio(bad=BAD, total=TOTAL)
ANYWHERE: Final = Scrape()


class Served:
    """A pod that counts: `serve` is what its users asked of it.

    Its port is taken from the beginning on; connections are refused until it is opened.
    """

    def __init__(self, name: str, *, named: bool = True) -> None:
        self.name = name
        self.named = named
        self.codes: dict[str, int] = {}
        self.seconds: list[float] = []
        self.started = time.time()
        self.restarts = 0
        self.served = 0
        self.bad = 0
        self._socket = socket.socket()
        self._socket.bind((HOST, 0))
        self.port = int(self._socket.getsockname()[1])
        self._runner: web.AppRunner | None = None

    def serve(self, code: str, times: int = 1) -> None:
        self.codes[code] = self.codes.get(code, 0) + times
        self.served += times
        self.bad += times if code.startswith("5") else 0

    def restart(self) -> None:
        """What its process knew is gone."""
        self.codes.clear()
        self.started = time.time()
        self.restarts += 1

    def pod(self, name: str | None = None) -> Pod:
        app = Container(
            "app",
            ready=True,
            restarts=self.restarts,
            started_at=self.started,
            ports=(("http", self.port),),
        )
        return Pod(
            uid=f"uid-{name or self.name}",
            name=name or self.name,
            namespace="shop",
            revision="new",
            created_at=self.started,
            address=HOST,
            ready=True,
            containers=(app,),
        )

    async def open(self) -> None:
        self.started = time.time()
        application = web.Application()
        application.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    async def close(self) -> None:
        """Idempotent, and for good."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.leave()

    def leave(self) -> None:
        """Give the port back."""
        self._socket.close()

    async def _metrics(self, _: web.Request) -> web.Response:
        lines = [f"process_start_time_seconds {self.started}"]
        lines += [
            f'http_requests_total{{handler="/shop",code="{code}"}} {count}'
            for code, count in self.codes.items()
        ]
        if self.seconds:
            # As client_golang writes it; Prometheus 3 stores the bound as 1.0, 2.x as it came.
            fast = sum(one <= 1.0 for one in self.seconds)
            lines += ["# TYPE rpc_seconds histogram", f'rpc_seconds_bucket{{le="1"}} {fast}']
            lines += [f'rpc_seconds_bucket{{le="+Inf"}} {len(self.seconds)}']
            lines += [f"rpc_seconds_count {len(self.seconds)}", "rpc_seconds_sum 1"]
        lines += ['queue_depth{queue="a"} 7', 'queue_depth{queue="b"} 8', "not_a_number NaN"]
        return web.Response(text="\n".join(lines) + "\n", content_type="text/plain")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Server:
    """One Prometheus on a port and a folder of its own.

    Attributes:
        targets: the pods that it scrapes.
        more: lines added to its configuration.
        flags: added to its command line.
    """

    binary: str
    folder: Path
    targets: Sequence[Served]
    more: str = ""
    flags: tuple[str, ...] = ()
    path: str = ""
    port: int = field(default_factory=_free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}{self.path}"

    def start(self) -> None:
        """Begin to start; `ready` waits."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.configure()
        victoria = "victoria" in self.binary
        config, data, listen, *more = _VICTORIA_FLAGS if victoria else _PROMETHEUS_FLAGS
        self.process = subprocess.Popen(
            [
                self.binary,
                f"{config}={self._config}",
                f"{data}={self.folder / 'data'}",
                f"{listen}={HOST}:{self.port}",
                *more,
                *self.flags,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ready(self) -> None:
        """Wait until it listens."""
        end = time.monotonic() + WITHIN
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port)):
                return
            time.sleep(AGAIN)
        raise AssertionError

    def kill(self) -> None:
        """Kill it with -9. Idempotent."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def configure(self) -> None:
        """Write the configuration; a running server takes it in."""
        named = "".join(_target(pod) for pod in self.targets if pod.named)
        plain = "".join(_target(pod) for pod in self.targets if not pod.named)
        text = (
            f"global: {{scrape_interval: {INTERVAL:g}s, scrape_timeout: {INTERVAL:g}s}}\n"
            f"scrape_configs:\n"
            f"  - job_name: pods\n    static_configs: [{named}]\n"
            f"  - job_name: plain\n    static_configs: [{plain}]\n{self.more}"
        )
        self._config.write_text(text, encoding="utf-8")
        if self.process is not None:
            self.process.send_signal(signal.SIGHUP)

    def hang(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    @property
    def _config(self) -> Path:
        return self.folder / "prometheus.yml"


def _target(pod: Served) -> str:
    labels = f"namespace: shop, pod: {pod.name}, container: app" if pod.named else ""
    return f"{{targets: ['{HOST}:{pod.port}'], labels: {{{labels}}}}}, "


class Fleet:
    """Two replicas of one Prometheus that scrape the same pods, and a pool of those pods."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.pods = [Served(f"shop-{number}") for number in range(POOL)]
        self.plain = [Served(f"plain-{number}", named=False) for number in range(PLAIN)]
        every = [*self.pods, *self.plain]
        self.replicas = [Server(binary, folder / str(number), every) for number in range(2)]

    @property
    def server(self) -> Server:
        return self.replicas[0]

    def start(self) -> None:
        for server in self.replicas:
            server.start()
        for server in self.replicas:
            server.ready()

    def stop(self) -> None:
        for server in self.replicas:
            server.kill()
        for pod in (*self.pods, *self.plain):
            pod.leave()

    @asynccontextmanager
    async def taken(self, count: int = 1, *, named: bool = True) -> AsyncIterator[list[Served]]:
        """So many pods that nobody else has, open."""
        pool = self.pods if named else self.plain
        pods = [pool.pop() for _ in range(count)]
        try:
            for pod in pods:
                await pod.open()
            yield pods
        finally:
            for pod in pods:
                await pod.close()


class RoundRobin:
    """Sends each request to the next server, as a plain load balancer before replicas does."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self._next = 0
        self.port = _free_port()
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def open(self) -> None:
        self._session = aiohttp.ClientSession()
        application = web.Application()
        application.router.add_route("*", "/{tail:.*}", self._forward)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self.port).start()

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _forward(self, request: web.Request) -> web.Response:
        assert self._session is not None
        server = self._servers[self._next % len(self._servers)]
        self._next += 1
        try:
            async with self._session.request(
                request.method,
                f"{server.url}{request.path_qs}",
                data=await request.read(),
                headers={"Content-Type": request.headers.get("Content-Type", "")},
            ) as answer:
                return web.Response(
                    body=await answer.read(), status=answer.status, content_type=answer.content_type
                )
        except aiohttp.ClientError:
            return web.Response(status=502)


@dataclass(slots=True)
class Asker:
    """A guard's eyes: a client and the counters it reads."""

    client: PrometheusClient
    counters: PrometheusCounters

    async def read(self, pods: Sequence[Pod], sli: Sli = SLI) -> Mapping[str, CounterSample]:
        return await self.counters.read(sli, pods, ANYWHERE)

    async def one(self, pod: Pod, sli: Sli = SLI) -> CounterSample:
        """The only sample of one pod."""
        (sample,) = (await self.read([pod], sli)).values()
        return sample

    async def reading(self, pod: Pod, total: int) -> Reading:
        """Read until the pod's counter has this value."""
        async with asyncio.timeout(WITHIN):
            while True:
                sample = await self.one(pod)
                if isinstance(sample, Reading) and sample.total == total:
                    return sample
                await asyncio.sleep(AGAIN)

    async def both(self, pods: Sequence[Pod], totals: Mapping[str, float]) -> None:
        """Read until the pods' accounts are these."""
        async with asyncio.timeout(WITHIN):
            while True:
                samples = await self.read(pods)
                if all(isinstance(sample, Reading) for sample in samples.values()) and totals == {
                    key: sample.total  # type: ignore[union-attr]  # as asked before
                    for key, sample in samples.items()
                }:
                    return
                await asyncio.sleep(AGAIN)

    async def until(
        self, pod: Pod, condition: Callable[[CounterSample], bool], sli: Sli = SLI
    ) -> CounterSample:
        """Read until a sample is as expected."""
        async with asyncio.timeout(WITHIN):
            while True:
                sample = await self.one(pod, sli)
                if condition(sample):
                    return sample
                await asyncio.sleep(AGAIN)

    async def close(self) -> None:
        await self.counters.close()
        await self.client.close()


def asker(address: Address, replicas: int = 1) -> Asker:
    """A new client of some server."""
    client = PrometheusClient(address)
    counters = PrometheusCounters(client, Ledger(), time.time, INTERVAL, replicas)
    return Asker(client, counters)
