"""The bounds of a counted check: by its policy, and by history (decisions.md, What is normal; C).

The law of this module: history speaks of the time before the rollout alone, so that what it says
may come after the rollout began, as long as nothing was weighed against another bound meanwhile.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from guard.core.checks.sides import SLOW_YOUTH, YOUTH
from guard.core.evidence.statistics import lower, upper
from guard.core.evidence.weighing import Bound
from guard.core.policy import Latency, WorseThanStable, of_whole_service
from guard.core.quantities import count, percent

if TYPE_CHECKING:
    from guard.core.evidence.history import Normal
    from guard.core.policy import CountedCheck
    from guard.core.ticks import Frame, Youth

ASSUMED_ALLOWANCE = 2
"""k where no history tells it (decisions.md, C)."""
YOUTH_REQUESTS = 100
"""Requests that a record of youth needs before it counts."""
FLOOR = 0.2
"""Floor of *worse than stable* as a share of p0 (decisions.md, Blame)."""
P1_AT_MOST = 0.999
P1 = 2.0
"""p1 as a multiple of p0′ (decisions.md, D)."""
BEFORE_REQUESTS = 20
"""Requests of the 5 min before that say anything: one error among few is no incident."""


def youth_lasts(check: CountedCheck) -> float:
    """Seconds of a pod's youth."""
    return SLOW_YOUTH if isinstance(check.objective.sli, Latency) else YOUTH


def floor(check: WorseThanStable) -> float:
    """The ratio under which nothing is called worse than stable."""
    return FLOOR * check.above if check.floor is None else check.floor


def stated(check: CountedCheck, frame: Frame) -> Bound:
    """The bound of the policy and of the frame alone."""
    p0 = floor(check) if isinstance(check, WorseThanStable) else check.above
    # A proxy does not say which pod answered, so no request is a young pod's.
    whole = of_whole_service(check.objective.sli)
    youth = None if whole else frame.youth.get(check.name)
    unknown = youth is None or youth.total < YOUTH_REQUESTS
    return Bound(
        p0=p0,
        p1=min(P1 * check.above, P1_AT_MOST),
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


def informed(
    bound: Bound, check: CountedCheck, normal: Normal | None, before: Youth | None
) -> Bound:
    """The bound with what is known of the time before the rollout."""
    if normal is not None:
        bound = with_normal(
            bound,
            normal,
            stated=check.allowance is not None,
            floored=isinstance(check, WorseThanStable),
        )
    return bound if before is None else with_before(bound, before)


def with_normal(bound: Bound, normal: Normal, *, stated: bool, floored: bool) -> Bound:
    """The bound with p0′ and k of history.

    Args:
        bound: what the policy says.
        normal: what history says.
        stated: the policy states the allowance: that wins.
        floored: A asks at a floor below the check's bound (*worse than stable*), which stays.
    """
    good = max(bound.good, normal.over or 0.0)
    p0 = bound.p0 if floored else max(good, normal.pod_over or 0.0)
    known = not stated and normal.allowance is not None
    return replace(
        bound,
        p0=p0,
        promotes=good,
        p1=min(P1 * good, P1_AT_MOST),
        k=normal.allowance if known and normal.allowance else bound.k,
        assumed=bound.assumed and not known,
        youth_over=bound.youth_over if (bound.youth_over or 0.0) > p0 else None,
        normal=normal,
    )


def words(bound: Bound, above: float) -> str:
    """What A is asked against, in words; `above` is the check's own bound."""
    text = percent(bound.p0)
    if bound.normal is None:
        return text
    if bound.good > above:
        text += f", since the service is over its own of {percent(above)}"
    if bound.p0 > bound.good:
        text += ", since one stable pod alone is up to there"
    return text


def allowance_words(bound: Bound) -> str:
    """Where k comes from, to follow its number; nothing where the policy states it."""
    if bound.assumed:
        return ", assumed without history"
    normal = bound.normal
    if normal is None:
        return ", bound without history"
    return " by history" if normal.allowance == bound.k else ""


def news(bound: Bound, name: str, above: float) -> str:
    """What people must know of the service's normal state; empty while it is within its bound."""
    normal = bound.normal
    if normal is None or bound.p0 <= above:
        return ""
    if normal.over is None:
        return (
            f"{name}: one stable pod alone fails up to {percent(bound.p0)}, over the bound of "
            f"{percent(above)}: the release is judged against that, for its clients may move"
        )
    return (
        f"{name}: the service is over its own bound of {percent(above)} "
        f"({count(normal.bad)} of {count(normal.total)} requests before this release): judged "
        f"against {words(bound, above)}"
    )


def with_before(bound: Bound, before: Youth) -> Bound:
    """The bound that knows whether stable was over p0′ in the 5 min before the rollout."""
    over = lower(before.bad / bound.k, before.total / bound.k) > bound.good
    return replace(
        bound,
        stable_was_over=over and before.total >= BEFORE_REQUESTS,
        asked_before=True,
    )
