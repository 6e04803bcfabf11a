"""What plain error ratios do not find: slow answers, little more than stable, a team's alerts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from guard.core.names import LABEL_GUARD
from tests.e2e.bad import Bad, Trio, release
from tests.e2e.guards import ALERTED, MAIN
from tests.e2e.images import build_otel
from tests.e2e.paced import ALONE_ERRORS, FIRST, PACED, SINGLE, is_held
from tests.e2e.policies import Rules
from tests.e2e.side_by_side import scenario
from tests.e2e.stage import GOOD
from tests.e2e.table import Row

if TYPE_CHECKING:
    from tests.e2e.alertmanager import Alertmanager
    from tests.e2e.records import Rollout
    from tests.e2e.stage import Open, Stage

LONG = {**FIRST, "deadline": "6m"}
BAKED_LONG = {**LONG, "bake": "2m"}
SLOW = {"slow_ratio": {"objective": "fast", "above": "5%", "allowance": 1}}
WORSE = {"worse_than_stable": {"objective": "availability", "allowance": 1}}
BETTER = {**GOOD, "REVISION": "better"}


@scenario(MAIN, {"two-percent": replace(SINGLE, rollout=LONG)})
async def test_two_percent_of_the_candidates_requests_fail(stage: Stage) -> None:
    """Twice the bound, and nothing more: it takes requests, and is found."""
    opened = await stage.guarded(stage.spec("two-percent"), rate=100.0)
    bad = Bad({"ERROR_RATIO": "0.02"})
    rollout, _ = await release(stage, Trio(opened), bad, within=900.0)
    assert rollout.phase == "rolled_back", rollout.text


@scenario(MAIN, {"slow": Rules(checks=(ALONE_ERRORS, SLOW), rollout=LONG)}, first=True)
async def test_answers_become_slow_without_any_error(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("slow"))
    bad = Bad({"LATENCY": "0.5"}, answers=False)
    rollout, _ = await release(stage, Trio(opened), bad, within=400.0)
    assert rollout.phase == "rolled_back", rollout.text
    assert "took over 300 ms" in rollout.text
    assert opened.seen.errors() == 0


@scenario(MAIN, {"worse": Rules(checks=(ALONE_ERRORS, WORSE), rollout=BAKED_LONG)}, shops=2)
async def test_a_release_is_worse_than_stable_and_under_its_bound(stage: Stage) -> None:
    env = {**GOOD, "ERROR_RATIO": "0.001"}
    opened = await stage.guarded(stage.spec("worse"), env, rate=150.0)
    bad = Bad({"ERROR_RATIO": "0.009"})
    rollout, _ = await release(stage, Trio(opened), bad, within=900.0)
    assert rollout.phase == "rolled_back", rollout.text
    [found] = [f for f in rollout.findings if f["answer"] == "FAIL"]
    assert found["kind"] == "worse_than_stable"


@scenario(MAIN, {"unvisited": PACED})
async def test_a_release_without_any_traffic_is_never_called_good(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("unvisited"), rate=0)
    await opened.shop.release(BETTER)
    rollout = await stage.end("unvisited", within=300.0)
    stage.row(Row(stage.entry.name, rollout.where, note=rollout.text))
    assert rollout.phase == "unproven", rollout.text
    assert "no user's request has reached the candidate" in rollout.text


@scenario(MAIN, {})
async def test_a_service_under_opentelemetry_that_opted_in_by_label_alone(stage: Stage) -> None:
    """No SLO file, no selector: the default policy finds what OpenTelemetry counts."""
    image = await build_otel()
    spec = stage.spec("otel", labels={LABEL_GUARD: "true"})
    opened = await stage.opened(spec, spec.deployment(GOOD, image))
    await stage.trusted("otel")
    bad = Bad({"ERROR_RATIO": "0.2"}, image=image)
    rollout, _ = await release(stage, Trio(opened), bad)
    assert rollout.phase == "rolled_back", rollout.text
    [found] = [f for f in rollout.findings if f["answer"] == "FAIL"]
    assert "http_server_request_duration_seconds" in found["query"]
    assert opened.shop.templates == ["good", "bad", "good"]


# A team's own alerts.


ALERTS = Rules(checks=(ALONE_ERRORS, {"alerts": {"every": "1s"}}), rollout={**FIRST, "bake": "15s"})


def _alert(stage: Stage, name: str, **more: str) -> dict[str, str]:
    """An alert that opted in by its one label."""
    labels = {"alertname": "TooManyOpenOrders", "deployment_guard": "true"}
    return {**labels, "namespace": stage.space, "service": name, **more}


def _alertmanager(stage: Stage) -> Alertmanager:
    server = stage.watchman.alertmanager
    assert server is not None
    return server


@scenario(ALERTED, {"alerted-before": ALERTS})
async def test_an_alert_that_fired_before_the_release_is_not_the_releases(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("alerted-before"))
    await _alertmanager(stage).fire(_alert(stage, "alerted-before"))
    await opened.shop.release(BETTER)
    rollout = await stage.end("alerted-before", within=240.0)
    stage.row(Row(stage.entry.name, rollout.where))
    assert rollout.phase == "promoted", rollout.text
    assert not rollout.count("held")
    [found] = [f for f in rollout.findings if f["kind"] == "alerts"]
    assert "fired before the release" in found["text"]


@scenario(ALERTED, {"alerted": ALERTS})
async def test_an_alert_that_begins_with_the_candidate_holds_it(stage: Stage) -> None:
    """Nothing says whose fault it is; and when it is over, the release goes on."""
    opened = await stage.guarded(stage.spec("alerted"))
    await _begun(opened)
    alert = _alert(stage, "alerted")
    await _alertmanager(stage).fire(alert)
    rollout = await stage.rollout("alerted", lambda r: r.phase == "held" or r.ended)
    held = rollout.where
    assert rollout.phase == "held", rollout.text
    await _alertmanager(stage).fire(alert, ended=True)
    rollout = await stage.end("alerted", within=240.0)
    stage.row(Row(stage.entry.name, f"{held}, then {rollout.where}"))
    assert rollout.phase in {"promoted", "unproven"}, rollout.text


@scenario(ALERTED, {"alerted-pod": ALERTS})
async def test_an_alert_that_names_candidate_pods_only_undoes_the_release(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("alerted-pod"))
    pod = await _begun(opened)
    await _alertmanager(stage).fire(_alert(stage, "alerted-pod", pod=pod))
    rollout: Rollout = await stage.end("alerted-pod")
    stage.row(Row(stage.entry.name, rollout.where))
    assert rollout.phase == "rolled_back", rollout.text
    assert "TooManyOpenOrders" in rollout.text
    assert opened.shop.templates == ["good", "better", "good"]


async def _begun(opened: Open) -> str:
    """Release, and wait for its first pod; returns the pod's name."""
    before = {pod["metadata"]["name"] for pod in await opened.shop.pods()}
    await opened.shop.release(BETTER)
    await is_held(opened)
    # Alerts and pods have times of whole seconds: what begins in the pod's own second is older.
    await asyncio.sleep(2.0)
    new = {pod["metadata"]["name"] for pod in await opened.shop.pods()} - before
    return str(min(new))


# After the promotion.


WATCHED = replace(SINGLE, rollout={"bake": "5s", "deadline": "60s", "watch": "10m"})
UNDONE_LATE = replace(WATCHED, rollout={**WATCHED.rollout, "on_late_fail": "rollback"})


@scenario(MAIN, {"late-told": WATCHED})
async def test_a_promoted_release_that_fails_late_is_told_and_left(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("late-told"))
    await _promoted_then_failing(stage, opened)
    await stage.heard("late-told", "LateFail", "opened")
    await opened.shop.tell("0")
    await stage.heard("late-told", "LateFailOver", "resolved", within=180.0)
    assert opened.shop.templates == ["good", "better"]
    stage.row(Row(stage.entry.name, "told, and resolved"))


@scenario(MAIN, {"late-undone": UNDONE_LATE})
async def test_a_promoted_release_that_fails_late_is_undone_where_the_policy_says_so(
    stage: Stage,
) -> None:
    opened = await stage.guarded(stage.spec("late-undone"))
    await _promoted_then_failing(stage, opened)
    rollout = await stage.rollout("late-undone", lambda r: r.phase == "rolled_back")
    stage.row(Row(stage.entry.name, rollout.where))
    await opened.shop.complete()
    assert opened.shop.templates == ["good", "better", "good"]


async def _promoted_then_failing(stage: Stage, opened: Open) -> None:
    await opened.shop.release(BETTER)
    rollout = await stage.end(opened.name)
    assert rollout.phase == "promoted", rollout.text
    await opened.shop.tell("0.3")
