"""Servers that speak Prometheus' API: what they were recorded or are documented to answer.

docs/prometheus-servers.md says of each server which of its rows rests on a test of this file.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.core.policy import Scrape
from guard.core.samples import NoData, NoDataReason, Reading, Unavailable, UnavailableReason
from guard.sources.prometheus_answers import ResultType, Series, read
from guard.sources.prometheus_join import by_name
from guard.sources.prometheus_targets import readings
from tests.sources.prometheus_world import SLI, pod

RECORDED = Path(__file__).parent / "recorded"
MATRIX = (ResultType.MATRIX,)


def recorded(name: str) -> bytes:
    return (RECORDED / f"{name}.json").read_bytes()


def answered(body: bytes) -> Reading | NoData:
    """What the guard makes of an answer for the pod `shop-1`."""
    series = read(200, body, MATRIX)
    assert not isinstance(series, Unavailable)
    mine = pod("shop-1", port=18123)
    (sample,) = readings(by_name(series, [mine])[mine.uid], SLI, mine, Scrape()).values()
    return sample


def test_victoriametrics_gives_raw_samples_like_prometheus() -> None:
    sample = answered(recorded("victoriametrics-matrix"))
    assert isinstance(sample, Reading)
    assert (sample.total, sample.bad, sample.at) == (36.0, 1.0, 1795572122.671)
    assert sample.process_start == 1795570000.25


def test_victoriametrics_shows_the_end_of_a_series_as_nan() -> None:
    sample = answered(recorded("victoriametrics-target-gone"))
    assert isinstance(sample, NoData)
    assert sample.reason is NoDataReason.STALE


def test_victoriametrics_adds_statistics_that_say_nothing() -> None:
    answer = read(200, recorded("victoriametrics-vector"), (ResultType.VECTOR,))
    assert not isinstance(answer, Unavailable)
    assert answer[0].samples == ((1795572133.0, 1.0),)


def test_victoriametrics_refuses_with_a_number_for_the_kind_of_error() -> None:
    answer = read(400, recorded("victoriametrics-query-too-long"), MATRIX)
    assert answer == Unavailable(UnavailableReason.QUERY_REFUSED, "HTTP 400")


def test_a_victoriametrics_cluster_without_one_of_its_nodes_is_partial() -> None:
    """Cluster-VictoriaMetrics.md: `Every partial JSON response contains "isPartial": true`."""
    partial = json.loads(recorded("victoriametrics-vector")) | {"isPartial": True}
    answer = read(200, json.dumps(partial).encode(), (ResultType.VECTOR,))
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.PARTIAL


def thanos(*rows: tuple[str, list[tuple[float, float]], dict[str, str]], **more: object) -> bytes:
    """An answer of Thanos Query about the pod `shop-1`."""
    target = {"namespace": "shop", "pod": "shop-1", "container": "app", "instance": "x:18123"}
    counter = {"handler": "/shop", "code": "200"}
    result = [
        {
            "metric": {
                "__name__": name,
                **target,
                **(counter if name == "http_requests_total" else {}),
                **labels,
            },
            "values": [[at, f"{value:g}"] for at, value in samples],
        }
        for name, samples, labels in rows
    ]
    data = {"resultType": "matrix", "result": result}
    return json.dumps({"status": "success", "data": data, **more}).encode()


def test_thanos_with_a_store_that_does_not_answer_is_partial() -> None:
    """components/query.md, Partial Response: warnings, with status 200 and what others gave."""
    warning = "receive series from Addr: store-1:10901: rpc error: code = Unavailable"
    body = thanos(("up", [(100.0, 1.0)], {}), warnings=[warning])
    answer = read(200, body, MATRIX)
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.PARTIAL


@pytest.mark.parametrize("label", ["replica", "replicaX"])
def test_thanos_without_deduplication_has_a_series_for_each_replica_and_one_is_read(
    label: str,
) -> None:
    """components/query.md, Run-time deduplication: without the flag the replicas stay apart."""
    sample = answered(
        thanos(
            ("up", [(100.0, 1.0)], {label: "A"}),
            ("http_requests_total", [(100.0, 40.0)], {label: "A"}),
            ("up", [(107.0, 1.0)], {label: "B"}),
            ("http_requests_total", [(107.0, 45.0)], {label: "B"}),
        )
    )
    assert isinstance(sample, Reading)
    assert (sample.total, sample.at) == (40.0, 100.0)


def test_thanos_with_deduplication_mixes_replicas_and_all_series_count() -> None:
    """components/query.md, `penalty`: a replica is left only after a gap, series by series."""
    sample = answered(
        thanos(
            ("up", [(85.0, 1.0), (100.0, 1.0)], {}),
            ("http_requests_total", [(85.0, 30.0), (100.0, 40.0)], {}),
            # Its first sample in the range was the other replica's.
            ("http_requests_total", [(107.0, 2.0)], {"code": "500"}),
        )
    )
    assert isinstance(sample, Reading)
    assert (sample.total, sample.bad, sample.at) == (42.0, 2.0, 107.0)


def test_mimir_without_a_tenant_is_unauthorized() -> None:
    """HTTP API reference: without `X-Scope-OrgID` where multi-tenancy is on."""
    answer = read(401, b"no org id\n", MATRIX)
    assert answer == Unavailable(UnavailableReason.UNAUTHORIZED, "HTTP 401")


def test_mimir_refuses_what_is_over_a_limit_of_the_tenant() -> None:
    """Its runbook err-mimir-max-series-per-query, and the words of its integration tests."""
    words = (
        "expanding series: the query exceeded the maximum number of series (limit: 3 series) "
        "(err-mimir-max-series-per-query). To adjust the related per-tenant limit, configure "
        "-querier.max-fetched-series-per-query, or contact your service administrator."
    )
    body = json.dumps({"status": "error", "errorType": "execution", "error": words}).encode()
    answer = read(422, body, MATRIX)
    assert answer == Unavailable(UnavailableReason.QUERY_REFUSED, "HTTP 422, execution")


def test_a_prometheus_agent_that_has_no_data_to_ask_for_refuses() -> None:
    body = b'{"status":"error","errorType":"execution","error":"unavailable with Prometheus Agent"}'
    answer = read(422, body, MATRIX)
    assert answer == Unavailable(UnavailableReason.QUERY_REFUSED, "HTTP 422, execution")


def test_the_example_of_prometheus_documentation_is_read() -> None:
    """querying/api.md, Instant queries."""
    body = b"""{"status" : "success", "data" : {"resultType" : "vector", "result" : [
        {"metric" : {"__name__" : "up", "job" : "prometheus", "instance" : "localhost:9090"},
         "value": [ 1435781451.781, "1" ]}]}}"""
    labels = {"__name__": "up", "job": "prometheus", "instance": "localhost:9090"}
    expected = (Series(labels, ((1435781451.781, 1.0),)),)
    assert read(200, body, (ResultType.VECTOR,)) == expected
