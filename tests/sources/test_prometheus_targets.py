"""From raw samples to readings: one target, one scrape, one time, and nothing twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guard.config.selectors import selector
from guard.core.policy import Ratio, Scrape
from guard.core.samples import NoData, NoDataReason, Reading
from guard.core.workloads import Container, Probe
from guard.sources.prometheus_targets import readings
from tests.sources.prometheus_world import SLI, of_pod, pod, requests, series, up

POD = pod()
NAN = float("nan")


def read(*rows: object, sli: Ratio = SLI, scrape: Scrape | None = None) -> Reading | NoData:
    """The only sample of the pod's container `app`."""
    (only,) = readings(rows, sli, POD, scrape or Scrape()).items()  # type: ignore[arg-type]  # series
    assert only[0] == "app"
    return only[1]


def counted(*rows: object, sli: Ratio = SLI) -> tuple[float, float | None, float]:
    sample = read(*rows, sli=sli)
    assert isinstance(sample, Reading), sample
    return sample.total, sample.bad, sample.at


def absent(*rows: object, sli: Ratio = SLI) -> NoDataReason:
    sample = read(*rows, sli=sli)
    assert isinstance(sample, NoData), sample
    return sample.reason


def test_several_series_of_a_container_are_summed_as_of_their_newest_scrape() -> None:
    rows = [
        up((85.0, 1.0), (100.0, 1.0)),
        requests((85.0, 10.0), (100.0, 30.0)),
        requests((85.0, 1.0), (100.0, 2.0), method="POST"),
        requests((100.0, 4.0), code="503"),
    ]
    assert counted(*rows) == (36.0, 4.0, 100.0)


def test_bad_requests_that_were_never_seen_are_none_and_not_zero() -> None:
    assert counted(up((100.0, 1.0)), requests((100.0, 30.0))) == (30.0, None, 100.0)


def test_a_series_that_the_newest_scrape_no_longer_had_is_not_counted() -> None:
    rows = [
        up((85.0, 1.0), (100.0, 1.0)),
        requests((85.0, 900.0), code="404"),
        requests((85.0, 100.0), (100.0, 7.0)),
    ]
    assert counted(*rows) == (7.0, None, 100.0)


def test_a_series_that_ends_with_not_a_number_is_not_counted() -> None:
    rows = [
        up((85.0, 1.0), (100.0, 1.0)),
        requests((85.0, 900.0), (100.0, NAN), code="404"),
        requests((85.0, 100.0), (100.0, 107.0)),
    ]
    assert counted(*rows) == (107.0, None, 100.0)


def test_without_up_the_newest_scrape_is_told_by_the_other_series() -> None:
    rows = [requests((85.0, 900.0), code="404"), requests((85.0, 1.0), (100.0, 7.0))]
    assert counted(*rows) == (7.0, None, 100.0)


def test_replicas_of_one_process_that_a_proxy_mixes_into_one_target_all_go_on() -> None:
    rows = [
        up((92.5, 1.0), (107.5, 1.0)),
        requests((85.0, 80.0), (100.0, 100.0)),
        requests((107.5, 5.0), code="500"),
    ]
    assert counted(*rows) == (105.0, 5.0, 107.5)


@pytest.mark.parametrize("moved", ["the container", "the process", "nobody knows"])
def test_scrapes_of_two_processes_are_never_mixed(moved: str) -> None:
    begun = 90.0 if moved == "the process" else 50.0
    rows = [
        up((92.5, 1.0), (107.5, 1.0)),
        requests((85.0, 80.0), (100.0, 100.0)),
        requests((107.5, 5.0), code="500"),
        of_pod("process_start_time_seconds", (92.5, 50.0), (107.5, begun)),
    ]
    started_at = {"the container": 101.0, "nobody knows": None}.get(moved, 1.0)
    (app,) = POD.containers
    restarted = replace(POD, containers=(replace(app, started_at=started_at),))
    (sample,) = readings(rows, SLI, restarted, Scrape()).values()
    assert isinstance(sample, NoData)
    assert sample.reason is NoDataReason.AMBIGUOUS


@pytest.mark.parametrize("label", ["prometheus_replica", "whatever"])
def test_replicas_that_a_proxy_leaves_apart_are_counted_once(label: str) -> None:
    rows = [
        row
        for name, at, total in (("a", 100.0, 30.0), ("b", 107.5, 35.0))
        for row in (
            up((at, 1.0), **{label: name}),
            requests((at, total), **{label: name}),
            requests((at, 2.0), code="500", **{label: name}),
        )
    ]
    assert counted(*rows) == (32.0, 2.0, 100.0)
    # One of the replicas is cut off from the pod: the other one is read.
    down = up((100.0, 0.0), **{label: "a"})
    assert counted(down, *rows[1:]) == (37.0, 2.0, 107.5)


def test_two_jobs_that_scrape_one_container_are_counted_once() -> None:
    rows = [
        row
        for job in ("pods", "services")
        for row in (up((100.0, 1.0), job=job), requests((100.0, 30.0), job=job))
    ]
    assert counted(*rows) == (30.0, None, 100.0)


def test_two_jobs_without_up_are_counted_once() -> None:
    rows = [requests((100.0, 30.0), job=job) for job in ("pods", "services")]
    assert counted(*rows) == (30.0, None, 100.0)


def test_a_target_of_a_declared_port_comes_before_any_other() -> None:
    rows = [
        requests((100.0, 1.0), instance="10.0.0.1:1000"),
        requests((100.0, 2.0), instance="10.0.0.1:8080"),
    ]
    assert counted(*rows) == (2.0, None, 100.0)


def test_each_container_is_an_account_and_one_without_the_counter_is_no_gap() -> None:
    rows = [
        up((100.0, 1.0), container="app"),
        requests((100.0, 1.0), container="app"),
        up((100.0, 1.0), container="proxy"),
        requests((100.0, 2.0), container="proxy"),
        up((100.0, 1.0), container="logs"),
    ]
    found = readings(rows, SLI, POD, Scrape())
    assert {name: one.total for name, one in found.items() if isinstance(one, Reading)} == {
        "app": 1.0,
        "proxy": 2.0,
    }
    assert len(found) == 2


@pytest.mark.parametrize(
    ("containers", "instance", "name"),
    [
        ((("app", 8080), ("proxy", 9090)), "10.0.0.1:9090", "proxy"),
        ((("app", 8080), ("proxy", 9090)), "10.0.0.1:7070", ""),
        ((("app", 8080),), "10.0.0.1:7070", "app"),
        ((), "10.0.0.1:7070", ""),
    ],
    ids=["by its port", "not known which", "the only one", "none is known"],
)
def test_a_container_without_a_label_is_found(
    containers: tuple[tuple[str, int], ...], instance: str, name: str
) -> None:
    several = replace(
        POD,
        containers=(
            Container("setup", init=True),
            *(Container(one, ports=(("http", port),)) for one, port in containers),
        ),
    )
    row = series("http_requests_total", (100.0, 1.0), instance=instance, code="200")
    assert set(readings([row], SLI, several, Scrape())) == {name}


def test_a_target_that_answers_without_the_counter_has_no_series() -> None:
    start = of_pod("process_start_time_seconds", (100.0, 1.0))
    assert absent(up((100.0, 1.0))) is NoDataReason.NO_SERIES
    assert absent(start) is NoDataReason.NO_SERIES
    # It was restarted, and has not served since.
    rows = up((85.0, 1.0), (100.0, 1.0)), requests((85.0, 1.0))
    assert absent(*rows) is NoDataReason.NO_SERIES


def test_a_target_that_cannot_be_scraped_is_stale_however_new_its_last_sample() -> None:
    rows = up((85.0, 1.0), (100.0, 0.0)), requests((85.0, 1.0))
    assert absent(*rows) is NoDataReason.STALE
    gone = up((85.0, 1.0), (100.0, NAN)), requests((85.0, 1.0), (100.0, NAN))
    assert absent(*gone) is NoDataReason.STALE


def test_a_counter_that_reads_not_a_number_is_none() -> None:
    assert absent(up((100.0, 1.0)), requests((100.0, NAN))) is NoDataReason.NOT_A_NUMBER
    assert absent(requests((100.0, NAN))) is NoDataReason.NOT_A_NUMBER


def test_a_histogram_by_the_counters_name_is_no_counter() -> None:
    assert absent(up((100.0, 1.0)), requests()) is NoDataReason.NO_SERIES


def test_a_label_that_no_series_has_is_named_and_not_taken_for_no_errors() -> None:
    misspelt = Ratio(bad=selector('http_requests_total{status=~"5.."}'), total=SLI.total)
    sample = read(up((100.0, 1.0)), requests((100.0, 1.0)), sli=misspelt)
    assert isinstance(sample, NoData)
    assert sample.reason is NoDataReason.NO_LABEL
    assert "status" in sample.detail
    other = Ratio(bad=SLI.bad, total=selector('http_requests_total{route="/a"}'))
    assert absent(requests((100.0, 1.0)), sli=other) is NoDataReason.NO_LABEL


def test_matchers_on_target_labels_apply_as_they_are_written() -> None:
    total = selector('http_requests_total{job!="pods",namespace=~"sh.p",code!~"4.."}')
    mine = Ratio(bad=selector('http_requests_total{job!="pods",code="500"}'), total=total)
    rows = [
        requests((100.0, 1.0), code=code, job=job)
        for job in ("pods", "web")
        for code in ("200", "404", "500")
    ]
    assert counted(*rows, sli=mine) == (2.0, 1.0, 100.0)
    assert absent(*rows[:3], sli=mine) is NoDataReason.NO_SERIES


def test_bad_may_be_a_metric_of_its_own() -> None:
    two = Ratio(bad=selector("errors_total"), total=selector("http_requests_total"))
    rows = [up((100.0, 1.0)), requests((100.0, 9.0)), of_pod("errors_total", (100.0, 2.0))]
    assert counted(*rows, sli=two) == (9.0, 2.0, 100.0)
    assert counted(*rows[:2], sli=two) == (9.0, None, 100.0)


def test_series_of_paths_that_machines_ask_for_are_dropped() -> None:
    rows = [
        requests((100.0, 50.0), path="/metrics"),
        requests((100.0, 40.0), path="/health", code="500"),
        requests((100.0, 7.0)),
    ]
    probed = replace(POD, probes=(Probe("readiness", "app", "http", "/health", 8080),))
    (sample,) = readings(rows, SLI, probed, Scrape()).values()
    assert isinstance(sample, Reading)
    assert (sample.total, sample.bad, sample.paths_known) == (7.0, 0.0, True)
    (asked,) = readings(rows[:2], SLI, POD, Scrape(asked=frozenset({"/health"}))).values()
    assert isinstance(asked, Reading)
    assert (asked.total, asked.bad) == (0.0, 0.0)


def test_without_a_path_nothing_is_dropped_and_that_is_said() -> None:
    sample = read(of_pod("http_requests_total", (100.0, 7.0), code="200"))
    assert isinstance(sample, Reading)
    assert (sample.total, sample.paths_known) == (7.0, False)


def test_the_start_of_the_process_is_that_of_the_same_scrape() -> None:
    start = of_pod("process_start_time_seconds", (85.0, 1.0), (100.0, 90.0))
    rows = up((85.0, 1.0), (100.0, 1.0)), requests((100.0, 1.0)), start
    sample = read(*rows)
    assert isinstance(sample, Reading)
    assert sample.process_start == 90.0
    two = read(*rows, of_pod("process_start_time_seconds", (100.0, 91.0), worker="2"))
    assert isinstance(two, Reading)
    assert two.process_start is None
