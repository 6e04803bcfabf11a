"""The table of checks: which functions begin, update and read the state of which kind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from guard.core import policy
from guard.core.checks import alerts, counted, counted_finding, health, pods, promql
from guard.core.checks.counted_state import CountedState, e_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from guard.core.findings import Finding
    from guard.core.records import CheckState, Record
    from guard.core.ticks import Frame, Tick

_BEGIN: dict[type, Callable[[Any, Frame], CheckState]] = {
    policy.ErrorRatio: counted.begin,
    policy.SlowRatio: counted.begin,
    policy.WorseThanStable: counted.begin,
    policy.Health: health.begin,
    policy.Pods: pods.begin,
    policy.Promql: promql.begin,
    policy.Alerts: alerts.begin,
}
_UPDATE: dict[str, Callable[[Any, Tick], CheckState]] = {
    "error_ratio": counted.update,
    "slow_ratio": counted.update,
    "worse_than_stable": counted.update,
    "health": health.update,
    "pods": pods.update,
    "promql": promql.update,
    "alerts": alerts.update,
}
_FIND: dict[str, Callable[[Any, Tick], Finding]] = {
    "error_ratio": counted_finding.find,
    "slow_ratio": counted_finding.find,
    "worse_than_stable": counted_finding.find,
    "health": health.find,
    "pods": pods.find,
    "promql": promql.find,
    "alerts": alerts.find,
}


def begin(check: policy.Check, frame: Frame) -> CheckState:
    """Begin a check's evidence."""
    return _BEGIN[type(check)](check, frame)


def completed(record: Record) -> Record:
    """Begin the evidence of checks that a stored record lacks: it did not fit into the store."""
    policy_checks = record.state.case.policy.checks
    if all(check.name in record.checks for check in policy_checks):
        return record
    begun = {check.name: begin(check, record.frame) for check in policy_checks}
    return replace(record, checks={**begun, **record.checks})


def update(state: CheckState, tick: Tick) -> CheckState:
    """Take a tick in."""
    return _UPDATE[state.kind](state, tick)


def find(state: CheckState, tick: Tick) -> Finding:
    """Say what the evidence says."""
    return _FIND[state.kind](state, tick)


def evidence(states: Iterable[CheckState]) -> float:
    """The largest E of the counted checks; 0 without one."""
    counting = (state for state in states if isinstance(state, CountedState))
    return max((e_value(state) for state in counting), default=0.0)


def number_counted(one: policy.Policy) -> int:
    """Number of checks that carry alpha."""
    return sum(1 for check in one.checks if isinstance(check, policy.CountedCheck))
