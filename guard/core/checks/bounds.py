"""What history changes of a counted check's bounds (decisions.md, What is normal; C; Blame).

The law of this module: history speaks of the time before the rollout alone, so that what it says
may come after the rollout began, as long as nothing was weighed against another bound meanwhile.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from guard.core.evidence.statistics import lower
from guard.core.quantities import count, percent

if TYPE_CHECKING:
    from guard.core.evidence.history import Normal
    from guard.core.evidence.weighing import Bound
    from guard.core.ticks import Youth

P1_AT_MOST = 0.999
P1 = 2.0
"""p1 as a multiple of p0′ (decisions.md, D)."""
BEFORE_REQUESTS = 20
"""Requests of the 5 min before that say anything: one error among few is no incident."""


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
