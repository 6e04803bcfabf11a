"""Work that must not die."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from guard.engine.metrics import Metrics
from guard.engine.tasks import described, persist

pytestmark = pytest.mark.looptime


async def test_work_begins_again_ever_more_slowly_and_tells_how_often_it_failed() -> None:
    loop = asyncio.get_running_loop()
    began: list[float] = []
    failures: list[int] = []

    async def work() -> str:
        began.append(loop.time())
        if len(began) < 9:
            message = "broken"
            raise ValueError(message)
        return "done"

    assert await persist("work", work, Metrics("test"), failures.append) == "done"
    gaps = [later - sooner for sooner, later in itertools.pairwise(began)]
    assert gaps == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert failures == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_a_failure_after_sound_work_counts_as_the_first_one() -> None:
    loop = asyncio.get_running_loop()
    ended: list[float] = []
    began: list[float] = []
    failures: list[int] = []

    async def work() -> None:
        began.append(loop.time())
        await asyncio.sleep(120.0 if len(began) == 3 else 0.0)
        if len(began) == 5:
            return
        ended.append(loop.time())
        message = "broken"
        raise ValueError(message)

    await persist("work", work, Metrics("test"), failures.append)
    assert failures == [1, 2, 1, 2]
    pauses = [again - end for end, again in zip(ended, began[1:], strict=True)]
    assert pauses == [1.0, 2.0, 1.0, 2.0]


async def test_cancellation_passes_through_work_and_pause() -> None:
    async def fails() -> None:
        message = "broken"
        raise ValueError(message)

    for work in (asyncio.Event().wait, fails):
        task = asyncio.create_task(persist("work", work, Metrics("test")))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_defect_is_described_without_its_cause_and_with_all_its_parts() -> None:
    def inner() -> None:
        try:
            {}["a-secret-in-a-cause"]
        except KeyError as error:
            message = "what the guard may show"
            raise RuntimeError(message) from error

    async def fails() -> None:
        inner()

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())
    except ExceptionGroup as error:
        lines = described(error)
    assert any(line.endswith(" in inner") for line in lines)
    assert "RuntimeError: what the guard may show" in lines
    assert "a-secret-in-a-cause" not in "\n".join(lines)
