"""An API server that objects can be written to, and whose next answers a test can spoil."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.platforms.kubernetes.apiserver import ApiServer, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.platforms.kubernetes.apiserver import Handler, Object

    Matches = Callable[[web.Request, Any], bool]

DEPLOYMENT = "/apis/apps/v1/namespaces/team/deployments/shop"
REPLICA_SETS = "/apis/apps/v1/namespaces/team/replicasets"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
CONFIG_MAPS = "/api/v1/namespaces/own/configmaps"
SECRETS = "/api/v1/namespaces/own/secrets"
EVENTS = "/api/v1/namespaces/team/events"


@dataclass
class Spoiled:
    """One request that gets another answer; `first` is done before, e.g. a change by others."""

    matches: Matches
    answer: Handler | None = None
    first: Callable[[], object] | None = None


@dataclass
class Written:
    """One request that changed something, or tried to."""

    method: str
    path: str
    body: Any = field(repr=False)


class ActingServer(ApiServer):
    """Objects by path; a write moves the resource version, one of a `spec` the generation."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, Object] = {}
        self.collections = {CONFIG_MAPS, SECRETS, EVENTS}
        self.spoiled: list[Spoiled] = []
        self.written: list[Written] = []

    def spoil(self, method: str, part: str, *answers: Handler) -> None:
        """Answer so, in turn, the next requests of this method whose path or body has this."""
        for answer in answers:
            self.spoiled.append(Spoiled(_matching(method, part), answer))

    def before(self, method: str, part: str, change: Callable[[], object]) -> None:
        """Let something happen before the next such request is looked at."""
        self.spoiled.append(Spoiled(_matching(method, part), first=change))

    def set(self, path: str, obj: Object) -> Object:
        """Put an object there as others do; moves its version."""
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.objects[path] = obj
        return obj

    def writes(self, method: str, part: str = "") -> list[Written]:
        return [w for w in self.written if w.method == method and part in f"{w.path} {w.body}"]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        if request.method != "GET":
            self.written.append(Written(request.method, request.path, body))
        for one in self.spoiled:
            if one.matches(request, body):
                self.spoiled.remove(one)
                if one.first is not None:
                    one.first()
                if one.answer is not None:
                    return await one.answer(request)
                break
        if request.path in self.objects or request.path in self.collections:
            return self._act(request, body)
        return await super().handle(request)

    def _act(self, request: web.Request, body: Any) -> web.Response:
        path, found = request.path, self.objects.get(request.path)
        if path in self.collections:
            return self._collection(request, body)
        assert found is not None
        if request.method == "PUT":
            if body["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
                return _refused(409, "Conflict")
            return web.json_response(self.set(path, body))
        if request.method == "DELETE":
            del self.objects[path]
        if request.method == "PATCH":
            return self._patch(path, found, body, dry="dryRun" in request.query)
        return web.json_response(found)

    def _collection(self, request: web.Request, body: Any) -> web.Response:
        if request.method == "POST":
            path = f"{request.path}/{body['metadata']['name']}"
            if path in self.objects:
                return _refused(409, "AlreadyExists")
            return web.json_response(self.set(path, body), status=201)
        inside = [o for path, o in self.objects.items() if path.startswith(f"{request.path}/")]
        return web.json_response({"metadata": {}, "items": inside})

    def _patch(self, path: str, found: Object, operations: Any, *, dry: bool) -> web.Response:
        changed = copy.deepcopy(found)
        for one in operations:
            parent, key = _at(changed, one["path"])
            if one["op"] == "test" and parent.get(key) != one["value"]:
                return _refused(422, "Invalid", details={})
            if one["op"] == "remove":
                del parent[key]
            elif one["op"] != "test":
                parent[key] = one["value"]
        if changed.get("spec") != found.get("spec"):
            changed["metadata"]["generation"] += 1
        return web.json_response(changed if dry else self.set(path, changed))


def _matching(method: str, part: str) -> Matches:
    return lambda request, body: request.method == method and part in f"{request.path} {body}"


def _at(obj: Any, pointer: str) -> tuple[Any, str]:
    *steps, last = (s.replace("~1", "/").replace("~0", "~") for s in pointer.split("/")[1:])
    for step in steps:
        obj = obj[step]
    return obj, last


def _refused(code: int, reason: str, **more: Any) -> web.Response:
    return web.json_response(status(code, reason, **more), status=code)
