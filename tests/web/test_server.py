"""Listening and stopping: where it says, and always in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from guard.core.errors import ConfigurationError
from guard.web.protection import HEADERS
from guard.web.server import STOP_WITHIN, Served, serve
from tests.web.conftest import a_night, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from guard.engine.board import Board


async def test_port_0_takes_a_free_port_and_says_which(built: web.Application) -> None:
    served = await serve(built, "127.0.0.1", 0)
    assert served.address == "127.0.0.1"
    assert served.port > 0
    async with aiohttp.ClientSession() as session, session.get(served.url) as answer:
        assert answer.status == 200
    await served.close()


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80/"),
        ("0.0.0.0", "http://127.0.0.1:80/"),
        ("::", "http://[::1]:80/"),
        ("fd00::7", "http://[fd00::7]:80/"),
    ],
)
def test_the_url_is_one_that_a_browser_here_can_open(address: str, url: str) -> None:
    assert Served(None, address, 80).url == url  # type: ignore[arg-type] # no runner is asked


async def test_an_address_that_is_taken_is_a_configuration_error_that_names_it(
    served: Served, make: Callable[..., web.Application]
) -> None:
    with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{served.port} .*in use"):
        await serve(make(), served.address, served.port)


async def test_closing_twice_is_closing(built: web.Application) -> None:
    served = await serve(built, "127.0.0.1", 0)
    await served.close()
    await served.close()


async def test_it_stops_in_time_whatever_its_clients_do(
    built: web.Application, board: Board
) -> None:
    served = await serve(built, "127.0.0.1", 0)
    for one in a_night():
        board.show(told(one, *((float(n), "held", "x" * 20_000) for n in range(100))))
    connections = []
    for path in ("api/v1/events", "api/v1/rollouts", "", "metrics"):
        reader, writer = await asyncio.open_connection(served.address, served.port)
        writer.write(f"GET /{path} HTTP/1.1\r\nHost: guard\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        reader._transport.pause_reading()  # type: ignore[attr-defined] # and takes nothing more
        connections.append(writer)
    _, idle = await asyncio.open_connection(served.address, served.port)
    idle.write(b"GET /livez HT")  # and never says the rest
    for one in a_night():
        board.show(told(one, *((float(n), "held", "x" * 20_000) for n in range(100))))
    began = asyncio.get_running_loop().time()
    await served.close()
    assert asyncio.get_running_loop().time() - began < 2 * STOP_WITHIN + 0.5
    for writer in (*connections, idle):
        writer.transport.abort()


PATHS = (
    "/",
    "/livez",
    "/readyz",
    "/health",
    "/metrics",
    "/api/v1/rollouts",
    "/api/v1/rollouts/none",
    "/api/v1/users",
    "/rollouts/none",
    "/static/guard.css",
    "/nothing",
)


async def test_every_answer_carries_the_protecting_headers(served: Served) -> None:
    async with aiohttp.ClientSession() as session:
        for path in PATHS:
            async with session.get(f"{served.url[:-1]}{path}") as answer:
                assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, path
                assert "Access-Control-Allow-Origin" not in answer.headers
        async with session.get(f"{served.url}api/v1/events") as stream:
            assert {name: stream.headers.get(name) for name in HEADERS} == HEADERS


async def test_the_policy_leaves_no_room_for_inline_scripts_or_other_sites() -> None:
    policy = HEADERS["Content-Security-Policy"]
    directives = dict(one.strip().split(" ", 1) for one in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["frame-ancestors"] == "'none'"
    assert set(directives.values()) == {"'none'", "'self'"}
