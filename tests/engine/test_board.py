"""The board: every record the guard holds now."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from guard.core.findings import Verdict
from guard.core.records import Record
from guard.core.states import Case, Phase, State
from guard.core.ticks import Frame
from guard.core.workloads import Mode, Revision
from guard.engine.board import PENDING_AT_MOST, Board
from guard.engine.metrics import Metrics
from tests.engine.cluster import AUTH, EPOCH
from tests.engine.stage import POLICY

pytestmark = pytest.mark.looptime


def record(name: str = "a", began_at: float = EPOCH, **state: object) -> Record:
    revision = Revision(name, f"content-{name}", 2, f"rs-{name}", began_at)
    case = Case(name, AUTH, "uid", "auth", "team", revision, None, began_at, POLICY)
    whole = State(**{"case": case, "phase": Phase.BAKING, "since": began_at, **state})
    return Record(whole, Mode.ACT, Frame(began_at))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test")


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_the_newest_rollout_comes_first_and_a_dropped_one_is_gone(metrics: Metrics) -> None:
    board = Board(metrics)
    board.show(record("old", EPOCH))
    board.show(record("new", EPOCH + 1.0))
    assert [one["rollout"] for one in board.records()] == ["new", "old"]
    assert [one.id for one in board.newest()] == ["new", "old"]
    assert board.get("old")["phase"] == "baking"
    board.drop("old")
    board.drop("old")
    assert board.get("old") is None


def test_gauges_count_what_is_under_way_and_nothing_that_ended_or_went(metrics: Metrics) -> None:
    board = Board(metrics)
    assert value(metrics, "guard_rollouts_active", phase="held") == 0.0
    board.show(record("a", verdict=Verdict.BLIND))
    board.show(record("b", phase=Phase.HELD))
    board.show(record("c", phase=Phase.PROMOTED, verdict=Verdict.BLIND))
    assert value(metrics, "guard_rollouts_active", phase="baking") == 1.0
    assert value(metrics, "guard_rollouts_active", phase="held") == 1.0
    assert value(metrics, "guard_rollouts_blind") == 1.0
    for name in "ab":
        board.drop(name)
    assert value(metrics, "guard_rollouts_active", phase="baking") == 0.0
    assert value(metrics, "guard_rollouts_active", phase="held") == 0.0
    assert value(metrics, "guard_rollouts_blind") == 0.0


async def test_subscribers_see_what_changes_and_a_slow_one_only_the_newest(
    metrics: Metrics,
) -> None:
    board = Board(metrics)
    following = board.subscribe()
    first = asyncio.create_task(anext(following))
    await asyncio.sleep(0)
    for number in range(PENDING_AT_MOST + 10):
        board.show(replace(record(), timeline=(), mode=Mode.ACT))
        board.show(record(f"r{number}"))
    seen = [(await first)["rollout"]]
    while len(seen) < PENDING_AT_MOST:
        seen.append((await anext(following))["rollout"])
    assert seen[-1] == f"r{PENDING_AT_MOST + 9}"
    await following.aclose()
    assert board._subscribers == set()


def test_label_sets_that_name_a_workload_go_with_it(metrics: Metrics) -> None:
    metrics.rollback_started.labels("shop", "auth-service", "auth").set(1.0)
    metrics.rollback_started.labels("shop", "auth-service", "renamed").set(1.0)
    metrics.rights_missing.labels("shop", "auth-service").set(1.0)
    metrics.rights_missing.labels("shop", "carts").set(1.0)
    metrics.forget(AUTH)
    named = [
        sample.labels
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if "workload" in sample.labels
    ]
    assert named == [{"namespace": "shop", "workload": "carts"}]
