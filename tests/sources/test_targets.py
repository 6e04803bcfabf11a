"""Where to scrape: by the policy, the annotations, a port's name, the probe; else said in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guard.core.policy import Scrape
from guard.core.samples import NoData, NoDataReason
from guard.core.workloads import Container, Pod, Probe
from guard.sources.targets import targets

APP = Container("app", ports=(("http", 8080), ("", 9000)))
PROXY = Container("proxy", ports=(("admin", 15000),))
INIT = Container("init", init=True, ports=(("metrics", 1),))
READY = Probe("readiness", "app", "http", "/ready", 8080)


def pod(
    *containers: Container,
    probes: tuple[Probe, ...] = (),
    address: str | None = "10.0.0.7",
    **annotations: str,
) -> Pod:
    named = tuple((f"prometheus.io/{key}", value) for key, value in annotations.items())
    return Pod(
        "u",
        "auth-1",
        "shop",
        "new",
        0.0,
        address=address,
        containers=containers or (INIT, APP, PROXY),
        probes=probes,
        annotations=named,
    )


def named(port: str, number: int = 9090) -> Container:
    return replace(APP, ports=(*APP.ports, (port, number)))


@pytest.mark.parametrize(
    ("asked", "scrape", "urls"),
    [
        (
            pod(named("metrics")),
            Scrape(port=8081, path="/m", scheme="https"),
            {"app": "https://10.0.0.7:8081/m"},
        ),
        (pod(), Scrape(port="admin"), {"proxy": "http://10.0.0.7:15000/metrics"}),
        (pod(), Scrape(port=15000), {"proxy": "http://10.0.0.7:15000/metrics"}),
        (
            pod(),
            Scrape(container="app", port=15000),
            {"app": "http://10.0.0.7:15000/metrics"},
        ),
        (
            pod(named("metrics"), port="8080", path="prom?a=b", scheme="https"),
            Scrape(),
            {"app": "https://10.0.0.7:8080/prom?a=b"},
        ),
        (
            pod(scrape="true", port="15000", path="/a"),
            Scrape(path="/b"),
            {"proxy": "http://10.0.0.7:15000/b"},
        ),
        (
            pod(named("metrics"), scrape="false", port="8080"),
            Scrape(),
            {"app": "http://10.0.0.7:9090/metrics"},
        ),
        (
            pod(named("metrics"), replace(PROXY, ports=(("http-metrics", 15090),))),
            Scrape(),
            {"app": "http://10.0.0.7:9090/metrics", "proxy": "http://10.0.0.7:15090/metrics"},
        ),
        (
            pod(named("metrics"), replace(PROXY, ports=(("http-metrics", 15090),))),
            Scrape(container="proxy"),
            {"proxy": "http://10.0.0.7:15090/metrics"},
        ),
        (
            pod(
                probes=(
                    Probe("liveness", "app", "http", "/live", 9000, "HTTPS"),
                    READY,
                    Probe("startup", "app", "http", "/up", 9001),
                    Probe("liveness", "proxy", "tcp", "", 15000),
                )
            ),
            Scrape(),
            {"app": "http://10.0.0.7:8080/metrics"},
        ),
        (
            pod(probes=(Probe("liveness", "app", "http", "/live", 9000, "HTTPS"),)),
            Scrape(),
            {"app": "https://10.0.0.7:9000/metrics"},
        ),
        (
            pod(PROXY, scrape="true"),
            Scrape(),
            {"proxy": "http://10.0.0.7:15000/metrics"},
        ),
        (
            pod(address="fd00::7", probes=(READY,)),
            Scrape(),
            {"app": "http://[fd00::7]:8080/metrics"},
        ),
    ],
    ids=[
        "the policy before a port's name",
        "the policy by a port's name",
        "a number belongs to who declares it",
        "the policy's container before who declares the port",
        "annotations before a port's name",
        "the policy's path before the annotation's",
        "annotations that forbid say nothing",
        "a port's name in each container",
        "a port's name in the policy's container",
        "the readiness probe's port before others",
        "another probe's port with its scheme",
        "the only port of a pod that asks to be scraped",
        "an IPv6 address in brackets",
    ],
)
def test_the_pods_metrics_are_found(asked: Pod, scrape: Scrape, urls: dict[str, str]) -> None:
    found = targets(asked, scrape)
    assert not isinstance(found, NoData)
    assert {target.container: target.url for target in found} == urls


@pytest.mark.parametrize(
    ("asked", "scrape", "words"),
    [
        (pod(address=None), Scrape(port=1), "auth-1 has no address yet"),
        (pod(), Scrape(container="db"), "auth-1 has no container db"),
        (pod(), Scrape(port="prom"), "no container of auth-1 has a port named prom"),
        (pod(), Scrape(), "auth-1 says nowhere where its metrics are"),
        (pod(port="metrics"), Scrape(), "set rollout.scrape.port"),
        (pod(scrape="true"), Scrape(), "annotate prometheus.io/port"),
        (
            pod(probes=(Probe("readiness", "app", "tcp", "", 8080),)),
            Scrape(),
            "name a port `metrics`",
        ),
    ],
    ids=[
        "no address",
        "no such container",
        "no such port",
        "nothing said",
        "annotation of no number",
        "several ports",
        "tcp",
    ],
)
def test_where_nothing_is_found_it_is_said_in_words(asked: Pod, scrape: Scrape, words: str) -> None:
    found = targets(asked, scrape)
    assert isinstance(found, NoData)
    assert found.reason is NoDataReason.NO_TARGET
    assert words in found.detail
