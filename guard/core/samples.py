"""What one source answered: a number, nothing, or no answer at all.

The law of this module: an absent number is never zero. `Measured`, `NoData` (the source
answered: nothing there) and `Unavailable` (the source did not answer) are different types,
and no arithmetic is defined on the last two.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

OF_SERVICE = "service/"
"""How the name of an account begins that is a series of a proxy: in the place of a pod's uid."""


class NoDataReason(StrEnum):
    """Why a source that answered had nothing to say. Also the metric label and test id."""

    NO_SERIES = "no_series"
    NO_LABEL = "no_label"
    NO_BUCKET = "no_bucket"
    NO_TRAFFIC = "no_traffic"
    NO_PODS = "no_pods"
    STALE = "stale"
    NOT_A_NUMBER = "not_a_number"
    NOT_MONOTONIC = "not_monotonic"
    NOT_NEWER = "not_newer"
    BASELINE = "baseline"
    DRAINING = "draining"
    UNJOINED = "unjoined"
    AMBIGUOUS = "ambiguous"
    NO_TARGET = "no_target"


class UnavailableReason(StrEnum):
    """Why a source did not answer. Also the metric label and test id."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    UNRESOLVED = "unresolved"
    TLS = "tls"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    HTTP_STATUS = "http_status"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    PARTIAL = "partial"
    QUERY_REFUSED = "query_refused"
    NOT_CONFIGURED = "not_configured"
    NEVER_ANSWERED = "never_answered"


@dataclass(frozen=True, slots=True)
class Measured:
    """A number and the time it speaks of.

    Attributes:
        value: the number; finite.
        at: the data's own time, seconds since the epoch (not the time of the question).
    """

    value: float
    at: float


@dataclass(frozen=True, slots=True)
class NoData:
    """The source answered: nothing there."""

    reason: NoDataReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The source did not answer."""

    reason: UnavailableReason
    detail: str = ""


Sample = Measured | NoData | Unavailable
Absent = NoData | Unavailable


@dataclass(frozen=True, slots=True)
class Reading:
    """One account's cumulative counters at one time, bad and total from the same scrape.

    Attributes:
        total: requests since the process started, summed over the matching series.
        bad: bad requests among them; None while no such series exists (which counts as 0,
            because the same target's total exists).
        at: the sample's own time, seconds since the epoch.
        source: name of the source that answered (`scrape`, `prometheus`).
        process_start: `process_start_time_seconds` of the target where it exposes one.
        paths_known: True where a path or handler label let the source drop the requests of
            machines itself (decisions.md, Counting 7).
        machine: requests of machines per second to be expected beyond those that the guard
            itself sent, where paths are not known (kubelet probes, Prometheus' scrapes).
        sent: cumulative number of requests that the guard itself had sent to this target at `at`.
        sent_bad: how many of them were answered with a status of 400 or more: while that
            moves, machines' requests fail too, and are not users' errors.
        sent_since: from when on `sent` is known to be complete (a guard that was restarted does
            not know what it sent before), seconds since the epoch.
        ahead: how many requests of machines may show up before `machine` and `sent` account for
            them: one for each machine that asks in a rhythm, and those of the guard that are
            under way or were given up. None: not known, judged by the rate.
        absent_at: of one series of a proxy: when its target was scraped without it, seconds since
            the epoch, so that it counts from 0 since then. None: nobody knows since when.
    """

    total: float
    bad: float | None
    at: float
    source: str
    process_start: float | None = None
    paths_known: bool = False
    machine: float = 0.0
    sent: int = 0
    sent_bad: int = 0
    sent_since: float = 0.0
    ahead: int | None = None
    absent_at: float | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert that fires.

    Attributes:
        fingerprint: Alertmanager's own name for this set of labels.
        name: its `alertname`.
        pod: its label `pod`; empty without one.
        since: since when it has fired without a break, seconds since the epoch.
    """

    fingerprint: str
    name: str
    pod: str
    since: float


@dataclass(frozen=True, slots=True)
class Alerted:
    """Every alert that fires, at one time; none is an answer too."""

    alerts: tuple[Alert, ...]
    at: float


AlertSample = Alerted | Unavailable
CounterSample = Reading | NoData | Unavailable
