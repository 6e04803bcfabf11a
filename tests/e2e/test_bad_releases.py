"""Bad releases, which the guard must undo, beside a hand that knows and nobody at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.e2e.absent import absent_image
from tests.e2e.bad import Bad, Trio, release, trio
from tests.e2e.guards import FROM_PROMETHEUS, KILLED, MAIN
from tests.e2e.policies import ERRORS, PODS, USUAL, Rules
from tests.e2e.prometheus import SCRAPE_INTERVAL
from tests.e2e.shop import Spec
from tests.e2e.side_by_side import ALONE, scenario
from tests.e2e.stage import GOOD, Stage
from tests.e2e.table import Row
from tests.e2e.waiting import until

AT_ONCE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}
ONE_BY_ONE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
HALF = "50% errors"
NEW_POD = "50% errors, from Prometheus, new pods"
OLD_POD = "50% errors, from Prometheus, pods scraped before"
ROUNDS = 5
"""Releases of one kind, for a median."""


@scenario(MAIN, {"half": USUAL}, shops=3, core=True)
async def test_half_of_all_requests_fail(stage: Stage) -> None:
    shops = await trio(stage, stage.spec("half"))
    rollout, _ = await release(stage, shops, Bad({"ERROR_RATIO": "0.5"}))
    assert rollout.phase == "rolled_back", rollout.text
    assert shops.guarded.shop.templates == ["good", "bad", "good"]
    await stage.heard("half", "RolledBack", "resolved")
    assert [n["reason"] for n in stage.told("half")] == ["RollingBack"]
    assert [n["reason"] for n in stage.told("half", stage="resolved")] == ["RolledBack"]
    await stage.events("half", "RolloutBegan", "RollingBack", "RolledBack")
    explained = await stage.explained("half")
    assert "the guard put the known-good revision back" in " ".join(explained.split())


@scenario(MAIN, {"half-again": USUAL}, shops=ALONE, timed=True)
async def test_half_of_all_requests_fail_again_and_again(stage: Stage) -> None:
    shops = await trio(stage, stage.spec("half-again"), alone=False)
    await _rounds(stage, shops, {"ERROR_RATIO": "0.5"}, HALF)


@scenario(MAIN, {"fifth": USUAL}, shops=3, timed=True)
async def test_a_fifth_of_all_requests_fails(stage: Stage) -> None:
    shops = await trio(stage, stage.spec("fifth"))
    rollout, _ = await release(stage, shops, Bad({"ERROR_RATIO": "0.2"}))
    assert rollout.phase == "rolled_back", rollout.text


@scenario(MAIN, {"twentieth": USUAL}, shops=3, timed=True)
async def test_a_twentieth_of_all_requests_fails(stage: Stage) -> None:
    shops = await trio(stage, stage.spec("twentieth"))
    rollout, _ = await release(stage, shops, Bad({"ERROR_RATIO": "0.05"}))
    assert rollout.phase == "rolled_back", rollout.text


@scenario(FROM_PROMETHEUS, {"half-new": USUAL}, shops=2, timed=True)
async def test_half_of_all_requests_fail_and_only_prometheus_sees_it(stage: Stage) -> None:
    shops = await trio(stage, stage.spec("half-new"), alone=False)
    await _rounds(stage, shops, {"ERROR_RATIO": "0.5"}, NEW_POD)


@scenario(FROM_PROMETHEUS, {"half-old": Rules(rollout={"bake": "40s"})}, shops=2, timed=True)
async def test_half_of_all_requests_fail_after_prometheus_has_met_the_pods(stage: Stage) -> None:
    shops = await trio(stage, stage.spec("half-old"), alone=False)
    onset = str(2 * SCRAPE_INTERVAL + 2)
    await _rounds(stage, shops, {"ERROR_RATIO": "0.5", "ONSET": onset}, OLD_POD)


async def _rounds(stage: Stage, shops: Trio, fault: dict[str, str], kind: str) -> None:
    for number in range(1, ROUNDS + 1):
        bad = Bad(fault, revision=f"bad-{number}")
        rollout, _ = await release(stage, shops, bad, kind=kind)
        assert rollout.phase == "rolled_back", rollout.text
        await asyncio.gather(*(shop.shop.complete() for shop in shops.all))


@scenario(MAIN, {"never-ready": Rules(checks=(ERRORS, PODS))}, first=True)
async def test_pods_never_become_ready_at_the_default_progress_deadline(stage: Stage) -> None:
    shops = Trio(await stage.guarded(stage.spec("never-ready", replicas=2)))
    bad = Bad({"NEVER_READY": "true"}, answers=False)
    rollout, row = await release(stage, shops, bad, within=400.0)
    assert rollout.phase == "rolled_back", rollout.text
    assert "not ready" in rollout.text
    assert row.decided is not None
    assert 300 <= row.decided < 310


@scenario(MAIN, {"crashing": Rules(checks=(ERRORS, PODS))}, shops=3, core=True)
async def test_pods_crash_again_and_again(stage: Stage) -> None:
    shops = await trio(stage, stage.spec("crashing"))
    rollout, _ = await release(stage, shops, Bad({"CRASH_LOOP": "3"}, answers=False))
    assert rollout.phase == "rolled_back", rollout.text
    assert "exit code 1" in rollout.text


@scenario(MAIN, {"absent": USUAL})
async def test_the_image_does_not_exist(stage: Stage) -> None:
    shops = Trio(await stage.guarded(stage.spec("absent", replicas=2)))
    async with absent_image(stage.node) as image:
        rollout, row = await release(stage, shops, Bad({}, image=image, answers=False))
    assert rollout.phase == "rolled_back", rollout.text
    assert shops.guarded.seen.errors() == 0
    assert row.decided is not None
    assert row.decided < 15


@scenario(MAIN, {"sick": USUAL})
async def test_the_health_endpoint_answers_503_while_the_metrics_are_fine(stage: Stage) -> None:
    shops = Trio(await stage.guarded(stage.spec("sick")))
    bad = Bad({"HEALTH_STATUS": "503"}, answers=False)
    rollout, _ = await release(stage, shops, bad)
    assert rollout.phase == "rolled_back", rollout.text
    assert "503" in rollout.text
    assert shops.guarded.seen.errors() == 0


@scenario(MAIN, {"rapid": USUAL}, shops=ALONE, timed=True)
async def test_a_bad_release_is_complete_within_three_seconds(stage: Stage) -> None:
    """Its errors begin when nothing of the good revision is left to compare with."""
    shops = await trio(stage, stage.spec("rapid", replicas=1, strategy=AT_ONCE), alone=False)
    watched = asyncio.create_task(_completed_after(shops))
    rollout, _ = await release(stage, shops, Bad({"ERROR_RATIO": "0.2", "ONSET": "4"}))
    assert rollout.phase == "rolled_back", rollout.text
    assert await watched <= 3.0


async def _completed_after(shops: Trio) -> float:
    """Seconds from the bad template to the end of its rollout."""
    shop = shops.guarded.shop

    async def began() -> float | None:
        return shop.in_force_since("bad", 0.0)

    began_at = await until(began, 30.0, "the bad template in force", every=0.02)
    return await shop.complete() - began_at


@scenario(KILLED, {"unwatched": USUAL}, shops=2)
async def test_a_bad_release_began_and_finished_while_the_guard_was_down(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("unwatched", strategy=AT_ONCE))
    await stage.guard.scale(0)
    bad = Bad({"ERROR_RATIO": "0.2"})
    await opened.shop.release(bad.env)
    await opened.shop.complete()
    await stage.guard.scale(1)
    rollout = await stage.end("unwatched")
    stage.row(Row(stage.entry.name, rollout.where, failed=len(opened.seen.failures(0.0))))
    assert rollout.phase == "rolled_back", rollout.text
    assert opened.shop.templates == ["good", "bad", "good"]


@scenario(MAIN, {"hasty": USUAL}, shops=2)
async def test_a_bad_release_follows_one_that_nobody_has_judged_yet(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("hasty"))
    await opened.shop.release({**GOOD, "REVISION": "unjudged"})
    await stage.rollout("hasty", lambda r: r.phase in {"progressing", "baking"})
    rollout, _ = await release(stage, Trio(opened, releases=1), Bad({"ERROR_RATIO": "0.5"}))
    first, _ = await stage.rollouts("hasty")
    assert first.phase == "superseded", first.text
    assert rollout.phase == "rolled_back", rollout.text
    assert opened.shop.templates == ["good", "unjudged", "bad", "good"]


@scenario(MAIN, {"single": USUAL}, shops=3)
async def test_a_single_replica_is_recreated_as_a_bad_one(stage: Stage) -> None:
    spec = stage.spec("single", replicas=1, strategy={"type": "Recreate"})
    shops = await trio(stage, spec)
    rollout, _ = await release(stage, shops, Bad({"ERROR_RATIO": "0.5"}))
    assert rollout.phase == "rolled_back", rollout.text


@scenario(MAIN, {"sharing": USUAL}, shops=2, core=True)
async def test_both_revisions_are_broken_by_what_they_share(stage: Stage) -> None:
    """Held and told once, not rolled back; when the trouble has passed, the release goes on."""
    depot = await stage.open(stage.spec("depot", replicas=1), GOOD, rate=0)
    url = f"http://depot.{stage.space}.svc.cluster.local:8080/fault"
    spec: Spec = stage.spec("sharing", strategy=ONE_BY_ONE, more={"minReadySeconds": 15})
    env = {**GOOD, "DEPENDENCY_URL": url}
    opened = await stage.guarded(spec, env)
    await opened.shop.release({**env, "REVISION": "better"})
    await opened.seen.meet("better", 100)
    await depot.shop.tell("0.3")
    rollout = await stage.rollout("sharing", lambda r: r.phase == "held" or r.ended)
    held = Row(stage.entry.name, rollout.where)
    assert rollout.where == "held(shared)", rollout.text
    await depot.shop.tell("0")
    rollout = await stage.end("sharing", within=240.0)
    stage.row(replace(held, note=f"then {rollout.where}"))
    assert rollout.phase in {"promoted", "unproven"}, rollout.text
    await stage.heard("sharing", "Resumed", "resolved")
    assert [n["reason"] for n in stage.told("sharing")] == ["SharedTrouble"]
    assert opened.shop.templates == ["good", "better"]
