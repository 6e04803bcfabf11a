"""Notices: something to tell a person, with a key that makes it one story."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from guard.core.workloads import WorkloadId


class Stage(StrEnum):
    """Where a story stands."""

    OPENED = "opened"
    UPDATED = "updated"
    RESOLVED = "resolved"
    INFORMED = "informed"  # told once, nothing to resolve


class Severity(StrEnum):
    """How soon a person must look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Notice:
    """One message of one story.

    Attributes:
        key: the same for every message of the story (a rollout's, or a standing trouble's).
        reason: typed, in CamelCase, as Kubernetes Events use it (`RolledBack`).
        title: first line: which service, what happened, what the guard did, is it over.
        body: the lines after it.
    """

    key: str
    stage: Stage
    severity: Severity
    reason: str
    title: str
    workload: WorkloadId
    rollout: str
    at: float
    body: str = ""
    service: str = ""
    owner: str = ""
