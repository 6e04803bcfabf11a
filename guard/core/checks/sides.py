"""Takes one burst of readings into accounts and sums both sides of a rollout.

All rules of decisions.md, Counting that concern whole pods: which side a pod counts for, when it
stops to count, and which of its seconds are its youth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from guard.core.counting import FALLS_TO_BLIND, Account, Delta, advance, seen_without
from guard.core.samples import CounterSample, NoData, NoDataReason, Reading, Unavailable
from guard.core.ticks import Tick
from guard.core.workloads import Container, Pod

YOUTH = 10.0
"""Seconds of a pod's youth (decisions.md, Counting 11)."""
SLOW_YOUTH = 60.0
"""The same where slow requests are counted: caches and compilers warm up longer."""
GAP_AT_MOST = 60.0
"""Seconds for which a target with a gap postpones the comparison of both sides; what comes later
than that is compared with nothing (decisions.md, B)."""
INTERVALS_TO_GAP = 1.5
"""Scrape intervals without a newer sample after which a target of Prometheus has a gap."""

STALE_AFTER = 300.0
"""Seconds after which a sample is stale whatever its source says: Prometheus' own look-back."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the burst was asked under.

    Attributes:
        check: the check's name; `tick.counters[check]` holds the readings.
        began_at: when the rollout began.
        settle: seconds after Ready that are left out.
        youth_apart: youth is left out of `evidence`: judged apart, or not counted at all.
        interval: Prometheus' scrape interval, seconds.
        last_at: time of the tick before; 0 at the first.
        youth: seconds of a pod's youth.
    """

    check: str
    began_at: float
    settle: float
    youth_apart: bool
    interval: float
    last_at: float
    youth: float = YOUTH


Pair = tuple[int, int]
"""(bad, total)"""
NONE: Pair = (0, 0)


@dataclass(frozen=True, slots=True)
class Side:
    """One side's requests in one burst, (bad, total) each.

    Attributes:
        evidence: what counts for A, B and D: all but `settle`, and but youth judged apart.
        young: those of pods in their youth.
        late: those of `evidence` whose account lagged so far behind that there is nothing on
            the other side to compare them with.
        bad_age: greatest age, seconds since it was ready, that a pod can have had when it
            answered one of the bad requests of `evidence`; 0 without any.
        age: the same of all requests of `evidence`.
    """

    evidence: Pair = NONE
    young: Pair = NONE
    late: Pair = NONE
    bad_age: float = 0.0
    age: float = 0.0

    @property
    def timely(self) -> Pair:
        """What B may compare."""
        return self.evidence[0] - self.late[0], self.evidence[1] - self.late[1]


@dataclass(frozen=True, slots=True)
class Absence:
    """Why the newest burst left some candidate pod unread."""

    reason: str = ""
    detail: str = ""
    unavailable: bool = False


@dataclass(frozen=True, slots=True)
class Collected:
    """One burst, summed.

    Attributes:
        accepted: some candidate pod's reading was accepted, be it as a baseline.
        asked: some candidate pod was asked.
        absence: the reason for which some candidate pod was not read.
        not_monotonic: several processes answer behind one candidate pod's address.
        lost_pods: ready candidate pods that gave no usable reading.
        gap: some followed target was left unread, so the sides cover different times.
    """

    accounts: Mapping[str, Account]
    candidate: Side
    stable: Side
    accepted: bool
    asked: bool
    absence: Absence
    not_monotonic: bool
    lost_pods: int
    gap: bool


@dataclass(frozen=True, slots=True)
class _Taken:
    """What one account gave in this burst."""

    key: str
    pod: Pod
    mine: bool
    sample: CounterSample
    account: Account | None
    delta: Delta | NoData | None


def collect(accounts: Mapping[str, Account], tick: Tick, asked: Asked) -> Collected:
    """Take a tick's readings of one check in."""
    pods = {pod.uid: pod for pod in tick.snapshot.pods if _counts(pod, tick)}
    taken = [
        _take(key, pod, sample, accounts, tick, asked)
        for key, sample in sorted(tick.counters.get(asked.check, {}).items())
        if (pod := pods.get(_uid(key))) is not None
    ]
    after = {key: account for key, account in accounts.items() if _uid(key) in pods}
    after.update((one.key, one.account) for one in taken if one.account is not None)
    mine = [one for one in taken if one.mine]
    read = {one.pod.uid for one in mine if _followed(one)}
    return Collected(
        accounts=after,
        candidate=_sum(mine, asked),
        stable=_sum([one for one in taken if not one.mine], asked),
        accepted=any(_accepted(one) for one in mine),
        asked=bool(mine),
        absence=_absence(mine),
        not_monotonic=any(
            account.falls >= FALLS_TO_BLIND and pods[_uid(key)].revision in tick.candidate
            for key, account in after.items()
        ),
        lost_pods=sum(
            pod.ready and pod.revision in tick.candidate and pod.uid not in read
            for pod in pods.values()
        ),
        gap=_gap(after, taken, tick, asked),
    )


def _uid(key: str) -> str:
    return key.partition("/")[0]


def _take(
    key: str,
    pod: Pod,
    sample: CounterSample,
    accounts: Mapping[str, Account],
    tick: Tick,
    asked: Asked,
) -> _Taken:
    account = accounts.get(key)
    delta: Delta | NoData | None = None
    if isinstance(sample, Reading) and tick.at - sample.at > STALE_AFTER:
        sample = NoData(NoDataReason.STALE, f"the sample is {tick.at - sample.at:.0f} s old")
    if isinstance(sample, Reading):
        # A target that had no series at all was noted under the pod alone.
        seen = account or accounts.get(f"{pod.uid}/")
        account, delta = advance(seen, sample, _container(pod, key), asked.began_at)
    elif isinstance(sample, NoData):
        delta = sample
        if sample.reason is NoDataReason.NO_SERIES:
            account = seen_without(account, tick.at)
    if account is not None and account.ready_at is None and pod.ready_at is not None:
        account = replace(account, ready_at=pod.ready_at)
    mine = pod.revision in tick.candidate
    return _Taken(key=key, pod=pod, mine=mine, sample=sample, account=account, delta=delta)


def _container(pod: Pod, key: str) -> Container | None:
    name = key.partition("/")[2]
    running = [container for container in pod.containers if not container.init]
    named = next((container for container in running if container.name == name), None)
    if named is not None:
        return named
    return running[0] if len(running) == 1 else None


def _counts(pod: Pod, tick: Tick) -> bool:
    """A pod that goes counts for neither side; nor does one of any other revision.

    The delta in which the going first shows is dropped with it, for nothing is read any more.
    """
    return pod.deleted_at is None and (
        pod.revision in tick.candidate or pod.revision in tick.stable
    )


def _sum(taken: list[_Taken], asked: Asked) -> Side:
    """Sum one side. What falls into `settle` is left out altogether."""
    evidence = young = late = NONE
    bad_age = age = 0.0
    for one in taken:
        delta = one.delta
        if not isinstance(delta, Delta) or _within(one, delta, asked.settle):
            continue
        is_young = _within(one, delta, asked.youth)
        if is_young:
            young = _plus(young, delta)
        if is_young and asked.youth_apart:
            continue
        evidence = _plus(evidence, delta)
        at_age = _age(one, delta)
        age = max(age, at_age if delta.total else 0.0)
        bad_age = max(bad_age, at_age if delta.bad else 0.0)
        if asked.last_at > 0.0 and delta.since < asked.last_at - GAP_AT_MOST:
            late = _plus(late, delta)
    return Side(evidence, young, late, bad_age, age)


def _age(one: _Taken, delta: Delta) -> float:
    """Seconds from the moment that `settle` counts from to the end of a delta."""
    account = one.account
    assert account is not None, "a delta is what an account gave"
    begin = account.ready_at if account.ready_at is not None else account.started_at
    return 0.0 if begin is None else max(delta.at - begin, 0.0)


def _plus(pair: Pair, delta: Delta) -> Pair:
    return pair[0] + delta.bad, pair[1] + delta.total


def _within(one: _Taken, delta: Delta, seconds: float) -> bool:
    """Whether a delta began within so many seconds of the pod's first readiness.

    A pod that never was ready is young from its container's start on, for as long.
    """
    if seconds <= 0.0:
        return False
    account = one.account
    ready_at = account.ready_at if account is not None else None
    if ready_at is not None:
        return delta.since < ready_at + seconds
    started = account.started_at if account is not None else None
    return started is None or delta.since < started + seconds


def _followed(one: _Taken) -> bool:
    """Also where there was nothing newer to take in."""
    newer = isinstance(one.delta, NoData) and one.delta.reason is NoDataReason.NOT_NEWER
    return _accepted(one) or (isinstance(one.sample, Reading) and newer)


def _accepted(one: _Taken) -> bool:
    if not isinstance(one.sample, Reading):
        return False
    baseline = isinstance(one.delta, NoData) and one.delta.reason is NoDataReason.BASELINE
    return isinstance(one.delta, Delta) or baseline


def _absence(mine: list[_Taken]) -> Absence:
    for one in mine:
        if _followed(one):
            continue
        if isinstance(one.sample, Unavailable):
            return Absence(one.sample.reason.value, one.sample.detail, unavailable=True)
        assert isinstance(one.delta, NoData)
        return Absence(one.delta.reason.value, one.delta.detail)
    return Absence()


def _gap(after: Mapping[str, Account], taken: list[_Taken], tick: Tick, asked: Asked) -> bool:
    """Whether some followed target lags behind the others (not longer than a minute)."""
    renewed = {one.key for one in taken if _accepted(one)}
    allowed = INTERVALS_TO_GAP * asked.interval if tick.from_prometheus else 0.0
    for key, account in after.items():
        if account.at is None or key in renewed:
            continue
        if allowed < tick.at - account.at <= allowed + GAP_AT_MOST:
            return True
    return False
