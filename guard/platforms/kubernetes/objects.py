"""The few fields of the API's objects that the guard reads, by the API's own names.

Anything may be absent or null: what an older or a newer API server leaves out must not end a watch.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypeVar

import msgspec

Strings = dict[str, str] | None
T = TypeVar("T")


class Subset(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Reads only its own fields of an object and skips all others."""


class Owner(Subset, frozen=True):
    """`metadata.ownerReferences[]`."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class HeadMeta(Subset, frozen=True):
    """What says whose an object is."""

    uid: str = ""
    name: str = ""
    namespace: str = ""
    labels: Strings = None
    owner_references: tuple[Owner, ...] | None = None


class Head(Subset, frozen=True):
    """Enough of any object to know whether it is wanted."""

    metadata: HeadMeta

    def owner(self, kind: str) -> Owner | None:
        """The controller of this kind, if one has it."""
        for owner in self.metadata.owner_references or ():
            if owner.controller and owner.kind == kind:
                return owner
        return None


class Meta(HeadMeta, frozen=True):
    """`metadata`."""

    generation: int | None = None
    annotations: Strings = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: float | None = None


class Condition(Subset, frozen=True):
    """`status.conditions[]`."""

    type: str = ""
    status: str = ""
    reason: str | None = None
    message: str | None = None
    last_transition_time: datetime | None = None


Conditions = tuple[Condition, ...] | None


class RollingUpdate(Subset, frozen=True):
    """`spec.strategy.rollingUpdate`: numbers, or percentages of the desired pods."""

    max_surge: int | str | None = None
    max_unavailable: int | str | None = None


class Strategy(Subset, frozen=True):
    """`spec.strategy`."""

    type: str | None = None
    rolling_update: RollingUpdate | None = None


class DeploymentSpec(Subset, frozen=True):
    """`spec` of a Deployment."""

    template: msgspec.Raw
    replicas: int | None = None
    paused: bool | None = None
    progress_deadline_seconds: int | None = None
    min_ready_seconds: int | None = None
    strategy: Strategy | None = None


class DeploymentStatus(Subset, frozen=True):
    """`status` of a Deployment."""

    observed_generation: int | None = None
    replicas: int | None = None
    updated_replicas: int | None = None
    available_replicas: int | None = None
    conditions: Conditions = None


class DeploymentObject(Subset, frozen=True):
    """A Deployment."""

    metadata: Meta
    spec: DeploymentSpec
    status: DeploymentStatus = DeploymentStatus()


class ReplicaSetSpec(Subset, frozen=True):
    """`spec` of a ReplicaSet."""

    template: msgspec.Raw


class ReplicaSetObject(Subset, frozen=True):
    """A ReplicaSet."""

    metadata: Meta
    spec: ReplicaSetSpec


class Port(Subset, frozen=True):
    """`ports[]` of a container."""

    container_port: int = 0
    name: str | None = None
    protocol: str | None = None


class HttpGet(Subset, frozen=True):
    """`httpGet` of a probe."""

    port: int | str = 0
    path: str | None = None
    scheme: str | None = None
    host: str | None = None


class TcpSocket(Subset, frozen=True):
    """`tcpSocket` of a probe."""

    port: int | str = 0
    host: str | None = None


class Grpc(Subset, frozen=True):
    """`grpc` of a probe."""

    port: int = 0


class Exec(Subset, frozen=True):
    """`exec` of a probe; what it runs is nobody's business."""


class ProbeSpec(Subset, frozen=True):
    """A kubelet probe."""

    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    grpc: Grpc | None = None
    exec: Exec | None = None
    period_seconds: float | None = None


class ContainerSpec(Subset, frozen=True):
    """`spec.containers[]` of a pod."""

    name: str = ""
    image: str | None = None
    ports: tuple[Port, ...] | None = None
    readiness_probe: ProbeSpec | None = None
    liveness_probe: ProbeSpec | None = None
    startup_probe: ProbeSpec | None = None
    restart_policy: str | None = None


class TemplateContainer(Subset, frozen=True):
    """A container of a template, with what it runs: looked at once, never kept."""

    name: str = ""
    image: str | None = None
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None


class TemplateSpec(Subset, frozen=True):
    """`spec` of a template."""

    containers: tuple[TemplateContainer, ...] | None = None
    init_containers: tuple[TemplateContainer, ...] | None = None


class Template(Subset, frozen=True):
    """`spec.template`."""

    spec: TemplateSpec = TemplateSpec()


class PodSpec(Subset, frozen=True):
    """`spec` of a pod."""

    node_name: str | None = None
    containers: tuple[ContainerSpec, ...] | None = None
    init_containers: tuple[ContainerSpec, ...] | None = None


class Running(Subset, frozen=True):
    """`state.running`."""

    started_at: datetime | None = None


class Waiting(Subset, frozen=True):
    """`state.waiting`."""

    reason: str | None = None
    message: str | None = None


class Terminated(Subset, frozen=True):
    """`state.terminated`."""

    exit_code: int = 0
    reason: str | None = None
    finished_at: datetime | None = None


class ContainerState(Subset, frozen=True):
    """`state` and `lastState`."""

    running: Running | None = None
    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(Subset, frozen=True):
    """`status.containerStatuses[]`."""

    name: str = ""
    ready: bool | None = None
    restart_count: int | None = None
    state: ContainerState | None = None
    last_state: ContainerState | None = None


class PodStatus(Subset, frozen=True):
    """`status` of a pod."""

    phase: str | None = None
    reason: str | None = None
    pod_ip: str | None = msgspec.field(name="podIP", default=None)
    conditions: Conditions = None
    container_statuses: tuple[ContainerStatus, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None


class PodObject(Subset, frozen=True):
    """A pod."""

    metadata: Meta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


TRUE: Final = "True"
FALSE: Final = "False"


def condition(conditions: Conditions, kind: str, status: str = TRUE) -> Condition | None:
    """The condition of this type if it has this status."""
    for one in conditions or ():
        if one.type == kind and one.status == status:
            return one
    return None


def seconds(moment: datetime | None) -> float | None:
    """Seconds since the epoch."""
    return None if moment is None else moment.timestamp()
