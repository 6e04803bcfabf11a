"""The whole port on a real cluster, in the order in which the engine uses it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from guard.core.actions import Intent, KnownGood, OutcomeKind
from tests.integration.kubernetes_scene import Team, connected, container, namespace
from tests.integration.kubernetes_watch_scene import Watched, watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def team(kubeconfig: Path) -> AsyncIterator[Team]:
    async with connected(kubeconfig) as api, namespace("port") as name:
        yield Team(api, name)


@pytest.fixture
async def watched(team: Team, kubeconfig: Path) -> AsyncIterator[Watched]:
    async with watching(kubeconfig, team.namespace, team.name) as found:
        yield found


async def test_a_release_is_watched_rehearsed_and_rolled_back(team: Team, watched: Watched) -> None:
    platform = watched.platform
    await team.apply(container(VERSION="1"), replicas=0)
    await watched.until(lambda one: one.complete)
    good = KnownGood(watched.last.current, time.time(), "was serving alone")
    assert await platform.keep(watched.last, good)

    await team.apply(container(VERSION="2"), replicas=0)
    await watched.until(lambda one: one.observed and one.current.number == 2)
    bad = watched.last
    assert not await platform.keep(bad, good), "another template is in force by now"

    intent = Intent(
        id=f"rollback:{bad.workload}@{bad.current.hash}#2",
        workload=bad.workload,
        uid=bad.uid,
        candidate=bad.current,
        known_good=good,
        decided_at=time.time(),
        cause="a test rolled it back",
    )
    rehearsal = await platform.rehearse(intent)
    assert rehearsal.possible, rehearsal.detail
    assert watched.last.current == bad.current

    outcome = await platform.rollback(intent)
    assert outcome.kind is OutcomeKind.PATCHED, outcome.detail
    await watched.until(lambda one: one.observed and one.current.number == 3)
    back = watched.last
    assert (back.current.hash, back.current.content) == (
        good.revision.hash,
        good.revision.content,
    )
    assert back.change_cause == "a test rolled it back"

    again = await platform.rollback(intent)
    assert (again.kind, again.by_guard) == (OutcomeKind.ALREADY, True)


async def test_what_is_remembered_is_that_of_this_very_object(team: Team, watched: Watched) -> None:
    platform = watched.platform
    await team.apply(container(), replicas=0)
    await watched.until(lambda one: one.observed)
    workload, uid = watched.last.workload, watched.last.uid
    assert await platform.load(workload, uid) == {}

    await platform.save(workload, uid, {"memory.json": "{}"})
    assert await platform.load(workload, uid) == {"memory.json": "{}"}
    assert await platform.load(workload, "another-uid") == {}

    await team.kubectl("delete", "deployment", team.name)
    await watched.until_gone()
    await platform.forget(workload)
    assert await platform.load(workload, uid) == {}


async def test_rights_are_asked_and_an_event_is_shown_to_the_team(
    team: Team, watched: Watched
) -> None:
    await team.apply(container(), replicas=0)
    await watched.until(lambda one: one.observed)

    rights = await watched.platform.rights(watched.last.workload)
    assert (rights.may_patch, rights.missing) == (True, ())

    involved = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "namespace": team.namespace,
        "name": team.name,
    }
    body = {
        "metadata": {"namespace": team.namespace, "name": f"{team.name}.told"},
        "involvedObject": involved,
        "reason": "Guarded",
        "message": "guarded by pods only",
        "type": "Normal",
    }
    await watched.platform.post_event(team.namespace, body)
    await watched.platform.post_event(team.namespace, body)

    events = json.loads(await team.kubectl("get", "events", "-o=json"))["items"]
    told = [one for one in events if one["reason"] == "Guarded"]
    assert [one["involvedObject"]["uid"] for one in told] == [watched.last.uid]
