"""What ends a rollout from outside, read off the newest snapshot. Nothing here waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.core.states import Deleted, Phase, Superseded, TurnedOff
from guard.core.workloads import Mode

if TYPE_CHECKING:
    from guard.core.actions import KnownGood
    from guard.core.states import Event, State
    from guard.core.workloads import Snapshot


def known_good(state: State) -> KnownGood | None:
    """What the rollout is judged against, and what a decided rollback leads to."""
    return state.intent.known_good if state.intent else state.case.stable


def stable_hashes(state: State, snapshot: Snapshot) -> frozenset[str]:
    """The platform's hashes of the stable side: the known-good template under all its names."""
    good = known_good(state)
    if good is None:
        return frozenset()
    alike = snapshot.hashes_of(good.revision)
    return (alike | {good.revision.hash}) - {state.case.candidate.hash}


def is_back(state: State, snapshot: Snapshot) -> bool:
    """Whether the known-good template is in force."""
    good = known_good(state)
    return good is not None and snapshot.current.same_as(good.revision)


def moved_on(state: State, snapshot: Snapshot) -> Superseded | None:
    """Whether another template than the candidate's is in force."""
    current, candidate = snapshot.current, state.case.candidate
    if (current.hash, current.number) == (candidate.hash, candidate.number):
        return None
    if is_back(state, snapshot):
        return Superseded(f"a person put {current.hash} back, the known-good revision")
    return Superseded(f"a newer release, {current.hash}, took its place")


def ended(state: State, snapshot: Snapshot, mode: Mode) -> Event | None:
    """What ended the rollout from outside, if anything did.

    Args:
        state: where the rollout stands.
        snapshot: the newest one.
        mode: what the guard may do to the workload now.
    """
    if snapshot.uid != state.case.uid:
        return Deleted()
    if mode is Mode.OFF:
        return TurnedOff()
    rolling_back = state.phase is Phase.ROLLING_BACK
    if rolling_back and (state.verify_by is None or is_back(state, snapshot)):
        # Before the patch has an outcome, only the platform can tell whose template it is.
        return None
    return moved_on(state, snapshot)
