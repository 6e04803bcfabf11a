"""Users send at a fixed rate, to ready pods only, and remember every answer."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from guard.platforms.local import users as module
from guard.platforms.local.users import Answer, Users

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest
    from conftest import Shop

    from guard.core.workloads import Snapshot

RATE = 200.0


@asynccontextmanager
async def sending(users: Users) -> AsyncIterator[None]:
    task = asyncio.create_task(users.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def answers(users: Users, number: int) -> list[Answer]:
    """Let them send until so many answers are there."""
    async with sending(users), asyncio.timeout(10):
        while len(users.answers) < number:  # noqa: ASYNC110 - answers come without an event
            await asyncio.sleep(0.01)
    return users.answers


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take a request and say nothing until the user goes away."""
    while await reader.read(1024):
        pass
    writer.close()


async def test_each_request_goes_to_the_next_ready_pod(shop: Shop, serving: Snapshot) -> None:
    got = await answers(Users(lambda: shop.ports, RATE), 20)
    assert not any(answer.failed for answer in got)
    assert {answer.revision for answer in got} == {serving.current.hash}
    counts = [pod._server._requests for pod in shop.local._workloads[shop.id]._pods]
    served = [next(iter(counter.collect())).samples[0].value for counter in counts]
    # The kubelet's probes are the same for both.
    assert abs(served[0] - served[1]) <= 1


async def test_an_update_and_its_undo_cost_users_nothing_where_every_answer_is_good(
    shop: Shop, serving: Snapshot
) -> None:
    users = Users(lambda: shop.ports, RATE)
    newer = replace(shop.good, image="shop:1b")
    async with sending(users):
        for template in (newer, shop.good):
            shop.apply(template)
            await shop.until(lambda s: s.complete and len(s.pods) == 2)
    assert not [answer for answer in users.answers if answer.failed]
    assert {answer.revision for answer in users.answers} == {serving.current.hash, newer.hash}


async def test_failing_answers_are_counted_with_who_gave_them(shop: Shop) -> None:
    shop.apply(replace(shop.bad, error_ratio=1.0), replicas=1)
    snapshot = await shop.until(lambda s: s.complete)
    got = await answers(Users(lambda: shop.ports, RATE), 5)
    assert all(answer.failed and answer.revision == snapshot.current.hash for answer in got)


async def test_no_ready_pod_no_listener_and_silence_are_failures_without_a_revision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    async with server:
        for ports in ([], [1], [port]):
            got = await answers(Users(ports.copy, RATE), 2)
            assert all(answer.failed and not answer.revision for answer in got)
            assert all(answer.at >= answer.sent_at for answer in got)


def test_answers_are_chosen_by_when_their_request_left() -> None:
    users = Users(list, RATE)
    users.answers = [Answer(at, at + 1.0, failed=False) for at in (1.0, 2.0, 3.0)]
    assert [answer.sent_at for answer in users.since(2.0)] == [2.0, 3.0]
    assert [answer.sent_at for answer in users.since(1.0, 3.0)] == [1.0, 2.0]
