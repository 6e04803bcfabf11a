"""`guard check --live` against a real Prometheus (`prometheus` on PATH) that scrapes a server."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest
from aiohttp import web

from guard.cli.check_live import Live, ask
from guard.config.load import SourceFile, parse
from guard.core.actions import Rights
from guard.core.errors import GuardError
from guard.core.workloads import Pod, Revision, Snapshot, WorkloadId
from guard.sources.lookup import Address, Lookup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from pytest_aiohttp import AiohttpServer

    from guard.core.policy import Service
    from guard.engine.ports import Platform

SLO = """\
apiVersion: guard/v1
service: shop
owner: team
workloads:
  - kubernetes: {namespace: shop, deployment: shop}
objectives:
  - {name: ok, target: 99.9, window: 30d, sli: {ratio: {bad: 'BAD', total: 'TOTAL'}}}
rollout:
  bake: 10s
  deadline: 15m
  pace: []
  checks:
    - error_ratio: {objective: ok, above: 1%}
    - promql: {name: queue, expr: 'EXPR', above: 100}
"""
BAD = 'http_requests_total{code=~"5.."}'
EXPR = 'max(queue_depth{pod=~"$candidate"})'
WORKLOAD = WorkloadId("kubernetes", "shop", "shop")


def service(bad: str = BAD, total: str = "http_requests_total", expr: str = EXPR) -> Service:
    text = SLO.replace("BAD", bad).replace("TOTAL", total).replace("EXPR", expr)
    loaded = parse([SourceFile("shop.yaml", text.encode())])
    assert not loaded.problems
    return loaded.services[0]


@dataclass(frozen=True)
class OnePod:
    """A cluster of one pod."""

    pod: Pod

    def follow(self, workloads: frozenset[WorkloadId]) -> None:
        assert workloads == {WORKLOAD}

    async def watch(self) -> AsyncIterator[Snapshot]:
        revision = Revision("abc", "c", 1, "u", 0.0)
        yield Snapshot(WORKLOAD, "uid", 1, time.time(), revision, 1, pods=(self.pod,))

    async def rights(self, workload: WorkloadId) -> Rights:
        return Rights(may_patch=True)


@dataclass(frozen=True)
class Scene:
    """A pod at 600 requests a second, and a Prometheus that knows it."""

    lookup: Lookup
    pod: Pod

    async def kinds(self, pod: Pod | None = None, **stated: str) -> list[str]:
        asked = await asyncio.to_thread(service, **stated)
        platform = cast("Platform", OnePod(pod or self.pod))
        findings = await ask([asked], Live(platform, lookup=self.lookup))
        return [finding.kind.value for finding in findings]


async def exposition(request: web.Request) -> web.Response:
    served = int(600 * (time.time() - request.app[BEGAN]))
    lines = [
        f'http_requests_total{{code="{code}"}} {n}' for code, n in (("200", served), ("500", 1))
    ]
    lines += ['queue_depth{queue="a"} 1', 'queue_depth{queue="b"} 2', 'rare_total{code="200"} 1']
    return web.Response(text="\n".join(lines) + "\n", content_type="text/plain")


BEGAN = web.AppKey("began", float)


@pytest.fixture
async def scene(
    aiohttp_server: AiohttpServer,
    unused_tcp_port_factory: Callable[[], int],
    prometheus_binary: str,
    tmp_path: Path,
) -> AsyncIterator[Scene]:
    app = web.Application()
    app[BEGAN] = time.time()
    app.router.add_get("/metrics", exposition)
    server = await aiohttp_server(app)
    target = f"127.0.0.1:{server.port}"
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        "  - job_name: pods\n"
        f"    static_configs: [{{targets: ['{target}'], "
        "labels: {namespace: shop, pod: shop-1}}]\n",
        encoding="utf-8",
    )
    port = unused_tcp_port_factory()
    process = await asyncio.create_subprocess_exec(
        prometheus_binary,
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    lookup = Lookup(Address(f"http://127.0.0.1:{port}"))
    pod = Pod("u1", "shop-1", "shop", "abc", 0.0, address="127.0.0.1", ready=True)
    try:
        await until_measured(lookup)
        yield Scene(lookup, pod)
    finally:
        await lookup.close()
        process.terminate()
        await process.wait()


async def until_measured(lookup: Lookup) -> None:
    """Wait until Prometheus has scraped often enough for a rate near the true one."""
    async with asyncio.timeout(60):
        while True:
            try:
                rows = await lookup.vector("sum(rate(http_requests_total[5m])) > 1")
            except GuardError:
                rows = []
            if rows:
                return
            await asyncio.sleep(0.2)


async def test_what_a_real_prometheus_knows_and_what_it_does_not(scene: Scene) -> None:
    assert await scene.kinds() == []
    assert await scene.kinds(total="no_such_total") == ["selector-empty"]
    assert await scene.kinds(bad='http_requests_total{status=~"5.."}') == ["label-unknown"]
    assert await scene.kinds(bad="errors_total") == []
    assert await scene.kinds(bad='rare_total{code="500"}', total="rare_total") == ["traffic-low"]
    assert await scene.kinds(expr="queue_depth > 0") == ["expression-many"]
    assert await scene.kinds(expr="max(nothing)") == ["expression-empty"]


async def test_pods_are_found_by_name_or_else_by_address(scene: Scene) -> None:
    elsewhere = Pod("u2", "other-1", "shop", "abc", 0.0, address="127.0.0.1", ready=True)
    expr = "max(queue_depth)"
    assert await scene.kinds(elsewhere, expr=expr) == []
    unknown = Pod("u3", "other-1", "shop", "abc", 0.0, address="10.9.9.9", ready=True)
    assert await scene.kinds(unknown, expr=expr) == ["series-unjoined"]
