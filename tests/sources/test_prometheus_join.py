"""A series is joined to one pod or to none (Counting 6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guard.sources.prometheus_answers import Series
from guard.sources.prometheus_join import by_address, by_name, instance
from tests.sources.prometheus_world import pod, series


def at(instance: str, **labels: str) -> Series:
    return series("m", (1.0, 1.0), instance=instance, **labels)


def test_a_name_joins_only_in_its_namespace() -> None:
    mine = series("m", (1.0, 1.0), namespace="shop", pod="shop-1")
    others = [
        series("m", (1.0, 1.0), namespace="other", pod="shop-1"),
        series("m", (1.0, 1.0), pod="shop-1"),
        series("m", (1.0, 1.0), namespace="shop", pod="shop-11"),
    ]
    assert by_name([mine, *others], [pod("shop-1")]) == {"uid-shop-1": [mine]}


def test_an_address_joins_with_the_port_that_the_pod_declares() -> None:
    declared, other = at("10.0.0.1:8080"), at("10.0.0.1:9100")
    assert by_address([declared, other], [pod()]) == {"uid-shop-1": [declared]}


def test_an_annotated_port_is_as_good_as_a_declared_one() -> None:
    annotated = replace(pod(), annotations=(("prometheus.io/port", "9100"),))
    other = at("10.0.0.1:9100")
    assert by_address([other], [annotated]) == {"uid-shop-1": [other]}
    assert by_address([other], [replace(pod(), annotations=(("prometheus.io/port", "x"),))]) == {}


def test_a_pod_that_declares_no_port_has_any_of_its_address() -> None:
    silent = replace(pod(), containers=())
    found = at("10.0.0.1:9100")
    assert by_address([found], [silent]) == {"uid-shop-1": [found]}


def test_an_address_that_several_pods_have_joins_by_the_port_alone() -> None:
    pods = [pod("a", port=1111), pod("b", port=2222)]
    one, two, neither = at("10.0.0.1:1111"), at("10.0.0.1:2222"), at("10.0.0.1:3333")
    joined = by_address([one, two, neither], pods)
    assert joined == {"uid-a": [one], "uid-b": [two]}
    same = [pod("a"), pod("b")]
    assert by_address([at("10.0.0.1:8080")], same) == {}


def test_what_carries_another_pods_name_is_never_joined_by_its_address() -> None:
    for labels in ({"pod": "other"}, {"pod": "shop-1", "namespace": "other"}):
        assert by_address([at("10.0.0.1:8080", **labels)], [pod()]) == {}
    mine = at("10.0.0.1:8080", pod="shop-1")
    assert by_address([mine], [pod()]) == {"uid-shop-1": [mine]}


def test_a_pod_without_an_address_is_joined_to_nothing() -> None:
    assert by_address([at("")], [pod(address=None)]) == {}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("10.0.0.1:8080", ("10.0.0.1", 8080)),
        ("10.0.0.1", ("10.0.0.1", 0)),
        ("[fd00::1]:8080", ("fd00::1", 8080)),
        ("[fd00::1]", ("fd00::1", 0)),
        ("fd00::1", ("fd00::1", 0)),
        ("host:http", ("host:http", 0)),
        ("", ("", 0)),
    ],
)
def test_an_instance_is_a_host_and_perhaps_a_port(text: str, parts: tuple[str, int]) -> None:
    assert instance({"instance": text}) == parts
