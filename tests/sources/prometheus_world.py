"""A Prometheus that is written down: series as it would have them, and a client that gives them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from guard.config.selectors import selector
from guard.core.policy import Ratio
from guard.core.workloads import Container, Pod
from guard.sources.prometheus_answers import Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from guard.core.samples import Unavailable

SLI = Ratio(bad=selector('http_requests_total{code=~"5.."}'), total=selector("http_requests_total"))


def pod(name: str = "shop-1", *, address: str | None = "10.0.0.1", port: int = 8080) -> Pod:
    """A pod of one container `app` that declares a port."""
    app = Container("app", ready=True, started_at=1.0, ports=(("http", port),))
    return Pod(
        uid=f"uid-{name}",
        name=name,
        namespace="shop",
        revision="new",
        created_at=1.0,
        address=address,
        ready=True,
        containers=(app,),
    )


def series(metric: str, *samples: tuple[float, float], **labels: str) -> Series:
    """One series: its metric, its samples (time, value), its labels."""
    return Series({"__name__": metric, **labels}, samples)


def of_pod(metric: str, *samples: tuple[float, float], **labels: str) -> Series:
    """One series of the pod `shop-1` by its name."""
    target = {"namespace": "shop", "pod": "shop-1", "container": "app", "instance": "10.0.0.1:8080"}
    return series(metric, *samples, **{**target, "job": "pods", **labels})


def requests(*samples: tuple[float, float], **labels: str) -> Series:
    """A counter of requests for a path that no machine asks for."""
    return of_pod("http_requests_total", *samples, **{"path": "/shop", "code": "200", **labels})


def up(*samples: tuple[float, float], **labels: str) -> Series:
    return of_pod("up", *samples, **labels)


@dataclass
class Scripted:
    """A client whose answers the test gives; it keeps the queries."""

    answer: Callable[[str], tuple[Series, ...] | Unavailable]
    limit: float = 5.0
    room: int = 14_000
    queries: list[str] = field(default_factory=list)

    async def matrix(self, query: str) -> tuple[Series, ...] | Unavailable:
        self.queries.append(query)
        return self.answer(query)


def named(query: str, label: str) -> set[str]:
    """The values that a query asks for in a label, unescaped."""
    match = re.search(rf'{label}=~"(.*?)(?<!\\)"[,}}]', query)
    if match is None:
        return set()
    return {value.replace("\\\\", "").replace("\\", "") for value in match[1].split("|")}


class FakePrometheus:
    """A real HTTP server that says what the test says, and keeps the queries."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.requests: list[web.BaseRequest] = []
        self.say: Callable[[str], web.StreamResponse] = lambda _: ok("matrix", [])

    def application(self, prefix: str = "") -> web.Application:
        application = web.Application()
        application.router.add_route("*", f"{prefix}/api/v1/query", self._query)
        application.router.add_route("*", f"{prefix}/api/v1/query_range", self._query)
        return application

    async def _query(self, request: web.Request) -> web.StreamResponse:
        form = await request.post() if request.method == "POST" else request.query
        self.requests.append(request)
        self.queries.append(str(form["query"]))
        return self.say(self.queries[-1])


def ok(kind: str, result: Any, **more: object) -> web.Response:
    """An answer as Prometheus gives it."""
    data = {"resultType": kind, "result": result}
    return web.json_response({"status": "success", "data": data, **more})


def matrix(rows: Iterable[Series]) -> web.Response:
    """Series as an answer."""
    return ok(
        "matrix",
        [
            {"metric": row.labels, "values": [[at, f"{v:g}"] for at, v in row.samples]}
            for row in rows
        ],
    )
