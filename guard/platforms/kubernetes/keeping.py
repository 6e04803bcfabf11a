"""Keeps the template in force as the known good one, while it still is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.platforms.kubernetes import in_force
from guard.platforms.kubernetes.kept import kept_of

if TYPE_CHECKING:
    from guard.core.actions import KnownGood
    from guard.core.workloads import Snapshot
    from guard.platforms.kubernetes.api import Api
    from guard.platforms.kubernetes.store import Store


class Keeping:
    """Reads a Deployment and keeps what a rollback to it needs."""

    def __init__(self, api: Api, store: Store) -> None:
        """Take the API, and where to keep."""
        self._api = api
        self._store = store

    async def keep(self, snapshot: Snapshot, known_good: KnownGood) -> bool:
        """Keep the template now in force as the known good one.

        Returns False when the template in force is no longer `known_good.revision`'s.

        Raises:
            TemporaryError: the API or the store did not answer.
            PermanentError: the API or the store refused.
        """
        revision = known_good.revision
        deployment = await in_force.read(self._api, snapshot.workload, snapshot.uid)
        if deployment is None:
            return False
        if await in_force.which(self._api, deployment, (revision,)) is None:
            return False
        kept = kept_of(deployment)
        await self._store.known_good.keep(snapshot.workload, snapshot.uid, revision, kept)
        return True
