"""Records: a rollout's whole story, and what the guard remembers of a workload between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from guard.core.actions import KnownGood, Rehearsal
from guard.core.checks.alerts import AlertsState
from guard.core.checks.counted_state import CountedState
from guard.core.checks.health import HealthState
from guard.core.checks.pods import PodsState
from guard.core.checks.promql import PromqlState
from guard.core.findings import Finding
from guard.core.states import Note, State
from guard.core.ticks import Frame, Youth
from guard.core.workloads import Mode, Revision, WorkloadId

VERSION = 1
"""Version of the stored documents; a reader refuses a newer one instead of guessing."""
TIMELINE_AT_MOST = 200
"""Entries of one record's timeline. The newest of the middle go first: begin and end stay."""
RECORDS_AT_MOST = 10
"""Ended records kept for a workload."""
ROLLED_BACK_AT_MOST = 50
"""Content hashes of rolled-back revisions kept for law 7."""

CheckState = CountedState | HealthState | PodsState | PromqlState | AlertsState


@dataclass(frozen=True, slots=True)
class Record:
    """One rollout.

    Attributes:
        state: where it stands, with the case that never changes.
        frame: what was fixed for the checks when it began.
        checks: each check's evidence, the checkpoint of decisions.md, After a restart.
        findings: what each check said at the last tick.
        timeline: what happened, oldest first.
    """

    state: State
    mode: Mode
    frame: Frame
    checks: Mapping[str, CheckState] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    timeline: tuple[Note, ...] = ()
    rehearsal: Rehearsal | None = None
    version: int = VERSION

    @property
    def id(self) -> str:
        """The rollout's name."""
        return self.state.case.rollout


def noted(record: Record, note: Note) -> Record:
    """Add a line to the timeline, bounded."""
    timeline = (*record.timeline, note)
    if len(timeline) > TIMELINE_AT_MOST:
        half = TIMELINE_AT_MOST // 2
        timeline = timeline[:half] + timeline[-half:]
    return replace(record, timeline=timeline)


@dataclass(frozen=True, slots=True)
class Unproven:
    """A revision that ended `unproven` and serves: trusted after `trust_after` without trouble.

    Attributes:
        clean_since: since when it has served without trouble, seconds since the epoch.
        trust_after: seconds, from the policy it was judged by.
    """

    revision: Revision
    clean_since: float
    trust_after: float
    youth: Mapping[str, Youth] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Memory:
    """What the guard knows of one workload between rollouts.

    Attributes:
        uid: the workload's object: a new object under an old name starts anew.
        known_good: what a rollback leads to; its template is kept by the platform.
        rolled_back: content hashes, oldest first.
        rollbacks: when the guard rolled this workload back, for the circuit breaker.
        youth: what the known-good revision's pods did when young, by check name.
    """

    workload: WorkloadId
    uid: str
    known_good: KnownGood | None = None
    rolled_back: tuple[str, ...] = ()
    rollbacks: tuple[float, ...] = ()
    unproven: Unproven | None = None
    youth: Mapping[str, Youth] = field(default_factory=dict)
    version: int = VERSION


def remember_rollback(memory: Memory, content: str, at: float) -> Memory:
    """Note that a revision was rolled back (law 7)."""
    if content in memory.rolled_back:
        return memory
    return replace(
        memory,
        rolled_back=(*memory.rolled_back, content)[-ROLLED_BACK_AT_MOST:],
        rollbacks=(*memory.rollbacks, at)[-ROLLED_BACK_AT_MOST:],
    )


def trust(memory: Memory, good: KnownGood, youth: Mapping[str, Youth]) -> Memory:
    """Take a revision as known good. One that is trusted again was not bad after all."""
    return replace(
        memory,
        known_good=good,
        unproven=None,
        youth=dict(youth),
        rolled_back=tuple(c for c in memory.rolled_back if c != good.revision.content),
    )
