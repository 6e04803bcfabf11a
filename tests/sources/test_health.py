"""Health probes against real servers: a status, or why there is none; and always in the ledger."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from guard import __version__
from guard.core.policy import Health
from guard.core.samples import UnavailableReason
from guard.core.ticks import ProbeAnswer
from guard.core.workloads import Probe
from guard.sources.health import HealthProber
from guard.sources.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Certificates, MakePod
    from pytest_aiohttp import AiohttpServer

NOW = 1000.0
PEER = web.RequestKey("peer", tuple)


@pytest.fixture
def asked() -> list[web.Request]:
    return []


@pytest.fixture
async def shop(aiohttp_server: AiohttpServer, asked: list[web.Request]) -> int:
    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        assert request.transport is not None
        request[PEER] = request.transport.get_extra_info("peername")
        match request.path:
            case "/health":
                return web.Response()
            case "/moved":
                return web.Response(status=302, headers={"Location": "/health"})
            case "/hangs":
                await asyncio.Event().wait()
        return web.Response(status=503)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    server = await aiohttp_server(app)
    assert server.port is not None
    return server.port


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(lambda: NOW)


@pytest.fixture
async def prober(ledger: Ledger) -> AsyncIterator[HealthProber]:
    made = HealthProber(ledger, lambda: NOW)
    yield made
    await made.close()
    await made.close()


async def test_a_probe_is_answered_with_the_status_and_noted(
    prober: HealthProber, shop: int, pod_at: MakePod, ledger: Ledger, asked: list[web.Request]
) -> None:
    answer = await prober.probe(Health(path="/health", port=shop), pod_at(shop))
    assert answer == ProbeAnswer(NOW, 200, port=shop)
    assert asked[0].headers["User-Agent"] == f"deployment-guard/{__version__}"
    assert ledger.sent("u", NOW, "app") == (1, 0)
    assert ledger.sent("u", NOW, "proxy") == (0, 0)


async def test_a_bad_answer_is_noted_as_bad(
    prober: HealthProber, shop: int, pod_at: MakePod, ledger: Ledger
) -> None:
    answer = await prober.probe(Health(path="/broken", port=shop), pod_at(shop))
    assert answer == ProbeAnswer(NOW, 503, port=shop)
    assert ledger.sent("u", NOW) == (1, 1)


async def test_a_redirect_is_an_answer_and_not_followed(
    prober: HealthProber, shop: int, pod_at: MakePod, asked: list[web.Request]
) -> None:
    answer = await prober.probe(Health(path="/moved", port=shop), pod_at(shop))
    assert answer is not None
    assert answer.status == 302
    assert len(asked) == 1


async def test_a_port_may_be_a_name(prober: HealthProber, shop: int, pod_at: MakePod) -> None:
    answer = await prober.probe(Health(path="/health", port="metrics"), pod_at(shop))
    assert answer == ProbeAnswer(NOW, 200, port=shop)


async def test_a_name_that_no_port_has_is_said(prober: HealthProber, pod_at: MakePod) -> None:
    answer = await prober.probe(Health(path="/health", port="web"), pod_at(1))
    assert answer is not None
    assert (answer.status, answer.failure) == (None, UnavailableReason.NOT_CONFIGURED)
    assert answer.detail == "shop-u has no port named web"


async def test_without_words_of_the_check_the_pods_own_readiness_probe_is_asked(
    prober: HealthProber, shop: int, pod_at: MakePod, asked: list[web.Request]
) -> None:
    pod = pod_at(shop, Probe("readiness", "app", "http", "/health", shop))
    assert await prober.probe(Health(), pod) == ProbeAnswer(NOW, 200, port=shop)
    assert asked[0].path == "/health"


async def test_a_pod_without_an_endpoint_or_an_address_is_not_asked(
    prober: HealthProber, shop: int, pod_at: MakePod, asked: list[web.Request]
) -> None:
    assert await prober.probe(Health(), pod_at(shop)) is None
    gone = replace(pod_at(shop), address=None)
    assert await prober.probe(Health(path="/health", port=shop), gone) is None
    assert asked == []


async def test_no_answer_in_time_is_a_time_out_that_may_be_counted_there(
    prober: HealthProber, shop: int, pod_at: MakePod, ledger: Ledger
) -> None:
    began = time.monotonic()
    check = Health(path="/hangs", port=shop, timeout=0.1)
    answer = await prober.probe(check, pod_at(shop))
    assert time.monotonic() - began < 1.0
    assert answer == ProbeAnswer(
        NOW, None, UnavailableReason.TIMEOUT, "no answer in time", port=shop
    )
    assert ledger.unanswered("u", NOW) == (1, 0.0)


async def test_a_refused_connection_is_no_answer_and_no_request(
    prober: HealthProber, unused_tcp_port: int, pod_at: MakePod, ledger: Ledger
) -> None:
    answer = await prober.probe(
        Health(path="/health", port=unused_tcp_port), pod_at(unused_tcp_port)
    )
    assert answer == ProbeAnswer(
        NOW, None, UnavailableReason.REFUSED, "no connection", port=unused_tcp_port
    )
    assert ledger.sent("u", NOW) == (0, 0)


async def test_https_is_asked_without_verification_as_the_kubelet_does(
    prober: HealthProber,
    aiohttp_server: AiohttpServer,
    pod_at: MakePod,
    certificates: Certificates,
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/health", answer)
    server = await aiohttp_server(app, ssl=certificates.server)
    assert server.port is not None
    pod = pod_at(server.port, Probe("readiness", "app", "http", "/health", server.port, "HTTPS"))
    answered = await prober.probe(Health(), pod)
    assert answered == ProbeAnswer(NOW, 200, port=server.port)


async def test_plain_http_where_https_was_asked_for_is_a_tls_trouble(
    prober: HealthProber, shop: int, pod_at: MakePod
) -> None:
    answer = await prober.probe(Health(path="/health", port=shop, scheme="https"), pod_at(shop))
    assert answer is not None
    assert answer.failure is UnavailableReason.TLS


async def test_each_probe_opens_a_connection_of_its_own(
    prober: HealthProber, shop: int, pod_at: MakePod, asked: list[web.Request]
) -> None:
    for _ in range(2):
        await prober.probe(Health(path="/health", port=shop), pod_at(shop))
    first, second = (request[PEER] for request in asked)
    assert first != second
