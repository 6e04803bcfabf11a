"""A small API server: lists in pages, watches with bookmarks, and everything that goes wrong."""

from __future__ import annotations

import asyncio
import copy
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from guard.platforms.kubernetes.api import Api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

Object = dict[str, Any]

HTML = "<html><body>503 Service Unavailable</body></html>"


def status(code: int, reason: str, **more: Any) -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        **more,
    }


def event(kind: str, obj: Object) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


@dataclass
class Resource:
    """The objects of one list, and every change of them."""

    objects: dict[str, Object] = field(default_factory=dict)
    log: list[tuple[int, str, Object]] = field(default_factory=list)
    kept_from: int = 0


class ApiServer:
    """Serves resources by path; `faults` answer the next requests of a path instead of it."""

    def __init__(self, page: int = 1000) -> None:
        self.page = page
        self.version = 100
        self.resources: dict[str, Resource] = {}
        self.requests: list[web.Request] = []
        self.faults: dict[str, list[Handler]] = {}
        self.others: dict[str, Handler] = {}
        self.changed = asyncio.Condition()
        self.watches = 0
        self.url = ""

    # Arranging.

    async def put(self, path: str, obj: Object) -> Object:
        resource = self.resources.setdefault(path, Resource())
        self.version += 1
        uid = obj["metadata"]["uid"]
        kind = "MODIFIED" if uid in resource.objects else "ADDED"
        stored = copy.deepcopy(obj)
        stored["metadata"]["resourceVersion"] = str(self.version)
        resource.objects[uid] = stored
        await self._tell(resource, kind, stored)
        return stored

    async def delete(self, path: str, uid: str) -> None:
        resource = self.resources[path]
        self.version += 1
        gone = resource.objects.pop(uid)
        gone["metadata"]["resourceVersion"] = str(self.version)
        await self._tell(resource, "DELETED", gone)

    async def bookmark(self, path: str) -> int:
        self.version += 1
        meta = {"metadata": {"resourceVersion": str(self.version)}}
        await self._tell(self.resources.setdefault(path, Resource()), "BOOKMARK", meta)
        return self.version

    async def send(self, path: str, kind: str, obj: Object) -> None:
        """An event that no object stands behind."""
        self.version += 1
        await self._tell(self.resources.setdefault(path, Resource()), kind, obj)

    def forget(self, path: str) -> None:
        """Keep no version of the past: watches that go on from one are gone."""
        self.version += 1
        resource = self.resources.setdefault(path, Resource())
        resource.log.clear()
        resource.kept_from = self.version

    def hang_up(self, path: str) -> None:
        """Break every connection on which this path was watched."""
        for request in self.seen(path, watch=True):
            if request.transport is not None:
                request.transport.abort()

    def fault(self, path: str, *handlers: Handler) -> None:
        self.faults.setdefault(path, []).extend(handlers)

    def seen(self, path: str, *, watch: bool) -> list[web.Request]:
        return [r for r in self.requests if r.path == path and ("watch" in r.query) is watch]

    async def until(self, true: Callable[[], bool], within: float = 10.0) -> None:
        async with asyncio.timeout(within):
            while not true():
                async with self.changed:
                    try:
                        await asyncio.wait_for(self.changed.wait(), 0.01)
                    except TimeoutError:
                        continue

    # Serving.

    async def _tell(self, resource: Resource, kind: str, obj: Object) -> None:
        resource.log.append((self.version, kind, copy.deepcopy(obj)))
        async with self.changed:
            self.changed.notify_all()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        async with self.changed:
            self.changed.notify_all()
        if self.faults.get(request.path):
            return await self.faults[request.path].pop(0)(request)
        if request.path in self.others:
            return await self.others[request.path](request)
        if request.path not in self.resources:
            return web.json_response(status(404, "NotFound"), status=404)
        resource = self.resources[request.path]
        if "watch" in request.query:
            return await self._watch(request, resource)
        return self._list(request, resource)

    def _list(self, request: web.Request, resource: Resource) -> web.Response:
        start = int(request.query.get("continue", "0"))
        size = min(self.page, int(request.query.get("limit", "1000")))
        objects = list(resource.objects.values())
        meta: Object = {"resourceVersion": str(self.version)}
        if start + size < len(objects):
            meta["continue"] = str(start + size)
        return web.json_response({"metadata": meta, "items": objects[start : start + size]})

    async def _watch(self, request: web.Request, resource: Resource) -> web.StreamResponse:
        version = int(request.query["resourceVersion"])
        if version < resource.kept_from:
            return web.json_response(status(410, "Expired"), status=410)
        response = web.StreamResponse()
        await response.prepare(request)
        self.watches += 1
        try:
            async with asyncio.timeout(float(request.query["timeoutSeconds"])):
                while True:
                    for at, kind, obj in [one for one in resource.log if one[0] > version]:
                        await response.write(event(kind, obj))
                        version = at
                    async with self.changed:
                        await self.changed.wait()
        except TimeoutError:
            await response.write_eof()
        finally:
            self.watches -= 1
        return response


def refuse(code: int, reason: str, **headers: str) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(status(code, reason), status=code, headers=headers)

    return answer


def page_of_html(code: int) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=HTML, status=code, content_type="text/html")

    return answer


def lines(*chunks: bytes, silent: float = 0.0) -> Handler:
    """A watch of exactly these bytes, then silence, then its end."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
            await asyncio.sleep(0)
        await asyncio.sleep(silent)
        return response

    return answer


async def hang_up(request: web.Request) -> web.StreamResponse:
    """Break the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def serving(server: ApiServer) -> AsyncIterator[ApiServer]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client_of(url: str, token: str = "") -> AsyncIterator[Api]:
    configuration = Configuration(host=url)
    if token:
        configuration.api_key["BearerToken"] = f"Bearer {token}"
    client = await asyncio.to_thread(ApiClient, configuration)
    api = Api(client)
    try:
        yield api
    finally:
        await api.close()
