"""Tests A and B of one counted check together: what a poll does to them, and what they say."""

from __future__ import annotations

from dataclasses import dataclass, replace

from guard.core.evidence import comparison, mixtures, spend
from guard.core.evidence.history import Normal
from guard.core.evidence.spend import Spend

OLD_QUARREL = 1.5
"""M_A under which B keeps no evidence: a side is not even suspicious (decisions.md, B)."""

Pair = tuple[int, int]
"""(bad, total)"""


@dataclass(frozen=True, slots=True)
class Bound:
    """What is fixed when the rollout starts.

    Attributes:
        p0: the bound p0′ of A (fraction); p1 the bad bound of D; k the allowance for clusters.
        assumed: k is the default, since there is no history.
        alpha, beta, counted, interval: see `Frame`.
        youth_over: upper bound of the stable revision's youth where that is over p0′: then
            youth is judged against it, apart from the rest; else None.
        youth_out: youth enters no test, since nothing tells what is usual there.
        stable_was_over: stable was over p0′ in the minutes before the rollout.
        psi0: how many times worse than stable counts as no worse in B.
        promotes: p0′ of D; None: that of A.
        normal: what history says is normal; None without history.
        asked_before: `stable_was_over` was looked up.
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
    youth_out: bool = False
    stable_was_over: bool = False
    psi0: float = 1.0
    promotes: float | None = None
    normal: Normal | None = None
    asked_before: bool = False

    @property
    def good(self) -> float:
        """p0′ of D."""
        return self.p0 if self.promotes is None else self.promotes

    @property
    def decides(self) -> float:
        """What one check's E must reach so that the mean over all counted checks decides."""
        return self.counted / self.alpha


@dataclass(frozen=True, slots=True)
class Poll:
    """What one poll counted.

    Attributes:
        candidate, stable: evidence for A.
        young: the candidate's youth, where it is judged apart.
        compared: evidence for B.
        apart: some counts came from Prometheus, whose targets are scraped at different times.
        gap: some target was left unread.
    """

    at: float
    candidate: Pair
    stable: Pair
    young: Pair
    compared: comparison.Counts
    apart: bool
    gap: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """The e-processes of one counted check.

    Attributes:
        a, a_stable, a_youth: R_g of test A for the candidate, for stable, for youth where it is
            judged apart.
        direct, shifted: test B over counts of one burst, and over Prometheus' counts; `used_…`
            whether there were any since M_B began.
        swapped: B with the sides exchanged: is the candidate better?
        before: weight that was spent before M_A and M_B last began anew.
    """

    spend: Spend
    a: tuple[float, ...]
    a_stable: tuple[float, ...]
    a_youth: tuple[float, ...] = ()
    direct: comparison.Direct = comparison.Direct()
    swapped: comparison.Direct = comparison.Direct()
    shifted: comparison.Shifted = comparison.Shifted()
    used_direct: bool = False
    used_shifted: bool = False
    before: float = 0.0


def begin(began_at: float, bound: Bound) -> Evidence:
    """Start with nothing known."""
    grid = _zeros(bound.p0)
    return Evidence(
        spend=spend.begin(began_at),
        a=grid,
        a_stable=grid,
        a_youth=() if bound.youth_over is None else _zeros(bound.youth_over),
    )


def _zeros(p0: float) -> tuple[float, ...]:
    return (0.0,) * len(mixtures.alternatives(p0))


def step(evidence: Evidence, at: float) -> Evidence:
    """Note a traffic step."""
    return replace(evidence, spend=spend.step(evidence.spend, at))


def anew(evidence: Evidence, at: float, bound: Bound) -> Evidence:
    """Begin M_A and M_B anew from the weight still unspent, as at a traffic step."""
    stepped = spend.step(evidence.spend, at)
    return replace(begin(at, bound), spend=stepped, before=stepped.spent)


def compared_back(evidence: Evidence) -> Evidence:
    """Begin to ask whether the candidate is better, as if every poll so far had been missed."""
    spent = evidence.spend.spent - evidence.before
    return replace(evidence, swapped=comparison.Direct((spent,) * len(comparison.PSI_GRID)))


def weigh(evidence: Evidence, poll: Poll, bound: Bound) -> Evidence:
    """Take one poll into every test."""
    spent, weight = spend.draw(evidence.spend, poll.at)
    a_bound = (bound.p0, bound.k, bound.counted)
    burst = comparison.ZERO if poll.apart else poll.compared
    late = poll.compared if poll.apart else comparison.ZERO
    b_bound = comparison.Bound(
        k=bound.k,
        ceiling=comparison.ceiling(bound.counted),
        interval=bound.interval,
        gap=poll.gap,
        psi0=bound.psi0,
    )
    after = Evidence(
        spend=spent,
        a=mixtures.update_a(evidence.a, weight, poll.candidate, a_bound),
        a_stable=mixtures.update_a(evidence.a_stable, weight, poll.stable, a_bound),
        a_youth=_weigh_youth(evidence.a_youth, weight, poll.young, bound),
        direct=comparison.update_direct(evidence.direct, weight, burst, poll.at, b_bound),
        swapped=_weigh_swapped(evidence, weight, poll, b_bound, bound),
        shifted=_weigh_shifted(evidence, weight, poll, b_bound),
        used_direct=evidence.used_direct or burst != comparison.ZERO,
        used_shifted=evidence.used_shifted or late != comparison.ZERO,
        before=evidence.before,
    )
    return _without_old_quarrels(after, bound)


def _weigh_youth(
    r: tuple[float, ...], weight: float, young: Pair, bound: Bound
) -> tuple[float, ...]:
    if bound.youth_over is None:
        return r
    return mixtures.update_a(r, weight, young, (bound.youth_over, bound.k, bound.counted))


def _weigh_shifted(
    evidence: Evidence, weight: float, poll: Poll, b_bound: comparison.Bound
) -> comparison.Shifted:
    """Until Prometheus has counted anything, all weight waits and nothing need be written down."""
    late = poll.compared if poll.apart else comparison.ZERO
    if evidence.used_shifted:
        return comparison.update_shifted(evidence.shifted, weight, late, poll.at, b_bound)
    if late == comparison.ZERO:
        return evidence.shifted
    waiting = evidence.spend.spent - evidence.before
    state = comparison.Shifted(slot_at=evidence.spend.began_at, slot_weight=waiting)
    return comparison.update_shifted(state, weight, late, poll.at, b_bound)


def _weigh_swapped(
    evidence: Evidence, weight: float, poll: Poll, b_bound: comparison.Bound, bound: Bound
) -> comparison.Direct:
    """Only a stable revision that was over its bound before the rollout can be repaired."""
    if not bound.stable_was_over:
        return evidence.swapped
    counts = comparison.exchanged(poll.compared)
    return comparison.update_direct(evidence.swapped, weight, counts, poll.at, b_bound)


def _without_old_quarrels(evidence: Evidence, bound: Bound) -> Evidence:
    if m_a(evidence, bound) >= OLD_QUARREL:
        return evidence
    spent = evidence.spend.spent - evidence.before
    direct = comparison.cut_direct(evidence.direct, spent)
    shifted = comparison.cut_shifted(evidence.shifted, spent)
    if direct is evidence.direct and shifted is evidence.shifted:
        return evidence
    return replace(evidence, direct=direct, shifted=shifted)


def m_a(evidence: Evidence, bound: Bound) -> float:
    """M_A of the candidate, youth judged apart included (the mean of two e-processes)."""
    main = mixtures.mean_with_reserve(evidence.a, evidence.spend.spent)
    return main if bound.youth_over is None else (main + m_youth(evidence)) / 2.0


def m_youth(evidence: Evidence) -> float:
    """M_A of youth judged apart."""
    return mixtures.mean_with_reserve(evidence.a_youth, evidence.spend.spent)


def m_a_stable(evidence: Evidence) -> float:
    """M_A of the stable revision."""
    return mixtures.mean_with_reserve(evidence.a_stable, evidence.spend.spent)


def m_b(evidence: Evidence) -> float:
    """M_B: by the source that measured; the product where both did.

    No request is counted by both, so each is an e-process given the other, and so is their
    product; the one that has not measured yet stands at 1 or lower, so that a change of source
    never raises M_B by itself.
    """
    spent = evidence.spend.spent
    if not evidence.used_shifted:
        return comparison.m_direct(evidence.direct, spent)
    shifted = comparison.m_shifted(evidence.shifted, spent)
    if not evidence.used_direct:
        return shifted
    return comparison.m_direct(evidence.direct, spent) * shifted


def m_better(evidence: Evidence) -> float:
    """M_B with the sides exchanged: the candidate is better than stable."""
    return comparison.m_direct(evidence.swapped, evidence.spend.spent)
