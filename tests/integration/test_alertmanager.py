"""Alerts from a real Alertmanager: what fires, since when, and what a person has silenced."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest

from guard.core.policy import Alerts, Matcher, MatchOp
from guard.core.samples import Alerted, Unavailable
from guard.core.workloads import WorkloadId
from guard.sources.alerts import Alertmanager
from guard.sources.lookup import Address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from guard.core.samples import AlertSample

WITHIN = 20.0
WORKLOAD = WorkloadId("kubernetes", "shop", "auth")
OPTED_IN = {"deployment_guard": "true", "namespace": "shop", "service": "auth-service"}
SLOW = {**OPTED_IN, "alertname": "Slow", "pod": "auth-1"}
CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Alertmanager that tells nobody."""
    binary = shutil.which(os.environ.get("GUARD_TEST_ALERTMANAGER", "prometheus-alertmanager"))
    binary = binary or shutil.which("alertmanager")
    if binary is None:
        pytest.skip("no Alertmanager: put it on PATH, or name it by GUARD_TEST_ALERTMANAGER")
    folder = tmp_path_factory.mktemp("alertmanager")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with _running(binary, folder, port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def _running(binary: str, folder: Path, port: int) -> Iterator[None]:
    (folder / "alertmanager.yml").write_text(CONFIG, encoding="utf-8")
    process = subprocess.Popen(
        [
            binary,
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + WITHIN
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture
async def source(url: str) -> AsyncIterator[Alertmanager]:
    made = Alertmanager(Address(url, whose="Alertmanager"), time.time)
    yield made
    await made.close()


async def post(url: str, path: str, body: object) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/api/v2/{path}", json=body) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def fire(
    url: str, since: datetime, labels: dict[str, str], *, ends: datetime | None = None
) -> None:
    alert = {"labels": labels, "startsAt": since.isoformat()}
    await post(url, "alerts", [alert | ({"endsAt": ends.isoformat()} if ends else {})])


async def until(source: Alertmanager, check: Alerts, names: set[tuple[str, str]]) -> AlertSample:
    """Ask until just these fire, by name and pod."""
    async with asyncio.timeout(WITHIN):
        while True:
            answer = await source.firing(check, WORKLOAD, "auth-service")
            if isinstance(answer, Alerted) and names == {(a.name, a.pod) for a in answer.alerts}:
                return answer
            await asyncio.sleep(0.05)


async def test_what_is_opted_in_or_matched_is_read_with_its_time_until_it_resolves(
    url: str, source: Alertmanager
) -> None:
    since = datetime.now(UTC) - timedelta(minutes=3)
    await fire(url, since, SLOW)
    await fire(url, since, {**OPTED_IN, "alertname": "Elsewhere", "namespace": "other"})
    await fire(url, since, {"alertname": "Page", "severity": "page", "team": "identity"})
    opted_in = await until(source, Alerts(), {("Slow", "auth-1")})
    assert isinstance(opted_in, Alerted)
    assert opted_in.alerts[0].since == pytest.approx(since.timestamp(), abs=0.001)
    matching = (
        Matcher("severity", MatchOp.EQUAL, "page"),
        Matcher("team", MatchOp.REGEX, "identity|auth"),
    )
    await until(source, Alerts(matching=matching), {("Slow", "auth-1"), ("Page", "")})
    await fire(url, since, SLOW, ends=datetime.now(UTC))
    await until(source, Alerts(), set())


async def test_what_a_person_has_silenced_does_not_count(url: str, source: Alertmanager) -> None:
    now = datetime.now(UTC)
    await fire(url, now, {**OPTED_IN, "alertname": "Noisy"})
    await until(source, Alerts(), {("Noisy", "")})
    matcher = {"name": "alertname", "value": "Noisy", "isRegex": False, "isEqual": True}
    silence = {
        "matchers": [matcher],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "test",
        "comment": "known",
    }
    await post(url, "silences", silence)
    await until(source, Alerts(), set())


async def test_one_that_is_gone_is_unavailable() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        gone = Alertmanager(Address(f"http://127.0.0.1:{nobody.getsockname()[1]}"), time.time)
        answer = await gone.firing(Alerts(), WORKLOAD, "auth-service")
    await gone.close()
    assert isinstance(answer, Unavailable)
