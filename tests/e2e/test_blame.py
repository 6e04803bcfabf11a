"""Whose fault it is: incidents that both revisions share, fixes in one, and repairs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.e2e.guards import MAIN
from tests.e2e.paced import FIRST, PACED, SINGLE
from tests.e2e.side_by_side import scenario
from tests.e2e.stage import GOOD
from tests.e2e.table import Row

if TYPE_CHECKING:
    from tests.e2e.records import Rollout
    from tests.e2e.stage import Open, Stage

KIND = "blame"
UNPACED = replace(SINGLE, rollout={"bake": "10s", "deadline": "90s"})
HELD = replace(SINGLE, rollout={**FIRST, "deadline": "90s"})
INCIDENT = 25.0
"""Seconds of an incident before the release: several scrapes of it are in Prometheus by then."""


@dataclass(slots=True, eq=False)
class Shared:
    """A shop that fails as what it depends on says."""

    opened: Open
    depot: Open
    env: dict[str, str]


async def _sharing(stage: Stage, name: str) -> Shared:
    depot = await stage.open(stage.spec(f"{name}-depot", replicas=1), GOOD, rate=0)
    url = f"http://{name}-depot.{stage.space}.svc.cluster.local:8080/fault"
    env = {**GOOD, "DEPENDENCY_URL": url}
    return Shared(await stage.guarded(stage.spec(name), env), depot, env)


def _row(stage: Stage, rollout: Rollout, held: str = "") -> None:
    outcome = f"{held}, then {rollout.where}" if held else rollout.where
    stage.row(Row(stage.entry.name, outcome, kind=KIND))


@scenario(MAIN, {"both": replace(PACED, rollout=HELD.rollout)}, shops=2)
async def test_a_tenth_of_the_requests_of_both_revisions_fails(stage: Stage) -> None:
    """Held and told, resumed when it is over, never undone.

    It does not begin in all pods at one moment, so that errors do not come one by one: k = 2.
    """
    shared = await _sharing(stage, "both")
    opened = shared.opened
    await opened.shop.release({**shared.env, "REVISION": "better"})
    await opened.seen.meet("better", 20)
    await shared.depot.shop.tell("0.1")
    rollout = await stage.rollout("both", lambda r: r.phase == "held" or r.ended, within=240.0)
    held = rollout.where
    assert held == "held(shared)", rollout.text
    await shared.depot.shop.tell("0")
    rollout = await stage.end("both", within=400.0)
    _row(stage, rollout, held)
    assert rollout.phase in {"promoted", "unproven"}, rollout.text
    await stage.heard("both", "Resumed", "resolved")
    assert [n["reason"] for n in stage.told("both")] == ["SharedTrouble"]
    assert opened.shop.templates == ["good", "better"]


@scenario(MAIN, {"outlasting": UNPACED}, shops=2)
async def test_an_incident_begins_with_the_first_candidate_pod_and_outlasts_stable(
    stage: Stage,
) -> None:
    """Nothing is left to compare with, and what was shared before is not forgotten."""
    shared = await _sharing(stage, "outlasting")
    opened = shared.opened
    await opened.shop.release({**shared.env, "REVISION": "better"})
    await shared.depot.shop.tell("0.3")  # Its first pod is there by now, and starts.
    rollout = await stage.rollout("outlasting", lambda r: r.phase == "held" or r.ended)
    held = rollout.where
    assert held == "held(shared)", rollout.text
    await opened.shop.complete()
    await asyncio.sleep(20.0)  # It outlasts stable: nothing may follow from the candidate alone.
    [rollout] = await stage.rollouts("outlasting")
    assert rollout.where == "held(shared)", rollout.text
    await shared.depot.shop.tell("0")
    rollout = await stage.end("outlasting", within=400.0)
    _row(stage, rollout, held)
    assert rollout.phase in {"promoted", "unproven"}, rollout.text
    assert opened.shop.templates == ["good", "better"]


@scenario(MAIN, {"fix-paced": HELD}, shops=2)
async def test_a_fix_is_released_in_the_middle_of_an_incident_paced(stage: Stage) -> None:
    rollout = await _released_in_an_incident(stage, "fix-paced", "0.001")
    assert rollout.phase == "promoted", rollout.text


@scenario(MAIN, {"fix-unpaced": UNPACED}, shops=2)
async def test_a_fix_is_released_in_the_middle_of_an_incident_unpaced(stage: Stage) -> None:
    rollout = await _released_in_an_incident(stage, "fix-unpaced", "0.001")
    assert rollout.phase == "promoted", rollout.text


@scenario(MAIN, {"fix-part": HELD}, shops=2)
async def test_a_partial_fix_goes_on_as_a_repair_and_ends_unproven(stage: Stage) -> None:
    rollout = await _released_in_an_incident(stage, "fix-part", "0.03")
    assert rollout.phase == "unproven", rollout.text


async def _released_in_an_incident(stage: Stage, name: str, ratio: str) -> Rollout:
    """A tenth of stable's requests fails for a while; the release does not depend on that."""
    shared = await _sharing(stage, name)
    opened = shared.opened
    await shared.depot.shop.tell("0.1")
    await asyncio.sleep(INCIDENT)
    await opened.shop.release({**GOOD, "REVISION": "fix", "ERROR_RATIO": ratio})
    rollout = await stage.end(name, within=400.0)
    _row(stage, rollout)
    assert not rollout.count("intent"), "a repair is never undone"
    assert opened.shop.templates == ["good", "fix"]
    return rollout
