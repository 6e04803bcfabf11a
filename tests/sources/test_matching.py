"""A team's selectors select on a pod's own page what they select in Prometheus."""

from __future__ import annotations

import pytest

from guard.config.selectors import selector
from guard.core.samples import NoDataReason
from guard.sources.matching import compiled

ERROR = {"code": "503", "method": "GET"}


@pytest.mark.parametrize(
    ("text", "labels", "selected"),
    [
        ('m{code="503"}', ERROR, True),
        ('m{code="50"}', ERROR, False),
        ('m{code=~"5.."}', ERROR, True),
        ('m{code=~"5"}', ERROR, False),
        ('m{code=~"4..|5.."}', ERROR, True),
        ('m{code!="200"}', ERROR, True),
        ('m{code!="503"}', ERROR, False),
        ('m{code!~"2..|3.."}', ERROR, True),
        ('m{code!~"5.."}', ERROR, False),
        ('m{code=~"5..",method="GET"}', ERROR, True),
        ('m{code=~"5..",method="POST"}', ERROR, False),
        ('m{canary=""}', ERROR, True),
        ('m{code=""}', ERROR, False),
        ('m{canary!=""}', ERROR, False),
        ('m{canary=~"|no"}', ERROR, True),
        ('m{canary!~".+"}', ERROR, True),
        ('m{canary=~".+"}', ERROR, False),
        ("m", {}, True),
    ],
)
def test_matchers_are_anchored_and_an_absent_label_reads_as_empty(
    text: str, labels: dict[str, str], *, selected: bool
) -> None:
    assert compiled(selector(text))(labels) is selected


def test_labels_of_the_target_count_as_satisfied_by_the_pods_identity() -> None:
    text = 'm{job="shop",pod=~"auth-.*",service="s",node!="n",endpoint="e",code="503"}'
    assert compiled(selector(text))(ERROR)


def test_labels_that_the_teams_own_prometheus_adds_count_as_satisfied_too() -> None:
    stated = selector('m{cluster="eu",code="503"}')
    assert not compiled(stated)(ERROR)
    assert compiled(stated, frozenset({"cluster"}))(ERROR)


def test_an_exposed_label_that_prometheus_renames_is_found_under_its_own_name() -> None:
    match = compiled(selector('m{exported_service="checkout"}'))
    assert match({"service": "checkout"})
    assert not match({"service": "cart"})


def test_what_a_target_label_hides_does_not_decide() -> None:
    assert compiled(selector('m{service="checkout"}'))({"service": "cart"})


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ('m{status=~"5.."}', "status"),
        ('m{status!~"2.."}', "status"),
        ('m{status!="200",kind="x"}', "kind, status"),
    ],
)
def test_a_label_that_no_exposed_series_has_is_named(text: str, unknown: str) -> None:
    answer = compiled(selector(text)).unknown_label([ERROR, {"code": "200"}])
    assert answer is not None
    assert answer.reason is NoDataReason.NO_LABEL
    assert answer.detail == f"no series of m has the label {unknown}; there is code, method"


@pytest.mark.parametrize(
    "text", ["m", 'm{method="x"}', 'm{canary=""}', 'm{canary=~"|no"}', 'm{job="x"}']
)
def test_a_label_that_some_series_has_or_that_may_be_absent_is_no_error(text: str) -> None:
    assert compiled(selector(text)).unknown_label([ERROR, {}]) is None


def test_a_metric_without_any_label_is_said_to_have_none() -> None:
    answer = compiled(selector('m{code="503"}')).unknown_label([{}])
    assert answer is not None
    assert "there is no label at all" in answer.detail


@pytest.mark.parametrize(
    ("regex", "value", "selected"),
    [
        ("5..", "503", True),
        ("5..", "5031", False),
        ("5.+", "5\n03", True),
        ("[[:digit:]]+", "503", True),
        (r"\\d+", "٣", False),  # Python's own \d is any script's digit.
        ("é.", "é😀", True),
        ("(?i)GET", "get", True),
    ],
)
def test_regular_expressions_are_prometheus_own(regex: str, value: str, selected: bool) -> None:  # noqa: FBT001 - a row
    match = compiled(selector(f'x{{a=~"{regex}",b!~"{regex}"}}'))
    assert match({"a": value, "b": "" if selected else value}) is selected


def test_no_regular_expression_takes_long_on_what_a_pod_exposes() -> None:
    """Python's own needs 4 times as long for every two characters more."""
    match = compiled(selector('x{a=~"(a+)+$"}'))
    assert match({"a": "a" * 10_000 + "!"}) is False
