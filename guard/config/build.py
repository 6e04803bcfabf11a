"""The validated file becomes the frozen objects that the core reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.core.policy import (
    Check,
    ErrorRatio,
    Health,
    Objective,
    Pods,
    Policy,
    Promql,
    Ratio,
    Scrape,
    Service,
)
from guard.core.workloads import WorkloadId

if TYPE_CHECKING:
    from guard.config.models import CheckModel, ErrorRatioModel, ScrapeModel, SloFile


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
        Objective(
            item.name,
            item.target,
            item.window,
            Ratio(item.sli.ratio.bad, item.sli.ratio.total, labels),
        )
        for item in file.objectives
    )


def _policy(file: SloFile, objectives: dict[str, Objective]) -> Policy:
    rollout = file.rollout
    return Policy(
        service=file.service,
        owner=file.owner,
        checks=tuple(_check(item, objectives) for item in rollout.checks),
        bake=rollout.bake,
        deadline=rollout.deadline,
        on_fail=rollout.on_fail,
        patience=rollout.on_blind.patience,
        on_blind=rollout.on_blind.then,
        on_inconclusive=rollout.on_inconclusive,
        on_shared=rollout.on_shared,
        alpha=rollout.false_abort,
        beta=rollout.false_promote,
        trust_after=rollout.trust_after,
        scrape=_scrape(rollout.scrape),
        on_fail_stated="on_fail" in rollout.model_fields_set,
    )


def _check(item: CheckModel, objectives: dict[str, Objective]) -> Check:
    if item.error_ratio:
        return _error_ratio(item.error_ratio, objectives)
    if item.health:
        stated = item.health.model_dump(exclude={"scheme"})
        return Health(**stated, scheme=item.health.scheme.value)
    if item.pods:
        return Pods(**item.pods.model_dump())
    if item.promql:
        return Promql(**item.promql.model_dump())
    raise AssertionError(item)


def _error_ratio(item: ErrorRatioModel, objectives: dict[str, Objective]) -> ErrorRatio:
    return ErrorRatio(
        name=item.name or item.objective,
        objective=objectives[item.objective],
        above=item.above,
        allowance=item.allowance,
        settle=item.settle,
    )


def _scrape(item: ScrapeModel) -> Scrape:
    stated = item.model_dump(exclude={"scheme"})
    return Scrape(**stated, scheme=item.scheme.value if item.scheme else None)
