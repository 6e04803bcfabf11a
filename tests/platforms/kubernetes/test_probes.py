from __future__ import annotations

from typing import Any

import msgspec
import pytest

from guard.core.workloads import Probe
from guard.platforms.kubernetes.objects import ContainerSpec
from guard.platforms.kubernetes.probes import probes


def read(**container: Any) -> tuple[Probe, ...]:
    ports = [{"name": "http", "containerPort": 8080}, {"name": "ops", "containerPort": 9090}]
    found = msgspec.convert({"name": "app", "ports": ports, **container}, ContainerSpec)
    return probes((found,))


@pytest.mark.parametrize(
    ("probe", "found"),
    [
        pytest.param(
            {"httpGet": {"path": "/ready", "port": "ops", "scheme": "HTTPS"}, "periodSeconds": 5},
            Probe("readiness", "app", "http", "/ready", 9090, "https", 5.0),
            id="http on a named port",
        ),
        pytest.param(
            {"httpGet": {"port": 8080}},
            Probe("readiness", "app", "http", "/", 8080, "http", 10.0),
            id="http with defaults",
        ),
        pytest.param(
            {"httpGet": {"port": "8081"}},
            Probe("readiness", "app", "http", "/", 8081),
            id="a number written as text",
        ),
        pytest.param(
            {"httpGet": {"port": "nowhere"}},
            Probe("readiness", "app", "http", "/", 0),
            id="a port that is not declared",
        ),
        pytest.param(
            {"tcpSocket": {"port": "http"}}, Probe("readiness", "app", "tcp", port=8080), id="tcp"
        ),
        pytest.param(
            {"grpc": {"port": 50051, "service": "s"}},
            Probe("readiness", "app", "grpc", port=50051),
            id="grpc",
        ),
        pytest.param(
            {"exec": {"command": ["cat", "/secret"]}, "periodSeconds": 3},
            Probe("readiness", "app", "exec", period=3.0),
            id="exec",
        ),
    ],
)
def test_a_probe_says_where_it_asks(probe: dict[str, Any], found: Probe) -> None:
    assert read(readinessProbe=probe) == (found,)


@pytest.mark.parametrize("handler", ["httpGet", "tcpSocket"])
def test_a_probe_of_another_host_does_not_reach_the_pod(handler: str) -> None:
    assert read(livenessProbe={handler: {"port": 80, "host": "example.org"}}) == ()


def test_every_kind_of_probe_is_read() -> None:
    probe = {"httpGet": {"port": "http"}}

    found = read(readinessProbe=probe, livenessProbe=probe, startupProbe=probe)

    assert [one.kind for one in found] == ["readiness", "liveness", "startup"]


def test_a_container_without_probes_has_none() -> None:
    assert read() == ()
