"""What the guard sees of Deployments on a real cluster, how soon, and through which outages."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING, Any

import pytest

from guard.core.names import ANNOTATION_REVISION
from guard.core.workloads import Gone, Mode, WorkloadId
from guard.platforms.kubernetes import watch
from tests.integration.kubernetes_scene import IMAGE, Team, connected, container, namespace
from tests.integration.kubernetes_watch_scene import WITHIN, Watched, watching, wired

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ABSENT = "guard.local/no-such-image:1"


@pytest.fixture
async def team(kubeconfig: Path) -> AsyncIterator[Team]:
    async with connected(kubeconfig) as api, namespace("watch") as name:
        yield Team(api, name)


@pytest.fixture
async def watched(team: Team, kubeconfig: Path) -> AsyncIterator[Watched]:
    async with watching(kubeconfig, team.namespace, team.name) as found:
        yield found


def living(watched: Watched) -> list[str]:
    """The revisions of the pods that stay."""
    return [one.revision for one in watched.last.pods if one.deleted_at is None]


async def patch(team: Team, *operations: dict[str, Any]) -> float:
    """Change the Deployment; when the API server had done it."""
    answer = await team.api.call(
        "PATCH",
        f"/apis/apps/v1/namespaces/{team.namespace}/deployments/{team.name}",
        body=list(operations),
        content_type="application/json-patch+json",
    )
    assert answer.ok
    return time.perf_counter()


async def mended(team: Team, number: str) -> None:
    """Wait until the controller has written its revision annotation anew."""
    async with asyncio.timeout(WITHIN):
        while True:
            annotations = (await team.get())["metadata"]["annotations"]
            if annotations[ANNOTATION_REVISION] == number:
                return
            await asyncio.sleep(0.02)


async def release(team: Team, version: str) -> float:
    env = [{"name": "VERSION", "value": version}]
    path = "/spec/template/spec/containers/0/env"
    return await patch(team, {"op": "add", "path": path, "value": env})


async def test_a_deployments_whole_life_is_seen(team: Team, watched: Watched) -> None:
    await team.apply(container(VERSION="1"), replicas=2)
    await watched.until(lambda one: one.complete)
    first = watched.last.current
    assert (watched.last.replicas, len(watched.last.pods), first.number) == (2, 2, 1)
    assert all(one.ready and one.address and one.ready_at for one in watched.last.pods)
    assert first.images == (IMAGE,)

    await release(team, "2")
    await watched.until(lambda one: one.complete and one.current.number == 2)
    second = watched.last.current
    assert second.content != first.content
    assert watched.last.hashes_of(first) == {first.hash}
    assert living(watched) == [second.hash] * 2

    await team.kubectl("scale", "deployment", team.name, "--replicas=3")
    await watched.until(lambda one: one.complete and one.replicas == 3)
    assert watched.last.current == second

    await team.kubectl("rollout", "undo", "deployment", team.name)
    await watched.until(lambda one: one.complete and one.current.number == 3)
    assert watched.last.current.hash == first.hash
    assert watched.last.current.content == first.content

    await team.kubectl("label", "deployment", team.name, "deployment-guard.io/mode=off")
    await watched.until(lambda one: one.mode is Mode.OFF)

    await team.kubectl("rollout", "restart", "deployment", team.name)
    await watched.until(lambda one: one.complete and one.current.number == 4)
    assert watched.last.current.hash != first.hash
    assert watched.last.current.content == first.content

    await team.kubectl("delete", "deployment", team.name)
    await watched.until_gone()


async def test_no_snapshot_of_a_release_says_what_is_not_so(team: Team, watched: Watched) -> None:
    await team.apply(container(VERSION="1"), replicas=1)
    await watched.until(lambda one: one.complete)
    watched.seen.clear()
    for number in (2, 3, 4):
        await release(team, str(number % 2))
        await watched.until(lambda one, n=number: one.complete and one.current.number == n)

    numbers = [one.current.number for _, one in watched.seen if not isinstance(one, Gone)]
    assert numbers == sorted(numbers)
    for _, one in watched.seen:
        assert not isinstance(one, Gone)
        assert one.current in one.revisions
        assert {pod.revision for pod in one.pods} <= {held.hash for held in one.revisions}
        others = {p.revision for p in one.pods if p.deleted_at is None} - {one.current.hash}
        assert not (one.complete and others)
        assert not (one.complete and not one.observed)


async def test_scaling_and_releasing_at_once_shows_no_revision_that_never_was(
    team: Team, watched: Watched
) -> None:
    await team.apply(container(VERSION="1"), replicas=1)
    await watched.until(lambda one: one.observed)
    first = watched.last.current
    watched.seen.clear()

    await patch(
        team,
        {"op": "replace", "path": "/spec/replicas", "value": 2},
        {
            "op": "replace",
            "path": "/spec/template/spec/containers/0/env/0/value",
            "value": "2",
        },
    )
    await watched.until(lambda one: one.observed and one.current.number == 2)

    shown = [one for _, one in watched.seen if not isinstance(one, Gone)]
    for one in shown:
        assert one.current.hash in {first.hash, watched.last.current.hash}
        if one.current.hash == first.hash:
            assert not (one.complete and one.replicas == 2)


async def test_what_is_wrong_with_pods_is_seen_in_the_kubelets_words(
    team: Team, watched: Watched
) -> None:
    absent = {**container(), "image": ABSENT}
    await team.apply(absent, replicas=1)

    await watched.until(lambda one: any(c.waiting for p in one.pods for c in p.containers))
    await watched.until(
        lambda one: any((c.waiting or "").endswith("Pull") for p in one.pods for c in p.containers)
    )
    (found,) = watched.last.pods[0].containers
    assert found.waiting == "ErrImagePull"
    assert ABSENT in found.message

    await team.apply({**container(), "resources": {"requests": {"cpu": "1000"}}}, replicas=1)
    await watched.until(lambda one: any(pod.unschedulable for pod in one.pods))
    words = [pod.unschedulable for pod in watched.last.pods if pod.unschedulable]
    assert "Insufficient cpu" in (words[0] or "")


async def test_pods_that_a_quota_forbids_show_as_a_failure_of_the_replicaset(
    team: Team, watched: Watched
) -> None:
    await team.kubectl("create", "quota", "none", "--hard=pods=0")

    await team.apply(container(), replicas=1)

    await watched.until(lambda one: one.replica_failure is not None)
    assert watched.last.replica_failure == "FailedCreate"


async def test_a_paused_deployment_begins_no_rollout(team: Team, watched: Watched) -> None:
    await team.apply(container(VERSION="1"), replicas=0)
    await watched.until(lambda one: one.observed)
    first = watched.last.current
    await team.kubectl("rollout", "pause", "deployment", team.name)
    await watched.until(lambda one: one.paused)

    await release(team, "2")
    await watched.until(lambda one: one.observed and one.generation >= 3)

    assert watched.last.current == first


async def test_an_old_backup_of_the_object_begins_no_rollout(team: Team, watched: Watched) -> None:
    """`kubectl replace` brings an old revision annotation back, until the controller mends it."""
    await team.apply(container(VERSION="1"), replicas=0)
    await watched.until(lambda one: one.observed)
    await release(team, "2")
    await watched.until(lambda one: one.observed and one.current.number == 2)
    watched.seen.clear()
    path = "/metadata/annotations/deployment.kubernetes.io~1revision"

    for _ in range(5):
        await patch(team, {"op": "replace", "path": path, "value": "1"})
        await mended(team, "2")

    newest = (await team.get())["metadata"]["generation"]
    await watched.until(lambda one: one.observed and one.generation == newest)
    shown = {one.current.number for _, one in watched.seen if not isinstance(one, Gone)}
    assert shown == {2}


async def test_a_label_is_enough_and_its_removal_lets_go(team: Team, kubeconfig: Path) -> None:
    await team.apply(container(), replicas=1)
    async with watching(kubeconfig, team.namespace) as watched:
        await team.kubectl("label", "deployment", team.name, "deployment-guard.io/guard=true")
        await watched.until(lambda one: one.opted_in and len(one.pods) == 1)

        await team.kubectl("label", "deployment", team.name, "deployment-guard.io/guard-")
        await watched.until(lambda one: not one.opted_in)
        await team.kubectl("delete", "deployment", team.name)
        await watched.until_gone()


async def test_a_release_is_seen_within_a_moment(
    team: Team, watched: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    await team.apply(container(VERSION="0"), replicas=0)
    await watched.until(lambda one: one.observed)
    templates, revisions = [], []
    for number in range(2, 22):
        generation = watched.last.generation
        at = await release(team, str(number))
        seen = await watched.until(lambda one, g=generation: one.generation > g)
        templates.append(seen - at)
        seen = await watched.until(lambda one, n=number: one.observed and one.current.number == n)
        revisions.append(seen - at)

    with capsys.disabled():
        for what, found in (("new template", templates), ("new revision", revisions)):
            median, worst = statistics.median(found), max(found)
            print(f"\n  {what} seen after {median * 1000:.0f} ms, at most {worst * 1000:.0f} ms")
    # The watch alone takes some milliseconds; the rest is the cluster's own controller.
    assert statistics.median(templates) < 0.1
    assert statistics.median(revisions) < 1.0


# Outages.


async def test_an_api_server_that_stood_still_is_seen_again_as_soon_as_it_goes_on(
    team: Team, kubeconfig: Path, tmp_path: Path
) -> None:
    await team.apply(container(VERSION="1"), replicas=0)
    async with (
        wired(kubeconfig, tmp_path) as (wire, through),
        watching(through, team.namespace, team.name) as watched,
    ):
        await watched.until(lambda one: one.observed)
        wire.freeze()
        await release(team, "2")
        await team.revision()
        assert watched.last.current.number == 1

        wire.thaw()
        thawed = time.perf_counter()
        seen = await watched.until(lambda one: one.current.number == 2)

    assert seen - thawed < 1.0


async def test_connections_that_are_cut_come_back_and_nothing_is_missed(
    team: Team, kubeconfig: Path, tmp_path: Path
) -> None:
    await team.apply(container(VERSION="1"), replicas=0)
    async with (
        wired(kubeconfig, tmp_path) as (wire, through),
        watching(through, team.namespace, team.name) as watched,
    ):
        await watched.until(lambda one: one.observed)
        for number in (2, 3, 4):
            await release(team, str(number))
            wire.cut()
            await watched.until(lambda one, n=number: one.current.number == n)

        wire.cut()
        await team.kubectl("delete", "deployment", team.name)
        await watched.until_gone()


async def test_a_connection_that_carries_nothing_any_more_is_noticed(
    team: Team, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "WATCH_FOR", (1.0, 1.0))
    monkeypatch.setattr(watch, "SILENCE_BEYOND", 0.5)
    await team.apply(container(VERSION="1"), replicas=0)
    async with (
        wired(kubeconfig, tmp_path) as (wire, through),
        watching(through, team.namespace, team.name) as watched,
    ):
        await watched.until(lambda one: one.observed)

        wire.lose()
        lost = time.perf_counter()
        await release(team, "2")
        seen = await watched.until(lambda one: one.current.number == 2)

    assert seen - lost < 5.0


async def test_a_version_that_the_real_server_does_not_have_any_more_leads_to_a_new_list(
    team: Team, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 1 is compacted away on any cluster that is older than some minutes, or refused."""
    asked: list[str] = []
    real = watch.ListWatch._watch

    async def from_an_ancient_version(self: watch.ListWatch) -> None:
        asked.append(self._version)
        if len(asked) <= 3:
            self._version = "1"
        await real(self)

    monkeypatch.setattr(watch.ListWatch, "_watch", from_an_ancient_version)
    await team.apply(container(VERSION="1"), replicas=0)
    async with watching(kubeconfig, team.namespace, team.name) as watched:
        await watched.until(lambda one: one.observed)
        await release(team, "2")
        await watched.until(lambda one: one.current.number == 2)

    assert WorkloadId("kubernetes", team.namespace, team.name) == watched.last.workload
