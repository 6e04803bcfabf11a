"""Queries select all that a reading needs, as short as they must be, and never `rate()`."""

from __future__ import annotations

import re

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.config.selectors import selector
from guard.core.policy import Matcher, MatchOp, Ratio, Selector
from guard.sources.prometheus_queries import (
    Question,
    alternation,
    escaped,
    matcher_text,
    queries_by_address,
    queries_by_name,
    question,
    quoted,
    stale_after,
)
from tests.sources.prometheus_world import SLI, pod

NARROW = Ratio(
    bad=selector('http_requests_total{handler="/a",job="x",code=~"5.."}'),
    total=selector('http_requests_total{handler="/a",job="x"}'),
)
TWO_METRICS = Ratio(
    bad=selector('errors_total{job="x",kind!=""}'),
    total=selector('requests_total{job="x",handler="/a"}'),
)


def test_bad_is_not_asked_for_apart_where_it_is_some_of_total() -> None:
    assert question(SLI) == Question(("http_requests_total",), ())


def test_indicators_that_differ_in_what_is_bad_alone_share_a_question() -> None:
    other = Ratio(bad=selector('http_requests_total{status="500"}'), total=SLI.total)
    assert question(other) == question(SLI)


def test_matchers_of_the_counter_are_loosened_so_that_up_and_process_start_come_too() -> None:
    assert question(NARROW).matchers == (
        Matcher("handler", MatchOp.REGEX, "/a|"),
        Matcher("job", MatchOp.REGEX, "x|"),
    )


def test_of_two_metrics_only_the_matchers_that_both_have_are_sent() -> None:
    asked = question(TWO_METRICS)
    assert asked.metrics == ("errors_total", "requests_total")
    assert asked.matchers == (Matcher("job", MatchOp.REGEX, "x|"),)


OPS = st.sampled_from(list(MatchOp))
VALUES = st.sampled_from(["", "a", "a.b", "a|b", "b*", ".*", ".+", "[ab]", "(?i:A)"])


def selects(matcher: Matcher, labels: dict[str, str]) -> bool:
    found = labels.get(matcher.label, "")
    if matcher.op in {MatchOp.EQUAL, MatchOp.NOT_EQUAL}:
        return (found == matcher.value) is (matcher.op is MatchOp.EQUAL)
    return bool(re.fullmatch(matcher.value, found)) is (matcher.op is MatchOp.REGEX)


@given(op=OPS, value=VALUES, found=st.sampled_from([None, "", "a", "a.b", "axb", "b", "A"]))
def test_a_loosened_matcher_selects_all_that_the_matcher_selects_and_what_has_no_such_label(
    op: MatchOp, value: str, found: str | None
) -> None:
    written = Matcher("code", op, value)
    total = Selector("m", (written,), "")
    loosened = question(Ratio(bad=total, total=total)).matchers
    labels = {} if found is None else {"code": found}
    sent = all(selects(matcher, labels) for matcher in loosened)
    assert sent or not selects(written, labels)
    if not labels:
        assert sent
    if found and sent and loosened:
        assert selects(written, labels)


def test_a_query_by_name_is_one_selector_with_a_range() -> None:
    ((text, part),) = queries_by_name(question(SLI), [pod("b"), pod("a.1")], 37.5, 14_000)
    assert text == (
        '{__name__=~"http_requests_total|process_start_time_seconds|up",'
        'namespace=~"shop",pod=~"a\\\\.1|b"}[37500ms]'
    )
    assert [one.name for one in part] == ["a.1", "b"]
    assert isinstance(promql_parser.parse(text), promql_parser.MatrixSelector)


def test_a_query_by_address_matches_the_host_with_and_without_a_port() -> None:
    pods = [pod("a", address="10.0.0.1"), pod("b", address="fd00::1"), pod("c", address=None)]
    ((text, part),) = queries_by_address(question(SLI), pods, 5.0, 14_000)
    assert [one.name for one in part] == ["a", "b"]
    matchers = promql_parser.parse(text).vector_selector.matchers.matchers
    regex = next(matcher.value for matcher in matchers if matcher.name == "instance")
    for instance in ("10.0.0.1:8080", "10.0.0.1", "[fd00::1]:8080", "[fd00::1]", "fd00::1"):
        assert re.fullmatch(regex, instance)
    for instance in ("10.0.0.11:8080", "10.0.0.1:http", "110.0.0.1:8080", "10a0.0.1:8080"):
        assert not re.fullmatch(regex, instance)


def test_nobody_is_asked_about_nobody() -> None:
    assert list(queries_by_name(question(SLI), [], 5.0, 14_000)) == []
    assert list(queries_by_address(question(SLI), [pod(address=None)], 5.0, 14_000)) == []


@pytest.mark.parametrize("queries", [queries_by_name, queries_by_address])
def test_two_hundred_pods_fit_into_one_post_and_each_query_into_its_room(queries: object) -> None:
    assert callable(queries)
    pods = [
        pod(f"auth-service-6d4cf56db6-{number:05}", address=f"10.244.{number}.{number}")
        for number in range(200)
    ]
    assert len(list(queries(question(NARROW), pods, 37.5, 14_000))) == 1
    parts = list(queries(question(NARROW), pods, 37.5, 2_500))
    assert len(parts) > 1
    assert all(len(text) <= 2_500 for text, _ in parts)
    asked = [one.name for _, part in parts for one in part]
    assert sorted(asked) == sorted(one.name for one in pods)


def test_a_pod_whose_name_alone_is_longer_than_the_room_is_still_asked_about() -> None:
    parts = list(queries_by_name(question(SLI), [pod("a" * 63), pod("b" * 63)], 5.0, 10))
    assert [len(part) for _, part in parts] == [1, 1]


@given(st.text(max_size=20))
def test_escaped_matches_just_this_value(value: str) -> None:
    assert re.fullmatch(escaped(value), value, re.DOTALL)
    assert re.fullmatch(alternation([value, "other"]), value, re.DOTALL)


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20))
def test_a_string_says_in_promql_what_it_is(value: str) -> None:
    parsed = promql_parser.parse(f'm{{a="{quoted(value)}"}}')
    assert parsed.matchers.matchers[0].value == value


def test_a_label_that_is_no_plain_word_is_quoted() -> None:
    assert matcher_text(Matcher("http.code", MatchOp.EQUAL, "5")) == '"http.code"="5"'


def test_a_sample_is_stale_after_two_and_a_half_scrapes() -> None:
    assert stale_after(15.0) == 37.5
    assert stale_after(1.0) == 5.0
