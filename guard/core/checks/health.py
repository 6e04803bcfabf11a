"""Check *health*: every candidate pod's endpoint answers as expected (decisions.md, E).

Silence counts only where an answer was had before: a network policy is no outage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from guard.core.findings import Finding, Reason, Verdict
from guard.core.policy import Health
from guard.core.ticks import Frame, ProbeAnswer, Tick
from guard.core.workloads import Pod


@dataclass(frozen=True, slots=True)
class Streak:
    """Bad probes of one pod in a row; `answered` once any HTTP answer came; `at` of the last."""

    bad: int = 0
    at: float = -1.0
    answered: bool = False
    words: str = ""


@dataclass(frozen=True, slots=True)
class HealthState:
    """Streaks by pod uid, and the ports that have answered during this rollout."""

    kind: Literal["health"]
    check: Health
    streaks: Mapping[str, Streak] = field(default_factory=dict)
    ports: tuple[int, ...] = ()


def begin(check: Health, _frame: Frame) -> HealthState:
    """Start with nothing known."""
    return HealthState(kind="health", check=check)


def update(state: HealthState, tick: Tick) -> HealthState:
    """Take the newest probes in; one that was taken in before changes nothing."""
    probes = tick.probes.get(state.check.name, {})
    living = {pod.uid for pod in tick.snapshot.pods if pod.deleted_at is None}
    streaks = {uid: streak for uid, streak in state.streaks.items() if uid in living}
    ports = set(state.ports)
    for uid, answer in probes.items():
        if uid not in living:
            continue
        streaks[uid] = _next(streaks.get(uid, Streak()), answer, state.check)
        if answer.status is not None:
            ports.add(answer.port)
    return replace(state, streaks=streaks, ports=tuple(sorted(ports)))


def _next(streak: Streak, answer: ProbeAnswer, check: Health) -> Streak:
    if answer.at <= streak.at:
        return streak
    if answer.status == check.expect:
        return Streak(at=answer.at, answered=True)
    words = f"answers {answer.status}"
    if answer.status is None:
        words = f"gives no answer ({answer.failure.value if answer.failure else 'none'})"
    answered = streak.answered or answer.status is not None
    return Streak(bad=streak.bad + 1, at=answer.at, answered=answered, words=words)


def find(state: HealthState, tick: Tick) -> Finding:
    """Say whether the candidate's ready pods are healthy."""
    living = [pod for pod in tick.snapshot.pods if pod.deleted_at is None]
    ready = [pod for pod in living if pod.revision in tick.candidate and pod.ready]
    candidate = [p for p in living if p.revision in tick.candidate and p.ready_at is not None]
    bad = [pod for pod in candidate if _is_bad(state, pod)]
    if bad:
        return _unhealthy(state, tick, bad)
    if not ready:
        return _found(state, Verdict.WAIT, Reason.NOT_READY_YET, "no candidate pod is ready yet")
    silent = [pod for pod in ready if _is_silent(state, pod)]
    if silent:
        words = state.streaks[silent[0].uid].words
        text = f"{silent[0].name} {words} and never has: perhaps a network policy, not an outage"
        return _found(state, Verdict.BLIND, Reason.NEVER_ANSWERED, text)
    well = [pod for pod in ready if not _failing(state, pod)]
    if len(well) < len(ready):
        text = f"{len(well)} of {len(ready)} ready pods answer well"
        return _found(state, Verdict.WAIT, Reason.COLLECTING, text)
    text = f"all {len(ready)} ready pods are healthy"
    return _found(state, Verdict.PASS, Reason.INSIDE_BOUND, text)


def _unhealthy(state: HealthState, tick: Tick, bad: list[Pod]) -> Finding:
    stable = [pod for pod in tick.snapshot.pods if pod.revision in tick.stable]
    stable = [pod for pod in stable if pod.deleted_at is None]
    alike = [pod for pod in stable if _is_bad(state, pod)]
    streak = state.streaks[bad[0].uid]
    text = (
        f"{bad[0].name} {streak.words} to {state.check.path or 'its readiness probe'}, expected "
        f"{state.check.expect}, {streak.bad} times in a row"
    )
    if len(bad) > 1:
        text += f" ({len(bad)} pods)"
    numbers = {"bad_pods": float(len(bad)), "in_a_row": float(streak.bad)}
    if alike:
        text += f"; stable pod {alike[0].name} {state.streaks[alike[0].uid].words} too"
        return _found(
            state, Verdict.WAIT, Reason.SHARED_UNHEALTHY, text, numbers=numbers, hold=True
        )
    return _found(state, Verdict.FAIL, Reason.UNHEALTHY, text, numbers=numbers)


def _is_bad(state: HealthState, pod: Pod) -> bool:
    streak = state.streaks.get(pod.uid)
    if streak is None or streak.bad < state.check.failures:
        return False
    return streak.answered or bool(state.ports)


def _is_silent(state: HealthState, pod: Pod) -> bool:
    streak = state.streaks.get(pod.uid)
    return (
        streak is not None
        and streak.bad >= state.check.failures
        and not streak.answered
        and not state.ports
    )


def _failing(state: HealthState, pod: Pod) -> bool:
    streak = state.streaks.get(pod.uid)
    return streak is not None and streak.bad > 0


def _found(
    state: HealthState,
    answer: Verdict,
    reason: Reason,
    text: str,
    *,
    numbers: Mapping[str, float] | None = None,
    hold: bool = False,
) -> Finding:
    return Finding(
        check=state.check.name,
        kind="health",
        answer=answer,
        reason=reason,
        text=text,
        hold=hold,
        numbers=numbers or {},
    )
