"""The local platform keeps the contract of `engine.ports.Platform`."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from guard.core.actions import OutcomeKind
from guard.core.workloads import Gone, WorkloadId
from guard.platforms.local.platform import Local
from guard.platforms.local.store import Store
from guard.platforms.local.workload import Labels

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Shop

    from guard.core.workloads import Snapshot
    from guard.engine.ports import Platform

OTHER = WorkloadId("local", "shop", "other")


async def test_it_is_a_platform(local: Local) -> None:
    platform: Platform = local
    assert platform.name == "local"


# Watching.


async def test_a_watch_begins_with_every_followed_workload_and_shows_no_other(
    shop: Shop, serving: Snapshot
) -> None:
    shop.local.apply(OTHER, shop.good)
    seen = {serving.workload}
    async with asyncio.timeout(5), aclosing(shop.local.watch()) as watch:
        async for item in watch:
            seen.add(item.workload)
            if not isinstance(item, Gone) and item.replicas == 3:
                break
            shop.apply(shop.good, replicas=3)
    assert seen == {shop.id}


async def test_two_watches_each_see_the_whole_truth(shop: Shop, serving: Snapshot) -> None:
    first, second = await asyncio.gather(
        shop.until(lambda s: s.complete), shop.until(lambda s: s.complete)
    )
    assert first.current == second.current == serving.current


async def test_a_workload_that_opts_in_by_label_comes_by_itself(shop: Shop) -> None:
    shop.local.apply(OTHER, shop.good)
    shop.local.label(OTHER, Labels(opted_in=True))
    async with asyncio.timeout(5), aclosing(shop.local.watch()) as watch:
        assert (await anext(watch)).workload == OTHER


async def test_a_workload_that_is_followed_no_longer_is_shown_so_that_the_guard_leaves_it(
    shop: Shop, serving: Snapshot
) -> None:
    async with asyncio.timeout(5), aclosing(shop.local.watch()) as watch:
        assert (await anext(watch)).workload == serving.workload
        shop.local.follow(frozenset())
        assert (await anext(watch)).workload == serving.workload


async def test_a_deletion_is_told_once(shop: Shop, serving: Snapshot) -> None:
    async with asyncio.timeout(5), aclosing(shop.local.watch()) as watch:
        assert (await anext(watch)).workload == serving.workload
        shop.delete()
        assert isinstance(await anext(watch), Gone)
        # The pods go on draining, which is no news of a workload that is gone.
        await asyncio.wait(shop.local._tasks)
        anew = shop.apply(shop.good)
        item = await anext(watch)
    assert not isinstance(item, Gone)
    assert item.uid == anew.uid


# Rolling back.


async def test_a_rollback_puts_the_kept_template_back_and_says_whose_it_is(
    shop: Shop, serving: Snapshot, released: Snapshot
) -> None:
    outcome = await shop.local.rollback(shop.intent(serving, released))
    assert outcome.kind is OutcomeKind.PATCHED
    back = await shop.until(lambda s: s.complete)
    assert back.current.content == serving.current.content
    assert back.change_cause == "guard rolled it back"


async def test_the_same_intent_a_second_time_does_nothing_and_is_known_as_the_guards_own(
    shop: Shop, serving: Snapshot, released: Snapshot
) -> None:
    intent = shop.intent(serving, released)
    await shop.local.rollback(intent)
    generation = shop.now.generation
    outcome = await shop.local.rollback(intent)
    assert (outcome.kind, outcome.by_guard) == (OutcomeKind.ALREADY, True)
    assert shop.now.generation == generation


async def test_what_a_person_put_back_first_is_theirs(
    shop: Shop, serving: Snapshot, released: Snapshot
) -> None:
    shop.apply(shop.good)
    outcome = await shop.local.rollback(shop.intent(serving, released))
    assert (outcome.kind, outcome.by_guard) == (OutcomeKind.ALREADY, False)


async def test_what_another_intent_put_back_is_not_this_ones(
    shop: Shop, serving: Snapshot, released: Snapshot
) -> None:
    await shop.local.rollback(shop.intent(serving, released, "rollback:before"))
    outcome = await shop.local.rollback(shop.intent(serving, released))
    assert (outcome.kind, outcome.by_guard) == (OutcomeKind.ALREADY, False)


async def test_a_newer_template_than_the_candidate_is_left_alone(
    shop: Shop, serving: Snapshot, released: Snapshot
) -> None:
    newer = shop.apply(replace(shop.bad, image="shop:3"))
    outcome = await shop.local.rollback(shop.intent(serving, released))
    assert outcome.kind is OutcomeKind.SUPERSEDED
    assert shop.now.current == newer.current


async def test_a_new_object_under_the_old_name_is_left_alone(
    shop: Shop, serving: Snapshot, released: Snapshot
) -> None:
    intent = shop.intent(serving, released)
    shop.delete()
    assert (await shop.local.rollback(intent)).kind is OutcomeKind.SUPERSEDED
    anew = shop.apply(shop.bad)
    assert (await shop.local.rollback(intent)).kind is OutcomeKind.SUPERSEDED
    assert shop.now.current == anew.current


async def test_nothing_kept_is_refused(shop: Shop, serving: Snapshot, released: Snapshot) -> None:
    intent = shop.intent(serving, released)
    strange = replace(serving.current, hash="0000000000", content="elsewhere")
    outcome = await shop.local.rollback(replace(intent, known_good=shop.known_good(strange)))
    assert outcome.kind is OutcomeKind.REFUSED
    assert "0000000000" in outcome.detail
    assert shop.now.current == released.current


async def test_a_kept_template_that_cannot_be_read_is_refused(
    shop: Shop, serving: Snapshot, released: Snapshot
) -> None:
    await shop.local._store.keep(shop.id, serving.uid, serving.current.hash, "{}")
    outcome = await shop.local.rollback(shop.intent(serving, released))
    assert outcome.kind is OutcomeKind.REFUSED


async def test_a_store_that_does_not_answer_is_tried_again_later(
    shop: Shop, serving: Snapshot, released: Snapshot
) -> None:
    intent = shop.intent(serving, released)
    await shop.local._store.close()
    assert (await shop.local.rollback(intent)).kind is OutcomeKind.UNAVAILABLE
    assert (await shop.local.rehearse(intent)).possible is None


async def test_a_rehearsal_says_what_would_come_and_changes_nothing(
    shop: Shop, serving: Snapshot, released: Snapshot
) -> None:
    intent = shop.intent(serving, released)
    rehearsal = await shop.local.rehearse(intent)
    assert rehearsal.possible is True
    assert serving.current.hash in rehearsal.detail
    assert shop.now.current == released.current
    shop.apply(replace(shop.bad, image="shop:3"))
    assert (await shop.local.rehearse(intent)).possible is False


# Keeping.


async def test_only_the_template_in_force_is_kept(
    shop: Shop, serving: Snapshot, released: Snapshot
) -> None:
    assert not await shop.local.keep(released, shop.known_good(serving.current))
    assert await shop.local.keep(released, shop.known_good(released.current))
    shop.delete()
    assert not await shop.local.keep(released, shop.known_good(released.current))


async def test_documents_and_rights_are_of_a_workload_that_there_is(
    shop: Shop, serving: Snapshot
) -> None:
    await shop.local.save(shop.id, serving.uid, {"memory.json": "{}"})
    assert await shop.local.load(shop.id, serving.uid) == {"memory.json": "{}"}
    assert (await shop.local.rights(shop.id)).may_patch
    shop.delete()
    await shop.local.forget(shop.id)
    assert await shop.local.load(shop.id, serving.uid) == {}
    assert not (await shop.local.rights(shop.id)).may_patch


async def test_forgetting_the_old_object_spares_the_new_one_of_its_name(
    shop: Shop, serving: Snapshot
) -> None:
    await shop.local.save(shop.id, serving.uid, {"memory.json": "old"})
    shop.delete()
    anew = shop.apply(shop.good)
    await shop.local.save(shop.id, anew.uid, {"memory.json": "new"})
    await shop.local.forget(shop.id)
    assert await shop.local.load(shop.id, anew.uid) == {"memory.json": "new"}
    assert await shop.local.load(shop.id, serving.uid) == {}


async def test_records_outlive_the_platform_where_it_has_a_file(tmp_path: Path) -> None:
    path = str(tmp_path / "guard.db")
    for expected in ({}, {"memory.json": "{}"}):
        platform = Local(Store(path))
        assert await platform.load(OTHER, "uid") == expected
        await platform.save(OTHER, "uid", {"memory.json": "{}"})
        await platform.close()


# Ending.


async def test_closing_ends_every_watch_and_pod_and_may_be_repeated(
    shop: Shop, serving: Snapshot
) -> None:
    seen = asyncio.Event()

    async def follow() -> None:
        async for _ in shop.local.watch():
            seen.set()

    following = asyncio.create_task(follow())
    await asyncio.wait_for(seen.wait(), 5)
    port = shop.ports[0]
    await shop.local.close()
    await asyncio.wait_for(following, 5)
    await shop.local.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    assert isinstance(shop.local.snapshot(serving.workload), Gone)


async def test_closing_in_the_moment_of_a_release_gives_every_port_back(
    shop: Shop, serving: Snapshot
) -> None:
    shop.apply(shop.bad, replicas=5)
    pods = shop.local._workloads[shop.id]._pods.copy()
    await shop.local.close()
    assert len(pods) >= len(serving.pods)
    assert all(pod._server._socket.fileno() == -1 for pod in pods)
