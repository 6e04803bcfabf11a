"""The counted checks: count both revisions' requests and weigh them (decisions.md, A to D).

*Error ratio* and *slow ratio* differ in what is bad and in how long a pod is young; *worse than
stable* asks A at its floor and B at its factor, and attributes nothing: it compares already.

The law of this module: evidence is an e-process, so no polling schedule raises the probability
of a false abort, and a release is blamed only for what its stable neighbour did not do as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from guard.core.checks import blame, bounds, service
from guard.core.checks.sides import (
    NONE,
    SLOW_YOUTH,
    YOUTH,
    Absence,
    Asked,
    Collected,
    Pair,
    collect,
)
from guard.core.counting import Account
from guard.core.evidence import mixtures, weighing, windows
from guard.core.evidence.history import Normal
from guard.core.evidence.statistics import upper
from guard.core.evidence.weighing import Bound, Evidence, Poll
from guard.core.evidence.windows import Bin
from guard.core.policy import CountedCheck, Latency, WorseThanStable, of_whole_service
from guard.core.ticks import Frame, Tick, Youth

ASSUMED_ALLOWANCE = 2
"""k where no history tells it (decisions.md, C)."""
ALLOWANCE_AT_MOST = 10
"""Above this k the check holds and never fails (decisions.md, C)."""
YOUTH_REQUESTS = 100
"""Requests that a record of youth needs before it counts."""
FLOOR = 0.2
"""Floor of *worse than stable* as a share of p0 (decisions.md, Blame)."""
BAD_BOUND = 2.0
"""p1 as a multiple of p0′ (decisions.md, D)."""
D_WINDOW = 30.0
"""Seconds of D's trailing window (decisions.md, D)."""
D_REQUESTS = 2.5
"""Requests of D's trailing window, times k/p0′ (250·k·(1%/p0′); decisions.md, D)."""
CLEAN_WINDOW = 60.0
"""Seconds over which stable must be clean for the release to be blamed (decisions.md, Blame)."""
CLEAN_REQUESTS = 3.0
"""Requests of that window, times k/p0′ (300·(1%/p0′), and k times as many where the counts are
divided by k: with fewer the upper bound of a clean stable would never come under p0′)."""
FIRST_COUNTS_WITHIN = 10.0
"""Seconds from the candidate's first request for which stable's first counts are awaited."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Requests so far: the candidate's since the last traffic step, and both sides' in all.

    Attributes:
        bad_age: greatest age of a candidate pod, seconds, at which a bad request came.
        age: the same of any request that counts.
    """

    bad: int = 0
    total: int = 0
    step_bad: int = 0
    step_total: int = 0
    stable_bad: int = 0
    stable_total: int = 0
    youth_bad: int = 0
    youth_total: int = 0
    bad_age: float = 0.0
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Sight:
    """How well the candidate can be seen.

    Attributes:
        seen_at: when a reading of the candidate was last accepted; None before.
        first_at: the candidate's first request.
        awaited_since: when a ready candidate pod was first there to be read.
        absence: why some candidate pod was not read when last asked.
        not_monotonic: several processes answer behind one candidate pod's address.
        lost_pods: ready candidate pods that gave no usable reading.
        pause: seconds between the two newest ticks.
        by_prometheus: the last accepted readings came from Prometheus.
    """

    seen_at: float | None = None
    first_at: float | None = None
    awaited_since: float | None = None
    absence: Absence = Absence()
    not_monotonic: bool = False
    lost_pods: int = 0
    pause: float = 0.0
    by_prometheus: bool = False


@dataclass(frozen=True, slots=True)
class ErrorRatioState:
    """The evidence of one counted check of a rollout.

    Attributes:
        accounts: by `pod uid/container`.
        share: the candidate's share of ready pods when it last doubled (a traffic step).
        step: pace steps taken in; each is a traffic step too.
        at: the newest tick.
        compared: of *worse than stable*: its last E under control.
        alone_since: of a whole service: since when every pod has been the candidate's.
    """

    kind: Literal["error_ratio", "slow_ratio", "worse_than_stable"]
    check: CountedCheck
    bound: Bound
    began_at: float
    evidence: Evidence
    accounts: Mapping[str, Account] = field(default_factory=dict)
    sums: Sums = Sums()
    bins: tuple[Bin, ...] = ()
    attribution: blame.Blame = blame.Blame()
    sight: Sight = Sight()
    share: float = 0.0
    step: int = 0
    at: float = 0.0
    compared: float = 1.0
    alone_since: float | None = None

    @property
    def whole(self) -> bool:
        """A proxy counts for all pods together: no side can be told from the other."""
        return of_whole_service(self.check.objective.sli)


def begin(check: CountedCheck, frame: Frame) -> ErrorRatioState:
    """Start with nothing known."""
    normal, before = frame.normal.get(check.name), frame.before.get(check.name)
    bound = _informed(_bound(check, frame), check, normal, before)
    return ErrorRatioState(
        kind=check.kind,
        check=check,
        bound=bound,
        began_at=frame.began_at,
        evidence=weighing.begin(frame.began_at, bound),
    )


def youth_lasts(check: CountedCheck) -> float:
    """Seconds of a pod's youth."""
    return SLOW_YOUTH if isinstance(check.objective.sli, Latency) else YOUTH


def floor(check: WorseThanStable) -> float:
    """The ratio under which nothing is called worse than stable."""
    return FLOOR * check.above if check.floor is None else check.floor


def _bound(check: CountedCheck, frame: Frame) -> Bound:
    p0 = floor(check) if isinstance(check, WorseThanStable) else check.above
    # A proxy does not say which pod answered, so no request is a young pod's.
    whole = of_whole_service(check.objective.sli)
    youth = None if whole else frame.youth.get(check.name)
    unknown = youth is None or youth.total < YOUTH_REQUESTS
    return Bound(
        p0=p0,
        p1=min(BAD_BOUND * check.above, 0.999),
        k=check.allowance or ASSUMED_ALLOWANCE,
        assumed=check.allowance is None,
        counted=frame.counted,
        alpha=frame.alpha,
        beta=frame.beta,
        interval=frame.interval,
        youth_over=_youth_over(youth, p0),
        youth_out=unknown and isinstance(check.objective.sli, Latency),
        psi0=check.factor if isinstance(check, WorseThanStable) else 1.0,
        promotes=check.above,
    )


def _youth_over(youth: Youth | None, p0: float) -> float | None:
    if youth is None or youth.total < YOUTH_REQUESTS:
        return None
    bound = upper(youth.bad, youth.total)
    return min(bound, 0.9) if bound > p0 else None


def _informed(
    bound: Bound, check: CountedCheck, normal: Normal | None, before: Youth | None
) -> Bound:
    """The bound with what is known of the time before the rollout."""
    if normal is not None:
        stated, floored = check.allowance is not None, isinstance(check, WorseThanStable)
        bound = bounds.with_normal(bound, normal, stated=stated, floored=floored)
    return bound if before is None else bounds.with_before(bound, before)


def _late(state: ErrorRatioState, tick: Tick) -> ErrorRatioState:
    """Take history in that came after the beginning: bounds only while nothing was weighed."""
    name, was = state.check.name, state.bound
    weighed = was.normal is not None or state.sight.first_at is not None
    normal = None if weighed else tick.normal.get(name)
    before = None if was.asked_before else tick.before.get(name)
    if normal is None and before is None:
        return state
    bound = _informed(was, state.check, normal, before)
    evidence = state.evidence if normal is None else weighing.begin(state.began_at, bound)
    if bound.stable_was_over and not was.stable_was_over:
        evidence = weighing.compared_back(evidence)
    return replace(state, bound=bound, evidence=evidence)


def update(state: ErrorRatioState, tick: Tick) -> ErrorRatioState:
    """Take one tick's readings in: first all counting, then every test once."""
    state = _late(state, tick)
    bound = state.bound
    asked = Asked(
        check=state.check.name,
        began_at=state.began_at,
        settle=state.check.settle,
        youth_apart=bound.youth_over is not None or bound.youth_out,
        interval=bound.interval,
        last_at=state.at,
        youth=youth_lasts(state.check),
    )
    if state.whole:
        # Only Prometheus has a proxy's series.
        tick = replace(tick, from_prometheus=True)
        state = replace(state, alone_since=service.since(state.alone_since, tick))
        got = service.collect(state.accounts, tick, asked, state.alone_since)
    else:
        got = collect(state.accounts, tick, asked)
    counts = (*got.candidate.evidence, *got.stable.evidence)
    sight = _sight(state, got, tick)
    share = _share_after(state.share, tick)
    stepped = share != state.share > 0.0 or tick.step != state.step
    evidence = weighing.step(state.evidence, tick.at) if stepped else state.evidence
    state = replace(
        state,
        accounts=got.accounts,
        evidence=weighing.weigh(evidence, _poll(got, tick, sight), bound),
        sums=_summed(state.sums, got, stepped=stepped),
        bins=windows.add(state.bins, tick.at, counts) if any(counts) else state.bins,
        sight=sight,
        share=share,
        step=tick.step,
        at=tick.at,
    )
    if not got.accepted or state.whole:
        return state  # Nobody is blamed while the candidate cannot be seen (law 1).
    if isinstance(state.check, WorseThanStable):
        return _compare(state, tick)
    return _blame(state, tick)


def _poll(got: Collected, tick: Tick, sight: Sight) -> Poll:
    """What the tests see: stable only from the candidate's first request on.

    Clean minutes before that would use up the start of stable's own test, and B would compare
    them with what the candidate did in an incident that begins with the release.
    """
    begun = sight.first_at is not None
    return Poll(
        at=tick.at,
        candidate=got.candidate.evidence,
        stable=got.stable.evidence if begun else NONE,
        young=got.candidate.young,
        compared=(*got.candidate.timely, *(got.stable.timely if begun else NONE)),
        apart=tick.from_prometheus,
        gap=got.gap,
    )


def _sight(state: ErrorRatioState, got: Collected, tick: Tick) -> Sight:
    was = state.sight
    requests = got.candidate.evidence[1] + got.candidate.young[1]
    return Sight(
        seen_at=tick.at if got.accepted else was.seen_at,
        first_at=tick.at if was.first_at is None and requests > 0 else was.first_at,
        awaited_since=tick.at
        if was.awaited_since is None and _awaited(state, tick)
        else was.awaited_since,
        absence=got.absence if got.asked else was.absence,
        not_monotonic=got.not_monotonic,
        lost_pods=got.lost_pods if got.asked else was.lost_pods,
        pause=tick.at - state.at if state.at else 0.0,
        by_prometheus=tick.from_prometheus if got.accepted else was.by_prometheus,
    )


def _awaited(state: ErrorRatioState, tick: Tick) -> bool:
    """Whether there is something to be read of the candidate."""
    return ready_share(tick) > 0.0 and (not state.whole or state.alone_since is not None)


def _share_after(share: float, tick: Tick) -> float:
    """A doubling of the candidate's share of ready pods is a traffic step."""
    now = ready_share(tick)
    return now if now > 0.0 and now >= 2.0 * share else share


def ready_share(tick: Tick) -> float:
    """The candidate's share of the ready pods of both sides; 0 without any."""
    candidate, stable = _ready(tick)
    return candidate / (candidate + stable) if candidate else 0.0


def _ready(tick: Tick) -> tuple[int, int]:
    ready = [p.revision for p in tick.snapshot.pods if p.ready and p.deleted_at is None]
    return (
        sum(revision in tick.candidate for revision in ready),
        sum(revision in tick.stable for revision in ready),
    )


def _summed(sums: Sums, got: Collected, *, stepped: bool) -> Sums:
    bad, total = got.candidate.evidence
    return Sums(
        bad=sums.bad + bad,
        total=sums.total + total,
        step_bad=bad if stepped else sums.step_bad + bad,
        step_total=total if stepped else sums.step_total + total,
        stable_bad=sums.stable_bad + got.stable.evidence[0],
        stable_total=sums.stable_total + got.stable.evidence[1],
        youth_bad=sums.youth_bad + got.candidate.young[0],
        youth_total=sums.youth_total + got.candidate.young[1],
        bad_age=max(sums.bad_age, got.candidate.bad_age),
        age=max(sums.age, got.candidate.age),
    )


# What the tests say now.


def m_a(state: ErrorRatioState) -> float:
    """M_A of the candidate."""
    return weighing.m_a(state.evidence, state.bound)


def e_value(state: ErrorRatioState) -> float:
    """E: min(M_A, M_B) under control, else M_A (decisions.md, Blame).

    What was shared when the control went stays a comparison, and a check that is too clustered
    to decide never has evidence. *Worse than stable* keeps its last E without control.
    """
    if state.bound.k > ALLOWANCE_AT_MOST:
        return min(m_a(state), 1.0)
    if state.whole and state.bound.stable_was_over:
        return min(m_a(state), 1.0)  # Nobody can tell the release from the incident before it.
    if isinstance(state.check, WorseThanStable):
        return state.compared
    if state.attribution.control or state.attribution.unattributed:
        return min(m_a(state), weighing.m_b(state.evidence))
    return m_a(state)


def log_m_d(state: ErrorRatioState) -> tuple[float, float]:
    """Log M′ of D since the last traffic step, and over the trailing window."""
    bad, total = state.sums.step_bad, state.sums.step_total
    requests = D_REQUESTS * state.bound.k / state.bound.good
    # Up to what was seen last: bad requests do not grow old while nothing is measured (law 1).
    seen_at = state.at if state.sight.seen_at is None else state.sight.seen_at
    late_bad, late = windows.trailing(state.bins, seen_at, D_WINDOW, requests)
    return _log_d(state.bound, (bad, total)), _log_d(
        state.bound, (min(late_bad, bad), min(late, total))
    )


def _log_d(bound: Bound, counts: Pair) -> float:
    return mixtures.log_m_d(*counts, bound.good, bound.p1, bound.k)


def goal_d(bound: Bound) -> float:
    """What log M′ must reach: log 1/β."""
    return -math.log(bound.beta)


def youth_of(state: ErrorRatioState) -> Youth:
    """What the candidate's pods did when young, for the record of the revision."""
    return Youth(bad=state.sums.youth_bad, total=state.sums.youth_total)


# Blame.


def _blame(state: ErrorRatioState, tick: Tick) -> ErrorRatioState:
    """Let the blame table see this tick; it may ask to begin M_A and M_B anew."""
    after, anew = blame.update(state.attribution, _view(state, tick))
    state = replace(state, attribution=after)
    if not anew:
        return state
    whole, _ = log_m_d(state)
    spoilt = whole < goal_d(state.bound)
    return replace(
        state,
        evidence=weighing.anew(state.evidence, tick.at, state.bound),
        sums=replace(state.sums, step_bad=0, step_total=0) if spoilt else state.sums,
    )


def _compare(state: ErrorRatioState, tick: Tick) -> ErrorRatioState:
    """Take the comparison's E in while there is somebody to compare with."""
    attribution = blame.see(state.attribution, _view(state, tick))
    state = replace(state, attribution=attribution)
    if not attribution.control:
        return state
    return replace(state, compared=min(m_a(state), weighing.m_b(state.evidence)))


def _view(state: ErrorRatioState, tick: Tick) -> blame.View:
    bound, bins = state.bound, state.bins
    requests = CLEAN_REQUESTS * bound.k / bound.good
    bad, total = windows.trailing(bins, tick.at, CLEAN_WINDOW, requests, stable=True)
    candidate_ready, stable_ready = _ready(tick)
    both = candidate_ready + stable_ready
    return blame.View(
        at=tick.at,
        m_a=m_a(state),
        m_a_stable=weighing.m_a_stable(state.evidence),
        m_b=weighing.m_b(state.evidence),
        m_better=weighing.m_better(state.evidence),
        bound=bound.decides,
        better_at=1.0 / bound.alpha,
        stable_was_over=bound.stable_was_over,
        candidate_recent=windows.trailing(bins, tick.at, blame.CONTROL_WINDOW, 0.0)[1],
        stable_recent=windows.trailing(bins, tick.at, blame.CONTROL_WINDOW, 0.0, stable=True)[1],
        stable_share=stable_ready / both if both else 0.0,
        stable_gone=not any(
            pod.revision in tick.stable and pod.deleted_at is None for pod in tick.snapshot.pods
        ),
        stable_awaited=_stable_awaited(state, tick, stable_ready),
        stable_clean=upper(bad / bound.k, total / bound.k) < bound.good,
        good_again=log_m_d(state)[1] >= goal_d(bound),
        first_at=state.sight.first_at,
        depends_over=tick.depends_over,
    )


def _stable_awaited(state: ErrorRatioState, tick: Tick, stable_ready: int) -> bool:
    """Whether stable's first counts are still to come, for want of a baseline before."""
    first_at = state.sight.first_at
    patience = FIRST_COUNTS_WITHIN
    if tick.from_prometheus:
        patience = max(patience, 2.0 * state.bound.interval)
    return (
        stable_ready > 0
        and state.sums.stable_total == 0
        and (first_at is None or tick.at - first_at < patience)
    )
