"""Applications under other people's instrumentation, read by the preset that the guard chooses."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import aiohttp
import pytest

from guard.config.defaults import default_policies
from guard.config.presets import preset
from guard.core.policy import ErrorRatio, Scrape
from guard.core.samples import Reading
from guard.core.workloads import Container, Pod, WorkloadId
from guard.engine.optin import choose
from guard.sources.ledger import Ledger
from guard.sources.scrape import Scraper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from guard.core.policy import Sli
    from guard.engine.world import World

APPS = Path(__file__).parent / "instrumented"
STATUSES = ("200", "200", "200", "404", "500", "503")


@asynccontextmanager
async def app(script: str, *arguments: str, **environment: str) -> AsyncIterator[Pod]:
    """One pod's process, from when it says its port until it has ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(APPS / script),
        *arguments,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        port = int(await asyncio.wait_for(process.stdout.readline(), 30))
        yield pod(port)
    finally:
        process.kill()
        await process.wait()


def pod(port: int) -> Pod:
    container = Container("app", ready=True, started_at=1.0, ports=(("metrics", port),))
    return Pod("u", "cart-1", "shop", "new", 1.0, "127.0.0.1", ready=True, containers=(container,))


async def use(pod: Pod) -> None:
    """What its users ask, and the kubelet besides."""
    port = pod.containers[0].ports[0][1]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for status in STATUSES:
            async with session.get(f"/answer/{status}") as answer:
                assert answer.status == int(status)


async def chosen(pod: Pod) -> tuple[Sli, Reading]:
    """The indicator that opting in by label alone finds, and what it reads."""
    scraper = Scraper(Ledger(), lambda: 1.0, None)
    try:
        policies = default_policies(WorkloadId("kubernetes", "shop", "cart"))
        world = cast("World", SimpleNamespace(counters=(scraper,)))
        policy, words = await choose(world, policies, (pod,))
        check = policy.checks[0]
        assert isinstance(check, ErrorRatio), words
        read = await scraper.read(check.objective.sli, (pod,), Scrape())
        sample = read["u/app"]
        assert isinstance(sample, Reading)
        return check.objective.sli, sample
    finally:
        await scraper.close()


@pytest.mark.parametrize(
    ("kind", "convention", "name"),
    [
        ("fastapi", "", "http_requests_total.status"),
        ("opentelemetry", "http", "http_server_request_duration_seconds"),
        ("opentelemetry", "", "http_server_duration_milliseconds"),
    ],
)
async def test_a_web_application_is_found_and_its_server_errors_are_counted(
    kind: str, convention: str, name: str
) -> None:
    async with app("web_app.py", kind, OTEL_SEMCONV_STABILITY_OPT_IN=convention) as pod:
        await use(pod)
        sli, sample = await chosen(pod)
    assert sli == preset(name).indicator
    assert sample.bad == 2.0
    # The guard's own scrapes are counted too, unless a label says their path.
    assert sample.total - len(STATUSES) == (0.0 if sample.paths_known else 1.0)


async def test_a_grpc_server_is_found_its_faults_are_counted_and_health_checks_are_not() -> None:
    codes = ("OK", "OK", "NOT_FOUND", "INVALID_ARGUMENT", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")
    calls = [f"shop.Cart/{code}" for code in codes]
    async with app("grpc_app.py", *calls, *["grpc.health.v1.Health/Check"] * 5) as pod:
        sli, sample = await chosen(pod)
    assert sli == preset("grpc_server_handled_total").indicator
    assert (sample.bad, sample.total) == (3.0, float(len(codes)))
    assert sample.paths_known
