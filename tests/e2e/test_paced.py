"""Releases held at their first pods: bad ones end there, and people keep the upper hand."""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from guard.core.names import ANNOTATION_GO_ON
from tests.e2e.absent import absent_image
from tests.e2e.bad import Bad, Trio, release, trio
from tests.e2e.command import run
from tests.e2e.guards import KILLED, MAIN
from tests.e2e.paced import FIRST, PACED, PATIENT, SINGLE, is_held, untouched, updated
from tests.e2e.policies import ERRORS, PODS, Rules
from tests.e2e.side_by_side import ALONE, scenario
from tests.e2e.stage import GOOD
from tests.e2e.table import Row
from tests.e2e.waiting import until

if TYPE_CHECKING:
    from tests.e2e.cluster import Object
    from tests.e2e.records import Rollout
    from tests.e2e.shop import Spec
    from tests.e2e.stage import Open, Stage

AT_ONCE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}
ONE_BY_ONE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
BETTER = {**GOOD, "REVISION": "better"}
STRICT = Rules(checks=(ERRORS, PODS), rollout={**FIRST, "deadline": "15m"})
ROUNDS = 5
GOOD_RELEASES = 20
HALF, FIFTH, TWENTIETH = "paced, 50% errors", "paced, 20% errors", "paced, 5% errors"
KIND_GOOD = "paced, good"


# How far a bad release reaches.


@scenario(MAIN, {"blast-half": SINGLE}, shops=ALONE, timed=True)
async def test_half_of_all_requests_fail_at_the_first_pod(stage: Stage) -> None:
    await _rounds(stage, "blast-half", "0.5", HALF)


@scenario(MAIN, {"blast-fifth": SINGLE}, shops=ALONE, timed=True)
async def test_a_fifth_of_all_requests_fails_at_the_first_pod(stage: Stage) -> None:
    await _rounds(stage, "blast-fifth", "0.2", FIFTH)


@scenario(MAIN, {"blast-twentieth": SINGLE}, shops=ALONE, timed=True)
async def test_a_twentieth_of_all_requests_fails_at_the_first_pod(stage: Stage) -> None:
    await _rounds(stage, "blast-twentieth", "0.05", TWENTIETH)


async def _rounds(stage: Stage, name: str, ratio: str, kind: str) -> None:
    shops = await trio(stage, stage.spec(name, strategy=ONE_BY_ONE), alone=False)
    before = await shops.guarded.shop.read()
    for number in range(1, ROUNDS + 1):
        bad = Bad({"ERROR_RATIO": ratio}, revision=f"bad-{number}")
        rollout, _ = await release(stage, shops, bad, kind=kind, within=240.0)
        assert rollout.phase == "rolled_back", rollout.text
        assert _held_at(rollout).startswith("1 ready beside 4 stable")
        await untouched(shops.guarded, before)
        await asyncio.gather(*(shop.shop.complete() for shop in shops.all))


@scenario(MAIN, dict.fromkeys(("calm-a", "calm-b", "calm-c", "calm-d"), SINGLE), shops=4)
async def test_twenty_good_releases_are_let_go_on_from_their_first_pods(stage: Stage) -> None:
    async with asyncio.TaskGroup() as group:
        for letter in "abcd":
            group.create_task(_good_releases(stage, f"calm-{letter}"))


async def _good_releases(stage: Stage, name: str) -> None:
    env = {**GOOD, "ERROR_RATIO": "0.005"}
    opened = await stage.guarded(stage.spec(name), env)
    for number in range(1, GOOD_RELEASES // 4 + 1):
        await opened.shop.release({**env, "REVISION": f"good-{number}"})
        rollout = await stage.end(name, number=number, within=300.0)
        stage.row(Row(f"a good release, {name[-1]}{number}", rollout.where, kind=KIND_GOOD))
        assert rollout.phase in {"promoted", "unproven"}, rollout.text
        assert rollout.count("paused") == 1
    assert opened.shop.templates == ["good", *(f"good-{n}" for n in range(1, number + 1))]


@scenario(MAIN, {"blast-usual": SINGLE}, shops=3, timed=True)
async def test_half_of_all_requests_fail_at_the_first_pods_of_the_default_strategy(
    stage: Stage,
) -> None:
    """25% of 4 is one pod more and one pod less: Kubernetes may bring up two before the pause."""
    shops = await trio(stage, stage.spec("blast-usual"))
    rollout, _ = await release(stage, shops, Bad({"ERROR_RATIO": "0.5"}))
    assert rollout.phase == "rolled_back", rollout.text
    assert _held_at(rollout).startswith(("1 ready beside", "2 ready beside 3 stable"))


# Every bad release of `test_bad_releases`, held at its first pods.


@scenario(MAIN, {"first-crash": STRICT})
async def test_the_first_pod_crashes_again_and_again(stage: Stage) -> None:
    rollout = await _undone(stage, "first-crash", Bad({"CRASH_LOOP": "3"}, answers=False))
    assert "exit code 1" in rollout.text


@scenario(MAIN, {"first-absent": PACED})
async def test_the_image_of_the_first_pod_does_not_exist(stage: Stage) -> None:
    async with absent_image(stage.node) as image:
        await _undone(stage, "first-absent", Bad({}, image=image, answers=False))


@scenario(MAIN, {"first-unready": STRICT}, first=True)
async def test_the_first_pod_never_becomes_ready(stage: Stage) -> None:
    """By the progress deadline that the team had; the pause's own is 68 years."""
    bad = Bad({"NEVER_READY": "true"}, answers=False)
    rollout = await _undone(stage, "first-unready", bad, within=400.0)
    assert "not ready" in rollout.text


@scenario(MAIN, {"first-sick": PACED})
async def test_the_health_endpoint_of_the_first_pod_answers_503(stage: Stage) -> None:
    rollout = await _undone(stage, "first-sick", Bad({"HEALTH_STATUS": "503"}, answers=False))
    assert "503" in rollout.text


@scenario(MAIN, {"first-rapid": PACED})
async def test_a_release_that_would_be_complete_within_three_seconds_is_held(
    stage: Stage,
) -> None:
    """Its errors begin when an unpaced release would have left nothing to compare with."""
    bad = Bad({"ERROR_RATIO": "0.2", "ONSET": "4"})
    spec = stage.spec("first-rapid", strategy=AT_ONCE)
    await _undone(stage, "first-rapid", bad, spec=spec)


@scenario(MAIN, {"first-late": replace(SINGLE, rollout={**FIRST, "bake": "20s"})})
async def test_errors_that_begin_after_the_first_step_are_found_with_all_pods(
    stage: Stage,
) -> None:
    """Clean for longer than the first step: gone on, and undone in the next."""
    opened = await stage.guarded(stage.spec("first-late"))
    shops = Trio(opened)
    rollout, _ = await release(stage, shops, Bad({"ERROR_RATIO": "0.2", "ONSET": "40"}))
    assert rollout.phase == "rolled_back", rollout.text
    assert rollout.count("gone on") == 1


@scenario(MAIN, {"first-hasty": PACED}, shops=2)
async def test_a_bad_release_follows_one_that_is_held_at_its_first_pods(stage: Stage) -> None:
    """The newer one is held anew, at first pods of its own."""
    opened = await stage.guarded(stage.spec("first-hasty"))
    before = await opened.shop.read()
    await opened.shop.release({**GOOD, "REVISION": "unjudged"})
    first = await is_held(opened)
    rollout, _ = await release(stage, Trio(opened, releases=1), Bad({"ERROR_RATIO": "0.5"}))
    unjudged, _ = await stage.rollouts("first-hasty")
    assert unjudged.phase == "superseded", unjudged.text
    assert rollout.phase == "rolled_back", rollout.text
    assert rollout.candidate != first
    assert rollout.count("paused") == 1
    assert opened.shop.templates == ["good", "unjudged", "bad", "good"]
    await untouched(opened, before)


@scenario(MAIN, {"first-recreate": PACED})
async def test_a_deployment_that_recreates_is_judged_unpaced(stage: Stage) -> None:
    spec = stage.spec("first-recreate", replicas=1, strategy={"type": "Recreate"})
    opened = await stage.guarded(spec)
    rollout, _ = await release(stage, Trio(opened), Bad({"ERROR_RATIO": "0.5"}))
    assert rollout.phase == "rolled_back", rollout.text
    assert not rollout.count("paused")


async def _undone(
    stage: Stage, name: str, bad: Bad, *, spec: Spec | None = None, within: float = 180.0
) -> Rollout:
    opened = await stage.guarded(spec or stage.spec(name))
    before = await opened.shop.read()
    rollout, _ = await release(stage, Trio(opened), bad, within=within)
    assert rollout.phase == "rolled_back", rollout.text
    assert opened.shop.templates == ["good", "bad", "good"]
    assert not rollout.count("gone on"), "it ended at its first pods"
    await untouched(opened, before)
    return rollout


def _held_at(rollout: Rollout) -> str:
    """How many candidate pods it was held at, and beside how many, in the record's words."""
    texts = {entry.kind: entry.text for entry in reversed(rollout.timeline)}
    return texts.get("baking") or texts.get("intent", "").partition("held at its first pods: ")[2]


# People, while it is held.


async def _held(stage: Stage, spec: Spec) -> tuple[Open, Object, str]:
    """A better release, held: the shop, its Deployment before, and the hash that is held."""
    opened = await stage.guarded(spec)
    before = await opened.shop.read()
    await opened.shop.release(BETTER)
    return opened, before, await is_held(opened)


@scenario(MAIN, {"held-undo": PATIENT})
async def test_a_person_undoes_a_release_that_is_held(stage: Stage) -> None:
    opened, before, _ = await _held(stage, stage.spec("held-undo"))
    await opened.shop.undo()
    rollout = await stage.end("held-undo")
    await untouched(opened, before)
    await opened.shop.complete()
    stage.row(Row(stage.entry.name, rollout.where))
    assert rollout.phase == "superseded", rollout.text
    assert not rollout.count("intent")
    assert opened.shop.templates == ["good", "better", "good"]


@scenario(MAIN, {"held-restart": SINGLE})
async def test_a_person_restarts_a_deployment_that_is_held(stage: Stage) -> None:
    """A restart is a newer release: held anew, judged, and let go on."""
    opened, before, first = await _held(stage, stage.spec("held-restart"))
    where = ("-n", stage.space)
    await run("kubectl", "rollout", "restart", f"deployment/{opened.name}", *where)
    second = await is_held(opened, other_than=first)
    rollout = await stage.end("held-restart", number=2)
    stage.row(Row(stage.entry.name, rollout.where))
    assert second == rollout.candidate
    assert rollout.phase in {"promoted", "unproven"}, rollout.text
    await untouched(opened, before)


@scenario(MAIN, {"held-scaled": replace(SINGLE, rollout={**FIRST, "bake": "2m", "deadline": "5m"})})
async def test_a_person_scales_a_deployment_that_is_held(stage: Stage) -> None:
    opened, before, held = await _held(stage, stage.spec("held-scaled"))
    seen = []
    for replicas in (12, 1, 4, 0, 4):
        await opened.shop.scale(replicas)
        await _settled(opened, replicas)
        seen.append(await updated(opened))
        if replicas:
            assert await is_held(opened) == held
    rollout = await stage.end("held-scaled", within=400.0)
    note = f"candidate pods at 12, 1, 4, 0, 4 desired: {seen}"
    stage.row(Row(stage.entry.name, rollout.where, note=note))
    assert rollout.phase in {"promoted", "unproven"}, rollout.text
    assert opened.shop.templates == ["good", "better"]
    assert len(await stage.rollouts("held-scaled")) == 1
    await untouched(opened, {**before, "spec": {**before["spec"], "replicas": 4}})


async def _settled(opened: Open, replicas: int) -> None:
    """Wait until the controller has brought up what was asked for."""

    async def ask() -> bool:
        deployment = await opened.shop.read()
        status = deployment.get("status", {})
        seen = status.get("observedGeneration") == deployment["metadata"]["generation"]
        ready, there = status.get("readyReplicas", 0), status.get("replicas", 0)
        enough = ready == there >= replicas if replicas else there == 0
        return bool(seen and enough)

    await until(ask, 60.0, f"{opened.name}: {replicas} pods")


@scenario(MAIN, {"held-single": SINGLE})
async def test_a_deployment_of_one_replica_is_held(stage: Stage) -> None:
    await _goes_on(stage, stage.spec("held-single", replicas=1), "1 ready beside 1 stable")


@scenario(MAIN, {"held-usual": SINGLE}, shops=2)
async def test_a_deployment_with_the_default_strategy_is_held(stage: Stage) -> None:
    """25% of 8 may bring up two at once and take two away before the pause is in force."""
    await _goes_on(stage, stage.spec("held-usual", replicas=8), " ready beside ")


async def _goes_on(stage: Stage, spec: Spec, beside: str) -> None:
    opened, before, _ = await _held(stage, spec)
    rollout = await stage.end(spec.name, within=240.0)
    stage.row(Row(stage.entry.name, rollout.where, note=_held_at(rollout)))
    assert rollout.phase in {"promoted", "unproven"}, rollout.text
    assert beside in _held_at(rollout)
    assert rollout.count("gone on") == 1
    await untouched(opened, before)
    await opened.shop.complete()


# Held at later steps too.


HALF_OF_THEM = {**FIRST, "pace": ["first", "50%"], "deadline": "20s"}
TWICE = replace(SINGLE, rollout=HALF_OF_THEM)
"""The first step ends at its deadline at the latest, and so does the second."""


@scenario(MAIN, {"held-twice": TWICE}, shops=2)
async def test_a_good_release_is_held_at_its_first_pod_and_at_half_of_its_pods(
    stage: Stage,
) -> None:
    """Kubernetes brings up pods until the pause is in force: with one at a time few more."""
    spec = stage.spec("held-twice", replicas=8, strategy=ONE_BY_ONE)
    opened, before, _ = await _held(stage, spec)
    rollout = await stage.end("held-twice", within=240.0)
    at = [entry.text for entry in rollout.timeline if entry.kind == "baking"]
    stage.row(Row(stage.entry.name, rollout.where, note=at[1]))
    assert rollout.phase in {"promoted", "unproven"}, rollout.text
    assert rollout.count("paused") == rollout.count("gone on") == 2
    assert [int(text.split()[0]) for text in at[:2]] in ([1, 4], [1, 5]), at
    await untouched(opened, before)
    await opened.shop.complete()


@scenario(MAIN, {"held-half": TWICE})
async def test_a_release_fails_when_it_has_half_of_the_pods(stage: Stage) -> None:
    shops = await trio(stage, stage.spec("held-half", strategy=ONE_BY_ONE), alone=False)
    before = await shops.guarded.shop.read()
    bad = Bad({"ERROR_RATIO": "0.5", "ONSET": "25"})
    rollout, _ = await release(stage, shops, bad, within=120.0)
    assert rollout.phase == "rolled_back", rollout.text
    (undone,) = [entry.text for entry in rollout.timeline if entry.kind == "intent"]
    assert "held at 50% of its pods: " in undone
    await untouched(shops.guarded, before)
    assert shops.guarded.shop.templates == ["good", "bad", "good"]


# The guard dies while it holds.


@scenario(KILLED, {"held-killed": replace(PACED, rollout={**FIRST, "bake": "30s"})})
async def test_the_guard_is_killed_while_it_holds_a_bad_release(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("held-killed"))
    before = await opened.shop.read()

    async def kill() -> None:
        await is_held(opened)
        await stage.guard.kill()

    killed = asyncio.create_task(kill())
    rollout, _ = await release(stage, Trio(opened), Bad({"ERROR_RATIO": "0.2", "ONSET": "12"}))
    await killed
    assert rollout.phase == "rolled_back", rollout.text
    assert opened.shop.templates == ["good", "bad", "good"]
    assert len(await stage.rollouts("held-killed")) == 1
    await untouched(opened, before)


@scenario(KILLED, {"held-orphan": PATIENT})
async def test_the_guard_is_gone_for_good_while_it_holds(stage: Stage) -> None:
    """Nothing more goes out; the Deployment's own words let it go on, run as they stand there."""
    opened, before, _ = await _held(stage, stage.spec("held-orphan"))
    await stage.guard.scale(0)
    try:
        await _settled(opened, 4)
        first = await updated(opened)
        for _ in range(15):
            assert await updated(opened) == first
            await asyncio.sleep(1.0)
        annotations: dict[str, Any] = (await opened.shop.read())["metadata"]["annotations"]
        await run(*shlex.split(annotations[ANNOTATION_GO_ON]))
        await opened.shop.complete()
        await untouched(opened, before)
    finally:
        await stage.guard.scale(1)
    rollout = await stage.end("held-orphan", within=300.0)
    stage.row(Row(stage.entry.name, rollout.where, note="let go by hand"))
    assert rollout.phase in {"promoted", "unproven"}, rollout.text
    assert opened.shop.templates == ["good", "better"]
