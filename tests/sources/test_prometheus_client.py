"""Asking Prometheus: whatever happens on the way is a reason, in time, and shows no secret."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from pydantic import SecretStr

from guard.config.settings import Settings
from guard.core.errors import ConfigurationError
from guard.core.samples import Unavailable, UnavailableReason
from guard.sources import prometheus_client
from guard.sources.lookup import Address
from guard.sources.prometheus import PrometheusClient, connect
from tests.sources.prometheus_world import FakePrometheus, matrix, ok, requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pytest_aiohttp import AiohttpServer

    from tests.sources.conftest import Certificates

SECRET = "seeded-secret"
ROWS = [{"metric": {}, "value": [1.0, "1"]}]

Connect = "Callable[[Address], PrometheusClient]"


@pytest.fixture
def fake() -> FakePrometheus:
    return FakePrometheus()


@pytest.fixture
async def url(fake: FakePrometheus, aiohttp_server: AiohttpServer) -> str:
    server = await aiohttp_server(fake.application())
    return str(server.make_url("")).rstrip("/")


@pytest.fixture
async def client_of() -> AsyncIterator[Callable[[Address], PrometheusClient]]:
    opened: list[PrometheusClient] = []

    def to(address: Address) -> PrometheusClient:
        opened.append(PrometheusClient(address))
        return opened[-1]

    yield to
    for client in opened:
        await client.close()
        await client.close()


async def test_a_query_is_posted_as_a_form_and_its_answer_read(
    fake: FakePrometheus, url: str, client_of: Connect
) -> None:
    fake.say = lambda _: ok("vector", ROWS)
    client = client_of(Address(url))
    answer = await client.vector('a{b="ü&c"}')
    assert not isinstance(answer, Unavailable)
    assert answer[0].samples == ((1.0, 1.0),)
    assert fake.queries == ['a{b="ü&c"}']
    assert fake.requests[0].method == "POST"
    assert fake.requests[0].headers["User-Agent"].startswith("deployment-guard/")


async def test_a_vector_is_no_matrix(fake: FakePrometheus, url: str, client_of: Connect) -> None:
    fake.say = lambda _: ok("vector", ROWS)
    answer = await client_of(Address(url)).matrix("a[1m]")
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.MALFORMED


async def test_where_post_is_not_allowed_queries_go_into_the_url_and_are_shorter(
    fake: FakePrometheus, url: str, client_of: Connect
) -> None:
    def say(_: str) -> web.Response:
        post = fake.requests[-1].method == "POST"
        return web.Response(status=405) if post else ok("vector", ROWS)

    fake.say = say
    client = client_of(Address(url))
    room = client.room
    assert not isinstance(await client.vector("first"), Unavailable)
    assert not isinstance(await client.vector("second"), Unavailable)
    assert [request.method for request in fake.requests] == ["POST", "GET", "GET"]
    assert client.room < room


async def test_a_base_url_may_have_a_path(
    fake: FakePrometheus, aiohttp_server: AiohttpServer, client_of: Connect
) -> None:
    server = await aiohttp_server(fake.application("/select/0/prometheus"))
    answer = await client_of(Address(str(server.make_url("/select/0/prometheus/")))).matrix("a[1m]")
    assert answer == ()


@pytest.mark.parametrize(
    ("stated", "header"),
    [
        ({"token": SecretStr(SECRET)}, f"Bearer {SECRET}"),
        ({"username": "guard", "password": SecretStr("pässword")}, "Basic Z3VhcmQ6cMOkc3N3b3Jk"),
        ({"headers": {"Authorization": SecretStr("Custom x")}}, "Custom x"),
        ({"username": "guard"}, None),
    ],
    ids=["token", "basic", "header of one's own", "a user without a password"],
)
async def test_the_guard_signs_in_as_it_was_told(
    fake: FakePrometheus,
    url: str,
    client_of: Connect,
    stated: dict[str, object],
    header: str | None,
) -> None:
    more = {"headers": {"X-Scope-OrgID": SecretStr("team")}} if "headers" not in stated else {}
    await client_of(Address(url, **stated, **more)).matrix("a[1m]")  # type: ignore[arg-type]  # as named
    sent = fake.requests[0].headers
    assert sent.get("Authorization") == header
    if more:
        assert sent["X-Scope-OrgID"] == "team"


async def test_no_redirect_is_followed_for_it_would_carry_the_secret_away(
    fake: FakePrometheus, url: str, client_of: Connect
) -> None:
    fake.say = lambda _: web.Response(status=307, headers={"Location": f"{url}/elsewhere"})
    answer = await client_of(Address(url, token=SecretStr(SECRET))).matrix("a[1m]")
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.HTTP_STATUS
    assert len(fake.requests) == 1


async def test_no_trouble_shows_a_secret(
    fake: FakePrometheus, url: str, client_of: Connect
) -> None:
    fake.say = lambda _: web.Response(status=400, text=SECRET)
    client = client_of(Address(url, token=SecretStr(SECRET), headers={"X-Key": SecretStr(SECRET)}))
    assert SECRET not in repr(await client.matrix("a[1m]"))
    assert SECRET not in repr(client)


@pytest.mark.parametrize(
    "address",
    [
        Address("http://x", token=SecretStr(f"{SECRET}\nX-More: 1")),
        Address("http://x", headers={"X-Key": SecretStr(f"{SECRET}\0")}),
    ],
    ids=["token", "header"],
)
def test_a_secret_with_a_line_break_is_refused_at_the_start(address: Address) -> None:
    with pytest.raises(ConfigurationError, match="line break") as caught:
        PrometheusClient(address)
    assert SECRET not in str(caught.value)


def test_a_file_without_authorities_is_refused_at_the_start(tmp_path: Path) -> None:
    empty = tmp_path / "ca.crt"
    empty.write_text("nothing", encoding="utf-8")
    for path in (empty, tmp_path / "missing"):
        with pytest.raises(ConfigurationError, match="no certificate authority"):
            PrometheusClient(Address("https://x", ca_file=str(path)))


async def test_a_certificate_of_another_name_is_tls_trouble(
    fake: FakePrometheus,
    aiohttp_server: AiohttpServer,
    client_of: Connect,
    certificates: Certificates,
) -> None:
    server = await aiohttp_server(fake.application(), ssl=certificates.server)
    url = f"https://127.0.0.1:{server.port}"
    for ca_file in (None, str(certificates.ca_file)):
        answer = await client_of(Address(url, ca_file=ca_file)).matrix("a[1m]")
        assert isinstance(answer, Unavailable)
        assert answer.reason is UnavailableReason.TLS


async def test_a_server_that_hangs_is_given_up_in_time(
    aiohttp_server: AiohttpServer, client_of: Connect
) -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    application = web.Application()
    application.router.add_post("/api/v1/query", hang)
    server = await aiohttp_server(application)
    begin = time.monotonic()
    client = client_of(Address(f"http://127.0.0.1:{server.port}", timeout=0.2))
    answer = await client.matrix("a[1m]")
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.TIMEOUT
    assert time.monotonic() - begin < 1.0
    assert client.limit == 0.2


async def test_a_server_that_trickles_is_given_up_in_time(
    aiohttp_server: AiohttpServer, client_of: Connect
) -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    application = web.Application()
    application.router.add_post("/api/v1/query", trickle)
    server = await aiohttp_server(application)
    client = client_of(Address(f"http://127.0.0.1:{server.port}", timeout=0.2))
    answer = await client.matrix("a[1m]")
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.TIMEOUT


async def test_where_nobody_listens_the_connection_is_refused(
    unused_tcp_port: int, client_of: Connect
) -> None:
    answer = await client_of(Address(f"http://127.0.0.1:{unused_tcp_port}")).matrix("a[1m]")
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.REFUSED


async def test_a_name_that_does_not_exist_is_unresolved(client_of: Connect) -> None:
    answer = await client_of(Address("http://no-such-host.invalid")).matrix("a[1m]")
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.UNRESOLVED


async def test_a_body_without_end_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, fake: FakePrometheus, url: str, client_of: Connect
) -> None:
    monkeypatch.setattr(prometheus_client, "BODY_AT_MOST", 200_000)
    fake.say = lambda _: web.Response(body=b" " * 300_000)
    answer = await client_of(Address(url)).matrix("a[1m]")
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.TOO_LARGE
    assert answer.detail == "the answer is larger than 0.2 MB"


async def test_a_large_answer_is_read_beside_the_loop(
    fake: FakePrometheus, url: str, client_of: Connect
) -> None:
    rows = [requests((1.0, 1.0), request=str(number)) for number in range(8_000)]
    fake.say = lambda _: matrix(rows)
    answer = await client_of(Address(url)).matrix("a[1m]")
    assert not isinstance(answer, Unavailable)
    assert len(answer) == len(rows)


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_what_a_balancer_says_of_a_dead_replica_is_asked_once_more(
    fake: FakePrometheus, url: str, client_of: Connect, status: int
) -> None:
    replies = iter([web.Response(status=status, text="no upstream"), ok("matrix", [])])
    fake.say = lambda _: next(replies)
    assert await client_of(Address(url)).matrix("a[1m]") == ()
    fake.say = lambda _: web.Response(status=status, text="no upstream")
    answer = await client_of(Address(url)).matrix("a[1m]")
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.HTTP_STATUS
    assert len(fake.queries) == 4


async def test_a_query_that_took_the_server_too_long_is_not_asked_again(
    fake: FakePrometheus, url: str, client_of: Connect
) -> None:
    error = {"status": "error", "errorType": "timeout", "error": "query timed out"}
    fake.say = lambda _: web.json_response(error, status=503)
    answer = await client_of(Address(url)).matrix("a[1m]")
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.TIMEOUT
    assert len(fake.queries) == 1


async def test_a_connection_that_was_closed_meanwhile_is_made_anew(
    unused_tcp_port: int, client_of: Connect
) -> None:
    served = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await reader.readuntil(b"query=")
        served += 1
        # The second request of a kept connection meets its end, as behind an idle time-out.
        if served != 2:
            answer = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
            await writer.drain()
            if served == 1:
                await reader.readuntil(b"query=")
                served += 1
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(once, "127.0.0.1", unused_tcp_port)
    async with server:
        client = client_of(Address(f"http://127.0.0.1:{unused_tcp_port}"))
        assert await client.matrix("a[1m]") == ()
        assert await client.matrix("a[1m]") == ()
        await client.close()
    assert served == 3


async def test_the_settings_say_where_to_ask_or_nobody_is_asked(
    fake: FakePrometheus, url: str
) -> None:
    assert connect(await asyncio.to_thread(Settings)) is None
    settings = await asyncio.to_thread(
        lambda: Settings(
            prometheus_url=url,
            prometheus_token=SecretStr(SECRET),
            prometheus_timeout=1.5,
            prometheus_headers={"X-Scope-OrgID": SecretStr("team")},
        )
    )
    client = connect(settings)
    assert client is not None
    assert client.limit == 1.5
    assert await client.matrix("a[1m]") == ()
    assert fake.requests[0].headers["Authorization"] == f"Bearer {SECRET}"
    await client.close()


@pytest.mark.parametrize("until", [1795597388.2568066, 1795597388.2561, 1795597388.0, 600.9999])
async def test_no_step_of_a_span_lies_after_its_end(
    fake: FakePrometheus, url: str, client_of: Connect, until: float
) -> None:
    assert await client_of(Address(url)).range("up", until - 600.0, until, 60.0) == ()
    form = await fake.requests[0].post()
    start, end = float(str(form["start"])), float(str(form["end"]))
    assert until - 0.001 < end <= until
    assert end - start == pytest.approx(600.0, abs=1e-6)
