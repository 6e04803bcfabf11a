"""`/api/v1/events`: every change of a record as a server-sent event.

Each event is a whole record, so a client that missed some has lost nothing: it reads
`/api/v1/rollouts` after it connected and goes on from there. Last-Event-ID means nothing here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web

from guard.web.site import SITE, encoded

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from guard.web.site import Site

KEEP_ALIVE = 15.0
"""Seconds without a change after which a comment is sent, so that no proxy ends the stream."""
WRITE_WITHIN = 10.0
"""Seconds that a client may take to accept one event before the stream is ended."""
STREAMS_AT_MOST = 64
"""Streams open at once: each change is written to each of them."""
RETRY = 2000
"""Milliseconds after which a client comes again."""
_ALIVE = b": still here\n\n"


async def events(request: web.Request) -> web.StreamResponse:
    """Stream changes until the client leaves or the server stops."""
    site = request.app[SITE]
    if len(site.streams) >= STREAMS_AT_MOST:
        raise web.HTTPServiceUnavailable(
            text=f"{STREAMS_AT_MOST} event streams are open, that is all there are",
            headers={"Retry-After": "15"},
        )
    mine = object()
    site.streams.add(mine)
    try:
        return await _stream(request, site)
    finally:
        site.streams.discard(mine)


async def _stream(request: web.Request, site: Site) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    changes = site.board.subscribe()
    # Before the client hears that it is connected: what changes from then on reaches it.
    newest: asyncio.Future[dict[str, Any]] = asyncio.ensure_future(anext(changes))
    closing = asyncio.ensure_future(site.closing.wait())
    try:
        await response.prepare(request)
        await _send(response, f"retry: {RETRY}\n\n".encode())
        while not closing.done():
            newest = await _next(response, changes, newest, closing)
    except ConnectionResetError:
        pass  # The client left.
    except TimeoutError:
        # It takes nothing any more, not even the end of the answer.
        if request.transport is not None:
            request.transport.abort()
    finally:
        newest.cancel()
        closing.cancel()
        await asyncio.gather(newest, closing, return_exceptions=True)
        await changes.aclose()
    return response


async def _next(
    response: web.StreamResponse,
    changes: AsyncGenerator[dict[str, Any], None],
    newest: asyncio.Future[dict[str, Any]],
    closing: asyncio.Future[Any],
) -> asyncio.Future[dict[str, Any]]:
    """Send the next change, or a sign of life; returns what to wait for next."""
    await asyncio.wait((newest, closing), timeout=KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED)
    if newest.done():
        await _send(response, b"event: rollout\ndata: " + encoded(newest.result()) + b"\n\n")
        return asyncio.ensure_future(anext(changes))
    if not closing.done():
        await _send(response, _ALIVE)
    return newest


async def _send(response: web.StreamResponse, text: bytes) -> None:
    async with asyncio.timeout(WRITE_WITHIN):
        await response.write(text)
