"""Slow requests from a classic histogram, by direct scrape and from Prometheus alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram, Summary, generate_latest

from guard.config.selectors import histogram
from guard.core.policy import Latency, Scrape
from guard.core.samples import NoData, NoDataReason, Reading
from guard.sources.buckets import neighbours
from guard.sources.exposition import Exposition
from guard.sources.ledger import Ledger
from guard.sources.pages import Page
from guard.sources.prometheus_queries import queries_by_name, question
from guard.sources.prometheus_targets import readings
from guard.sources.questions import Question
from guard.sources.scrape import Scraper
from tests.sources.prometheus_world import of_pod, pod, up

if TYPE_CHECKING:
    from conftest import MakePod
    from pytest_aiohttp import AiohttpServer

NAME = "http_request_duration_seconds"
HALF = Latency(histogram(NAME), 0.5, 0.5)
BUY = Latency(histogram(f'{NAME}{{path="/buy"}}'), 0.5, 0.5)


def exposed(*seconds: float, buckets: tuple[float, ...] = (0.25, 0.5, 1.0)) -> bytes:
    registry = CollectorRegistry()
    made = Histogram(NAME, "Latency.", ["path"], buckets=buckets, registry=registry)
    for one in seconds:
        made.labels("/buy").observe(one)
        made.labels("/metrics").observe(one)
    return generate_latest(registry)


def answer(body: bytes, sli: Latency = HALF, machines: frozenset[str] = frozenset()) -> object:
    return Question(sli, machines).answer(Page(Exposition(body), 100.0, 100.0))


def reason(found: object) -> str:
    assert isinstance(found, NoData), found
    assert found.reason is NoDataReason.NO_BUCKET
    return found.detail


# Direct scrape.


async def test_slow_requests_are_all_but_those_of_the_thresholds_bucket(
    aiohttp_server: AiohttpServer, pod_at: MakePod
) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(body=exposed(0.1, 0.5, 0.6, 3.0))

    app = web.Application()
    app.router.add_get("/metrics", page)
    server = await aiohttp_server(app)
    assert server.port is not None
    scraper = Scraper(Ledger(), lambda: 100.0, None)
    (sample,) = (await scraper.read(HALF, [pod_at(server.port)], Scrape())).values()
    await scraper.close()
    assert isinstance(sample, Reading)
    # What asks for /metrics is no user, and a request of just the threshold is not slow.
    assert (sample.total, sample.bad, sample.paths_known) == (4.0, 2.0, True)


def test_only_what_the_team_selects_is_counted() -> None:
    found = answer(exposed(0.1, 0.7), BUY)
    assert isinstance(found, Reading)
    assert (found.total, found.bad) == (2.0, 1.0)


@pytest.mark.parametrize("written", ["1", "1.0", "1e0", "1e+00", "1.00"])
def test_bounds_are_compared_as_numbers(written: str) -> None:
    body = f'{NAME}_count 9\n{NAME}_bucket{{le="{written}"}} 7\n{NAME}_bucket{{le="+Inf"}} 9\n'
    found = answer(body.encode(), Latency(histogram(NAME), 1.0, 1.0))
    assert isinstance(found, Reading)
    assert (found.total, found.bad) == (9.0, 2.0)


def test_a_threshold_that_is_no_bound_is_refused_with_its_neighbours() -> None:
    words = reason(answer(exposed(0.1), Latency(histogram(NAME), 0.4, 0.4)))
    assert words == f"{NAME} has no bucket le=0.4; the neighbouring bounds are 0.25 and 0.5"


def test_a_threshold_beyond_the_last_bound_is_named_beside_infinity() -> None:
    words = reason(answer(exposed(0.1), Latency(histogram(NAME), 4.0, 4.0)))
    assert words.endswith("the neighbouring bounds are 1 and +Inf")
    assert neighbours(0.1, [0.25, 1.0]) == "0.25"


def test_a_summary_has_no_buckets_and_is_not_counted() -> None:
    registry = CollectorRegistry()
    Summary(NAME, "Latency.", registry=registry).observe(0.1)
    assert "native histogram" in reason(answer(generate_latest(registry)))


def test_series_of_which_some_lack_the_bucket_are_not_counted() -> None:
    whole = f'{NAME}_count{{path="/a"}} 9\n{NAME}_bucket{{path="/a",le="0.5"}} 7\n'
    lacking = f'{NAME}_count{{path="/b"}} 9\n{NAME}_bucket{{path="/b",le="x"}} 7\n'
    assert "others have" in reason(answer((whole + lacking).encode()))


def test_a_histogram_that_is_not_there_yet_is_no_series() -> None:
    found = answer(b"up 1\n")
    assert isinstance(found, NoData)
    assert found.reason is NoDataReason.NO_SERIES


# Prometheus.


def bucket(value: float, le: str, **labels: str) -> object:
    return of_pod(f"{NAME}_bucket", (100.0, value), le=le, path="/shop", **labels)


def read(*rows: object, sli: Latency = HALF) -> object:
    (found,) = readings(rows, sli, pod(), Scrape()).values()  # type: ignore[arg-type]  # series
    return found


COUNT = of_pod(f"{NAME}_count", (100.0, 30.0), path="/shop")


@pytest.mark.parametrize("written", ["0.5", "0.50", "5e-1"])
def test_prometheus_counts_the_same(written: str) -> None:
    found = read(up((100.0, 1.0)), COUNT, bucket(21.0, written))
    assert isinstance(found, Reading)
    assert (found.total, found.bad, found.at) == (30.0, 9.0, 100.0)


def test_prometheus_without_the_bucket_has_no_data() -> None:
    assert f"{NAME} has no bucket le=0.5" in reason(read(up((100.0, 1.0)), COUNT))


def test_prometheus_with_some_series_without_the_bucket_has_no_data() -> None:
    other = of_pod(f"{NAME}_count", (100.0, 30.0), path="/other")
    reason(read(up((100.0, 1.0)), COUNT, other, bucket(21.0, "0.5")))


def test_only_the_thresholds_bucket_is_asked_for() -> None:
    asked = question(BUY)
    assert asked.metrics == (f"{NAME}_bucket", f"{NAME}_count")
    ((query, _),) = queries_by_name(asked, [pod()], 30.0, 14_000)
    found = re.search(r'le=~"(.*?)"', query)
    assert found is not None
    pattern = found[1].replace("\\\\", "\\")
    # What has no such label comes too: the count, and whether the target is up.
    assert [
        le for le in ("", "0.5", "0.50", "5e-1", "0.25", "+Inf") if re.fullmatch(pattern, le)
    ] == [
        "",
        "0.5",
        "0.50",
        "5e-1",
    ]
