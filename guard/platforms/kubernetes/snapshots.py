"""One Deployment with its ReplicaSets and pods as one `Snapshot`.

A rollout is a new current ReplicaSet, and which one that is says the controller, by the revision
numbers that it writes. A pod belongs to the ReplicaSet that owns it by uid, never by names or
labels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from guard.core.workloads import Snapshot, WorkloadId

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from guard.core.workloads import Pod, Revision
    from guard.platforms.kubernetes.pods import OwnedPod
    from guard.platforms.kubernetes.workload_objects import Deployment, ReplicaSet

PLATFORM = "kubernetes"


def workload_id(namespace: str, name: str) -> WorkloadId:
    """The name of a Deployment."""
    return WorkloadId(PLATFORM, namespace, name)


def build(
    deployment: Deployment,
    replicasets: Collection[ReplicaSet],
    pods: Mapping[str, Iterable[OwnedPod]],
    at: float,
    own: WorkloadId,
) -> Snapshot | None:
    """Put a snapshot together.

    Args:
        deployment: the Deployment.
        replicasets: those that it owns.
        pods: of each ReplicaSet's uid.
        at: seconds since the epoch.
        own: the guard's own Deployment.

    Returns:
        None while no ReplicaSet stands for any revision.
    """
    found = current(deployment, replicasets)
    if found is None:
        return None
    held, observed = found
    every = tuple(sorted(_pods(replicasets, pods), key=lambda pod: (pod.created_at, pod.name)))
    workload = workload_id(deployment.namespace, deployment.name)
    return Snapshot(
        workload=workload,
        uid=deployment.uid,
        generation=deployment.generation,
        at=at,
        current=held.revision,
        replicas=deployment.replicas,
        revisions=tuple(sorted((one.revision for one in replicasets), key=_age, reverse=True)),
        pods=every,
        complete=observed and not _held(deployment) and _complete(deployment, held, every),
        observed=observed,
        paused=deployment.paused,
        mode=deployment.mode,
        opted_in=deployment.opted_in,
        progress_deadline=deployment.progress_deadline,
        replica_failure=deployment.replica_failure,
        migration=held.migration,
        change_cause=deployment.change_cause,
        strategy=deployment.strategy,
        itself=workload == own,
        pause=deployment.pause,
        min_ready=deployment.min_ready,
        max_surge=deployment.max_surge,
        max_unavailable=deployment.max_unavailable,
    )


def current(
    deployment: Deployment, replicasets: Collection[ReplicaSet]
) -> tuple[ReplicaSet, bool] | None:
    """Find the ReplicaSet that the template leads to.

    The Deployment's annotation alone is not enough: whoever applies an old backup of the object
    puts an old number there, until the controller writes it anew. The template alone is not either:
    a new API server may read one back with other defaults than the other.

    Returns:
        The ReplicaSet, and whether the controller has brought it in line with the template.
    """
    if not replicasets:
        return None
    if not deployment.observed:
        # The numbers of ReplicaSets are the controller's own: the highest is its last word.
        return _newest(replicasets), False
    numbered = [one for one in replicasets if one.revision.number == deployment.number > 0]
    alike = [one for one in replicasets if one.revision.content == deployment.content]
    both = [one for one in numbered if one in alike]
    if both:
        return _newest(both), True
    if alike:
        return _newest(alike), False
    if numbered:
        return _newest(numbered), True
    return _newest(replicasets), False


def _held(deployment: Deployment) -> bool:
    return deployment.pause is not None and deployment.pause.in_force


def _newest(replicasets: Collection[ReplicaSet]) -> ReplicaSet:
    return max(replicasets, key=lambda one: _age(one.revision))


def _age(revision: Revision) -> tuple[int, float]:
    return revision.number, revision.created_at


def _pods(
    replicasets: Iterable[ReplicaSet], pods: Mapping[str, Iterable[OwnedPod]]
) -> Iterator[Pod]:
    for one in replicasets:
        for owned in pods.get(one.uid, ()):
            yield replace(owned.pod, revision=one.revision.hash)


def _complete(deployment: Deployment, held: ReplicaSet, pods: Iterable[Pod]) -> bool:
    """As `kubectl rollout status` says it, and no pod of another revision lives on."""
    left = any(pod.revision != held.revision.hash and pod.living for pod in pods)
    return (
        not left
        and deployment.updated >= deployment.replicas
        and deployment.total <= deployment.updated
        and deployment.available >= deployment.updated
    )
