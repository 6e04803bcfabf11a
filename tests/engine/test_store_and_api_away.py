"""The store or the API server is away: people are told all the same, and nothing acts unwritten."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest

from guard.core.errors import PermanentError, TemporaryError
from guard.core.notices import Severity
from guard.core.policy import OnFail
from guard.core.states import Phase
from guard.core.workloads import Mode
from guard.engine.codec import MEMORY_KEY
from tests.engine.cluster import EPOCH
from tests.engine.stage import saved_intents

if TYPE_CHECKING:
    from tests.engine.cluster import Deployment
    from tests.engine.stage import Guard, Stage

pytestmark = pytest.mark.looptime

AWAY = TemporaryError("the API server does not answer")


def serving(stage: Stage) -> Deployment:
    """A known-good release serves, and a bad one would fail half of its requests."""
    stage.errors("bad", 0.5)
    return stage.cluster.create_serving()


def told_at(stage: Stage, reason: str) -> float:
    return next(at for at, notice in stage.channel.got if notice.reason == reason) - EPOCH


async def test_people_are_told_at_once_and_nothing_is_done_while_the_intent_is_unwritten(
    stage: Stage,
) -> None:
    auth = serving(stage)
    async with stage.guarding() as guard:
        auth.apply("bad")
        await asyncio.sleep(1.5)
        guard.connection.fail["save"] = AWAY
        await stage.until(lambda: stage.channel.of("RollingBack"), within=2.5)
        await asyncio.sleep(20.0)
        assert stage.cluster.named("rollback") == []
        (trouble,) = stage.channel.of("RecordNotWritten")
        assert trouble.severity is Severity.CRITICAL
        assert trouble.body == str(AWAY)
        guard.connection.fail.clear()
        assert await stage.until(lambda: stage.cluster.patches) <= 2.5
        await stage.reaches(Phase.ROLLED_BACK)
    assert saved_intents(stage.cluster)[0] < stage.cluster.named("rollback")[0].at
    assert stage.channel.open_stories() == set()


async def test_a_store_that_refuses_for_good_is_told_once_and_tried_again(stage: Stage) -> None:
    auth = serving(stage)
    async with stage.guarding() as guard:
        guard.connection.fail["save"] = PermanentError("configmaps are forbidden")
        auth.apply("bad")
        await asyncio.sleep(60.0)
        assert stage.cluster.named("rollback") == []
        assert len(stage.channel.of("RecordNotWritten")) == 1
        assert guard.metric("guard_record_write_failures_total") > 3.0
        guard.connection.fail.clear()
        await stage.reaches(Phase.ROLLED_BACK)


async def test_a_store_that_hangs_delays_neither_the_decision_nor_its_notice(stage: Stage) -> None:
    auth = serving(stage)
    async with stage.guarding() as guard:
        auth.apply("bad")
        await asyncio.sleep(0.5)
        guard.connection.hang.add("save")
        await stage.until(lambda: stage.channel.of("RollingBack"), within=3.5)
        await asyncio.sleep(11.0)
        assert stage.channel.of("RecordNotWritten")[0].body == "no answer within 5 s"
        assert stage.cluster.named("rollback") == []


async def test_judging_goes_on_at_its_rhythm_while_the_store_hangs(stage: Stage) -> None:
    auth = serving(stage)
    async with stage.guarding(hang={"save"}):
        auth.apply("better")
        await asyncio.sleep(20.0)
        asked = [at for at, _ in stage.scrape.asked]
    gaps = [later - sooner for sooner, later in itertools.pairwise(asked)]
    assert max(gaps) <= 0.51


async def test_a_store_away_for_a_moment_is_nobodys_concern(stage: Stage) -> None:
    auth = serving(stage)
    async with stage.guarding() as guard:
        auth.apply("better")
        await asyncio.sleep(5.0)
        guard.connection.fail["save"] = AWAY
        await asyncio.sleep(20.0)
        guard.connection.fail.clear()
        await stage.reaches(Phase.PROMOTED)
    assert stage.channel.reasons == ["RolloutBegan", "Promoted"]


async def test_a_store_away_for_long_is_told_though_nothing_waits_for_it(stage: Stage) -> None:
    auth = serving(stage)
    stage.policy(bake=100.0)
    async with stage.guarding() as guard:
        auth.apply("better")
        await asyncio.sleep(5.0)
        guard.connection.fail["save"] = AWAY
        seconds = await stage.until(lambda: stage.channel.of("RecordNotWritten"))
        assert 30.0 <= seconds <= 55.0
        guard.connection.fail.clear()
        await stage.reaches(Phase.PROMOTED)
    assert stage.channel.open_stories() == set()


async def test_an_ended_rollout_is_written_when_the_store_is_back(stage: Stage) -> None:
    auth = serving(stage)
    async with stage.guarding() as guard:
        auth.apply("better")
        await asyncio.sleep(10.0)
        guard.connection.fail["save"] = AWAY
        await stage.until(lambda: stage.channel.of("Promoted"))
        assert stage.phase() is Phase.BAKING
        guard.connection.fail.clear()
        await stage.reaches(Phase.PROMOTED, within=10.0)


async def test_a_rollback_that_finds_no_api_is_tried_until_it_works_and_people_know(
    stage: Stage,
) -> None:
    auth = serving(stage)
    async with stage.guarding() as guard:
        guard.connection.fail["rollback"] = AWAY
        auth.apply("bad")
        await stage.reaches(Phase.ROLLING_BACK)
        await asyncio.sleep(20.0)
        (trouble,) = stage.channel.of("RollbackDelayed")
        delay = told_at(stage, "RollbackDelayed") - told_at(stage, "RollingBack")
        assert delay == pytest.approx(10.0, abs=1.0)
        assert str(AWAY) in trouble.body
        guard.connection.fail.clear()
        assert await stage.until(lambda: stage.cluster.patches) <= 2.1
        await stage.reaches(Phase.ROLLED_BACK)
    assert stage.channel.open_stories() == set()
    outcomes = {k: guard.metric("guard_rollbacks_total", outcome=k) for k in ("patched", "already")}
    assert outcomes == {"patched": 1.0, "already": 0.0}


async def test_a_rollback_that_hangs_is_given_up_and_tried_again(stage: Stage) -> None:
    auth = serving(stage)
    async with stage.guarding() as guard:
        guard.connection.hang.add("rollback")
        auth.apply("bad")
        await stage.reaches(Phase.ROLLING_BACK)
        await asyncio.sleep(61.0)
        assert guard.metric("guard_rollbacks_total", outcome="unavailable") == 1.0
        guard.connection.hang.clear()
        await stage.reaches(Phase.ROLLED_BACK)


async def test_a_rollback_refused_by_an_error_is_a_failed_one(stage: Stage) -> None:
    auth = serving(stage)
    async with stage.guarding(fail={"rollback": PermanentError("an admission policy says no")}):
        auth.apply("bad")
        await stage.reaches(Phase.ROLLBACK_FAILED)
    assert stage.record().state.text == "an admission policy says no"
    assert stage.memory().rolled_back == ()


@pytest.mark.parametrize(
    ("change", "why"),
    [({"mode": Mode.OBSERVE}, "only observe"), ({"paused": True}, "a person paused")],
    ids=["observe", "paused"],
)
async def test_what_people_change_between_decision_and_act_is_obeyed(
    stage: Stage, change: dict[str, object], why: str
) -> None:
    auth = serving(stage)
    async with stage.guarding() as guard:
        guard.connection.fail["rollback"] = AWAY
        auth.apply("bad")
        await stage.reaches(Phase.ROLLING_BACK)
        before = {name: getattr(auth, name) for name in change}
        for name, value in change.items():
            setattr(auth, name, value)
        auth.changed()
        await asyncio.sleep(1.0)
        guard.connection.fail.clear()
        tried = guard.connection.made["rollback"]
        await asyncio.sleep(60.0)
        assert guard.connection.made["rollback"] == tried
        (trouble,) = stage.channel.of("RollbackDelayed")
        assert why in trouble.body
        for name, value in before.items():
            setattr(auth, name, value)
        auth.changed()
        await stage.reaches(Phase.ROLLED_BACK)
    assert stage.channel.open_stories() == set()


@pytest.mark.parametrize("content", ["fixed", "good"])
async def test_a_template_that_comes_while_the_guard_may_not_act_is_not_kept_waiting(
    stage: Stage, content: str
) -> None:
    auth = serving(stage)
    async with stage.guarding() as guard:
        guard.connection.fail["rollback"] = AWAY
        auth.apply("bad")
        await stage.reaches(Phase.ROLLING_BACK)
        auth.paused = True
        auth.changed()
        guard.connection.fail.clear()
        await asyncio.sleep(5.0)
        auth.apply(content)
        await stage.until(lambda: stage.records()[0].state.phase is Phase.SUPERSEDED, within=3.0)
        await asyncio.sleep(60.0)
    assert stage.channel.open_stories() == set()
    assert stage.memory().known_good.revision.content == f"content-{content}"
    # Whether an attempt had put the known-good template back, nobody can tell: not a second time.
    assert stage.memory().rolled_back == (("content-bad",) if content == "good" else ())


async def test_a_template_that_comes_while_the_intent_cannot_be_written_is_judged(
    stage: Stage,
) -> None:
    auth = serving(stage)
    async with stage.guarding() as guard:
        guard.connection.fail["save"] = PermanentError("configmaps are forbidden")
        auth.apply("bad")
        await stage.until(lambda: stage.channel.of("RollingBack"))
        auth.apply("good")
        await stage.until(lambda: stage.channel.of("Superseded"), within=3.0)
        guard.connection.fail.clear()
        await asyncio.sleep(10.0)
    assert stage.memory().rolled_back == ()


async def test_a_newer_release_while_the_api_is_away_is_told_apart_by_the_platform(
    stage: Stage,
) -> None:
    auth = serving(stage)
    async with stage.guarding() as guard:
        guard.connection.fail["rollback"] = AWAY
        auth.apply("bad")
        await stage.reaches(Phase.ROLLING_BACK)
        auth.apply("fixed")
        await asyncio.sleep(3.0)
        guard.connection.fail.clear()
        await stage.until(lambda: stage.phase() is Phase.PROMOTED)
    bad, fixed = stage.records()
    assert bad.state.phase is Phase.SUPERSEDED
    assert fixed.state.case.candidate.content == "content-fixed"
    assert stage.cluster.patches == []
    assert stage.memory().rollbacks == ()


async def test_a_release_over_the_rollback_just_done_ends_it_and_is_judged(stage: Stage) -> None:
    auth = serving(stage)
    async with stage.guarding():
        auth.apply("bad")
        await stage.until(lambda: stage.cluster.patches)
        await asyncio.sleep(2.0)
        auth.apply("fixed")
        await stage.until(lambda: stage.phase() is Phase.PROMOTED)
    assert [r.state.phase for r in stage.records()] == [Phase.SUPERSEDED, Phase.PROMOTED]
    assert stage.memory().rolled_back == ("content-bad",)


async def test_a_bad_release_put_back_while_an_outcome_was_lost_is_not_undone_twice(
    stage: Stage,
) -> None:
    auth = serving(stage)
    auth.drain_after = 5.0
    async with stage.guarding():
        pass
    guard = stage.start(die_at=("rollback", 1, "after"))
    auth.apply("bad")
    await guard.connection.dead.wait()
    await guard.kill()
    auth.apply("bad")
    await asyncio.sleep(30.0)
    async with stage.guarding():
        await stage.until(lambda: stage.phase() is Phase.HELD)
        await asyncio.sleep(60.0)
    assert len(stage.cluster.patches) == 1
    assert [r.state.phase for r in stage.records()] == [Phase.SUPERSEDED, Phase.HELD]


# Trust.


async def test_a_template_that_could_not_be_kept_yet_is_kept_when_the_store_is_back(
    stage: Stage,
) -> None:
    auth = serving(stage)
    async with stage.guarding() as guard:
        auth.apply("better")
        await asyncio.sleep(10.0)
        guard.connection.fail["keep"] = AWAY
        await stage.reaches(Phase.PROMOTED)
        assert stage.memory().known_good.revision.content == "content-good"
        guard.connection.fail.clear()
        seconds = await stage.until(
            lambda: stage.memory().known_good.revision.content == "content-better"
        )
        assert seconds <= 6.0
    assert stage.channel.of("TemplateNotKept") == []


async def test_a_promotion_whose_trust_was_lost_in_a_crash_is_made_up_for(stage: Stage) -> None:
    auth = serving(stage)
    async with stage.guarding() as guard:
        auth.apply("better")
        await asyncio.sleep(10.0)
        guard.connection.fail["keep"] = AWAY
        await stage.reaches(Phase.PROMOTED)
    async with stage.guarding():
        await asyncio.sleep(1.0)
    assert stage.memory().known_good.revision.content == "content-better"
    assert len(stage.records()) == 1


async def test_a_template_that_cannot_be_kept_for_long_is_told(stage: Stage) -> None:
    serving(stage)
    async with stage.guarding(hang={"keep"}) as guard:
        seconds = await stage.until(lambda: stage.channel.of("TemplateNotKept"))
        assert 30.0 <= seconds <= 50.0
        guard.connection.hang.clear()
        await stage.until(lambda: not stage.channel.open_stories(), within=20.0)


async def test_a_template_that_may_not_be_kept_is_told_once(stage: Stage) -> None:
    serving(stage)
    async with stage.guarding(fail={"keep": PermanentError("secrets are forbidden")}) as guard:
        await asyncio.sleep(60.0)
        (trouble,) = stage.channel.of("TemplateNotKept")
        assert trouble.body == "secrets are forbidden"
        guard.connection.fail.clear()
        await stage.until(lambda: stage.cluster.named("keep"))
        await asyncio.sleep(1.0)
    assert stage.channel.open_stories() == set()


async def test_a_template_that_could_not_be_kept_concerns_nobody_once_it_is_replaced(
    stage: Stage,
) -> None:
    auth = serving(stage)
    async with stage.guarding() as guard:
        guard.connection.fail["keep"] = PermanentError("secrets are forbidden")
        auth.apply("better")
        await stage.until(lambda: stage.channel.of("TemplateNotKept"))
        auth.apply("bad")
        await stage.reaches(Phase.ROLLED_BACK)
    assert stage.channel.open_stories() == set()
    assert auth.current.content == "content-good"


async def test_trust_is_only_given_to_the_template_that_was_kept(stage: Stage) -> None:
    auth = serving(stage)
    async with stage.guarding(slow={"keep": 1.0}):
        auth.apply("better")
        await stage.until(lambda: stage.channel.of("Promoted"))
        auth.apply("newer")
        await asyncio.sleep(10.0)
        assert stage.memory().known_good.revision.content == "content-good"


# Rehearsals.


async def test_a_rollback_that_would_be_refused_is_told_while_there_is_time(stage: Stage) -> None:
    auth = serving(stage)
    async with stage.guarding():
        stage.cluster.kept.clear()
        auth.apply("better")
        await asyncio.sleep(1.0)
        (notice,) = stage.channel.of("RehearsalRefused")
        assert notice.body == "would be refused: nothing kept"
        assert stage.record().rehearsal.possible is False


async def test_a_rehearsal_without_an_answer_is_repeated(stage: Stage) -> None:
    auth = serving(stage)
    async with stage.guarding(fail={"rehearse": AWAY}) as guard:
        auth.apply("better")
        await asyncio.sleep(11.0)
        assert guard.connection.made["rehearse"] == 2
        guard.connection.fail.clear()
        await asyncio.sleep(20.0)
        assert stage.notes("rehearsed") == ["rehearsed"]
        assert guard.connection.made["rehearse"] == 3


async def test_a_rehearsal_that_hangs_delays_nothing(stage: Stage) -> None:
    auth = serving(stage)
    async with stage.guarding(hang={"rehearse"}):
        auth.apply("bad")
        await stage.reaches(Phase.ROLLED_BACK)


async def test_a_rehearsal_that_hangs_is_repeated(stage: Stage) -> None:
    auth = serving(stage)
    stage.policy(bake=100.0)
    async with stage.guarding(hang={"rehearse"}) as guard:
        auth.apply("better")
        await asyncio.sleep(61.0)
        guard.connection.hang.clear()
        await asyncio.sleep(10.0)
        assert stage.notes("rehearsed") == ["rehearsed"]


# At the start.


async def test_rights_that_hang_delay_no_rollout(stage: Stage) -> None:
    auth = serving(stage)
    async with stage.guarding(hang={"rights"}) as guard:
        auth.apply("bad")
        await stage.until(lambda: stage.cluster.patches, within=5.0)
        await asyncio.sleep(40.0)
        assert guard.connection.made["rights"] == 2


async def test_rights_that_come_when_the_workload_is_gone_name_it_no_more(stage: Stage) -> None:
    serving(stage)
    async with stage.guarding(slow={"rights": 3.0}) as guard:
        guard.supervisor.take(())
        await asyncio.sleep(5.0)
        labels = {"namespace": "shop", "workload": "auth-service"}
        assert guard.metric("guard_workload_rights_missing", **labels) is None


async def test_rights_are_asked_for_hourly_also_during_a_long_rollout(stage: Stage) -> None:
    auth = serving(stage)
    stage.policy(on_fail=OnFail.HOLD)
    async with stage.guarding() as guard:
        auth.apply("bad")
        await stage.reaches(Phase.HELD)
        await asyncio.sleep(3610.0)
        assert guard.connection.made["rights"] == 2


async def test_a_store_away_at_the_start_is_waited_for(stage: Stage) -> None:
    auth = serving(stage)
    async with stage.guarding(fail={"load": AWAY}) as guard:
        await asyncio.sleep(60.0)
        assert guard.metric("guard_task_crashes_total") == 0.0
        guard.connection.fail.clear()
        await asyncio.sleep(6.0)
        auth.apply("bad")
        await stage.reaches(Phase.ROLLED_BACK)


async def test_a_store_that_hangs_at_the_start_is_asked_again(stage: Stage) -> None:
    serving(stage)
    async with stage.guarding(hang={"load"}) as guard:
        await asyncio.sleep(10.0)
        assert guard.connection.made["load"] >= 2


async def test_a_memory_that_cannot_be_read_is_told_and_read_again(stage: Stage) -> None:
    auth = serving(stage)
    unread = {MEMORY_KEY: '{"version": 99}'}
    stage.cluster.documents[auth.id] = (auth.uid, unread)
    async with stage.guarding() as guard:
        auth.apply("bad")
        await asyncio.sleep(100.0)
        (trouble,) = stage.channel.of("MemoryUnreadable")
        assert "newer guard (version 99, this one reads up to 1)" in trouble.body
        assert guard.metric("guard_workloads") == 0.0
        assert guard.metric("guard_task_crashes_total") == 0.0
        assert stage.cluster.documents[auth.id] == (auth.uid, unread)
        auth.apply("good")
        del stage.cluster.documents[auth.id]
        await stage.until(lambda: stage.cluster.named("keep"))
    assert stage.channel.open_stories() == set()


async def test_the_last_checkpoint_is_written_when_the_guard_stops(stage: Stage) -> None:
    auth = serving(stage)
    async with stage.guarding():
        auth.apply("better")
        await asyncio.sleep(12.0)
        elapsed = stage.record().state.elapsed
    assert stage.record().state.elapsed > elapsed


async def test_a_guard_that_stops_writes_nothing_where_nothing_changed(stage: Stage) -> None:
    serving(stage)
    async with stage.guarding():
        await asyncio.sleep(10.0)
        saves = len(stage.cluster.named("save"))
    assert len(stage.cluster.named("save")) == saves


@pytest.mark.parametrize("hanging", ["save", "rollback", "keep", "rehearse", "rights", "load"])
async def test_a_guard_stops_within_five_seconds_whatever_hangs(stage: Stage, hanging: str) -> None:
    auth = serving(stage)
    stage.channel.hang = True
    guard: Guard = stage.start(hang={hanging})
    await asyncio.sleep(1.0)
    auth.apply("bad")
    await asyncio.sleep(4.0)
    began = stage.loop.time()
    await guard.stop()
    assert stage.loop.time() - began <= 4.0
