"""Asks pods' health endpoints over HTTP, as the kubelet does.

The law of this module: an answer is a status, and silence is a reason; which of them is bad is the
check's to say. Every probe is in the ledger, or it would be taken for a user's request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

from guard.core.checks.health import Endpoint, endpoint
from guard.core.samples import UnavailableReason
from guard.core.ticks import ProbeAnswer
from guard.sources.failures import TROUBLES, failure, was_sent
from guard.sources.pod_http import BAD, open_session
from guard.sources.targets import url

if TYPE_CHECKING:
    from collections.abc import Callable

    from guard.core.policy import Health
    from guard.core.workloads import Pod
    from guard.sources.ledger import Ledger


class HealthProber:
    """Probes one pod at a time. Implements `engine.ports.Prober`."""

    def __init__(self, ledger: Ledger, now: Callable[[], float]) -> None:
        """Connects with the first probe.

        Args:
            ledger: where the guard's own requests are written down, shared with the scraper.
            now: the wall clock, seconds since the epoch.
        """
        self._ledger = ledger
        self._now = now
        self._session: aiohttp.ClientSession | None = None

    async def probe(self, check: Health, pod: Pod) -> ProbeAnswer | None:
        """Ask one pod once; None where it has no HTTP endpoint to ask."""
        found = endpoint(check, pod)
        if found is None or not pod.address:
            return None
        if found.port == 0:
            words = f"{pod.name} has no port named {check.port}"
            return ProbeAnswer(self._now(), None, UnavailableReason.NOT_CONFIGURED, words)
        return await self._ask(check, pod, found, pod.address)

    async def close(self) -> None:
        """End every connection. Idempotent."""
        if self._session is not None:
            await self._session.close()

    async def _ask(self, check: Health, pod: Pod, found: Endpoint, host: str) -> ProbeAnswer:
        if self._session is None:
            # Like the kubelet's: a new connection each time, for whether the pod accepts one is
            # a part of the question.
            self._session = open_session("*/*", keep=False)
        container = _container(pod, found.port)
        try:
            async with self._session.get(
                url(found.scheme, host, found.port, found.path),
                # The kubelet verifies no certificate of a probe either: the question is whether
                # the pod serves, nothing secret is sent, and no certificate names an address.
                ssl=False,
                timeout=aiohttp.ClientTimeout(total=check.timeout),
                allow_redirects=False,
            ) as answer:
                status, at = answer.status, self._now()
        except TROUBLES as error:
            at, trouble = self._now(), failure(error)
            if was_sent(error):
                self._ledger.note(pod.uid, at, bad=False, answered=False, container=container)
            return ProbeAnswer(at, None, trouble.reason, trouble.detail, found.port)
        self._ledger.note(pod.uid, at, bad=status >= BAD, container=container)
        return ProbeAnswer(at, status, port=found.port)


def _container(pod: Pod, port: int) -> str:
    """The container that declares a port; `""` where none does, for ports need not be declared."""
    return next(
        (one.name for one in pod.containers if any(number == port for _, number in one.ports)), ""
    )
