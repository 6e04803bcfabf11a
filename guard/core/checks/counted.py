"""The counted checks: count both revisions' requests and weigh them (decisions.md, A to D).

*Error ratio* and *slow ratio* differ in what is bad and in how long a pod is young; *worse than
stable* asks A at its floor and B at its factor, and attributes nothing: it compares already.

The law of this module: evidence is an e-process, so no polling schedule raises the probability
of a false abort, and a release is blamed only for what its stable neighbour did not do as well.
"""

from __future__ import annotations

from dataclasses import replace

from guard.core.checks import blame, bounds, service
from guard.core.checks.counted_state import (
    CountedState,
    Sight,
    Sums,
    goal_d,
    log_m_d,
    m_a,
)
from guard.core.checks.sides import (
    NONE,
    Asked,
    Collected,
    collect,
)
from guard.core.evidence import weighing, windows
from guard.core.evidence.statistics import upper
from guard.core.evidence.weighing import Poll
from guard.core.policy import CountedCheck, WorseThanStable
from guard.core.ticks import Frame, Tick

CLEAN_WINDOW = 60.0
"""Seconds over which stable must be clean for the release to be blamed (decisions.md, Blame)."""
CLEAN_REQUESTS = 3.0
"""Requests of that window, times k/p0′ (300·(1%/p0′), and k times as many where the counts are
divided by k: with fewer the upper bound of a clean stable would never come under p0′)."""
FIRST_COUNTS_WITHIN = 10.0
"""Seconds from the candidate's first request for which stable's first counts are awaited."""


def begin(check: CountedCheck, frame: Frame) -> CountedState:
    """Start with nothing known."""
    normal, before = frame.normal.get(check.name), frame.before.get(check.name)
    bound = bounds.informed(bounds.stated(check, frame), check, normal, before)
    return CountedState(
        kind=check.kind,
        check=check,
        bound=bound,
        began_at=frame.began_at,
        evidence=weighing.begin(frame.began_at, bound),
    )


def _late(state: CountedState, tick: Tick) -> CountedState:
    """Take history in that came after the beginning: bounds only while nothing was weighed."""
    name, was = state.check.name, state.bound
    weighed = was.normal is not None or state.sight.first_at is not None
    normal = None if weighed else tick.normal.get(name)
    before = None if was.asked_before else tick.before.get(name)
    if normal is None and before is None:
        return state
    bound = bounds.informed(was, state.check, normal, before)
    evidence = state.evidence if normal is None else weighing.begin(state.began_at, bound)
    if bound.stable_was_over and not was.stable_was_over:
        evidence = weighing.compared_back(evidence)
    return replace(state, bound=bound, evidence=evidence)


def update(state: CountedState, tick: Tick) -> CountedState:
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
        youth=bounds.youth_lasts(state.check),
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


def _sight(state: CountedState, got: Collected, tick: Tick) -> Sight:
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


def _awaited(state: CountedState, tick: Tick) -> bool:
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


# Blame.


def _blame(state: CountedState, tick: Tick) -> CountedState:
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


def _compare(state: CountedState, tick: Tick) -> CountedState:
    """Take the comparison's E in while there is somebody to compare with."""
    attribution = blame.see(state.attribution, _view(state, tick))
    state = replace(state, attribution=attribution)
    if not attribution.control:
        return state
    return replace(state, compared=min(m_a(state), weighing.m_b(state.evidence)))


def _view(state: CountedState, tick: Tick) -> blame.View:
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


def _stable_awaited(state: CountedState, tick: Tick, stable_ready: int) -> bool:
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
