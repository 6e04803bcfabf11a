"""The policy of a workload that opted in by label alone.

Nobody has said what its counters are called, so every preset that counts each pod's own requests is
tried; the engine takes the first that the pods expose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guard.config.presets import PER_REVISION
from guard.config.rules import against_stable
from guard.core.policy import (
    Check,
    ErrorRatio,
    Health,
    Objective,
    Pods,
    Policy,
    Ratio,
    WorseThanStable,
)

if TYPE_CHECKING:
    from guard.core.workloads import WorkloadId

_ABOVE: Final = 0.01
_TARGET: Final = 0.99
_WINDOW: Final = 30 * 86_400.0

DEFAULT_INDICATORS: Final = tuple(preset.indicator for preset in PER_REVISION)


def default_policy(workload: WorkloadId, indicator: Ratio | None = None) -> Policy:
    """The policy under which a workload is guarded that opted in by label alone.

    Args:
        workload: the workload, whose name serves as the service's.
        indicator: one of `DEFAULT_INDICATORS`, or None where the pods expose none of them:
            such a workload is guarded by pods and health only.
    """
    rules: tuple[Check, ...] = (Health(), Pods())
    counted = _counted(indicator) if indicator else ()
    return Policy(
        service=workload.name,
        owner="",
        checks=(*counted, *rules),
        by_default=True,
    )


def default_policies(workload: WorkloadId) -> tuple[Policy, ...]:
    """A workload's default policies, in the order to try them; the last needs no counter."""
    counted = (default_policy(workload, indicator) for indicator in DEFAULT_INDICATORS)
    return (*counted, default_policy(workload))


def _counted(indicator: Ratio) -> tuple[Check, ...]:
    """Errors over the usual bound, and errors that the stable revision beside it has not."""
    objective = Objective("availability", _TARGET, _WINDOW, indicator)
    return (
        ErrorRatio(name=objective.name, objective=objective, above=_ABOVE),
        WorseThanStable(against_stable(objective.name), objective, above=_ABOVE),
    )
