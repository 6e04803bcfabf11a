"""The watch after a promotion: a regression that comes late is told, and undone where asked.

The law of this module: the evidence goes on as it stood, so that the whole life of a rollout has
one error probability; and only a policy that says `on_late_fail: rollback` has a promoted release
undone, to the revision that was known good before it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from guard.core import stories
from guard.core.findings import Verdict
from guard.core.obstacles import obstacle
from guard.core.policy import OnFail, OnLateFail
from guard.core.quantities import MINUTE, duration, percent
from guard.core.states import (
    Command,
    Deleted,
    Event,
    Facts,
    Judged,
    Note,
    Phase,
    Save,
    State,
    Superseded,
    Tell,
    Trust,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from guard.core.findings import Finding
    from guard.core.policy import Objective

Step = tuple[State, tuple[Command, ...]]


def begin(state: State, now: float) -> Step:
    """The rollout is promoted: take it as known good, tell people, and look after it."""
    watching = replace(state, phase=Phase.WATCHING, since=now, hold=None, told_fail=False)
    note = Note(now, "promoted", state.text)
    told = Tell(stories.promoted(watching, now))
    return watching, (note, Trust(state.text), Save(), told)


def judged(
    state: State,
    event: Event,
    now: float,
    roll_back: Callable[[State, Judged, float, str], Step],
    end: Callable[[State, Phase, float, str], Step],
) -> Step:
    """Take one judgement in: undo, tell, end the watch, or go on."""
    assert isinstance(event, Judged)
    undone = _undo(state, event)
    if undone is not None:
        return roll_back(state, undone, now, _says(state, event))
    state, commands = _look(state, event, now)
    if commands or not _over(state, now):
        return state, commands
    return end(state, Phase.PROMOTED, now, _last_word(state, now))


def ended_by(event: Event) -> str:
    """What ended the watch from outside; the release stays promoted."""
    why = "a person turned the guard off for this workload"
    if isinstance(event, Superseded):
        why = event.text
    elif isinstance(event, Deleted):
        why = "the workload was deleted"
    return f"its watch ended: {why}"


def _look(state: State, event: Judged, now: float) -> Step:
    """Take one judgement in: a late regression opens a story, and a PASS closes it."""
    verdict = event.judgement.verdict
    state = replace(state, verdict=verdict)
    if verdict is Verdict.FAIL and not state.told_fail:
        return _told(state, event, now)
    if verdict is Verdict.PASS and state.told_fail:
        over = replace(state, told_fail=False, text=event.judgement.text)
        note = Note(now, "late over", event.judgement.text)
        return over, (note, Save(), Tell(stories.late_over(over, now)))
    return state, ()


def _over(state: State, now: float) -> bool:
    """Whether the watch has lasted long enough; it goes on while trouble stands."""
    return not state.told_fail and now - state.since >= state.case.policy.watch


def _last_word(state: State, now: float) -> str:
    """What the watch came to."""
    text = f"watched for {_age(state, now)} after its promotion"
    if state.verdict is Verdict.BLIND:
        return f"{text}, and cannot be measured at its end"
    return f"{text}: nothing that stands"


def _undo(state: State, event: Judged) -> Judged | None:
    """The event as a rollback sees it, to what was known good before; None where there is none."""
    asked = state.case.policy.on_late_fail is OnLateFail.ROLLBACK
    if event.judgement.verdict is not Verdict.FAIL or not asked:
        return None
    facts = _facts(state, event)
    return replace(event, facts=facts) if obstacle(_asked_to(state), facts) is None else None


def _asked_to(state: State) -> State:
    """`on_late_fail` speaks for what comes late, whatever `on_fail` says of a rollout."""
    case = state.case
    return replace(state, case=replace(case, policy=replace(case.policy, on_fail=OnFail.ROLLBACK)))


def _facts(state: State, event: Judged) -> Facts:
    return replace(event.facts, known_good=state.case.stable)


def _told(state: State, event: Judged, now: float) -> Step:
    text = f"{_says(state, event)}. {_why_not(state, event)}"
    told = replace(state, told_fail=True, text=text)
    notice = stories.late_fail(told, now, _age(told, now))
    return told, (Note(now, "late", text), Save(), Tell(notice))


def _why_not(state: State, event: Judged) -> str:
    """Why nothing was changed."""
    if state.case.policy.on_late_fail is OnLateFail.NOTIFY:
        return "Nothing was changed (on_late_fail: notify)"
    held = obstacle(_asked_to(state), _facts(state, event))
    return f"Nothing was changed: {held.text}" if held else ""


def _age(state: State, now: float) -> str:
    """How long ago it was promoted, to the minute."""
    age = now - state.since
    return duration(age - age % MINUTE if age >= MINUTE else age)


# How fast the error budget burns.


def _says(state: State, event: Judged) -> str:
    failed = next(
        (one for one in event.judgement.findings if one.answer is Verdict.FAIL and one.counted),
        None,
    )
    burn = _burn(state, failed) if failed else ""
    return f"{event.judgement.text}; {burn}" if burn else event.judgement.text


def _burn(state: State, finding: Finding) -> str:
    """The newest ratio as a burn rate of its objective (Google SRE Workbook, chapter 5)."""
    objective = _objective(state, finding)
    bad, total = (finding.numbers.get(name, 0.0) for name in ("recent_bad", "recent_total"))
    if objective is None or bad <= 0.0 or total <= 0.0:
        return ""
    rate = bad / total / (1.0 - objective.target)
    return (
        f"of the newest {total:.0f} requests {percent(bad / total)} were bad, which burns the "
        f"error budget of {percent(objective.target)} {rate:.3g} times as fast as it lasts: the "
        f"whole of {duration(objective.window)} in {duration(objective.window / rate)}"
    )


def _objective(state: State, finding: Finding) -> Objective | None:
    check = next((one for one in state.case.policy.checks if one.name == finding.check), None)
    return getattr(check, "objective", None)
