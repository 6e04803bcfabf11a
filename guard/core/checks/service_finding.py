"""What a finding says of a counter that a proxy has for all pods together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.core.quantities import percent

if TYPE_CHECKING:
    from guard.core.checks.counted_state import CountedState


def numbers(state: CountedState) -> dict[str, float]:
    """What a proxy's own series say of the time before the rollout."""
    normal = state.bound.normal
    return {
        "whole_service": 1.0,
        "before_bad": normal.bad if normal else 0.0,
        "before_total": normal.total if normal else 0.0,
        "before_over": float(state.bound.stable_was_over),
    }


def no_side(state: CountedState) -> str:
    """What the release is compared with where a proxy counts for all pods."""
    text = "no stable side to compare with: against its own series before the rollout"
    normal = state.bound.normal
    if normal is None or not normal.total:
        return f"{text}, of which there is no history, so against the policy's bound alone"
    ratio = percent(normal.bad / normal.total)
    return f"{text}, {normal.bad} of {normal.total} requests ({ratio}) in the time before"
