"""The web server: the status page, the JSON API, live events, probes and /metrics, all read only.

It stops within its bound whatever its clients do: open event streams end by themselves, and
what does not is cancelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from guard.core.errors import ConfigurationError
from guard.web import api, pages
from guard.web.events import events
from guard.web.protection import explain, protect
from guard.web.site import SITE, Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from guard.engine.board import Board
    from guard.engine.metrics import Metrics
    from guard.web.site import Users

STOP_WITHIN = 0.4
"""Seconds that requests under way get when the server stops, before they are cancelled; then as
long again until their connections are cut. The whole guard has 5, the engine most of them."""


def application(
    board: Board,
    metrics: Metrics,
    unready: Callable[[], str],
    *,
    version: str,
    mode: str,
    users: Users | None = None,
) -> web.Application:
    """Build the application.

    Args:
        board: the records to show.
        metrics: what `/metrics` gives.
        unready: why the guard does not see its workloads, empty where it does; it must not wait.
        version: of this guard, to show.
        mode: the guard's own mode, to show.
        users: rows of "What users saw" (`case`, `sent`, `failed`, `note`), where someone
            counts that.
    """
    built = web.Application(middlewares=[explain])
    built[SITE] = Site(board, unready, version=version, mode=mode, users=users)
    built.on_response_prepare.append(protect)
    built.on_shutdown.append(_end_streams)
    built.router.add_get("/livez", api.livez)
    built.router.add_get("/readyz", api.readyz)
    built.router.add_get("/health", api.readyz)
    built.router.add_get("/metrics", make_aiohttp_handler(metrics.registry))
    built.router.add_get("/api/v1/rollouts", api.rollouts)
    built.router.add_get("/api/v1/rollouts/{id:.+}", api.rollout)
    built.router.add_get("/api/v1/events", events, allow_head=False)
    built.router.add_get("/api/v1/users", api.users)
    built.router.add_get("/", pages.status)
    built.router.add_get("/rollouts/{id:.+}", pages.rollout)
    built.router.add_get("/static/{name}", pages.static)
    return built


async def _end_streams(stopping: web.Application) -> None:
    stopping[SITE].closing.set()


class Served:
    """A server that listens.

    Attributes:
        address: the host it listens on; `port` the port, also where 0 was asked for.
    """

    def __init__(self, runner: web.AppRunner, address: str, port: int) -> None:
        """Take a runner whose site has started."""
        self._runner = runner
        self.address = address
        self.port = port

    @property
    def url(self) -> str:
        """The status page's address for a browser on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.address, self.address)  # noqa: S104 - compared
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    async def close(self) -> None:
        """Stop within twice `STOP_WITHIN`; a second call does nothing."""
        await self._runner.cleanup()


async def serve(application: web.Application, host: str, port: int) -> Served:
    """Listen.

    Args:
        application: what `application()` built; it can be served once.
        host: the address to listen on.
        port: 0 takes a free one.

    Raises:
        ConfigurationError: nothing can listen there (in use, not this machine's, not allowed).
    """
    runner = web.AppRunner(
        application,
        access_log=None,
        handler_cancellation=True,  # Whoever leaves frees what was done for them.
        shutdown_timeout=STOP_WITHIN,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        msg = f"cannot listen on {host}:{port} ({error.strerror}): choose another address or port"
        raise ConfigurationError(msg) from error
    bound = runner.addresses[0]
    return Served(runner, bound[0], bound[1])
