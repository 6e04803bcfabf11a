"""Delivery: every notice to every channel, each channel for itself."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from guard.core.errors import PermanentError, TemporaryError
from guard.core.notices import Notice, Severity, Stage
from guard.engine.deliver import GIVE_UP_AFTER, WAITING_AT_MOST, Deliverer
from guard.engine.metrics import Metrics
from tests.engine.cluster import AUTH, EPOCH
from tests.engine.stage import Channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.looptime

AWAY = TemporaryError("503")


def notice(title: str) -> Notice:
    return Notice("key", Stage.INFORMED, Severity.INFO, "Reason", title, AUTH, "rollout", EPOCH)


class Post:
    """A deliverer at work, and its metrics."""

    def __init__(self, *channels: Channel) -> None:
        self.metrics = Metrics("test")
        self.deliver = Deliverer(channels, self.metrics)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[Post]:
        task = asyncio.create_task(self.deliver.run())
        yield self
        task.cancel()
        await asyncio.wait([task])

    def count(self, channel: str, result: str) -> float:
        labels = {"channel": channel, "result": result}
        value = self.metrics.registry.get_sample_value("guard_notices_total", labels)
        assert value is not None
        return value


async def test_every_label_set_of_a_channel_exists_from_the_start() -> None:
    post = Post(Channel("a"))
    assert [post.count("a", one) for one in ("sent", "retried", "dropped")] == [0.0, 0.0, 0.0]


async def test_notices_arrive_in_their_order_at_every_channel() -> None:
    one, other = Channel("one"), Channel("other")
    async with Post(one, other).working() as post:
        for title in "abc":
            post.deliver.tell(notice(title))
        await asyncio.sleep(0.1)
    assert one.titles == other.titles == ["a", "b", "c"]
    assert post.count("one", "sent") == 3.0


async def test_a_hanging_channel_delays_no_other_one_and_is_given_up() -> None:
    dead, alive = Channel("dead"), Channel("alive")
    dead.hang = True
    async with Post(dead, alive).working() as post:
        post.deliver.tell(notice("a"))
        post.deliver.tell(notice("b"))
        await asyncio.sleep(0.01)
        assert alive.titles == ["a", "b"]
        await asyncio.sleep(2 * GIVE_UP_AFTER + 100.0)
        assert post.count("dead", "dropped") == 2.0
        dead.hang = False
        post.deliver.tell(notice("c"))
        await asyncio.sleep(0.1)
    assert dead.titles == ["c"]


async def test_a_temporary_failure_is_retried_with_growing_jittered_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[float, float]] = []

    def longest(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    monkeypatch.setattr("random.uniform", longest)
    channel = Channel("a")
    channel.fail = [AWAY] * 8
    async with Post(channel).working() as post:
        post.deliver.tell(notice("a"))
        await asyncio.sleep(120.0)
    assert asked == [(0.0, high) for high in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)]
    assert channel.titles == ["a"]
    assert post.count("a", "retried") == 8.0


async def test_a_notice_that_fails_for_too_long_is_dropped_and_the_next_one_tried() -> None:
    channel = Channel("a")
    channel.failing = AWAY
    async with Post(channel).working() as post:
        post.deliver.tell(notice("a"))
        await asyncio.sleep(GIVE_UP_AFTER - 40.0)
        assert post.count("a", "dropped") == 0.0
        await asyncio.sleep(41.0)
        assert post.count("a", "dropped") == 1.0
        channel.failing = None
        post.deliver.tell(notice("b"))
        await asyncio.sleep(1.0)
    assert channel.titles == ["b"]


async def test_a_permanent_failure_is_dropped_at_once() -> None:
    channel = Channel("a")
    channel.fail = [PermanentError("too large")]
    async with Post(channel).working() as post:
        post.deliver.tell(notice("a"))
        post.deliver.tell(notice("b"))
        await asyncio.sleep(0.1)
        assert post.count("a", "dropped") == 1.0
    assert channel.tries == 2
    assert channel.titles == ["b"]


async def test_a_defect_in_a_channel_costs_one_notice_and_no_other_channel() -> None:
    broken, sound = Channel("broken"), Channel("sound")
    broken.fail = [RuntimeError("a defect")]
    async with Post(broken, sound).working() as post:
        for title in "abc":
            post.deliver.tell(notice(title))
        await asyncio.sleep(2.0)
        assert post.count("broken", "dropped") == 1.0
        assert post.metrics.registry.get_sample_value("guard_task_crashes_total") == 1.0
    assert sound.titles == ["a", "b", "c"]
    assert broken.titles == ["b", "c"]


async def test_a_channel_too_far_behind_loses_the_newest_loudly() -> None:
    dead = Channel("dead")
    dead.hang = True
    async with Post(dead).working() as post:
        for number in range(WAITING_AT_MOST + 5):
            post.deliver.tell(notice(str(number)))
        assert post.count("dead", "dropped") == 5.0


async def test_draining_waits_for_what_is_queued_and_no_longer_than_told() -> None:
    loop = asyncio.get_running_loop()
    slow, dead = Channel("slow"), Channel("dead")
    slow.fail = [AWAY]
    dead.hang = True
    async with Post(slow, dead).working() as post:
        for title in "ab":
            post.deliver.tell(notice(title))
        began = loop.time()
        await post.deliver.drain(1.0)
        assert loop.time() - began == pytest.approx(1.0)
        assert slow.titles == ["a", "b"]
        assert post.count("dead", "dropped") == 1.0
    # The one that was being sent is lost too, and said.
    assert post.count("dead", "dropped") == 2.0


async def test_draining_without_channels_returns_at_once() -> None:
    await Post().deliver.drain(1.0)
    assert asyncio.get_running_loop().time() == 0.0
