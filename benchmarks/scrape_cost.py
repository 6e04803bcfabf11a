"""What direct scrape costs: CPU of the guard for 10 pods at the documented rhythm.

`python benchmarks/scrape_cost.py [seconds]` prints, per row: the body that each pod answers with,
how it comes, and the share of one core. The goal is at most 2% for 10 pods and a usual body. The
pods are another process, so that only the guard's own work is measured.
"""

from __future__ import annotations

import asyncio
import gzip
import multiprocessing
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from guard.core.policy import Matcher, MatchOp, Ratio, Scrape, Selector
from guard.core.samples import Reading
from guard.core.workloads import Container, Pod, Probe
from guard.sources.ledger import Ledger
from guard.sources.machines import PrometheusScrapes
from guard.sources.scrape import Scraper

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

PODS = 10
EVERY = 0.5
"""Seconds between two ticks in the first 30 s (guard/engine/gather.py)."""
GOAL = 0.02

FIVES = Matcher("code", MatchOp.REGEX, "5..")
SLI = Ratio(
    Selector("http_requests_total", (FIVES,), 'http_requests_total{code=~"5.."}'),
    Selector("http_requests_total", (), "http_requests_total"),
)


@dataclass(frozen=True)
class Case:
    """`handlers`: each with 3 codes and a histogram; `others`: lines of families not asked for."""

    name: str
    handlers: int
    others: int = 0
    compressed: bool = False
    goal: bool = False


CASES = (
    Case("usual", 22, goal=True),
    Case("usual, gzip", 22, compressed=True, goal=True),
    Case("1 MB, 66 series of the counter", 22, others=14_500),
    Case("1 MB, 66 series of the counter, gzip", 22, others=14_500, compressed=True),
    Case("1 MB, 1350 series of the counter", 450),
)


def exposition(case: Case) -> bytes:
    """What a service exposes, by the usual client library."""
    registry = CollectorRegistry()
    labels = ["code", "method", "handler"]
    requests = Counter("http_requests_total", "Requests.", labels, registry=registry)
    seconds = Histogram(
        "http_request_duration_seconds", "Time.", ["method", "handler"], registry=registry
    )
    for number in range(case.handlers):
        path = f"/api/v1/things/{number}"
        for code in ("200", "404", "500"):
            requests.labels(code, "GET", path).inc(number)
        seconds.labels("GET", path).observe(0.1)
    others = (
        b'rpc_duration_seconds_bucket{method="m%d",service="some-service",le="0.5"} 17.0\n' % number
        for number in range(case.others)
    )
    return generate_latest(registry) + b"".join(others)


async def serve(bodies: list[tuple[bytes, bool]], ports: Connection) -> None:
    """Answer every request on one port per body, as cheaply as can be."""

    async def listen(body: bytes, *, compressed: bool) -> int:
        sent = gzip.compress(body, 6) if compressed else body
        encoding = b"Content-Encoding: gzip\r\n" if compressed else b""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"
        answer = head + encoding + b"Content-Length: %d\r\n\r\n" % len(sent) + sent

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while await reader.readuntil(b"\r\n\r\n"):
                    writer.write(answer)
                    await writer.drain()
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        server = await asyncio.start_server(talk, "0.0.0.0", 0)  # noqa: S104 - a port on every 127.0.0.x
        port: int = server.sockets[0].getsockname()[1]
        return port

    ports.send([await listen(body, compressed=compressed) for body, compressed in bodies])
    await asyncio.Event().wait()


def pods_process(bodies: list[tuple[bytes, bool]], ports: Connection) -> None:
    asyncio.run(serve(bodies, ports))


def pods(port: int) -> list[Pod]:
    container = Container("app", ready=True, started_at=1.0, ports=(("metrics", port),))
    probe = Probe("readiness", "app", "http", path="/ready", port=port)
    return [
        Pod(
            uid=f"uid-{number}",
            name=f"shop-{number}",
            namespace="shop",
            revision="new",
            created_at=1.0,
            address=f"127.0.0.{number + 1}",
            ready=True,
            containers=(container,),
            probes=(probe,),
        )
        for number in range(PODS)
    ]


async def share(scraper: Scraper, port: int, seconds: float) -> float:
    """CPU seconds per second while 10 pods are read every half second."""
    asked = pods(port)
    await scraper.read(SLI, asked, Scrape())
    ticks = max(int(seconds / EVERY), 1)
    began, spent = time.perf_counter(), time.process_time()
    for tick in range(ticks):
        samples = await scraper.read(SLI, asked, Scrape())
        wrong = [sample for sample in samples.values() if not isinstance(sample, Reading)]
        if wrong:
            sys.exit(f"a pod was not read: {wrong[0]}")
        await asyncio.sleep(max(began + (tick + 1) * EVERY - time.perf_counter(), 0.0))
    return (time.process_time() - spent) / (time.perf_counter() - began)


async def measure(ports: list[int], bodies: list[bytes], seconds: float) -> bool:
    """Print a row a case; whether the goal was met."""
    scraper = Scraper(Ledger(), time.time, PrometheusScrapes())
    met = True
    print(f"{'body':40} {'bytes':>9}  {'share of a core':>15}  goal")
    for case, body, port in zip(CASES, bodies, ports, strict=True):
        spent = await share(scraper, port, seconds)
        goal = f"<= {GOAL:.0%}" if case.goal else ""
        print(f"{case.name:40} {len(body):9}  {spent:15.2%}  {goal}")
        met = met and (spent <= GOAL or not case.goal)
    await scraper.close()
    return met


def main() -> None:
    """Run every case against one process of pods."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    bodies = [exposition(case) for case in CASES]
    here, there = multiprocessing.get_context("spawn").Pipe()
    answers = [(body, case.compressed) for body, case in zip(bodies, CASES, strict=True)]
    process = multiprocessing.get_context("spawn").Process(
        target=pods_process, args=(answers, there), daemon=True
    )
    process.start()
    try:
        met = asyncio.run(measure(here.recv(), bodies, seconds))
    finally:
        process.terminate()
        process.join()
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
