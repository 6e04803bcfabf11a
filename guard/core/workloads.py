"""Workloads, revisions and pods as the guard sees them: the whole present truth, not a diff.

Every platform reduces its own objects to these. Times are seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """What the guard may do to a workload."""

    OFF = "off"
    OBSERVE = "observe"
    ACT = "act"


@dataclass(frozen=True, slots=True, order=True)
class WorkloadId:
    """Names one workload: `platform/namespace/name`."""

    platform: str
    namespace: str
    name: str
    kind: str = "Deployment"

    def __str__(self) -> str:
        return f"{self.platform}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Revision:
    """One immutable version of a workload's template.

    Attributes:
        hash: the platform's own name for it (`pod-template-hash`); pods carry it.
        content: the guard's hash of the template without its annotations: two templates that
            differ in annotations alone are one revision for law 7.
        number: the platform's revision number (a template may return under a new number).
        uid: uid of the ReplicaSet (or what stands for it).
        created_at: when the platform made it.
        images: the containers' images, in template order.
    """

    hash: str
    content: str
    number: int
    uid: str
    created_at: float
    images: tuple[str, ...] = ()

    def same_as(self, other: Revision) -> bool:
        """Whether both are one template.

        By the platform's own name for it first: an API server's upgrade changes defaults, and
        with them the content of what was stored before it.
        """
        return self.hash == other.hash or self.content == other.content


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container's last run ended."""

    code: int
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod, its specification and status.

    Attributes:
        ports: (name, number) of each declared port; the name may be empty.
        started_at: start of the present run, None while it does not run.
        restarts: the platform's restart count.
        waiting: the platform's own word for why it does not run yet, e.g. `ErrImagePull`.
        message: the platform's words about `waiting`, safe to show (never a template's text).
        last_exit: how the run before this one ended (or the only one, when it ended).
    """

    name: str
    image: str = ""
    ready: bool = False
    restarts: int = 0
    started_at: float | None = None
    waiting: str | None = None
    message: str = ""
    last_exit: Exit | None = None
    init: bool = False
    ports: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """One kubelet probe. `period` in seconds; `port` already resolved to a number."""

    kind: str  # readiness | liveness | startup
    container: str
    handler: str  # http | tcp | exec | grpc
    path: str = ""
    port: int = 0
    scheme: str = "http"
    period: float = 10.0


ENDED = frozenset({"Failed", "Succeeded"})
"""Phases of a pod that has ended."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod (task, container group) of a workload.

    Attributes:
        revision: the revision's hash, from the owner by the platform's API, never from names.
        address: the host that answers for the pod (its IP; 127.0.0.1 on the local platform, where
            each pod has port numbers of its own); never with a port. None until it has one.
        ready: the Ready condition now; `ready_at` when it last became true.
        deleted_at: the deletionTimestamp; from then on the pod counts for neither side.
        unschedulable: the scheduler's reason while it cannot be placed.
        evicted: reason where the pod ended by eviction, preemption or a lost node.
        annotations: those that say where to scrape (`prometheus.io/…`), and no others.
    """

    uid: str
    name: str
    namespace: str
    revision: str
    created_at: float
    address: str | None = None
    node: str = ""
    phase: str = "Running"
    ready: bool = False
    ready_at: float | None = None
    deleted_at: float | None = None
    unschedulable: str | None = None
    evicted: str | None = None
    containers: tuple[Container, ...] = ()
    probes: tuple[Probe, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()

    @property
    def living(self) -> bool:
        """Whether it is neither going nor ended: an evicted pod stays as an object for hours."""
        return self.deleted_at is None and self.phase not in ENDED


@dataclass(frozen=True, slots=True)
class GuardPause:
    """The guard's own pause of a workload, as its marks say it (architecture.md, The pause).

    Attributes:
        candidate: hash of the revision that is judged under it.
        since: when it came in force, seconds since the epoch; 0 where nothing says it.
        in_force: False where someone else has set what the guard had set: a person goes on.
        previous: what it changed, in the platform's own words, to be put back; may be lost.
    """

    candidate: str
    since: float = 0.0
    in_force: bool = True
    previous: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One workload, whole, at one time.

    Attributes:
        uid: uid of the workload's object; a new object under an old name is another workload.
        current: the revision that the workload's template leads to (not yet judged by us).
        revisions: every revision the platform still holds, newest first, `current` included.
        replicas: desired pods.
        complete: all desired pods are of `current`, available, none of another revision left.
        observed: the platform's controller has seen the newest template.
        paused: a person paused it (`spec.paused`).
        mode: what the workload's own label says, None without one.
        opted_in: the workload asks by label to be guarded.
        progress_deadline: seconds after which the platform itself calls a rollout stuck; while
            the guard pauses it, and so with the three next: the team's own value.
        min_ready: seconds for which a ready pod must stay so until it counts as available.
        max_surge, max_unavailable: pods more and pods fewer than desired that a rolling update
            may have, resolved from percentages.
        replica_failure: the platform's reason why it cannot create pods, e.g. a quota.
        migration: the init container that looks as if it migrates a database, if there is one.
        change_cause: the platform's record of who or what changed the template.
        strategy: `RollingUpdate` or `Recreate`.
        itself: this workload is the guard.
        pause: the guard's own pause, None without its marks; while one is in force the workload
            is never `complete`.
    """

    workload: WorkloadId
    uid: str
    generation: int
    at: float
    current: Revision
    replicas: int
    revisions: tuple[Revision, ...] = ()
    pods: tuple[Pod, ...] = ()
    complete: bool = False
    observed: bool = True
    paused: bool = False
    mode: Mode | None = None
    opted_in: bool = False
    progress_deadline: float = 600.0
    replica_failure: str | None = None
    migration: str | None = None
    change_cause: str = ""
    strategy: str = "RollingUpdate"
    itself: bool = False
    pause: GuardPause | None = None
    min_ready: float = 0.0
    max_surge: int = 1
    max_unavailable: int = 0

    def pods_of(self, hashes: frozenset[str]) -> tuple[Pod, ...]:
        """The pods of the given revisions, also those that are going."""
        return tuple(pod for pod in self.pods if pod.revision in hashes)

    def due(self, hashes: frozenset[str]) -> int:
        """How many pods these revisions are to have now.

        All desired ones; while the guard's pause is in force those that the platform has brought
        up, for it brings up no more.
        """
        if self.pause is None or not self.pause.in_force or not self.replicas:
            return self.replicas
        return max(1, sum(pod.living for pod in self.pods_of(hashes)))

    def ready(self, hashes: frozenset[str]) -> int:
        """How many pods of these revisions are ready and not going."""
        return sum(pod.ready and pod.deleted_at is None for pod in self.pods_of(hashes))

    def hashes_of(self, wanted: Revision) -> frozenset[str]:
        """The platform's hashes of every revision that is the same template as this one."""
        held = (*self.revisions, self.current)
        return frozenset(one.hash for one in held if one.same_as(wanted))


@dataclass(frozen=True, slots=True)
class Gone:
    """The workload was deleted."""

    workload: WorkloadId
    at: float
