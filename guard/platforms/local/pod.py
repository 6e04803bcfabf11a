"""One local pod: a real server, asked by a kubelet of its own whether it is ready."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import aiohttp

from guard.core.workloads import Container, Pod, Probe
from guard.platforms.local.server import HOST, READY_PATH, PodServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from guard.core.workloads import Revision, WorkloadId
    from guard.platforms.local.template import Template

PROBE_PERIOD = 10.0
"""Seconds between two readiness probes, the first in the moment when the pod listens (the
kubelet's default). What probes may have sent is set off against users' requests, so a shorter
period would make the first requests of each pod tell less."""
PROBE_TIMEOUT = 1.0
FAILURES_TO_UNREADY = 3
"""Failed probes in a row that take readiness away (the kubelet's default)."""
DRAIN = 0.5
"""Seconds from a pod's deletion to the end of its server: users who were sent to it just before
are still served."""
CONTAINER = "app"
PORT_NAME = "http"


class LocalPod:
    """A pod from its creation to its end; `changed` is called at each change of what it shows."""

    def __init__(
        self,
        workload: WorkloadId,
        ordinal: int,
        revision: Revision,
        template: Template,
        changed: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        """Create it; it runs while `run` does."""
        self.revision = revision.hash
        self.ready = False
        self.deleted_at: float | None = None
        self._uid = str(uuid4())
        self.name = f"{workload.name}-{revision.hash}-{ordinal}"
        self.namespace = workload.namespace
        self._template = template
        self._changed = changed
        self._now = now
        self._created_at = now()
        self._ready_at: float | None = None
        self._server = PodServer(template, revision.hash, self._created_at)
        self._deleted = asyncio.Event()

    @property
    def port(self) -> int:
        """Its own port on this machine."""
        return self._server.port

    def delete(self) -> None:
        """Take it from the users now; it ends a little later."""
        if self.deleted_at is None:
            self.deleted_at = self._now()
            self._deleted.set()
            self._changed()

    async def run(self, kubelet: aiohttp.ClientSession) -> None:
        """Live until deleted, then drain and end."""
        probing = asyncio.create_task(self._live(kubelet), name=f"kubelet:{self.name}")
        deleted = asyncio.create_task(self._deleted.wait(), name=f"deletion:{self.name}")
        try:
            await asyncio.wait((probing, deleted), return_when=asyncio.FIRST_COMPLETED)
            if probing.done():
                probing.result()
            await asyncio.sleep(DRAIN)
        finally:
            probing.cancel()
            deleted.cancel()
            await asyncio.wait((probing, deleted))
            await self.close()

    async def close(self) -> None:
        """Give its port back; `run` does so at its end. Idempotent."""
        await self._server.stop()

    def show(self) -> Pod:
        """The pod as the platform reports it now."""
        return Pod(
            uid=self._uid,
            name=self.name,
            namespace=self.namespace,
            revision=self.revision,
            created_at=self._created_at,
            address=HOST,
            ready=self.ready,
            ready_at=self._ready_at,
            deleted_at=self.deleted_at,
            containers=(
                Container(
                    name=CONTAINER,
                    image=self._template.image,
                    ready=self.ready,
                    started_at=self._created_at,
                    ports=((PORT_NAME, self.port),),
                ),
            ),
            probes=(
                Probe(
                    kind="readiness",
                    container=CONTAINER,
                    handler="http",
                    path=READY_PATH,
                    port=self.port,
                    period=PROBE_PERIOD,
                ),
            ),
        )

    async def _live(self, kubelet: aiohttp.ClientSession) -> None:
        """Load for as long as the template says, then serve and be probed until cancelled."""
        await asyncio.sleep(self._template.starts_in)
        await self._server.start()
        failures = 0
        while True:
            status = await self._probe(kubelet)
            failures = 0 if status == 200 else failures + 1  # noqa: PLR2004 - HTTP's OK
            if failures in {0, FAILURES_TO_UNREADY}:
                self._show_ready(ready=failures == 0)
            await asyncio.sleep(PROBE_PERIOD)

    def _show_ready(self, *, ready: bool) -> None:
        if ready == self.ready:
            return
        self.ready = ready
        if ready:
            self._ready_at = self._now()
        self._changed()

    async def _probe(self, kubelet: aiohttp.ClientSession) -> int | None:
        url = f"http://{HOST}:{self.port}{READY_PATH}"
        try:
            async with asyncio.timeout(PROBE_TIMEOUT), kubelet.get(url) as answer:
                return answer.status
        except (TimeoutError, aiohttp.ClientError):
            return None
