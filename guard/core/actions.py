"""Actions on a workload: what is intended, what came of it, and what the guard may do.

Intent first: an `Intent` is written into the record before `Platform.rollback` is called with
it, and calling it twice does not act twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from guard.core.workloads import Revision, WorkloadId


@dataclass(frozen=True, slots=True)
class KnownGood:
    """The revision a rollback leads to, whose template the guard keeps (law 5).

    Attributes:
        why: how it came to be trusted, one sentence.
        since: when it was taken as known good.
        assumed: no such knowledge: the oldest revision with ready pods when the guard came.
    """

    revision: Revision
    since: float
    why: str
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class Intent:
    """A rollback that was decided, bound to the very candidate it was decided on.

    Attributes:
        id: the same for every attempt at the same rollback.
        uid: uid of the workload's object.
        decided_at: seconds since the epoch.
        cause: one line for the platform's change-cause; no secret, at most 200 characters.
        previous: what the guard's pause changed, as the record has it (see `GuardPause`).
    """

    id: str
    workload: WorkloadId
    uid: str
    candidate: Revision
    known_good: KnownGood
    decided_at: float
    cause: str
    previous: str = ""


@dataclass(frozen=True, slots=True)
class PauseIntent:
    """A pause at the pods of a step, or its end, bound to the candidate it was decided on.

    Attributes:
        uid: uid of the workload's object.
        narrow: bring up as few candidate pods as the platform can.
        decided_at: seconds since the epoch.
        previous: for the end: what the pause changed, as the record has it (see `GuardPause`).
        after: when the pause before it ended, seconds since the epoch: it is marked as no earlier,
            whatever this guard's clock says, so that nobody takes the one for the other.
    """

    workload: WorkloadId
    uid: str
    candidate: Revision
    decided_at: float
    narrow: bool = True
    previous: str = ""
    after: float = 0.0


class OutcomeKind(StrEnum):
    """What came of an action."""

    PATCHED = "patched"
    ALREADY = "already"  # the known-good template is in force already
    SUPERSEDED = "superseded"  # another template than the one decided on is in force
    REFUSED = "refused"  # for good: admission, rights, nothing kept to go back to
    UNAVAILABLE = "unavailable"  # for now: try again


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt. `detail` never holds the platform's raw error text.

    Attributes:
        by_guard: for ALREADY: the template came back by this intent (an earlier attempt whose
            outcome was lost), not by a person.
        previous: of a pause: what it changed, for the record (see `GuardPause`). The platform shows
            it too, a moment later, and somebody may have wiped it out by then.
    """

    kind: OutcomeKind
    at: float
    detail: str = ""
    by_guard: bool = False
    warnings: tuple[str, ...] = ()
    previous: str = ""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The rollback sent as a dry run. `possible` None: it could not be rehearsed."""

    possible: bool | None
    at: float
    detail: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rights:
    """What the platform lets the guard do to one workload.

    Attributes:
        missing: the rights it lacks, as `verb resource in namespace`.
        may_see: it may list workloads there, so that one it does not see is not there.
    """

    may_patch: bool
    missing: tuple[str, ...] = ()
    may_see: bool = True
