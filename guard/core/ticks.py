"""A tick: everything that one moment told about one rollout, as the checks read it.

A check is three pure functions over one small frozen state:

    begin(check, frame) -> state
    update(state, tick) -> state        # takes the tick's samples in
    find(state, tick) -> Finding        # what it says now

States hold nothing but numbers, strings, tuples, mappings and other such dataclasses, so that a
checkpoint in the record restores them to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from guard.core.evidence.history import Normal
from guard.core.samples import AlertSample, CounterSample, Sample, UnavailableReason
from guard.core.workloads import Snapshot


@dataclass(frozen=True, slots=True)
class Youth:
    """What a revision's pods did in their first seconds: bad of total requests."""

    bad: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """What is fixed when a rollout starts.

    Attributes:
        began_at: when the rollout began (seconds since the epoch); of a rollout that began while
            the guard was away: first sight.
        alpha, beta: see `Policy`.
        counted: number of counted checks of the policy; the divisor of the mean of E.
        interval: Prometheus' scrape interval, seconds: targets are scraped up to so far apart.
        youth: what the stable revision's pods did when they were young, by check name; absent
            without a record.
        before: what the stable revision did in the 5 min before the first candidate pod, by
            check name; absent where nobody measured it.
        normal: what Prometheus' history says is normal for the stable revision, by check name;
            absent without history.
    """

    began_at: float
    alpha: float = 0.01
    beta: float = 0.05
    counted: int = 1
    interval: float = 15.0
    youth: Mapping[str, Youth] = field(default_factory=dict)
    before: Mapping[str, Youth] = field(default_factory=dict)
    normal: Mapping[str, Normal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """One health probe of one pod.

    Attributes:
        at: when it was answered or given up, seconds since the epoch.
        status: the HTTP status, None without an answer.
        failure: why there was no HTTP answer.
        port: the port asked (the rule on silence is a port's).
    """

    at: float
    status: int | None
    failure: UnavailableReason | None = None
    detail: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Tick:
    """One moment of one rollout.

    Attributes:
        at: now, seconds since the epoch.
        candidate, stable: the platform's hashes of the revisions on each side.
        bake_began_at: when the candidate's pods were all ready; None before.
        counters: by check name, then by account `pod uid/container`: what the one chosen source
            of that account answered in this burst. A pod without an entry was not asked.
        probes: by check name, then by pod uid: the newest probe; without an entry none is due.
        values: by check name: the newest evaluation of a free PromQL.
        alerts: by check name: the newest answer of Alertmanager.
        from_prometheus: some counters of this tick came from Prometheus, whose targets are
            scraped up to one interval apart (decisions.md, B).
        step: how many pace steps the rollout has gone on by; each is a traffic step.
        answers: sources that answered in this tick (kept for the record's words).
        before, normal: as in `Frame`, where Prometheus answered only after the rollout began.
        depends_over: services that this one depends on and that are over their own bound now.
    """

    at: float
    snapshot: Snapshot
    candidate: frozenset[str]
    stable: frozenset[str]
    bake_began_at: float | None = None
    counters: Mapping[str, Mapping[str, CounterSample]] = field(default_factory=dict)
    probes: Mapping[str, Mapping[str, ProbeAnswer]] = field(default_factory=dict)
    values: Mapping[str, Sample] = field(default_factory=dict)
    alerts: Mapping[str, AlertSample] = field(default_factory=dict)
    from_prometheus: bool = False
    answers: tuple[str, ...] = ()
    before: Mapping[str, Youth] = field(default_factory=dict)
    normal: Mapping[str, Normal] = field(default_factory=dict)
    depends_over: tuple[str, ...] = ()
    step: int = 0
