"""Free PromQL on real servers: one number with the time of its data, or why there is none."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

import pytest

from guard.core.policy import Promql
from guard.core.samples import Measured, NoData, NoDataReason, Unavailable, UnavailableReason
from guard.sources.expressions import PrometheusExpressions
from guard.sources.lookup import Address
from guard.sources.prometheus_client import PrometheusClient
from tests.integration.prometheus.scene import AGAIN, INTERVAL, WITHIN, Fleet, Served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from guard.core.samples import Sample
    from guard.core.workloads import Pod


class Side:
    """Evaluates with one pod as the candidate and others as stable."""

    def __init__(self, client: PrometheusClient, candidate: Served, stable: Served) -> None:
        self._expressions = PrometheusExpressions(client)
        self._candidate = [candidate.pod()]
        self.stable: Sequence[Pod] = [stable.pod()]

    async def __call__(self, expr: str) -> Sample:
        check = Promql("rule", expr, above=1.0)
        return await self._expressions.evaluate(check, self._candidate, self.stable)

    async def measured(self, expr: str, after: float = 0.0) -> Measured:
        """Evaluate until there is a value of data later than that."""
        async with asyncio.timeout(WITHIN):
            while True:
                sample = await self(expr)
                if isinstance(sample, Measured) and sample.at > after:
                    return sample
                await asyncio.sleep(AGAIN)


@pytest.fixture
async def evaluate(fleet: Fleet) -> AsyncIterator[Side]:
    client = PrometheusClient(Address(fleet.server.url))
    async with fleet.taken(2) as (candidate, stable):
        candidate.serve("200", 30)
        stable.serve("200", 10)
        yield Side(client, candidate, stable)
    await client.close()


REQUESTS = 'sum(http_requests_total{pod=~"$candidate"})'


@pytest.mark.usefixtures("only_prometheus")
async def test_a_value_comes_with_the_newest_time_of_its_data(evaluate: Side) -> None:
    first = await evaluate.measured(REQUESTS)
    assert first.value == 30
    assert 0 <= time.time() - first.at < 3 * INTERVAL
    later = await evaluate.measured(REQUESTS, after=first.at)
    assert later.at - first.at == pytest.approx(INTERVAL, abs=0.1)


@pytest.mark.parametrize(
    ("expr", "value"),
    [
        ('sum(http_requests_total{pod=~"$stable"})', 10),
        ("sum(queue_depth{pod=~'$candidate'}) / sum(queue_depth{pod=~\"$stable\"})", 1),
        ('scalar(sum(http_requests_total{pod=~"$candidate"})) + 1', 31),
        ('max_over_time(sum(http_requests_total{pod=~"$candidate"})[5s:1s]) # the most', 30),
        (
            'avg(last_over_time(http_requests_total{pod=~"$candidate",handler=~"\\\\/sh.p"}[5s]))',
            30,
        ),
        ("-max(queue_depth{pod=~\"$candidate\",queue!='a'} offset -1ms)", -8),
    ],
)
async def test_expressions_of_all_kinds_give_one_number(
    evaluate: Side, expr: str, value: float
) -> None:
    await evaluate.measured('sum(http_requests_total{pod=~"$stable"})')
    sample = await evaluate.measured(expr)
    assert sample.value == value


async def test_several_series_are_named_by_what_tells_them_apart(evaluate: Side) -> None:
    await evaluate.measured(REQUESTS)
    sample = await evaluate('queue_depth{pod=~"$candidate"}')
    assert isinstance(sample, NoData)
    assert sample.reason is NoDataReason.AMBIGUOUS
    assert sample.detail.startswith("2 series, by queue:")


@pytest.mark.parametrize(
    "expr",
    [
        "max(no_such_metric)",
        "absent(no_such_metric)",
        "sum(no_such_metric) or vector(0)",
        'max(queue_depth{pod=~"$candidate"}) > 100',
    ],
)
async def test_nothing_is_no_number_and_no_zero(evaluate: Side, expr: str) -> None:
    await evaluate.measured(REQUESTS)
    sample = await evaluate(expr)
    assert isinstance(sample, NoData)
    assert sample.reason is NoDataReason.NO_SERIES


async def test_a_side_without_pods_matches_nothing(evaluate: Side) -> None:
    await evaluate.measured(REQUESTS)
    evaluate.stable = []
    sample = await evaluate('sum(http_requests_total{pod=~"$stable"})')
    assert isinstance(sample, NoData)


@pytest.mark.usefixtures("only_prometheus")
async def test_nan_is_handed_on_with_its_time(evaluate: Side) -> None:
    sample = await evaluate.measured('max(not_a_number{pod=~"$candidate"})')
    assert math.isnan(sample.value)


@pytest.mark.usefixtures("only_prometheus")
async def test_what_the_server_refuses_says_so_without_its_words(evaluate: Side) -> None:
    await evaluate.measured("count(queue_depth) > 1")  # One series alone is no duplicate.
    sample = await evaluate('label_replace(queue_depth, "queue", "same", "", "")')
    assert isinstance(sample, Unavailable)
    assert sample.reason is UnavailableReason.QUERY_REFUSED
    assert sample.detail == "HTTP 422, execution"
