"""Each preset reads what its project documents, by the guard's own way of reading a pod's page.

The texts in `expositions/` are written from the page that each one's `# source:` names.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from guard.config.codes import Code
from guard.config.load import Loaded, SourceFile, parse
from guard.config.presets import NAMES, PER_REVISION, PRESETS, Preset, Scope, preset
from guard.config.selectors import selector
from guard.core.policy import ErrorRatio, Ratio
from guard.core.samples import NoData, NoDataReason, Reading
from guard.sources.exposition import Exposition
from guard.sources.pages import Page
from guard.sources.questions import Question

HERE = Path(__file__).parent / "expositions"
PAGE = (Path(__file__).parents[2] / "docs" / "presets.md").read_text(encoding="utf-8")
MACHINES = frozenset({"/metrics", "/actuator/prometheus", "/actuator/health/readiness"})


def read(one: Preset, body: bytes) -> object:
    question = Question(one.indicator, MACHINES)
    return question.answer(Page(Exposition(body), at=1.0, as_of=1.0))


def exposed(one: Preset) -> bytes:
    return (HERE / f"{one.name}.prom").read_bytes()


@pytest.mark.parametrize("one", PRESETS, ids=lambda one: one.name)
def test_a_preset_counts_what_its_project_documents(one: Preset) -> None:
    text = exposed(one)
    expected = re.search(rb"# expect: bad=(\d+) total=(\d+)", text)
    assert expected, "the text says what is to be counted"
    sample = read(one, text)
    assert isinstance(sample, Reading), sample
    assert (sample.bad, sample.total) == tuple(float(number) for number in expected.groups())


@pytest.mark.parametrize("one", PRESETS, ids=lambda one: one.name)
def test_before_the_first_error_nothing_is_bad_and_everything_is_counted(one: Preset) -> None:
    lines = exposed(one).splitlines(keepends=True)
    bad = one.indicator.bad
    question = Question(Ratio(bad, bad), frozenset())
    good = [line for line in lines if not _selected(question, line)]
    sample = read(one, b"".join(good))
    assert isinstance(sample, Reading), sample
    assert sample.bad is None
    assert sample.total > 0


def _selected(question: Question, line: bytes) -> bool:
    if line.startswith(b"#"):
        return False
    answer = question.answer(Page(Exposition(line), at=1.0, as_of=1.0))
    return isinstance(answer, Reading) and answer.total > 0


@pytest.mark.parametrize("one", PRESETS, ids=lambda one: one.name)
def test_every_text_names_its_source_and_every_preset_its_page(one: Preset) -> None:
    assert re.match(rb"# source: https://\S+", exposed(one))
    assert re.match(r"https://[a-z0-9.-]+/\S+$", one.docs)


def test_no_preset_takes_another_ones_series_for_its_own() -> None:
    """The default policy takes the first that a pod exposes: one text, one preset."""
    for one in PRESETS:
        found = [other.name for other in PRESETS if isinstance(read(other, exposed(one)), Reading)]
        assert found == [one.name]


def test_a_metric_of_the_same_name_with_other_labels_is_refused_and_not_counted() -> None:
    sample = read(preset("response_total"), b'response_total{route="/"} 12\n')
    assert isinstance(sample, NoData)
    assert sample.reason is NoDataReason.NO_LABEL


def test_grouped_codes_count_as_single_ones_do() -> None:
    body = b'http_requests_total{code="2xx"} 9\nhttp_requests_total{code="5xx"} 4\n'
    sample = read(preset("http_requests_total"), body)
    assert isinstance(sample, Reading)
    assert (sample.bad, sample.total) == (4.0, 13.0)


def test_names_are_unique_and_the_reference_has_one_row_for_each() -> None:
    assert len(set(NAMES)) == len(NAMES)
    rows = re.findall(r"^\| `([^`]+)` \| (per revision|whole service) \|", PAGE, re.MULTILINE)
    assert rows == [(one.name, one.scope.value) for one in PRESETS]
    for one in PRESETS:
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{one.name}` |"))
        assert one.docs in row


def test_what_a_proxy_in_front_counts_is_no_per_revision_preset() -> None:
    whole = {one.name for one in PRESETS if one.scope is Scope.WHOLE_SERVICE}
    assert whole == {
        "nginx_ingress_controller_requests",
        "envoy_cluster_upstream_rq_xx",
        "envoy_cluster_upstream_rq",
    }
    assert whole.isdisjoint(one.name for one in PER_REVISION)


FILE = """\
apiVersion: guard/v1
service: cart
owner: team-cart
workloads:
  - kubernetes: {namespace: shop, deployment: cart}
objectives:
  - name: availability
    target: 99
    window: 30d
    sli: {preset: 'PRESET'}
rollout:
  checks:
    - CHECK: {objective: availability}
    - pods: {}
"""


def loaded_from(text: str) -> Loaded:
    return parse([SourceFile("cart.yaml", text.encode())])


def counting(text: str, check: str = "error_ratio") -> Loaded:
    """A file whose one counted check counts by this preset."""
    return loaded_from(FILE.replace("PRESET", text).replace("CHECK", check))


@pytest.mark.parametrize("one", PER_REVISION, ids=lambda one: one.name)
def test_a_file_that_names_a_preset_counts_by_its_selectors(one: Preset) -> None:
    text = FILE.replace("PRESET", one.name).replace("CHECK", "error_ratio")
    loaded = loaded_from(f"{text}target_labels: [cluster]\n")
    assert loaded.problems == ()
    check = loaded.services[0].policy.checks[0]
    assert isinstance(check, ErrorRatio)
    sli = check.objective.sli
    assert sli == Ratio(one.indicator.bad, one.indicator.total, frozenset({"cluster"}))


@pytest.mark.parametrize(
    "one", [one for one in PRESETS if one.scope is Scope.WHOLE_SERVICE], ids=lambda one: one.name
)
def test_a_whole_service_that_is_narrowed_to_one_is_judged_as_such(one: Preset) -> None:
    loaded = counting(one.name + one.narrow)
    assert loaded.problems == ()
    check = loaded.services[0].policy.checks[0]
    assert isinstance(check, ErrorRatio)
    sli = check.objective.sli
    assert isinstance(sli, Ratio)
    assert sli.whole_service
    assert set(one.indicator.bad.matchers) < set(sli.bad.matchers)
    assert sli.total == selector(one.name + one.narrow)
    assert sli.bad.metric == sli.total.metric


@pytest.mark.parametrize(
    "text",
    [
        "nginx_ingress_controller_requests",
        'nginx_ingress_controller_requests{exported_service="cart"}',
        'nginx_ingress_controller_requests{exported_namespace="shop",exported_service=~"c.*"}',
        'nginx_ingress_controller_requests{exported_namespace="shop",exported_service=""}',
        'envoy_cluster_upstream_rq{envoy_cluster_name=~"shop.*"}',
    ],
)
def test_what_names_not_one_service_is_refused_with_what_to_write(text: str) -> None:
    (problem,) = counting(text).problems
    assert problem.code is Code.SCOPE_UNSUPPORTED
    assert preset(text.partition("{")[0]).narrow in problem.action


def test_a_whole_service_has_no_stable_side_to_be_compared_with() -> None:
    one = preset("envoy_cluster_upstream_rq")
    (problem,) = counting(one.name + one.narrow, "worse_than_stable").problems
    assert problem.code is Code.SCOPE_UNSUPPORTED
    assert "error_ratio" in problem.action


def test_a_service_of_several_workloads_is_not_judged_as_a_counting() -> None:
    one = preset("envoy_cluster_upstream_rq")
    two = "  - kubernetes: {namespace: shop, deployment: cart}\n"
    text = FILE.replace(two, two + two.replace("cart", "cart-canary"))
    document = text.replace("PRESET", one.name + one.narrow).replace("CHECK", "error_ratio")
    (problem,) = loaded_from(document).problems
    assert problem.code is Code.SCOPE_UNSUPPORTED
    assert "several workloads" in problem.found


def test_a_whole_service_may_stand_among_the_objectives_unasked() -> None:
    text = FILE.replace("    - CHECK: {objective: availability}\n", "").replace(
        "PRESET", "envoy_cluster_upstream_rq"
    )
    assert loaded_from(text).problems == ()


def test_a_preset_that_counts_per_revision_takes_no_matchers() -> None:
    (problem,) = counting('http_requests_total{job="x"}').problems
    assert problem.code is Code.SCOPE_UNSUPPORTED


@pytest.mark.parametrize("text", ["envoy_cluster_upstream_rq{a=b}", "envoy_cluster_upstream_rq{"])
def test_matchers_that_are_none_are_refused(text: str) -> None:
    (problem,) = counting(text).problems
    assert problem.code is Code.MATCHERS_INVALID
