"""The words: which notice each transition yields, and under which story key.

A page at 3 in the morning answers in its first line: which service, what happened, what the
guard did, is it over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.core.notices import Notice, Severity, Stage
from guard.core.policy import Step
from guard.core.states import Case, Hold, Pacing, Phase, State

if TYPE_CHECKING:
    from guard.core.actions import KnownGood

CAUSE_AT_MOST = 200
"""Characters of a change-cause: it is shown in one line of `kubectl rollout history`."""

_HOLD_REASONS = {
    Hold.SHARED: "SharedTrouble",
    Hold.BLIND: "Blind",
    Hold.INCONCLUSIVE: "Inconclusive",
    Hold.OBSERVE: "WouldRollBack",
}
_END_REASONS = {
    Phase.PROMOTED: "Promoted",
    Phase.UNPROVEN: "Unproven",
    Phase.ROLLED_BACK: "RolledBack",
    Phase.SUPERSEDED: "Superseded",
    Phase.LEFT: "Left",
    Phase.ROLLBACK_FAILED: "RollbackFailed",
}
_HOW_OVER = {
    Phase.SUPERSEDED: "another template took its place",
    Phase.LEFT: "it is not the guard's to judge any longer",
    Phase.UNPROVEN: "it ends unproven",
    Phase.PROMOTED: "it is promoted",
}
"""Ends that a held rollout can come to."""


def release(case: Case) -> str:
    """Name the candidate for a person: its hash, and its images where they are known."""
    images = ", ".join(image.rsplit("/", 1)[-1] for image in case.candidate.images)
    return f"{case.candidate.hash} ({images})" if images else case.candidate.hash


def cause(case: Case, good: KnownGood) -> str:
    """One line for the platform's change-cause."""
    line = f"guard rolled {case.candidate.hash} back to {good.revision.hash}"
    return line[:CAUSE_AT_MOST]


def began(state: State, now: float) -> Notice:
    """A rollout began."""
    stable = state.case.stable
    against = (
        f"known good: {stable.revision.hash}, {stable.why}" if stable else "nothing known good"
    )
    return _notice(
        state,
        now,
        Stage.INFORMED,
        Severity.INFO,
        "RolloutBegan",
        f"{state.case.service}: release {release(state.case)} began, being judged",
        against,
    )


def rolling_back(state: State, now: float) -> Notice:
    """FAIL, and the guard acts."""
    good = state.intent.known_good.revision.hash if state.intent else "?"
    return _notice(
        state,
        now,
        Stage.OPENED,
        Severity.WARNING,
        "RollingBack",
        f"{state.case.service}: release {release(state.case)} failed, rolling back to {good}",
        state.text,
    )


def failed_only_told(state: State, now: float) -> Notice:
    """FAIL under `on_fail: notify`."""
    return _notice(
        state,
        now,
        Stage.INFORMED,
        Severity.CRITICAL,
        "Failed",
        f"{state.case.service}: release {release(state.case)} {_failed(state).lower()} "
        f"(on_fail: notify, nothing was changed){_where(state)}",
        state.text,
    )


def held(state: State, now: float, *, again: bool = False) -> Notice:
    """The rollout is held."""
    bad = state.hold not in (Hold.SHARED, Hold.BLIND, Hold.INCONCLUSIVE)
    what = {
        Hold.SHARED: "has trouble that is not clearly its own: held, nothing was changed",
        Hold.BLIND: "cannot be measured: held, nothing was changed",
        Hold.INCONCLUSIVE: "too little evidence at the deadline: held, nothing was changed",
    }.get(state.hold or Hold.SHARED, f"{_failed(state)}: held, nothing was changed")
    return _notice(
        state,
        now,
        Stage.UPDATED if again else Stage.OPENED,
        Severity.CRITICAL if bad else Severity.WARNING,
        _HOLD_REASONS.get(state.hold or Hold.SHARED, "Held"),
        f"{state.case.service}: release {release(state.case)} {what}{_where(state)}",
        state.text,
        suffix=_held_suffix(state),
    )


def _failed(state: State) -> str:
    ready, _ = state.beside
    return "FAILED AND IS SERVING" if ready else "failed, none of its pods is ready"


def where(state: State) -> str:
    """What a paced rollout is held at, in words."""
    return (state.held_at or Step.FIRST).where


def at_step(state: State) -> str:
    """How many pods are held, beside how many, and which share of the traffic that is."""
    mine, stable = state.beside
    share = f", {mine / (mine + stable):.0%} of the pods" if mine else ""
    return f"{mine} ready beside {stable} stable{share}"


def released(state: State, now: float) -> Notice:
    """A person let a paused rollout go on."""
    return _notice(
        state,
        now,
        Stage.INFORMED,
        Severity.INFO,
        "LetGo",
        f"{state.case.service}: release {release(state.case)} was let go on from {where(state)} "
        "by someone else; it is judged on and not held there again",
        state.text,
    )


def not_paced(state: State, now: float, why: str) -> Notice:
    """The pause was refused."""
    return _notice(
        state,
        now,
        Stage.INFORMED,
        Severity.WARNING,
        "NotPaced",
        f"{state.case.service}: release {release(state.case)} cannot be held at {where(state)}: "
        "it is judged while it goes on",
        why,
    )


def _where(state: State) -> str:
    """What a hold means for the pods that the release has not reached yet."""
    if state.pacing is not Pacing.PAUSED:
        return ""
    return f" (it stays at {where(state)}: {at_step(state)})"


def resumed(state: State, now: float) -> Notice:
    """The hold ended by evidence."""
    return _no_longer_held(state, now, "Resumed", ", judging goes on")


def hold_over(state: State, now: float, why: str) -> Notice:
    """The hold ended with the judging itself; `why` says how."""
    return _no_longer_held(state, now, "HoldOver", f": {why}")


def _no_longer_held(state: State, now: float, reason: str, how: str) -> Notice:
    return _notice(
        state,
        now,
        Stage.RESOLVED,
        Severity.INFO,
        reason,
        f"{state.case.service}: release {release(state.case)} is no longer held{how}",
        state.text,
        suffix=_held_suffix(state),
    )


def blind(state: State, now: float) -> Notice:
    """Blindness outlasted the patience."""
    since = now - (state.blind_since if state.blind_since is not None else now)
    return _notice(
        state,
        now,
        Stage.OPENED,
        Severity.WARNING,
        "Blind",
        f"{state.case.service}: release {release(state.case)} cannot be measured for "
        f"{since:.0f} s; nothing was changed{_where(state)}",
        state.text,
        suffix="/blind",
    )


def seeing(state: State, now: float) -> Notice:
    """Measuring works again."""
    return _notice(
        state,
        now,
        Stage.RESOLVED,
        Severity.INFO,
        "SeeingAgain",
        f"{state.case.service}: release {release(state.case)} can be measured again",
        state.text,
        suffix="/blind",
    )


def ended(before: State, after: State, now: float, recovery: str) -> tuple[Notice, ...]:
    """The rollout came to its end: the last word, and every open story resolved."""
    if before.phase is Phase.WATCHING:
        return _unwatched(before, after, now)
    notices = [_last_word(before, after, now, recovery)]
    if after.phase is Phase.ROLLBACK_FAILED:
        notices.append(_taken_over(after, now))
    if before.phase is Phase.HELD and before.hold is not Hold.BLIND:
        notices.append(hold_over(before, now, _HOW_OVER[after.phase]))
    if before.blind_told:
        notices.append(seeing(before, now))
    return tuple(notices)


def _taken_over(state: State, now: float) -> Notice:
    """Close the story of the rollback; the one of its failure, which pages anew, goes on."""
    return _notice(
        state,
        now,
        Stage.RESOLVED,
        Severity.INFO,
        "RollingBack",
        f"{state.case.service}: rolling back release {release(state.case)} is over: it failed",
        state.text,
    )


def _last_word(before: State, after: State, now: float, recovery: str) -> Notice:
    case = after.case
    failed = after.phase is Phase.ROLLBACK_FAILED
    words = {
        Phase.PROMOTED: "promoted",
        Phase.UNPROVEN: "ends unproven: nothing bad seen, too little seen to vouch for it",
        Phase.ROLLED_BACK: f"was rolled back to {_target(after)}; it is over: {recovery}",
        Phase.SUPERSEDED: "superseded",
        Phase.LEFT: "is no longer the guard's to judge",
        Phase.ROLLBACK_FAILED: "FAILED AND ITS ROLLBACK FAILED: it may still be serving",
    }
    stage = Stage.INFORMED
    if before.phase is Phase.ROLLING_BACK:
        stage = Stage.RESOLVED
    return _notice(
        after,
        now,
        Stage.OPENED if failed else stage,
        Severity.CRITICAL if failed else Severity.INFO,
        _END_REASONS[after.phase],
        f"{case.service}: release {release(case)} {words[after.phase]}",
        after.text,
        suffix="/rollback-failed" if failed else "",
    )


# After the promotion.


def promoted(state: State, now: float) -> Notice:
    """The rollout is promoted, and still looked after."""
    minutes = state.case.policy.watch / 60.0
    return _notice(
        state,
        now,
        Stage.INFORMED,
        Severity.INFO,
        "Promoted",
        f"{state.case.service}: release {release(state.case)} promoted, "
        f"watched for {minutes:.0f} min more",
        state.text,
    )


def late_fail(state: State, now: float, age: str) -> Notice:
    """A promoted release fails; `age` in words is how long ago it was promoted."""
    return _notice(
        state,
        now,
        Stage.OPENED,
        Severity.CRITICAL,
        "LateFail",
        f"{state.case.service}: release {release(state.case)} FAILS, promoted {age} ago, and is "
        "serving: nothing was changed",
        state.text,
        suffix="/late",
    )


def late_over(state: State, now: float) -> Notice:
    """The late trouble has passed, or is dealt with otherwise."""
    return _notice(
        state,
        now,
        Stage.RESOLVED,
        Severity.INFO,
        "LateFailOver",
        f"{state.case.service}: the late trouble of release {release(state.case)} is over",
        state.text,
        suffix="/late",
    )


def _unwatched(before: State, after: State, now: float) -> tuple[Notice, ...]:
    """The watch is over: promoted was told when it was."""
    last = _notice(
        after,
        now,
        Stage.INFORMED,
        Severity.INFO,
        "Watched",
        f"{after.case.service}: release {release(after.case)} is no longer watched",
        after.text,
    )
    return (last, late_over(after, now)) if before.told_fail else (last,)


def _target(state: State) -> str:
    return state.intent.known_good.revision.hash if state.intent else "?"


def _held_suffix(state: State) -> str:
    return "/blind" if state.hold is Hold.BLIND else "/held"


def _notice(  # noqa: PLR0913, PLR0917 - one place builds every notice
    state: State,
    now: float,
    stage: Stage,
    severity: Severity,
    reason: str,
    title: str,
    body: str,
    suffix: str = "",
) -> Notice:
    case = state.case
    return Notice(
        key=f"{case.rollout}{suffix}",
        stage=stage,
        severity=severity,
        reason=reason,
        title=title,
        workload=case.workload,
        rollout=case.rollout,
        at=now,
        body=body,
        service=case.service,
        owner=case.owner,
    )
