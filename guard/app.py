"""The composition root: the only place that knows every room.

Builds what the settings name, from explicit tables, runs it, and takes it down in reverse order.
"""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from guard import __version__
from guard.channels.kubernetes_events import KubernetesEvents
from guard.config.defaults import default_policies
from guard.config.settings import PlatformKind
from guard.core.errors import ConfigurationError
from guard.core.workloads import Mode
from guard.engine.board import Board
from guard.engine.catalogue import Catalogue
from guard.engine.deliver import Deliverer
from guard.engine.metrics import Metrics
from guard.engine.supervisor import Supervisor
from guard.engine.tasks import persist
from guard.engine.world import Circuit, Options, World
from guard.platforms.kubernetes.platform import Kubernetes, connect_platform
from guard.sources import alerts
from guard.sources.health import HealthProber
from guard.sources.ledger import Ledger
from guard.sources.lookup import Lookup, address
from guard.sources.machines import PrometheusScrapes
from guard.sources.prometheus import PrometheusCounters, PrometheusExpressions, connect
from guard.sources.prometheus_history import PrometheusHistory
from guard.sources.scrape import Scraper
from guard.web.server import application, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from guard.config.reload import Watcher
    from guard.config.settings import Settings
    from guard.core.policy import Service
    from guard.engine.ports import Alarms, Channel, Counters, Expressions, History, Platform, Prober

RELOAD_EVERY = 2.0
"""Seconds between two looks at the SLO files."""
STOP_WITHIN = 4.0
"""Seconds for the last checkpoints and notices; with all else the guard is gone within 5."""

log = structlog.get_logger("guard.app")


@dataclass(frozen=True, slots=True)
class Adapters:
    """The real sources, platform and channels."""

    platform: Platform
    counters: tuple[Counters, ...]
    prober: Prober
    expressions: Expressions | None
    channels: tuple[Channel, ...] = ()
    history: History | None = None
    alarms: Alarms | None = None


@dataclass(frozen=True, slots=True)
class Engine:
    """Everything that runs, put together."""

    supervisor: Supervisor
    board: Board
    metrics: Metrics


def assemble(
    adapters: Adapters,
    services: Sequence[Service],
    options: Options,
    now: Callable[[], float] = time.time,
) -> Engine:
    """Put an engine together around some adapters; nothing runs yet."""
    metrics = Metrics(__version__)
    board = Board(metrics)
    world = World(
        platform=adapters.platform,
        counters=adapters.counters,
        prober=adapters.prober,
        expressions=adapters.expressions,
        alarms=adapters.alarms,
        deliver=Deliverer(adapters.channels, metrics),
        board=board,
        metrics=metrics,
        options=options,
        circuit=Circuit(options, now),
        now=now,
        history=adapters.history,
    )
    return Engine(Supervisor(world, Catalogue(services, default_policies)), board, metrics)


async def run(settings: Settings, watcher: Watcher) -> None:
    """Guard until SIGTERM or SIGINT; then stop within 5 s with nothing half-done.

    Args:
        settings: what the process was told.
        watcher: the SLO files, polled once already.

    Raises:
        ConfigurationError: the settings name something that cannot be used.
        TemporaryError: the cluster does not answer.
    """
    async with AsyncExitStack() as stack:
        adapters = await _adapters(settings, stack)
        engine = assemble(adapters, watcher.services, _options(settings))
        page = application(
            engine.board,
            engine.metrics,
            lambda: engine.supervisor.unready,
            version=__version__,
            mode=settings.mode.value,
        )
        served = await serve(page, settings.listen.host, settings.listen.port)
        stack.push_async_callback(served.close)
        log.info("started", version=__version__, mode=settings.mode.value, port=served.port)
        _reloaded(engine, watcher)
        await _until_signal(engine, watcher)
        log.info("stopped")


@asynccontextmanager
async def connected(
    settings: Settings,
) -> AsyncIterator[tuple[Platform, Scraper, Lookup | None]]:
    """What `guard check --live` asks: platform, direct scrape, and Prometheus if there is one."""
    async with AsyncExitStack() as stack:
        platform = await _kubernetes(settings, stack)
        scraper = Scraper(Ledger(), time.time, None)
        stack.push_async_callback(scraper.close)
        where = address(settings)
        lookup = Lookup(where) if where else None
        if lookup is not None:
            stack.push_async_callback(lookup.close)
        yield platform, scraper, lookup


async def stored(settings: Settings) -> list[dict[str, str]]:
    """What a guard wrote into its namespace: each workload's documents, for `guard explain`.

    Raises:
        ConfigurationError: the cluster cannot be used.
        TemporaryError: the cluster does not answer.
        PermanentError: it refuses.
    """
    async with AsyncExitStack() as stack:
        platform = await _kubernetes(settings, stack)
        return [documents async for documents in platform.documents()]


def _options(settings: Settings) -> Options:
    return Options(
        mode=Mode(settings.mode),
        circuit_breaker=settings.circuit_breaker,
        circuit_window=settings.circuit_breaker_window,
        scrape_interval=settings.prometheus_scrape_interval,
    )


async def _kubernetes(settings: Settings, stack: AsyncExitStack) -> Kubernetes:
    platform = await connect_platform(settings, time.time)
    stack.push_async_callback(platform.close)
    return platform


async def _adapters(settings: Settings, stack: AsyncExitStack) -> Adapters:
    if settings.platform is not PlatformKind.KUBERNETES:
        msg = f"GUARD_PLATFORM={settings.platform.value} has no workloads of its own: `guard demo`"
        raise ConfigurationError(msg)
    platform = await _kubernetes(settings, stack)
    ledger = Ledger()
    prober = HealthProber(ledger, time.time)
    stack.push_async_callback(prober.close)
    counters: list[Counters] = []
    alarms = alerts.connect(settings, time.time)
    if alarms is not None:
        stack.push_async_callback(alarms.close)
    client = connect(settings)
    scrapes = None
    if client is not None:
        stack.push_async_callback(client.close)
        interval, replicas = settings.prometheus_scrape_interval, settings.prometheus_replicas
        scrapes = PrometheusScrapes(interval, replicas)
        asked = PrometheusCounters(client, ledger, time.time, interval, replicas)
        stack.push_async_callback(asked.close)
        counters.append(asked)
    if settings.scrape:
        scraper = Scraper(ledger, time.time, scrapes)
        stack.push_async_callback(scraper.close)
        counters.insert(0, scraper)
    return Adapters(
        platform=platform,
        counters=tuple(counters),
        prober=prober,
        expressions=None if client is None else PrometheusExpressions(client),
        history=None if client is None else PrometheusHistory(client),
        alarms=alarms,
        channels=(KubernetesEvents(platform.post_event, settings.pod or settings.deployment),),
    )


# Running.


async def _until_signal(engine: Engine, watcher: Watcher) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tasks = [
        asyncio.create_task(engine.supervisor.run(), name="supervisor"),
        asyncio.create_task(
            persist("reload", lambda: _reload(engine, watcher), engine.metrics), name="reload"
        ),
    ]
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait((*tasks, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*tasks, stopping):
            task.cancel()
        await asyncio.wait(tasks, timeout=STOP_WITHIN)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.result()


async def _reload(engine: Engine, watcher: Watcher) -> None:
    while True:
        await asyncio.sleep(RELOAD_EVERY)
        try:
            loaded = await asyncio.to_thread(watcher.poll)
        except Exception:
            # Whoever started this logs it, and begins again: until then nothing new is in force.
            engine.metrics.config_ok.set(0)
            raise
        if loaded is None:
            continue
        if loaded.problems:
            engine.metrics.config_ok.set(0)
            problems = [str(problem) for problem in loaded.problems]
            log.error("SLO files refused, the former ones stay in force", problems=problems)
            continue
        engine.supervisor.take(loaded.services)
        _reloaded(engine, watcher)


def _reloaded(engine: Engine, watcher: Watcher) -> None:
    engine.metrics.config_ok.set(1)
    engine.metrics.config_at.set(time.time())
    log.info("SLO files in force", services=[service.name for service in watcher.services])
