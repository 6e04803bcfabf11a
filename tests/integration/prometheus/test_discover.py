"""`guard discover` against a real Prometheus that scrapes what each preset's project documents."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from guard.cli.discover import discover
from guard.cli.main import main
from guard.config.load import SourceFile, parse
from guard.config.presets import PER_REVISION, PRESETS
from guard.core.policy import Scrape
from guard.core.samples import Reading
from guard.core.workloads import Container, Pod, Probe
from guard.sources.lookup import Address
from tests.integration.prometheus.scene import AGAIN, HOST, WITHIN, Server, asker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guard.core.samples import CounterSample

EXPOSITIONS = Path(__file__).parents[2] / "config" / "expositions"
OWNERS = (
    ("kube_pod_owner", "pod", "app-0-7c489dc7b7-ccrf6", "ReplicaSet", "rs"),
    ("kube_replicaset_owner", "replicaset", "rs", "Deployment", "known"),
)
KUBE_STATE = "".join(
    f'{metric}{{namespace="shop",{label}="{name}",owner_kind="{kind}",owner_name="{owner}"}} 1\n'
    for metric, label, name, kind, owner in OWNERS
)


class Pages(BaseHTTPRequestHandler):
    """Each preset's page at its name, and one of kube-state-metrics."""

    def do_GET(self) -> None:
        name = self.path.strip("/")
        found = EXPOSITIONS / f"{name}.prom"
        body = KUBE_STATE.encode() if name == "kube-state" else found.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name
        pass


@pytest.fixture(scope="module")
def address(prometheus_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pages = ThreadingHTTPServer((HOST, 0), Pages)
    thread = threading.Thread(target=pages.serve_forever, kwargs={"poll_interval": AGAIN})
    thread.start()
    target = f"targets: ['{HOST}:{pages.server_port}']"
    pods = ", ".join(
        f"{{{target}, labels: {{__metrics_path__: /{one.name}, namespace: shop,"
        f" pod: app-{index}-7c489dc7b7-ccrf6}}}}"
        for index, one in enumerate(PRESETS)
    )
    more = (
        f"  - job_name: presets\n    static_configs: [{pods}]\n"
        f"  - job_name: kube-state\n    honor_labels: true\n    metrics_path: /kube-state\n"
        f"    static_configs: [{{{target}}}]\n"
    )
    server = Server(prometheus_binary, tmp_path_factory.mktemp("discover"), (), more)
    try:
        server.start()
        server.ready()
        yield server.url
    finally:
        server.kill()
        pages.shutdown()
        pages.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def asked(*arguments: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(discover, arguments)
    return outcome.exit_code, outcome.output


def scraped(address: str) -> dict[str, Any]:
    """What is found once all is scraped; the targets' scrapes are spread over one interval."""
    end = time.monotonic() + WITHIN
    while time.monotonic() < end:
        status, text = asked("--prometheus", address, "--json")
        document: dict[str, Any] = json.loads(text) if status == 0 else {"found": []}
        known = {one["workload"] for one in document["found"]}
        if len(document["found"]) == len(PRESETS) and "known" in known:
            return document
        time.sleep(AGAIN)
    raise AssertionError(document)


def test_each_preset_is_found_once_for_the_workload_that_exposes_it(address: str) -> None:
    found = {one["preset"]: one for one in scraped(address)["found"]}
    assert set(found) == {one.name for one in PRESETS}
    for index, one in enumerate(PRESETS):
        row = found[one.name]
        assert row["workload"] == ("known" if index == 0 else f"app-{index}")
        assert (row["namespace"], row["pods"]) == ("shop", 1)
        assert row["assumed"] is (index != 0)


def test_what_each_preset_selects_in_prometheus_is_what_it_selects_on_a_page(address: str) -> None:
    scraped(address)
    for name, sample in asyncio.run(counted(address)).items():
        stated = re.search(r"bad=(\d+) total=(\d+)", (EXPOSITIONS / f"{name}.prom").read_text())
        assert stated
        assert isinstance(sample, Reading), (name, sample)
        assert (sample.bad, sample.total) == tuple(map(float, stated.groups())), name


async def counted(address: str) -> dict[str, CounterSample]:
    """What the live source of counters reads of each preset."""
    one = asker(Address(address))
    try:
        found = {}
        for index, preset in enumerate(PER_REVISION):
            samples = await one.counters.read(preset.indicator, (pod(index),), Scrape())
            (found[preset.name],) = samples.values()
        return found
    finally:
        await one.counters.close()
        await one.client.close()


def pod(index: int) -> Pod:
    """The pod that one target stands for; its readiness probe is asked of machines."""
    return Pod(
        uid=f"u{index}",
        name=f"app-{index}-7c489dc7b7-ccrf6",
        namespace="shop",
        revision="new",
        created_at=1.0,
        address=HOST,
        ready=True,
        containers=(Container("app", ready=True, started_at=1.0),),
        probes=(Probe("readiness", "app", "http", "/actuator/health/readiness"),),
        annotations=(("prometheus.io/path", "/actuator/prometheus"),),
    )


def test_the_files_that_it_prints_are_valid_together(address: str) -> None:
    files = scraped(address)["files"]
    loaded = parse([SourceFile(path, text.encode()) for path, text in files.items()])
    assert loaded.problems == ()
    assert len(loaded.services) == sum(one.scope.value == "per revision" for one in PRESETS)


def test_a_namespace_without_any_is_told_by_status_1(address: str) -> None:
    scraped(address)
    assert asked("--prometheus", address, "--namespace", "shop")[0] == 0
    status, words = asked("--prometheus", address, "--namespace", "bank")
    assert status == 1
    assert words.startswith("no preset's counters in bank")


def test_the_command_itself_prints_table_and_files(address: str) -> None:
    scraped(address)
    told = CliRunner().invoke(main, ["discover", "--prometheus", address])
    assert told.exit_code == 0
    assert "shop/known" in told.output
    assert "sli: {preset: http_requests_total}" in told.output
