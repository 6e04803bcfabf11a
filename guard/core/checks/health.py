"""Check *health*: every candidate pod's endpoint answers as expected (decisions.md, E).

Silence counts only where an answer was had before: a network policy is no outage. A pod without an
HTTP endpoint to ask is judged by its Ready condition, from its first Ready on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from guard.core.findings import Finding, Reason, Verdict
from guard.core.policy import Health
from guard.core.samples import UnavailableReason
from guard.core.ticks import Frame, ProbeAnswer, Tick
from guard.core.workloads import Pod, Probe

RESTART_WITHIN = 60.0
"""Seconds that a pod has for coming back from its first exit. The check *pods* judges exits, and
allows one; whatever a program says or does not say while it starts is no news about its health."""

REFUSED_FOR = 10.0
"""Seconds for which connections are refused before that counts. Where a container has ended they
are refused at once, but a kubelet on a busy node tells of the end some seconds later (measured:
more than 4), and a first exit is for the check *pods* to judge."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What to ask of a pod. `port` 0: the check names a port that the pod does not have."""

    scheme: str
    port: int
    path: str


@dataclass(frozen=True, slots=True)
class Streak:
    """Bad probes of one pod in a row.

    Attributes:
        bad: how many.
        at: when the last one was answered or given up.
        since: when the first of them was.
        refused: the last one was a refused connection.
        answered: an answer came from this pod before, on this port.
        port: the port asked; 0 for the Ready condition.
        words: what the last bad one was.
    """

    bad: int = 0
    at: float = -1.0
    since: float = -1.0
    refused: bool = False
    answered: bool = False
    port: int = 0
    words: str = ""


@dataclass(frozen=True, slots=True)
class HealthState:
    """Streaks by pod uid, and the ports on which stable pods have answered in this rollout."""

    kind: Literal["health"]
    check: Health
    streaks: Mapping[str, Streak] = field(default_factory=dict)
    ports: tuple[int, ...] = ()


def endpoint(check: Health, pod: Pod) -> Endpoint | None:
    """Where a pod's health is asked: as the check says, else as its own HTTP readiness probe.

    Returns:
        The endpoint; None where there is nothing to ask, and the Ready condition speaks.
    """
    if check.path is None and check.port is None:
        probe = _http_probe(pod, "readiness")
        return Endpoint(probe.scheme.lower(), probe.port, probe.path) if probe else None
    probe = _http_probe(pod, "readiness", "liveness", "startup")
    path = check.path or (probe.path if probe else "/")
    if check.port is not None:
        return Endpoint(check.scheme, _number(check.port, pod), path)
    if probe is not None:
        return Endpoint(probe.scheme.lower(), probe.port, path)
    declared = [number for one in pod.containers if not one.init for _, number in one.ports]
    return Endpoint(check.scheme, declared[0], path) if len(declared) == 1 else None


def _http_probe(pod: Pod, *kinds: str) -> Probe | None:
    """The first HTTP probe, of the first kind that has one."""
    return next(
        (p for kind in kinds for p in pod.probes if p.kind == kind and p.handler == "http"), None
    )


def _number(port: int | str, pod: Pod) -> int:
    if isinstance(port, int):
        return port
    declared = (pair for one in pod.containers if not one.init for pair in one.ports)
    return next((number for name, number in declared if name == port), 0)


def begin(check: Health, _frame: Frame) -> HealthState:
    """Start with nothing known."""
    return HealthState(kind="health", check=check)


def update(state: HealthState, tick: Tick) -> HealthState:
    """Take the newest probes in; one that was taken in before changes nothing."""
    probes = tick.probes.get(state.check.name, {})
    living = {pod.uid: pod for pod in tick.snapshot.pods if pod.deleted_at is None}
    streaks = {uid: streak for uid, streak in state.streaks.items() if uid in living}
    ports = set(state.ports)
    for uid, pod in living.items():
        streak, answer = streaks.get(uid, Streak()), probes.get(uid)
        if _is_coming_back(pod, tick.at):
            continue
        if answer is not None:
            streaks[uid] = _next(streak, answer, state.check)
            if answer.status is not None and pod.revision in tick.stable:
                ports.add(answer.port)
        elif pod.ready_at is not None and endpoint(state.check, pod) is None:
            streaks[uid] = _by_condition(streak, pod, tick.at, state.check)
    return replace(state, streaks=streaks, ports=tuple(sorted(ports)))


def _is_coming_back(pod: Pod, at: float) -> bool:
    """Whether a container of a pod that is not ready has ended once, a short while ago."""
    ended = (one for one in pod.containers if not one.init and one.restarts <= 1)
    exits = (one.last_exit for one in ended if one.last_exit is not None)
    return not pod.ready and any(at - last.at < RESTART_WITHIN for last in exits)


def _next(streak: Streak, answer: ProbeAnswer, check: Health) -> Streak:
    if answer.at <= streak.at:
        return streak
    had = streak.answered and streak.port == answer.port
    after = Streak(at=answer.at, answered=had or answer.status is not None, port=answer.port)
    if answer.status == check.expect:
        return after
    words = f"answers {answer.status}"
    if answer.status is None:
        words = f"gives no answer ({answer.failure.value if answer.failure else 'none'})"
    words += f" to {check.path or 'its readiness probe'}, expected {check.expect}"
    since = streak.since if streak.bad else answer.at
    refused = answer.failure is UnavailableReason.REFUSED
    return replace(after, bad=streak.bad + 1, since=since, refused=refused, words=words)


def _by_condition(streak: Streak, pod: Pod, at: float, check: Health) -> Streak:
    """The platform's own word, taken as often as a probe would be."""
    if at < streak.at + check.every:
        return streak
    if pod.ready:
        return Streak(at=at, answered=True)
    return Streak(bad=streak.bad + 1, at=at, answered=True, words="is not ready any more")


def find(state: HealthState, tick: Tick) -> Finding:
    """Say whether the candidate's pods that have been ready once are healthy."""
    living = [pod for pod in tick.snapshot.pods if pod.deleted_at is None]
    candidate = [p for p in living if p.revision in tick.candidate and p.ready_at is not None]
    bad = [pod for pod in candidate if _is_bad(state, pod)]
    if bad:
        return _unhealthy(state, tick, bad)
    if not any(pod.ready for pod in candidate):
        return _found(state, Verdict.WAIT, Reason.NOT_READY_YET, "no candidate pod is ready yet")
    silent = [pod for pod in candidate if pod.ready and _is_long(state, pod)]
    if silent:
        words = state.streaks[silent[0].uid].words
        text = f"{silent[0].name} {words} and never has: perhaps a network policy, not an outage"
        return _found(state, Verdict.BLIND, Reason.NEVER_ANSWERED, text)
    well = [pod for pod in candidate if _is_well(state, pod)]
    if len(well) < len(candidate):
        text = f"{len(well)} of {len(candidate)} pods are healthy"
        return _found(state, Verdict.WAIT, Reason.COLLECTING, text)
    text = f"all {len(candidate)} ready pods are healthy"
    if len(candidate) == 1:
        text = "the one ready pod is healthy"
    return _found(state, Verdict.PASS, Reason.INSIDE_BOUND, text)


def _unhealthy(state: HealthState, tick: Tick, bad: list[Pod]) -> Finding:
    stable = [pod for pod in tick.snapshot.pods if pod.revision in tick.stable]
    stable = [pod for pod in stable if pod.deleted_at is None]
    alike = [pod for pod in stable if _is_bad(state, pod)]
    streak = state.streaks[bad[0].uid]
    text = f"{bad[0].name} {streak.words}, {streak.bad} times in a row"
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
    """Bad for long, and silence is no excuse: this pod, or a stable one, answered on that port."""
    streak = state.streaks.get(pod.uid, Streak())
    return _is_long(state, pod) and (streak.answered or streak.port in state.ports)


def _is_long(state: HealthState, pod: Pod) -> bool:
    """Bad in a row often enough, and for long enough where connections are refused."""
    streak = state.streaks.get(pod.uid)
    if streak is None or streak.bad < state.check.failures:
        return False
    return not streak.refused or streak.at - streak.since >= REFUSED_FOR


def _is_well(state: HealthState, pod: Pod) -> bool:
    """A pod that was not asked yet is not well: nobody knows."""
    streak = state.streaks.get(pod.uid)
    return streak is not None and streak.bad == 0


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
