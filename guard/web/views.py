"""What the templates show of a record: words, places and formatted numbers, nothing decided.

A record comes in as `codec.head` writes it: the same document that the API gives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from guard.core.findings import Verdict
from guard.core.quantities import duration
from guard.core.states import ENDS, Hold, Phase
from guard.core.workloads import Mode
from guard.web import words
from guard.web.checks import Check, check
from guard.web.figures import Bar, place
from guard.web.words import Words

if TYPE_CHECKING:
    from collections.abc import Mapping

Head = dict[str, Any]

_PLAIN = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
"""What Kubernetes allows in a name; only such names go into a command to paste."""
_JUDGING = (Phase.PROGRESSING, Phase.BAKING, Phase.HELD)


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision for a person: its hash, and its images without their registries."""

    hash: str
    images: tuple[str, ...]
    number: int
    full_images: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline."""

    at: float
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """A rehearsal, an intent's outcome: what came of it, when, and the platform's warnings."""

    words: Words
    at: float
    detail: str
    warnings: tuple[str, ...]
    after: str = ""


@dataclass(frozen=True, slots=True)
class Clock:
    """How long it was judged; the bar spans the time until the deadline."""

    text: str
    bar: Bar


@dataclass(frozen=True, slots=True)
class Card:
    """One rollout.

    Attributes:
        path: the id, percent-encoded, for links.
        phase: words for the phase, or for the hold where there is one.
        commands: what a person would paste to go back by hand; empty where it is not theirs to.
        needs_person: nobody but a person moves this on.
    """

    id: str
    path: str
    service: str
    owner: str
    workload: str
    kind: str
    phase: Words
    verdict: Words
    sentence: str
    candidate: Revision
    stable: Revision | None
    stable_assumed: bool
    mode: Words
    began_at: float
    ended_at: float | None
    took: str
    clock: Clock | None
    checks: tuple[Check, ...]
    intent: Entry | None
    outcome: Action | None
    verified: Entry | None
    rehearsal: Action | None
    timeline: tuple[Entry, ...]
    command: str
    held: bool
    ended: bool
    needs_person: bool
    rank: int


def card(head: Head) -> Card:
    """Everything that a page shows of one rollout."""
    phase = Phase(head["phase"])
    hold = Hold(head["hold"]) if head["hold"] else None
    workload = head["workload"]
    ended = phase in ENDS
    timeline = _timeline(head["timeline"])
    return Card(
        id=head["rollout"],
        path=quote(head["rollout"], safe=""),
        service=head["service"],
        owner=head["owner"],
        workload=f"{workload['platform']}/{workload['namespace']}/{workload['name']}",
        kind=workload["kind"],
        phase=_phase(head, phase, hold),
        verdict=words.VERDICTS[Verdict(head["verdict"])],
        sentence=head["text"],
        candidate=_revision(head["candidate"]),
        stable=_revision(head["stable"]) if head["stable"] else None,
        stable_assumed=head["stable_assumed"],
        mode=words.MODES[Mode(head["mode"])],
        began_at=head["began_at"],
        ended_at=head["ended_at"],
        took=duration((head["ended_at"] or head["began_at"]) - head["began_at"]),
        clock=_clock(head, phase),
        checks=tuple(check(finding) for finding in head["findings"]),
        intent=_intent(head["intent"]),
        outcome=_outcome(head),
        verified=next((e for e in timeline if e.label == words.NOTES["verified"]), None),
        rehearsal=_rehearsal(head["rehearsal"]),
        timeline=timeline,
        command=_command(head, phase, hold),
        held=hold is not None,
        ended=ended,
        needs_person=_needs_person(head, phase),
        rank=_rank(phase, hold),
    )


def _phase(head: Head, phase: Phase, hold: Hold | None) -> words.Words:
    ready, _ = head["beside"]
    return words.of(phase, hold, ready=ready, suspended=_suspended(head, phase))


def _suspended(head: Head, phase: Phase) -> bool:
    return phase in _JUDGING and head.get("suspended_since") is not None


def _needs_person(head: Head, phase: Phase) -> bool:
    """Held, beyond the guard's reach, or failed while it was told to change nothing."""
    failed = head["verdict"] == Verdict.FAIL.value and phase in (*_JUDGING, Phase.WATCHING)
    return failed or phase in (Phase.HELD, Phase.ROLLBACK_FAILED)


def _rank(phase: Phase, hold: Hold | None) -> int:
    """What comes first on the page: what hurts users now."""
    if phase is Phase.ROLLBACK_FAILED:
        return 0
    if hold is not None:
        return 1 if words.HOLDS[hold].tone == "bad" else 3
    return 2 if phase is Phase.ROLLING_BACK else 4


def _revision(document: Mapping[str, Any]) -> Revision:
    images = tuple(document["images"])
    return Revision(
        hash=document["hash"],
        images=tuple(image.rsplit("/", 1)[-1] for image in images),
        number=document["number"],
        full_images=images,
    )


def _timeline(notes: list[Mapping[str, Any]]) -> tuple[Entry, ...]:
    """Newest first."""
    return tuple(
        Entry(note["at"], words.NOTES.get(note["kind"], note["kind"].capitalize()), note["text"])
        for note in reversed(notes)
    )


# What the guard does, or would do.


def _intent(intent: Mapping[str, Any] | None) -> Entry | None:
    if intent is None:
        return None
    good = intent["known_good"]
    return Entry(intent["decided_at"], good["revision"]["hash"], good["why"])


def _outcome(head: Head) -> Action | None:
    outcome = head["outcome"]
    if outcome is None:
        return None
    decided_at = head["intent"]["decided_at"] if head["intent"] else outcome["at"]
    return Action(
        words=words.OUTCOMES[outcome["kind"]],
        at=outcome["at"],
        detail=outcome["detail"],
        warnings=tuple(outcome["warnings"]),
        after=f"{max(outcome['at'] - decided_at, 0.0):.1f} s",
    )


def _rehearsal(rehearsal: Mapping[str, Any] | None) -> Action | None:
    if rehearsal is None:
        return None
    return Action(
        words=words.REHEARSALS[rehearsal["possible"]],
        at=rehearsal["at"],
        detail=rehearsal["detail"],
        warnings=tuple(rehearsal["warnings"]),
    )


def _clock(head: Head, phase: Phase) -> Clock | None:
    if phase not in _JUDGING:
        return None
    elapsed, bake, deadline = head["elapsed"], head["bake"], head["deadline"]
    judged = f"Judged for {duration(elapsed)}"
    if _suspended(head, phase):
        text = f"{judged}. The clock stands still at 0 replicas."
    elif phase is Phase.HELD:
        text = f"{judged}. The clock stands still while it is held."
    elif phase is Phase.PROGRESSING:
        text = "The clock starts when all new pods are ready."
    elif elapsed < bake:
        text = f"{judged}. Promotion after {duration(bake)} at the earliest."
    else:
        text = (
            f"{judged}. Promotion as soon as the evidence is there, {duration(deadline)} at most."
        )
    bar = Bar(
        filled=place(elapsed, deadline),
        goal=place(bake, deadline),
    )
    return Clock(text=text, bar=bar)


def _command(head: Head, phase: Phase, hold: Hold | None) -> str:
    """The undo to paste: to the revision known good, whatever its number is by now."""
    workload, stable = head["workload"], head["stable"]
    theirs = phase is Phase.ROLLBACK_FAILED or (
        hold is not None and words.HOLDS[hold].tone == "bad" and hold is not Hold.SAME_TEMPLATE
    )
    if not theirs or workload["platform"] != "kubernetes" or stable is None:
        return ""
    parts = (workload["namespace"], workload["name"], workload["kind"].lower(), stable["hash"])
    if head["stable_assumed"] or not all(_PLAIN.fullmatch(part) for part in parts):
        return ""
    namespace, name, kind, good = parts
    number = (
        f"kubectl -n {namespace} get rs -l pod-template-hash={good} -o jsonpath="
        r"'{.items[0].metadata.annotations.deployment\.kubernetes\.io/revision}'"
    )
    return f'kubectl -n {namespace} rollout undo {kind}/{name} --to-revision="$({number})"'
