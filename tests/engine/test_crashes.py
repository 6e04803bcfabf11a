"""Law 6: a crash at any point leads, after restart, to the same end and to no second action."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.core.errors import TemporaryError
from guard.core.states import Phase
from tests.engine.stage import Stage, saved_intents

pytestmark = pytest.mark.looptime

CALLS = {"load": 1, "rights": 1, "keep": 1, "rehearse": 1, "rollback": 1, "save": 7}
"""How often one guard makes each call in the scenario below; a test holds it to the truth."""
POINTS = [
    (name, number, when)
    for name, times in CALLS.items()
    for number in range(1, times + 1)
    for when in ("before", "after")
]


@dataclass(frozen=True)
class Death:
    """When a guard ends and how long nobody guards afterwards, in seconds."""

    point: tuple[str, int, str]
    signal: str = "kill"
    away: float = 0.5


async def bad_release(stage: Stage, *deaths: Death, known: bool = False) -> None:
    """A release with half its requests failing, guarded by guards that die one after another.

    `known`: an earlier guard saw what is known good; else the first of these guards must.
    """
    auth = stage.cluster.create_serving(drain_after=8.0)
    stage.errors("bad", 0.5, rate=25.0)
    if known:
        async with stage.guarding():
            pass
    stage.loop.call_later(3.0, auth.apply, "bad")
    for death in deaths:
        guard = stage.start(die_at=death.point)
        ended = guard.connection.dead.wait
        if death.signal == "term":
            guard.connection.terminate = guard.task.cancel
            await asyncio.wait([guard.task], timeout=120.0)
        else:
            waiting = asyncio.ensure_future(ended())
            await asyncio.wait([waiting], timeout=120.0)
            waiting.cancel()
        if stage.phase() is Phase.ROLLED_BACK:
            break  # It came to the end without ever making the call it was to die at.
        await guard.kill()
        await asyncio.sleep(death.away)
    async with stage.guarding():
        await stage.reaches(Phase.ROLLED_BACK, within=120.0)


def assert_rolled_back_once(stage: Stage) -> None:
    record = stage.record()
    assert stage.cluster.patches == [f"rollback:{record.id}"]
    assert [one.id for one in stage.records()] == [record.id]
    memory = stage.memory()
    assert memory.rolled_back == ("content-bad",)
    assert len(memory.rollbacks) == 1
    assert memory.known_good.revision.content == "content-good"
    assert stage.channel.of("RolledBack")
    assert stage.channel.open_stories() == set()
    first_try = stage.cluster.named("rollback")[0].at
    assert min(saved_intents(stage.cluster)) < first_try


async def test_the_scenario_makes_the_calls_at_which_the_guards_below_die(stage: Stage) -> None:
    await bad_release(stage)
    made = stage.guards[0].connection.made
    assert dict(made) == CALLS
    assert_rolled_back_once(stage)


@pytest.mark.parametrize("signal", ["kill", "term"])
@pytest.mark.parametrize("point", POINTS, ids=lambda point: "-".join(map(str, point)))
async def test_a_guard_that_dies_at_any_call_leaves_exactly_one_rollback(
    stage: Stage, point: tuple[str, int, str], signal: str
) -> None:
    await bad_release(stage, Death(point, signal))
    assert_rolled_back_once(stage)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    deaths=st.lists(
        st.builds(
            Death,
            st.sampled_from([point for point in POINTS if point[0] != "keep"]),
            st.sampled_from(["kill", "term"]),
            st.sampled_from([0.1, 2.0, 20.0]),
        ),
        min_size=2,
        max_size=3,
    )
)
async def test_guards_that_die_one_after_another_leave_exactly_one_rollback(
    deaths: list[Death],
) -> None:
    stage = Stage()
    try:
        await bad_release(stage, *deaths, known=True)
        assert_rolled_back_once(stage)
    finally:
        for guard in stage.guards:
            await guard.kill()


async def test_a_guard_that_was_cancelled_acts_no_more(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    guard = stage.start(slow={"save": 1.0})
    await asyncio.sleep(3.0)
    auth.apply("bad")
    await stage.until(lambda: "RollingBack" in stage.channel.reasons)
    await guard.stop()
    calls = len(stage.cluster.calls)
    await asyncio.sleep(60.0)
    assert len(stage.cluster.calls) == calls
    assert stage.cluster.patches == []


async def test_the_next_guard_finishes_what_the_cancelled_one_intended(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    guard = stage.start(fail={"rollback": TemporaryError("the API server is away")})
    await asyncio.sleep(3.0)
    auth.apply("bad")
    await stage.until(lambda: stage.phase() is Phase.ROLLING_BACK)
    await guard.stop()
    assert stage.phase() is Phase.ROLLING_BACK
    async with stage.guarding():
        await stage.reaches(Phase.ROLLED_BACK)
    assert_rolled_back_once(stage)
