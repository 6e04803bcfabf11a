"""Looking back: each pod's own counters at every step, errors and requests from one answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from guard.config.selectors import selector
from guard.core.evidence.history import Mark, Track
from guard.core.policy import Latency, Scrape
from guard.core.samples import NoData, NoDataReason, Unavailable, UnavailableReason
from guard.core.workloads import Probe
from guard.sources.lookup import Address
from guard.sources.prometheus_client import PrometheusClient
from guard.sources.prometheus_history import PODS_AT_MOST, PrometheusHistory
from tests.sources.prometheus_world import SLI, FakePrometheus, matrix, ok, pod
from tests.sources.prometheus_world import series as named_series

if TYPE_CHECKING:
    from pytest_aiohttp import AiohttpServer

    from guard.sources.prometheus_answers import Series

SPAN = (0.0, 180.0, 60.0)


@dataclass
class Replay:
    """A client that answers each range query with the same series, and keeps the queries."""

    answer: tuple[Series, ...] | Unavailable = ()
    room: int = 14_000
    asked: list[tuple[str, float, float, float]] = field(default_factory=list)

    async def range(
        self, query: str, since: float, until: float, step: float
    ) -> tuple[Series, ...] | Unavailable:
        self.asked.append((query, since, until, step))
        return self.answer


def counted(kind: str, *samples: tuple[float, float], **labels: str) -> Series:
    """What one target counted."""
    target = {"namespace": "shop", "pod": "shop-1", "container": "app", "instance": "10.0.0.1:8080"}
    return named_series("", *samples, **{**target, "job": "pods", **labels, "guard_kind": kind})


async def look(client: Replay, *pods: object) -> tuple[Track, ...] | NoData | Unavailable:
    asked = pods or (pod(),)
    return await PrometheusHistory(client).look_back(SLI, asked, Scrape(), SPAN)  # type: ignore[arg-type]


async def test_errors_and_requests_of_each_pod_come_at_every_step() -> None:
    total = counted("total", (60.0, 100.0), (120.0, 200.0), (180.0, 310.0))
    bad = counted("bad", (120.0, 2.0), (180.0, 5.0))
    assert await look(Replay((total, bad))) == (
        Track("shop/shop-1/app", (Mark(60, 100, 0), Mark(120, 200, 2), Mark(180, 310, 5))),
    )


async def test_one_query_asks_for_both_and_leaves_machines_out() -> None:
    client = Replay()
    probed = replace(pod(), probes=(Probe("readiness", "app", "http", path="/healthz"),))
    await look(client, probed)
    ((query, *span),) = client.asked
    assert tuple(span) == SPAN
    assert query.count("sum by (namespace, pod, container, job, instance)") == 2
    assert query.count('code=~"5.."') == 1
    assert query.count('pod=~"shop-1"') == 2
    assert query.count(',path!~"/healthz|/metrics"') == 2
    assert "rate(" not in query


async def test_without_errors_there_are_none_and_without_requests_nothing() -> None:
    assert await look(Replay((counted("total", (60.0, 9.0)),))) == (
        Track("shop/shop-1/app", (Mark(60, 9, 0),)),
    )
    answer = await look(Replay((counted("bad", (60.0, 9.0)),)))
    assert isinstance(answer, NoData)
    assert answer.reason is NoDataReason.NO_SERIES


async def test_slow_requests_are_those_that_are_not_in_the_bucket_of_the_bound() -> None:
    histogram = selector("request_seconds")
    total = counted("total", (60.0, 100.0), (120.0, 200.0), (180.0, 300.0))
    fast = counted("fast", (120.0, 190.0), (180.0, 280.0))
    client = Replay((total, fast))
    latency = Latency(histogram, slower_than=0.5, bound=0.5)
    answer = await PrometheusHistory(client).look_back(latency, (pod(),), Scrape(), SPAN)  # type: ignore[arg-type]
    assert answer == (Track("shop/shop-1/app", (Mark(120, 200, 10), Mark(180, 300, 20))),)
    assert "request_seconds_count{" in client.asked[0][0]
    assert 'request_seconds_bucket{le=~"' in client.asked[0][0]
    client.answer = (total,)
    answer = await PrometheusHistory(client).look_back(latency, (pod(),), Scrape(), SPAN)  # type: ignore[arg-type]
    assert isinstance(answer, NoData)


async def test_a_pod_that_the_platform_does_not_name_is_left_out() -> None:
    answer = await look(Replay((counted("total", (60.0, 9.0), pod="shop-1-old"),)))
    assert isinstance(answer, NoData)


async def test_what_is_older_than_the_pod_is_of_another_one_with_its_name() -> None:
    young = replace(pod(), created_at=100.0)
    total = counted("total", (60.0, 900.0), (120.0, 20.0))
    assert await look(Replay((total,)), young) == (Track("shop/shop-1/app", (Mark(120, 20, 0),)),)


async def test_of_two_jobs_that_scrape_one_container_the_longer_history_counts() -> None:
    short = counted("total", (180.0, 30.0), job="a")
    long = counted("total", (60.0, 10.0), (120.0, 20.0), (180.0, 30.0), job="b")
    answer = await look(Replay((short, long)))
    assert isinstance(answer, tuple)
    assert [len(track.marks) for track in answer] == [3]


async def test_not_a_number_is_no_mark_and_errors_never_exceed_requests() -> None:
    total = counted("total", (60.0, float("nan")), (120.0, 5.0))
    bad = counted("bad", (60.0, 1.0), (120.0, 7.0))
    assert await look(Replay((total, bad))) == (Track("shop/shop-1/app", (Mark(120, 5, 5),)),)


async def test_a_server_that_does_not_answer_is_unavailable_and_no_pods_are_no_data() -> None:
    trouble = Unavailable(UnavailableReason.TIMEOUT)
    assert await look(Replay(trouble)) is trouble
    answer = await PrometheusHistory(Replay()).look_back(SLI, (), Scrape(), SPAN)  # type: ignore[arg-type]
    assert isinstance(answer, NoData)
    assert answer.reason is NoDataReason.NO_PODS


@pytest.mark.parametrize(("room", "at_most"), [(14_000, PODS_AT_MOST), (2_500, 60)])
async def test_no_more_pods_are_asked_about_than_one_answer_has_room_for(
    room: int, at_most: int
) -> None:
    client = Replay(room=room)
    await look(client, *(pod(f"shop-{index:04}") for index in range(300)))
    ((query, *_),) = client.asked
    assert len(query) <= room
    assert 0 < query.count("shop-0") <= 2 * at_most


async def test_a_range_is_asked_of_the_server_with_its_times(aiohttp_server: AiohttpServer) -> None:
    fake = FakePrometheus()
    fake.say = lambda _: matrix([counted("total", (60.0, 9.0))])
    server = await aiohttp_server(fake.application())
    client = PrometheusClient(Address(str(server.make_url("")).rstrip("/")))
    answer = await PrometheusHistory(client).look_back(SLI, (pod(),), Scrape(), (0.5, 180.0, 60.0))
    assert isinstance(answer, tuple)
    form = await fake.requests[0].post()
    assert (form["start"], form["end"], form["step"]) == ("0.500", "180.000", "60")
    assert fake.requests[0].path.endswith("/query_range")
    fake.say = lambda _: ok("vector", [])
    refused = await PrometheusHistory(client).look_back(SLI, (pod(),), Scrape(), SPAN)
    assert isinstance(refused, Unavailable)
    await client.close()
