from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from guard.platforms.kubernetes import watch
from guard.platforms.kubernetes.watch import Backoff, ListWatch
from tests.platforms.kubernetes.apiserver import (
    ApiServer,
    event,
    hang_up,
    lines,
    page_of_html,
    refuse,
    status,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from guard.platforms.kubernetes.api import Api

PODS = "/api/v1/pods"


@dataclass
class Mirror:
    """A sink that keeps names by uid."""

    now: dict[str, str] = field(default_factory=dict)
    lists: int = 0
    listing: dict[str, str] = field(default_factory=dict)

    def begin(self) -> None:
        self.listing = {}

    def add(self, raw: msgspec.Raw) -> None:
        self._put(self.listing, raw)

    def finish(self) -> None:
        self.now, self.listing = self.listing, {}
        self.lists += 1

    def put(self, raw: msgspec.Raw) -> None:
        self._put(self.now, raw)

    def remove(self, raw: msgspec.Raw) -> None:
        del self.now[msgspec.json.decode(raw)["metadata"]["uid"]]

    def _put(self, where: dict[str, str], raw: msgspec.Raw) -> None:
        metadata = msgspec.json.decode(raw)["metadata"]
        where[metadata["uid"]] = metadata["name"]


@dataclass
class Scene:
    server: ApiServer
    mirror: Mirror
    watch: ListWatch

    async def until(self, names: str) -> None:
        """Wait until the sink holds exactly these names, one letter each."""
        await self.server.until(lambda: sorted(self.mirror.now.values()) == sorted(names))

    async def put(self, *names: str) -> None:
        for name in names:
            await self.server.put(PODS, pod(name))

    async def watching(self) -> None:
        await self.server.until(lambda: self.server.watches == 1)

    @property
    def watched_from(self) -> list[str]:
        return [one.query["resourceVersion"] for one in self.server.seen(PODS, watch=True)]


def pod(name: str) -> dict[str, Any]:
    return {"metadata": {"uid": f"uid-{name}", "name": name}}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff.__init__, "__defaults__", (0.005, 0.04))


@asynccontextmanager
async def watching(server: ApiServer, api: Api) -> AsyncIterator[Scene]:
    mirror = Mirror()
    found = ListWatch(api, PODS, mirror)
    task = asyncio.create_task(found.run())
    try:
        yield Scene(server, mirror, found)
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.fixture
async def scene(server: ApiServer, api: Api) -> AsyncIterator[Scene]:
    await server.put(PODS, pod("a"))
    async with watching(server, api) as running:
        yield running


async def test_what_is_there_comes_first_and_then_every_change(scene: Scene) -> None:
    await scene.until("a")
    assert scene.watch.synced.is_set()
    assert not scene.watch.behind

    await scene.put("b", "c")
    await scene.until("abc")
    await scene.server.delete(PODS, "uid-a")
    await scene.until("bc")

    assert scene.mirror.lists == 1


async def test_a_long_list_comes_in_pages_and_is_taken_in_whole(
    api: Api, server: ApiServer
) -> None:
    server.page = 2
    for name in "abcde":
        await server.put(PODS, pod(name))

    async with watching(server, api) as scene:
        await scene.until("abcde")

    pages = server.seen(PODS, watch=False)
    assert [page.query.get("continue") for page in pages] == [None, "2", "4"]
    assert {page.query["limit"] for page in pages} == {str(watch.PAGE)}


async def test_a_list_that_breaks_in_its_middle_begins_anew(api: Api, server: ApiServer) -> None:
    server.page = 1
    await server.put(PODS, pod("a"))
    await server.put(PODS, pod("b"))

    async def second_page_is_gone(request: Any) -> Any:
        server.fault(PODS, refuse(410, "Expired"))
        return server._list(request, server.resources[PODS])

    server.fault(PODS, second_page_is_gone)
    async with watching(server, api) as scene:
        await scene.until("ab")
        assert scene.mirror.lists == 1


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(refuse(403, "Forbidden"), id="forbidden"),
        pytest.param(refuse(500, "InternalError"), id="internal error"),
        pytest.param(page_of_html(200), id="a page of a proxy"),
        pytest.param(page_of_html(503), id="a 503 of a proxy"),
        pytest.param(lines(b'{"metadata":', silent=0.0), id="half an answer"),
        pytest.param(refuse(200, ""), id="an answer without a version"),
        pytest.param(hang_up, id="a reset"),
    ],
)
async def test_a_list_that_cannot_be_had_is_asked_for_until_it_can(
    server: ApiServer, api: Api, trouble: Any
) -> None:
    await server.put(PODS, pod("a"))
    server.fault(PODS, trouble, trouble, trouble)

    async with watching(server, api) as scene:
        await scene.until("a")

    assert len(server.seen(PODS, watch=False)) >= 4


async def test_a_version_that_is_gone_leads_to_a_new_list(scene: Scene) -> None:
    await scene.watching()
    scene.server.fault(PODS, refuse(410, "Expired"))
    await end_of_watch(scene)

    await scene.server.until(lambda: scene.mirror.lists == 2)


async def test_an_object_that_was_deleted_while_no_watch_was_open_goes_with_the_new_list(
    scene: Scene,
) -> None:
    await scene.put("b")
    await scene.until("ab")
    await scene.watching()
    scene.server.fault(PODS, refuse(503, "ServiceUnavailable", **{"Retry-After": "1"}))
    await end_of_watch(scene)
    await scene.server.delete(PODS, "uid-a")
    scene.server.forget(PODS)

    await scene.until("b")
    assert scene.mirror.lists == 2


async def test_the_event_that_says_gone_leads_to_a_new_list(scene: Scene) -> None:
    await scene.watching()

    await scene.server.send(PODS, "ERROR", status(410, "Expired"))

    await scene.server.until(lambda: scene.mirror.lists >= 2)


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(refuse(429, "TooManyRequests"), id="too many requests"),
        pytest.param(refuse(401, "Unauthorized"), id="unauthorized"),
        pytest.param(page_of_html(503), id="a 503 of a proxy"),
        pytest.param(page_of_html(200), id="a page of a proxy"),
        pytest.param(lines(b'{"type":"ADDED","obj', silent=0.0), id="half a line"),
        pytest.param(lines(b"<html>\n"), id="a line that is no JSON"),
        pytest.param(lines(event("ADDED", pod("z"))), id="an object without a version"),
        pytest.param(lines(event("ERROR", status(500, "InternalError"))), id="an error event"),
        pytest.param(lines(), id="an end at once"),
        pytest.param(hang_up, id="a reset"),
    ],
)
async def test_a_watch_that_breaks_goes_on_from_the_last_version(
    scene: Scene, trouble: Any
) -> None:
    await scene.put("b")
    await scene.until("ab")
    await scene.watching()
    scene.server.fault(PODS, trouble, trouble, trouble)
    version = await end_of_watch(scene)

    await scene.watching()
    await scene.put("c")
    await scene.until("abc")

    assert scene.mirror.lists == 1
    assert set(scene.watched_from[1:]) == {version}


async def test_troubles_one_after_the_other_are_met_ever_more_slowly(scene: Scene) -> None:
    await scene.watching()
    scene.server.fault(PODS, *[page_of_html(503)] * 200)
    await end_of_watch(scene)
    loop = asyncio.get_running_loop()
    began = loop.time()

    await scene.server.until(lambda: len(scene.watched_from) >= 12)

    # 5, 10, 20, then 40 ms each, of which at least half is waited.
    assert loop.time() - began >= (5 + 10 + 20 + 40 * 7) / 2 / 1000


async def test_a_server_that_asks_for_a_pause_gets_it(scene: Scene) -> None:
    await scene.watching()
    scene.server.fault(PODS, refuse(429, "TooManyRequests", **{"Retry-After": "1"}))
    loop = asyncio.get_running_loop()
    await end_of_watch(scene)
    began = loop.time()

    await scene.server.until(lambda: len(scene.watched_from) == 3)

    assert loop.time() - began >= 0.9


async def test_a_watch_that_fell_silent_is_left_for_a_new_one(
    server: ApiServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "WATCH_FOR", (0.05, 0.05))
    monkeypatch.setattr(watch, "SILENCE_BEYOND", 0.05)
    await server.put(PODS, pod("a"))

    async def list_then_silence(request: Any) -> Any:
        server.fault(PODS, lines(silent=20.0))
        return server._list(request, server.resources[PODS])

    server.fault(PODS, list_then_silence)
    async with watching(server, api) as scene:
        await server.until(lambda: len(scene.watched_from) == 2)
        assert scene.mirror.lists == 1


async def test_watches_end_and_begin_at_different_times(
    server: ApiServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SHORT", 0.0)
    await server.put(PODS, pod("a"))
    server.others[PODS] = refuse(200, "")

    async def list_then_ends(request: Any) -> Any:
        if "watch" not in request.query:
            return server._list(request, server.resources[PODS])
        return await lines()(request)

    server.others[PODS] = list_then_ends
    async with watching(server, api) as scene:
        await server.until(lambda: len(scene.watched_from) >= 20)

    asked = {request.query["timeoutSeconds"] for request in server.seen(PODS, watch=True)}
    assert len(asked) > 3
    assert all(50 <= int(one) <= 70 for one in asked)


async def test_a_bookmark_moves_the_version_on(scene: Scene) -> None:
    await scene.watching()
    version = await end_of_watch(scene)

    assert scene.watched_from[1] == version
    assert scene.mirror.now == {"uid-a": "a"}


async def test_a_server_whose_storage_was_restored_is_listed_anew(scene: Scene) -> None:
    await scene.watching()
    older = {"metadata": {"uid": "uid-z", "name": "z", "resourceVersion": "7"}}

    await scene.server.send(PODS, "ADDED", older)

    await scene.server.until(lambda: scene.mirror.lists == 2)
    assert scene.mirror.now == {"uid-a": "a"}


async def test_a_list_that_is_asked_for_ends_the_watch_at_once(scene: Scene) -> None:
    await scene.watching()

    scene.watch.relist()
    scene.watch.relist()
    assert scene.watch.behind

    await scene.server.until(lambda: not scene.watch.behind)
    await scene.watching()
    await scene.put("b")
    await scene.until("ab")
    assert scene.mirror.lists == 2


async def test_a_list_that_is_asked_for_during_a_list_comes_after_it(
    server: ApiServer, api: Api
) -> None:
    await server.put(PODS, pod("a"))

    async def asked_meanwhile(request: Any) -> Any:
        scene.watch.relist()
        return server._list(request, server.resources[PODS])

    server.fault(PODS, asked_meanwhile)
    async with watching(server, api) as scene:
        await server.until(lambda: scene.mirror.lists == 2)
        await server.until(lambda: not scene.watch.behind)


async def test_a_watch_that_never_fails_is_listed_anew_all_the_same(
    server: ApiServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LIST_ANEW", 0.05)
    await server.put(PODS, pod("a"))

    async with watching(server, api) as scene:
        await server.until(lambda: scene.mirror.lists == 3)


def test_pauses_grow_to_the_longest_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(0.1, 1.0)
    grown = [backoff.next() for _ in range(6)]
    backoff.reset()

    for pause, due in zip(grown, (0.1, 0.2, 0.4, 0.8, 1.0, 1.0), strict=True):
        assert due / 2 <= pause <= due
    assert backoff.next() <= 0.1


async def end_of_watch(scene: Scene) -> str:
    """Break the open watch once it has brought something, and return the version it was at."""
    await scene.watching()
    marked = await scene.server.bookmark(PODS)
    before = len(scene.watched_from)
    await scene.server.until(lambda: scene.watch._version == str(marked))
    scene.server.hang_up(PODS)
    await scene.server.until(lambda: len(scene.watched_from) > before)
    return str(marked)
