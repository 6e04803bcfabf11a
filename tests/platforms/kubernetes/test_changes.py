from __future__ import annotations

import asyncio

import pytest

from guard.platforms.kubernetes.changes import GAP, Changes

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_the_first_change_is_seen_at_once() -> None:
    changes = Changes[str]()
    began = now()

    changes.mark("cart")

    assert await changes.next() == "cart"
    assert now() == began


async def test_a_burst_is_one_look_more() -> None:
    changes = Changes[str]()
    changes.mark("cart")
    await changes.next()
    began = now()
    for _ in range(10):
        changes.mark("cart")

    assert await changes.next() == "cart"
    assert now() - began == pytest.approx(GAP)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(changes.next(), 10.0)


async def test_one_that_waits_for_its_turn_holds_no_other_up() -> None:
    changes = Changes[str]()
    changes.mark("cart")
    await changes.next()
    began = now()
    changes.mark("cart")
    changes.mark("auth")

    assert await changes.next() == "auth"
    assert now() == began
    assert await changes.next() == "cart"


async def test_a_change_wakes_whoever_waits() -> None:
    changes = Changes[str]()
    waiting = asyncio.create_task(changes.next())
    await asyncio.sleep(5.0)

    changes.mark("cart")

    assert await waiting == "cart"


async def test_what_is_gone_leaves_nothing_behind() -> None:
    changes = Changes[str]()
    changes.mark("cart")
    await changes.next()

    changes.forget("cart")
    changes.forget("never seen")

    assert not changes._looked


async def test_an_end_wakes_whoever_waits() -> None:
    changes = Changes[str]()
    waiting = asyncio.create_task(changes.next())
    await asyncio.sleep(0)

    changes.end()

    assert await waiting is None
    assert await changes.next() is None


async def test_a_source_that_failed_is_told() -> None:
    changes = Changes[str]()

    async def fail() -> None:
        text = "a defect"
        raise ArithmeticError(text)

    source = asyncio.create_task(fail())
    source.add_done_callback(changes.end)

    with pytest.raises(ArithmeticError):
        await changes.next()


async def test_a_source_that_was_cancelled_is_an_end() -> None:
    changes = Changes[str]()
    source = asyncio.create_task(asyncio.sleep(60.0))
    source.add_done_callback(changes.end)
    await asyncio.sleep(0)
    source.cancel()

    assert await changes.next() is None
