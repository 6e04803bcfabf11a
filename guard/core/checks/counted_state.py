"""The state of a counted check, and what its tests say of it (decisions.md, A to D).

Nothing here changes a state: `counted` does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from guard.core.checks import blame
from guard.core.checks.sides import Absence, Pair
from guard.core.counting import Account
from guard.core.evidence import mixtures, weighing, windows
from guard.core.evidence.weighing import Bound, Evidence
from guard.core.evidence.windows import Bin
from guard.core.policy import CountedCheck, WorseThanStable, of_whole_service
from guard.core.ticks import Youth

ALLOWANCE_AT_MOST = 10
"""Above this k the check holds and never fails (decisions.md, C)."""
D_WINDOW = 30.0
"""Seconds of D's trailing window (decisions.md, D)."""
D_REQUESTS = 2.5
"""Requests of D's trailing window, times k/p0′ (250·k·(1%/p0′); decisions.md, D)."""


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
class CountedState:
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


# What the tests say now.


def m_a(state: CountedState) -> float:
    """M_A of the candidate."""
    return weighing.m_a(state.evidence, state.bound)


def e_value(state: CountedState) -> float:
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


def log_m_d(state: CountedState) -> tuple[float, float]:
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


def youth_of(state: CountedState) -> Youth:
    """What the candidate's pods did when young, for the record of the revision."""
    return Youth(bad=state.sums.youth_bad, total=state.sums.youth_total)
