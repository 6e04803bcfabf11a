"""Plain words for every phase, hold, verdict, mode and outcome, for someone paged at 3 at night.

Each says what it means and, where a person can do something, what. The enums are closed, and a
test holds that none of their members goes without words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from guard.core.actions import OutcomeKind
from guard.core.findings import Verdict
from guard.core.names import LABEL_MODE
from guard.core.states import Hold, Phase
from guard.core.workloads import Mode


@dataclass(frozen=True, slots=True)
class Words:
    """What a page says about one thing.

    Attributes:
        label: one to five words, for a badge or a heading.
        meaning: what it means, one or two sentences.
        todo: what a person can do about it; empty where there is nothing to do.
        tone: which colour and sign go with the label: `good`, `wait`, `held`, `bad`, `blind`
            or `quiet`. The label says the same without them.
    """

    label: str
    meaning: str = ""
    todo: str = ""
    tone: str = "quiet"


SERVING: Final = "This release failed and is still serving."
NOT_SERVING: Final = "This release failed. None of its pods is ready, so no user meets it."

SUSPENDED: Final = Words(
    "Suspended: 0 replicas",
    "The workload has no pods, so there is nothing to judge. Judging goes on when it is scaled up.",
    tone="quiet",
)

PHASES: Final[dict[Phase, Words]] = {
    Phase.PROGRESSING: Words(
        "Progressing",
        "New pods are starting. Whatever they serve is counted already, and a failing release "
        "need not finish before it is caught.",
        tone="wait",
    ),
    Phase.BAKING: Words(
        "Baking",
        "All new pods are ready. The guard watches what users get from them before it vouches "
        "for this release.",
        tone="wait",
    ),
    Phase.HELD: Words(
        "Held",
        "The guard does nothing more by itself here, and keeps judging.",
        tone="held",
    ),
    Phase.ROLLING_BACK: Words(
        "Rolling back",
        "This release failed. The guard is putting the known-good revision back and watches "
        "until its pods serve again.",
        tone="bad",
    ),
    Phase.WATCHING: Words(
        "Watching",
        "This release proved good enough, and is what a rollback would return to. The guard keeps "
        "looking after it for a while.",
        tone="good",
    ),
    Phase.PROMOTED: Words(
        "Promoted",
        "This release proved good enough. It is now what a rollback would return to.",
        tone="good",
    ),
    Phase.UNPROVEN: Words(
        "Unproven",
        "Nothing bad was seen, and too little was seen to vouch for it. It serves. It becomes "
        "known good once it has served long enough without trouble.",
        tone="quiet",
    ),
    Phase.ROLLED_BACK: Words(
        "Rolled back",
        "This release failed, and the guard put the known-good revision back.",
        tone="bad",
    ),
    Phase.SUPERSEDED: Words(
        "Superseded",
        "Another template took its place before the guard was done with it.",
        tone="quiet",
    ),
    Phase.LEFT: Words(
        "Left",
        "It is not the guard's to judge any longer: the workload is gone or at 0 replicas, or a "
        "person turned the guard off for it.",
        tone="quiet",
    ),
    Phase.ROLLBACK_FAILED: Words(
        "Rollback failed",
        "This release failed, and putting the known-good revision back did not work. The bad "
        "release may still be serving.",
        "Go back by hand now, then find out why the guard could not.",
        tone="bad",
    ),
}

HOLDS: Final[dict[Hold, Words]] = {
    Hold.SHARED: Words(
        "Held: not clearly the release's fault",
        "Something is wrong that cannot be laid at this release's door: the old revision has it "
        "as well, or nobody can tell yet. Nothing was changed.",
        "Look for what both revisions share: a dependency, a database, nodes, the network. The "
        "hold ends by itself once the trouble has passed.",
        tone="held",
    ),
    Hold.BLIND: Words(
        "Held: cannot be measured",
        "The numbers are missing, and missing numbers are neither good nor bad. Nothing was "
        "changed.",
        "Find out why the pods' metrics or Prometheus do not answer. The hold ends by itself "
        "once they do.",
        tone="blind",
    ),
    Hold.INCONCLUSIVE: Words(
        "Held: too little evidence",
        "The deadline came before enough requests did. Nothing bad is proven, nor is anything "
        "good. Nothing was changed.",
        "Look at the service yourself, or wait for more traffic: the hold ends by itself once "
        "there is enough.",
        tone="held",
    ),
    Hold.OBSERVE: Words(
        "Held: failed, the guard only observes",
        f"{SERVING} The guard would have rolled it back, but in mode observe it changes nothing.",
        f"Go back by hand. To let the guard do it next time, set the label {LABEL_MODE}=act on "
        "the workload.",
        tone="bad",
    ),
    Hold.POLICY: Words(
        "Held: failed, the policy says hold",
        f"{SERVING} Its policy leaves the decision to you.",
        "Go back by hand, or release a fix.",
        tone="bad",
    ),
    Hold.NO_KNOWN_GOOD: Words(
        "Held: failed, nothing known good",
        f"{SERVING} The guard has seen no revision of this "
        "workload serve well, so it knows none that is safe to return to.",
        "Choose the revision to go back to yourself, or release a fix.",
        tone="bad",
    ),
    Hold.SAME_TEMPLATE: Words(
        "Held: failed, same as the known-good one",
        "The failing pods run the very template that was known good, so a rollback would change "
        "nothing. The cause is likely outside this release.",
        "Look at what changed around it: configuration, secrets, nodes, dependencies.",
        tone="bad",
    ),
    Hold.ONCE: Words(
        "Held: failed again after a rollback",
        f"{SERVING} The guard rolled this revision back before, and it was applied again. The "
        "guard does not fight whoever applies it.",
        "Find who or what re-applies it (a pipeline, a GitOps controller) and change it there.",
        tone="bad",
    ),
    Hold.CIRCUIT_BREAKER: Words(
        "Held: failed, circuit breaker open",
        f"{SERVING} So many workloads were rolled back lately "
        "that the guard takes none back by itself any more: the cause may be bigger than one "
        "release.",
        "Look for a common cause first. Then go back by hand where it is right.",
        tone="bad",
    ),
    Hold.MIGRATION: Words(
        "Held: failed, it runs a migration",
        f"{SERVING} It changes a database, and the old revision "
        "may not run on what the migration left.",
        "Release a fix, or go back by hand if you know that the old revision can run.",
        tone="bad",
    ),
    Hold.PAUSED: Words(
        "Held: failed, paused by a person",
        f"{SERVING} Someone paused the workload, so it stays theirs.",
        "Resume the workload or go back by hand.",
        tone="bad",
    ),
    Hold.NO_RIGHTS: Words(
        "Held: failed, the guard may not act",
        f"{SERVING} The platform does not let the guard change this workload.",
        "Go back by hand. Then give the guard the right to patch this workload.",
        tone="bad",
    ),
}

VERDICTS: Final[dict[Verdict, Words]] = {
    Verdict.PASS: Words("PASS", tone="good"),
    Verdict.WAIT: Words("WAIT", tone="wait"),
    Verdict.FAIL: Words("FAIL", tone="bad"),
    Verdict.BLIND: Words("BLIND", tone="blind"),
}


def of(phase: Phase, hold: Hold | None, *, ready: int, suspended: bool) -> Words:
    """The words for a rollout; `ready` is how many of its pods are."""
    if suspended:
        return SUSPENDED
    if hold is None:
        return PHASES[phase]
    found = HOLDS[hold]
    if ready:
        return found
    return replace(found, meaning=found.meaning.replace(SERVING, NOT_SERVING))


MODES: Final[dict[Mode, Words]] = {
    Mode.OFF: Words("off", "The guard leaves this workload alone."),
    Mode.OBSERVE: Words("observe", "It decides, records and tells, and changes nothing."),
    Mode.ACT: Words("act", "It rolls a failing release back by itself."),
}

OUTCOMES: Final[dict[OutcomeKind, Words]] = {
    OutcomeKind.PATCHED: Words("Patched", "The known-good template is in force.", tone="good"),
    OutcomeKind.ALREADY: Words(
        "Already", "The known-good template was in force already.", tone="good"
    ),
    OutcomeKind.SUPERSEDED: Words(
        "Superseded", "Another template came first, so there was nothing to undo.", tone="quiet"
    ),
    OutcomeKind.REFUSED: Words("Refused", "The platform refused it for good.", tone="bad"),
    OutcomeKind.UNAVAILABLE: Words(
        "Unavailable", "The platform did not answer; the guard tries again.", tone="held"
    ),
}

KINDS: Final[dict[str, str]] = {
    "error_ratio": "error ratio",
    "slow_ratio": "slow ratio",
    "worse_than_stable": "worse than stable",
    "health": "health endpoint",
    "pods": "pods",
    "promql": "PromQL",
    "alerts": "alerts",
}

NOTES: Final[dict[str, str]] = {
    "began": "Began",
    "rehearsed": "Rehearsed",
    "baking": "Baking",
    "normal": "Normal",
    "promoted": "Promoted",
    "late": "Late",
    "late over": "Late: over",
    "suspended": "Suspended",
    "blind": "Blind",
    "held": "Held",
    "resumed": "Resumed",
    "decided": "Decided",
    "intent": "Intent",
    "patched": "Patched",
    "verified": "Verified",
    "ended": "Ended",
}
"""Kinds of a record's timeline entries (`lifecycle` and `guardian` write them)."""

REHEARSALS: Final[dict[bool | None, Words]] = {
    True: Words("Rehearsed", "The platform would accept the rollback.", tone="good"),
    False: Words("Would be refused", "The platform would refuse the rollback.", tone="bad"),
    None: Words("Not rehearsed", "It could not be rehearsed.", tone="quiet"),
}
"""By `Rehearsal.possible`."""
