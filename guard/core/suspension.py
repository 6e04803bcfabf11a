"""A rollout whose workload is scaled to 0 is suspended, and goes on when it is scaled up again."""

from __future__ import annotations

from dataclasses import replace

from guard.core.states import Command, Note, Save, State

LEFT_AFTER = 24 * 3600.0
"""Seconds at 0 replicas after which the rollout is the guard's no longer."""

Step = tuple[State, tuple[Command, ...]]


def begin(state: State, now: float) -> Step:
    """Stop judging; the clock stands still."""
    if state.suspended_since is not None:
        return state, ()
    suspended = replace(state, suspended_since=now, clock_at=None)
    return suspended, (Note(now, "suspended", "0 replicas: nothing to judge"), Save())


def lasts_too_long(state: State, now: float) -> bool:
    """Whether it has been at 0 replicas for a day."""
    return state.suspended_since is not None and now - state.suspended_since >= LEFT_AFTER


def end(state: State, now: float) -> Step:
    """Judge on."""
    if state.suspended_since is None:
        return state, ()
    note = Note(now, "resumed", "scaled up from 0 replicas: judged on")
    return replace(state, suspended_since=None), (note, Save())
