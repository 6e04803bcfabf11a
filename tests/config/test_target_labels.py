"""A target label is dropped on a scrape, so none may be what tells errors apart."""

from __future__ import annotations

import pytest

from guard.config.load import SourceFile, parse
from guard.config.problems import Problem
from tests.config.slo_files import HEAD

FILE = (
    HEAD
    + """\
objectives:
  - name: ok
    target: 99.9
    window: 30d
    sli: SLI
target_labels: LABELS
rollout:
  checks:
    - pods: {}
"""
)


def problems(labels: str, sli: str) -> tuple[Problem, ...]:
    text = FILE.replace("LABELS", labels).replace("SLI", sli)
    return parse([SourceFile("auth.yaml", text.encode())]).problems


def ratio(bad: str, total: str) -> str:
    return f"{{ratio: {{bad: '{bad}', total: '{total}'}}}}"


@pytest.mark.parametrize(
    ("sli", "place"),
    [
        (ratio('x{code=~"5.."}', "x"), "ratio.bad"),
        (ratio('x{code=~"5..",code!=""}', 'x{code!=""}'), "ratio.bad"),
        (ratio('errors_total{code!="0"}', "all_total"), "ratio.bad"),
        (ratio('errors_total{code="1"}', 'all_total{code="2"}'), "ratio.bad"),
        ("{preset: http_requests_total}", "preset"),
    ],
)
def test_a_label_that_tells_errors_apart_is_no_target_label(sli: str, place: str) -> None:
    (problem,) = problems("[cluster, code]", sli)
    assert (problem.code.value, problem.path) == ("label-invalid", "target_labels[1]")
    assert f"objectives[0].sli.{place} tells errors" in problem.found
    assert "every request would be an error" in problem.action


@pytest.mark.parametrize(
    "sli",
    [
        ratio('x{code=~"5..",cluster="a"}', 'x{cluster="a"}'),
        ratio('x{code=~"5..",cluster=~".*"}', "x"),
        ratio("errors_total", 'all_total{cluster="a"}'),
        "{preset: http_requests_total}",
        "{latency: {histogram: x, slower_than: 1s}}",
    ],
)
def test_a_label_that_both_select_by_or_neither_is_a_target_label(sli: str) -> None:
    assert problems("[cluster]", sli) == ()


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ("[__name__]", "'__name__', which is a metric's name"),
        ("[le]", "'le', which is the bound of a bucket"),
        ("[cluster, cluster]", "'cluster' again (first at target_labels[0])"),
    ],
)
def test_what_no_target_has_or_is_named_twice_is_refused(labels: str, found: str) -> None:
    (problem,) = problems(labels, ratio('x{code=~"5.."}', "x"))
    assert (problem.code.value, problem.found) == ("label-invalid", found)


def test_a_selector_that_is_wrong_itself_says_nothing_of_target_labels() -> None:
    (problem,) = problems("[code]", ratio('x{code=~"5..', "x"))
    assert problem.code.value == "selector-invalid"
    (problem,) = problems("[code]", "{preset: http_request_total}")
    assert problem.code.value == "value-unknown"
