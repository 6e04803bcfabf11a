"""The pause on a real cluster: who serves while a release is held, and what comes after."""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from guard.core.actions import OutcomeKind, PauseIntent
from guard.core.names import ANNOTATION_GO_ON, ANNOTATION_PAUSE, FIELD_MANAGER, LABEL_PAUSED
from guard.core.workloads import Snapshot
from guard.platforms.kubernetes.pause import MIN_READY, PROGRESS_DEADLINE
from tests.e2e.command import run
from tests.integration import kubernetes_watch_scene
from tests.integration.kubernetes_scene import (
    SERVER_SIDE,
    Guard,
    Team,
    connected,
    container,
    namespace,
)
from tests.integration.kubernetes_watch_scene import Watched, watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from guard.core.actions import Outcome

GOOD = container(VERSION="1")
NEW = container(VERSION="2")
NEWER = container(VERSION="3")
SHARES = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
ONE_MORE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
STAYS = 1.5
"""Seconds for which what is held must stay as it is."""


pytestmark = pytest.mark.timeout(900)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asserted is who serves, not how fast: pods of a busy node take minutes."""
    monkeypatch.setattr(kubernetes_watch_scene, "WITHIN", 300.0)


@pytest.fixture
async def team(kubeconfig: Path) -> AsyncIterator[Team]:
    async with connected(kubeconfig) as api, namespace("pace") as name:
        yield Team(api, name)


@dataclass
class Pacer:
    """Holds each new revision at its first pods, straight from the sight of it."""

    team: Team
    watched: Watched
    narrow: bool = True
    good: str = ""
    answered: list[tuple[float, Outcome]] = field(default_factory=list)
    held_once: set[str] = field(default_factory=set)

    def intent(self, seen: Snapshot, previous: str = "") -> PauseIntent:
        return PauseIntent(
            seen.workload, seen.uid, seen.current, time.time(), self.narrow, previous
        )

    async def run(self) -> None:
        """Pause each new revision once."""
        while True:
            await self.watched.until(self._due)
            seen = self.watched.last
            outcome = await self.watched.platform.pause(self.intent(seen))
            self.answered.append((time.perf_counter(), outcome))
            if outcome.kind is OutcomeKind.PATCHED:
                self.held_once.add(seen.current.hash)

    def _due(self, one: Snapshot) -> bool:
        return one.observed and one.current.hash not in {self.good, *self.held_once}

    async def resume(self, previous: str = "") -> Outcome:
        seen = self.watched.last
        return await self.watched.platform.resume(self.intent(seen, previous))

    async def held(self, candidate: int, stable: int) -> None:
        """Wait until so many pods of each side are ready, and see that it stays so."""

        def counted(one: Snapshot) -> bool:
            return self.pods(one) == (candidate, stable) and one.pause is not None

        await self.watched.until(counted)
        await asyncio.sleep(STAYS)
        assert counted(self.watched.last), self.pods(self.watched.last)
        assert not self.watched.last.complete

    def pods(self, one: Snapshot) -> tuple[int, int]:
        """Ready pods of the current revision, and of the good one."""
        living = [pod for pod in one.pods if pod.ready and pod.deleted_at is None]
        current = sum(pod.revision == one.current.hash for pod in living)
        return current, sum(pod.revision == self.good for pod in living)

    async def done(self) -> None:
        await self.watched.until(lambda one: one.complete and one.pause is None)


def released(team: Team, *containers: Any, **spec: Any) -> dict[str, Any]:
    """A manifest whose pods end at once."""
    manifest = team.manifest(*containers, **spec)
    manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 0
    return manifest


async def release(team: Team, version: dict[str, Any]) -> float:
    """Release by one call of the API; returns when it was answered."""
    body = {"spec": {"template": {"spec": {"containers": [version]}}}}
    answer = await team.api.call(
        "PATCH",
        f"/apis/apps/v1/namespaces/{team.namespace}/deployments/{team.name}",
        params={"fieldManager": "team"},
        body=body,
        content_type="application/merge-patch+json",
    )
    assert answer.ok
    return time.perf_counter()


@asynccontextmanager
async def serving(
    team: Team, kubeconfig: Path, *, replicas: int = 4, **spec: Any
) -> AsyncIterator[Pacer]:
    """A team's Deployment that serves, and a pacer that watches it."""
    await team.apply_manifest(released(team, GOOD, replicas=replicas, **spec))
    async with watching(kubeconfig, team.namespace, team.name) as watched:
        await watched.until(lambda one: one.complete)
        pacer = Pacer(team, watched, good=watched.last.current.hash)
        task = asyncio.create_task(pacer.run())
        try:
            yield pacer
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.mark.parametrize(
    ("replicas", "strategy", "candidates"),
    [
        pytest.param(4, ONE_MORE, {1}, id="4 pods at 1 and 0"),
        pytest.param(4, SHARES, {1, 2}, id="4 pods at 25% and 25%"),
        pytest.param(1, SHARES, {1}, id="a single pod"),
    ],
)
async def test_a_release_is_held_at_its_first_pods_and_let_go_with_all_as_it_was(
    team: Team, kubeconfig: Path, replicas: int, strategy: dict[str, Any], candidates: set[int]
) -> None:
    more = {"strategy": strategy, "progressDeadlineSeconds": 300}
    async with serving(team, kubeconfig, replicas=replicas, **more) as pacer:
        before = (await team.get())["spec"]
        at = await release(team, NEW)
        # One more than desired serves in all: the surge, on whichever side it is.
        await pacer.watched.until(
            lambda one: one.pause is not None and sum(pacer.pods(one)) == replicas + 1
        )
        in_force = pacer.answered[0][0] - at
        await asyncio.sleep(STAYS)
        seen = pacer.watched.last
        mine, stable = pacer.pods(seen)
        print(f"\nin force {1000 * in_force:.0f} ms after the release: {mine} beside {stable}")
        assert mine in candidates
        assert (mine, stable) in {(1, replicas), (2, replicas - 1)}
        assert (seen.progress_deadline, seen.min_ready) == (300.0, 0.0), "the team's own"
        assert seen.due(frozenset({seen.current.hash})) == mine
        assert not seen.complete
        held = (await team.get())["spec"]
        assert held["minReadySeconds"] == MIN_READY
        assert held["progressDeadlineSeconds"] == PROGRESS_DEADLINE
        assert held["strategy"] == ONE_MORE

        outcome = await pacer.resume()
        assert outcome.kind is OutcomeKind.PATCHED, outcome.detail
        await pacer.done()
        after = await team.get()
        assert after["spec"] | {"template": None} == before | {"template": None}
        assert after["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] == "2"
        assert not_marked(after)


def not_marked(deployment: dict[str, Any]) -> bool:
    metadata = deployment["metadata"]
    marks = {LABEL_PAUSED, ANNOTATION_PAUSE, ANNOTATION_GO_ON}
    found = marks & {*metadata.get("labels", {}), *metadata.get("annotations", {})}
    owners = {entry["manager"] for entry in metadata["managedFields"]}
    return not found and FIELD_MANAGER not in owners


async def test_scaled_while_held_it_stays_held_and_the_pods_are_counted_anew(
    team: Team, kubeconfig: Path
) -> None:
    async with serving(team, kubeconfig, replicas=1, strategy=ONE_MORE) as pacer:
        await release(team, NEW)
        await pacer.held(1, 1)
        await team.kubectl("scale", "deployment", team.name, "--replicas=4")
        await pacer.held(3, 2)
        assert pacer.watched.last.due(frozenset({pacer.watched.last.current.hash})) == 3
        await team.kubectl("scale", "deployment", team.name, "--replicas=0")
        await pacer.watched.until(lambda one: not one.pods)
        await team.kubectl("scale", "deployment", team.name, "--replicas=2")
        await pacer.held(2, 0)
        assert (await pacer.resume()).kind is OutcomeKind.PATCHED
        await pacer.done()


async def test_a_persons_undo_while_held_is_let_go_with_the_records_words(
    team: Team, kubeconfig: Path
) -> None:
    async with serving(team, kubeconfig, replicas=2, strategy=SHARES) as pacer:
        before = (await team.get())["spec"]
        await release(team, NEW)
        await pacer.held(1, 2)
        recorded = pacer.watched.last.pause
        assert recorded is not None
        await team.kubectl("rollout", "undo", f"deployment/{team.name}")
        await pacer.watched.until(lambda one: one.observed and one.current.hash == pacer.good)
        shown = pacer.watched.last.pause
        assert shown is not None
        assert shown.previous == "", "the undo has put the ReplicaSet's annotations back"
        assert (await pacer.resume(recorded.previous)).kind is OutcomeKind.PATCHED
        await pacer.done()
        assert (await team.get())["spec"] == before
        assert len(pacer.watched.last.pods) == 2


async def test_a_newer_release_while_held_is_held_at_its_own_first_pod(
    team: Team, kubeconfig: Path
) -> None:
    async with serving(team, kubeconfig, replicas=2, strategy=SHARES) as pacer:
        before = (await team.get())["spec"]
        await release(team, NEW)
        await pacer.held(1, 2)
        first = pacer.watched.last.current.hash
        await release(team, NEWER)
        await pacer.watched.until(lambda one: one.observed and one.current.hash != first)
        await pacer.held(1, 2)
        assert all(pod.revision != first for pod in pacer.watched.last.pods)
        assert (await pacer.resume()).kind is OutcomeKind.PATCHED
        await pacer.done()
        after = (await team.get())["spec"]
        assert after | {"template": None} == before | {"template": None}


async def test_the_annotations_command_lets_it_go_on_by_hand(team: Team, kubeconfig: Path) -> None:
    async with serving(team, kubeconfig, replicas=2, strategy=SHARES) as pacer:
        before = (await team.get())["spec"]
        await release(team, NEW)
        await pacer.held(1, 2)
        text = (await team.get())["metadata"]["annotations"][ANNOTATION_GO_ON]
        await run(*shlex.split(text))
        await pacer.done()
        after = await team.get()
        assert after["spec"] | {"template": None} == before | {"template": None}
        assert LABEL_PAUSED not in after["metadata"].get("labels", {})
        assert (await pacer.resume()).kind is OutcomeKind.ALREADY


async def test_a_field_that_someone_else_sets_is_theirs_and_the_rest_is_put_back(
    team: Team, kubeconfig: Path
) -> None:
    async with serving(team, kubeconfig, replicas=2, strategy=SHARES) as pacer:
        before = (await team.get())["spec"]
        await release(team, NEW)
        await pacer.held(1, 2)
        theirs = json.dumps({"spec": {"minReadySeconds": 2}})
        await team.kubectl("patch", "deployment", team.name, "-p", theirs)
        await pacer.watched.until(lambda one: one.pause is not None and not one.pause.in_force)
        assert (await pacer.resume()).kind is OutcomeKind.PATCHED
        await pacer.done()
        after = (await team.get())["spec"]
        assert after.pop("minReadySeconds") == 2
        assert after | {"template": None} == before | {"template": None}


async def test_a_rollback_while_held_gives_exactly_what_was_known_good(
    team: Team, kubeconfig: Path
) -> None:
    guard = Guard(team.api, team)
    more = {"strategy": SHARES, "minReadySeconds": 1, "progressDeadlineSeconds": 300}
    manifest = released(team, GOOD, replicas=2, **more)
    await team.apply_manifest(manifest, *SERVER_SIDE)
    async with serving_by(team, kubeconfig) as pacer:
        before = await team.get()
        good = await guard.trust()
        bad = released(team, NEW, replicas=2, **more)
        await team.apply_manifest(bad, *SERVER_SIDE)
        await pacer.held(1, 2)
        intent = await guard.intend(good)
        assert (await guard.rollbacks.rehearse(intent)).possible
        outcome = await guard.rollbacks.rollback(intent)
        assert outcome.kind is OutcomeKind.PATCHED, outcome.detail
        await pacer.watched.until(lambda one: one.complete and one.current.hash == pacer.good)
        after = await team.get()
        assert after["spec"] == before["spec"]
        assert not_marked(after)
        # The team owns its fields again: what it applies next meets no conflict.
        await team.apply_manifest(manifest, *SERVER_SIDE)
        assert (await team.get())["spec"] == before["spec"]


@asynccontextmanager
async def serving_by(team: Team, kubeconfig: Path) -> AsyncIterator[Pacer]:
    """A pacer of a Deployment that was applied already."""
    async with watching(kubeconfig, team.namespace, team.name) as watched:
        await watched.until(lambda one: one.complete)
        pacer = Pacer(team, watched, good=watched.last.current.hash)
        task = asyncio.create_task(pacer.run())
        try:
            yield pacer
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_what_cannot_be_held_says_so_and_another_template_is_never_held(
    team: Team, kubeconfig: Path
) -> None:
    await team.apply_manifest(released(team, GOOD, replicas=0, strategy={"type": "Recreate"}))
    async with watching(kubeconfig, team.namespace, team.name) as watched:
        await watched.until(lambda one: one.observed)
        pacer = Pacer(team, watched)
        stale = pacer.intent(watched.last)
        assert watched.last.strategy == "Recreate"
        refused = await watched.platform.pause(stale)
        assert refused.kind is OutcomeKind.REFUSED
        assert "Recreate" in refused.detail
        await release(team, NEW)
        assert (await watched.platform.pause(stale)).kind is OutcomeKind.SUPERSEDED
        assert (await watched.platform.resume(stale)).kind is OutcomeKind.SUPERSEDED


async def test_a_manifest_that_would_end_a_pause_is_told_by_either_kind_of_apply(
    team: Team, kubeconfig: Path
) -> None:
    """What the API server fills in by itself is nobody's statement."""
    async with watching(kubeconfig, team.namespace, team.name) as watched:
        stated = watched.platform.stated
        await team.apply_manifest(team.manifest(GOOD))
        assert await stated(team.id) == ()
        await team.apply_manifest(team.manifest(GOOD, minReadySeconds=0))
        assert await stated(team.id) == ("minReadySeconds",)
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
        await team.apply_manifest(
            team.manifest(GOOD, strategy=strategy), *SERVER_SIDE, "--force-conflicts"
        )
        assert set(await stated(team.id)) >= {"maxSurge"}
        await team.kubectl("delete", "deployment", team.name)
        assert await stated(team.id) == ()
