"""The guard's memory on Kubernetes, in its own namespace: a team's namespace sees none of it.

One ConfigMap a workload holds its records, one Secret what was last known good. Both say whose
they are, and what is bound to another uid is ignored: a new object under an old name starts anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog

from guard.core.errors import GuardError, PermanentError, TemporaryError
from guard.core.names import LABEL_WORKLOAD_NAMESPACE
from guard.platforms.kubernetes import binding, known_good
from guard.platforms.kubernetes.binding import KNOWN_GOOD, RECORDS, WORKLOAD_KEY
from guard.platforms.kubernetes.known_good import KnownGoodSecrets
from guard.platforms.kubernetes.own_objects import OwnObjects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping

    from guard.core.workloads import WorkloadId
    from guard.platforms.kubernetes.api import Api

SPARED_FOR: Final = 60.0
"""Seconds since it was written for which an object is not swept: it may be a new workload's, which
the sweep was not told of yet."""

log = structlog.get_logger("guard.store")


class Store:
    """Records and known-good templates, by workload and uid."""

    def __init__(self, api: Api, namespace: str, now: Callable[[], float]) -> None:
        """Take the API and the guard's own namespace; `now` is in seconds since the epoch."""
        self._now = now
        self._records = OwnObjects(api, namespace, "configmaps")
        self._secrets = OwnObjects(api, namespace, "secrets")
        self.known_good = KnownGoodSecrets(self._secrets, now)

    async def load(self, workload: WorkloadId, uid: str) -> dict[str, str]:
        """The stored documents of this very workload, by name; empty without any.

        Raises:
            TemporaryError: the store did not answer, or not yet: a missing right may be granted.
        """
        try:
            found = await self._records.read(binding.object_name(RECORDS, workload))
        except PermanentError as error:
            raise TemporaryError(str(error)) from error
        if found is None or _said(found).get("uid") != uid:
            return {}
        return {key: text for key, text in found["data"].items() if key != WORKLOAD_KEY}

    async def documents(self) -> AsyncIterator[dict[str, str]]:
        """The stored documents of every workload, for who only reads; not bound to any uid.

        Raises:
            TemporaryError: the store did not answer.
            PermanentError: the store refused.
        """
        async for found in self._records.listed(binding.selector(RECORDS)):
            data = found.get("data") or {}
            yield {key: text for key, text in data.items() if key != WORKLOAD_KEY}

    async def save(self, workload: WorkloadId, uid: str, documents: Mapping[str, str]) -> None:
        """Replace the stored documents.

        Raises:
            TemporaryError: the store did not answer.
            PermanentError: the store refused.
        """
        name = binding.object_name(RECORDS, workload)
        data = {WORKLOAD_KEY: binding.bound(workload, uid, self._now()), **documents}
        await self._records.replace(name, binding.labels(RECORDS, workload), data)

    async def forget(self, workload: WorkloadId, living: str = "") -> None:
        """Drop what is stored of a workload that is gone; what cannot be dropped is swept later.

        Args:
            workload: the one that is gone.
            living: uid of the new object under this name, if there is one: its memory stays.
        """
        for holds, objects in self._both():
            name = binding.object_name(holds, workload)
            try:
                found = await objects.read(name)
                if found is not None and not (living and _said(found).get("uid") == living):
                    await objects.delete(name, found["metadata"]["resourceVersion"])
            except GuardError as error:
                log.warning("not forgotten", workload=str(workload), holds=holds, why=str(error))

    async def sweep(
        self, existing: Collection[WorkloadId], namespaces: Collection[str] | None = None
    ) -> int:
        """Drop what is stored of workloads that are gone, and was not written just now.

        Args:
            existing: every workload there is, whether it is guarded or not.
            namespaces: those that `existing` speaks for; None: all.

        Returns:
            How many objects were dropped.

        Raises:
            TemporaryError: the store did not answer.
            PermanentError: the store refused.
        """
        dropped = 0
        for holds, objects in self._both():
            wanted = {binding.object_name(holds, workload) for workload in existing}
            async for found in objects.listed(binding.selector(holds)):
                metadata = found["metadata"]
                namespace = metadata["labels"].get(LABEL_WORKLOAD_NAMESPACE)
                spoken_for = namespaces is None or namespace in namespaces
                if spoken_for and metadata["name"] not in wanted and self._is_old(found):
                    dropped += await objects.delete(metadata["name"], metadata["resourceVersion"])
        return dropped

    def _is_old(self, found: Mapping[str, Any]) -> bool:
        written = _said(found).get("writtenAt", 0.0)
        return bool(self._now() - written > SPARED_FOR)

    def _both(self) -> tuple[tuple[str, OwnObjects], ...]:
        return ((RECORDS, self._records), (KNOWN_GOOD, self._secrets))


def _said(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a ConfigMap or a Secret says about whose it is."""
    text = (found.get("data") or {}).get(WORKLOAD_KEY, "")
    return binding.read(text) or known_good.bound(found)
