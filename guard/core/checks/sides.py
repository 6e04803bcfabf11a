"""Takes one burst of readings into accounts and sums both sides of a rollout.

All rules of decisions.md, Counting that concern whole pods: which side a pod counts for, when it
stops to count, and which of its seconds are its youth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from guard.core.counting import FALLS_TO_BLIND, Account, Delta, advance, seen_without
from guard.core.samples import CounterSample, NoData, NoDataReason, Reading
from guard.core.ticks import Tick
from guard.core.workloads import Container, Pod


@dataclass(frozen=True, slots=True)
class Collected:
    """One burst, summed: (bad, total) of each side; `old` leaves out every pod's youth.

    Attributes:
        accepted: some candidate pod's reading was accepted, or was no newer than the last one.
        asked: some candidate pod was asked.
        lost_pods: ready candidate pods that gave no usable reading.
    """

    accounts: Mapping[str, Account]
    candidate_all: tuple[int, int]
    candidate_old: tuple[int, int]
    stable_all: tuple[int, int]
    stable_old: tuple[int, int]
    accepted: bool
    asked: bool
    absent_reason: str
    absent_detail: str
    not_monotonic: bool
    lost_pods: int


class _Sums:
    """Adds up while the burst is walked through; never leaves this module."""

    def __init__(self) -> None:
        self.all = [0, 0]
        self.old = [0, 0]

    def add(self, delta: Delta, *, young: bool) -> None:
        self.all[0] += delta.bad
        self.all[1] += delta.total
        if not young:
            self.old[0] += delta.bad
            self.old[1] += delta.total


def collect(
    accounts: Mapping[str, Account], tick: Tick, check: str, began_at: float, youth: float
) -> Collected:
    """Take a tick's readings of one check in.

    Args:
        accounts: the accounts so far.
        tick: the tick; `tick.counters[check]` holds the readings.
        check: the check's name.
        began_at: when the rollout began.
        youth: seconds after Ready that count as a pod's youth.
    """
    sides = {True: _Sums(), False: _Sums()}
    after = {key: value for key, value in accounts.items() if _lives(key, tick)}
    pods = {pod.uid: pod for pod in tick.snapshot.pods}
    accepted = asked = False
    read: set[str] = set()
    absent: NoData | None = None
    reason = detail = ""
    for key, sample in sorted(tick.counters.get(check, {}).items()):
        pod = pods.get(key.partition("/")[0])
        if pod is None or not _counts(pod, tick):
            continue
        mine = pod.revision in tick.candidate
        asked = asked or mine
        account, delta = _take(accounts.get(key), sample, pod, key, began_at)
        if account is not None:
            after[key] = account
        if isinstance(delta, Delta):
            sides[mine].add(delta, young=_young(pod, delta, youth))
        if mine and _answered(sample, delta):
            accepted = True
            read.add(pod.uid)
        elif mine and isinstance(delta, NoData):
            absent = delta
        if mine and not _answered(sample, delta):
            reason, detail = _why(sample, delta)
    return Collected(
        accounts=after,
        candidate_all=(sides[True].all[0], sides[True].all[1]),
        candidate_old=(sides[True].old[0], sides[True].old[1]),
        stable_all=(sides[False].all[0], sides[False].all[1]),
        stable_old=(sides[False].old[0], sides[False].old[1]),
        accepted=accepted,
        asked=asked,
        absent_reason=reason,
        absent_detail=detail,
        not_monotonic=absent is not None and _too_many_falls(after, pods, tick),
        lost_pods=sum(
            1 for pod in pods.values() if _ready_candidate(pod, tick) and pod.uid not in read
        ),
    )


def _take(
    account: Account | None, sample: CounterSample, pod: Pod, key: str, began_at: float
) -> tuple[Account | None, Delta | NoData | None]:
    if isinstance(sample, Reading):
        return advance(account, sample, _container(pod, key), began_at)
    if isinstance(sample, NoData):
        if sample.reason is NoDataReason.NO_SERIES:
            return seen_without(account), sample
        return account, sample
    return account, None


def _container(pod: Pod, key: str) -> Container | None:
    name = key.partition("/")[2]
    running = [container for container in pod.containers if not container.init]
    named = next((container for container in running if container.name == name), None)
    if named is not None:
        return named
    return running[0] if len(running) == 1 else None


def _counts(pod: Pod, tick: Tick) -> bool:
    """A pod that goes counts for neither side; nor does one of any other revision."""
    return pod.deleted_at is None and (
        pod.revision in tick.candidate or pod.revision in tick.stable
    )


def _lives(key: str, tick: Tick) -> bool:
    uid = key.partition("/")[0]
    return any(pod.uid == uid for pod in tick.snapshot.pods)


def _young(pod: Pod, delta: Delta, youth: float) -> bool:
    return pod.ready_at is None or delta.since < pod.ready_at + youth


def _answered(sample: CounterSample, delta: Delta | NoData | None) -> bool:
    """Whether the account is being followed: also where there was nothing newer to take in."""
    if isinstance(delta, Delta):
        return True
    followed = (NoDataReason.NOT_NEWER, NoDataReason.BASELINE)
    return isinstance(sample, Reading) and isinstance(delta, NoData) and delta.reason in followed


def _why(sample: CounterSample, delta: Delta | NoData | None) -> tuple[str, str]:
    if isinstance(delta, NoData):
        return delta.reason.value, delta.detail
    assert not isinstance(sample, Reading)
    return sample.reason.value, sample.detail


def _too_many_falls(accounts: Mapping[str, Account], pods: Mapping[str, Pod], tick: Tick) -> bool:
    return any(
        account.falls >= FALLS_TO_BLIND
        and (pod := pods.get(key.partition("/")[0])) is not None
        and pod.revision in tick.candidate
        for key, account in accounts.items()
    )


def _ready_candidate(pod: Pod, tick: Tick) -> bool:
    return pod.ready and pod.deleted_at is None and pod.revision in tick.candidate
