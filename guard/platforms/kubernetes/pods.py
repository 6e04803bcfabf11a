"""Pods, reduced to what the guard judges by.

What the kubelet says about a container is shown only where it speaks of images, configuration or
restarts: its other messages repeat commands and their output.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guard.core.workloads import Container, Exit, Pod
from guard.platforms.kubernetes.objects import FALSE, condition, seconds
from guard.platforms.kubernetes.probes import probes

if TYPE_CHECKING:
    from guard.platforms.kubernetes.objects import (
        Condition,
        ContainerSpec,
        ContainerStatus,
        PodObject,
        PodStatus,
        Terminated,
    )

SCRAPE_ANNOTATIONS: Final = "prometheus.io/"

EVICTIONS: Final = frozenset(
    {"Evicted", "Preempted", "Preempting", "NodeLost", "NodeShutdown", "Shutdown", "Terminated"}
)
"""`status.reason` of pods that a node gave up: eviction, preemption, shutdown, loss."""
REJECTIONS: Final = ("OutOf", "NodeAffinity", "UnexpectedAdmissionError")
"""How `status.reason` begins where a kubelet did not take a pod that was placed there."""

SHOWN: Final = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RegistryUnavailable",
    }
)
"""Reasons to wait whose message never holds a text of the template's other than image names."""
MESSAGE_AT_MOST: Final = 600
"""Characters; a message is shortened in its middle, because its end says what is not found."""

_QUERY: Final = re.compile(r"\?[^\s\"']+")
_USER: Final = re.compile(r"://[^\s/@\"']+@")


@dataclass(frozen=True, slots=True)
class OwnedPod:
    """A pod and the uid of the ReplicaSet that owns it; `pod.revision` is still empty."""

    uid: str
    owner: str
    pod: Pod


def read_pod(seen: PodObject, owner: str, before: Pod | None) -> OwnedPod:
    """Reduce a pod.

    Args:
        seen: the API's object.
        owner: uid of its ReplicaSet.
        before: the same pod as it was last seen: the API forgets when it was ready once.
    """
    metadata, status = seen.metadata, seen.status
    running = _running(seen)
    statuses = {
        one.name: one
        for one in (*(status.container_statuses or ()), *(status.init_container_statuses or ()))
    }
    ready = condition(status.conditions, "Ready")
    initial = tuple(one for one in seen.spec.init_containers or () if one not in running)
    pod = Pod(
        uid=metadata.uid,
        name=metadata.name,
        namespace=metadata.namespace,
        revision="",
        created_at=seconds(metadata.creation_timestamp) or 0.0,
        address=status.pod_ip or None,
        node=seen.spec.node_name or "",
        phase=status.phase or "Pending",
        ready=ready is not None,
        ready_at=_ready_at(ready, before),
        deleted_at=_deleted_at(seen),
        unschedulable=_unschedulable(status),
        evicted=_evicted(status),
        containers=(
            *(_container(one, statuses.get(one.name), init=False) for one in running),
            *(_container(one, statuses.get(one.name), init=True) for one in initial),
        ),
        probes=probes(running),
        annotations=_annotations(seen),
    )
    return OwnedPod(uid=pod.uid, owner=owner, pod=pod)


def _running(seen: PodObject) -> tuple[ContainerSpec, ...]:
    """The containers that keep running; a restartable init container is a sidecar."""
    sidecars = [one for one in seen.spec.init_containers or () if one.restart_policy == "Always"]
    return (*(seen.spec.containers or ()), *sidecars)


def _ready_at(ready: Condition | None, before: Pod | None) -> float | None:
    if ready is not None:
        return seconds(ready.last_transition_time)
    return None if before is None else before.ready_at


def _deleted_at(seen: PodObject) -> float | None:
    """When the deletion was asked for: the API's timestamp lies a grace period later."""
    at = seconds(seen.metadata.deletion_timestamp)
    return None if at is None else at - (seen.metadata.deletion_grace_period_seconds or 0.0)


def _unschedulable(status: PodStatus) -> str | None:
    placed = condition(status.conditions, "PodScheduled", FALSE)
    if placed is None:
        return None
    return _shortened(placed.message or placed.reason or "not placed yet")


def _evicted(status: PodStatus) -> str | None:
    if status.reason and (status.reason in EVICTIONS or status.reason.startswith(REJECTIONS)):
        return status.reason
    disruption = condition(status.conditions, "DisruptionTarget")
    return None if disruption is None else disruption.reason or "DisruptionTarget"


def _annotations(seen: PodObject) -> tuple[tuple[str, str], ...]:
    pairs = (seen.metadata.annotations or {}).items()
    return tuple(sorted(pair for pair in pairs if pair[0].startswith(SCRAPE_ANNOTATIONS)))


def _container(spec: ContainerSpec, status: ContainerStatus | None, *, init: bool) -> Container:
    state = status.state if status else None
    waiting = state.waiting if state else None
    running = state.running if state else None
    last = status.last_state if status else None
    ended = (state.terminated if state else None) or (last.terminated if last else None)
    reason = (waiting.reason or "Waiting") if waiting else None
    return Container(
        name=spec.name,
        image=spec.image or "",
        ready=bool(status and status.ready),
        restarts=(status.restart_count or 0) if status else 0,
        started_at=seconds(running.started_at) if running else None,
        waiting=reason,
        message=_message(reason, waiting.message if waiting else None),
        last_exit=_exit(ended) if ended else None,
        init=init,
        ports=tuple(
            (port.name or "", port.container_port)
            for port in spec.ports or ()
            if port.protocol in {None, "TCP"}
        ),
    )


def _exit(ended: Terminated) -> Exit:
    at = seconds(ended.finished_at) or 0.0
    return Exit(code=ended.exit_code, reason=ended.reason or "", at=at)


def _message(reason: str | None, message: str | None) -> str:
    """The kubelet's words, without what a signed URL in them would give away."""
    if reason not in SHOWN or not message:
        return ""
    return _shortened(_USER.sub("://", _QUERY.sub("", message)))


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    if len(text) <= MESSAGE_AT_MOST:
        return text
    half = MESSAGE_AT_MOST // 2 - 1
    return f"{text[:half]} … {text[-half:]}"
