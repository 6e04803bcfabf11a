"""How often machines ask a container: by its probes, and by what is known of Prometheus."""

from __future__ import annotations

import pytest

from guard.core.workloads import Container, Pod, Probe
from guard.sources.machines import PrometheusScrapes, machine_rate

APP = Container("app", ports=(("http", 8080),))
PROXY = Container("proxy", ports=(("metrics", 15090),))
EVERY_10 = PrometheusScrapes(10.0, 2)


def pod(*probes: Probe, **annotations: str) -> Pod:
    named = tuple((f"prometheus.io/{key}", value) for key, value in annotations.items())
    return Pod(
        "u",
        "auth-1",
        "shop",
        "new",
        0.0,
        containers=(APP, PROXY),
        probes=probes,
        annotations=named,
    )


def http(kind: str, period: float, container: str = "app") -> Probe:
    return Probe(kind, container, "http", "/x", 8080, period=period)


@pytest.mark.parametrize(
    ("asked", "prometheus", "rate", "askers"),
    [
        (pod(), None, 0.0, 0),
        (pod(http("readiness", 10.0), http("liveness", 5.0)), None, 0.3, 2),
        (pod(http("readiness", 10.0), http("startup", 1.0)), None, 1.0, 2),
        (pod(http("readiness", 10.0, "proxy"), Probe("liveness", "app", "tcp")), None, 0.0, 0),
        (pod(http("liveness", 10.0, "")), None, 0.1, 1),
        (pod(http("readiness", 10.0)), EVERY_10, 0.3, 3),
        (pod(scrape="true"), None, 1 / 15, 1),
        (pod(scrape="true"), EVERY_10, 0.2, 2),
        (pod(scrape="false"), EVERY_10, 0.0, 0),
        (pod(scrape="true", port="8080"), EVERY_10, 0.2, 2),
        (pod(scrape="true", port="15090"), EVERY_10, 0.0, 0),
        (pod(scrape="true", port="9999"), EVERY_10, 0.2, 2),
    ],
    ids=[
        "nobody",
        "two probes",
        "a startup probe ends before the others begin",
        "probes of others",
        "a probe of nobody knows which container",
        "a Prometheus that the guard knows",
        "one that only the annotation tells of",
        "the known interval before the usual one",
        "an annotation that forbids",
        "at this container's port",
        "at another container's port",
        "at a port that nobody declares",
    ],
)
def test_machines_are_expected(
    asked: Pod, prometheus: PrometheusScrapes | None, rate: float, askers: int
) -> None:
    assert machine_rate(asked, "app", prometheus) == (pytest.approx(rate), askers)
