"""Phases, a rollout's state, the events that move it and the commands that follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from guard.core.actions import Intent, KnownGood, Outcome, PauseIntent
from guard.core.findings import Judgement, Verdict
from guard.core.notices import Notice
from guard.core.policy import Policy, Step
from guard.core.workloads import GuardPause, Mode, Revision, WorkloadId


class Phase(StrEnum):
    """Where a rollout stands (architecture.md, Words)."""

    PROGRESSING = "progressing"
    BAKING = "baking"
    HELD = "held"
    ROLLING_BACK = "rolling_back"
    WATCHING = "watching"
    PROMOTED = "promoted"
    UNPROVEN = "unproven"
    ROLLED_BACK = "rolled_back"
    SUPERSEDED = "superseded"
    LEFT = "left"
    ROLLBACK_FAILED = "rollback_failed"


ENDS = frozenset(
    {
        Phase.PROMOTED,
        Phase.UNPROVEN,
        Phase.ROLLED_BACK,
        Phase.SUPERSEDED,
        Phase.LEFT,
        Phase.ROLLBACK_FAILED,
    }
)


class Hold(StrEnum):
    """Why a rollout is held."""

    SHARED = "shared"  # trouble that stable shares, or that nobody can attribute
    BLIND = "blind"
    INCONCLUSIVE = "inconclusive"
    OBSERVE = "observe"  # failed, and the mode forbids to act
    POLICY = "policy"  # failed, and the policy says hold
    NO_KNOWN_GOOD = "no_known_good"
    SAME_TEMPLATE = "same_template"  # a restart of the known good one
    ONCE = "once"  # this revision was rolled back before
    CIRCUIT_BREAKER = "circuit_breaker"
    MIGRATION = "migration"
    PAUSED = "paused"  # a person paused the workload
    NO_RIGHTS = "no_rights"


class Pacing(StrEnum):
    """Where a rollout stands with the pause of its step."""

    UNPACED = "unpaced"  # its policy does not pace, or it cannot be paced
    PAUSING = "pausing"  # asked for, not seen in force yet
    PAUSED = "paused"  # judged at the pods of its step
    RESUMING = "resuming"  # to go on, not yet done
    ADVANCING = "advancing"  # goes on until it has the pods of its next step
    RESUMED = "resumed"  # the rest of the rollout
    RELEASED = "released"  # a person let it go on


@dataclass(frozen=True, slots=True)
class Case:
    """What is fixed for a rollout's whole life.

    Attributes:
        rollout: `platform/namespace/name@hash#n`.
        uid: uid of the workload's object.
        began_at: seconds since the epoch.
        stable: the known-good revision at the start; None where there was none.
    """

    rollout: str
    workload: WorkloadId
    uid: str
    service: str
    owner: str
    candidate: Revision
    stable: KnownGood | None
    began_at: float
    policy: Policy


@dataclass(frozen=True, slots=True)
class State:
    """Where one rollout stands.

    Attributes:
        since: when `phase` was entered; all times are seconds since the epoch.
        bake_began_at: when the candidate's pods were first all ready.
        elapsed: seconds of judging since then; stands still while held or suspended.
        clock_at: the last tick that moved `elapsed`.
        verify_by: until when a patched rollback must be complete; None before it is patched.
        paused_at: when the platform took the pause of this step; None before.
        resumed_at: when it last went on from a step; None before.
        previous: what the pause changed (see `GuardPause`).
        step: how many pace steps it has gone on by, those included that it had the pods of.
        beside: ready pods of the candidate and of stable when last judged.
    """

    case: Case
    phase: Phase
    since: float
    verdict: Verdict = Verdict.WAIT
    text: str = ""
    hold: Hold | None = None
    bake_began_at: float | None = None
    elapsed: float = 0.0
    clock_at: float | None = None
    blind_since: float | None = None
    blind_told: bool = False
    told_at: float = 0.0
    told_fail: bool = False
    suspended_since: float | None = None
    intent: Intent | None = None
    outcome: Outcome | None = None
    verify_by: float | None = None
    ended_at: float | None = None
    pacing: Pacing = Pacing.UNPACED
    paused_at: float | None = None
    resumed_at: float | None = None
    previous: str = ""
    step: int = 0
    beside: tuple[int, int] = (0, 0)

    @property
    def held_at(self) -> Step | None:
        """The pace step that it is held at, or is about to be; None without one."""
        pace = self.case.policy.pace
        return pace[self.step] if self.step < len(pace) else None

    @property
    def ended(self) -> bool:
        """Whether nothing more can happen to this rollout."""
        return self.phase in ENDS


# Events.


@dataclass(frozen=True, slots=True)
class Facts:
    """What stands for or against acting, at the moment of a verdict.

    Attributes:
        mode: what the guard may do to this workload now.
        rolled_back: content hashes of revisions that were rolled back before (law 7).
        circuit_open: too many rollbacks across all workloads.
        may_patch: False where the platform said that it would refuse.
    """

    mode: Mode
    known_good: KnownGood | None
    rolled_back: frozenset[str] = frozenset()
    circuit_open: bool = False
    paused: bool = False
    may_patch: bool = True
    migration: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """One tick's judgement.

    Attributes:
        pods_ready: every candidate pod that is due is ready.
        complete: the platform has finished the rollout itself.
        replicas: desired pods; 0 suspends.
        pause: the guard's pause as the platform shows it.
        beside: ready pods of the candidate and of stable.
    """

    judgement: Judgement
    facts: Facts
    pods_ready: bool
    complete: bool
    replicas: int
    pause: GuardPause | None = None
    beside: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Superseded:
    """Another template is in force."""

    text: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """The workload is gone."""


@dataclass(frozen=True, slots=True)
class TurnedOff:
    """A person turned the guard off for this workload, or its SLO file went."""


@dataclass(frozen=True, slots=True)
class Acted:
    """One attempt at the rollback had this outcome."""

    outcome: Outcome
    progress_deadline: float = 600.0


@dataclass(frozen=True, slots=True)
class Settling:
    """How far the patched rollback is; `text` says it with numbers.

    Attributes:
        recovered: whether requests are served within the bound again; None: not measured.
    """

    complete: bool
    text: str
    recovered: bool | None = None


@dataclass(frozen=True, slots=True)
class PauseAnswered:
    """One attempt at the pause had this outcome."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class ResumeAnswered:
    """One attempt to let the rollout go on had this outcome."""

    outcome: Outcome


Event = (
    Judged | Superseded | Deleted | TurnedOff | Acted | Settling | PauseAnswered | ResumeAnswered
)


# Commands.


@dataclass(frozen=True, slots=True)
class Note:
    """Add a line to the record's timeline."""

    at: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Save:
    """Write the record now; what follows may rest on it."""


@dataclass(frozen=True, slots=True)
class Act:
    """Roll back by this intent."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class Resume:
    """Let the rollout go on: put back what the pause changed."""

    intent: PauseIntent


@dataclass(frozen=True, slots=True)
class Tell:
    """Deliver a notice."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class Trust:
    """Take the candidate as known good from now on."""

    why: str


Command = Note | Save | Act | Resume | Tell | Trust


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a FAIL is held and not undone."""

    hold: Hold
    text: str = field(default="")
