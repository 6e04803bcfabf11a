"""`guard discover`: what is asked, what is made of the answers, and how it ends."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import promql_parser
import pytest
from click.testing import CliRunner

from guard.cli.discover import Found, Owner, discover, existence, search, traffic, whom
from guard.cli.discover_text import EXAMPLES_AT_MOST, as_document, as_text, example
from guard.config.load import SourceFile, parse
from guard.config.presets import PRESETS, Preset, Scope, preset
from guard.core.errors import PermanentError
from guard.core.policy import Matcher, MatchOp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Row:
    labels: Mapping[str, str]
    value: float = 1.0


@dataclass
class Answers:
    """A Prometheus that has what is said here: by metric, or by a part of the query."""

    of: dict[str, list[Row]]
    asked: list[str] = field(default_factory=list)

    async def vector(self, query: str) -> Sequence[Row]:
        self.asked.append(query)
        return next((rows for part, rows in self.of.items() if part in query), [])


def row(pod: str, value: float = 1.0, namespace: str = "shop") -> Row:
    return Row({"namespace": namespace, "pod": pod, "job": "pods"}, value)


CART = [row("cart-7c489dc7b7-ccrf6"), row("cart-559584768b-g5tnh")]


async def test_pods_are_grouped_by_their_deployment_read_off_their_names() -> None:
    answers = Answers({'count by (namespace, pod, job) (http_requests_total{code!=""})': CART})
    found = await search(answers)
    owner = Owner("shop", "cart", deployment=True, assumed=True)
    assert found == [Found(owner, preset("http_requests_total"), 2)]


async def test_where_kube_state_metrics_is_scraped_the_deployment_is_known() -> None:
    owned = {"namespace": "shop", "pod": "cart-559584768b-g5tnh", "owner_name": "the-cart"}
    answers = Answers(
        {
            "kube_pod_owner": [Row(owned)],
            "count by (namespace, pod, job) (grpc_server_handled_total": CART[1:],
            "rate(grpc_server_handled_total": [row("cart-559584768b-g5tnh", 2.5)],
        }
    )
    (found,) = await search(answers)
    assert found.owner == Owner("shop", "the-cart", deployment=True)
    assert found.rate == 2.5


async def test_a_workloads_presets_stand_in_the_order_in_which_they_are_tried() -> None:
    answers = Answers({"count by": [CART[0], row("a-7c489dc7b7-ccrf6", namespace="bank")]})
    found = await search(answers)
    assert [one.preset for one in found] == [*PRESETS, *PRESETS]
    assert [one.owner.namespace for one in found] == ["bank"] * len(PRESETS) + ["shop"] * len(
        PRESETS
    )


async def test_nothing_found_asks_nothing_more() -> None:
    answers = Answers({})
    assert await search(answers) == []
    assert len(answers.asked) == len(PRESETS)


async def test_series_that_cannot_be_joined_by_name_are_told_by_their_job() -> None:
    rows = [Row({"job": "blackbox\x1b[2J"}), Row({"namespace": "shop", "job": "x", "pod": "a b"})]
    found = await search(Answers({"(response_total": rows}))
    assert [one.owner for one in found] == [Owner("", "blackbox?[2J"), Owner("", "x")]
    text = as_text(found)
    assert "job x" in text
    assert "joined by address only" in text
    assert "slos/" not in text


async def test_a_pod_of_no_deployment_gets_no_file() -> None:
    found = await search(Answers({"(response_total": [row("db-0")]}))
    assert [one.owner for one in found] == [Owner("shop", "db-0")]
    assert as_text(found).endswith("no Deployment by its name")


async def test_only_the_namespaces_that_are_named_are_asked_for() -> None:
    answers = Answers({"count by": CART})
    await search(answers, ("shop", "bank.1"))
    assert all(r'namespace=~"shop|bank\\.1"' in query for query in answers.asked)


async def test_every_question_is_promql_and_none_but_reads() -> None:
    answers = Answers({"count by": CART})
    await search(answers, ("shop",))
    assert len(answers.asked) == 2 * len(PRESETS) + 1
    for query in answers.asked:
        assert promql_parser.parse(query) is not None


def test_a_metric_counts_as_found_only_with_each_label_that_its_preset_reads() -> None:
    text = existence(preset("istio_requests_total"))
    assert text == (
        "count by (namespace, pod, job) "
        '(istio_requests_total{reporter="destination",response_code!=""})'
    )
    only = (Matcher("namespace", MatchOp.REGEX, "shop"),)
    assert traffic(preset("http_requests_total"), only) == (
        'sum by (namespace, pod, job) (rate(http_requests_total{namespace=~"shop"}[5m]))'
    )


@pytest.mark.parametrize("one", PRESETS, ids=lambda one: one.name)
def test_a_file_is_printed_for_what_can_be_judged_and_is_valid(one: Preset) -> None:
    text = example(Found(Owner("shop", "cart", deployment=True), one, 3, 1.0))
    if one.scope is Scope.WHOLE_SERVICE:
        assert text == ""
        return
    loaded = parse([SourceFile("found.yaml", text.encode())])
    assert loaded.problems == ()
    assert loaded.services[0].objectives[0].sli.text == one.indicator.bad.text


@pytest.mark.parametrize("workload", ["1234", "null", "a.b", "x" * 62 + ".y"])
def test_whatever_a_workload_is_called_its_file_is_valid(workload: str) -> None:
    text = example(Found(Owner("shop", workload, deployment=True), PRESETS[0], 3))
    loaded = parse([SourceFile("found.yaml", text.encode())])
    assert loaded.problems == ()
    assert loaded.services[0].workloads[0].name == workload


def test_what_was_read_off_a_name_says_so() -> None:
    owner = Owner("shop", "cart", deployment=True, assumed=True)
    assert "# read off a pod's name" in example(Found(owner, PRESETS[0], 1))


def many(number: int) -> list[Found]:
    return [
        Found(Owner("shop", f"app-{n:02}", deployment=True), one, 2, 12.345)
        for n in range(number)
        for one in (preset("http_requests_total.status"), preset("istio_requests_total"))
    ]


def test_the_table_has_a_row_for_each_and_one_file_for_each_workload() -> None:
    text = as_text(many(2))
    rows = [line for line in text.splitlines() if line.startswith("shop/")]
    assert rows[0].split("  ")[:3] == ["shop/app-00", "http_requests_total.status", "per revision"]
    assert rows[0].endswith("  2 pods  12.3 requests/s")
    assert len(rows) == 4
    assert re.findall(r"preset: (\S+)}", text) == ["http_requests_total.status"] * 2
    assert "more" not in text


def test_a_whole_clusters_files_are_cut_and_the_words_say_how_to_see_the_others() -> None:
    text = as_text(many(EXAMPLES_AT_MOST + 3))
    assert text.count("apiVersion") == EXAMPLES_AT_MOST
    assert text.endswith("… and 3 more: name a namespace with --namespace")


def test_a_proxys_counts_are_shown_and_not_offered() -> None:
    found = Found(Owner("edge", "nginx", deployment=True), PRESETS[-1], 1)
    assert "narrow it to one service" in as_text([found])
    assert json.loads(as_document([found]))["files"] == {}


def test_the_json_holds_the_same() -> None:
    document = json.loads(as_document(many(1)))
    first = document["found"][0]
    assert first == {
        "namespace": "shop",
        "workload": "app-00",
        "deployment": True,
        "assumed": False,
        "preset": "http_requests_total.status",
        "scope": "per revision",
        "pods": 2,
        "requests_per_second": 12.345,
        "bad": 'http_requests_total{status=~"5.."}',
        "total": "http_requests_total",
    }
    assert list(document["files"]) == ["slos/shop-app-00.yaml"]


def test_nothing_found_says_what_is_left_to_do() -> None:
    assert as_text([], ("shop",)).startswith("no preset's counters in shop: nothing is scraped")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No settings but those of the test."""
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def run(*arguments: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(discover, arguments)
    return outcome.exit_code, outcome.output


def test_without_a_server_nothing_can_be_asked(alone: pytest.MonkeyPatch) -> None:
    status, words = run()
    assert status == 2
    assert "name one with --prometheus URL, or set GUARD_PROMETHEUS_URL" in words


def test_a_server_that_does_not_answer_is_no_empty_one(alone: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        status, words = run("--prometheus", url)
    assert status == 2
    assert words == f"cannot ask: Prometheus at {url} cannot be reached: Connection refused\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--prometheus", "http://me:seeded-secret@prometheus:9090"), "a URL with a user in it"),
        (("--prometheus", "prometheus:9090"), "begin with http:// or https://"),
        (("--prometheus", "http://p:9090", "-n", 'shop"}'), "a Kubernetes name"),
    ],
    ids=["a password in the address", "no scheme", "no namespace's name"],
)
def test_what_cannot_be_asked_is_refused_before(
    alone: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    status, told = run(*arguments)
    assert status == 2
    assert words in told
    assert "seeded-secret" not in told


def test_settings_that_are_wrong_are_told(alone: pytest.MonkeyPatch) -> None:
    alone.setenv("GUARD_PROMETHEUS_URL", "nowhere")
    status, words = run()
    assert status == 2
    assert "GUARD_PROMETHEUS_URL" in words


def test_passwords_go_to_their_own_server_alone(alone: pytest.MonkeyPatch) -> None:
    alone.setenv("GUARD_PROMETHEUS_URL", "http://own:9090")
    alone.setenv("GUARD_PROMETHEUS_TOKEN", "seeded-secret")
    own = whom(None)
    assert own.url == "http://own:9090"
    assert own.token is not None
    assert whom("http://own:9090/").token is not None
    assert whom("http://other:9090").token is None
    alone.delenv("GUARD_PROMETHEUS_URL")
    alone.delenv("GUARD_PROMETHEUS_TOKEN")
    with pytest.raises(PermanentError):
        whom(None)
