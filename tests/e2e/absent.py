"""An image that does not exist, in a registry that says so."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from aiohttp import web

from tests.e2e.cluster import host_address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAMED: Final = os.environ.get("GUARD_E2E_ABSENT_IMAGE", "deployment-guard-absent:e2e")
"""For nodes that are not this machine: a name that their registry does not know."""


@contextlib.asynccontextmanager
async def absent_image(node: str) -> AsyncIterator[str]:
    """Name one. Where the node is this machine, a registry of our own here answers for it.

    The kubelet's runtime asks a registry on the loopback address without TLS.
    """
    if host_address(node) != node:
        yield NAMED
        return
    application = web.Application()
    application.router.add_get("/v2/", _here)
    application.router.add_get("/v2/{tail:.*}", _unknown)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        yield f"127.0.0.1:{port}/shop:absent"
    finally:
        await runner.cleanup()


async def _here(_request: web.Request) -> web.Response:
    return web.json_response({})


async def _unknown(_request: web.Request) -> web.Response:
    error = {"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}
    return web.json_response({"errors": [error]}, status=404)
