"""The validated file becomes the frozen objects that the core reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guard.config import presets
from guard.config.models import Unit
from guard.config.rules import against_stable
from guard.core.policy import (
    Alerts,
    Check,
    ErrorRatio,
    Health,
    Latency,
    Objective,
    Pods,
    Policy,
    Promql,
    Ratio,
    Scrape,
    Service,
    Sli,
    SlowRatio,
    WorseThanStable,
)
from guard.core.workloads import WorkloadId

if TYPE_CHECKING:
    from guard.config.models import (
        CheckModel,
        ErrorRatioModel,
        LatencyModel,
        RolloutModel,
        ScrapeModel,
        SliModel,
        SloFile,
        SlowRatioModel,
        WorseThanStableModel,
    )

_DEFAULT_ABOVE: Final = 0.01
_MILLISECONDS: Final = ("_milliseconds", "_ms", "_millis")
"""Ends of the names of histograms whose bounds are milliseconds, as Istio's are."""


def service(file: SloFile, path: str) -> Service:
    """The service that a validated file describes."""
    objectives = _objectives(file)
    return Service(
        name=file.service,
        owner=file.owner,
        workloads=tuple(
            WorkloadId("kubernetes", item.kubernetes.namespace, item.kubernetes.deployment)
            for item in file.workloads
            if item.kubernetes
        ),
        objectives=objectives,
        policy=_policy(file, {objective.name: objective for objective in objectives}),
        path=path,
    )


def _objectives(file: SloFile) -> tuple[Objective, ...]:
    labels = frozenset(file.target_labels)
    return tuple(
        Objective(item.name, item.target, item.window, _sli(item.sli, labels))
        for item in file.objectives
    )


def _sli(item: SliModel, labels: frozenset[str]) -> Sli:
    if item.ratio:
        return Ratio(item.ratio.bad, item.ratio.total, labels)
    if item.preset:
        return presets.ratio(item.preset, labels)
    if item.latency:
        bound = item.latency.slower_than * _per_second(item.latency)
        return Latency(item.latency.histogram, item.latency.slower_than, bound, labels)
    raise AssertionError(item)


def _per_second(item: LatencyModel) -> float:
    """How many of the histogram's units a second has."""
    if item.unit is not None:
        return 1000.0 if item.unit is Unit.MILLISECONDS else 1.0
    return 1000.0 if item.histogram.metric.endswith(_MILLISECONDS) else 1.0


def _policy(file: SloFile, objectives: dict[str, Objective]) -> Policy:
    rollout = file.rollout
    return Policy(
        service=file.service,
        owner=file.owner,
        checks=tuple(_check(item, objectives, rollout) for item in rollout.checks),
        bake=rollout.bake,
        deadline=rollout.deadline,
        on_fail=rollout.on_fail,
        pace=rollout.pace,
        narrow=rollout.narrow,
        patience=rollout.on_blind.patience,
        on_blind=rollout.on_blind.then,
        on_inconclusive=rollout.on_inconclusive,
        on_shared=rollout.on_shared,
        watch=rollout.watch,
        on_late_fail=rollout.on_late_fail,
        alpha=rollout.false_abort,
        beta=rollout.false_promote,
        trust_after=rollout.trust_after,
        scrape=_scrape(rollout.scrape),
        depends_on=file.depends_on,
        on_fail_stated="on_fail" in rollout.model_fields_set,
    )


def _check(item: CheckModel, objectives: dict[str, Objective], rollout: RolloutModel) -> Check:
    if item.error_ratio:
        return ErrorRatio(**_counted(item.error_ratio, objectives))
    if item.slow_ratio:
        return SlowRatio(**_counted(item.slow_ratio, objectives))
    if item.worse_than_stable:
        return _worse(item.worse_than_stable, objectives, rollout)
    if item.health:
        stated = item.health.model_dump(exclude={"scheme"})
        return Health(**stated, scheme=item.health.scheme.value)
    if item.pods:
        return Pods(**item.pods.model_dump())
    if item.promql:
        return Promql(**item.promql.model_dump())
    if item.alerts:
        one = item.alerts
        return Alerts(one.name, one.matching or (), one.without_pod, one.every)
    raise AssertionError(item)


def _counted(
    item: ErrorRatioModel | SlowRatioModel, objectives: dict[str, Objective]
) -> dict[str, Any]:
    return {
        "name": item.name or item.objective,
        "objective": objectives[item.objective],
        "above": item.above,
        "allowance": item.allowance,
        "settle": item.settle,
    }


def _worse(
    item: WorseThanStableModel, objectives: dict[str, Objective], rollout: RolloutModel
) -> WorseThanStable:
    """What the file does not state is as in the check that bounds the same objective."""
    counted = (check.error_ratio or check.slow_ratio for check in rollout.checks)
    other = next((one for one in counted if one and one.objective == item.objective), None)
    above, settle = (other.above, other.settle) if other else (_DEFAULT_ABOVE, 0.0)
    allowance = other.allowance if other else None
    return WorseThanStable(
        name=item.name or against_stable(item.objective),
        objective=objectives[item.objective],
        above=above if item.above is None else item.above,
        factor=item.factor,
        floor=item.floor,
        allowance=allowance if item.allowance is None else item.allowance,
        settle=settle if item.settle is None else item.settle,
    )


def _scrape(item: ScrapeModel) -> Scrape:
    stated = item.model_dump(exclude={"scheme"})
    return Scrape(**stated, scheme=item.scheme.value if item.scheme else None)
