"""What a team applies after a rollback is what it gets, as if there had been no rollback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from guard.core.actions import OutcomeKind
from tests.integration.kubernetes_scene import (
    SERVER_SIDE,
    Guard,
    Team,
    connected,
    container,
    namespace,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CLIENT_SIDE: tuple[str, ...] = ()
GOOD = [container(VERSION="1", TOKEN="a && b", GONE="é < 😀"), container("sidecar", PORT="1")]
BAD = [container(VERSION="2", TOKEN="a && b")]
FIXED = [container(VERSION="3", NEW="x"), container("other")]
NEXT = {"the bad one again": BAD, "a fixed one": FIXED, "the good one": GOOD}
HOW = {
    "client-side": (CLIENT_SIDE, CLIENT_SIDE, CLIENT_SIDE),
    "server-side": (SERVER_SIDE, SERVER_SIDE, SERVER_SIDE),
    "client-side, then server-side after the rollback": (CLIENT_SIDE, CLIENT_SIDE, SERVER_SIDE),
    "client-side, then server-side from the bad one on": (CLIENT_SIDE, SERVER_SIDE, SERVER_SIDE),
}
How = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


@pytest.fixture
async def teams(kubeconfig: Path) -> AsyncIterator[tuple[Team, Team]]:
    """One whose release the guard rolls back, and one that has no guard."""
    async with connected(kubeconfig) as api, namespace() as one, namespace() as two:
        yield Team(api, one), Team(api, two)


async def rolled_back(team: Team, guard: Guard, how: How, **more: Any) -> None:
    await team.apply(*GOOD, how=how[0], **more)
    good = await guard.trust()
    await team.apply(*BAD, how=how[1], **more)
    outcome = await guard.rollbacks.rollback(await guard.intend(good))
    assert outcome.kind is OutcomeKind.PATCHED


def without_replicas(team: Team, containers: list[dict[str, Any]]) -> dict[str, Any]:
    manifest = team.manifest(*containers)
    del manifest["spec"]["replicas"]
    return manifest


@pytest.mark.parametrize("how", HOW.values(), ids=list(HOW))
@pytest.mark.parametrize("following", NEXT.values(), ids=list(NEXT))
async def test_an_apply_after_a_rollback_gives_exactly_what_was_applied(
    teams: tuple[Team, Team], how: How, following: list[dict[str, Any]]
) -> None:
    team, control = teams
    await rolled_back(team, Guard(team.api, team), how)
    for one in (GOOD, BAD):
        await control.apply(*one, how=how[2])
    for one in teams:
        await one.apply(*following, how=how[2])
    assert await team.template() == await control.template()
    names = [one["name"] for one in (await team.template())["spec"]["containers"]]
    assert names == [one["name"] for one in following]


async def test_without_the_second_patch_a_server_side_apply_would_meet_a_conflict(
    teams: tuple[Team, Team],
) -> None:
    """Holds the reason for the second patch: should this fail one day, it is not needed."""
    team, _ = teams
    await team.apply(*GOOD, how=SERVER_SIDE)
    before = await team.template()
    await team.apply(*BAD, how=SERVER_SIDE)
    path = f"/apis/apps/v1/namespaces/{team.namespace}/deployments/{team.name}"
    answer = await team.api.call(
        "PATCH",
        path,
        params={"fieldManager": "another"},
        body=[{"op": "replace", "path": "/spec/template", "value": before}],
        content_type="application/json-patch+json",
    )
    assert answer.ok
    applied = await team.api.call(
        "PATCH",
        path,
        params={"fieldManager": "kubectl"},
        body=team.manifest(*FIXED),
        content_type="application/apply-patch+yaml",
    )
    assert applied.status == 409


@pytest.mark.parametrize("how", [CLIENT_SIDE, SERVER_SIDE], ids=["client-side", "server-side"])
async def test_replicas_that_were_left_to_an_autoscaler_stay_with_it(
    teams: tuple[Team, Team], how: tuple[str, ...]
) -> None:
    """The good manifest named replicas, the bad one no longer did, an autoscaler took over."""
    team, _ = teams
    guard = Guard(team.api, team)
    await team.apply(*GOOD, how=how, replicas=0)
    good = await guard.trust()
    await team.apply_manifest(without_replicas(team, BAD), *how)
    await team.kubectl("scale", "deployment", "shop", "--replicas=2")
    await guard.rollbacks.rollback(await guard.intend(good))
    await team.apply_manifest(without_replicas(team, FIXED), *how)
    assert (await team.get())["spec"]["replicas"] == 2


@pytest.mark.parametrize("how", [CLIENT_SIDE, SERVER_SIDE], ids=["client-side", "server-side"])
async def test_a_second_rollback_leaves_as_little_behind_as_the_first(
    teams: tuple[Team, Team], how: tuple[str, ...]
) -> None:
    team, control = teams
    guard = Guard(team.api, team)
    await rolled_back(team, guard, (how, how, how))
    again = await guard.trust()
    await team.apply(*FIXED, how=how)
    outcome = await guard.rollbacks.rollback(await guard.intend(again))
    assert outcome.kind is OutcomeKind.PATCHED
    for one in teams:
        await one.apply(*GOOD, how=how)
        await one.apply(*BAD, how=how)
    assert await team.template() == await control.template()
