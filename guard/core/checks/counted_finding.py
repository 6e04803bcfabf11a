"""What a counted check's evidence says, as a finding: the answer, its words and its numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from guard.core.buckets import bucket_matcher
from guard.core.checks import bounds, counted, counted_state, service, service_finding
from guard.core.checks.blame import SUSPICIOUS, Standing
from guard.core.checks.counted_state import ALLOWANCE_AT_MOST, goal_d
from guard.core.evidence import mixtures, weighing, windows
from guard.core.evidence.statistics import wilson
from guard.core.findings import Finding, Reason, Verdict
from guard.core.policy import Latency, Ratio, WorseThanStable, seconds
from guard.core.verdicts import E_TOO_HIGH_TO_PROMOTE

if TYPE_CHECKING:
    from guard.core.checks.counted_state import CountedState
    from guard.core.ticks import Tick

BLIND_AFTER = 10.0
"""Seconds without an accepted reading after which the check is blind, if that is longer than
three missed polls (or three scrape intervals, where the readings came from Prometheus)."""
MISSED = 3.0
SLOWEST_RHYTHM = 5.0
"""Seconds between two ticks at most; a longer pause was a restart of the guard."""
RATE_WINDOW = 30.0
RECENT = 60.0
"""Seconds of the newest requests, by which a burn rate is told."""
DISPLAY_AT_MOST = 1e12

Answer = tuple[Verdict, Reason, str, bool]
"""Verdict, reason, what follows the counts in the sentence, and whether to hold."""

_BY_STANDING: dict[Standing, Answer] = {
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
    Standing.REPAIR: (
        Verdict.WAIT,
        Reason.REPAIR,
        "over the bound, but better than stable, which was over it before the rollout: a repair",
        False,
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
}


def find(state: CountedState, tick: Tick) -> Finding:
    """Say what the evidence says at this tick."""
    numbers = _numbers(state)
    verdict, reason, text, hold = _answer(state, tick, numbers)
    return Finding(
        check=state.check.name,
        kind=state.kind,
        answer=verdict,
        reason=reason,
        text=text,
        hold=hold,
        numbers=numbers,
        query=query(state, tick),
        counted=True,
    )


def _numbers(state: CountedState) -> dict[str, float]:
    sums, bound = state.sums, state.bound
    low, high = wilson(sums.bad, sums.total)
    whole, recent = counted_state.log_m_d(state)
    rate = _rate(state)
    recent_bad, recent_total = windows.trailing(state.bins, state.at, RECENT, 0.0)
    missing = mixtures.missing_to_pass(
        sums.step_bad, sums.step_total, (bound.good, bound.p1, bound.k, bound.beta)
    )
    e_value = counted_state.e_value(state)
    return {
        "bad": sums.bad,
        "total": sums.total,
        "ratio": sums.bad / sums.total if sums.total else 0.0,
        "low": low,
        "high": high,
        "stable_bad": sums.stable_bad,
        "stable_total": sums.stable_total,
        "youth_bad": sums.youth_bad,
        "youth_total": sums.youth_total,
        "e_value": min(e_value, DISPLAY_AT_MOST),
        "log_e": math.log(max(e_value, 1e-300)),
        "bound": 1.0 / bound.alpha,
        "m_a": counted_state.m_a(state),
        "m_a_stable": weighing.m_a_stable(state.evidence),
        "m_b": weighing.m_b(state.evidence),
        "log_m_d": whole,
        "log_m_d_recent": recent,
        "log_bound_d": goal_d(bound),
        "k": bound.k,
        "p0": bound.p0,
        "p0_good": bound.good,
        "p0_own": state.check.above,
        "history": float(bound.normal is not None),
        "dispersion": bound.normal.dispersion if bound.normal else 0.0,
        "dispersion_upper": bound.normal.dispersion_upper if bound.normal else 0.0,
        "psi0": bound.psi0,
        "missing": missing,
        "rate": rate,
        "missing_seconds": missing / rate if rate > 0 and missing >= 0 else -1.0,
        "control": float(state.attribution.control),
        "compared": float(state.attribution.control or state.attribution.unattributed),
        "assumed": float(bound.assumed),
        "bad_age": sums.bad_age,
        "age": sums.age,
        "recent_bad": recent_bad,
        "recent_total": recent_total,
        "may_have_broken_both": float(state.attribution.broke_both),
        **(service_finding.numbers(state) if state.whole else {}),
    }


def _rate(state: CountedState) -> float:
    """The candidate's requests a second over the last half minute, or since its first one."""
    first_at = state.sight.first_at
    if first_at is None:
        return 0.0
    _, requests = windows.trailing(state.bins, state.at, RATE_WINDOW, 0.0)
    seconds = min(state.at - first_at, RATE_WINDOW)
    return requests / seconds if seconds > 0 else 0.0


def _answer(state: CountedState, tick: Tick, numbers: dict[str, float]) -> Answer:
    if state.bound.k > ALLOWANCE_AT_MOST:
        text = (
            f"{_counts(state)}; errors come in clusters of {state.bound.k}, too clustered to "
            f"decide (at most {ALLOWANCE_AT_MOST})"
        )
        return Verdict.WAIT, Reason.TOO_CLUSTERED, text, True
    if state.whole and (whole := _whole(state, numbers)) is not None:
        return whole
    if numbers["e_value"] >= numbers["bound"]:
        compares = isinstance(state.check, WorseThanStable)
        return _worse(state, numbers) if compares else _over(state, numbers)
    for answer in (_by_blame(state), _blind(state, tick), _too_little(state, tick)):
        if answer is not None:
            verdict, reason, text, hold = answer
            return verdict, reason, f"{_counts(state)}; {text}" if state.sums.total else text, hold
    return _weighed(state, numbers)


def _whole(state: CountedState, numbers: dict[str, float]) -> Answer | None:
    """What a counter of the whole service may not decide: hold, or wait for all pods."""
    if state.alone_since is None:
        return Verdict.WAIT, Reason.OTHER_PODS, service.WAITING, False
    goal = numbers["log_bound_d"]
    good = min(numbers["log_m_d"], numbers["log_m_d_recent"]) >= goal
    if not state.bound.stable_was_over or numbers["m_a"] < numbers["bound"] or good:
        return None
    text = (
        f"{_counts(state)}; over the bound, but the service was over it in the 5 min before the "
        "rollout as well: release or incident, nobody can tell"
    )
    return Verdict.WAIT, Reason.UNATTRIBUTED, text, True


def _worse(state: CountedState, numbers: dict[str, float]) -> Answer:
    text = f"{_counts(state)}; {_decides(numbers)}"
    if not state.attribution.control:
        text += " (as it last stood beside stable, which now has too little traffic)"
    return Verdict.FAIL, Reason.WORSE_THAN_STABLE, text, False


def _decides(numbers: dict[str, float]) -> str:
    return f"E is {numbers['e_value']:.3g}, {numbers['bound']:.0f} decides"


def _over(state: CountedState, numbers: dict[str, float]) -> Answer:
    text = f"{_counts(state)}; {_decides(numbers)}"
    lasts = bounds.youth_lasts(state.check)
    if state.whole:
        return Verdict.FAIL, Reason.OVER_BOUND, text, False
    if not state.attribution.control:
        text += " (no control: too little stable traffic beside it to compare with)"
    apart = state.bound.youth_over
    if apart is not None and _main(state) < numbers["bound"]:
        text += (
            f"; it rests on the first {lasts:.0f} s of the pods' life: {_youth(state)}, where the "
            f"revision before stayed under {_percent(apart)}"
        )
        return Verdict.FAIL, Reason.YOUTH_OVER_BOUND, text, False
    if apart is None and not state.bound.youth_out and state.sums.bad == state.sums.youth_bad:
        text += (
            f"; all of it came in the first {lasts:.0f} s of a pod's life: "
            f"`settle: {lasts:.0f}s` would leave that out"
        )
        if state.sums.total > state.sums.youth_total:
            return Verdict.FAIL, Reason.YOUTH_OVER_BOUND, text, False
    return Verdict.FAIL, Reason.OVER_BOUND, text, False


def _main(state: CountedState) -> float:
    """M_A without the youth that is judged apart, at its half of the mean."""
    return mixtures.mean_with_reserve(state.evidence.a, state.evidence.spend.spent) / 2.0


def _youth(state: CountedState) -> str:
    return f"{state.sums.youth_bad} of {state.sums.youth_total} requests {_did(state)} there"


def _did(state: CountedState) -> str:
    """What bad requests did."""
    sli = state.check.objective.sli
    return f"took over {seconds(sli.slower_than)}" if isinstance(sli, Latency) else "failed"


def _by_blame(state: CountedState) -> Answer | None:
    standing = state.attribution.standing
    if standing is Standing.UNATTRIBUTED and counted_state.m_a(state) < SUSPICIOUS:
        return None  # There is no trouble to attribute.
    if standing is Standing.SHARED and state.attribution.depends:
        names = ", ".join(state.attribution.depends)
        text = f"{names}, which this service depends on, is over its own bound: not the release's"
        return Verdict.WAIT, Reason.SHARED, text, True
    return _BY_STANDING.get(standing)


def _blind(state: CountedState, tick: Tick) -> Answer | None:
    sight = state.sight
    if sight.not_monotonic:
        return Verdict.BLIND, Reason.NOT_MONOTONIC, sight.absence.detail, False
    since = sight.seen_at if sight.seen_at is not None else sight.awaited_since
    if since is None or tick.at - since < _patience(state) or not _ready(tick):
        return None
    absence = sight.absence
    why = ": ".join(part for part in (absence.reason, absence.detail) if part)
    reason = Reason.UNAVAILABLE if absence.unavailable else Reason.NO_DATA
    text = f"cannot be measured for {tick.at - since:.0f} s ({why or 'nothing answered'})"
    return Verdict.BLIND, reason, text, False


def _patience(state: CountedState) -> float:
    sight = state.sight
    rhythm = min(sight.pause, SLOWEST_RHYTHM)
    if sight.by_prometheus or state.whole:
        rhythm = max(rhythm, state.bound.interval)
    return max(BLIND_AFTER, MISSED * rhythm)


def _ready(tick: Tick) -> bool:
    return counted.ready_share(tick) > 0.0


def _too_little(state: CountedState, tick: Tick) -> Answer | None:
    if not _ready(tick):
        return Verdict.WAIT, Reason.NOT_READY_YET, "no candidate pod is ready yet", False
    if state.sums.total == 0:
        return _only_young(state) if state.sums.youth_total else _unused(state)
    return None


def _unused(state: CountedState) -> Answer:
    beside = f" while stable had {state.sums.stable_total}" if state.sums.stable_total else ""
    text = f"no user's request has reached the candidate yet{beside}"
    return Verdict.WAIT, Reason.NO_TRAFFIC, text, False


def _only_young(state: CountedState) -> Answer:
    """Every request so far met a young pod, and youth is judged apart or not at all."""
    why = "which is judged apart"
    if state.bound.youth_out:
        why = "which is left out: no record tells what is usual there"
    lasts = bounds.youth_lasts(state.check)
    text = f"{_youth(state)}, in the first {lasts:.0f} s of the pods' life, {why}"
    return Verdict.WAIT, Reason.COLLECTING, text, False


def _weighed(state: CountedState, numbers: dict[str, float]) -> Answer:
    goal = numbers["log_bound_d"]
    text = _counts(state)
    if state.sight.lost_pods:
        text += f"; {state.sight.lost_pods} ready pods could not be read"
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


def _counts(state: CountedState) -> str:
    sums, bound = state.sums, state.bound
    low, high = wilson(sums.bad, sums.total)
    ratio = sums.bad / sums.total if sums.total else 0.0
    text = (
        f"{sums.bad} of {sums.total} requests {_did(state)} ({_percent(ratio)}, 95% between "
        f"{_percent(low)} and {_percent(high)}; the bound is {_asked(state)})"
    )
    if sums.stable_total:
        text += f", stable {sums.stable_bad} of {sums.stable_total} beside it"
    if state.whole:
        text += f"; {service_finding.no_side(state)}"
    return f"{text}, k = {bound.k}{bounds.allowance_words(bound)}"


def _asked(state: CountedState) -> str:
    """The bound in words."""
    bound = state.bound
    if not isinstance(state.check, WorseThanStable):
        return bounds.words(bound, state.check.above)
    return f"{bound.psi0:g} times stable's, and never under {_percent(bound.p0)}"


def _percent(ratio: float) -> str:
    return f"{100.0 * ratio:.3g}%"


def query(state: CountedState, tick: Tick) -> str:
    """The PromQL that shows the same in Prometheus; empty while there is no candidate pod."""
    sli = state.check.objective.sli
    if state.whole and isinstance(sli, Ratio):
        return f"sum(increase({sli.bad.text}[5m])) / sum(increase({sli.total.text}[5m]))"
    names = "|".join(
        sorted(
            pod.name.replace(".", r"\\.")
            for pod in tick.snapshot.pods
            if pod.revision in tick.candidate
        )
    )
    if not names:
        return ""
    total = _increase(_with_pods(sli.total.text, names))
    if isinstance(sli, Latency):
        fast = _with_matcher(_with_pods(sli.buckets.text, names), bucket_matcher(sli.bound))
        return f"1 - {_increase(fast)} / {total}"
    return f"{_increase(_with_pods(sli.bad.text, names))} / {total}"


def _increase(selector: str) -> str:
    return f"sum by (pod) (increase({selector}[5m]))"


def _with_pods(text: str, names: str) -> str:
    return _with_matcher(text, f'pod=~"{names}"')


def _with_matcher(text: str, matcher: str) -> str:
    stripped = text.rstrip()
    if stripped.endswith("}"):
        inner = stripped[:-1].rstrip()
        return f"{inner}{'' if inner.endswith(('{', ',')) else ','}{matcher}}}"
    return f"{stripped}{{{matcher}}}"
