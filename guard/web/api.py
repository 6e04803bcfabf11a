"""The JSON API and the probes. Everything only reads; what it gives is `codec.head`'s document."""

from __future__ import annotations

from aiohttp import web

from guard.web.pages import NOT_ON_THE_BOARD
from guard.web.site import SITE, json_answer


async def livez(_request: web.Request) -> web.Response:
    """`/livez`: the event loop turns."""
    return json_answer({"status": "alive"})


async def readyz(request: web.Request) -> web.Response:
    """`/readyz` and `/health`: the guard sees its workloads."""
    if not request.app[SITE].ready():
        raise web.HTTPServiceUnavailable(text="not ready: no workload has been seen yet")
    return json_answer({"status": "ready"})


async def rollouts(request: web.Request) -> web.Response:
    """`/api/v1/rollouts`: every record, the newest rollout first."""
    return json_answer({"rollouts": request.app[SITE].board.records()})


async def rollout(request: web.Request) -> web.Response:
    """`/api/v1/rollouts/{id}`: one record; the id may be percent-encoded or not."""
    head = request.app[SITE].board.get(request.match_info["id"])
    if head is None:
        raise web.HTTPNotFound(text=NOT_ON_THE_BOARD)
    return json_answer(head)


async def users(request: web.Request) -> web.Response:
    """`/api/v1/users`: what users saw, where the guard was told."""
    rows = request.app[SITE].users
    if rows is None:
        raise web.HTTPNotFound(text="nobody counts what users saw here")
    return json_answer({"users": rows()})
