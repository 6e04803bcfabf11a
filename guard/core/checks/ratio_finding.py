"""What the error ratio's evidence says, as a finding: the answer, its words and its numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from guard.core.checks import error_ratio
from guard.core.checks.blame import Standing
from guard.core.evidence import mixtures, windows
from guard.core.evidence.statistics import wilson
from guard.core.findings import Finding, Reason, Verdict
from guard.core.verdicts import E_TOO_HIGH_TO_PROMOTE

if TYPE_CHECKING:
    from guard.core.checks.error_ratio import ErrorRatioState
    from guard.core.ticks import Tick

BLIND_AFTER = 10.0
"""Seconds without an accepted reading after which the check is blind; from Prometheus it is two
scrape intervals, where those are longer."""
RATE_WINDOW = 30.0
DISPLAY_AT_MOST = 1e12

Answer = tuple[Verdict, Reason, str, bool]
"""Verdict, reason, what follows the counts in the sentence, and whether to hold."""


def find(state: ErrorRatioState, tick: Tick) -> Finding:
    """Say what the evidence says at this tick."""
    numbers = _numbers(state)
    verdict, reason, text, hold = _answer(state, tick, numbers)
    return Finding(
        check=state.check.name,
        kind="error_ratio",
        answer=verdict,
        reason=reason,
        text=text,
        hold=hold,
        numbers=numbers,
        query=query(state, tick),
        counted=True,
    )


def _numbers(state: ErrorRatioState) -> dict[str, float]:
    sums, bound = state.sums, state.bound
    low, high = wilson(sums.bad, sums.total)
    whole, recent = error_ratio.log_m_d(state)
    _, last = windows.trailing(state.bins, state.at, RATE_WINDOW, 0.0)
    since = state.at - max(state.at - RATE_WINDOW, state.first_at or state.at)
    rate = last / since if since > 0 else 0.0
    missing = mixtures.missing_to_pass(
        sums.step_bad, sums.step_total, (bound.p0, bound.p1, bound.k, bound.beta)
    )
    e_value = error_ratio.e_value(state)
    return {
        "bad": sums.bad,
        "total": sums.total,
        "ratio": sums.bad / sums.total if sums.total else 0.0,
        "low": low,
        "high": high,
        "stable_bad": sums.stable_bad,
        "stable_total": sums.stable_total,
        "e_value": min(e_value, DISPLAY_AT_MOST),
        "log_e": math.log(max(e_value, 1e-300)),
        "bound": 1.0 / bound.alpha,
        "m_a": error_ratio.m_a(state),
        "m_a_stable": error_ratio.m_a_stable(state),
        "m_b": error_ratio.m_b(state),
        "log_m_d": whole,
        "log_m_d_recent": recent,
        "log_bound_d": math.log(1.0 / bound.beta),
        "k": bound.k,
        "p0": bound.p0,
        "missing": missing,
        "rate": rate,
        "missing_seconds": missing / rate if rate > 0 and missing >= 0 else -1.0,
        "control": float(state.attribution.control),
        "may_have_broken_both": float(state.attribution.broke_both),
    }


def _answer(state: ErrorRatioState, tick: Tick, numbers: dict[str, float]) -> Answer:
    blind = _blind(state, tick)
    if (
        numbers["e_value"] >= numbers["bound"]
        and state.attribution.standing is not Standing.UNATTRIBUTED
    ):
        return _over(state, numbers)
    for answer in (_by_blame(state), blind, _too_little(state, tick)):
        if answer is not None:
            verdict, reason, text, hold = answer
            return verdict, reason, f"{_counts(state)}; {text}" if state.sums.total else text, hold
    return _weighed(state, numbers)


def _over(state: ErrorRatioState, numbers: dict[str, float]) -> Answer:
    text = f"{_counts(state)}; E is {numbers['e_value']:.3g}, {numbers['bound']:.0f} decides"
    if not state.attribution.control:
        text += " (no control: too little stable traffic beside it to compare with)"
    if _young_alone(state):
        text += (
            "; all of it came in the first seconds of a pod's life: "
            f"`settle: {error_ratio.YOUTH:.0f}s` would leave that out"
        )
        return Verdict.FAIL, Reason.YOUTH_OVER_BOUND, text, False
    return Verdict.FAIL, Reason.OVER_BOUND, text, False


def _young_alone(state: ErrorRatioState) -> bool:
    sums = state.sums
    old_total = sums.total - sums.youth_total
    return sums.bad > 0 and sums.bad == sums.youth_bad and old_total > 0


def _by_blame(state: ErrorRatioState) -> Answer | None:
    return {
        Standing.BLAMED: (
            Verdict.FAIL,
            Reason.BLAMED,
            "stable is clean at the same time, so the release is to blame",
            False,
        ),
        Standing.SHARED: (
            Verdict.WAIT,
            Reason.SHARED,
            "stable fails too: an incident that both share, not the release's",
            True,
        ),
        Standing.UNATTRIBUTED: (
            Verdict.WAIT,
            Reason.UNATTRIBUTED,
            "stable was failing too when its last pods went: attributed to nobody",
            True,
        ),
        Standing.OPEN: (
            Verdict.WAIT,
            Reason.ATTRIBUTING,
            "over the bound, but stable is neither clean nor clearly bad: attributed to nobody yet",
            True,
        ),
        Standing.ATTRIBUTING: (
            Verdict.WAIT,
            Reason.ATTRIBUTING,
            "over the bound; comparing with stable before blaming the release",
            False,
        ),
    }.get(state.attribution.standing)


def _blind(state: ErrorRatioState, tick: Tick) -> Answer | None:
    if state.absent_blind:
        return Verdict.BLIND, Reason.NOT_MONOTONIC, state.absent_detail, False
    since = state.seen_at if state.seen_at is not None else state.waiting_since
    ready = any(
        pod.ready and pod.deleted_at is None and pod.revision in tick.candidate
        for pod in tick.snapshot.pods
    )
    after = max(BLIND_AFTER, 2.0 * state.bound.interval) if tick.from_prometheus else BLIND_AFTER
    if not ready or since is None or tick.at - since < after:
        return None
    why = " ".join(part for part in (state.absent_reason, state.absent_detail) if part)
    text = f"cannot be measured for {tick.at - since:.0f} s: {why or 'nothing answered'}"
    return Verdict.BLIND, Reason.NO_DATA, text, False


def _too_little(state: ErrorRatioState, tick: Tick) -> Answer | None:
    if not any(
        pod.ready and pod.revision in tick.candidate and pod.deleted_at is None
        for pod in tick.snapshot.pods
    ):
        return Verdict.WAIT, Reason.NOT_READY_YET, "no candidate pod is ready yet", False
    if state.sums.total == 0:
        beside = f" while stable had {state.sums.stable_total}" if state.sums.stable_total else ""
        text = f"no user's request has reached the candidate yet{beside}"
        return Verdict.WAIT, Reason.NO_TRAFFIC, text, False
    return None


def _weighed(state: ErrorRatioState, numbers: dict[str, float]) -> Answer:
    goal = numbers["log_bound_d"]
    text = _counts(state)
    if state.lost_pods:
        text += f"; {state.lost_pods} ready pods could not be read"
    passes = min(numbers["log_m_d"], numbers["log_m_d_recent"]) >= goal
    if passes and numbers["e_value"] < E_TOO_HIGH_TO_PROMOTE:
        return Verdict.PASS, Reason.GOOD_ENOUGH, f"{text}: good enough", False
    return Verdict.WAIT, Reason.COLLECTING, f"{text}; {_missing(numbers)}", False


def _missing(numbers: dict[str, float]) -> str:
    if numbers["missing"] < 0:
        return "at this ratio it will never be good enough"
    if numbers["missing"] == 0:
        return "the last requests are not good enough yet"
    seen = int(numbers["total"])
    goal = seen + int(numbers["missing"])
    if numbers["missing_seconds"] < 0:
        return f"{seen} of {goal} requests seen"
    minutes = numbers["missing_seconds"] / 60.0
    more = f"{minutes:.0f} min" if minutes >= 1 else f"{numbers['missing_seconds']:.0f} s"
    return f"{seen} of {goal} requests seen; {more} more at this rate"


def _counts(state: ErrorRatioState) -> str:
    sums, bound = state.sums, state.bound
    low, high = wilson(sums.bad, sums.total)
    ratio = 100.0 * sums.bad / sums.total if sums.total else 0.0
    text = (
        f"{sums.bad} of {sums.total} requests failed ({ratio:.2g}%, 95% between "
        f"{100 * low:.2g} and {100 * high:.2g}%; the bound is {100 * bound.p0:.2g}%)"
    )
    if sums.stable_total:
        text += f", stable {sums.stable_bad} of {sums.stable_total} beside it"
    assumed = ", assumed without history" if bound.assumed else ""
    return f"{text}, k = {bound.k}{assumed}"


def query(state: ErrorRatioState, tick: Tick) -> str:
    """The PromQL that shows the same in Prometheus."""
    sli = state.check.objective.sli
    names = "|".join(
        sorted(pod.name for pod in tick.snapshot.pods if pod.revision in tick.candidate)
    )
    bad, total = (_with_pods(text, names) for text in (sli.bad.text, sli.total.text))
    return f"sum(increase({bad}[5m])) / sum(increase({total}[5m]))"


def _with_pods(text: str, names: str) -> str:
    matcher = f'pod=~"{names}"'
    stripped = text.rstrip()
    if stripped.endswith("}"):
        inner = stripped[:-1].rstrip()
        return f"{inner}{'' if inner.endswith(('{', ',')) else ','}{matcher}}}"
    return f"{stripped}{{{matcher}}}"
