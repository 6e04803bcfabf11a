"""Check *error ratio*: counts both revisions' requests and weighs them (decisions.md, A to D).

The law of this module: evidence is an e-process, so no polling schedule raises the probability
of a false abort, and a release is blamed only for what its stable neighbour did not do as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from guard.core.checks import blame
from guard.core.checks.sides import Collected, collect
from guard.core.counting import Account
from guard.core.evidence import comparison, mixtures, spend, windows
from guard.core.evidence.spend import Spend
from guard.core.evidence.statistics import upper
from guard.core.evidence.windows import Bin
from guard.core.policy import ErrorRatio
from guard.core.ticks import Frame, Tick, Youth

ASSUMED_ALLOWANCE = 2
"""k where no history tells it (decisions.md, C)."""
YOUTH = 10.0
"""Seconds of a pod's youth (decisions.md, Counting 11)."""
YOUTH_REQUESTS = 100
"""Requests that a record of youth needs before it counts."""
BAD_BOUND = 2.0
"""p1 as a multiple of p0′ (decisions.md, D)."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What is fixed when the rollout starts.

    Attributes:
        p0: the bound p0′ (fraction); p1 the bad bound of D; k the allowance for clusters.
        assumed: k is the default, since there is no history.
        youth_over: upper bound of the stable revision's youth where that is over p0′: then
            youth is judged against it, apart from the rest; else None.
    """

    p0: float
    p1: float
    k: int
    assumed: bool
    counted: int
    alpha: float
    beta: float
    interval: float
    youth_over: float | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """Requests so far: the candidate's since the last traffic step, and both sides' in all."""

    bad: int = 0
    total: int = 0
    step_bad: int = 0
    step_total: int = 0
    stable_bad: int = 0
    stable_total: int = 0
    youth_bad: int = 0
    youth_total: int = 0


@dataclass(frozen=True, slots=True)
class ErrorRatioState:
    """The evidence of one rollout's error ratio.

    Attributes:
        accounts: by `pod uid/container`.
        a, a_stable, a_youth: R_g of test A for the candidate, for stable, for youth apart.
        direct, swapped: test B, and B with the sides exchanged.
        shifted: test B over what came from Prometheus.
        share: the candidate's share of ready pods when it last doubled (a traffic step).
        seen_at: when evidence of the candidate was last accepted; None before.
        first_at: the candidate's first request.
        absent: the last reason for which nothing was accepted.
    """

    kind: Literal["error_ratio"]
    check: ErrorRatio
    bound: Bound
    spend: Spend
    began_at: float
    a: tuple[float, ...]
    a_stable: tuple[float, ...]
    a_youth: tuple[float, ...]
    direct: comparison.Direct = comparison.Direct()
    swapped: comparison.Direct = comparison.Direct()
    shifted: comparison.Shifted = comparison.Shifted()
    used_direct: bool = False
    used_shifted: bool = False
    accounts: Mapping[str, Account] = field(default_factory=dict)
    sums: Sums = Sums()
    bins: tuple[Bin, ...] = ()
    attribution: blame.Blame = blame.Blame()
    share: float = 0.0
    seen_at: float | None = None
    first_at: float | None = None
    waiting_since: float | None = None
    absent_reason: str = ""
    absent_detail: str = ""
    absent_blind: bool = False
    lost_pods: int = 0
    at: float = 0.0


def begin(check: ErrorRatio, frame: Frame) -> ErrorRatioState:
    """Start with nothing known."""
    bound = _bound(check, frame)
    grid = (0.0,) * len(mixtures.alternatives(bound.p0))
    youth = (0.0,) * len(mixtures.alternatives(bound.youth_over or bound.p0))
    return ErrorRatioState(
        kind="error_ratio",
        check=check,
        bound=bound,
        spend=spend.begin(frame.began_at),
        began_at=frame.began_at,
        a=grid,
        a_stable=grid,
        a_youth=youth,
    )


def _bound(check: ErrorRatio, frame: Frame) -> Bound:
    p0 = check.above
    return Bound(
        p0=p0,
        p1=min(BAD_BOUND * p0, 0.999),
        k=check.allowance or ASSUMED_ALLOWANCE,
        assumed=check.allowance is None,
        counted=frame.counted,
        alpha=frame.alpha,
        beta=frame.beta,
        interval=frame.interval,
        youth_over=_youth_over(frame.youth.get(check.name), p0),
    )


def _youth_over(youth: Youth | None, p0: float) -> float | None:
    if youth is None or youth.total < YOUTH_REQUESTS:
        return None
    bound = upper(youth.bad, youth.total)
    return min(bound, 0.9) if bound > p0 else None


def update(state: ErrorRatioState, tick: Tick) -> ErrorRatioState:
    """Take one tick's readings in: first all counting, then every test once."""
    collected = collect(
        state.accounts,
        tick,
        state.check.name,
        state.began_at,
        max(YOUTH, state.check.settle),
    )
    state = _counted(state, collected, tick)
    state = _stepped(state, tick)
    state = _weigh(state, collected, tick)
    return blame_after(state, tick)


def _counted(state: ErrorRatioState, got: Collected, tick: Tick) -> ErrorRatioState:
    seen = tick.at if got.accepted else state.seen_at
    first = state.first_at
    if first is None and got.candidate_all[1] > 0:
        first = tick.at
    waiting = state.waiting_since
    if waiting is None and got.asked:
        waiting = tick.at
    return replace(
        state,
        accounts=got.accounts,
        seen_at=seen,
        first_at=first,
        waiting_since=waiting,
        absent_reason=got.absent_reason,
        absent_detail=got.absent_detail,
        absent_blind=got.not_monotonic,
        lost_pods=got.lost_pods,
        at=tick.at,
    )


def _stepped(state: ErrorRatioState, tick: Tick) -> ErrorRatioState:
    """A doubling of the candidate's share of ready pods is a traffic step."""
    share = ready_share(tick)
    if share <= 0.0 or (state.share > 0.0 and share < 2.0 * state.share):
        return state
    stepped = replace(state, share=share)
    if state.share == 0.0:
        return stepped
    return replace(
        stepped,
        spend=spend.step(state.spend, tick.at),
        sums=replace(state.sums, step_bad=0, step_total=0),
    )


def ready_share(tick: Tick) -> float:
    """The candidate's share of the ready pods of both sides; 0 without any."""
    ready = [p for p in tick.snapshot.pods if p.ready and p.deleted_at is None]
    candidate = sum(1 for pod in ready if pod.revision in tick.candidate)
    stable = sum(1 for pod in ready if pod.revision in tick.stable)
    return candidate / (candidate + stable) if candidate else 0.0


def _evidence(state: ErrorRatioState, got: Collected) -> tuple[tuple[int, int], tuple[int, int]]:
    """What counts for A, B and D: all of it, or what is left after settle or youth apart."""
    if state.check.settle > 0.0 or state.bound.youth_over is not None:
        return got.candidate_old, got.stable_old
    return got.candidate_all, got.stable_all


def _weigh(state: ErrorRatioState, got: Collected, tick: Tick) -> ErrorRatioState:
    spent, weight = spend.draw(state.spend, tick.at)
    candidate, stable = _evidence(state, got)
    bound = state.bound
    a_bound = (bound.p0, bound.k, bound.counted)
    young = (
        got.candidate_all[0] - got.candidate_old[0],
        got.candidate_all[1] - got.candidate_old[1],
    )
    counts = (*candidate, *stable)
    state = replace(
        state,
        spend=spent,
        a=mixtures.update_a(state.a, weight, candidate, a_bound),
        a_stable=mixtures.update_a(state.a_stable, weight, stable, a_bound),
        a_youth=_weigh_youth(state, weight, young),
        sums=_summed(state.sums, candidate, stable, young),
        bins=windows.add(state.bins, tick.at, counts) if any(counts) else state.bins,
    )
    return _compare(state, weight, counts, tick)


def _weigh_youth(
    state: ErrorRatioState, weight: float, young: tuple[int, int]
) -> tuple[float, ...]:
    bound = state.bound
    if bound.youth_over is None or state.check.settle > 0.0:
        return state.a_youth
    return mixtures.update_a(
        state.a_youth, weight, young, (bound.youth_over, bound.k, bound.counted)
    )


def _summed(
    sums: Sums, candidate: tuple[int, int], stable: tuple[int, int], young: tuple[int, int]
) -> Sums:
    return Sums(
        bad=sums.bad + candidate[0],
        total=sums.total + candidate[1],
        step_bad=sums.step_bad + candidate[0],
        step_total=sums.step_total + candidate[1],
        stable_bad=sums.stable_bad + stable[0],
        stable_total=sums.stable_total + stable[1],
        youth_bad=sums.youth_bad + young[0],
        youth_total=sums.youth_total + young[1],
    )


def _compare(
    state: ErrorRatioState, weight: float, counts: comparison.Counts, tick: Tick
) -> ErrorRatioState:
    bound = state.bound
    ceiling = comparison.ceiling(bound.counted)
    burst = comparison.ZERO if tick.from_prometheus else counts
    apart = counts if tick.from_prometheus else comparison.ZERO
    state = replace(
        state,
        direct=comparison.update_direct(state.direct, weight, burst, tick.at, (bound.k, ceiling)),
        swapped=comparison.update_direct(
            state.swapped, weight, comparison.exchanged(counts), tick.at, (bound.k, ceiling)
        ),
        shifted=comparison.update_shifted(
            state.shifted, weight, apart, tick.at, (bound.k, ceiling, bound.interval)
        ),
        used_direct=state.used_direct or any(burst),
        used_shifted=state.used_shifted or any(apart),
    )
    return _without_old_quarrels(state)


def _without_old_quarrels(state: ErrorRatioState) -> ErrorRatioState:
    if m_a(state) >= blame.SUSPICIOUS:
        return state
    spent = state.spend.spent
    quick, slow = state.shifted.quick, state.shifted.slow
    return replace(
        state,
        direct=replace(state.direct, r=comparison.cut(state.direct.r, spent)),
        shifted=replace(
            state.shifted,
            quick=replace(quick, r=comparison.cut(quick.r, spent)),
            slow=replace(slow, r=comparison.cut(slow.r, spent)),
        ),
    )


# What the tests say now.


def m_a(state: ErrorRatioState) -> float:
    """M_A of the candidate, youth judged apart included (the mean of two e-processes)."""
    spent = state.spend.spent
    main = mixtures.mean_with_reserve(state.a, spent)
    if state.bound.youth_over is None or state.check.settle > 0.0:
        return main
    return (main + mixtures.mean_with_reserve(state.a_youth, spent)) / 2.0


def m_a_stable(state: ErrorRatioState) -> float:
    """M_A of the stable revision."""
    return mixtures.mean_with_reserve(state.a_stable, state.spend.spent)


def m_b(state: ErrorRatioState) -> float:
    """M_B: by the source that measured; the mean where both did."""
    spent = state.spend.spent
    direct = mixtures.mean_with_reserve(state.direct.r, spent)
    if not state.used_shifted:
        return direct
    quick = mixtures.mean_with_reserve(state.shifted.quick.r, spent)
    slow = mixtures.mean_with_reserve(state.shifted.slow.r, spent)
    shifted = (quick + slow) / 2.0
    return (direct + shifted) / 2.0 if state.used_direct else shifted


def e_value(state: ErrorRatioState) -> float:
    """E: min(M_A, M_B) under control, else M_A (decisions.md, Blame)."""
    a = m_a(state)
    return min(a, m_b(state)) if state.attribution.control else a


def log_m_d(state: ErrorRatioState) -> tuple[float, float]:
    """Log M′ of D since the last traffic step, and over the trailing window."""
    bound = state.bound
    sums = state.sums
    whole = mixtures.log_m_d(sums.step_bad, sums.step_total, bound.p0, bound.p1, bound.k)
    bad, total = windows.trailing(state.bins, state.at, 30.0, 250.0 * bound.k * (0.01 / bound.p0))
    recent = mixtures.log_m_d(
        min(bad, sums.step_bad), min(total, sums.step_total), bound.p0, bound.p1, bound.k
    )
    return whole, recent


def youth_of(state: ErrorRatioState) -> Youth:
    """What the candidate's pods did when young, for the record of the revision."""
    return Youth(bad=state.sums.youth_bad, total=state.sums.youth_total)


def blame_after(state: ErrorRatioState, tick: Tick) -> ErrorRatioState:
    """Let the blame table see this tick; it may ask to begin M_A and M_B anew."""
    bound = state.bound
    stable_bad, stable_total = windows.trailing(
        state.bins, tick.at, 60.0, 300.0 * (0.01 / bound.p0), stable=True
    )
    recent = [b for b in state.bins if tick.at - b.since <= blame.CONTROL_WINDOW]
    view = blame.View(
        at=tick.at,
        m_a=m_a(state),
        m_a_stable=m_a_stable(state),
        m_b=m_b(state),
        bound=bound.counted / bound.alpha,
        candidate_recent=sum(b.total for b in recent),
        stable_recent=sum(b.stable_total for b in recent),
        stable_share=1.0 - ready_share(tick) if tick.stable else 0.0,
        stable_clean=upper(stable_bad / bound.k, stable_total / bound.k) < bound.p0,
        good_again=log_m_d(state)[1] >= _log_goal(bound),
        first_at=state.first_at,
    )
    after, anew = blame.update(state.attribution, view)
    state = replace(state, attribution=after)
    return _anew(state, tick) if anew else state


def _log_goal(bound: Bound) -> float:
    return -math.log(bound.beta)


def _anew(state: ErrorRatioState, tick: Tick) -> ErrorRatioState:
    """Begin M_A and M_B anew from the weight still unspent, as at a traffic step."""
    return replace(
        state,
        spend=spend.step(state.spend, tick.at),
        a=(0.0,) * len(state.a),
        a_stable=(0.0,) * len(state.a_stable),
        direct=comparison.Direct(),
        swapped=comparison.Direct(),
        shifted=comparison.Shifted(),
    )
