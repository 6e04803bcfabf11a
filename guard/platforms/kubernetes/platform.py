"""Kubernetes as the engine sees it: Deployments watched, rolled back and remembered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from guard.core.errors import GuardError
from guard.core.workloads import Gone, WorkloadId
from guard.platforms.kubernetes.changes import Changes
from guard.platforms.kubernetes.connect import connect
from guard.platforms.kubernetes.events import post_event
from guard.platforms.kubernetes.keeping import Keeping
from guard.platforms.kubernetes.pausing import Pausing
from guard.platforms.kubernetes.rights import Reviews
from guard.platforms.kubernetes.rollback import Rollbacks
from guard.platforms.kubernetes.snapshots import PLATFORM, workload_id
from guard.platforms.kubernetes.stated import stated
from guard.platforms.kubernetes.store import Store
from guard.platforms.kubernetes.view import View

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from guard.config.settings import Settings
    from guard.core.actions import Intent, KnownGood, Outcome, PauseIntent, Rehearsal, Rights
    from guard.core.workloads import Snapshot
    from guard.platforms.kubernetes.api import Api

SWEEP_EVERY: Final = 3600.0
"""Seconds between two looks for what is stored of Deployments that were deleted meanwhile."""

log = structlog.get_logger("guard.kubernetes")


async def connect_platform(settings: Settings, now: Callable[[], float]) -> Kubernetes:
    """Connect to the cluster of the settings; nothing is sent yet.

    Raises:
        ConfigurationError: the kubeconfig or the service account cannot be used.
    """
    own = workload_id(settings.namespace, settings.deployment)
    return Kubernetes(await connect(settings), own, settings.namespaces, now)


class Kubernetes:
    """The platform."""

    name = PLATFORM

    def __init__(
        self,
        api: Api,
        own: WorkloadId,
        namespaces: tuple[str, ...],
        now: Callable[[], float],
    ) -> None:
        """Take a connection, which `close` closes.

        Args:
            api: the API server.
            own: the guard's own Deployment, in whose namespace it keeps its memory.
            namespaces: those to watch; empty: all.
            now: the wall clock, seconds since the epoch.
        """
        self._api = api
        self._own = own
        self._namespaces = namespaces
        self._now = now
        self._followed: frozenset[WorkloadId] = frozenset()
        self._views: dict[str, View] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._changes: Changes[WorkloadId] | None = None
        self._remembers = asyncio.Event()
        self._reviews = Reviews(api, namespaces, own.namespace, now)
        self._store = Store(api, own.namespace, now)
        self._rollbacks = Rollbacks(api, self._store, now)
        self._pausing = Pausing(api, now)
        self._keeping = Keeping(api, self._store)

    # Watching.

    @property
    def trouble(self) -> str:
        """Why the watch gets no answer now, in the API server's words; empty while it does."""
        return next((view.trouble for view in self._views.values() if view.trouble), "")

    def follow(self, workloads: frozenset[WorkloadId]) -> None:
        """Name the workloads of the SLO files; those that opt in by label come by themselves."""
        self._followed = frozenset(one for one in workloads if one.platform == PLATFORM)
        for view in self._views.values():
            view.follow(self._of(view.namespace))

    async def watch(self) -> AsyncIterator[Snapshot | Gone]:
        """Yield the whole truth of a followed workload whenever it changed; first all of them."""
        self._changes = changes = Changes[WorkloadId]()
        scopes = self._namespaces or ("",)
        views = [View(self._api, scope, self._own, changes.mark) for scope in scopes]
        self._views = {view.namespace: view for view in views}
        self.follow(self._followed)
        self._tasks = [
            asyncio.create_task(view.run(), name=f"view:{view.namespace}") for view in views
        ]
        self._tasks.append(asyncio.create_task(self._sweep(views), name="sweep"))
        for task in self._tasks:
            task.add_done_callback(changes.end)
        try:
            while (workload := await changes.next()) is not None:
                seen = self._look(workload)
                if isinstance(seen, Gone):
                    changes.forget(workload)
                if seen is not None:
                    yield seen
        finally:
            await self._unwatch()

    def _of(self, namespace: str) -> frozenset[WorkloadId]:
        return frozenset(one for one in self._followed if namespace in {"", one.namespace})

    def _view(self, workload: WorkloadId) -> View | None:
        return self._views.get("") or self._views.get(workload.namespace)

    def _look(self, workload: WorkloadId) -> Snapshot | Gone | None:
        view = self._view(workload)
        return None if view is None else view.look(workload, self._now())

    async def _unwatch(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _sweep(self, views: list[View]) -> None:
        """Forget what is stored of Deployments that are gone, once all there are were seen.

        Whoever only looks, as `guard check --live` does, asks for no memory and drops none.
        """
        await self._remembers.wait()
        while True:
            for view in views:
                await view.synced.wait()
            existing = set().union(*(view.existing() for view in views))
            try:
                dropped = await self._store.sweep(existing, self._namespaces or None)
            except GuardError as error:
                log.warning("not swept", why=str(error))
            else:
                log.info("swept", objects=dropped, workloads=len(existing))
            await asyncio.sleep(SWEEP_EVERY)

    # Acting and remembering.

    async def rehearse(self, intent: Intent) -> Rehearsal:
        """Send the rollback as a dry run. Never raises for a refusal."""
        return await self._rollbacks.rehearse(intent)

    async def rollback(self, intent: Intent) -> Outcome:
        """Put the known-good template back, if the candidate of the intent is still in force."""
        return await self._rollbacks.rollback(intent)

    async def pause(self, intent: PauseIntent) -> Outcome:
        """Hold the rollout where it is, if the intent's candidate is in force."""
        return await self._pausing.pause(intent)

    async def resume(self, intent: PauseIntent) -> Outcome:
        """Put back what the pause changed, if the intent's candidate is in force."""
        return await self._pausing.resume(intent)

    async def keep(self, snapshot: Snapshot, known_good: KnownGood) -> bool:
        """Keep the template now in force as the known good one; False where it is another.

        Raises:
            TemporaryError: the API or the store did not answer.
            PermanentError: the API or the store refused.
        """
        return await self._keeping.keep(snapshot, known_good)

    async def load(self, workload: WorkloadId, uid: str) -> Mapping[str, str]:
        """The stored documents of this very workload, by name; empty without any.

        Raises:
            TemporaryError: the store did not answer.
        """
        self._remembers.set()
        return await self._store.load(workload, uid)

    def documents(self) -> AsyncIterator[dict[str, str]]:
        """The stored documents of every workload, for who only reads.

        Raises:
            TemporaryError: the store did not answer.
            PermanentError: the store refused.
        """
        return self._store.documents()

    async def save(self, workload: WorkloadId, uid: str, documents: Mapping[str, str]) -> None:
        """Replace the stored documents.

        Raises:
            TemporaryError: the store did not answer.
            PermanentError: the store refused.
        """
        await self._store.save(workload, uid, documents)

    async def forget(self, workload: WorkloadId) -> None:
        """Drop what is stored of a workload that is gone, unless it is of a new one of its name."""
        view = self._view(workload)
        await self._store.forget(workload, view.uid_of(workload) if view else "")

    async def rights(self, workload: WorkloadId) -> Rights:
        """Ask what the guard may do to this workload.

        Raises:
            TemporaryError: the API server did not answer.
            PermanentError: it does not answer this question.
        """
        return await self._reviews.rights(workload)

    async def stated(self, workload: WorkloadId) -> tuple[str, ...]:
        """The fields that a pause changes and the team's own manifest states.

        By what the last apply left behind; Helm leaves nothing of the kind.

        Raises:
            TemporaryError: the API server did not answer, or not now.
            PermanentError: it refused.
        """
        return await stated(self._api, workload)

    async def post_event(self, namespace: str, body: Mapping[str, Any]) -> None:
        """Create an Event, or find that it is there already.

        Raises:
            TemporaryError: try again later.
            PermanentError: it will never be taken.
        """
        await post_event(self._api, namespace, body)

    async def close(self) -> None:
        """End every watch and connection. Idempotent."""
        if self._changes is not None:
            self._changes.end()
        await self._unwatch()
        await self._api.close()
