"""What `guard check --live` asks, and how it words the answers."""

from __future__ import annotations

import json
import os
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from click.testing import CliRunner

from guard.cli import check_live
from guard.cli.check import check
from guard.cli.check_live import Live, ask, rate_query
from guard.cli.live_findings import WARNINGS, LiveKind
from guard.config.load import SourceFile, parse
from guard.config.selectors import selector
from guard.config.settings import Settings
from guard.core.actions import Rights
from guard.core.errors import TemporaryError
from guard.core.policy import ErrorRatio, Latency, Objective, Ratio, SlowRatio, Step
from guard.core.samples import NoData, NoDataReason, Reading
from guard.core.workloads import Pod, Revision, Snapshot, WorkloadId
from guard.sources.lookup import Series

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from guard.core.policy import Scrape, Service, Sli
    from guard.core.samples import CounterSample
    from guard.core.workloads import Gone
    from guard.engine.ports import Counters, Platform

SLO = Path(__file__).parents[2] / "slos" / "orders.yaml"
(PACED,) = parse([SourceFile("orders.yaml", SLO.read_bytes())]).services
ORDERS = replace(PACED, policy=replace(PACED.policy, pace=()))
WORKLOAD = WorkloadId("kubernetes", "shop", "orders")
POD = Pod("u1", "orders-1", "shop", "abc", 0.0, address="10.0.0.1", ready=True)
SNAPSHOT = Snapshot(
    WORKLOAD, "uid", 1, 0.0, Revision("abc", "c", 1, "u", 0.0), replicas=1, pods=(POD,)
)


class Cluster:
    """A platform that knows one workload, or none."""

    def __init__(
        self, *snapshots: Snapshot, missing: tuple[str, ...] = (), stated: tuple[str, ...] = ()
    ) -> None:
        self._snapshots = snapshots
        self._missing = missing
        self._stated = stated
        self.may_see = True

    def follow(self, workloads: frozenset[WorkloadId]) -> None:
        self.followed = workloads

    async def watch(self) -> AsyncIterator[Snapshot | Gone]:
        for snapshot in self._snapshots:
            yield snapshot

    async def rights(self, workload: WorkloadId) -> Rights:
        return Rights(not self._missing, self._missing, may_see=self.may_see)

    async def stated(self, workload: WorkloadId) -> tuple[str, ...]:
        return self._stated


class Pods:
    """A scrape that gives one answer for every pod."""

    def __init__(self, answer: CounterSample) -> None:
        self._answer = answer

    async def read(
        self, sli: Sli, pods: Sequence[Pod], scrape: Scrape
    ) -> Mapping[str, CounterSample]:
        return {f"{pod.uid}/app": self._answer for pod in pods}


class Prometheus:
    """A lookup with prepared answers."""

    def __init__(
        self,
        labels: frozenset[str] = frozenset({"code", "pod"}),
        rate: float | None = 10.0,
        count: int = 1,
        expression: int = 1,
    ) -> None:
        self._labels = labels
        self._rate = rate
        self._count = count
        self._expression = expression

    async def labels(self, metric: str) -> frozenset[str]:
        return self._labels

    async def vector(self, query: str) -> list[Series]:
        if query.startswith("count("):
            return [Series({}, 1.0)] * self._count
        if query.startswith("sum(rate("):
            return [] if self._rate is None else [Series({}, self._rate)]
        return [Series({"pod": str(n)}, 1.0) for n in range(self._expression)]


class Silent(Prometheus):
    """A lookup that never answers."""

    async def labels(self, metric: str) -> frozenset[str]:
        message = "Prometheus did not answer within 5 s"
        raise TemporaryError(message)


def live(cluster: Cluster, scrape: Pods | None = None, lookup: Prometheus | None = None) -> Live:
    return Live(cast("Platform", cluster), cast("Counters | None", scrape), lookup)


async def kinds(world: Live, service: Service = ORDERS) -> list[str]:
    return [finding.kind.value for finding in await ask([service], world)]


async def test_nothing_is_found_where_all_is_well() -> None:
    scrape = Pods(Reading(5.0, None, 1.0, "scrape"))
    assert await kinds(live(Cluster(SNAPSHOT), scrape, Prometheus())) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "a release is held at 1 pod beside 4, 20% of the traffic"),
        ({"max_unavailable": 1}, "(at most 2: Kubernetes is faster at times)"),
        ({"max_surge": 4}, "a release is held at 4 pods beside 4, 50% of the traffic"),
        ({"strategy": "Recreate"}, "the strategy Recreate has no first pods"),
        ({"replicas": 0}, "from 0 on all pods are the release's"),
    ],
    ids=["1 and 0", "25% and 25%", "100%", "Recreate", "no pods"],
)
async def test_a_paced_service_is_told_its_first_step(changes: dict[str, Any], words: str) -> None:
    snapshot = replace(SNAPSHOT, **{"replicas": 4, **changes})
    (finding,) = await ask([PACED], live(Cluster(snapshot)))
    assert words in str(finding)
    assert not finding.serious
    level = "note" if finding.kind is LiveKind.FIRST_STEP else "warning"
    assert str(finding).startswith(f"orders: {level} [")


async def test_the_later_steps_are_told_too() -> None:
    policy = replace(PACED.policy, pace=(Step.FIRST, Step(0.25), Step(0.5)))
    snapshot = replace(SNAPSHOT, replicas=10, max_surge=1)
    (finding,) = await ask([replace(PACED, policy=policy)], live(Cluster(snapshot)))
    assert str(finding).endswith("then at 3, 5 or a few more")


async def test_a_manifest_that_would_end_each_pause_is_a_warning() -> None:
    cluster = Cluster(replace(SNAPSHOT, replicas=4), stated=("minReadySeconds", "maxSurge"))
    _, finding = await ask([PACED], live(cluster))
    assert (finding.kind, finding.serious) == (LiveKind.PAUSE_UNDONE, False)
    assert "own manifest states minReadySeconds, maxSurge" in str(finding)
    assert await kinds(live(cluster)) == []  # Where nothing is paced nothing is undone.


async def test_a_workload_that_does_not_exist_is_named() -> None:
    (finding,) = await ask([ORDERS], live(Cluster()))
    assert finding.kind is LiveKind.WORKLOAD_MISSING
    assert "kubernetes/shop/orders" in str(finding)


async def test_a_platform_that_never_ends_its_watch_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Endless(Cluster):
        async def watch(self) -> AsyncIterator[Snapshot | Gone]:
            import asyncio  # noqa: PLC0415 - used by this double alone

            await asyncio.Event().wait()
            yield SNAPSHOT

    monkeypatch.setattr(check_live, "_SNAPSHOTS_WITHIN", 0.01)
    assert await kinds(live(Endless())) == ["workload-missing"]


async def test_missing_permissions_are_listed() -> None:
    cluster = Cluster(SNAPSHOT, missing=("patch deployments in shop",))
    (finding,) = await ask([ORDERS], live(cluster))
    assert finding.kind is LiveKind.RIGHT_MISSING
    assert "may not patch deployments in shop" in finding.found


async def test_pods_that_cannot_be_scraped_are_told_with_the_reason() -> None:
    scrape = Pods(NoData(NoDataReason.NO_LABEL, "code"))
    (finding,) = await ask([ORDERS], live(Cluster(SNAPSHOT), scrape))
    assert finding.kind is LiveKind.TARGET_UNSCRAPED
    assert finding.found == "no_label code"


@pytest.mark.parametrize(
    ("lookup", "told"),
    [
        (Prometheus(labels=frozenset({"status"})), ["label-unknown"]),
        (Prometheus(labels=frozenset(), count=0), ["selector-empty"]),
        (Prometheus(rate=None), ["series-unjoined"]),
        (Prometheus(rate=0.0), ["traffic-low"]),
        (Prometheus(rate=0.05), ["traffic-low"]),
        (Prometheus(expression=0), ["expression-empty"]),
        (Prometheus(expression=2), ["expression-many"]),
        (Silent(), ["prometheus-unavailable"]),
    ],
)
async def test_what_prometheus_does_not_have_is_told(lookup: Prometheus, told: list[str]) -> None:
    assert await kinds(live(Cluster(SNAPSHOT), lookup=lookup)) == told


async def test_too_little_traffic_is_a_warning_that_states_requests_time_and_deadline() -> None:
    world = live(Cluster(SNAPSHOT), lookup=Prometheus(rate=0.05))
    (finding,) = await ask([ORDERS], world)
    assert finding.kind in WARNINGS
    assert "requests without an error; at 0.05 a second that takes" in finding.found
    assert "the deadline is 30 min" in finding.found
    assert str(finding).startswith("orders: warning [traffic-low]")


async def test_traffic_that_just_suffices_is_none_too_little() -> None:
    world = live(Cluster(SNAPSHOT), lookup=Prometheus(rate=0.05))
    (finding,) = await ask([ORDERS], world)
    needed = int(finding.found.split()[3])
    longer = replace(ORDERS, policy=replace(ORDERS.policy, deadline=needed / 0.05))
    assert await kinds(world, longer) == []


async def test_a_label_that_must_be_empty_or_differ_needs_no_series() -> None:
    bad = selector('x{a="",b!="1",c=~".*",d!~"y"}')
    assert [check_live._asks_for(matcher) for matcher in bad.matchers] == [False] * 4


def test_pods_are_joined_by_name_or_by_address_with_every_character_quoted() -> None:
    pods = [POD, replace(POD, name="orders.2", address=None)]
    assert rate_query(selector('x{a="q\\"\\\\"}'), "shop", pods) == (
        'sum(rate(x{a="q\\"\\\\",namespace="shop",pod=~"orders\\\\-1|orders\\\\.2"}[5m]) or '
        'rate(x{a="q\\"\\\\",instance=~"10\\\\.0\\\\.0\\\\.1(:[0-9]+)?"}[5m]))'
    )


def connects(world: Live) -> Callable[[Settings], AbstractAsyncContextManager[Live]]:
    @asynccontextmanager
    async def opened(settings: Settings) -> AsyncIterator[Live]:
        assert isinstance(settings, Settings)
        yield world

    return opened


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("GUARD_"):
            monkeypatch.delenv(name)


@pytest.mark.usefixtures("clean_environment")
@pytest.mark.parametrize(
    ("lookup", "status", "ending"),
    [
        (Prometheus(), 0, "live: 0 problems, 0 warnings\n"),
        (Prometheus(rate=0.0), 0, "live: 0 problems, 1 warning\n"),
        (Prometheus(rate=None), 1, "live: 1 problem, 0 warnings\n"),
    ],
)
def test_the_command_exits_with_1_for_problems_and_with_0_for_warnings(
    lookup: Prometheus, status: int, ending: str
) -> None:
    world = live(Cluster(SNAPSHOT), lookup=lookup)
    result = CliRunner().invoke(check, ["--live", str(SLO)], obj=connects(world))
    assert result.exit_code == status
    assert result.output.endswith(ending)


@pytest.mark.usefixtures("clean_environment")
def test_json_holds_what_is_live() -> None:
    world = live(Cluster())
    result = CliRunner().invoke(check, ["--live", "--json", str(SLO)], obj=connects(world))
    (finding,) = json.loads(result.output)["live"]
    assert (finding["kind"], finding["serious"]) == ("workload-missing", True)


@pytest.mark.usefixtures("clean_environment")
def test_invalid_files_are_not_held_against_anything_live() -> None:
    wrong = SLO.parents[1] / "tests" / "config" / "rejected" / "key-unknown.yaml"
    result = CliRunner().invoke(check, ["--live", str(wrong)])
    assert result.exit_code == 1


@pytest.mark.usefixtures("clean_environment")
def test_without_anything_to_ask_the_command_says_so() -> None:
    result = CliRunner().invoke(check, ["--live", str(SLO)])
    assert result.exit_code == 2
    assert "needs a platform" in result.output


@pytest.mark.usefixtures("clean_environment")
def test_wrong_settings_exit_with_1_and_an_unreachable_platform_with_2(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @asynccontextmanager
    async def unreachable(settings: Settings) -> AsyncIterator[Live]:
        message = "the API server refused"
        raise TemporaryError(message)
        yield Live(cast("Platform", Cluster()))

    result = CliRunner().invoke(check, ["--live", str(SLO)], obj=unreachable)
    assert (result.exit_code, result.output) == (2, "cannot ask: the API server refused\n")
    monkeypatch.setenv("GUARD_MODE", "on")
    result = CliRunner().invoke(check, ["--live", str(SLO)], obj=unreachable)
    assert result.exit_code == 1
    assert "[setting-invalid] GUARD_MODE" in result.output


class Histogram(Prometheus):
    """A lookup of a histogram with these buckets."""

    def __init__(self, *bounds: str) -> None:
        super().__init__(frozenset({"le", "pod"}))
        self._bounds = bounds

    async def vector(self, query: str) -> list[Series]:
        if query == "count by (le) (rpc_seconds_bucket)":
            return [Series({"le": bound}, 1.0) for bound in self._bounds]
        return await super().vector(query)


def with_latency() -> Service:
    sli = Latency(selector("rpc_seconds"), 0.4, 0.4)
    check = SlowRatio("fast", Objective("fast", 0.95, 86400.0, sli))
    return replace(ORDERS, policy=replace(ORDERS.policy, checks=(check,)))


async def test_a_threshold_that_is_no_bucket_is_named_with_its_neighbours() -> None:
    world = live(Cluster(SNAPSHOT), lookup=Histogram("0.25", "0.5", "+Inf"))
    (found,) = await ask([with_latency()], world)
    assert (found.kind, found.serious) == (LiveKind.BUCKET_MISSING, True)
    assert found.found.endswith("no bucket le=0.4; the neighbouring bounds are 0.25 and 0.5")


class Recorded(Prometheus):
    """A lookup that keeps what it was asked."""

    async def vector(self, query: str) -> list[Series]:
        self.asked = [*getattr(self, "asked", []), query]
        return await super().vector(query)


async def test_the_traffic_of_a_whole_service_is_its_proxys_and_joined_to_no_pod() -> None:
    lookup = Recorded(frozenset({"code", "to"}))
    bad, total = selector('edge_total{to="orders",code="5"}'), selector('edge_total{to="orders"}')
    sli = Ratio(bad, total, whole_service=True)
    check = ErrorRatio("edge", Objective("edge", 0.99, 86400.0, sli))
    service = replace(ORDERS, policy=replace(ORDERS.policy, checks=(check,)))
    assert await kinds(live(Cluster(SNAPSHOT), lookup=lookup), service) == []
    assert lookup.asked[-1] == 'sum(rate(edge_total{to="orders"}[5m]))'


async def test_a_threshold_is_found_however_its_bound_is_written() -> None:
    world = live(Cluster(SNAPSHOT), lookup=Histogram("4e-1", "0.5", "+Inf"))
    assert await kinds(world, with_latency()) == []


async def test_of_a_workload_that_cannot_be_listed_nobody_says_that_it_is_not_there() -> None:
    unlisted = Cluster(missing=("list deployments in shop",))
    unlisted.may_see = False
    blind = Live(unlisted, None, None)
    assert [found.kind for found in await ask([ORDERS], blind)] == [LiveKind.RIGHT_MISSING]
    partly = Live(Cluster(missing=("patch deployments in shop",)), None, None)
    assert LiveKind.WORKLOAD_MISSING in [found.kind for found in await ask([ORDERS], partly)]
