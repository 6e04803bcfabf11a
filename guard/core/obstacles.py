"""What stands between a FAIL and a rollback. The first that applies is the one that is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.core.policy import OnFail
from guard.core.states import Facts, Hold, Obstacle, State
from guard.core.workloads import Mode

if TYPE_CHECKING:
    from collections.abc import Callable


def obstacle(state: State, facts: Facts) -> Obstacle | None:
    """Name why the guard must not roll back now; None where it may.

    The order is from what a person set to what the guard lacks, so that the words tell the
    person the nearest thing to change.
    """
    for rule in _RULES:
        found = rule(state, facts)
        if found is not None:
            return found
    return None


def _mode(_state: State, facts: Facts) -> Obstacle | None:
    if facts.mode is Mode.ACT:
        return None
    good = facts.known_good
    would = (
        f"it would have rolled back to {good.revision.hash}" if good else "nothing is known good"
    )
    return Obstacle(Hold.OBSERVE, f"The guard only observes here: {would}")


def _policy(state: State, facts: Facts) -> Obstacle | None:
    policy = state.case.policy
    if policy.on_fail is OnFail.HOLD:
        return Obstacle(Hold.POLICY, "The policy says hold (on_fail: hold)")
    if facts.migration and not policy.on_fail_stated and policy.on_fail is OnFail.ROLLBACK:
        return Obstacle(
            Hold.MIGRATION,
            f"This release runs a migration (init container {facts.migration}), which is never "
            "undone blindly: roll forward, or state on_fail: rollback in the SLO file",
        )
    return None


def _target(state: State, facts: Facts) -> Obstacle | None:
    good = facts.known_good
    if good is None or good.assumed:
        return Obstacle(
            Hold.NO_KNOWN_GOOD, "No revision is known good, so there is none to return to"
        )
    if good.revision.same_as(state.case.candidate):
        return Obstacle(
            Hold.SAME_TEMPLATE,
            "The known-good template is this very one, restarted: nothing to undo",
        )
    return None


def _once(state: State, facts: Facts) -> Obstacle | None:
    if state.case.candidate.content not in facts.rolled_back:
        return None
    return Obstacle(
        Hold.ONCE, "This revision was rolled back before and was applied again: not a second time"
    )


def _circuit(_state: State, facts: Facts) -> Obstacle | None:
    if not facts.circuit_open:
        return None
    return Obstacle(
        Hold.CIRCUIT_BREAKER, "The circuit breaker is open: too many rollbacks across all workloads"
    )


def _able(_state: State, facts: Facts) -> Obstacle | None:
    if facts.paused:
        return Obstacle(Hold.PAUSED, "A person paused this workload (spec.paused): it stays theirs")
    if not facts.may_patch:
        return Obstacle(Hold.NO_RIGHTS, "The guard lacks the right to patch this workload")
    return None


_RULES: tuple[Callable[[State, Facts], Obstacle | None], ...] = (
    _mode,
    _policy,
    _target,
    _once,
    _circuit,
    _able,
)
