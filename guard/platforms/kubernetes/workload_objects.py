"""Deployments and their ReplicaSets, reduced to what the guard judges by.

A template passes through here and only its hash, its images and the name of a migration stay.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from guard.core import names
from guard.core.workloads import GuardPause, Mode, Revision
from guard.platforms.kubernetes import pause, rolling
from guard.platforms.kubernetes.objects import Template, condition, seconds
from guard.platforms.kubernetes.templates import LABEL_HASH, content, migrates

if TYPE_CHECKING:
    from guard.platforms.kubernetes.objects import DeploymentObject, ReplicaSetObject, Strings

CAUSE_AT_MOST: Final = 200

_ASSIGNED: Final = re.compile(r"(\b[A-Za-z_][\w.-]*)=\S+")


@dataclass(frozen=True, slots=True)
class Deployment:
    """A Deployment.

    Attributes:
        owner: `namespace/name`, under which it is found.
        number: its revision annotation, 0 without one.
        content: the content hash of its template.
        observed: its controller has seen this generation.
        updated: `total`, `available`: pods by the controller's count.
        mode_unknown: what the mode label says where that is no mode.
        pause: the guard's own; while it is in force `progress_deadline`, `min_ready`, `max_surge`
            and `max_unavailable` are what it was before.
    """

    uid: str
    owner: str
    namespace: str
    name: str
    generation: int
    number: int
    content: str
    observed: bool
    replicas: int
    updated: int
    total: int
    available: int
    paused: bool
    mode: Mode | None
    mode_unknown: str
    opted_in: bool
    progress_deadline: float
    replica_failure: str | None
    change_cause: str
    strategy: str
    pause: GuardPause | None
    min_ready: float
    max_surge: int
    max_unavailable: int


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """A ReplicaSet, owned by a Deployment's uid, as the revision that it stands for."""

    uid: str
    owner: str
    namespace: str
    deployment: str
    revision: Revision
    migration: str | None


def read_deployment(seen: DeploymentObject) -> Deployment:
    """Reduce a Deployment."""
    metadata, spec, status = seen.metadata, seen.spec, seen.status
    annotations = metadata.annotations or {}
    generation = metadata.generation or 0
    mode, unknown = _mode(metadata.labels)
    failure = condition(status.conditions, "ReplicaFailure")
    replicas = 1 if spec.replicas is None else spec.replicas
    shown = pause.shown(metadata.labels or {}, annotations, spec.min_ready_seconds)
    own = rolling.read(spec, shown[1] if shown and shown[0].in_force else {})
    surge, unavailable = own.pods(replicas)
    return Deployment(
        uid=metadata.uid,
        owner=f"{metadata.namespace}/{metadata.name}",
        namespace=metadata.namespace,
        name=metadata.name,
        generation=generation,
        number=_number(annotations),
        content=content(msgspec.json.decode(spec.template)),
        observed=(status.observed_generation or 0) >= generation,
        replicas=replicas,
        updated=status.updated_replicas or 0,
        total=status.replicas or 0,
        available=status.available_replicas or 0,
        paused=bool(spec.paused),
        mode=mode,
        mode_unknown=unknown,
        opted_in=opted_in(metadata.labels),
        progress_deadline=own.progress_deadline,
        replica_failure=(failure.reason or "ReplicaFailure") if failure else None,
        change_cause=_cause(annotations.get(names.ANNOTATION_CHANGE_CAUSE, "")),
        strategy=(spec.strategy.type if spec.strategy else None) or "RollingUpdate",
        pause=shown[0] if shown else None,
        min_ready=own.min_ready,
        max_surge=surge,
        max_unavailable=unavailable,
    )


def read_replicaset(seen: ReplicaSetObject, owner: str, deployment: str) -> ReplicaSet:
    """Reduce a ReplicaSet.

    Args:
        seen: the API's object.
        owner: uid of its Deployment.
        deployment: name of its Deployment.
    """
    metadata = seen.metadata
    template = msgspec.json.decode(seen.spec.template, type=Template).spec
    revision = Revision(
        hash=(metadata.labels or {}).get(LABEL_HASH) or metadata.uid,
        content=content(msgspec.json.decode(seen.spec.template)),
        number=_number(metadata.annotations or {}),
        uid=metadata.uid,
        created_at=seconds(metadata.creation_timestamp) or 0.0,
        images=tuple(one.image or "" for one in template.containers or ()),
    )
    migration = next(
        (
            one.name
            for one in template.init_containers or ()
            if migrates((*(one.command or ()), *(one.args or ())))
        ),
        None,
    )
    return ReplicaSet(
        uid=metadata.uid,
        owner=owner,
        namespace=metadata.namespace,
        deployment=deployment,
        revision=revision,
        migration=migration,
    )


def opted_in(labels: Strings) -> bool:
    """Whether the labels ask for the guard."""
    return (labels or {}).get(names.LABEL_GUARD, "").lower() == "true"


def _mode(labels: Strings) -> tuple[Mode | None, str]:
    """The mode label; one that cannot be read forbids to act, and is told."""
    text = (labels or {}).get(names.LABEL_MODE)
    if text is None:
        return None, ""
    try:
        return Mode(text.lower()), ""
    except ValueError:
        return Mode.OBSERVE, text or "(empty)"


def _number(annotations: dict[str, str]) -> int:
    text = annotations.get(names.ANNOTATION_REVISION, "")
    return int(text) if text.isdecimal() else 0


def _cause(text: str) -> str:
    """A change-cause on one line; a recorded command line keeps no value that it sets."""
    line = " ".join(text.split())[:CAUSE_AT_MOST]
    return _ASSIGNED.sub(r"\1=…", line) if line.startswith("kubectl") else line
