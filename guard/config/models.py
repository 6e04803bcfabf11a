"""The SLO file as people write it, key by key; the descriptions are what editors show.

These models check one value at a time. What must fit together is `rules.py`'s; what the rest of
the guard reads are the frozen objects of `core/policy.py` that `build.py` makes of these.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from guard.config import fields as f
from guard.config.selectors import paired
from guard.core.policy import (
    OnBlind,
    OnFail,
    OnInconclusive,
    OnLateFail,
    OnShared,
    Ratio,
    Step,
    WithoutPod,
)


class Scheme(StrEnum):
    """How a pod's port is spoken to."""

    HTTP = "http"
    HTTPS = "https"


class Unit(StrEnum):
    """What the bounds of a histogram's buckets are written in."""

    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"


_OnFail = Annotated[OnFail, BeforeValidator(f.choice(OnFail))]
_OnBlind = Annotated[OnBlind, BeforeValidator(f.choice(OnBlind))]
_OnInconclusive = Annotated[OnInconclusive, BeforeValidator(f.choice(OnInconclusive))]
_OnLateFail = Annotated[OnLateFail, BeforeValidator(f.choice(OnLateFail))]
_OnShared = Annotated[OnShared, BeforeValidator(f.choice(OnShared))]
_Scheme = Annotated[Scheme, BeforeValidator(f.choice(Scheme))]
_WithoutPod = Annotated[WithoutPod, BeforeValidator(f.choice(WithoutPod))]
_Unit = Annotated[Unit, BeforeValidator(f.choice(Unit))]


class Model(BaseModel):
    """A mapping of the file: no unknown keys, no silent conversions, no later change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class KubernetesModel(Model):
    """A Deployment."""

    namespace: f.ServiceName = Field(description="Namespace of the Deployment.")
    deployment: f.ObjectName = Field(description="Name of the Deployment.")


class WorkloadModel(Model):
    """One workload that this file speaks for; exactly one kind."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    kubernetes: KubernetesModel | None = Field(
        default=None, description="A Deployment in the cluster."
    )


class RatioModel(Model):
    """Bad requests among all; bare selectors, the same text for Prometheus and for a scrape."""

    bad: f.SelectorText = Field(description="Selects the counters of bad requests.")
    total: f.SelectorText = Field(description="Selects the counters of all requests.")

    @model_validator(mode="after")
    def _paired(self) -> Self:
        paired(Ratio(self.bad, self.total))
        return self


class LatencyModel(Model):
    """Slow requests among all, from a classic histogram's buckets."""

    histogram: f.HistogramText = Field(
        description="Selects the histogram, its name without _bucket or _count."
    )
    slower_than: f.Threshold = Field(
        description="What is slow: 500ms. Must be the bound of a bucket. From 1ms to 1h."
    )
    unit: _Unit | None = Field(
        default=None,
        description="seconds or milliseconds. Default: as the name says, else seconds.",
    )


class SliModel(Model):
    """The service level indicator; exactly one kind."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    ratio: RatioModel | None = Field(default=None, description="Bad requests among all requests.")
    latency: LatencyModel | None = Field(
        default=None, description="Slow requests among all requests."
    )
    preset: f.PresetName | None = Field(
        default=None, description="Bad requests among all, as usual instrumentation counts them."
    )


class ObjectiveModel(Model):
    """One SLO."""

    name: f.ObjectiveName = Field(description="Name, unique in this file; checks refer to it.")
    target: f.Target = Field(description="Share of good requests, in percent: 99.9.")
    window: f.Window = Field(description="Period of the target: 30d. From 1h to 366d.")
    sli: SliModel = Field(description="What is counted.")


class ErrorRatioModel(Model):
    """Counted check: is the candidate's error ratio over a bound?"""

    name: f.Title | None = Field(default=None, description="Default: the objective's name.")
    objective: f.ObjectiveName = Field(description="Objective whose indicator is counted.")
    above: f.RatioValue = Field(
        default=0.01, description="Bound of the error ratio: 1%. Default 1%."
    )
    allowance: f.Allowance | None = Field(
        default=None,
        description="How many errors come together (k, 1 to 10). Default: 2, an assumption.",
    )
    settle: f.Period = Field(
        default=0.0, description="How long a pod's first errors are left out. Default 0s: none."
    )


class SlowRatioModel(Model):
    """Counted check: is the candidate's ratio of slow requests over a bound?"""

    name: f.Title | None = Field(default=None, description="Default: the objective's name.")
    objective: f.ObjectiveName = Field(description="Objective whose latency is counted.")
    above: f.RatioValue = Field(
        default=0.05, description="Bound of the ratio of slow requests: 5%. Default 5%."
    )
    allowance: f.Allowance | None = Field(
        default=None,
        description="How many slow ones come together (k, 1 to 10). Default: 2, an assumption.",
    )
    settle: f.Period = Field(
        default=0.0, description="How long a pod's first requests are left out. Default 0s: none."
    )


class WorseThanStableModel(Model):
    """Counted check: is the candidate worse than the stable revision beside it?"""

    name: f.Title | None = Field(
        default=None, description="Default: the objective's name with `against stable`."
    )
    objective: f.ObjectiveName = Field(description="Objective whose indicator is compared.")
    factor: f.Factor = Field(
        default=2.0, description="How many times stable's ratio is left alone. Default 2; 1 to 100."
    )
    floor: f.RatioValue | None = Field(
        default=None, description="Ratio under which nothing is worse. Default: a fifth of above."
    )
    above: f.RatioValue | None = Field(
        default=None,
        description="Bound for a promotion. Default: that of the objective's other check, else 1%.",
    )
    allowance: f.Allowance | None = Field(
        default=None,
        description="How many errors come together. Default: as the objective's other check.",
    )
    settle: f.Period | None = Field(
        default=None,
        description="A pod's first time, left out. Default: as the objective's other check.",
    )


class HealthModel(Model):
    """Rule: every candidate pod's health endpoint answers as expected."""

    name: f.Title = Field(default="health", description="Default: health.")
    path: f.UrlPath | None = Field(
        default=None, description="Default: the path of the pod's own HTTP readiness probe."
    )
    port: f.Port | None = Field(
        default=None, description="Number or name. Default: the port of the pod's readiness probe."
    )
    scheme: _Scheme = Field(default=Scheme.HTTP, description="http (default) or https.")
    expect: f.Status = Field(default=200, description="HTTP status of a healthy pod. Default 200.")
    every: f.ShortDuration = Field(default=2.0, description="Time between two probes. Default 2s.")
    timeout: f.ShortDuration = Field(default=1.0, description="Time to answer in. Default 1s.")
    failures: f.Failures = Field(default=3, description="Bad probes in a row that fail. Default 3.")


class PodsModel(Model):
    """Rule: the platform reports no trouble with the candidate's pods."""

    name: f.Title = Field(default="pods", description="Default: pods.")
    ready_within: f.PositivePeriod | None = Field(
        default=None,
        description="Time to become ready in. Default: the progress deadline, at most 5m.",
    )


class PromqlModel(Model):
    """Rule: a PromQL expression stays inside its bound."""

    name: f.Title = Field(description="Name, unique in this file.")
    expr: f.Expression = Field(
        description='PromQL; pod=~"$candidate" and pod=~"$stable" stand for the pods.'
    )
    above: f.Number | None = Field(default=None, description="Fails over this number.")
    below: f.Number | None = Field(default=None, description="Fails under this number.")
    failures: f.Failures = Field(
        default=3, description="Values beyond the bound in a row. Default 3."
    )
    every: f.ShortDuration = Field(default=5.0, description="Time between evaluations. Default 5s.")


class AlertsModel(Model):
    """Rule: no alert of the team's own began with the candidate."""

    name: f.Title = Field(default="alerts", description="Default: alerts.")
    matching: f.MatchersText | None = Field(
        default=None,
        description="Matchers of alerts that count too. Default: the label deployment_guard alone.",
    )
    without_pod: _WithoutPod = Field(
        default=WithoutPod.HOLD,
        description="hold (default) or rollback: what follows an alert without a label pod.",
    )
    every: f.ShortDuration = Field(default=5.0, description="Time between questions. Default 5s.")


class CheckModel(Model):
    """One question that is asked of each rollout; exactly one kind."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    error_ratio: ErrorRatioModel | None = Field(
        default=None, description="Counted, with a stated α."
    )
    slow_ratio: SlowRatioModel | None = Field(
        default=None, description="Counted, with a stated α: slow requests."
    )
    worse_than_stable: WorseThanStableModel | None = Field(
        default=None, description="Counted, with a stated α: against the stable revision."
    )
    health: HealthModel | None = Field(default=None, description="A health endpoint of each pod.")
    pods: PodsModel | None = Field(default=None, description="The pods' own troubles.")
    promql: PromqlModel | None = Field(default=None, description="A free PromQL threshold.")
    alerts: AlertsModel | None = Field(default=None, description="The team's own alerts.")


class OnBlindModel(Model):
    """What happens when a check cannot see."""

    patience: f.PositivePeriod = Field(
        default=120.0,
        description="How long blindness only holds before people are told. Default 2m.",
    )
    then: _OnBlind = Field(default=OnBlind.HOLD, description="hold (default) or notify.")


class ScrapeModel(Model):
    """Where the pods' own metrics are read, where the pod does not say it itself."""

    container: f.ServiceName | None = Field(
        default=None, description="Default: each that has a port."
    )
    port: f.Port | None = Field(
        default=None, description="Number or name. Default: found from the pod."
    )
    path: f.UrlPath | None = Field(default=None, description="Default: /metrics.")
    scheme: _Scheme | None = Field(default=None, description="Default: http.")
    ca_file: f.FilePath | None = Field(
        default=None, description="Default: the system's authorities."
    )
    token_file: f.FilePath | None = Field(default=None, description="Bearer token. Default: none.")


class RolloutModel(Model):
    """The policy: what is asked of each rollout, and what follows."""

    bake: f.Period = Field(
        default=120.0, description="Least time of judging after all pods are ready. Default 2m."
    )
    deadline: f.PositivePeriod = Field(
        default=900.0, description="Longest time of judging after all pods are ready. Default 15m."
    )
    checks: Annotated[tuple[CheckModel, ...], f.SEQUENCE, f.FILLED] = Field(
        description="At least one.", json_schema_extra={"minItems": 1}
    )
    pace: Annotated[tuple[f.PaceStep, ...], f.SEQUENCE] = Field(
        default=(Step.FIRST,),
        description="Where it stops to be judged before it goes on: first, then at shares of its "
        "pods such as 50%. Default [first]; []: nowhere.",
    )
    narrow: bool = Field(
        default=True,
        description="A paced rollout brings up one pod at first. Default true; false: maxSurge.",
    )
    on_fail: _OnFail = Field(
        default=OnFail.ROLLBACK,
        description="rollback (default; hold for a release that migrates), hold or notify.",
    )
    on_blind: OnBlindModel = Field(default=OnBlindModel(), description="What follows blindness.")
    on_inconclusive: _OnInconclusive = Field(
        default=OnInconclusive.ACCEPT,
        description="At the deadline, too little seen: accept (default), hold or rollback.",
    )
    watch: f.Period = Field(
        default=1800.0, description="A promoted release is still looked after. Default 30m; 0s: no."
    )
    on_late_fail: _OnLateFail = Field(
        default=OnLateFail.NOTIFY,
        description="A promoted release fails while it is watched: notify (default) or rollback.",
    )
    on_shared: _OnShared = Field(
        default=OnShared.HOLD, description="Trouble that stable shares: hold (default) or rollback."
    )
    scrape: ScrapeModel = Field(default=ScrapeModel(), description="Where pods' metrics are read.")
    false_abort: f.Probability = Field(
        default=0.01, description="α: a healthy rollout is ever aborted. Default 1%; 0.01% to 20%."
    )
    false_promote: f.Probability = Field(
        default=0.05, description="β: a bad rollout is promoted. Default 5%; 0.01% to 20%."
    )
    trust_after: f.Period = Field(
        default=3600.0, description="An unproven revision is known good after this. Default 1h."
    )


class SloFile(Model):
    """A service, its owner, its workloads, its objectives, and what its rollouts must show."""

    model_config = ConfigDict(title="SLO file of deployment-guard")

    api_version: f.ApiVersion = Field(alias="apiVersion", description="guard/v1.")
    service: f.ServiceName = Field(description="Name of the service, unique in all files.")
    owner: f.Title = Field(description="Team that is told.")
    workloads: Annotated[tuple[WorkloadModel, ...], f.SEQUENCE, f.FILLED] = Field(
        description="What is guarded.", json_schema_extra={"minItems": 1}
    )
    objectives: Annotated[tuple[ObjectiveModel, ...], f.SEQUENCE] = Field(
        default=(), description="The SLOs. Default: none."
    )
    rollout: RolloutModel = Field(description="The policy of each rollout.")
    depends_on: Annotated[tuple[f.ServiceName, ...], f.SEQUENCE] = Field(
        default=(),
        description="Services of other SLO files whose own trouble is shared. Default: none.",
    )
    target_labels: Annotated[tuple[f.LabelName, ...], f.SEQUENCE] = Field(
        default=(),
        description=(
            "Labels that Prometheus adds to the targets beyond job, instance, namespace, pod, "
            "container, endpoint, service and node. Default: none."
        ),
    )
