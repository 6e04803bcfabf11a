"""What a proxy counts for a whole service, as evidence for the release alone.

The law of this module: such a counter says nothing of one revision while two can serve. It counts
for the candidate only where the whole of an interval lies in a time in which every pod was the
candidate's; whatever began before that is a baseline. A count whose beginning nobody saw (a new
proxy pod, a proxy that was restarted) is a baseline, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from guard.core.checks.sides import (
    GAP_AT_MOST,
    NONE,
    STALE_AFTER,
    Absence,
    Asked,
    Collected,
    Pair,
    Side,
)
from guard.core.counting import CLOCK_SKEW, Account, Delta, unusable
from guard.core.samples import CounterSample, NoData, NoDataReason, Reading, Unavailable
from guard.core.ticks import Tick
from guard.core.workloads import ENDED

FORGET_AFTER = 3600.0
"""Seconds after which a series that ended is forgotten: proxy pods come and go."""
WAITING = (
    "judged when all pods are the release's: this counter is the proxy's, for the whole service"
)

_FOLLOWED = frozenset({NoDataReason.BASELINE, NoDataReason.NOT_NEWER})

_Taken = tuple[Account | None, Delta | NoData | Unavailable]


def since(before: float | None, tick: Tick) -> float | None:
    """Since when every pod has been the candidate's, as far as the guard saw; None: they are not.

    It begins with a complete rollout. A candidate pod that fails later does not end it: its errors
    are what counts. Any pod of another revision does, ready or not, and while it goes as well.
    """
    snapshot = tick.snapshot
    pods = [pod for pod in snapshot.pods if pod.phase not in ENDED]
    alone = (
        snapshot.observed
        and snapshot.current.hash in tick.candidate
        and bool(pods)
        and all(pod.revision in tick.candidate for pod in pods)
    )
    if not alone:
        return None
    if before is not None:
        return before
    return tick.at if snapshot.complete else None


def collect(
    accounts: Mapping[str, Account], tick: Tick, asked: Asked, alone_since: float | None
) -> Collected:
    """Take a tick's readings of a proxy's series in.

    Args:
        accounts: by the series' own identity, as the source names it.
        tick: what was read, and which pods there are.
        asked: what the burst was asked under.
        alone_since: see `since`.
    """
    after = {
        key: account
        for key, account in accounts.items()
        if account.at is not None and tick.at - account.at <= FORGET_AFTER
    }
    samples = sorted(tick.counters.get(asked.check, {}).items())
    taken: dict[str, _Taken] = {
        key: _take(after.get(key), sample, tick.at) for key, sample in samples
    }
    after.update((key, account) for key, (account, _) in taken.items() if account is not None)
    gave = [found for _, found in taken.values()]
    # The proxy's and the guard's clocks may differ, and a request may end after its pod's end.
    begin = math.inf if alone_since is None else alone_since + CLOCK_SKEW + asked.settle
    counted = [found for found in gave if isinstance(found, Delta) and found.since >= begin]
    accepted = alone_since is not None and any(map(_accepted, gave))
    return Collected(
        accounts=after,
        candidate=Side(evidence=_sum(counted), late=_sum(_late(counted, asked))),
        stable=Side(),
        accepted=accepted,
        asked=alone_since is not None and bool(gave),
        absence=_absence(gave),
        not_monotonic=False,
        lost_pods=0,
        gap=False,
    )


def _take(account: Account | None, sample: CounterSample, at: float) -> _Taken:
    if not isinstance(sample, Reading):
        return account, sample
    if at - sample.at > STALE_AFTER:
        return account, NoData(NoDataReason.STALE, f"the sample is {at - sample.at:.0f} s old")
    broken = unusable(sample)
    if broken is not None:
        return account, broken
    if account is not None and account.at is not None and sample.at <= account.at:
        return account, NoData(NoDataReason.NOT_NEWER)
    bad = sample.bad or 0.0
    now = Account(at=sample.at, total=sample.total, bad=bad, source=sample.source)
    return now, _delta(account, now, sample.absent_at)


def _delta(before: Account | None, now: Account, absent_at: float | None) -> Delta | NoData:
    """What a series counted since it was last accepted, or since it was not there yet."""
    assert now.at is not None, "it was just accepted"
    since, total, bad = absent_at, now.total, now.bad
    if before is not None:
        since, total, bad = before.at, now.total - before.total, now.bad - before.bad
    if since is None or since >= now.at:
        return NoData(NoDataReason.BASELINE)
    if total < 0 or bad < 0:
        # The proxy began anew, or another one answers: since when it counts is not known.
        return NoData(NoDataReason.BASELINE, "the proxy's counter began anew")
    if bad > total:
        return NoData(NoDataReason.AMBIGUOUS, "more bad requests than requests")
    return Delta(int(bad), int(total), since, now.at)


def _accepted(found: Delta | NoData | Unavailable) -> bool:
    baseline = isinstance(found, NoData) and found.reason is NoDataReason.BASELINE
    return isinstance(found, Delta) or baseline


def _late(counted: list[Delta], asked: Asked) -> list[Delta]:
    return [one for one in counted if one.since < asked.last_at - GAP_AT_MOST]


def _sum(deltas: list[Delta]) -> Pair:
    if not deltas:
        return NONE
    return sum(one.bad for one in deltas), sum(one.total for one in deltas)


def _absence(gave: list[Delta | NoData | Unavailable]) -> Absence:
    for found in gave:
        if isinstance(found, Delta):
            continue
        if isinstance(found, Unavailable):
            return Absence(found.reason.value, found.detail, unavailable=True)
        if found.reason not in _FOLLOWED:
            return Absence(found.reason.value, found.detail)
    return Absence()
