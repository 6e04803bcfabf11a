"""What the guard sees of one namespace, or of all: Deployments, and what hangs on followed ones.

Three watches, three connections: an object may show up before its owner does. What was let pass
for want of an owner is listed anew when the owner comes, so that nothing is ever missed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from guard.core.workloads import Gone, WorkloadId
from guard.platforms.kubernetes.shelves import Deployments, Pods, ReplicaSets
from guard.platforms.kubernetes.snapshots import build, workload_id
from guard.platforms.kubernetes.watch import ListWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from guard.core.workloads import Snapshot
    from guard.platforms.kubernetes.api import Api
    from guard.platforms.kubernetes.objects import Head
    from guard.platforms.kubernetes.workload_objects import Deployment, ReplicaSet


def path_of(group: str, namespace: str, resource: str) -> str:
    """The path of a list; an empty namespace means all."""
    where = f"/namespaces/{namespace}" if namespace else ""
    return f"{group}{where}/{resource}"


class View:
    """Keeps the present truth of the followed Deployments of one namespace, or of all."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        own: WorkloadId,
        mark: Callable[[WorkloadId], None],
    ) -> None:
        """Start with nothing seen; `mark` is called for each workload that changed."""
        self.namespace = namespace
        self.mark = mark
        self.deployments = Deployments(self)
        self.replicasets = ReplicaSets(self)
        self.pods = Pods(self)
        self._own = own
        self._followed: frozenset[str] = frozenset()
        self._shown: dict[WorkloadId, str] = {}
        self._in_full: set[str] = set()
        self._watch_deployments = ListWatch(
            api, path_of("/apis/apps/v1", namespace, "deployments"), self.deployments
        )
        self._watch_replicasets = ListWatch(
            api, path_of("/apis/apps/v1", namespace, "replicasets"), self.replicasets
        )
        self._watch_pods = ListWatch(api, path_of("/api/v1", namespace, "pods"), self.pods)

    async def run(self) -> None:
        """Watch until cancelled; owners first, so that their objects are known as wanted."""
        async with asyncio.TaskGroup() as group:
            for watch in (self._watch_deployments, self._watch_replicasets, self._watch_pods):
                group.create_task(watch.run())
                await watch.synced.wait()

    @property
    def trouble(self) -> str:
        """Why one of the watches gets no answer now; empty while all do."""
        watches = (self._watch_deployments, self._watch_replicasets, self._watch_pods)
        return next((watch.trouble for watch in watches if watch.trouble), "")

    @property
    def synced(self) -> asyncio.Event:
        """Set once every Deployment there is has been seen."""
        return self._watch_deployments.synced

    def existing(self) -> set[WorkloadId]:
        """Every Deployment that was there at the last list or came since, followed or not."""
        keys = {one.owner for one in self.deployments.items.values()} | self.deployments.passed
        return {workload_id(*key.split("/", 1)) for key in keys}

    def follow(self, workloads: Iterable[WorkloadId]) -> None:
        """Follow these by name."""
        before, self._followed = (
            self._followed,
            frozenset(f"{one.namespace}/{one.name}" for one in workloads),
        )
        if any(not self.deployments.of(key) for key in self._followed - before):
            self._watch_deployments.relist()
        for deployment in self.deployments.items.values():
            self.fetch(deployment)
            if deployment.uid in self._in_full and not self.follows(deployment):
                self.mark(workload_id(deployment.namespace, deployment.name))

    def by_name(self, key: str) -> bool:
        """Whether `namespace/name` is followed by name."""
        return key in self._followed

    def follows(self, deployment: Deployment) -> bool:
        """Whether a Deployment is followed, by name or by its own label."""
        return deployment.opted_in or self.by_name(deployment.owner)

    def showed(self, head: Head) -> bool:
        """Whether this Deployment was shown once: its end must be told then."""
        metadata = head.metadata
        shown = self._shown.get(workload_id(metadata.namespace, metadata.name))
        return shown == metadata.uid

    def uid_of(self, workload: WorkloadId) -> str:
        """The uid of a Deployment that is kept; empty without one."""
        found = self.deployments.of(f"{workload.namespace}/{workload.name}")
        return next((one.uid for one in found), "")

    def look(self, workload: WorkloadId, at: float) -> Snapshot | Gone | None:
        """Look at one workload; None where nothing can be said (yet)."""
        found = self.deployments.of(f"{workload.namespace}/{workload.name}")
        deployment = next(iter(found), None)
        if deployment is None:
            return Gone(workload, at) if self._shown.pop(workload, None) else None
        if deployment.uid not in self._in_full:
            behind = self._watch_replicasets.behind or self._watch_pods.behind
            if behind or not self.follows(deployment):
                return None
        sets = self.replicasets.of(deployment.uid)
        pods = {one.uid: self.pods.of(one.uid) for one in sets}
        snapshot = build(deployment, sets, pods, at, self._own)
        if snapshot is not None:
            self._shown[workload] = deployment.uid
            self._in_full.add(deployment.uid)
        if not self.follows(deployment):
            self._let_go(deployment)
        return snapshot

    def _let_go(self, deployment: Deployment) -> None:
        """Keep a Deployment that is followed no longer, but nothing of what hangs on it."""
        self._in_full.discard(deployment.uid)
        self.replicasets.drop(deployment.uid)

    # What the shelves tell.

    def fetch(self, deployment: Deployment) -> None:
        """List ReplicaSets anew if this followed Deployment's were let pass."""
        if self.follows(deployment) and self.replicasets.let_pass(deployment.uid):
            self._watch_replicasets.relist()

    def fetch_pods(self, replicaset: ReplicaSet) -> None:
        """List pods anew if this ReplicaSet's were let pass."""
        if self.pods.let_pass(replicaset.uid):
            self._watch_pods.relist()

    def lost(self, deployment: Deployment) -> None:
        """A Deployment is gone."""
        self._in_full.discard(deployment.uid)

    def mark_waiting(self) -> None:
        """Look again at whatever could not be shown for want of its ReplicaSets or pods."""
        for deployment in self.deployments.items.values():
            if deployment.uid not in self._in_full:
                self.mark(workload_id(deployment.namespace, deployment.name))
