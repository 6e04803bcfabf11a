"""The JSON API and the probes. Everything only reads; what it gives is `codec.head`'s document."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from guard.engine.codec import head
from guard.web.pages import NOT_ON_THE_BOARD
from guard.web.site import SITE, encoded, json_answer

if TYPE_CHECKING:
    from guard.core.records import Record


async def livez(_request: web.Request) -> web.Response:
    """`/livez`: the event loop turns."""
    return json_answer(encoded({"status": "alive"}))


async def readyz(request: web.Request) -> web.Response:
    """`/readyz` and `/health`: the guard sees its workloads."""
    why = request.app[SITE].unready()
    if why:
        raise web.HTTPServiceUnavailable(text=f"not ready: {why}")
    return json_answer(encoded({"status": "ready"}))


async def rollouts(request: web.Request) -> web.Response:
    """`/api/v1/rollouts`: every record, the newest rollout first."""
    newest = request.app[SITE].board.newest()
    # Many records take their time: in a thread that holds up no decision.
    return json_answer(await asyncio.to_thread(_documents, newest))


def _documents(records: list[Record]) -> bytes:
    return encoded({"rollouts": [head(record) for record in records]})


async def rollout(request: web.Request) -> web.Response:
    """`/api/v1/rollouts/{id}`: one record; the id may be percent-encoded or not."""
    found = request.app[SITE].board.get(request.match_info["id"])
    if found is None:
        raise web.HTTPNotFound(text=NOT_ON_THE_BOARD)
    return json_answer(encoded(found))


async def users(request: web.Request) -> web.Response:
    """`/api/v1/users`: what users saw, where the guard was told."""
    rows = request.app[SITE].users
    if rows is None:
        raise web.HTTPNotFound(text="nobody counts what users saw here")
    return json_answer(encoded({"users": rows()}))
