"""Live events: every change, to every listener, and nobody holds the guard up."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from guard.web import events
from guard.web.site import SITE
from tests.web.conftest import baking, held, stated, told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp import web

    from guard.engine.board import Board
    from guard.web.server import Served


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as one:
        yield one


async def listen(session: aiohttp.ClientSession, served: Served) -> aiohttp.ClientResponse:
    answer = await session.get(f"{served.url}api/v1/events", headers={"Last-Event-ID": "42"})
    assert answer.status == 200
    assert answer.content_type == "text/event-stream"
    return answer


async def block(stream: aiohttp.ClientResponse) -> bytes:
    """What stands before the next empty line."""
    return (await stream.content.readuntil(b"\n\n")).strip()


async def change(stream: aiohttp.ClientResponse) -> dict[str, Any]:
    """The next record, whatever comments come before it."""
    while True:
        name, _, data = (await block(stream)).partition(b"\n")
        if name == b"event: rollout":
            return json.loads(data.removeprefix(b"data: "))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10.0):
        while not condition():  # noqa: ASYNC110 - what the server holds has no event to wait on
            await asyncio.sleep(0.005)


async def test_a_change_reaches_every_listener_whole(
    session: aiohttp.ClientSession, served: Served, board: Board
) -> None:
    streams = [await listen(session, served) for _ in range(3)]
    board.show(held())
    for stream in streams:
        assert await change(stream) == board.get(held().id)
        stream.close()


async def test_what_changes_after_the_answer_began_is_not_lost(
    session: aiohttp.ClientSession, served: Served, board: Board
) -> None:
    stream = await listen(session, served)
    for text in ("first", "second", "third"):
        board.show(stated(baking(), text=text))
    assert [(await change(stream))["text"] for _ in range(3)] == ["first", "second", "third"]
    stream.close()


async def test_a_text_of_many_lines_stays_one_event(
    session: aiohttp.ClientSession, served: Served, board: Board
) -> None:
    stream = await listen(session, served)
    text = "one\n\nevent: forged\ndata: {}\r\n\r\ntwo\u2028three"
    board.show(stated(baking(), text=text))
    assert (await change(stream))["text"] == text
    stream.close()


async def test_a_quiet_stream_shows_that_it_lives(
    session: aiohttp.ClientSession, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE", 0.01)
    stream = await listen(session, served)
    assert await block(stream) == b"retry: 2000"
    assert await block(stream) == b": still here"
    assert await block(stream) == b": still here"
    stream.close()


async def test_streams_end_when_the_server_stops(
    session: aiohttp.ClientSession, served: Served, board: Board
) -> None:
    streams = [await listen(session, served) for _ in range(5)]
    board.show(baking())
    async with asyncio.timeout(1.0):
        await served.close()
    for stream in streams:
        assert b"event: rollout" in await stream.read()
    assert board._subscribers == set()


async def test_who_leaves_is_forgotten_at_once(
    session: aiohttp.ClientSession, served: Served, board: Board, built: web.Application
) -> None:
    stream = await listen(session, served)
    assert len(board._subscribers) == len(built[SITE].streams) == 1
    stream.close()
    await until(lambda: not board._subscribers and not built[SITE].streams)
    board.show(baking())  # reaches nobody, and fails for nobody


async def test_a_listener_that_takes_nothing_is_dropped(
    served: Served,
    board: Board,
    built: web.Application,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "WRITE_WITHIN", 0.05)
    reader, writer = await asyncio.open_connection(served.address, served.port)
    writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: guard\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    reader._transport.pause_reading()  # type: ignore[attr-defined] # the kernel's buffers fill up
    large = told(baking(), *((float(n), "held", "x" * 10_000) for n in range(50)))

    def dropped() -> bool:
        board.show(large)
        return not built[SITE].streams

    await until(dropped)
    assert board._subscribers == set()
    writer.transport.abort()


async def test_more_streams_than_there_are_places_are_refused(
    session: aiohttp.ClientSession, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "STREAMS_AT_MOST", 1)
    stream = await listen(session, served)
    answer = await session.get(f"{served.url}api/v1/events")
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "15"
    assert "event streams are open" in (await answer.json())["error"]
    stream.close()
