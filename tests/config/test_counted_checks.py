"""Slow ratio and worse than stable, from the file to what the core reads."""

from __future__ import annotations

import pytest

from guard.config.load import SourceFile, parse
from guard.core.policy import ErrorRatio, Latency, SlowRatio, WorseThanStable
from tests.config.slo_files import HEAD

FILE = (
    HEAD
    + """\
target_labels: [cluster]
objectives:
  - {name: ok, target: 99.9, window: 30d, sli: {ratio: {bad: errors_total, total: all_total}}}
  - name: fast
    target: 95
    window: 30d
    sli: {latency: {histogram: 'HISTOGRAM', slower_than: 250msUNIT}}
rollout:
  checks:
"""
)


def checks(
    *lines: str, histogram: str = "rpc_seconds", unit: str = ""
) -> list[ErrorRatio | SlowRatio | WorseThanStable]:
    text = FILE.replace("HISTOGRAM", histogram).replace("UNIT", f", unit: {unit}" if unit else "")
    text += "".join(f"    - {line}\n" for line in lines)
    parsed = parse([SourceFile("auth.yaml", text.encode())])
    assert parsed.problems == ()
    found = parsed.services[0].policy.checks
    assert all(isinstance(one, ErrorRatio | SlowRatio | WorseThanStable) for one in found)
    return list(found)  # type: ignore[arg-type]  # asserted above


def test_a_latency_is_counted_by_its_buckets_with_the_teams_own_matchers() -> None:
    (check,) = checks("slow_ratio: {objective: fast}", histogram='rpc_seconds{route="/buy"}')
    assert isinstance(check, SlowRatio)
    assert (check.name, check.above) == ("fast", 0.05)
    sli = check.objective.sli
    assert isinstance(sli, Latency)
    assert sli.total.text == 'rpc_seconds_count{route="/buy"}'
    assert sli.buckets.text == 'rpc_seconds_bucket{route="/buy"}'
    assert sli.buckets.matchers == sli.total.matchers == sli.histogram.matchers
    assert sli.selectors == (sli.total, sli.buckets)
    assert sli.text == 'rpc_seconds{route="/buy"} over 250 ms'
    assert sli.target_labels == {"cluster"}


@pytest.mark.parametrize(
    ("histogram", "unit", "bound"),
    [
        ("rpc_seconds", "", 0.25),
        ("rpc", "", 0.25),
        ("rpc_milliseconds", "", 250.0),
        ("rpc_ms", "", 250.0),
        ("rpc", "milliseconds", 250.0),
        ("rpc_ms", "seconds", 0.25),
    ],
)
def test_the_bound_is_in_the_histograms_own_unit(histogram: str, unit: str, bound: float) -> None:
    (check,) = checks("slow_ratio: {objective: fast}", histogram=histogram, unit=unit)
    sli = check.objective.sli
    assert isinstance(sli, Latency)
    assert (sli.slower_than, sli.bound) == (0.25, bound)


def test_a_comparison_takes_what_it_does_not_state_from_the_check_of_the_same_objective() -> None:
    _, slow, ok, fast = checks(
        "error_ratio: {objective: ok, above: 3%, allowance: 4, settle: 5s}",
        "slow_ratio: {objective: fast, above: 20%}",
        "worse_than_stable: {objective: ok}",
        "worse_than_stable: {objective: fast, name: slower, factor: 3, floor: 1%, above: 4%,"
        " allowance: 1, settle: 0s}",
    )
    assert isinstance(slow, SlowRatio)
    assert ok == WorseThanStable("ok against stable", ok.objective, 0.03, 2.0, None, 4, 5.0)
    assert fast == WorseThanStable("slower", slow.objective, 0.04, 3.0, 0.01, 1, 0.0)


def test_a_comparison_alone_asks_for_the_evidence_of_the_usual_bound() -> None:
    (check,) = checks("worse_than_stable: {objective: ok}")
    assert (check.above, check.allowance, check.settle) == (0.01, None, 0.0)


@pytest.mark.parametrize("value", ["0.5", "101", "twice"])
def test_a_factor_is_a_number_from_1_to_100(value: str) -> None:
    text = FILE.replace("HISTOGRAM", "rpc").replace("UNIT", "")
    text += f"    - worse_than_stable: {{objective: ok, factor: {value}}}\n"
    (problem,) = parse([SourceFile("auth.yaml", text.encode())]).problems
    assert problem.code.value in {"number-invalid", "number-out-of-range"}


@pytest.mark.parametrize("text", ["rpc_count", "rpc_sum", 'rpc{le="0.5"}', "rate(rpc[1m])"])
def test_a_histogram_is_named_bare_and_without_its_parts(text: str) -> None:
    content = FILE.replace("HISTOGRAM", text).replace("UNIT", "") + "    - pods: {}\n"
    (problem,) = parse([SourceFile("auth.yaml", content.encode())]).problems
    assert problem.code.value in {"histogram-invalid", "selector-not-bare"}


@pytest.mark.parametrize("line", ["error_ratio: {objective: fast}", "slow_ratio: {objective: ok}"])
def test_each_check_asks_for_an_indicator_that_it_can_count_by(line: str) -> None:
    text = FILE.replace("HISTOGRAM", "rpc").replace("UNIT", "") + f"    - {line}\n"
    (problem,) = parse([SourceFile("auth.yaml", text.encode())]).problems
    assert problem.code.value == "objective-unsuited"


def test_an_indicator_has_exactly_one_kind() -> None:
    text = FILE.replace("sli: {ratio:", "sli: {latency: {histogram: x, slower_than: 1s}, ratio:")
    text = text.replace("HISTOGRAM", "rpc").replace("UNIT", "") + "    - pods: {}\n"
    (problem,) = parse([SourceFile("auth.yaml", text.encode())]).problems
    assert problem.code.value == "kind-count"
