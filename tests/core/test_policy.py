"""Indicators: what they select, and what they are called."""

from __future__ import annotations

from guard.core.policy import Latency, Matcher, MatchOp, Ratio, Selector, seconds

BUY = (Matcher("path", MatchOp.EQUAL, "/buy"),)
RPC = Selector("rpc_seconds", BUY, 'rpc_seconds{path="/buy"}')


def test_a_ratio_is_called_by_what_is_bad() -> None:
    bad, total = (
        Selector("errors_total", (), "errors_total"),
        Selector("all_total", (), "all_total"),
    )
    sli = Ratio(bad, total)
    assert sli.selectors == (total, bad)
    assert sli.text == "errors_total"


def test_a_latency_selects_count_and_buckets_of_its_histogram() -> None:
    sli = Latency(RPC, 0.5, 0.5)
    assert sli.selectors == (
        Selector("rpc_seconds_count", BUY, 'rpc_seconds_count{path="/buy"}'),
        Selector("rpc_seconds_bucket", BUY, 'rpc_seconds_bucket{path="/buy"}'),
    )
    assert sli.text == 'rpc_seconds{path="/buy"} over 500 ms'


def test_thresholds_are_written_in_the_unit_that_people_use() -> None:
    assert [seconds(one) for one in (0.005, 0.25, 1.0, 2.5)] == ["5 ms", "250 ms", "1 s", "2.5 s"]
