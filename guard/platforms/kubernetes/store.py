"""The guard's memory on Kubernetes, in its own namespace: a team's namespace sees none of it.

One ConfigMap a workload holds its records, one Secret what was last known good. Both say whose
they are, and what is bound to another uid is ignored: a new object under an old name starts anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from guard.core.errors import GuardError, PermanentError, TemporaryError
from guard.core.names import LABEL_WORKLOAD_NAMESPACE
from guard.platforms.kubernetes import binding, known_good
from guard.platforms.kubernetes.binding import KNOWN_GOOD, RECORDS, WORKLOAD_KEY
from guard.platforms.kubernetes.known_good import KnownGoodSecrets
from guard.platforms.kubernetes.own_objects import OwnObjects

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from guard.core.workloads import WorkloadId
    from guard.platforms.kubernetes.api import Api

log = structlog.get_logger("guard.store")


class Store:
    """Records and known-good templates, by workload and uid."""

    def __init__(self, api: Api, namespace: str, now: Callable[[], float]) -> None:
        """Take the API and the guard's own namespace; `now` is in seconds since the epoch."""
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
        if found is None or _owner(found) != uid:
            return {}
        return {key: text for key, text in found["data"].items() if key != WORKLOAD_KEY}

    async def save(self, workload: WorkloadId, uid: str, documents: Mapping[str, str]) -> None:
        """Replace the stored documents.

        Raises:
            TemporaryError: the store did not answer.
            PermanentError: the store refused.
        """
        name = binding.object_name(RECORDS, workload)
        data = {WORKLOAD_KEY: binding.bound(workload, uid), **documents}
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
                if found is not None and not (living and _owner(found) == living):
                    await objects.delete(name, found["metadata"]["resourceVersion"])
            except GuardError as error:
                log.warning("not forgotten", workload=str(workload), holds=holds, why=str(error))

    async def sweep(
        self, existing: Collection[WorkloadId], namespaces: Collection[str] | None = None
    ) -> int:
        """Drop what is stored of workloads that are gone.

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
                if spoken_for and metadata["name"] not in wanted:
                    dropped += await objects.delete(metadata["name"], metadata["resourceVersion"])
        return dropped

    def _both(self) -> tuple[tuple[str, OwnObjects], ...]:
        return ((RECORDS, self._records), (KNOWN_GOOD, self._secrets))


def _owner(found: Mapping[str, Any]) -> str | None:
    """The uid that a ConfigMap or a Secret is bound to."""
    text = (found.get("data") or {}).get(WORKLOAD_KEY, "")
    uid: str | None = binding.read(text).get("uid")
    return uid or known_good.owner(found)
