"""Standing troubles of the guard itself with one workload: each told once, and once resolved.

A trouble that is seen again at every look is one story and not a stream of pages.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from guard.core.notices import Notice, Severity, Stage

if TYPE_CHECKING:
    from guard.core.states import Case
    from guard.core.workloads import WorkloadId
    from guard.engine.world import World


FAILURES_TOLD = 3
"""Failures of a task in a row after which people are told: 7 s after the first."""
SOUND_AFTER = 60.0
"""Seconds after which a task that began again after a defect is taken as sound."""


class Trouble(Enum):
    """What may stand in the guard's own way: its reason, how bad it is, and its first line."""

    MEMORY = (
        "MemoryUnreadable",
        Severity.CRITICAL,
        "NOT GUARDED: what the guard remembers of it cannot be read",
    )
    RECORD = (
        "RecordNotWritten",
        Severity.CRITICAL,
        "the guard cannot write its record: it judges and tells, but rolls nothing back meanwhile",
    )
    TEMPLATE = (
        "TemplateNotKept",
        Severity.WARNING,
        "the template now in force could not be kept: nothing can be rolled back to it",
    )
    ROLLBACK = (
        "RollbackDelayed",
        Severity.CRITICAL,
        "the rollback is decided and NOT DONE: the bad release is serving",
    )
    PAUSE = (
        "ResumeDelayed",
        Severity.CRITICAL,
        "it is to go on and is STILL HELD: the guard cannot let it go",
    )
    WARDEN = (
        "GuardFails",
        Severity.CRITICAL,
        "NOT GUARDED: the guard's own task for this workload fails again and again",
    )
    TASK = (
        "NotJudged",
        Severity.CRITICAL,
        "NOT JUDGED: the guard's own task for this rollout fails again and again",
    )

    @property
    def reason(self) -> str:
        """Typed, in CamelCase, as Kubernetes Events use it."""
        return self.value[0]

    @property
    def severity(self) -> Severity:
        """How soon a person must look."""
        return self.value[1]

    @property
    def words(self) -> str:
        """What stands in the first line after the service's name."""
        return self.value[2]


class Troubles:
    """The standing troubles of one workload."""

    def __init__(self, world: World, workload: WorkloadId) -> None:
        """Start without any."""
        self._world = world
        self._workload = workload
        self._open: set[Trouble] = set()
        self._service = workload.name
        self._owner = ""

    def concern(self, service: str, owner: str) -> None:
        """Name whose troubles these are."""
        self._service = service
        self._owner = owner

    def open(self, trouble: Trouble, why: str, rollout: str = "") -> None:
        """A trouble stands. Tells it the first time only."""
        if trouble in self._open:
            return
        self._open.add(trouble)
        self._tell(trouble, Stage.OPENED, trouble.severity, trouble.words, why, rollout)

    def failing(self, trouble: Trouble, failures: int, rollout: str = "") -> None:
        """A task of the guard failed, so many times in a row."""
        if failures >= FAILURES_TOLD:
            self.open(trouble, f"{failures} times in a row; the guard's log says why", rollout)

    def over(self, trouble: Trouble) -> None:
        """A trouble is over, if it stood."""
        if trouble not in self._open:
            return
        self._open.discard(trouble)
        self._tell(trouble, Stage.RESOLVED, Severity.INFO, f"over: {trouble.words}")

    def all_over(self) -> None:
        """The workload is no longer guarded, so none of them concerns anybody."""
        for trouble in sorted(self._open, key=lambda one: one.reason):
            self.over(trouble)

    def _tell(
        self,
        trouble: Trouble,
        stage: Stage,
        severity: Severity,
        words: str,
        why: str = "",
        rollout: str = "",
    ) -> None:
        notice = Notice(
            key=f"{self._workload}/{trouble.reason}",
            stage=stage,
            severity=severity,
            reason=trouble.reason,
            title=f"{self._service}: {words}",
            workload=self._workload,
            rollout=rollout,
            at=self._world.now(),
            body=why,
            service=self._service,
            owner=self._owner,
        )
        self._world.deliver.tell(notice)


def refused_rehearsal(case: Case, why: str, now: float) -> Notice:
    """A rollback would be refused, said while there is still time (law 6)."""
    return Notice(
        key=f"{case.rollout}/rehearsal",
        stage=Stage.INFORMED,
        severity=Severity.WARNING,
        reason="RehearsalRefused",
        title=f"{case.service}: release {case.candidate.hash} could NOT be rolled back now",
        workload=case.workload,
        rollout=case.rollout,
        at=now,
        body=why,
        service=case.service,
        owner=case.owner,
    )


def failure_over(case: Case, why: str, now: float) -> Notice:
    """The story of a failed rollback ends with what it left serving."""
    return Notice(
        key=f"{case.rollout}/rollback-failed",
        stage=Stage.RESOLVED,
        severity=Severity.INFO,
        reason="RollbackFailed",
        title=f"{case.service}: release {case.candidate.hash} whose rollback failed is gone",
        workload=case.workload,
        rollout=case.rollout,
        at=now,
        body=why,
        service=case.service,
        owner=case.owner,
    )
