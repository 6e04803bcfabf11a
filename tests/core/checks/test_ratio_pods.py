"""The error ratio over pods that come and go, and the query that names them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from guard.core.checks import counted
from guard.core.policy import ErrorRatio, Objective, Ratio, Selector
from guard.core.samples import NoData, NoDataReason
from guard.core.workloads import Container

if TYPE_CHECKING:
    from tests.core.checks.conftest import Begin


def test_a_pod_that_goes_counts_for_neither_side_from_then_on(beside: Begin) -> None:
    rollout = beside()
    rollout.until(5, c=(0, 10), s=(0, 10))
    rollout.change("s", deleted_at=rollout.at)
    rollout.poll(c=(0, 10), s=(9, 10))
    assert rollout.state.sums.stable_bad == 0
    assert "s/app" not in rollout.state.accounts


def test_a_pod_of_any_other_revision_counts_for_neither_side(beside: Begin) -> None:
    rollout = beside()
    rollout.pod("x", "between")
    rollout.poll(c=(0, 10), x=(9, 10))
    assert rollout.state.sums.total == 10


def test_a_target_without_any_series_at_first_counts_its_first_value(beside: Begin) -> None:
    rollout = beside()
    rollout.pod("d", age=500.0)
    rollout.poll({"d/": NoData(NoDataReason.NO_SERIES)})
    finding = rollout.poll(d=(2, 7))
    assert (finding.numbers["bad"], finding.numbers["total"]) == (2, 7)


def test_a_doubled_share_of_pods_is_a_traffic_step_for_d(beside: Begin) -> None:
    rollout = beside()
    rollout.pod("s2", "old", age=900.0)
    rollout.pod("s3", "old", age=900.0)
    rollout.until(10, c=(0, 10), s=(0, 10))
    assert rollout.state.sums.step_total == 100
    rollout.change("s2", deleted_at=rollout.at)
    rollout.change("s3", deleted_at=rollout.at)
    rollout.change("s", deleted_at=rollout.at)
    rollout.poll(c=(0, 10))
    assert rollout.state.sums.step_total == 10
    assert rollout.state.sums.total == 110


def test_a_pace_step_is_a_traffic_step_for_d_also_where_the_share_does_not_double(
    beside: Begin,
) -> None:
    rollout = beside()
    rollout.until(10, c=(0, 10), s=(0, 10))
    assert rollout.state.sums.step_total == 100
    rollout.serve("c", 0, 10)
    rollout.at += 1.0
    tick = replace(rollout.tick({"c/app": rollout.reading("c")}), step=1)
    after = counted.update(rollout.state, tick)
    assert (after.sums.step_total, after.step) == (10, 1)
    assert after.evidence != counted.update(rollout.state, replace(tick, step=0)).evidence
    again = counted.update(after, replace(tick, at=tick.at + 1.0, counters={}))
    assert again.sums.step_total == 10


def test_containers_of_a_pod_are_told_apart_by_name(beside: Begin) -> None:
    rollout = beside()
    app = rollout.pods["c"].containers[0]
    again = replace(app, restarts=1, started_at=rollout.at + 0.5)
    sidecar = Container("proxy", started_at=app.started_at)
    rollout.poll(c=(0, 50))
    rollout.change("c", containers=(sidecar, again))
    fresh = replace(rollout.reading("c", total=4.0, bad=1.0), at=rollout.at + 2.0)
    finding = rollout.poll({"c": fresh}, seconds=2.0)
    assert (finding.numbers["bad"], finding.numbers["total"]) == (1, 54)
    rollout.poll({"c/unknown": rollout.reading("c", total=9.0)})
    assert rollout.state.accounts["c/unknown"].restarts is None


# The query.


def test_the_query_names_the_candidates_pods(begin: Begin) -> None:
    rollout = begin()
    rollout.pod("b.1")
    rollout.pod("a")
    assert rollout.silence().query == (
        'sum by (pod) (increase(http_requests_total{code=~"5..",pod=~"auth-a|auth-b\\\\.1"}[5m]))'
        ' / sum by (pod) (increase(http_requests_total{pod=~"auth-a|auth-b\\\\.1"}[5m]))'
    )


@pytest.mark.parametrize("text", ["x{}", "x { }", 'x{a="b",}'])
def test_the_query_adds_the_pods_to_any_selector(begin: Begin, text: str) -> None:
    rollout = begin()
    rollout.pod("a")
    selector = Selector("x", (), text)
    objective = Objective("o", 0.99, 1.0, Ratio(selector, selector))
    rollout.state = replace(rollout.state, check=ErrorRatio("errors", objective))
    query = rollout.silence().query
    assert query.count('pod=~"auth-a"}') == 2
    assert "{," not in query.replace(" ", "")
    assert ",," not in query
