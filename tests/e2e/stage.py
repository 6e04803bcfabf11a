"""What one scenario plays on: its shops with their users, its guard, and its lines in the table."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.e2e.available import kubeconfig
from tests.e2e.cluster import ApiError
from tests.e2e.command import run
from tests.e2e.shop import Shop, Spec
from tests.e2e.table import Row
from tests.e2e.users import Users
from tests.e2e.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.e2e.cluster import Object
    from tests.e2e.equipment import Equipment, Watchman
    from tests.e2e.records import Rollout
    from tests.e2e.side_by_side import Scenario
    from tests.e2e.table import Table

GOOD = {"REVISION": "good", "FAULT_SWITCH": "true"}


@dataclass(slots=True, eq=False)
class Open:
    """A shop that is open: deployed, and with users."""

    shop: Shop
    users: Users | None

    @property
    def name(self) -> str:
        """Its name."""
        return self.shop.spec.name

    @property
    def seen(self) -> Users:
        """What its users saw, where there are users."""
        assert self.users is not None
        return self.users


class Stage:
    """One scenario's view of the session's equipment."""

    def __init__(self, equipment: Equipment, watchman: Watchman, entry: Scenario) -> None:
        self.entry = entry
        self.cluster = equipment.cluster
        self.watchman = watchman
        self.guard = watchman.guard
        self.space = watchman.guard.kind.shops
        self.node = equipment.node
        self._equipment = equipment
        self._open: list[Open] = []

    # Shops.

    async def open(self, spec: Spec, env: dict[str, str], *, rate: float = 50.0) -> Open:
        """Deploy a shop, wait until it is there, and let users in; `rate` 0: nobody comes."""
        opened = await self.opened(spec, spec.deployment(env), rate=0)
        if rate:
            await self.welcome(opened, rate)
        return opened

    async def opened(
        self, spec: Spec, manifest: Object, options: Sequence[str] = (), *, rate: float = 50.0
    ) -> Open:
        """Open a shop by a manifest of its own; `options` go to `kubectl apply`."""
        opened = Open(Shop(self.cluster, spec), None)
        self._open.append(opened)
        await opened.shop.apply(manifest, *options)
        opened.shop.watch()
        await opened.shop.complete()
        if rate:
            await self.welcome(opened, rate)
        return opened

    async def welcome(self, opened: Open, rate: float = 50.0) -> None:
        """Let users into a shop that has none."""
        port = await opened.shop.node_port()
        opened.users = Users(opened.name, self._equipment.load_host, port, rate)
        await opened.users.arrive()

    async def guarded(self, spec: Spec, env: dict[str, str] | None = None, **how: float) -> Open:
        """Open a shop and wait until the guard knows its first revision as good."""
        opened = await self.open(spec, env or GOOD, **how)
        await self.trusted(spec.name)
        return opened

    def spec(self, name: str, **more: Any) -> Spec:
        """A shop in the namespace that this guard watches."""
        return Spec(namespace=self.space, name=name, **more)

    async def close(self) -> None:
        """Close all shops and remove them. Idempotent."""
        for opened in self._open:
            if opened.users is not None:
                await opened.users.close()
            await opened.shop.close()
            await opened.shop.remove()
        self._open = []

    # What the guard says.

    async def trusted(self, name: str, within: float = 90.0) -> str:
        """Wait until the guard knows a good revision of this shop; returns its hash."""
        records = self.guard.records

        async def ask() -> str | None:
            return await records.known_good(self.space, name)

        return await until(ask, within, f"{name}: the guard trusts a revision")

    async def rollouts(self, name: str) -> list[Rollout]:
        """All records of a shop, oldest first."""
        return await self.guard.records.rollouts(self.space, name)

    async def rollout(
        self,
        name: str,
        holds: Callable[[Rollout], bool],
        *,
        number: int = 1,
        within: float = 180.0,
    ) -> Rollout:
        """Wait until something holds of a shop's so manieth rollout.

        Raises:
            AssertionError: not in time; says where the rollout stands instead.
        """
        found: list[Rollout] = []

        async def ask() -> Rollout | None:
            found[:] = await self.rollouts(name)
            so_manieth = found[number - 1] if len(found) >= number else None
            return so_manieth if so_manieth is not None and holds(so_manieth) else None

        def stand() -> str:
            told = [f"{rollout.where}: {rollout.text}" for rollout in found]
            return f"{name}, rollout {number}, where things stand: {told}"

        return await until(ask, within, stand)

    async def end(self, name: str, *, number: int = 1, within: float = 180.0) -> Rollout:
        """Wait for the end of a shop's so manieth rollout."""
        return await self.rollout(name, lambda r: r.ended, number=number, within=within)

    async def explained(self, name: str) -> str:
        """What `guard explain` says on a person's own machine, by their kubeconfig."""
        own = (f"GUARD_NAMESPACE={self.guard.namespace}", f"KUBECONFIG={kubeconfig()}")
        return await run(
            "env", *own, sys.executable, "-m", "guard", "explain", f"{self.space}/{name}"
        )

    def told(self, name: str, reason: str = "", stage: str = "opened") -> list[dict[str, Any]]:
        """The notices of one reason and stage that people got of a shop."""
        notices = self.watchman.logs.notices(self.space, name)
        return [n for n in notices if n["stage"] == stage and reason in {"", n["reason"]}]

    async def heard(
        self, name: str, reason: str, stage: str = "informed", within: float = 30.0
    ) -> None:
        """Wait until people have been told so: what had been told before it is known then."""

        async def ask() -> bool:
            return bool(self.told(name, reason, stage))

        await until(ask, within, f"{name}: people are told {reason}")

    async def events(self, name: str, *reasons: str) -> None:
        """Wait until a shop's Deployment has Kubernetes Events with all these reasons."""
        path = f"/api/v1/namespaces/{self.space}/events"
        query = "?fieldSelector=involvedObject.kind%3DDeployment%2CinvolvedObject.name%3D"

        async def ask() -> bool:
            found = await self.cluster.get(f"{path}{query}{name}")
            return set(reasons) <= {event["reason"] for event in found["items"]}

        await until(ask, 30.0, f"{name}: its Events say {reasons}")

    # What the guard stands on.

    async def kill_prometheus(self) -> None:
        """Kill every Prometheus of this guard with -9."""
        await asyncio.gather(*(server.kill() for server in self.watchman.servers))

    async def start_prometheus(self) -> None:
        """Start them again. Idempotent."""
        await asyncio.gather(*(server.start() for server in self.watchman.servers))

    # The table.

    @property
    def table(self) -> Table:
        """The table of the run."""
        return self._equipment.table

    def row(self, row: Row) -> None:
        """Add a line to the table."""
        self.table.add(row)

    async def tell_what_was(self, folder: Path) -> None:
        """Keep the records of a scenario that failed."""
        kept: dict[str, Any] = {}
        for name in self.entry.slos:
            try:
                kept[name] = await self.guard.records.documents(self.space, name)
            except ApiError as error:
                kept[name] = str(error)
        file = folder / "failed" / f"{self.entry.name.replace(' ', '-')}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(kept, indent=1), encoding="utf-8")
