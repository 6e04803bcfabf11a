"""What a team asks of its releases: objectives, checks with their bounds, and what follows.

Frozen and already validated (by `guard.config`): nothing here checks or parses. Durations are
seconds, ratios are fractions (1% is 0.01).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Literal

from guard.core.workloads import WorkloadId


class MatchOp(StrEnum):
    """PromQL's four ways to match a label. Regular expressions are anchored on both ends."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label matcher of a selector."""

    label: str
    op: MatchOp
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """A bare vector selector: a metric name and its matchers. `text` is what the team wrote."""

    metric: str
    matchers: tuple[Matcher, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Ratio:
    """The service level indicator bad/total, both bare selectors.

    Attributes:
        target_labels: labels beyond the standard ones that Prometheus adds to a target, so
            that a direct scrape takes them as satisfied.
        whole_service: a proxy counts it for all pods behind it, and its series carry the proxy's
            pod: it is the candidate's only while all pods are.
    """

    bad: Selector
    total: Selector
    target_labels: frozenset[str] = frozenset()
    whole_service: bool = False

    @property
    def selectors(self) -> tuple[Selector, Selector]:
        """All requests, and those that tell the bad ones."""
        return self.total, self.bad

    @property
    def text(self) -> str:
        """What is counted as bad, in a few words."""
        return self.bad.text


@dataclass(frozen=True, slots=True)
class Latency:
    """The service level indicator slow/total, from the buckets of a classic histogram.

    Slow is `_count − _bucket{le="bound"}` (decisions.md, Counting 8).

    Attributes:
        histogram: bare selector of the histogram, its name without `_bucket` or `_count`.
        slower_than: the threshold, seconds.
        bound: the same in the histogram's own unit; must be the bound of a bucket.
        target_labels: see `Ratio`.
    """

    histogram: Selector
    slower_than: float
    bound: float
    target_labels: frozenset[str] = frozenset()

    @property
    def total(self) -> Selector:
        """Selects the counters of all requests."""
        return self._suffixed("_count")

    @property
    def buckets(self) -> Selector:
        """Selects the cumulative buckets, each `le` of them."""
        return self._suffixed("_bucket")

    @property
    def selectors(self) -> tuple[Selector, Selector]:
        """All requests, and those that tell the slow ones."""
        return self.total, self.buckets

    @property
    def text(self) -> str:
        """What is counted as slow, in a few words."""
        return f"{self.histogram.text} over {seconds(self.slower_than)}"

    def _suffixed(self, suffix: str) -> Selector:
        metric = self.histogram.metric
        text = self.histogram.text.replace(metric, metric + suffix, 1)
        return Selector(metric + suffix, self.histogram.matchers, text)


Sli = Ratio | Latency


def of_whole_service(sli: Sli) -> bool:
    """Whether a proxy counts this for all pods together."""
    return isinstance(sli, Ratio) and sli.whole_service


def seconds(duration: float) -> str:
    """A threshold in words: `500 ms`, `2 s`."""
    return f"{duration * 1000:g} ms" if duration < 1.0 else f"{duration:g} s"


@dataclass(frozen=True, slots=True)
class Objective:
    """One SLO: indicator, target (fraction, 0.999) and window (seconds)."""

    name: str
    target: float
    window: float
    sli: Sli


@dataclass(frozen=True, slots=True)
class ErrorRatio:
    """Counted check: is the candidate's error ratio over `above`?

    Attributes:
        above: p0, the bound (fraction).
        allowance: k of decisions.md C; None: the default of 2, marked as an assumption.
        settle: seconds after a pod became ready that are left out (start-up crashes are not).
    """

    name: str
    objective: Objective
    above: float = 0.01
    allowance: int | None = None
    settle: float = 0.0
    kind: Literal["error_ratio"] = "error_ratio"


@dataclass(frozen=True, slots=True)
class SlowRatio:
    """Counted check: is the candidate's ratio of slow requests over `above`?

    Attributes: see `ErrorRatio`; the objective's indicator is a `Latency`.
    """

    name: str
    objective: Objective
    above: float = 0.05
    allowance: int | None = None
    settle: float = 0.0
    kind: Literal["slow_ratio"] = "slow_ratio"


@dataclass(frozen=True, slots=True)
class WorseThanStable:
    """Counted check: is the candidate over `factor` times the stable revision, and over `floor`?

    Attributes:
        above: p0 of the promotion (decisions.md, D): below it a comparison alone vouches.
        factor: ψ0, how many times worse than stable is still left alone.
        floor: ratio under which nothing is called worse; None: a fifth of `above`
            (decisions.md, Blame).
        allowance, settle: see `ErrorRatio`.
    """

    name: str
    objective: Objective
    above: float = 0.01
    factor: float = 2.0
    floor: float | None = None
    allowance: int | None = None
    settle: float = 0.0
    kind: Literal["worse_than_stable"] = "worse_than_stable"


CountedCheck = ErrorRatio | SlowRatio | WorseThanStable
"""Checks that carry α."""


@dataclass(frozen=True, slots=True)
class Health:
    """Rule: every candidate pod's health endpoint answers `expect`.

    `path` and `port` None: the pod's own HTTP readiness probe; without one, its Ready condition.
    """

    name: str = "health"
    path: str | None = None
    port: int | str | None = None
    scheme: str = "http"
    expect: int = 200
    every: float = 2.0
    timeout: float = 1.0
    failures: int = 3


@dataclass(frozen=True, slots=True)
class Pods:
    """Rule: the platform reports no trouble with the candidate's pods.

    `ready_within` None: the lesser of the progress deadline and 5 min.
    """

    name: str = "pods"
    ready_within: float | None = None


@dataclass(frozen=True, slots=True)
class Promql:
    """Rule: a PromQL expression stays inside its bound. Exactly one bound is set."""

    name: str
    expr: str
    above: float | None = None
    below: float | None = None
    failures: int = 3
    every: float = 5.0


class WithoutPod(StrEnum):
    """What follows an alert that names no pod: nothing says whose fault it is."""

    HOLD = "hold"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Alerts:
    """Rule: no alert of the team's own began with the candidate.

    Those count that carry the label `deployment_guard="true"` with the workload's namespace and
    the service's name, and those that `matching` selects.
    """

    name: str = "alerts"
    matching: tuple[Matcher, ...] = ()
    without_pod: WithoutPod = WithoutPod.HOLD
    every: float = 5.0


Check = CountedCheck | Health | Pods | Promql | Alerts


class OnFail(StrEnum):
    """What follows a FAIL."""

    ROLLBACK = "rollback"
    HOLD = "hold"
    NOTIFY = "notify"


class OnBlind(StrEnum):
    """What follows blindness that outlasts the patience."""

    HOLD = "hold"
    NOTIFY = "notify"


class OnInconclusive(StrEnum):
    """What follows a deadline with too little evidence for either verdict."""

    ACCEPT = "accept"
    HOLD = "hold"
    ROLLBACK = "rollback"


class OnLateFail(StrEnum):
    """What follows a FAIL after the promotion, while the release is still watched."""

    NOTIFY = "notify"
    ROLLBACK = "rollback"


class OnShared(StrEnum):
    """What follows a trouble that stable and candidate share."""

    HOLD = "hold"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Step:
    """Where a rollout stops to be judged.

    Attributes:
        share: of the desired pods (0 to 1) that are the candidate's there; None: its first pods,
            as many as the platform brings up.
    """

    FIRST: ClassVar[Step]

    share: float | None = None

    def pods(self, replicas: int) -> int:
        """So many candidate pods are enough for this step, of so many desired ones."""
        return 1 if self.share is None else math.ceil(self.share * replicas)

    @property
    def where(self) -> str:
        """In words: what a release is held at."""
        return "its first pods" if self.share is None else f"{self.share:.0%} of its pods"


Step.FIRST = Step()


@dataclass(frozen=True, slots=True)
class Scrape:
    """Where the pods' own metrics are read. None: found from the pod (annotations, ports).

    Attributes:
        asked: paths that the policy's own health checks ask: like probes', no users' requests.
            No setting; the engine fills it in.
    """

    container: str | None = None
    port: int | str | None = None
    path: str | None = None
    scheme: str | None = None
    ca_file: str | None = None
    token_file: str | None = None
    asked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Policy:
    """The checks of one workload with their bounds, and what to do with their answers.

    Attributes:
        bake: least time of judging after the candidate's pods are ready, seconds.
        deadline: longest time of judging after the candidate's pods are ready, seconds.
        patience: how long blindness is only held before people are told, seconds.
        watch: seconds for which a promoted release is still looked after; 0: not at all.
        alpha: probability that a healthy rollout is ever aborted by its counted checks.
        beta: probability that a rollout at the bad bound is promoted.
        trust_after: seconds for which an `unproven` revision must serve without trouble
            before it is known good (law 5).
        pace: where a rollout stops to be judged before it goes on; empty: nowhere.
        narrow: a paced rollout brings up one candidate pod at first instead of as many as the
            workload's own strategy says.
        depends_on: services whose own trouble is no fault of this one's releases.
        by_default: this is the policy of a workload that opted in by label alone.
        on_fail_stated: a person wrote `on_fail`; without that a release that runs a migration
            is held instead of rolled back.
    """

    service: str
    owner: str
    checks: tuple[Check, ...]
    bake: float = 120.0
    deadline: float = 900.0
    on_fail: OnFail = OnFail.ROLLBACK
    patience: float = 120.0
    on_blind: OnBlind = OnBlind.HOLD
    on_inconclusive: OnInconclusive = OnInconclusive.ACCEPT
    on_shared: OnShared = OnShared.HOLD
    watch: float = 1800.0
    on_late_fail: OnLateFail = OnLateFail.NOTIFY
    alpha: float = 0.01
    beta: float = 0.05
    trust_after: float = 3600.0
    scrape: Scrape = field(default_factory=Scrape)
    pace: tuple[Step, ...] = (Step.FIRST,)
    narrow: bool = True
    depends_on: tuple[str, ...] = ()
    by_default: bool = False
    on_fail_stated: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """One SLO file: a service, its owner, its workloads, objectives and policy.

    Attributes:
        path: the file it was read from, for messages.
    """

    name: str
    owner: str
    workloads: tuple[WorkloadId, ...]
    objectives: tuple[Objective, ...]
    policy: Policy
    path: str = ""
