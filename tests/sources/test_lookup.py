"""Looking series up: every trouble is one of two, in time, and shows no secret."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from pydantic import SecretStr

from guard.config.settings import Settings
from guard.core.errors import GuardError, PermanentError, TemporaryError
from guard.sources.lookup import Address, Lookup, address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from pytest_aiohttp import AiohttpServer

SECRET = "seeded-secret"


async def answer(request: web.Request) -> web.Response:
    match request.query.get("query", ""):
        case "scalar":
            return web.json_response({"data": {"resultType": "scalar", "result": [1.0, "7"]}})
        case "vector":
            rows = [{"metric": {"a": "b"}, "value": [1.0, "3.5"]}]
            return web.json_response({"data": {"resultType": "vector", "result": rows}})
        case "signed-in":
            signed = request.headers.get("Authorization", ""), request.headers.get("X-Team", "")
            rows = [{"metric": {"by": signed[0], "team": signed[1]}, "value": [1.0, "1"]}]
            return web.json_response({"data": {"result": rows}})
        case "busy":
            return web.Response(status=503, text=SECRET)
        case "denied":
            return web.Response(status=401, text=SECRET)
        case "page":
            return web.Response(text="<html>")
        case _:
            await asyncio.Event().wait()
            raise AssertionError


async def names(request: web.Request) -> web.Response:
    assert request.query["match[]"] == '{__name__="up"}'
    return web.json_response({"status": "success", "data": ["__name__", "job", "code"]})


@pytest.fixture
async def url(aiohttp_server: AiohttpServer) -> str:
    app = web.Application()
    app.router.add_get("/api/v1/query", answer)
    app.router.add_get("/api/v1/labels", names)
    server = await aiohttp_server(app)
    return str(server.make_url("")).rstrip("/")


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[Address], Lookup]]:
    opened: list[Lookup] = []

    def to(address: Address) -> Lookup:
        opened.append(Lookup(address))
        return opened[-1]

    yield to
    for lookup in opened:
        await lookup.close()
        await lookup.close()


async def test_vectors_scalars_and_label_names_are_read(
    url: str, connect: Callable[[Address], Lookup]
) -> None:
    lookup = connect(Address(url))
    (series,) = await lookup.vector("vector")
    assert (dict(series.labels), series.value) == ({"a": "b"}, 3.5)
    (scalar,) = await lookup.vector("scalar")
    assert (dict(scalar.labels), scalar.value) == ({}, 7.0)
    assert await lookup.labels("up") == {"job", "code"}


@pytest.mark.parametrize(
    ("stated", "signed"),
    [
        ({"token": SecretStr(SECRET)}, f"Bearer {SECRET}"),
        ({"username": "u", "password": SecretStr("p")}, "Basic dTpw"),
        ({}, ""),
    ],
    ids=["token", "basic", "none"],
)
async def test_it_signs_in_as_it_was_told(
    url: str, connect: Callable[[Address], Lookup], stated: dict[str, object], signed: str
) -> None:
    lookup = connect(Address(url, headers={"X-Team": SecretStr("t")}, **stated))  # type: ignore[arg-type]
    (series,) = await lookup.vector("signed-in")
    assert dict(series.labels) == {"by": signed, "team": "t"}


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("busy", TemporaryError),
        ("denied", PermanentError),
        ("page", TemporaryError),
        ("hangs", TemporaryError),
    ],
)
async def test_every_trouble_is_temporary_or_permanent_and_echoes_no_body(
    url: str, connect: Callable[[Address], Lookup], query: str, kind: type[GuardError]
) -> None:
    lookup = connect(Address(url, timeout=0.3, token=SecretStr(SECRET)))
    with pytest.raises(kind) as caught:
        await lookup.vector(query)
    assert SECRET not in str(caught.value)


async def test_a_closed_port_is_temporary(
    unused_tcp_port_factory: Callable[[], int], connect: Callable[[Address], Lookup]
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port_factory()}"
    lookup = connect(Address(url))
    with pytest.raises(TemporaryError, match=f"{url} cannot be reached: Connection refused"):
        await lookup.vector("vector")


def test_no_secret_shows_in_an_address() -> None:
    address = Address("http://p", token=SecretStr(SECRET), headers={"X": SecretStr(SECRET)})
    assert SECRET not in repr(address)


def test_the_settings_say_where_prometheus_is(tmp_path: Path) -> None:
    authorities = tmp_path / "ca.pem"
    authorities.touch()
    stated = Settings(
        prometheus_url="https://p:1",
        prometheus_timeout=2.0,
        prometheus_token=SecretStr(SECRET),
        prometheus_ca_file=authorities,
    )
    assert address(stated) == Address(
        "https://p:1", 2.0, token=SecretStr(SECRET), ca_file=str(authorities)
    )
    assert address(Settings()) is None
