"""A pod that only machines talk to has no users, and of real users hardly one is missed.

The counter counts /metrics and the probes too, as most do.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, generate_latest

from guard.core.samples import Reading
from tests.sources.machine_traffic import Stage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pytest_aiohttp import AiohttpServer

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MISSED_AT_MOST = 10
"""Users' requests that may be taken for machines': twice what may run ahead (3 that ask in a
rhythm and 2 of the guard's own), once for those that are ahead and once for those that are not."""


class Shop:
    """One process whose middleware counts each request that it answers."""

    def __init__(self, *, path: bool) -> None:
        self._path = path
        self._registry = CollectorRegistry()
        names = ["code", "path"] if path else ["code"]
        self._requests = Counter("http_requests_total", "All.", names, registry=self._registry)
        self._worked_off = asyncio.Event()
        self._worked_off.set()
        self._hangs = False
        self._under_way: set[asyncio.Future[web.StreamResponse]] = set()

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._count])
        app.router.add_get("/{path:.*}", self._answer)
        return app

    def hang(self) -> None:
        """Answer nobody any more."""
        self._hangs = True
        self._worked_off.clear()

    def come_back(self) -> None:
        """Answer those who come from now on; the others wait on."""
        self._hangs = False

    def work_off(self) -> None:
        """Answer and count all who waited, whether they are still there or not."""
        self._worked_off.set()

    def serve(self, requests: int) -> None:
        self._requests.labels(*(["200", "/buy"] if self._path else ["200"])).inc(requests)

    @web.middleware
    async def _count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        # As with a thread for each request, one that is under way is finished whoever has left.
        task = asyncio.ensure_future(self._finish(request, handler))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _finish(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        code = str(answer.status)
        self._requests.labels(*([code, request.path] if self._path else [code])).inc()
        return answer

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self._hangs:
            await self._worked_off.wait()
        if request.path == "/metrics":
            return web.Response(body=generate_latest(self._registry))
        return web.Response()


class Shops(dict[str, Shop]):
    """By pod; `ports` by pod as well."""

    ports: dict[str, int]


@pytest.fixture
async def shops(aiohttp_server: AiohttpServer, request: pytest.FixtureRequest) -> Shops:
    made = Shops({uid: Shop(path=request.param) for uid in ("new", "old")})
    made["old"].serve(1234)
    made.ports = {}
    for uid, shop in made.items():
        server = await aiohttp_server(shop.app())
        assert server.port is not None
        made.ports[uid] = server.port
    return made


BOTH = pytest.mark.parametrize("shops", [False, True], ids=["no path", "path"], indirect=True)
BLIND = pytest.mark.parametrize("shops", [False], ids=["no path"], indirect=True)


@BOTH
@pytest.mark.parametrize("period", [1.0, 10.0], ids=["probes every second", "every 10 s"])
async def test_machines_alone_are_never_users(shops: Shops, period: float) -> None:
    async with Stage(shops.ports, period) as stage:
        await stage.run(150.0)
        assert stage.counted == (0, 0)
        assert all(isinstance(sample, Reading) for sample in stage.last.values())
        assert len(stage.last) == 2


@BLIND
async def test_users_above_the_machines_are_counted(shops: Shops) -> None:
    async with Stage(shops.ports) as stage:
        await stage.run(60.0)
        await stage.run(120.0, users=1.0)
        await stage.run(20.0, users=0.0)
        assert stage.served >= 120
        for counted in stage.counted:
            assert stage.served - MISSED_AT_MOST <= counted <= stage.served


@pytest.mark.parametrize("shops", [True], ids=["path"], indirect=True)
async def test_where_paths_are_known_not_one_user_is_missed(shops: Shops) -> None:
    async with Stage(shops.ports) as stage:
        await stage.run(1.0)
        await stage.run(60.0, users=1.0)
        await stage.run(10.0, users=0.0)
        assert stage.counted == (stage.served, stage.served)


@BOTH
async def test_a_guard_that_is_killed_takes_its_own_requests_for_nobodys(shops: Shops) -> None:
    async with Stage(shops.ports) as stage:
        for _ in range(3):
            await stage.run(15.0)
            checkpoint = stage.state
            await stage.run(14.0)
            await stage.stop_guard()
            stage.state = checkpoint
            stage.start_guard()
        await stage.run(30.0)
        assert stage.counted == (0, 0)


@BLIND
async def test_a_guard_that_knows_no_account_yet_takes_no_earlier_requests_for_users(
    shops: Shops,
) -> None:
    async with Stage(shops.ports) as stage:
        nothing = stage.state
        await stage.run(20.0)
        await stage.stop_guard()
        stage.state = nothing
        stage.start_guard()
        await stage.run(30.0)
        assert stage.counted == (0, 0)


@BLIND
async def test_requests_that_a_hanging_pod_works_off_later_are_no_users(shops: Shops) -> None:
    async with Stage(shops.ports, patience=0.05) as stage:
        await stage.run(20.0)
        shops["new"].hang()
        await stage.run(20.0)
        shops["new"].come_back()
        await stage.run(5.0)
        shops["new"].work_off()
        await stage.run(60.0)
        assert stage.counted == (0, 0)
