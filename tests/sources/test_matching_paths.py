"""Counting 7: series of a path that machines ask for are left out, and when that is enough."""

from __future__ import annotations

import pytest

from guard.core.policy import Scrape
from guard.core.workloads import Pod, Probe
from guard.sources.paths import asked_by_machines, known, machine_paths, path_of

MACHINES = frozenset({"/metrics", "/health"})


def pod(*probes: Probe, **annotations: str) -> Pod:
    named = tuple((f"prometheus.io/{key}", value) for key, value in annotations.items())
    return Pod("u", "auth-1", "shop", "new", 0.0, probes=probes, annotations=named)


def test_the_paths_of_machines_are_those_of_scrapes_probes_and_health_checks() -> None:
    asked = pod(
        Probe("readiness", "app", "http", "/ready"),
        Probe("liveness", "app", "http", ""),
        Probe("startup", "app", "tcp"),
        Probe("liveness", "proxy", "http", "/proxy"),
        path="/prom?format=text",
    )
    paths = machine_paths(asked, "app", Scrape(path="/m/", asked=frozenset({"/health"})))
    assert paths == {"/m", "/prom", "/ready", "/", "/health"}


def test_without_a_word_on_the_path_it_is_metrics() -> None:
    assert machine_paths(pod(), "app", Scrape()) == {"/metrics"}


@pytest.mark.parametrize(
    ("labels", "path"),
    [
        ({"path": "/metrics/"}, "/metrics"),
        ({"handler": "/metrics?x=1"}, "/metrics"),
        ({"uri": "http://10.0.0.1:8080/health?full=1"}, "/health"),
        ({"handler": "prometheus", "path": "/metrics"}, "/metrics"),
        ({"endpoint": "http-metrics"}, None),
        ({"code": "200"}, None),
        ({"path": ""}, None),
        ({"grpc_service": "shop.Cart", "grpc_method": "Get"}, "/shop.Cart/Get"),
        ({"grpc_service": "/shop.Cart", "grpc_method": "Get"}, "/shop.Cart/Get"),
        ({"grpc_service": "shop.Cart"}, None),
    ],
)
def test_the_path_is_read_from_any_usual_label(labels: dict[str, str], path: str | None) -> None:
    assert path_of(labels) == path
    assert asked_by_machines(labels, MACHINES) is (path in MACHINES)


def by_path(*values: str) -> list[dict[str, str]]:
    return [{"path": value} for value in values]


@pytest.mark.parametrize(
    "values",
    [
        ["/metrics", "/health", "/buy", "other"],
        ["/buy", "/items/{id}", "/items/:id/parts", "/a/<int:b>"],
        ["/metrics", "/api/{rest:path}", "/health"],
        ["/metrics"],
    ],
)
def test_paths_are_known_where_no_other_series_can_hold_requests_of_machines(
    values: list[str],
) -> None:
    assert known(by_path(*values), MACHINES)


@pytest.mark.parametrize(
    "values",
    [
        ["/metrics", "/buy", "other"],
        ["/buy", "NOT_FOUND"],
        ["/{page}"],
        ["/:page", "/metrics"],
        ["/<page>"],
        ["/*"],
        ["/{rest:path}", "/metrics"],
        ["/**"],
        [],
    ],
)
def test_paths_are_not_known_where_another_series_may_hold_requests_of_machines(
    values: list[str],
) -> None:
    assert not known(by_path(*values), MACHINES)


def test_series_without_a_path_may_hold_anything() -> None:
    assert not known([{"code": "200"}, {"code": "500"}], MACHINES)
    assert not known([{}, {"path": "/metrics"}], MACHINES)


def test_a_template_holds_a_machines_path_of_its_length_and_fixed_parts_only() -> None:
    machines = frozenset({"/internal/health/live"})
    assert known(by_path("/internal/{x}", "/a/health/{x}", "/internal/health/live/{x}"), machines)
    assert not known(by_path("/internal/{x}/live"), machines)
    assert not known(by_path("/internal/{rest:path}"), machines)
