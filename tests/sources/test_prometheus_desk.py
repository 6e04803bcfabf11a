"""All rollouts that look at one metric ask together, and nobody waits for a server that hangs."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from guard.core.samples import Unavailable, UnavailableReason
from guard.sources.prometheus_desk import FRESH_AT_MOST, GATHER, REMEMBERED, Desk
from guard.sources.prometheus_queries import question
from tests.sources.prometheus_world import SLI, Scripted, named, pod, series

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from guard.core.workloads import Pod
    from guard.sources.prometheus_answers import Series

pytestmark = pytest.mark.looptime(start=1_000)

INTERVAL = 15.0
LATER = FRESH_AT_MOST + 0.001
TIMEOUT = Unavailable(UnavailableReason.TIMEOUT, "no answer in time")
TOO_LARGE = Unavailable(UnavailableReason.TOO_LARGE, "too large")
REFUSED = Unavailable(UnavailableReason.REFUSED, "no connection")

Answer = "tuple[Series, ...] | Unavailable"


def by_name(query: str) -> tuple[Series, ...]:
    """Every pod that is asked for by name has its counter."""
    return tuple(
        series("http_requests_total", (1.0, 1.0), namespace="shop", pod=name)
        for name in sorted(named(query, "pod"))
    )


class Slow(Scripted):
    """A client that takes its time."""

    def __init__(self, answer: Callable[[str], Answer], seconds: float) -> None:
        super().__init__(answer)
        self.seconds = seconds
        self.under_way = 0
        self.most_under_way = 0

    async def matrix(self, query: str) -> Answer:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(min(self.seconds, self.limit))
        self.under_way -= 1
        answer = await super().matrix(query)
        return TIMEOUT if self.seconds > self.limit else answer


def desk_of(client: Scripted, interval: float = INTERVAL) -> Desk:
    return Desk(question(SLI), client, 37.5, interval)  # type: ignore[arg-type]  # a double


def pods(count: int, prefix: str = "shop") -> list[Pod]:
    return [pod(f"{prefix}-{n}", address=f"10.0.{n}.1") for n in range(count)]


async def took(what: Awaitable[object]) -> float:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await what
    return loop.time() - begin


async def test_all_who_ask_at_one_moment_share_one_query_by_name_and_one_by_address() -> None:
    client = Scripted(by_name)
    desk = desk_of(client)
    rollouts = [pods(4, f"service-{number}") for number in range(50)]
    answers = await asyncio.gather(*(desk.ask(rollout) for rollout in rollouts))
    assert len(client.queries) == 2
    for rollout, answer in zip(rollouts, answers, strict=True):
        for one in rollout:
            (found,) = answer[one.uid]  # type: ignore[misc]  # series
            assert found.labels["pod"] == one.name
    # From now on it is known that they are found by name.
    await asyncio.sleep(LATER)
    await asyncio.gather(*(desk.ask(rollout) for rollout in rollouts))
    assert len(client.queries) == 3


async def test_rollouts_out_of_step_share_queries_too() -> None:
    client = Scripted(by_name)
    desk = desk_of(client)

    async def rollout(number: int) -> None:
        mine = pods(4, f"service-{number}")
        await asyncio.sleep(random.Random(number).uniform(0.0, 5.0))
        for _ in range(20):
            found = await desk.ask(mine)
            assert all(one.uid in found for one in mine)
            await asyncio.sleep(0.5)

    seconds = await took(asyncio.gather(*(rollout(number) for number in range(50))))
    # Each of the first rounds has a newcomer, who cannot wait; after that one a second will do.
    assert len(client.queries) < 2 * 50 + 2 * seconds


async def test_an_answer_is_used_again_while_it_is_fresh() -> None:
    client = Scripted(by_name)
    desk = desk_of(client)
    await desk.ask(pods(2))
    assert await took(desk.ask(pods(1))) == 0.0
    assert len(client.queries) == 2
    await asyncio.sleep(LATER)
    assert await took(desk.ask(pods(1))) == pytest.approx(GATHER)
    assert len(client.queries) == 3


async def test_at_most_one_batch_is_under_way_and_who_comes_meanwhile_shares_the_next() -> None:
    client = Slow(by_name, 1.0)
    desk = desk_of(client, interval=1.0)

    async def come(after: float, name: str) -> float:
        await asyncio.sleep(after)
        return await took(desk.ask(pods(1, name)))

    waited = await asyncio.gather(come(0.0, "a"), come(0.1, "b"), come(0.5, "c"), come(0.9, "d"))
    # Two queries each: by name and by address.
    assert client.most_under_way == 2
    assert len(client.queries) == 4
    assert waited == pytest.approx([1.02, 1.92, 1.52, 1.12])


async def test_a_server_that_hangs_costs_the_first_a_time_out_and_the_others_nothing() -> None:
    client = Slow(by_name, 60.0)
    desk = desk_of(client)
    mine = pods(1)
    assert await took(desk.ask(mine)) == pytest.approx(GATHER + client.limit)
    for _ in range(20):
        assert await took(desk.ask(mine)) == 0.0
        assert (await desk.ask(mine))[mine[0].uid] == TIMEOUT
        await asyncio.sleep(0.5)
    assert client.most_under_way <= 2
    client.seconds = 0.1
    await asyncio.sleep(client.limit + 1.0)
    await desk.ask(mine)
    await asyncio.sleep(LATER)
    assert isinstance((await desk.ask(mine))[mine[0].uid], tuple)


async def test_who_comes_behind_a_batch_that_hangs_waits_no_longer_than_for_a_question() -> None:
    client = Slow(by_name, 60.0)
    desk = desk_of(client)
    first = asyncio.create_task(took(desk.ask(pods(1, "a"))))
    await asyncio.sleep(4.0)
    late = pods(1, "b")
    found = desk.ask(late)
    assert await took(found) <= GATHER + client.limit
    assert await first == pytest.approx(GATHER + client.limit)
    await desk.close()


async def test_an_answer_that_is_too_large_is_asked_for_in_halves() -> None:
    def answer(query: str) -> Answer:
        return TOO_LARGE if len(named(query, "pod")) > 3 else by_name(query)

    client = Scripted(answer)
    desk = desk_of(client)
    mine = pods(10)
    found = await desk.ask(mine)
    assert all(isinstance(found[one.uid], tuple) and found[one.uid] for one in mine)
    before = len(client.queries)
    await asyncio.sleep(LATER)
    await desk.ask(mine)
    # It is remembered: no query is too large any more.
    sizes = [len(named(query, "pod")) for query in client.queries[before:]]
    assert sum(sizes) == len(mine)
    assert max(sizes) <= 3


async def test_a_pod_that_alone_is_too_large_says_so() -> None:
    desk = desk_of(Scripted(lambda _: TOO_LARGE))
    (mine,) = pods(1)
    assert (await desk.ask([mine]))[mine.uid] == TOO_LARGE


async def test_a_query_that_fails_fails_for_its_own_pods_alone() -> None:
    client = Scripted(lambda query: REFUSED if "shop-0" in query else by_name(query), room=220)
    desk = desk_of(client)
    mine = pods(12)
    found = await desk.ask(mine)
    assert found["uid-shop-0"] == REFUSED
    with_it = next(named(query, "pod") for query in client.queries if "shop-0" in query)
    failed = {one.name for one in mine if found[one.uid] == REFUSED}
    assert failed == with_it != {one.name for one in mine}


async def test_pods_that_are_found_by_address_are_asked_for_by_address_alone() -> None:
    def answer(query: str) -> Answer:
        if "instance=" not in query:
            return ()
        return (series("http_requests_total", (1.0, 1.0), instance="10.0.0.1:8080"),)

    client = Scripted(answer)
    desk = desk_of(client)
    mine = pods(1)
    for queries in (2, 3, 4):
        (found,) = (await desk.ask(mine))[mine[0].uid]  # type: ignore[misc]  # series
        assert found.labels["instance"] == "10.0.0.1:8080"
        assert len(client.queries) == queries
        await asyncio.sleep(LATER)
    # Relabelled meanwhile: it is looked for in both ways again.
    client.answer = lambda _: ()
    for queries in (5, 7):
        assert (await desk.ask(mine))[mine[0].uid] == ()
        assert len(client.queries) == queries
        await asyncio.sleep(LATER)


async def test_a_target_without_the_counter_is_told_by_what_else_it_has() -> None:
    up = series("up", (1.0, 1.0), namespace="shop", pod="shop-0")
    desk = desk_of(Scripted(lambda query: () if "instance=" in query else (up,)))
    mine = pods(1)
    assert (await desk.ask(mine))[mine[0].uid] == (up,)


async def test_pods_that_nobody_asks_about_any_more_are_forgotten() -> None:
    client = Scripted(by_name)
    desk = desk_of(client)
    await desk.ask(pods(2, "old"))
    assert not desk.idle
    await asyncio.sleep(REMEMBERED - 1.0)
    await desk.ask(pods(1, "new"))
    assert "old-1" in client.queries[-2]
    await asyncio.sleep(2.0)
    await desk.ask(pods(1, "new"))
    assert "old-1" not in client.queries[-1]
    await asyncio.sleep(REMEMBERED + 1.0)
    assert desk.idle


async def test_one_who_stops_waiting_takes_the_answer_from_nobody() -> None:
    client = Slow(by_name, 1.0)
    desk = desk_of(client)
    mine = pods(1)
    leaving = asyncio.create_task(desk.ask(mine))
    staying = asyncio.create_task(desk.ask(mine))
    await asyncio.sleep(0.5)
    leaving.cancel()
    assert mine[0].uid in await staying
    assert len(client.queries) == 2


async def test_closing_ends_what_is_under_way() -> None:
    client = Slow(by_name, 60.0)
    desk = desk_of(client)
    asking = asyncio.create_task(desk.ask(pods(1)))
    await asyncio.sleep(1.0)
    await desk.close()
    await desk.close()
    with pytest.raises(asyncio.CancelledError):
        await asking
