"""People and their pipelines, whom the guard never fights."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from guard.core.names import LABEL_MODE
from tests.e2e.bad import Bad, Trio, release
from tests.e2e.guards import MAIN
from tests.e2e.policies import USUAL, Rules
from tests.e2e.side_by_side import scenario
from tests.e2e.stage import GOOD
from tests.e2e.table import Row

if TYPE_CHECKING:
    from tests.e2e.records import Rollout
    from tests.e2e.shop import Spec
    from tests.e2e.stage import Open, Stage

PATIENT = Rules(rollout={"bake": "40s"})
"""People have time to act before anything is promoted."""
HALF = Bad({"ERROR_RATIO": "0.5"})
STRANGE = "a && b < c > d é 🚀 \u2028 \u2029 \\ \" ' % $(HOME)"
AT_ONCE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}


def _judged(rollout: Rollout) -> bool:
    return rollout.phase in {"progressing", "baking"}


@scenario(MAIN, {"undone": PATIENT}, core=True)
async def test_a_person_undoes_a_release(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("undone"))
    await opened.shop.release({**GOOD, "REVISION": "regretted"})
    await stage.rollout("undone", _judged)
    await opened.shop.undo()
    rollout = await stage.end("undone")
    await opened.shop.complete()
    stage.row(Row(stage.entry.name, rollout.where))
    assert rollout.phase == "superseded", rollout.text
    assert "a person" in rollout.text
    assert not rollout.count("intent")
    assert opened.shop.templates == ["good", "regretted", "good"]
    assert len(await stage.rollouts("undone")) == 1, "the known-good one is no new rollout"
    await stage.heard("undone", "Superseded")
    assert not stage.told("undone")


@scenario(MAIN, {"outrun": PATIENT})
async def test_a_newer_release_comes_over_a_bad_one(stage: Stage) -> None:
    """The bad one errs too rarely to be found within two seconds."""
    opened = await stage.guarded(stage.spec("outrun"))
    await opened.shop.release({**GOOD, "ERROR_RATIO": "0.03", "REVISION": "bad"})
    await stage.rollout("outrun", _judged)
    await opened.shop.release({**GOOD, "REVISION": "fixed"})
    rollout = await stage.end("outrun", number=2)
    first, _ = await stage.rollouts("outrun")
    stage.row(Row(stage.entry.name, f"{first.where}, then {rollout.where}"))
    assert first.phase == "superseded", first.text
    assert rollout.phase == "promoted", rollout.text
    assert opened.shop.templates == ["good", "bad", "fixed"]


@scenario(MAIN, {"returned": PATIENT})
async def test_a_release_and_then_the_template_before_it_by_apply(stage: Stage) -> None:
    spec = stage.spec("returned")
    opened = await stage.guarded(spec)
    await opened.shop.apply(spec.deployment({**GOOD, "REVISION": "other"}))
    await stage.rollout("returned", _judged)
    await opened.shop.apply(spec.deployment(GOOD))
    rollout = await stage.end("returned")
    await opened.shop.complete()
    stage.row(Row(stage.entry.name, rollout.where))
    assert rollout.phase == "superseded", rollout.text
    assert opened.shop.templates == ["good", "other", "good"]
    # A template that comes back a second time is a rollout again, under a new number.
    await opened.shop.apply(spec.deployment({**GOOD, "REVISION": "other"}))
    rollout = await stage.end("returned", number=2)
    assert rollout.phase == "promoted", rollout.text
    assert len(await stage.rollouts("returned")) == 2


@scenario(MAIN, {"off": PATIENT})
async def test_a_person_turns_the_guard_off_in_the_middle_of_a_rollout(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("off"))
    await opened.shop.release({**GOOD, "REVISION": "better"})
    await stage.rollout("off", lambda r: r.phase == "baking")
    turned = await opened.shop.label(LABEL_MODE, "off")
    rollout = await stage.end("off")
    stage.row(Row(stage.entry.name, rollout.where))
    assert rollout.phase == "left", rollout.text
    assert rollout.ended_at is not None
    assert rollout.ended_at - turned < 2.0


@scenario(MAIN, {"observed": USUAL})
async def test_a_bad_release_is_only_observed_where_a_label_says_so(stage: Stage) -> None:
    spec = stage.spec("observed", labels={LABEL_MODE: "observe"})
    opened = await stage.guarded(spec)
    await opened.shop.release(HALF.env)
    rollout = await stage.rollout("observed", lambda r: r.phase == "held" or r.ended)
    stage.row(Row(stage.entry.name, rollout.where))
    assert rollout.where == "held(observe)", rollout.text
    await stage.heard("observed", "WouldRollBack", "opened")
    assert opened.shop.templates == ["good", "bad"]
    await opened.shop.undo()
    rollout = await stage.end("observed")
    assert rollout.phase == "superseded", rollout.text


@scenario(MAIN, {"stubborn": USUAL}, core=True)
async def test_the_bad_revision_is_applied_again_by_hand(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("stubborn"))
    rollout, _ = await release(stage, Trio(opened), HALF)
    assert rollout.phase == "rolled_back", rollout.text
    began = await opened.shop.release(HALF.env)
    await _held_once(stage, opened, began)


@scenario(MAIN, {"looping": USUAL})
async def test_the_bad_revision_is_applied_again_every_five_seconds(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("looping"))
    again = asyncio.create_task(_again_and_again(opened))
    try:
        await opened.seen.bad_answer("bad")
        await opened.seen.until(lambda: "bad" in opened.shop.templates[2:], 60.0)
        await _held_once(stage, opened, time.time())
    finally:
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)


async def _again_and_again(opened: Open) -> None:
    while True:
        await opened.shop.release(HALF.env)
        await asyncio.sleep(5.0)


async def _held_once(stage: Stage, opened: Open, began: float) -> None:
    """One rollback was all: from now on it is held, told once, and left in force."""
    rollout = await stage.rollout(opened.name, lambda r: r.phase == "held", number=2)
    stage.row(Row(stage.entry.name, rollout.where))
    assert rollout.hold == "once"
    # Long enough for anyone who would fight: four of the times that the first undo took.
    await asyncio.sleep(max(began + 20.0 - time.time(), 0.0))
    assert opened.shop.templates == ["good", "bad", "good", "bad"]
    await stage.heard(opened.name, "Held", "opened")
    assert [n["reason"] for n in stage.told(opened.name)] == ["RollingBack", "Held"]
    stand = (await stage.rollouts(opened.name))[-1]
    assert stand.where == "held(once)", stand.text


@scenario(MAIN, {"forgetful": USUAL})
async def test_the_platform_keeps_no_history_to_go_back_to(stage: Stage) -> None:
    more = {"revisionHistoryLimit": 0}
    opened = await stage.guarded(stage.spec("forgetful", strategy=AT_ONCE, more=more))
    bad = Bad({"ERROR_RATIO": "0.5", "ONSET": "6"})
    rollout, _ = await release(stage, Trio(opened), bad)
    assert rollout.phase == "rolled_back", rollout.text
    assert opened.shop.templates == ["good", "bad", "good"]


@scenario(MAIN, {"strange": USUAL})
async def test_a_template_with_strange_strings_comes_back_to_the_letter(stage: Stage) -> None:
    env = {**GOOD, "WORDS": STRANGE}
    opened = await stage.guarded(stage.spec("strange"), env)
    bad = Bad({"ERROR_RATIO": "0.5", "WORDS": f"{STRANGE} bad"})
    before = (await opened.shop.read())["spec"]["template"]
    rollout, _ = await release(stage, Trio(opened), bad)
    assert rollout.phase == "rolled_back", rollout.text
    assert (await opened.shop.read())["spec"]["template"] == before


@scenario(MAIN, {"client-side": PATIENT}, core=True)
async def test_after_a_rollback_client_side_apply_gives_just_what_was_applied(
    stage: Stage,
) -> None:
    await _applied_after_a_rollback(stage, "client-side")


@scenario(MAIN, {"server-side": PATIENT})
async def test_after_a_rollback_server_side_apply_gives_just_what_was_applied(
    stage: Stage,
) -> None:
    """Without --force-conflicts: the guard leaves no claim of its own on the template."""
    await _applied_after_a_rollback(stage, "server-side", "--server-side")


async def _applied_after_a_rollback(stage: Stage, name: str, *options: str) -> None:
    spec = stage.spec(name, replicas=2)
    good = _with_sidecar(spec, {**GOOD, "ONLY_IN_GOOD": "1"})
    bad = spec.deployment(HALF.env)
    fixed = _with_sidecar(spec, {**GOOD, "REVISION": "fixed", "ONLY_IN_FIXED": "1"})
    opened = await stage.opened(spec, good, options)
    await stage.trusted(name)
    await opened.shop.apply(bad, *options)
    rollout = await stage.end(name)
    assert rollout.phase == "rolled_back", rollout.text
    assert await _template(opened) == await _as_if_new(stage, good)
    await opened.shop.apply(bad, *options)
    rollout = await stage.rollout(name, lambda r: r.phase == "held", number=2)
    assert rollout.hold == "once"
    assert await _template(opened) == await _as_if_new(stage, bad)
    for manifest in (fixed, good, bad, good):
        await opened.shop.apply(manifest, *options)
        assert await _template(opened) == await _as_if_new(stage, manifest)
    outcome = f"{rollout.where}, then as applied"
    assert [n["reason"] for n in stage.told(name)].count("RollingBack") == 1
    stage.row(Row(stage.entry.name, outcome))


def _with_sidecar(spec: Spec, env: dict[str, str]) -> dict[str, Any]:
    manifest = spec.deployment(env)
    containers = manifest["spec"]["template"]["spec"]["containers"]
    sidecar = {
        "name": "sidecar",
        "image": containers[0]["image"],
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": "PORT", "value": "8081"}],
    }
    containers.append(sidecar)
    return manifest


async def _template(opened: Open) -> dict[str, Any]:
    template: dict[str, Any] = (await opened.shop.read())["spec"]["template"]
    return template


async def _as_if_new(stage: Stage, manifest: dict[str, Any]) -> dict[str, Any]:
    """The template that this manifest gives where nothing was before."""
    metadata = {**manifest["metadata"], "name": f"{manifest['metadata']['name']}-new"}
    path = f"/apis/apps/v1/namespaces/{stage.space}/deployments?dryRun=All"
    made = await stage.cluster.call("POST", path, {**manifest, "metadata": metadata})
    template: dict[str, Any] = made["spec"]["template"]
    return template
