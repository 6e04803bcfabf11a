"""Good releases, which the guard must let go: no rollback, no page."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from typing import TYPE_CHECKING

from tests.e2e.bad import Bad, Trio, release
from tests.e2e.guards import MAIN
from tests.e2e.policies import ERRORS, USUAL, Rules
from tests.e2e.side_by_side import scenario
from tests.e2e.stage import GOOD
from tests.e2e.table import Row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.e2e.records import Rollout
    from tests.e2e.shop import Shop
    from tests.e2e.stage import Stage

KIND = "good"
STEADY = ("steady-a", "steady-b", "steady-c", "steady-d")
RELEASES = 5
"""Of each of the four: together 20."""
TRUE_RATIO = {"ERROR_RATIO": "0.005", "ERROR_CLUSTER": "2"}
SLOW = {"SLOW_START": "3"}
QUICK = Rules(
    checks=(ERRORS,),
    rollout={
        "bake": "5s",
        "deadline": "30s",
        "on_blind": {"patience": "5s", "then": "hold"},
        "on_inconclusive": "hold",
    },
)


@scenario(MAIN, dict.fromkeys(STEADY, USUAL), shops=4, first=True)
async def test_twenty_releases_with_errors_in_pairs_are_let_go(stage: Stage) -> None:
    async with asyncio.TaskGroup() as group:
        for shop in STEADY:
            group.create_task(_good_releases(stage, shop))


async def _good_releases(stage: Stage, name: str) -> None:
    """One after the other; in each all pods start slowly and one of them restarts early."""
    env = {**GOOD, **TRUE_RATIO, **SLOW}
    opened = await stage.guarded(stage.spec(name), env)
    for number in range(1, RELEASES + 1):
        revision = f"good-{number}"
        began = time.time()
        await opened.shop.release({**env, "REVISION": revision})
        await opened.seen.meet(revision)
        await opened.shop.crash_one(revision)
        rollout = await stage.end(name, number=number)
        failed = len(opened.seen.failures(began))
        what = f"a good release, {name[-1]}{number}"
        stage.row(Row(what, rollout.where, kind=KIND, failed=failed, note=f"{_took(rollout)} s"))
        assert rollout.phase in {"promoted", "unproven"}, rollout.text
        assert not rollout.count("held"), rollout.timeline
        assert await opened.shop.restarts() == 1
    assert opened.shop.templates == ["good", *(f"good-{n}" for n in range(1, RELEASES + 1))]


@scenario(MAIN, {"steady": USUAL}, core=True)
async def test_a_good_release_with_errors_in_pairs_is_promoted(stage: Stage) -> None:
    env = {**GOOD, **TRUE_RATIO}
    opened = await stage.guarded(stage.spec("steady"), env)
    await opened.shop.release({**env, "REVISION": "better"})
    rollout = await stage.end("steady")
    _promoted(stage, rollout)
    await stage.heard("steady", "Promoted")
    assert not stage.told("steady"), "nothing is opened for a good release"
    await stage.events("steady", "RolloutBegan", "Promoted")
    assert await stage.trusted("steady") == rollout.candidate


@scenario(MAIN, {"scaled": USUAL}, core=True)
async def test_scaling_alone_is_no_rollout(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("scaled"))
    for replicas in (6, 2, 4):
        await opened.shop.scale(replicas)
        await opened.shop.complete()
    # The next template is the first rollout that the guard sees, so it was awake all the time.
    await opened.shop.release({**GOOD, "REVISION": "better"})
    rollout = await stage.end("scaled")
    assert len(await stage.rollouts("scaled")) == 1
    _promoted(stage, rollout)


@scenario(MAIN, {"autoscaled": USUAL})
async def test_an_autoscaler_disturbs_neither_a_rollout_nor_an_undo(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("autoscaled"))
    async with _autoscaler(opened.shop) as asked:
        await opened.shop.release({**GOOD, "REVISION": "better"})
        rollout = await stage.end("autoscaled")
        _promoted(stage, rollout, "good")
        shops = Trio(opened, releases=1, good="better")
        rollout, _ = await release(stage, shops, Bad({"ERROR_RATIO": "0.5"}), note="bad")
    assert rollout.phase == "rolled_back", rollout.text
    assert opened.shop.templates == ["good", "better", "bad", "better"]
    assert len(asked) > 20


@contextlib.asynccontextmanager
async def _autoscaler(shop: Shop) -> AsyncIterator[list[int]]:
    """Another number of pods every second; gives what was asked so far."""
    asked: list[int] = []

    async def scale() -> None:
        for replicas in itertools.cycle((5, 6, 5, 4)):
            await shop.scale(replicas)
            asked.append(replicas)
            await asyncio.sleep(1.0)

    task = asyncio.create_task(scale())
    try:
        yield asked
        assert not task.done(), "the autoscaler was refused"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@scenario(MAIN, {"workers": USUAL})
async def test_four_workers_behind_one_address_are_counted_as_one(stage: Stage) -> None:
    env = {**GOOD, "WORKERS": "4", "FAULT_SWITCH": "false"}
    opened = await stage.guarded(stage.spec("workers", replicas=2), env)
    await opened.shop.release({**env, "REVISION": "better"})
    rollout = await stage.end("workers")
    _promoted(stage, rollout, "good")
    shops = Trio(opened, releases=1, good="better")
    rollout, _ = await release(
        stage, shops, Bad({"ERROR_RATIO": "0.2", "WORKERS": "4"}), note="bad, 20%"
    )
    assert rollout.phase == "rolled_back", rollout.text


@scenario(MAIN, {"muddled": QUICK})
async def test_four_workers_without_a_shared_registry_are_said_to_be_unreadable(
    stage: Stage,
) -> None:
    env = {**GOOD, "WORKERS": "4", "SHARED_REGISTRY": "false", "FAULT_SWITCH": "false"}
    opened = await stage.guarded(stage.spec("muddled", replicas=2), env)
    await opened.shop.release({**env, "REVISION": "better"})
    words = "several processes answer behind one address"  # Three falls of a counter tell it.
    rollout = await stage.rollout("muddled", lambda r: r.phase == "held" and words in r.text)
    stage.row(Row(stage.entry.name, rollout.where, kind=KIND))
    assert rollout.hold == "blind"
    assert opened.shop.templates == ["good", "better"]


@scenario(MAIN, {"lonely": QUICK}, core=True)
async def test_a_release_that_only_machines_talk_to_is_never_promoted(stage: Stage) -> None:
    """Its counter counts the guard, the kubelet and Prometheus, as most do, and nobody else."""
    opened = await stage.guarded(stage.spec("lonely", replicas=2), rate=0)
    await opened.shop.release({**GOOD, "REVISION": "better"})
    rollout = await stage.rollout("lonely", lambda r: r.phase == "held" or r.ended)
    stage.row(Row(stage.entry.name, rollout.where, kind=KIND, note=rollout.text))
    assert rollout.where in {"held(blind)", "held(inconclusive)"}, rollout.text
    # Users come, and only they are evidence.
    await stage.welcome(opened)
    rollout = await stage.end("lonely")
    assert rollout.phase == "promoted", rollout.text


def _promoted(stage: Stage, rollout: Rollout, note: str = "") -> None:
    took = f"{_took(rollout)} s"
    words = ", ".join(word for word in (note, took) if word)
    stage.row(Row(stage.entry.name, rollout.where, kind=KIND, note=words))
    assert rollout.phase == "promoted", rollout.text


def _took(rollout: Rollout) -> str:
    ended = rollout.ended_at
    return "?" if ended is None else f"{ended - rollout.began_at:.0f}"
