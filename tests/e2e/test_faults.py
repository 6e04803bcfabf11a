"""Faults of what the guard stands on: it goes on, holds, or comes back to the same end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.e2e.apiproxy import Held, Where
from tests.e2e.bad import Bad, Trio, release
from tests.e2e.guards import BLINDED, FROM_REPLICAS, FROZEN, KILLED
from tests.e2e.policies import USUAL, Rules
from tests.e2e.prometheus import SCRAPE_INTERVAL
from tests.e2e.side_by_side import scenario
from tests.e2e.stage import GOOD
from tests.e2e.table import Row

if TYPE_CHECKING:
    from tests.e2e.apiproxy import ApiProxy
    from tests.e2e.stage import Open, Stage

LONG_BAKE = Rules(rollout={"bake": "45s", "deadline": "4m"})
STOPPED = 20.0
"""Seconds for which the API server answers nothing."""
HALF = Bad({"ERROR_RATIO": "0.5"})
TRUE_RATIO = {"ERROR_RATIO": "0.005", "ERROR_CLUSTER": "2"}
BETTER = {**GOOD, "REVISION": "better"}


# Prometheus.


@scenario(BLINDED, {"unmoved": LONG_BAKE, "caught": USUAL}, shops=2, core=True)
async def test_prometheus_is_killed_during_a_good_release_and_a_bad_one(stage: Stage) -> None:
    good, bad = await asyncio.gather(
        stage.guarded(stage.spec("unmoved")), stage.guarded(stage.spec("caught"))
    )
    await good.shop.release(BETTER)
    await stage.rollout("unmoved", lambda r: r.phase == "baking")
    await stage.kill_prometheus()
    try:
        rollout, _ = await release(stage, Trio(bad), HALF, note="the bad one")
        assert rollout.phase == "rolled_back", rollout.text
        rollout = await stage.end("unmoved")
    finally:
        await stage.start_prometheus()
    stage.row(Row(stage.entry.name, rollout.where, note="the good one"))
    assert rollout.phase == "promoted", rollout.text
    assert not rollout.count("held")
    await stage.heard("unmoved", "Promoted")
    assert not stage.told("unmoved")


@scenario(FROM_REPLICAS, {"doubled": USUAL})
async def test_two_prometheus_replicas_behind_a_round_robin_count_nothing_twice(
    stage: Stage,
) -> None:
    opened = await stage.guarded(stage.spec("doubled"), {**GOOD, **TRUE_RATIO})
    await opened.shop.release({**GOOD, **TRUE_RATIO, "REVISION": "better"})
    rollout = await stage.end("doubled")
    stage.row(Row(stage.entry.name, rollout.where, note="the good one"))
    assert rollout.phase == "promoted", rollout.text
    [counted] = [f["numbers"] for f in rollout.findings if f["kind"] == "error_ratio"]
    assert 0 < counted["total"] <= 1.1 * opened.seen.answered("better")
    shops = Trio(opened, releases=1, good="better")
    rollout, _ = await release(stage, shops, HALF, note="the bad one")
    assert rollout.phase == "rolled_back", rollout.text


@scenario(BLINDED, {"switching": LONG_BAKE})
async def test_scrape_and_prometheus_are_killed_and_restored_in_turn(stage: Stage) -> None:
    """What one source has counted, the other does not count again."""
    env = {**GOOD, **TRUE_RATIO}
    opened = await stage.guarded(stage.spec("switching"), env)
    await opened.shop.release({**env, "REVISION": "better"})
    await opened.shop.complete()
    for _ in range(2):
        await opened.shop.tell("metrics-for prometheus")
        await _pass(2.5 * SCRAPE_INTERVAL)
        await opened.shop.tell("metrics-for")
        await stage.kill_prometheus()
        await _pass(SCRAPE_INTERVAL)
        await stage.start_prometheus()
    rollout = await stage.end("switching", within=300.0)
    stage.row(Row(stage.entry.name, rollout.where))
    assert rollout.phase in {"promoted", "unproven"}, rollout.text
    assert not rollout.count("intent")
    assert opened.shop.templates == ["good", "better"]


@scenario(BLINDED, {"dark": USUAL})
async def test_scrape_and_prometheus_are_both_gone(stage: Stage) -> None:
    """Held and said, neither undone nor promoted; and when it sees again, judged."""
    opened = await stage.guarded(stage.spec("dark"))
    await stage.kill_prometheus()
    try:
        await opened.shop.release(BETTER)
        await opened.shop.complete()
        await opened.shop.tell("metrics-for prometheus")
        rollout = await stage.rollout("dark", lambda r: r.phase == "held" or r.ended)
        held = rollout.where
        assert held == "held(blind)", rollout.text
    finally:
        await stage.start_prometheus()
    await opened.shop.tell("metrics-for")
    rollout = await stage.end("dark")
    stage.row(Row(stage.entry.name, held, note=f"then {rollout.where}"))
    assert rollout.phase == "promoted", rollout.text
    await stage.heard("dark", "Blind", "opened")
    assert not rollout.count("intent")


# The API server.


@scenario(FROZEN, {"frozen-start": USUAL})
async def test_the_api_server_stops_as_a_bad_release_begins(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("frozen-start"))
    thaw = asyncio.create_task(_frozen(stage))
    await _undone(stage, opened, HALF)
    await thaw


@scenario(FROZEN, {"frozen-bake": LONG_BAKE})
async def test_the_api_server_stops_while_a_good_release_bakes(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("frozen-bake"))
    await opened.shop.release(BETTER)
    await stage.rollout("frozen-bake", lambda r: r.phase == "baking")
    await _frozen(stage)
    rollout = await stage.end("frozen-bake")
    stage.row(Row(stage.entry.name, rollout.where))
    assert rollout.phase == "promoted", rollout.text
    assert opened.shop.templates == ["good", "better"]


@scenario(FROZEN, {"frozen-intent": USUAL})
async def test_the_api_server_stops_between_the_decision_and_the_patch(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("frozen-intent"))
    held = _proxy(stage).hold("frozen-intent", Where.BEFORE)
    frozen = asyncio.create_task(_when_caught(stage, held))
    await _undone(stage, opened, HALF)
    await frozen


@scenario(FROZEN, {"frozen-patch": USUAL})
async def test_the_api_server_stops_between_the_patch_and_its_answer(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("frozen-patch"))
    held = _proxy(stage).hold("frozen-patch", Where.AFTER)
    frozen = asyncio.create_task(_when_caught(stage, held))
    await _undone(stage, opened, HALF)
    await frozen


@scenario(FROZEN, {"frozen-settling": USUAL})
async def test_the_api_server_stops_while_the_good_pods_come_back(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("frozen-settling"))

    async def frozen() -> None:
        await opened.seen.until(lambda: opened.shop.templates[2:] == ["good"], 60.0)
        await _frozen(stage)

    task = asyncio.create_task(frozen())
    await _undone(stage, opened, HALF)
    await task


async def _frozen(stage: Stage) -> None:
    proxy = _proxy(stage)
    proxy.freeze()
    try:
        await _pass(STOPPED)
    finally:
        proxy.thaw()


async def _when_caught(stage: Stage, held: Held) -> None:
    """Freeze at the very request that is held, then let it go on its way."""
    async with asyncio.timeout(60):
        await held.caught.wait()
    await _frozen(stage)
    held.released.set()


# The guard itself.


@scenario(KILLED, {"killed-good": LONG_BAKE})
async def test_the_guard_is_killed_while_a_good_release_bakes(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("killed-good"))
    await opened.shop.release(BETTER)
    await stage.rollout("killed-good", lambda r: r.phase == "baking")
    await _pass(5.0)
    await stage.guard.kill()
    rollout = await stage.end("killed-good")
    stage.row(Row(stage.entry.name, rollout.where))
    assert rollout.phase == "promoted", rollout.text
    assert len(await stage.rollouts("killed-good")) == 1
    assert opened.shop.templates == ["good", "better"]


@scenario(KILLED, {"killed-bake": LONG_BAKE})
async def test_the_guard_is_killed_while_a_bad_release_bakes(stage: Stage) -> None:
    """Its errors begin when the guard is dead, and end with the one that comes after it."""
    opened = await stage.guarded(stage.spec("killed-bake"))

    async def kill() -> None:
        await stage.rollout("killed-bake", lambda r: r.phase == "baking")
        await stage.guard.kill()

    task = asyncio.create_task(kill())
    await _undone(stage, opened, Bad({"ERROR_RATIO": "0.2", "ONSET": "12"}))
    await task


@scenario(KILLED, {"killed-intent": USUAL}, core=True)
async def test_the_guard_is_killed_between_intent_and_patch(stage: Stage) -> None:
    await _killed_at(stage, "killed-intent", Where.BEFORE)


@scenario(KILLED, {"killed-patch": USUAL}, core=True)
async def test_the_guard_is_killed_between_patch_and_outcome(stage: Stage) -> None:
    await _killed_at(stage, "killed-patch", Where.AFTER)


async def _killed_at(stage: Stage, name: str, where: Where) -> None:
    """The proxy holds the request while the guard dies, and the guard knows of no proxy."""
    opened = await stage.guarded(stage.spec(name))
    held = _proxy(stage).hold(name, where)

    async def kill() -> None:
        async with asyncio.timeout(60):
            await held.caught.wait()
        await stage.guard.kill()

    task = asyncio.create_task(kill())
    await _undone(stage, opened, HALF)
    await task


async def _undone(stage: Stage, opened: Open, bad: Bad) -> None:
    """The same end as ever, and exactly one rollback."""
    rollout, _ = await release(stage, Trio(opened), bad)
    assert rollout.phase == "rolled_back", rollout.text
    assert len(await stage.rollouts(opened.name)) == 1
    assert opened.shop.templates == ["good", "bad", "good"]
    assert _proxy(stage).landed(opened.name) == 1
    await opened.shop.complete()
    await opened.seen.quiet(2.0)


def _proxy(stage: Stage) -> ApiProxy:
    proxy = stage.watchman.proxy
    assert proxy is not None
    return proxy


async def _pass(seconds: float) -> None:
    """Time is what this scenario is about, so nothing else tells when it is over."""
    await asyncio.sleep(seconds)
