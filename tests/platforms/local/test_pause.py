"""A local workload is held at its first pod as a Deployment is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from guard.core.actions import OutcomeKind, PauseIntent

if TYPE_CHECKING:
    from conftest import Shop

    from guard.core.workloads import Snapshot
    from guard.platforms.local.platform import Local


def intent(seen: Snapshot) -> PauseIntent:
    return PauseIntent(seen.workload, seen.uid, seen.current, seen.at)


def sides(seen: Snapshot) -> tuple[int, int]:
    """Ready pods of the current revision, and of all others."""
    mine = seen.ready(frozenset({seen.current.hash}))
    return mine, seen.ready(frozenset({pod.revision for pod in seen.pods})) - mine


async def test_a_release_is_held_beside_all_it_replaces_and_then_let_go(
    local: Local, shop: Shop, serving: Snapshot, released: Snapshot
) -> None:
    held = await local.pause(intent(released))
    assert held.kind is OutcomeKind.PATCHED
    assert (await local.pause(intent(released))).kind is OutcomeKind.ALREADY
    seen = await shop.until(lambda one: sides(one) == (1, 2))
    assert seen.due(frozenset({seen.current.hash})) == 1
    assert seen.pause is not None
    assert not seen.complete
    assert (await local.resume(intent(released))).kind is OutcomeKind.PATCHED
    done = await shop.until(lambda one: one.complete)
    assert (sides(done), done.pause) == ((2, 0), None)
    assert (await local.resume(intent(released))).kind is OutcomeKind.ALREADY


async def test_a_rollback_ends_the_pause_with_the_release(
    local: Local, shop: Shop, serving: Snapshot, released: Snapshot
) -> None:
    assert await local.pause(intent(released))
    await shop.until(lambda one: sides(one) == (1, 2))
    outcome = await local.rollback(shop.intent(serving, released))
    assert outcome.kind is OutcomeKind.PATCHED, outcome.detail
    done = await shop.until(lambda one: one.complete)
    assert (done.current.hash, done.pause) == (serving.current.hash, None)


async def test_another_template_is_neither_held_nor_let_go(
    local: Local, serving: Snapshot, released: Snapshot
) -> None:
    for stale in (intent(serving), replace(intent(released), uid="another")):
        assert (await local.pause(stale)).kind is OutcomeKind.SUPERSEDED
        assert (await local.resume(stale)).kind is OutcomeKind.SUPERSEDED
