from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from guard.config.settings import Settings
from guard.core.workloads import Gone, Snapshot, WorkloadId
from guard.platforms.kubernetes.platform import Kubernetes, connect_platform
from guard.platforms.kubernetes.view import View
from guard.platforms.kubernetes.watch import Backoff
from tests.platforms.kubernetes.apiserver import ApiServer, client_of, refuse
from tests.platforms.kubernetes.objects_scene import (
    deployment,
    pod,
    replicaset,
    template,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

CART = WorkloadId("kubernetes", "shop", "cart")
OWN = WorkloadId("kubernetes", "guard", "deployment-guard")
GUARDED = {"deployment-guard.io/guard": "true"}
LISTS = ("/apis/apps/v1/deployments", "/apis/apps/v1/replicasets", "/api/v1/pods")
MEMORY = tuple(f"/api/v1/namespaces/guard/{kind}" for kind in ("configmaps", "secrets"))


def paths(namespace: str) -> tuple[str, str, str]:
    where = f"/namespaces/{namespace}"
    apps = "/apis/apps/v1"
    return f"{apps}{where}/deployments", f"{apps}{where}/replicasets", f"/api/v1{where}/pods"


class Watched:
    """What a platform yields, as it comes."""

    def __init__(self, platform: Kubernetes) -> None:
        self.platform = platform
        self.seen: list[Snapshot | Gone] = []
        self._more = asyncio.Condition()
        self.task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        async for item in self.platform.watch():
            self.seen.append(item)
            async with self._more:
                self._more.notify_all()

    @property
    def last(self) -> Snapshot:
        found = self.seen[-1]
        assert isinstance(found, Snapshot)
        return found

    async def until(self, true: Callable[[Snapshot | Gone], bool]) -> Snapshot | Gone:
        async with asyncio.timeout(10.0), self._more:
            while not (self.seen and true(self.seen[-1])):
                await self._more.wait()
        return self.seen[-1]

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff.__init__, "__defaults__", (0.005, 0.04))


async def arrange(server: ApiServer, lists: tuple[str, str, str] = LISTS, **more: Any) -> None:
    await server.put(lists[0], deployment(of=template("1"), number=1, **more))
    await server.put(lists[1], replicaset("old", of=template("1"), number=1))
    await server.put(lists[2], pod("cart-old-1", replicaset="cart-old"))
    for path in MEMORY:
        await server.put(path, {"metadata": {"uid": "u", "name": "other"}})
        server.resources[path].objects.clear()


@pytest.fixture
async def platform(server: ApiServer) -> AsyncIterator[Kubernetes]:
    async with client_of(server.url) as api:
        found = Kubernetes(api, OWN, (), time.time)
        yield found
        await found.close()


@pytest.fixture
async def watched(platform: Kubernetes) -> AsyncIterator[Watched]:
    running = Watched(platform)
    yield running
    await running.end()


async def release(server: ApiServer) -> None:
    await server.put(LISTS[1], replicaset("new", of=template("2"), number=2))
    await server.put(LISTS[0], deployment(of=template("2"), number=2, generation=2))


async def test_what_is_followed_comes_first_and_then_every_change(
    server: ApiServer, platform: Kubernetes, watched: Watched
) -> None:
    await arrange(server)
    platform.follow(frozenset({CART}))

    first = await watched.until(lambda one: isinstance(one, Snapshot))
    assert isinstance(first, Snapshot)
    assert (first.current.hash, len(first.pods), first.complete) == ("old", 1, True)

    await release(server)
    await watched.until(lambda one: isinstance(one, Snapshot) and one.current.hash == "new")
    assert not watched.last.complete


async def test_a_deleted_workload_is_gone(
    server: ApiServer, platform: Kubernetes, watched: Watched
) -> None:
    await arrange(server)
    platform.follow(frozenset({CART}))
    await watched.until(lambda one: isinstance(one, Snapshot))

    await server.delete(LISTS[0], "uid-cart")

    gone = await watched.until(lambda one: isinstance(one, Gone))
    assert gone.workload == CART


async def test_a_workload_that_was_deleted_while_no_watch_was_open_is_gone(
    server: ApiServer, platform: Kubernetes, watched: Watched
) -> None:
    await arrange(server)
    platform.follow(frozenset({CART}))
    await watched.until(lambda one: isinstance(one, Snapshot))
    await server.until(lambda: server.watches == 3)
    server.resources[LISTS[0]].objects.clear()
    server.forget(LISTS[0])

    server.hang_up(LISTS[0])

    await watched.until(lambda one: isinstance(one, Gone))


async def test_a_followed_workload_that_does_not_exist_yields_nothing_until_it_does(
    server: ApiServer, platform: Kubernetes, watched: Watched
) -> None:
    for path in LISTS:
        await server.bookmark(path)
    platform.follow(frozenset({CART}))
    await server.until(lambda: server.watches == 3)
    assert watched.seen == []

    await arrange(server)

    await watched.until(lambda one: isinstance(one, Snapshot) and len(one.pods) == 1)


async def test_a_label_is_enough(server: ApiServer, watched: Watched) -> None:
    await arrange(server, labels=GUARDED)

    found = await watched.until(lambda one: isinstance(one, Snapshot))

    assert isinstance(found, Snapshot)
    assert (found.opted_in, len(found.pods)) == (True, 1)


async def test_what_is_followed_later_is_found(
    server: ApiServer, platform: Kubernetes, watched: Watched
) -> None:
    await arrange(server)
    await server.until(lambda: server.watches == 3)
    assert watched.seen == []

    platform.follow(frozenset({CART, WorkloadId("local", "shop", "auth")}))

    found = await watched.until(lambda one: isinstance(one, Snapshot))
    assert isinstance(found, Snapshot)
    assert len(found.pods) == 1


async def test_only_the_namespaces_that_are_named_are_asked_for(server: ApiServer) -> None:
    for namespace in ("shop", "staging"):
        await arrange(server, paths(namespace))
    server.resources[paths("staging")[0]].objects.clear()
    async with client_of(server.url) as api:
        platform = Kubernetes(api, OWN, ("shop", "staging"), time.time)
        platform.follow(frozenset({CART, WorkloadId("kubernetes", "other", "x")}))
        watched = Watched(platform)

        await watched.until(lambda one: isinstance(one, Snapshot))
        await server.until(lambda: server.watches == 6)
        await watched.end()

    assert {one.path for one in server.requests} == {
        *paths("shop"),
        *paths("staging"),
    }


async def test_watching_a_second_time_begins_with_everything_again(
    server: ApiServer, platform: Kubernetes
) -> None:
    await arrange(server)
    platform.follow(frozenset({CART}))
    for _ in range(2):
        watched = Watched(platform)
        await watched.until(lambda one: isinstance(one, Snapshot))
        await watched.end()
        assert server.watches <= 3
    await server.until(lambda: server.watches == 0)


async def test_closing_ends_the_watch(server: ApiServer, platform: Kubernetes) -> None:
    await arrange(server)
    platform.follow(frozenset({CART}))
    watched = Watched(platform)
    await watched.until(lambda one: isinstance(one, Snapshot))

    await platform.close()
    await platform.close()

    await asyncio.wait_for(watched.task, 5.0)
    await server.until(lambda: server.watches == 0)


async def test_closing_what_was_never_watched_is_fine(platform: Kubernetes) -> None:
    await platform.close()


async def test_a_defect_in_a_watch_is_told_and_not_swallowed(
    server: ApiServer, platform: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: View) -> None:
        text = "a defect"
        raise ArithmeticError(text)

    monkeypatch.setattr(View, "run", fail)

    with pytest.raises(ArithmeticError):
        await anext(platform.watch())


async def test_a_version_that_is_gone_loses_nothing(
    server: ApiServer, platform: Kubernetes, watched: Watched
) -> None:
    await arrange(server)
    platform.follow(frozenset({CART}))
    await watched.until(lambda one: isinstance(one, Snapshot))
    await server.until(lambda: server.watches == 3)
    for path in LISTS:
        server.fault(path, refuse(410, "Expired"))
        server.hang_up(path)
    await release(server)

    await watched.until(lambda one: isinstance(one, Snapshot) and one.current.hash == "new")
    await server.until(lambda: all(len(server.seen(p, watch=False)) == 2 for p in LISTS))


# Memory of what is gone.


async def test_what_is_stored_of_deployments_that_are_gone_is_swept(
    server: ApiServer, platform: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await arrange(server)
    swept: list[tuple[set[WorkloadId], Any]] = []

    async def sweep(existing: set[WorkloadId], namespaces: Any) -> int:
        swept.append((existing, namespaces))
        return 0

    monkeypatch.setattr(platform._store, "sweep", sweep)
    watched = Watched(platform)
    await server.until(lambda: server.watches == 3)
    assert swept == [], "who only looks drops nothing"

    await platform.load(CART, "uid-cart")
    await server.until(lambda: bool(swept))
    await watched.end()

    assert swept == [({CART}, None)]


async def test_a_store_that_cannot_be_swept_stops_nothing(
    server: ApiServer, platform: Kubernetes, watched: Watched
) -> None:
    await arrange(server)
    for path in MEMORY:
        del server.resources[path]
    platform.follow(frozenset({CART}))
    await platform.load(CART, "uid-cart")
    asked = len(server.seen(MEMORY[0], watch=False))

    await watched.until(lambda one: isinstance(one, Snapshot))
    await server.until(lambda: len(server.seen(MEMORY[0], watch=False)) > asked)

    assert not watched.task.done()


# The rest of what the engine asks.


async def test_a_platform_is_connected_by_the_settings(server: ApiServer, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(
        f"""
clusters: [{{name: c, cluster: {{server: "{server.url}"}}}}]
users: [{{name: u, user: {{token: t}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
current-context: x
"""
    )
    settings = await asyncio.to_thread(
        lambda: Settings(kubeconfig=file, namespace="guard", namespaces=("shop",))
    )

    platform = await connect_platform(settings, time.time)

    assert (platform.name, platform._own, platform._namespaces) == ("kubernetes", OWN, ("shop",))
    await platform.close()


async def test_an_event_is_posted(server: ApiServer, platform: Kubernetes) -> None:
    posted: list[Any] = []

    async def take(request: web.Request) -> web.StreamResponse:
        posted.append(await request.json())
        return web.json_response({}, status=201)

    server.others["/api/v1/namespaces/shop/events"] = take

    await platform.post_event("shop", {"involvedObject": {"uid": "u"}})

    assert posted == [{"involvedObject": {"uid": "u"}}]


async def test_nothing_is_stored_of_a_workload_that_nobody_knows(
    server: ApiServer, platform: Kubernetes
) -> None:
    await arrange(server)

    assert await platform.load(CART, "uid-cart") == {}
    await platform.forget(CART)
