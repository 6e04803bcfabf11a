"""The one transition function of a rollout: `step(state, event, now) -> (state, commands)`.

One table says which events each phase knows; an event that a phase does not know changes
nothing. Commands are what the engine must do, in their order: nothing happens but by a command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from guard.core import pace, stories, suspension, watching
from guard.core.actions import Intent, OutcomeKind
from guard.core.findings import Reason, Verdict
from guard.core.obstacles import obstacle
from guard.core.policy import OnBlind, OnFail, OnInconclusive, OnShared
from guard.core.states import (
    Act,
    Acted,
    Command,
    Deleted,
    Event,
    Hold,
    Judged,
    Note,
    Pacing,
    PauseAnswered,
    Phase,
    ResumeAnswered,
    Save,
    Settling,
    State,
    Superseded,
    Tell,
    Trust,
    TurnedOff,
)

CLOCK_STEP_AT_MOST = 15.0
"""Seconds by which one tick moves the bake clock: a gap in which nobody judged is no baking."""
ALL_READY = "every candidate pod is ready"
"""The timeline's words where baking begins with all pods; at the first pods it says how many."""
VERIFY_WITHIN = 600.0
"""Longest wait, in seconds, for a rollback's pods; less where the platform's own is less."""

Step = tuple[State, tuple[Command, ...]]


def step(state: State, event: Event, now: float) -> Step:
    """Take one event in.

    Args:
        state: where the rollout stands.
        event: what happened.
        now: seconds since the epoch.

    Returns:
        The new state, and the commands to carry out in their order. An ended rollout, or an
        event that its phase does not know, gives the state back with no commands.
    """
    handler = TABLE.get((state.phase, type(event)))
    return handler(state, event, now) if handler else (state, ())


# Judging: progressing, baking, held.


def _judged(state: State, event: Event, now: float) -> Step:
    assert isinstance(event, Judged)
    if event.replicas == 0:
        return _suspended(state, now)
    state, back = suspension.end(state, now)
    state, paced = pace.look(state, event, now)
    state = _tick_clock(state, pace.of_its_step(state, event), now)
    state = replace(state, verdict=event.judgement.verdict, text=event.judgement.text)
    state, blind = _blindness(state, event, now)
    after, more = _verdict(state, event, now)
    return after, back + paced + blind + more


def _verdict(state: State, event: Judged, now: float) -> Step:
    judgement = event.judgement
    if judgement.verdict is Verdict.FAIL:
        return _failed(state, event, now, judgement.text)
    if judgement.hold:
        if _shared_by_release(state, event):
            return _failed(state, event, now, judgement.text)
        return _hold(state, Hold.SHARED, judgement.text, now)
    if state.phase is Phase.HELD:
        state, resumed = _resume(state, judgement.verdict, now)
        if state.phase is Phase.HELD:
            return state, resumed
        after, commands = _verdict(state, event, now)
        return after, resumed + commands
    if state.phase is Phase.PROGRESSING:
        return _to_baking(state, event, now)
    return _baking(state, event, now)


def _tick_clock(state: State, event: Judged, now: float) -> State:
    if state.bake_began_at is None:
        return replace(state, clock_at=now, bake_began_at=now if event.pods_ready else None)
    passed = 0.0 if state.clock_at is None else now - state.clock_at
    running = state.phase is not Phase.HELD
    moved = min(max(passed, 0.0), CLOCK_STEP_AT_MOST) if running else 0.0
    return replace(state, clock_at=now, elapsed=state.elapsed + moved)


def _to_baking(state: State, event: Judged, now: float) -> Step:
    if state.bake_began_at is None:
        return _not_ready(state, event, now)
    baking = replace(state, phase=Phase.BAKING, since=now)
    after, commands = _baking(baking, event, now)
    note = Note(now, "baking", stories.at_step(state) if _at_a_step(state) else ALL_READY)
    return after, (note, Save(), *commands)


def _not_ready(state: State, event: Judged, now: float) -> Step:
    """While it is held no clock of the platform runs, so that this one tells people."""
    since, deadline = state.paused_at, state.case.policy.deadline
    if state.pacing is not Pacing.PAUSED or since is None or event.facts.paused:
        return state, ()
    if now - since < deadline:
        return state, ()
    text = f"held at {stories.where(state)}, not all ready after {deadline:.0f} s: {state.text}"
    return _hold(state, Hold.INCONCLUSIVE, text, now)


def _baking(state: State, event: Judged, now: float) -> Step:
    policy = state.case.policy
    passed = state.verdict is Verdict.PASS and state.elapsed >= policy.bake
    if _at_a_step(state):
        if state.pacing is Pacing.RESUMING or event.facts.paused:
            return state, ()
        if passed:
            return pace.go_on(state, event, now, state.text)
    elif passed and event.complete:
        return _promote(state, now)
    if state.elapsed < policy.deadline:
        return state, ()
    return _deadline(state, event, now)


def _at_a_step(state: State) -> bool:
    return state.pacing in pace.AT_A_STEP


def _promote(state: State, now: float) -> Step:
    if state.case.policy.watch > 0.0:
        return watching.begin(state, now)
    return _end(state, Phase.PROMOTED, now, state.text, (Trust(state.text),))


def _deadline(state: State, event: Judged, now: float) -> Step:
    policy = state.case.policy
    if state.verdict is Verdict.BLIND:
        if policy.on_blind is OnBlind.HOLD:
            return _hold(replace(state, blind_told=True), Hold.BLIND, state.text, now)
        return _accepted(state, event, now, f"blind at the deadline: {state.text}")
    if policy.on_inconclusive is OnInconclusive.ROLLBACK and not _unmeasured(state, event):
        return _failed(state, event, now, f"inconclusive at the deadline: {state.text}")
    if policy.on_inconclusive is OnInconclusive.ACCEPT:
        return _accepted(state, event, now, state.text)
    return _hold(state, Hold.INCONCLUSIVE, state.text, now)


def _accepted(state: State, event: Judged, now: float, text: str) -> Step:
    """The policy takes what it could not measure: on to the next step, or to the end."""
    if _at_a_step(state):
        return pace.go_on(state, event, now, f"unproven at {stories.where(state)}: {text}")
    return _end(state, Phase.UNPROVEN, now, text)


def _unmeasured(state: State, event: Judged) -> bool:
    """Whether a required check saw no users' requests at all: law 1 forbids to act on that."""
    reasons = {finding.reason for finding in event.judgement.findings}
    if not _at_a_step(state) and Reason.OTHER_PODS in reasons:
        return True
    return Reason.NO_TRAFFIC in reasons


def _shared_by_release(state: State, event: Judged) -> bool:
    """`on_shared: rollback`, where stable was clean until the candidate's first minute."""
    suspected = any(
        finding.hold and finding.numbers.get("may_have_broken_both", 0.0) > 0.0
        for finding in event.judgement.findings
    )
    return suspected and state.case.policy.on_shared is OnShared.ROLLBACK


def _failed(state: State, event: Judged, now: float, text: str) -> Step:
    if state.case.policy.on_fail is OnFail.NOTIFY:
        return _told_only(state, now, text)
    held = obstacle(state, event.facts)
    if held is not None:
        return _hold(state, held.hold, f"{text}. {held.text}", now)
    return _roll_back(state, event, now, text)


def _roll_back(state: State, event: Judged, now: float, text: str) -> Step:
    good = event.facts.known_good
    assert good is not None
    case = state.case
    intent = Intent(
        id=f"rollback:{case.rollout}",
        workload=case.workload,
        uid=case.uid,
        candidate=case.candidate,
        known_good=good,
        decided_at=now,
        cause=stories.cause(case, good),
        previous=state.previous,
    )
    acting = replace(
        state,
        phase=Phase.ROLLING_BACK,
        since=now,
        hold=None,
        intent=intent,
        text=text,
        outcome=None,
    )
    decided = Note(now, "decided", text)
    intended = Note(now, "intent", pace.undone(state, good))
    told = Tell(stories.rolling_back(acting, now))
    return acting, (decided, intended, Save(), Act(intent), told, *_closed(state, now))


def _closed(state: State, now: float) -> tuple[Command, ...]:
    """What was opened before and a rollback ends (law 9); blindness closes by itself."""
    if state.phase is Phase.WATCHING:
        return (Tell(stories.late_over(state, now)),) if state.told_fail else ()
    if state.phase is not Phase.HELD or state.hold is Hold.BLIND:
        return ()
    return (Tell(stories.hold_over(state, now, "it is being rolled back")),)


def _told_only(state: State, now: float, text: str) -> Step:
    if state.told_fail:
        return state, ()
    told = replace(state, told_fail=True)
    notice = stories.failed_only_told(told, now)
    return told, (Note(now, "decided", f"{text} (policy: notify)"), Save(), Tell(notice))


# Holding.


def _hold(state: State, hold: Hold, text: str, now: float) -> Step:
    if state.phase is Phase.HELD and state.hold is hold:
        return _told_again(replace(state, text=text), now)
    held = replace(
        state, phase=Phase.HELD, since=now, hold=hold, text=text, told_at=now, told_fail=False
    )
    return held, (Note(now, "held", text), Save(), Tell(stories.held(held, now)))


def _told_again(state: State, now: float) -> Step:
    """A standing incident is told again after each patience; a bad release once."""
    if state.hold is not Hold.SHARED or now - state.told_at < state.case.policy.patience:
        return state, ()
    told = replace(state, told_at=now)
    return told, (Save(), Tell(stories.held(told, now, again=True)))


def _resume(state: State, verdict: Verdict, now: float) -> Step:
    if state.hold in (Hold.SHARED, Hold.BLIND):
        ends = verdict is not Verdict.BLIND
    else:
        ends = verdict is Verdict.PASS
    if not ends:
        return state, ()
    phase = Phase.PROGRESSING if state.bake_began_at is None else Phase.BAKING
    resumed = replace(state, phase=phase, since=now, hold=None)
    # Blindness has a story of its own, which `_blindness` resolves.
    told = () if state.hold is Hold.BLIND else (Tell(stories.resumed(state, now)),)
    return resumed, (Note(now, "resumed", state.text), Save(), *told)


def _blindness(state: State, event: Judged, now: float) -> Step:
    if event.judgement.verdict is not Verdict.BLIND:
        told = state.blind_told
        seeing = replace(state, blind_since=None, blind_told=False)
        return seeing, ((Tell(stories.seeing(state, now)),) if told else ())
    since = now if state.blind_since is None else state.blind_since
    state = replace(state, blind_since=since)
    if state.blind_told or now - since < state.case.policy.patience:
        return state, ()
    state = replace(state, blind_told=True)
    told_now: tuple[Command, ...] = (
        Note(now, "blind", state.text),
        Tell(stories.blind(state, now)),
    )
    if state.case.policy.on_blind is OnBlind.HOLD and state.phase is not Phase.HELD:
        state = replace(state, phase=Phase.HELD, since=now, hold=Hold.BLIND)
        told_now = (*told_now, Note(now, "held", state.text))
    return state, (*told_now, Save())


def _suspended(state: State, now: float) -> Step:
    if suspension.lasts_too_long(state, now):
        return _end(state, Phase.LEFT, now, "0 replicas for 24 h")
    return suspension.begin(state, now)


# Watching, and rolling back.


def _watched(state: State, event: Event, now: float) -> Step:
    return watching.judged(state, event, now, _roll_back, _end)


def _unwatched(state: State, event: Event, now: float) -> Step:
    return _end(state, Phase.PROMOTED, now, watching.ended_by(event))


def _acted(state: State, event: Event, now: float) -> Step:
    assert isinstance(event, Acted)
    outcome = event.outcome
    state = replace(state, outcome=outcome)
    if outcome.kind is OutcomeKind.UNAVAILABLE:
        return state, ()
    if outcome.kind is OutcomeKind.SUPERSEDED:
        return _end(state, Phase.SUPERSEDED, now, "a newer template came before the rollback")
    if outcome.kind is OutcomeKind.REFUSED:
        return _end(state, Phase.ROLLBACK_FAILED, now, outcome.detail)
    if outcome.kind is OutcomeKind.ALREADY and not outcome.by_guard:
        return _end(state, Phase.SUPERSEDED, now, "a person put the known-good template back first")
    within = min(event.progress_deadline, VERIFY_WITHIN)
    state = replace(state, verify_by=now + within)
    return state, (Note(outcome.at, "patched", "the known-good template is in force"), Save())


def _settling(state: State, event: Event, now: float) -> Step:
    assert isinstance(event, Settling)
    if state.verify_by is None:
        return state, ()
    if event.complete:
        verified = Note(now, "verified", event.text)
        text = event.text
        if event.recovered is False:
            text = f"THE SERVICE HAS NOT RECOVERED: {text}"
        after, commands = _end(state, Phase.ROLLED_BACK, now, state.text, recovery=text)
        return after, (verified, *commands)
    if now >= state.verify_by:
        return _end(state, Phase.ROLLBACK_FAILED, now, f"patched, but {event.text}")
    return state, ()


# Ends.


def _superseded(state: State, event: Event, now: float) -> Step:
    assert isinstance(event, Superseded)
    return _end(state, Phase.SUPERSEDED, now, event.text)


def _deleted(state: State, _event: Event, now: float) -> Step:
    return _end(state, Phase.LEFT, now, "the workload was deleted")


def _off(state: State, _event: Event, now: float) -> Step:
    return _end(state, Phase.LEFT, now, "a person turned the guard off for this workload")


def _end(
    state: State,
    phase: Phase,
    now: float,
    text: str,
    first: tuple[Command, ...] = (),
    recovery: str = "",
) -> Step:
    ended = replace(state, phase=phase, since=now, ended_at=now, text=text, hold=None)
    notices = stories.ended(state, ended, now, recovery)
    note = Note(now, "ended", f"{phase.value}: {text}")
    return ended, (note, *first, Save(), *(Tell(notice) for notice in notices))


_JUDGING = (Phase.PROGRESSING, Phase.BAKING, Phase.HELD)
_LIVE = (*_JUDGING, Phase.ROLLING_BACK)
_Handler = Callable[[State, Event, float], Step]

TABLE: dict[tuple[Phase, type], _Handler] = {
    **{(phase, Judged): _judged for phase in _JUDGING},
    **{(phase, PauseAnswered): pace.pause_answered for phase in _JUDGING},
    **{(phase, ResumeAnswered): pace.resume_answered for phase in _JUDGING},
    (Phase.WATCHING, Judged): _watched,
    **{(Phase.WATCHING, kind): _unwatched for kind in (Superseded, Deleted, TurnedOff)},
    (Phase.ROLLING_BACK, Acted): _acted,
    (Phase.ROLLING_BACK, Settling): _settling,
    **{(phase, Superseded): _superseded for phase in _LIVE},
    **{(phase, Deleted): _deleted for phase in _LIVE},
    **{(phase, TurnedOff): _off for phase in _LIVE},
}
"""The whole of what can happen. An end knows no event."""
