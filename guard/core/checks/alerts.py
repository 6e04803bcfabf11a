"""Check *alerts*: no alert of the team's own began with the candidate (decisions.md, E).

What fired before the first candidate pod is not the release's, until it has resolved once. An alert
that names pods says whose it is; one that names none says only that something is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from guard.core.counting import CLOCK_RESOLUTION
from guard.core.findings import Finding, Reason, Verdict
from guard.core.policy import Alerts, WithoutPod
from guard.core.samples import Alert, Alerted

if TYPE_CHECKING:
    from guard.core.ticks import Frame, Tick

STALE_AFTER = 60.0
"""Seconds after which an answer says nothing any more."""
PODS_AT_MOST = 200
"""Names of candidate pods that are remembered: one that is gone may still have an alert."""
NAMED_AT_MOST = 3


@dataclass(frozen=True, slots=True)
class AlertsState:
    """What Alertmanager said so far.

    Attributes:
        first_pod_at: when the first candidate pod was made; None before.
        candidate_pods: names of the candidate's pods, also those that are gone.
        known: fingerprints of alerts that fired before the first candidate pod and still do.
        begun: alerts that began after it and still fire.
        asked: Alertmanager has answered at all.
        absent: why it did not answer last; empty when it did.
    """

    kind: Literal["alerts"]
    check: Alerts
    first_pod_at: float | None = None
    candidate_pods: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    begun: tuple[Alert, ...] = ()
    asked: bool = False
    absent: str = ""
    absent_since: float | None = None


def begin(check: Alerts, _frame: Frame) -> AlertsState:
    """Start with nothing known."""
    return AlertsState(kind="alerts", check=check)


def update(state: AlertsState, tick: Tick) -> AlertsState:
    """Take the newest answer in."""
    state = _with_pods(state, tick)
    sample = tick.alerts.get(state.check.name)
    if sample is None:
        return state
    absent = ""
    if not isinstance(sample, Alerted):
        absent = f"{sample.reason.value} {sample.detail}".strip()
    elif sample.at < tick.at - STALE_AFTER:
        absent = f"stale: the last answer is {tick.at - sample.at:.0f} s old"
    if absent or not isinstance(sample, Alerted):
        since = tick.at if state.absent_since is None else state.absent_since
        return replace(state, absent=absent, absent_since=since)
    return _taken(replace(state, asked=True, absent="", absent_since=None), sample)


def _with_pods(state: AlertsState, tick: Tick) -> AlertsState:
    mine = [pod for pod in tick.snapshot.pods if pod.revision in tick.candidate]
    if not mine:
        return state
    first = min(pod.created_at for pod in mine)
    new = sorted({pod.name for pod in mine} - set(state.candidate_pods))
    return replace(
        state,
        first_pod_at=first if state.first_pod_at is None else min(first, state.first_pod_at),
        candidate_pods=(*state.candidate_pods, *new)[-PODS_AT_MOST:],
    )


def _taken(state: AlertsState, sample: Alerted) -> AlertsState:
    """Part the alerts; one that is not in the answer has resolved, and may begin anew."""
    # The platform may have cut the pod's time off to a whole second.
    first = None if state.first_pod_at is None else state.first_pod_at + CLOCK_RESOLUTION
    known: list[str] = []
    begun: list[Alert] = []
    for alert in sorted(sample.alerts, key=lambda one: one.fingerprint):
        before = first is None or alert.since <= first or alert.fingerprint in state.known
        if before:
            known.append(alert.fingerprint)
        else:
            begun.append(alert)
    return replace(state, known=tuple(known), begun=tuple(begun))


def find(state: AlertsState, tick: Tick) -> Finding:
    """Say whether an alert began with the candidate, and whose it is."""
    if state.absent_since is not None:
        seconds = tick.at - state.absent_since
        text = f"alerts cannot be read for {seconds:.0f} s: {state.absent}"
        return _found(state, Verdict.BLIND, Reason.UNAVAILABLE, text)
    if not state.asked:
        return _found(state, Verdict.WAIT, Reason.COLLECTING, "alerts were not asked for yet")
    mine, nobodys = _parted(state, tick)
    if mine:
        text = f"{_named(mine)} began with the candidate and name its pods alone"
        return _found(state, Verdict.FAIL, Reason.ALERT_OF_CANDIDATE, text)
    if nobodys:
        return _whose(state, nobodys)
    if state.known:
        many = f"{len(state.known)} alerts" if len(state.known) > 1 else "1 alert"
        text = f"{many} fired before the release, not over yet: not the release's"
        return _found(state, Verdict.PASS, Reason.PRE_EXISTING, text)
    return _found(state, Verdict.PASS, Reason.INSIDE_BOUND, "no alert began with the release")


def _whose(state: AlertsState, alerts: list[Alert]) -> Finding:
    text = f"{_named(alerts)} began after the first candidate pod"
    if state.check.without_pod is WithoutPod.ROLLBACK:
        text += ", and the policy calls that the release's"
        return _found(state, Verdict.FAIL, Reason.ALERT_BEGAN, text)
    text += "; nothing says whose fault that is"
    return _found(state, Verdict.WAIT, Reason.ALERT_BEGAN, text, hold=True)


def _parted(state: AlertsState, tick: Tick) -> tuple[list[Alert], list[Alert]]:
    """Alerts that fire for candidate pods only, and those of which nothing says whose they are.

    One that fires for a stable pod alone is not the candidate's, and is left out.
    """
    mine = set(state.candidate_pods)
    stable = {pod.name for pod in tick.snapshot.pods if pod.revision in tick.stable}
    shared = {alert.name for alert in state.begun if alert.pod in stable}
    own = [alert for alert in state.begun if alert.pod in mine and alert.name not in shared]
    both = [alert for alert in state.begun if alert.pod in mine and alert.name in shared]
    unnamed = [alert for alert in state.begun if alert.pod not in mine | stable]
    return own, both + unnamed


def _named(alerts: list[Alert]) -> str:
    names = sorted({alert.name for alert in alerts})
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return f"the alerts {', '.join(names[:NAMED_AT_MOST])}{more}"


def _found(
    state: AlertsState, answer: Verdict, reason: Reason, text: str, *, hold: bool = False
) -> Finding:
    return Finding(
        check=state.check.name,
        kind="alerts",
        answer=answer,
        reason=reason,
        text=text,
        hold=hold,
        numbers={"begun": float(len(state.begun)), "pre_existing": float(len(state.known))},
    )
