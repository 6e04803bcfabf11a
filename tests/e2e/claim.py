"""One run at a time on a cluster: runs share names, and would remove each other's shops."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import aiohttp

from tests.e2e.cluster import ApiError
from tests.e2e.waiting import until

if TYPE_CHECKING:
    from tests.e2e.cluster import Cluster, Object

LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
NAME: Final = "deployment-guard-e2e"
EVERY: Final = 5.0
"""Seconds between two renewals."""
STALE: Final = 30.0
"""Seconds without a renewal after which a run counts as dead."""
WAIT: Final = 3600.0
"""Seconds that a run waits for another one to end."""


class Claim:
    """A Lease that this run holds while it lives."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._holder = str(uuid.uuid4())
        self._task: asyncio.Task[None] | None = None

    async def take(self) -> None:
        """Wait until the cluster is ours."""
        await until(self._taken, WAIT, "another end-to-end run on this cluster ends", every=EVERY)
        self._task = asyncio.create_task(self._renew(), name="claim")

    async def close(self) -> None:
        """Let others have it. Idempotent."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        with contextlib.suppress(ApiError):
            await self._cluster.call("DELETE", f"{LEASES}/{NAME}")

    async def _taken(self) -> bool:
        try:
            await self._cluster.call("POST", LEASES, self._lease())
        except ApiError as error:
            if error.status != 409:
                raise
            return await self._inherited()
        return True

    async def _inherited(self) -> bool:
        """Whether the run that held it is dead, and its claim is ours now."""
        try:
            found = await self._cluster.get(f"{LEASES}/{NAME}")
            renewed = datetime.fromisoformat(found["spec"]["renewTime"]).timestamp()
            if time.time() - renewed < STALE:
                return False
            version = found["metadata"]["resourceVersion"]
            await self._cluster.call("PUT", f"{LEASES}/{NAME}", self._lease(version))
        except ApiError:
            return False
        return True

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            with contextlib.suppress(ApiError, aiohttp.ClientError, TimeoutError):
                spec = self._lease()["spec"]
                await self._cluster.patch(f"{LEASES}/{NAME}", {"spec": spec})

    def _lease(self, version: str = "") -> Object:
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        metadata = {"name": NAME, **({"resourceVersion": version} if version else {})}
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {"holderIdentity": self._holder, "renewTime": at},
        }
