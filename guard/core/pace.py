"""The pauses of a rollout: when it is held at a step's pods, goes on, or is let go by a person.

The law of this module: nothing goes on but by a PASS of its step, by the policy's own word at the
deadline, or by a person; and what a person let go is never paused again.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING

from guard.core import stories
from guard.core.actions import OutcomeKind, PauseIntent
from guard.core.policy import CountedCheck, of_whole_service
from guard.core.states import (
    Case,
    Command,
    Event,
    Facts,
    Hold,
    Judged,
    Note,
    Pacing,
    PauseAnswered,
    Phase,
    Resume,
    ResumeAnswered,
    Save,
    State,
    Tell,
)
from guard.core.workloads import Mode

if TYPE_CHECKING:
    from guard.core.actions import KnownGood
    from guard.core.policy import Check
    from guard.core.workloads import GuardPause, Snapshot

SEEN_WITHIN = 30.0
"""Seconds from the pause that the platform took to the moment when it must show it; where it never
does, somebody has ended it in between."""
TAKEN = frozenset({OutcomeKind.PATCHED, OutcomeKind.ALREADY})
MARKED_TO = 0.001
"""Seconds to which the platform's mark says when a pause began."""
AT_A_STEP = frozenset({Pacing.PAUSED, Pacing.RESUMING})
"""Held, so that what judging says is about the pods of its step."""
ASKED_FOR = frozenset({Pacing.PAUSING, Pacing.ADVANCING})
"""Not in force yet; the first one is asked for at once, the others when there are the pods."""

Step = tuple[State, tuple[Command, ...]]


def begins(case: Case, facts: Facts, snapshot: Snapshot) -> tuple[Pacing, str]:
    """Say how a rollout begins, and why it is not paced where its policy asks for that.

    A pause that is in force already (of a release that this one took the place of, or of a guard
    whose record was lost) is taken over, or ended.
    """
    if not case.policy.pace:
        return _unpaced(snapshot), ""
    why = _in_the_way(case, facts, snapshot)
    return (_unpaced(snapshot), f"not paced: {why}") if why else (Pacing.PAUSING, "")


def _unpaced(snapshot: Snapshot) -> Pacing:
    return Pacing.UNPACED if snapshot.pause is None else Pacing.RESUMING


def _in_the_way(case: Case, facts: Facts, snapshot: Snapshot) -> str:
    candidate = case.candidate
    good = facts.known_good
    if facts.mode is not Mode.ACT:
        return "the guard only observes here"
    if facts.paused:
        return "a person paused this workload (spec.paused)"
    if not facts.may_patch:
        return "the guard lacks the right to patch this workload"
    if snapshot.strategy != "RollingUpdate":
        return f"its strategy is {snapshot.strategy}, which has no first pods"
    if good is not None and good.revision.same_as(candidate):
        return "its template is the known-good one"
    if all(_of_whole_service(check) for check in case.policy.checks):
        return "its checks count the whole service, so nothing can be judged at its first pods"
    if snapshot.complete or not _beside(case, snapshot):
        return "no pod of another revision is left to judge it beside"
    return ""


def _of_whole_service(check: Check) -> bool:
    return isinstance(check, CountedCheck) and of_whole_service(check.objective.sli)


def _beside(case: Case, snapshot: Snapshot) -> bool:
    return any(pod.revision != case.candidate.hash and pod.living for pod in snapshot.pods)


def intent(state: State, now: float) -> PauseIntent:
    """The pause of this rollout, or its end."""
    case = state.case
    return PauseIntent(
        workload=case.workload,
        uid=case.uid,
        candidate=case.candidate,
        decided_at=now,
        narrow=case.policy.narrow,
        previous=state.previous,
        after=state.resumed_at or 0.0,
    )


def undone(state: State, good: KnownGood) -> str:
    """What a rollback goes back to, and from how many pods where it was held."""
    text = f"roll back to {good.revision.hash} ({good.why})"
    if state.pacing not in AT_A_STEP:
        return text
    return f"{text}, held at {stories.where(state)}: {stories.at_step(state)}"


# What the platform shows.


def of_its_step(state: State, event: Judged) -> Judged:
    """A step's pods are not all pods: a look that still shows the pause starts no clock."""
    held = event.pause is not None and event.pause.in_force
    if held and state.pacing not in AT_A_STEP:
        return replace(event, pods_ready=False)
    return event


def look(state: State, event: Judged, now: float) -> Step:
    """Take in what became of the pause since the last look."""
    state = replace(state, beside=event.beside)
    if event.pause is not None and event.pause.previous:
        state = replace(state, previous=event.pause.previous)
    if state.pacing is Pacing.PAUSING:
        return _pausing(state, event, now)
    if state.pacing is Pacing.PAUSED:
        return _paused(state, event, now)
    if state.pacing is Pacing.RESUMING:
        return _resuming(state, event, now)
    if state.pacing is Pacing.ADVANCING:
        return _advancing(state, event, now)
    return state, ()


def shown(state: State, pause: GuardPause | None) -> GuardPause | None:
    """The pause of this very step that the platform shows; None where it shows another, or none.

    What was ended a moment ago is shown a moment longer.
    """
    if pause is None or not pause.in_force or pause.candidate != state.case.candidate.hash:
        return None
    ended = state.resumed_at is not None and pause.since < state.resumed_at - MARKED_TO
    return None if ended else pause


def reached(state: State, snapshot: Snapshot) -> bool:
    """Whether a rollout that goes on has the pods of its next step, ready or not."""
    step = state.held_at
    if state.pacing is not Pacing.ADVANCING or step is None:
        return False
    if state.phase is Phase.ROLLING_BACK or not snapshot.replicas:
        return False
    mine = sum(pod.living for pod in snapshot.pods_of(frozenset({state.case.candidate.hash})))
    return mine >= step.pods(snapshot.replicas)


def _over(event: Judged) -> bool:
    """Whether there is nothing to hold back any more, or nobody who may."""
    return event.facts.mode is not Mode.ACT or event.facts.paused or event.complete


def _pausing(state: State, event: Judged, now: float) -> Step:
    pause = shown(state, event.pause)
    if pause is not None:
        return _in_force(state, pause, now)
    if state.paused_at is not None:
        late = now - state.paused_at >= SEEN_WITHIN
        return _released(state, now) if late else (state, ())
    return _given_up(state, event, now) if _over(event) else (state, ())


def _in_force(state: State, pause: GuardPause, now: float) -> Step:
    paused_at = state.paused_at or pause.since or now
    paused = replace(state, pacing=Pacing.PAUSED, paused_at=paused_at)
    text = f"held at {stories.where(state)}, to be judged there"
    return paused, (Note(now, "paused", text), Save())


def _advancing(state: State, event: Judged, now: float) -> Step:
    pause = shown(state, event.pause)
    if pause is not None:
        # Asked for by an attempt whose answer was lost, or by the guard before this one.
        return _in_force(state, pause, now)
    return _given_up(state, event, now) if _over(event) else (state, ())


def _given_up(state: State, event: Judged, now: float) -> Step:
    why = "nothing is left to hold back" if event.complete else "the guard may not act here by now"
    pacing = Pacing.UNPACED if event.pause is None else Pacing.RESUMING
    text = f"not held again: {why}" if state.step else f"not paced: {why}"
    # People have seen it held once, and count on it.
    counted_on = state.step and not event.complete
    told = (Tell(stories.not_paced(state, now, why)),) if counted_on else ()
    return replace(state, pacing=pacing), (Note(now, "unpaced", text), Save(), *told)


def _paused(state: State, event: Judged, now: float) -> Step:
    if event.pause is None or not event.pause.in_force:
        return _released(state, now)
    if event.facts.mode is not Mode.ACT:
        text = "the guard may only observe here by now: not held any longer"
        return go_on(state, event, now, text)
    return state, ()


def _resuming(state: State, event: Judged, now: float) -> Step:
    if event.pause is None:
        return _resumed(state, now)
    held = state.phase is Phase.HELD and event.facts.mode is Mode.ACT
    if held and event.pause.in_force and not event.facts.paused:
        # Trouble came before it could be let go: it stays where it is.
        return replace(state, pacing=Pacing.PAUSED), (Save(),)
    return state, ()


def _released(state: State, now: float) -> Step:
    """A person lets it go on: judged on, and never paused again."""
    after, commands = _anew(replace(state, pacing=Pacing.RELEASED), now)
    note = Note(now, "released", "a person let it go on")
    return after, (note, Save(), Tell(stories.released(state, now)), *commands)


# Going on.


def go_on(state: State, event: Judged, now: float, text: str) -> Step:
    """Let it go on to the next step, beyond those that it has the pods of already."""
    pace, mine = state.case.policy.pace, event.beside[0]
    past = takewhile(lambda step: step.pods(event.replicas) <= mine, pace[state.step + 1 :])
    resuming = replace(state, pacing=Pacing.RESUMING, step=state.step + sum(1 for _ in past))
    note = Note(now, "going on", f"{stories.at_step(state)}: {text}")
    return resuming, (note, Save(), Resume(intent(resuming, now)))


def _resumed(state: State, now: float) -> Step:
    note = Note(now, "gone on", f"let go on from {stories.at_step(state)}")
    after, commands = _anew(replace(state, pacing=Pacing.RESUMED, resumed_at=now), now)
    if state.paused_at is not None and after.held_at is not None:
        after = replace(after, pacing=Pacing.ADVANCING, paused_at=None)
    return after, (note, Save(), *commands)


def _anew(state: State, now: float) -> Step:
    """A new step: its clocks begin when its own pods are ready."""
    told: tuple[Command, ...] = ()
    if state.phase is Phase.BAKING:
        state = replace(state, phase=Phase.PROGRESSING, since=now)
    elif state.hold in (Hold.INCONCLUSIVE, Hold.BLIND):
        # Blindness has a story of its own, which ends when it can be measured again.
        told = () if state.hold is Hold.BLIND else (Tell(stories.resumed(state, now)),)
        state = replace(state, phase=Phase.PROGRESSING, since=now, hold=None)
    return replace(state, bake_began_at=None, elapsed=0.0, step=state.step + 1), told


# What the platform answered.


def pause_answered(state: State, event: Event, now: float) -> Step:
    """One attempt at the pause."""
    assert isinstance(event, PauseAnswered)
    outcome = event.outcome
    if state.pacing not in ASKED_FOR:
        return state, ()
    if outcome.kind in TAKEN:
        note = Note(outcome.at, "pause", outcome.detail)
        previous = outcome.previous or state.previous
        asked = replace(state, pacing=Pacing.PAUSING, paused_at=outcome.at, previous=previous)
        return asked, (note, Save())
    if outcome.kind is OutcomeKind.REFUSED:
        unpaced = replace(state, pacing=Pacing.UNPACED)
        note = Note(now, "unpaced", f"not paced: {outcome.detail}")
        return unpaced, (note, Save(), Tell(stories.not_paced(state, now, outcome.detail)))
    return state, ()


def resume_answered(state: State, event: Event, now: float) -> Step:
    """One attempt to let it go on."""
    assert isinstance(event, ResumeAnswered)
    # Where trouble came while the answer was on its way (`_resuming`) it has gone on all the same.
    kept = state.pacing is Pacing.PAUSED and state.phase is Phase.HELD
    if not (state.pacing is Pacing.RESUMING or kept) or event.outcome.kind not in TAKEN:
        return state, ()
    return _resumed(state, now)


def first_pods(snapshot: Snapshot, *, narrow: bool) -> tuple[int, int, int]:
    """How many pods a paced rollout of this workload brings up at first.

    Returns:
        The least and the most candidate pods, and the stable pods beside the least. The
        platform's first look at a release brings up as many as the team's own strategy says,
        before anyone can narrow that; whether it takes stable pods down too is a race.
    """
    replicas = snapshot.replicas
    surge = min(snapshot.max_surge, replicas)
    down = min(snapshot.max_unavailable, replicas)
    most = min(surge + down, replicas)
    if narrow and surge:
        return surge, most, replicas
    return most, most, replicas - down
