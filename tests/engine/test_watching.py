"""A promoted release in the engine: looked after, told when it fails late, undone if asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from guard.core.errors import TemporaryError
from guard.core.notices import Stage as NoticeStage
from guard.core.policy import OnLateFail
from guard.core.states import Phase
from tests.engine.cluster import Traffic

if TYPE_CHECKING:
    from tests.engine.cluster import Deployment
    from tests.engine.stage import Stage

pytestmark = pytest.mark.looptime

LATE = Traffic(errors=0.3, since=300.0)
"""Good for 5 minutes, then bad."""


@pytest.fixture
async def auth(stage: Stage) -> Deployment:
    stage.policy(watch=1800.0)
    return stage.cluster.create_serving()


async def test_a_promoted_release_is_known_good_and_watched_until_its_time_is_over(
    stage: Stage, auth: Deployment
) -> None:
    async with stage.guarding():
        auth.apply("better")
        await stage.reaches(Phase.WATCHING)
        assert stage.memory().known_good.revision.content == "content-better"
        after = await stage.reaches(Phase.PROMOTED, 2000.0)
    assert after == pytest.approx(1800.0, abs=20.0)
    assert stage.channel.reasons == ["RolloutBegan", "Promoted", "Watched"]


async def test_a_late_regression_is_told_within_half_a_minute_and_nothing_is_changed(
    stage: Stage, auth: Deployment
) -> None:
    stage.cluster.traffic["better"] = LATE
    async with stage.guarding():
        auth.apply("better")
        await stage.reaches(Phase.WATCHING)
        await stage.until(lambda: stage.channel.of("LateFail"), 400.0)
        at, notice = stage.channel.got[-1]
        assert at - auth.snapshot().pods[0].ready_at < 330.0
        await asyncio.sleep(60.0)
    assert "min ago, and is serving: nothing was changed" in notice.title
    assert "times as fast as it lasts" in notice.body
    assert len(stage.channel.of("LateFail")) == 1
    assert stage.cluster.named("rollback") == []
    assert stage.phase() is Phase.WATCHING


async def test_trouble_that_passes_is_resolved(stage: Stage, auth: Deployment) -> None:
    stage.cluster.traffic["better"] = Traffic(errors=0.3, since=300.0, lasts=60.0)
    async with stage.guarding():
        auth.apply("better")
        await stage.reaches(Phase.WATCHING)
        await stage.until(lambda: stage.channel.of("LateFail"), 400.0)
        await stage.reaches(Phase.PROMOTED, 4000.0)
    (over,) = stage.channel.of("LateFailOver")
    assert over.stage is NoticeStage.RESOLVED
    assert stage.channel.open_stories() == set()


async def test_where_the_policy_asks_it_goes_back_to_what_was_known_good_before(
    stage: Stage, auth: Deployment
) -> None:
    stage.policy(watch=1800.0, on_late_fail=OnLateFail.ROLLBACK)
    stage.cluster.traffic["better"] = LATE
    async with stage.guarding():
        auth.apply("better")
        await stage.reaches(Phase.WATCHING)
        await stage.reaches(Phase.ROLLED_BACK)
        assert auth.current.content == "content-good"
        memory = stage.memory()
        assert memory.known_good.revision.content == "content-good"
        assert memory.rolled_back == ("content-better",)
        await asyncio.sleep(60.0)
        assert len(stage.records()) == 1, "the old revision in force again is no new rollout"
    assert stage.channel.reasons == ["RolloutBegan", "Promoted", "RollingBack", "RolledBack"]


async def test_a_newer_release_ends_the_watch_as_promoted(stage: Stage, auth: Deployment) -> None:
    async with stage.guarding():
        auth.apply("better")
        await stage.reaches(Phase.WATCHING)
        auth.apply("best")
        await stage.until(lambda: len(stage.records()) == 2)
        older, newer = stage.records()
    assert older.state.phase is Phase.PROMOTED
    assert older.state.text == "its watch ended: a newer release, best, took its place"
    assert newer.state.case.stable.revision.content == "content-better"


async def test_a_guard_that_is_killed_goes_on_watching_where_it_stood(
    stage: Stage, auth: Deployment
) -> None:
    stage.cluster.traffic["better"] = LATE
    guard = stage.start()
    await asyncio.sleep(1.0)
    auth.apply("better")
    await stage.reaches(Phase.WATCHING)
    await guard.kill()
    async with stage.guarding():
        await stage.until(lambda: stage.channel.of("LateFail"), 400.0)
    assert len(stage.records()) == 1
    assert len(stage.channel.of("Promoted")) == 1


async def test_a_trust_that_did_not_work_at_the_promotion_is_made_up_for_while_it_is_watched(
    stage: Stage, auth: Deployment
) -> None:
    async with stage.guarding() as guard:
        auth.apply("better")
        await stage.until(lambda: stage.phase() is Phase.BAKING)
        guard.connection.fail["keep"] = TemporaryError("away")
        await stage.reaches(Phase.WATCHING)
        assert stage.memory().known_good.revision.content == "content-good"
        del guard.connection.fail["keep"]
        await stage.until(
            lambda: stage.memory().known_good.revision.content == "content-better", 60.0
        )
        assert stage.phase() is Phase.WATCHING
