"""The three shelves of a view: which Deployments, ReplicaSets and pods are kept, and what follows.

Whose an object is say the owner references, by uid. A name decides only whether a ReplicaSet is
kept whose Deployment has not shown up yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from guard.platforms.kubernetes.objects import DeploymentObject, PodObject, ReplicaSetObject
from guard.platforms.kubernetes.pods import OwnedPod, read_pod
from guard.platforms.kubernetes.shelf import Shelf
from guard.platforms.kubernetes.snapshots import workload_id
from guard.platforms.kubernetes.workload_objects import (
    Deployment,
    ReplicaSet,
    opted_in,
    read_deployment,
    read_replicaset,
)

if TYPE_CHECKING:
    from guard.platforms.kubernetes.objects import Head
    from guard.platforms.kubernetes.view import View

log = structlog.get_logger("guard.kubernetes.view")


class Deployments(Shelf[Deployment]):
    """Followed Deployments, and those that were once."""

    def __init__(self, view: View) -> None:
        """Take the view that this is part of."""
        super().__init__()
        self._view = view

    def owner(self, head: Head) -> str:
        """The key of what an object belongs to."""
        return f"{head.metadata.namespace}/{head.metadata.name}"

    def wants(self, head: Head) -> bool:
        """Whether an object is wanted now."""
        view = self._view
        return view.by_name(self.owner(head)) or opted_in(head.metadata.labels) or view.showed(head)

    def reduce(self, raw: msgspec.Raw, _head: Head, /) -> Deployment:
        """Read an object."""
        return read_deployment(msgspec.json.decode(raw, type=DeploymentObject))

    def changed(self, old: Deployment | None, new: Deployment | None) -> None:
        """An object appeared, changed or went."""
        one = new or old
        assert one is not None
        self._view.mark(workload_id(one.namespace, one.name))
        if new is None:
            self._view.lost(one)
            return
        self._view.fetch(new)
        if new.mode_unknown and (old is None or old.mode_unknown != new.mode_unknown):
            log.warning(
                "mode label unknown, observe is taken",
                workload=new.owner,
                found=new.mode_unknown,
                expected="off, observe or act",
            )

    def listed(self) -> None:
        """Each change was marked already."""


class ReplicaSets(Shelf[ReplicaSet]):
    """ReplicaSets of followed Deployments."""

    def __init__(self, view: View) -> None:
        """Take the view that this is part of."""
        super().__init__()
        self._view = view

    def owner(self, head: Head) -> str | None:
        """The key of what an object belongs to."""
        owner = head.owner("Deployment")
        return None if owner is None else owner.uid

    def wants(self, head: Head) -> bool:
        """Whether an object is wanted now."""
        owner = head.owner("Deployment")
        assert owner is not None
        deployment = self._view.deployments.items.get(owner.uid)
        if deployment is not None:
            return self._view.follows(deployment)
        return self._view.by_name(f"{head.metadata.namespace}/{owner.name}")

    def reduce(self, raw: msgspec.Raw, head: Head, /) -> ReplicaSet:
        """Read an object."""
        owner = head.owner("Deployment")
        assert owner is not None
        seen = msgspec.json.decode(raw, type=ReplicaSetObject)
        return read_replicaset(seen, owner.uid, owner.name)

    def changed(self, old: ReplicaSet | None, new: ReplicaSet | None) -> None:
        """An object appeared, changed or went."""
        one = new or old
        assert one is not None
        self._view.mark(workload_id(one.namespace, one.deployment))
        if new is None:
            self._view.pods.drop(one.uid)
        elif old is None:
            self._view.fetch_pods(new)

    def listed(self) -> None:
        """A whole list was taken in."""
        self._view.mark_waiting()


class Pods(Shelf[OwnedPod]):
    """Pods of those ReplicaSets."""

    def __init__(self, view: View) -> None:
        """Take the view that this is part of."""
        super().__init__()
        self._view = view

    def owner(self, head: Head) -> str | None:
        """The key of what an object belongs to."""
        owner = head.owner("ReplicaSet")
        return None if owner is None else owner.uid

    def wants(self, head: Head) -> bool:
        """Whether an object is wanted now."""
        owner = head.owner("ReplicaSet")
        return owner is not None and owner.uid in self._view.replicasets.items

    def reduce(self, raw: msgspec.Raw, head: Head, /) -> OwnedPod:
        """Read an object."""
        owner = head.owner("ReplicaSet")
        assert owner is not None
        seen = msgspec.json.decode(raw, type=PodObject)
        before = self.items.get(seen.metadata.uid)
        return read_pod(seen, owner.uid, before.pod if before else None)

    def changed(self, old: OwnedPod | None, new: OwnedPod | None) -> None:
        """An object appeared, changed or went."""
        one = new or old
        assert one is not None
        owner = self._view.replicasets.items.get(one.owner)
        if owner is not None:
            self._view.mark(workload_id(owner.namespace, owner.deployment))

    def listed(self) -> None:
        """A whole list was taken in."""
        self._view.mark_waiting()
