"""A day of counters in a real Prometheus, written beforehand: what is normal is read from it."""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from guard.core.evidence.history import DAY, normal, served
from guard.core.policy import Scrape
from guard.core.samples import NoData
from guard.core.workloads import Container, Pod
from guard.sources.lookup import Address
from guard.sources.prometheus_client import PrometheusClient
from guard.sources.prometheus_history import PrometheusHistory
from tests.integration.prometheus.scene import SLI, WITHIN, Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PODS = 5
STEP = 60.0
RATIO = 0.02
A_MINUTE = 600
PROBES = 12


def lines(now: float) -> Iterator[str]:
    """Each pod's counters of the last day as OpenMetrics; the third began anew in the middle."""
    draw = random.Random(1)
    yield "# TYPE http_requests counter"
    for index in range(PODS):
        target = f'container="app",job="pods",instance="10.0.0.{index}:80"'
        pod = f'namespace="shop",pod="shop-{index}",{target}'
        rows: dict[str, list[str]] = {"200": [], "500": [], "probe": []}
        counts = dict.fromkeys(rows, 0)
        minutes = round(DAY / STEP)
        for minute in range(minutes + 10):
            if index == 2 and minute == minutes // 2:
                counts = dict.fromkeys(rows, 0)
            bad = sum(draw.random() < RATIO for _ in range(A_MINUTE))
            counts["200"] += A_MINUTE - bad
            counts["500"] += bad
            counts["probe"] += PROBES
            at = now - DAY - 9 * STEP + minute * STEP
            for code, row in rows.items():
                path = "/healthz" if code == "probe" else "/shop"
                labels = f'{pod},path="{path}",code="{"200" if code == "probe" else code}"'
                row.append(f"http_requests_total{{{labels}}} {counts[code]} {at:.3f}")
        for row in rows.values():
            yield from row
    yield "# EOF"


@pytest.fixture(scope="module")
def now() -> float:
    return time.time() - 1.0


@pytest.fixture(scope="module")
def server(
    prometheus_binary: str, now: float, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    beside = Path(prometheus_binary).resolve().with_name("promtool")
    promtool = str(beside) if beside.exists() else shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool beside Prometheus, which writes the day that is looked back on")
    folder = tmp_path_factory.mktemp("history")
    text = folder / "day.om"
    text.write_text("\n".join(lines(now)) + "\n", encoding="utf-8")
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", text, folder / "data"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    server = Server(prometheus_binary, folder, ())
    server.start()
    server.ready()
    yield server
    server.kill()


@pytest.fixture
async def history(server: Server, pods: list[Pod], now: float) -> AsyncIterator[PrometheusHistory]:
    client = PrometheusClient(Address(server.url, timeout=WITHIN))
    asked = PrometheusHistory(client)
    end = time.monotonic() + WITHIN
    span = (now - 600.0, now, STEP)
    while not isinstance(await asked.look_back(SLI, pods, Scrape(), span), tuple):
        assert time.monotonic() < end, "the server never showed its day"
        await asyncio.sleep(0.1)
    yield asked
    await client.close()


@pytest.fixture
def pods(now: float) -> list[Pod]:
    return [
        Pod(
            uid=f"uid-{index}",
            name=f"shop-{index}",
            namespace="shop",
            revision="good",
            created_at=now - 2 * DAY,
            address=f"10.0.0.{index}",
            ready=True,
            containers=(Container("app", ready=True),),
        )
        for index in range(PODS)
    ]


SCRAPE = Scrape(asked=frozenset({"/healthz"}))


async def test_a_day_of_five_pods_gives_their_ratio_and_how_their_errors_come(
    history: PrometheusHistory, pods: list[Pod], now: float
) -> None:
    tracks = await history.look_back(SLI, pods, SCRAPE, (now - DAY, now, STEP))
    assert isinstance(tracks, tuple)
    assert len(tracks) == PODS
    found = normal(tracks, 0.01, now, STEP)
    assert found.over == pytest.approx(RATIO, rel=0.05)
    assert found.bad / found.total == pytest.approx(RATIO, rel=0.05)
    assert found.allowance in {1, 2}
    assert found.pod_over is not None


async def test_requests_are_whole_numbers_and_those_of_machines_are_left_out(
    history: PrometheusHistory, pods: list[Pod], now: float
) -> None:
    tracks = await history.look_back(SLI, pods[:1], SCRAPE, (now - 3600.0, now, STEP))
    assert isinstance(tracks, tuple)
    _, total = served(tracks, now - 3600.0 - STEP, now)
    assert total == 60 * A_MINUTE


async def test_a_restart_in_the_middle_costs_its_block_alone(
    history: PrometheusHistory, pods: list[Pod], now: float
) -> None:
    tracks = await history.look_back(SLI, pods[2:3], SCRAPE, (now - DAY, now, STEP))
    assert isinstance(tracks, tuple)
    _, total = served(tracks, now - DAY - STEP, now)
    assert total == round(DAY / STEP - 1) * A_MINUTE


async def test_pods_that_prometheus_never_saw_have_no_history(
    history: PrometheusHistory, pods: list[Pod], now: float
) -> None:
    others = [replace(pods[0], name="shop-x")]
    answer = await history.look_back(SLI, others, SCRAPE, (now - DAY, now, STEP))
    assert isinstance(answer, NoData)
