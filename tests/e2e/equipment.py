"""What all scenarios of a session share: images, guards, Prometheus servers, the API's proxies."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.e2e import images, prometheus
from tests.e2e.alertmanager import Alertmanager
from tests.e2e.apiproxy import ApiProxy
from tests.e2e.available import kubeconfig
from tests.e2e.claim import Claim
from tests.e2e.cluster import Cluster, host_address, load_address
from tests.e2e.guards import Guard, Kind
from tests.e2e.images import UNGUARDED
from tests.e2e.logs import Logs
from tests.e2e.prometheus import Prometheus, RoundRobin, free_port
from tests.e2e.stage import Stage
from tests.e2e.table import Table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from tests.e2e.side_by_side import Scenario

FOLDER: Final = images.ROOT / "build" / "e2e"


@dataclass(slots=True)
class Watchman:
    """One guard with all that belongs to it alone."""

    guard: Guard
    logs: Logs
    servers: list[Prometheus] = field(default_factory=list)
    proxy: ApiProxy | None = None
    balancer: RoundRobin | None = None
    alertmanager: Alertmanager | None = None

    async def start_prometheus(self) -> int:
        """Start its servers, and what stands before several; returns the port to ask."""
        kind = self.guard.kind
        for number in range(kind.prometheus):
            folder = FOLDER / kind.name / f"prometheus-{number}"
            shutil.rmtree(folder, ignore_errors=True)
            self.servers.append(Prometheus(folder, [kind.shops], kubeconfig(), free_port()))
        await asyncio.gather(*(server.start() for server in self.servers))
        if len(self.servers) == 1:
            return self.servers[0].port
        self.balancer = RoundRobin([server.port for server in self.servers], free_port())
        await self.balancer.start()
        return self.balancer.port

    async def close(self) -> None:
        """Stop everything of it on this machine, and what stands outside its namespace."""
        await self.logs.close()
        if self.balancer is not None:
            await self.balancer.close()
        if self.alertmanager is not None:
            await self.alertmanager.close()
        for server in self.servers:
            await server.kill()
        if self.proxy is not None:
            await self.proxy.close()
        await self.guard.uninstall()


@dataclass(slots=True)
class Equipment:
    """The shared things of one session."""

    cluster: Cluster
    node: str
    table: Table
    claim: Claim
    watchmen: dict[str, Watchman] = field(default_factory=dict)
    spaces: list[str] = field(default_factory=list)

    @classmethod
    async def prepare(cls, chosen: Iterable[Scenario]) -> Equipment:
        """Bring up everything that the chosen scenarios need; nothing is left of a failure."""
        cluster = await Cluster.connect()
        shutil.rmtree(FOLDER / "failed", ignore_errors=True)
        self = cls(cluster, await cluster.node_address(), Table(), Claim(cluster))
        entries: dict[Kind, list[Scenario]] = {}
        for entry in chosen:
            entries.setdefault(entry.guard, []).append(entry)
        self.spaces = [UNGUARDED, *(space for kind in entries for space in kind.spaces)]
        try:
            await self.claim.take()
            async with asyncio.TaskGroup() as group:
                group.create_task(images.build())
                for space in self.spaces:
                    group.create_task(cluster.namespace(space))
            async with asyncio.TaskGroup() as group:
                for kind, its in entries.items():
                    group.create_task(self._install(kind, its))
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """Remove everything. Idempotent."""
        for watchman in self.watchmen.values():
            await watchman.close()
        self.watchmen = {}
        await self.cluster.remove(self.spaces)
        await self.claim.close()
        await self.cluster.close()

    @contextlib.asynccontextmanager
    async def stage(self, entry: Scenario) -> AsyncIterator[Stage]:
        """A stage for one scenario; its shops are gone afterwards."""
        stage = Stage(self, self.watchmen[entry.guard.name], entry)
        try:
            yield stage
        except BaseException:
            await stage.tell_what_was(FOLDER)
            raise
        finally:
            await stage.close()

    @property
    def load_host(self) -> str:
        """Where users reach NodePorts."""
        return load_address(self.node)

    async def _install(self, kind: Kind, entries: list[Scenario]) -> None:
        """A guard with its Prometheus servers and its proxy, as its kind says."""
        host = host_address(self.node)
        guard = Guard(
            cluster=self.cluster,
            kind=kind,
            slos={
                f"{shop}.yaml": rules.text(kind.shops, shop)
                for entry in entries
                for shop, rules in entry.slos.items()
            },
        )
        logs = Logs(self.cluster, guard.namespace, FOLDER / f"{kind.name}.log")
        watchman = Watchman(guard, logs)
        self.watchmen[kind.name] = watchman
        port = await watchman.start_prometheus()
        if kind.proxied:
            watchman.proxy = ApiProxy(FOLDER / kind.name / "proxy", host, free_port())
            await watchman.proxy.start()
            guard.kubeconfig = watchman.proxy.kubeconfig()
        guard.settings = {
            "GUARD_PROMETHEUS_URL": f"http://{host}:{port}",
            "GUARD_PROMETHEUS_SCRAPE_INTERVAL": f"{prometheus.SCRAPE_INTERVAL}s",
            "GUARD_PROMETHEUS_REPLICAS": str(kind.prometheus),
            **kind.settings,
        }
        if kind.alertmanager:
            folder = FOLDER / kind.name / "alertmanager"
            shutil.rmtree(folder, ignore_errors=True)
            watchman.alertmanager = Alertmanager(folder, free_port())
            await watchman.alertmanager.start()
            address = f"http://{host}:{watchman.alertmanager.port}"
            guard.settings = {**guard.settings, "GUARD_ALERTMANAGER_URL": address}
        logs.start()
        await guard.install(FOLDER)
