"""Free PromQL: one query for the value and for the newest time of the data behind it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import promql_parser
import pytest

from guard.config.selectors import expression
from guard.core.policy import Promql
from guard.core.samples import Measured, NoData, NoDataReason, Unavailable, UnavailableReason
from guard.sources.expressions import NO_POD, PrometheusExpressions, _template
from guard.sources.lookup import Address
from guard.sources.prometheus import PrometheusClient
from tests.sources.prometheus_world import FakePrometheus, ok, pod

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pytest_aiohttp import AiohttpServer

    from guard.core.samples import Sample

QUEUE = 'max(queue_depth{pod=~"$candidate"})'


class Rule:
    """A rule, its server, and what the server says."""

    def __init__(self, client: PrometheusClient, fake: FakePrometheus) -> None:
        self._expressions = PrometheusExpressions(client)
        self.fake = fake

    async def __call__(self, *rows: object, expr: str = QUEUE) -> Sample:
        self.fake.say = lambda _: ok("vector", list(rows))
        check = Promql("queue", expr, above=1.0)
        return await self._expressions.evaluate(check, [pod("a.b"), pod("a-1")], [])


@pytest.fixture
async def rule(aiohttp_server: AiohttpServer) -> AsyncIterator[Rule]:
    fake = FakePrometheus()
    server = await aiohttp_server(fake.application())
    client = PrometheusClient(Address(str(server.make_url("")).rstrip("/")))
    yield Rule(client, fake)
    await client.close()


def value(number: str, **labels: str) -> dict[str, object]:
    return {"metric": {"guard_part": "value", **labels}, "value": [500.0, number]}


TIME = {"metric": {"guard_part": "time"}, "value": [500.0, "490.25"]}


async def test_a_value_speaks_of_the_newest_time_of_its_data_and_not_of_the_question(
    rule: Rule,
) -> None:
    assert await rule(TIME, value("7")) == Measured(7.0, 490.25)
    (query,) = rule.fake.queries
    assert 'pod=~"a-1|a\\\\.b"' in query
    assert "$" not in query


async def test_not_a_number_is_handed_on(rule: Rule) -> None:
    sample = await rule(TIME, value("NaN"))
    assert isinstance(sample, Measured)
    assert math.isnan(sample.value)


async def test_an_absent_number_is_never_zero(rule: Rule) -> None:
    for rows, words in (
        ([], "no series"),
        ([TIME], "no series"),
        ([value("0")], "no data behind"),
    ):
        sample = await rule(*rows)
        assert isinstance(sample, NoData)
        assert sample.reason is NoDataReason.NO_SERIES
        assert words in sample.detail


async def test_several_series_are_named_by_the_labels_that_differ(rule: Rule) -> None:
    same = {"job": "x"}
    rows = value("1", __name__="a", queue="q", **same), value("2", __name__="b", **same)
    sample = await rule(TIME, *rows)
    assert isinstance(sample, NoData)
    assert sample.reason is NoDataReason.AMBIGUOUS
    assert sample.detail.startswith("2 series, by the metric's name, queue:")


async def test_a_histogram_is_no_number(rule: Rule) -> None:
    row = {"metric": {"guard_part": "value"}, "histogram": [500.0, {}]}
    sample = await rule(TIME, row)
    assert isinstance(sample, NoData)
    assert sample.reason is NoDataReason.NOT_A_NUMBER


async def test_what_is_unavailable_stays_so(rule: Rule) -> None:
    rule.fake.say = lambda _: ok("vector", [], warnings=["remote"])
    check = Promql("queue", QUEUE, above=1.0)
    sample = await rule._expressions.evaluate(check, [], [])
    assert isinstance(sample, Unavailable)
    assert sample.reason is UnavailableReason.PARTIAL


@pytest.mark.parametrize("expr", ['"text"', "('text')", "up[5m]", "(up[5m:1m])", "sum("])
async def test_what_can_give_no_number_is_refused_and_not_sent(rule: Rule, expr: str) -> None:
    sample = await rule(expr=expr)
    assert isinstance(sample, Unavailable)
    assert sample.reason is UnavailableReason.QUERY_REFUSED
    assert rule.fake.queries == []


async def test_a_side_without_pods_matches_nothing_that_a_pod_can_be_called(rule: Rule) -> None:
    await rule(expr="sum(up{pod=~\"$candidate\"}) / sum(up{pod=~'$stable'})")
    (query,) = rule.fake.queries
    assert query.count(f"'{NO_POD}'") + query.count(f'"{NO_POD}"') == 2
    assert query.count('"a-1|a\\\\.b"') == 2


@pytest.mark.parametrize(
    ("expr", "selectors"),
    [
        ("up", ["up{}"]),
        ("sum(rate(a[5m])) / sum(rate(b[5m]))", ["a{}", "b{}"]),
        ("a + a", ["a{}"]),
        ("max_over_time(sum(a)[10m:1m] offset 3m)", ["a{}"]),
        ("rate(a[5m] offset 90s)", ["a{} offset 90000ms"]),
        ("a offset -1m @ 12.5", ["a{} @ 12.500 offset -60000ms"]),
        ("a @ start() - a @ end()", ["a{} @ end()", "a{} @ start()"]),
        ("quantile(scalar(a), b)", ["a{}", "b{}"]),
        ("-a unless on (x) (b)", ["a{}", "b{}"]),
        ("label_replace(a, 'x', '$1', 'y', '(.*)')", ["a{}"]),
        (r'a{b=~"c\\.d",e!="\"f\\",g!~"h"}', [r'a{b=~"c\\.d",e!="\"f\\",g!~"h"}']),
        ("{'my.metric',a='b'}", ['{__name__="my.metric",a="b"}']),
        ('{__name__=~"a|b"}', ['{__name__=~"a|b"}']),
        ('{"my.label"="x",__name__="a"}', ['{"my.label"="x",__name__="a"}']),
        ('a{b="c" or d="e"}', ['a{b="c" or d="e"}']),
        ('info(a, {k="v"})', ["a{}"]),
    ],
)
def test_the_selectors_of_an_expression_are_found_wherever_they_stand(
    expr: str, selectors: list[str]
) -> None:
    template = _template(expr)
    for number, selector in enumerate(selectors):
        part = f'label_replace(max(timestamp({selector})), "guard_selector", "{number}", "", "")'
        assert part in template
    assert template.count("max(timestamp(") == len(selectors)
    promql_parser.parse(template)


@pytest.mark.parametrize(
    ("expr", "scalar"),
    [
        ("scalar(a)", True),
        ("-(scalar(a))", True),
        ("1 + scalar(a) * 2", True),
        ("1 + a", False),
        ("vector(1) + a", False),
        ("sum(a)", False),
        ("a # the end", False),
    ],
)
def test_a_scalar_is_made_a_vector_to_stand_beside_its_time(expr: str, *, scalar: bool) -> None:
    template = _template(expr)
    assert template.startswith(f"label_replace({'vector' * scalar}(\n{expr}\n), ")
    promql_parser.parse(template)


@pytest.mark.parametrize("expr", [QUEUE, 'sum(up{pod=~"$candidate"}) / sum(up{pod=~"$stable"})'])
def test_what_the_configuration_lets_through_can_be_asked(expr: str) -> None:
    assert promql_parser.parse(_template(expression(expr)))
