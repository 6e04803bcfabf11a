"""What the guard says of a rollout: the only module that knows the shape of its records.

Read from the ConfigMaps in the guard's namespace, which outlive the guard; the HTTP API shows the
same documents.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from guard.core.workloads import WorkloadId
from guard.engine.codec import MEMORY_KEY, RECORD_PREFIX
from guard.platforms.kubernetes.binding import RECORDS, object_name
from tests.e2e.cluster import ApiError

if TYPE_CHECKING:
    from tests.e2e.cluster import Cluster

NOT_FOUND: Final = 404
ENDS: Final = frozenset(
    {"promoted", "unproven", "rolled_back", "superseded", "left", "rollback_failed"},
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a record's timeline."""

    at: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Rollout:
    """One record, reduced to what the scenarios ask. Times are epoch seconds."""

    id: str
    phase: str
    hold: str | None
    verdict: str
    text: str
    candidate: str
    stable: str | None
    began_at: float
    ended_at: float | None
    decided_at: float | None
    timeline: tuple[Entry, ...]
    findings: tuple[dict[str, Any], ...]

    @property
    def ended(self) -> bool:
        """Whether nothing more can come."""
        return self.phase in ENDS

    @property
    def where(self) -> str:
        """The phase, with the reason of a hold."""
        return f"{self.phase}({self.hold})" if self.phase == "held" else self.phase

    def when(self, kind: str) -> float | None:
        """When the timeline first says so."""
        return next((entry.at for entry in self.timeline if entry.kind == kind), None)

    def count(self, kind: str) -> int:
        """How often the timeline says so."""
        return sum(entry.kind == kind for entry in self.timeline)


class Records:
    """The records of one guard."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    async def rollouts(self, namespace: str, name: str) -> list[Rollout]:
        """All records of one workload, oldest first."""
        documents = await self.documents(namespace, name)
        found = [_rollout(d) for d in documents if "rollout" in d]
        return sorted(found, key=lambda rollout: rollout.began_at)

    async def known_good(self, namespace: str, name: str) -> str | None:
        """The hash of the revision that the guard would return to, once it trusts one."""
        for document in await self.documents(namespace, name):
            good = document.get("known_good")
            if good and not good.get("assumed"):
                return str(good["revision"]["hash"])
        return None

    async def served(self) -> list[dict[str, Any]]:
        """What the HTTP API shows."""
        path = (
            f"/api/v1/namespaces/{self._namespace}/services/deployment-guard:8080"
            "/proxy/api/v1/rollouts"
        )
        answer = await self._cluster.get(path)
        return list(answer["rollouts"] if isinstance(answer, dict) else answer)

    async def documents(self, namespace: str, name: str) -> list[dict[str, Any]]:
        """Everything that is stored of one workload."""
        workload = WorkloadId("kubernetes", namespace, name)
        store = f"/api/v1/namespaces/{self._namespace}/configmaps"
        try:
            found = await self._cluster.get(f"{store}/{object_name(RECORDS, workload)}")
        except ApiError as error:
            if error.status == NOT_FOUND:
                return []
            raise
        data = found.get("data") or {}
        kept = [data[key] for key in data if key == MEMORY_KEY or key.startswith(RECORD_PREFIX)]
        return [json.loads(text) for text in kept]


def _rollout(document: dict[str, Any]) -> Rollout:
    intent, stable = document.get("intent"), document.get("stable")
    # A release that is still watched is promoted: for the scenarios its rollout is over.
    watched = document["phase"] == "watching"
    promoted_at = next((e["at"] for e in document["timeline"] if e["kind"] == "promoted"), None)
    return Rollout(
        id=document["rollout"],
        phase="promoted" if watched else document["phase"],
        hold=document.get("hold"),
        verdict=document.get("verdict", ""),
        text=document.get("text", ""),
        candidate=document["candidate"]["hash"],
        stable=stable["hash"] if stable else None,
        began_at=document["began_at"],
        ended_at=promoted_at if watched else document.get("ended_at"),
        decided_at=intent["decided_at"] if intent else None,
        timeline=tuple(Entry(e["at"], e["kind"], e["text"]) for e in document["timeline"]),
        findings=tuple(document.get("findings", ())),
    )
