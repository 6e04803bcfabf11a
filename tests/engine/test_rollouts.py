"""A rollout from its beginning to its end, told as people see it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from guard.core import suspension
from guard.core.actions import Rights
from guard.core.errors import PermanentError, TemporaryError
from guard.core.notices import Severity
from guard.core.notices import Stage as NoticeStage
from guard.core.policy import OnBlind, OnFail, OnInconclusive
from guard.core.states import Hold, Phase
from guard.core.workloads import Mode
from guard.engine.world import Options
from tests.engine.cluster import EPOCH
from tests.engine.stage import ERRORS, saved_intents

if TYPE_CHECKING:
    from tests.engine.cluster import Deployment
    from tests.engine.stage import Stage

pytestmark = pytest.mark.looptime


async def test_a_good_release_is_promoted_and_known_good_from_then_on(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    async with stage.guarding():
        auth.apply("better")
        await stage.reaches(Phase.PROMOTED)
    assert stage.memory().known_good.revision.content == "content-better"
    assert stage.cluster.kept[auth.id, auth.uid] == "better"
    assert stage.channel.reasons == ["RolloutBegan", "Promoted"]
    assert stage.cluster.named("rollback") == []


async def test_a_bad_release_is_rolled_back_by_one_patch_that_was_intended_before(
    stage: Stage,
) -> None:
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("bad")
        await stage.reaches(Phase.ROLLED_BACK)
    (rollback,) = stage.cluster.named("rollback")
    assert auth.current.content == "content-good"
    assert saved_intents(stage.cluster)[0] < rollback.at
    assert stage.record().state.outcome is not None
    assert stage.memory().rolled_back == ("content-bad",)
    assert stage.channel.reasons == ["RolloutBegan", "RollingBack", "RolledBack"]
    assert stage.channel.open_stories() == set()


async def test_half_of_the_requests_failing_is_decided_within_two_seconds(stage: Stage) -> None:
    auth = stage.cluster.create_serving(replicas=4, ready_after=1.0)
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("bad")
        first_bad = EPOCH + stage.loop.time() + 1.0
        await stage.reaches(Phase.ROLLED_BACK)
    (rollback,) = stage.cluster.named("rollback")
    decided = next(note.at for note in stage.record().timeline if note.kind == "decided")
    assert decided - first_bad <= 2.0
    assert rollback.at - decided <= 0.1


async def test_a_first_ready_pod_late_in_a_rollout_is_looked_at_at_once(stage: Stage) -> None:
    stage.checks(ERRORS)
    auth = stage.cluster.create_serving(ready_after=200.0)
    async with stage.guarding():
        began = stage.loop.time()
        auth.apply("better")
        await asyncio.sleep(199.0)
        slow = len(stage.scrape.asked)
        await asyncio.sleep(1.0)
        assert stage.loop.time() == pytest.approx(began + 200.0)
        await asyncio.sleep(0.05)
        assert stage.scrape.asked[-1][0] - EPOCH == pytest.approx(began + 200.0, abs=0.01)
        await asyncio.sleep(5.0)
        assert len(stage.scrape.asked) - slow >= 10


async def test_a_release_that_never_becomes_ready_is_rolled_back(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    stage.cluster.never_ready["content-bad"] = True
    async with stage.guarding():
        auth.apply("bad")
        await stage.reaches(Phase.ROLLED_BACK)
    assert "not ready" in stage.channel.of("RollingBack")[0].body


async def test_a_release_whose_health_fails_is_rolled_back_though_its_requests_do_well(
    stage: Stage,
) -> None:
    auth = stage.cluster.create_serving()
    stage.cluster.health["bad"] = 503
    async with stage.guarding():
        auth.apply("bad")
        await stage.until(lambda: stage.cluster.patches)
        # Ready after 1 s, then three probes, 2 s apart, and the next look.
        assert stage.loop.time() - 2.0 <= 4.0 + 0.6
        await stage.reaches(Phase.ROLLED_BACK)
    assert "answers 503" in stage.channel.of("RollingBack")[0].body


async def test_a_rollback_that_did_not_help_says_so(stage: Stage) -> None:
    auth = stage.cluster.create_serving(drain_after=5.0)
    stage.errors("bad", 0.9)
    async with stage.guarding():
        auth.apply("bad")
        await stage.until(lambda: stage.cluster.patches)
        stage.errors("good", 0.9)
        await stage.reaches(Phase.ROLLED_BACK)
    assert "THE SERVICE HAS NOT RECOVERED" in stage.channel.of("RolledBack")[0].title


async def test_a_rollback_whose_pods_do_not_come_up_is_a_failed_one(stage: Stage) -> None:
    auth = stage.cluster.create_serving(drain_after=2.0)
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("bad")
        await asyncio.sleep(2.0)
        stage.cluster.never_ready["content-good"] = True
        auth.pods = [pod for pod in auth.pods if pod.revision == "bad"]
        await stage.reaches(Phase.ROLLBACK_FAILED)
    (failed,) = stage.channel.of("RollbackFailed")
    assert failed.severity is Severity.CRITICAL
    assert "0 of 2 pods" in failed.body


# Modes and policies.


async def test_observing_never_calls_the_rollback_and_says_what_it_would_do(stage: Stage) -> None:
    stage.options = Options(mode=Mode.OBSERVE)
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("bad")
        await stage.reaches(Phase.HELD)
        await asyncio.sleep(300.0)
    assert stage.cluster.named("rollback") == []
    assert stage.record().state.hold is Hold.OBSERVE
    (notice,) = stage.channel.of("WouldRollBack")
    assert "would have rolled back to good" in notice.body


async def test_the_workloads_own_label_outweighs_the_guards_mode(stage: Stage) -> None:
    stage.options = Options(mode=Mode.OBSERVE)
    auth = stage.cluster.create_serving(mode=Mode.ACT)
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("bad")
        await stage.reaches(Phase.ROLLED_BACK)


async def test_a_label_that_turns_to_act_lets_a_held_failure_be_undone(stage: Stage) -> None:
    stage.options = Options(mode=Mode.OBSERVE)
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("bad")
        await stage.reaches(Phase.HELD)
        auth.label(Mode.ACT)
        assert await stage.reaches(Phase.ROLLED_BACK) < 60.0
    assert stage.channel.open_stories() == set()


@pytest.mark.parametrize(
    ("changes", "hold"),
    [
        ({"on_fail": OnFail.HOLD}, Hold.POLICY),
        ({"on_fail": OnFail.ROLLBACK, "migration": "alembic"}, Hold.MIGRATION),
        ({"paused": True}, Hold.PAUSED),
    ],
    ids=["the policy says hold", "the release migrates", "a person paused it"],
)
async def test_a_failure_that_must_not_be_undone_is_held_and_paged_once(
    stage: Stage, changes: dict[str, object], hold: Hold
) -> None:
    auth = stage.cluster.create_serving()
    for name in ("migration", "paused"):
        setattr(auth, name, changes.pop(name, getattr(auth, name)))
    stage.policy(**changes)
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("bad")
        await stage.reaches(Phase.HELD)
        await asyncio.sleep(200.0)
    assert stage.record().state.hold is hold
    assert [n.severity for n in stage.channel.of("Held")] == [Severity.CRITICAL]
    assert stage.cluster.named("rollback") == []


async def test_a_missing_right_to_patch_holds_instead_of_failing(stage: Stage) -> None:
    stage.cluster.rights = Rights(may_patch=False, missing=("patch deployments in shop",))
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding() as guard:
        auth.apply("bad")
        await stage.reaches(Phase.HELD)
        labels = {"namespace": "shop", "workload": "auth-service"}
        assert guard.metric("guard_workload_rights_missing", **labels) == 1.0
    assert stage.record().state.hold is Hold.NO_RIGHTS


async def test_on_fail_notify_tells_once_and_touches_nothing(stage: Stage) -> None:
    stage.policy(on_fail=OnFail.NOTIFY)
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("bad")
        await asyncio.sleep(100.0)
    assert len(stage.channel.of("Failed")) == 1
    assert stage.cluster.named("rollback") == []


# Blindness and too little evidence.


async def test_blindness_holds_is_told_after_patience_and_resolves(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    async with stage.guarding():
        auth.apply("better")
        await asyncio.sleep(5.0)
        stage.scrape.down = True
        blind_at = stage.loop.time()
        await stage.reaches(Phase.HELD)
        told = stage.channel.got[-1]
        assert told[1].reason == "Blind"
        # 10 s until readings that are missing are blindness, and the patience of 20 s.
        assert told[0] - EPOCH - blind_at == pytest.approx(30.0, abs=4.0)
        stage.scrape.down = False
        await stage.reaches(Phase.PROMOTED)
    assert stage.channel.reasons[-3:] == ["Blind", "SeeingAgain", "Promoted"]
    assert stage.cluster.named("rollback") == []


async def test_a_failure_found_before_the_sources_went_is_not_forgotten(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding(fail={"rollback": TemporaryError("away")}) as guard:
        auth.apply("bad")
        await stage.reaches(Phase.ROLLING_BACK)
        stage.scrape.down = True
        await asyncio.sleep(20.0)
        guard.connection.fail.clear()
        await stage.reaches(Phase.ROLLED_BACK)
    assert "no request of theirs measured" in stage.channel.of("RolledBack")[0].title


async def test_blindness_until_the_deadline_ends_unproven_where_the_policy_only_notifies(
    stage: Stage,
) -> None:
    stage.policy(on_blind=OnBlind.NOTIFY)
    auth = stage.cluster.create_serving()
    stage.scrape.down = True
    async with stage.guarding():
        auth.apply("better")
        await stage.reaches(Phase.UNPROVEN)
    assert stage.channel.reasons == ["RolloutBegan", "Blind", "Unproven", "SeeingAgain"]
    assert stage.memory().known_good.revision.content == "content-good"


@pytest.mark.parametrize(
    ("choice", "end"),
    [
        (OnInconclusive.ACCEPT, Phase.UNPROVEN),
        (OnInconclusive.HOLD, Phase.HELD),
        (OnInconclusive.ROLLBACK, Phase.ROLLED_BACK),
    ],
)
async def test_too_little_traffic_at_the_deadline_follows_the_policy(
    stage: Stage, choice: OnInconclusive, end: Phase
) -> None:
    stage.policy(on_inconclusive=choice)
    auth = stage.cluster.create_serving()
    for content in ("good", "better"):
        stage.errors(content, 0.0, rate=0.1)
    async with stage.guarding():
        auth.apply("better")
        await stage.reaches(end)
    assert stage.record().state.phase is end


async def test_an_unproven_release_is_trusted_after_it_served_without_trouble(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    for content in ("good", "better"):
        stage.errors(content, 0.0, rate=0.1)
    async with stage.guarding():
        auth.apply("better")
        await stage.reaches(Phase.UNPROVEN)
        seconds = await stage.until(
            lambda: stage.memory().known_good.revision.content == "content-better"
        )
        assert seconds == pytest.approx(300.0, abs=6.0)
    assert stage.memory().known_good.why == "served 5 min without trouble"


async def test_trouble_and_a_guard_that_was_away_begin_the_time_of_trust_anew(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    for content in ("good", "better"):
        stage.errors(content, 0.0, rate=0.1)
    async with stage.guarding():
        auth.apply("better")
        await stage.reaches(Phase.UNPROVEN)
        await asyncio.sleep(250.0)
        ready, auth.pods = auth.pods, auth.pods[:1]
        auth.changed()
        await asyncio.sleep(90.0)
        auth.pods = ready
        auth.changed()
        await asyncio.sleep(200.0)
    assert stage.memory().known_good.revision.content == "content-good"
    async with stage.guarding():
        await asyncio.sleep(250.0)
        assert stage.memory().known_good.revision.content == "content-good"
        await asyncio.sleep(60.0)
        assert stage.memory().known_good.revision.content == "content-better"


# What people do meanwhile.


async def test_a_newer_release_supersedes_and_is_judged_against_the_last_known_good(
    stage: Stage,
) -> None:
    auth = stage.cluster.create_serving()
    stage.errors("worse", 0.5)
    async with stage.guarding():
        auth.apply("unjudged")
        await asyncio.sleep(10.0)
        auth.apply("worse")
        await stage.reaches(Phase.ROLLED_BACK)
    first, second = stage.records()
    assert first.state.phase is Phase.SUPERSEDED
    assert second.state.case.stable.revision.content == "content-good"
    assert auth.current.content == "content-good"


async def test_a_persons_own_undo_ends_the_rollout_and_begins_none(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    async with stage.guarding():
        auth.apply("better")
        await asyncio.sleep(10.0)
        auth.apply("good")
        await stage.reaches(Phase.SUPERSEDED)
        await asyncio.sleep(120.0)
    assert len(stage.records()) == 1
    assert "a person put good back" in stage.record().state.text


async def test_back_and_forth_is_judged_each_time_under_a_name_of_its_own(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    async with stage.guarding():
        auth.apply("better")
        await asyncio.sleep(5.0)
        auth.apply("good")
        await asyncio.sleep(5.0)
        auth.apply("better")
        await stage.reaches(Phase.PROMOTED)
    assert [r.id.partition("@")[2] for r in stage.records()] == ["better#2", "better#4"]


async def test_a_restart_of_the_known_good_template_is_never_rolled_back(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    async with stage.guarding():
        stage.errors("good", 0.5)
        auth.drain_after = 1.0
        auth.apply("good", "good~2")
        await stage.reaches(Phase.HELD)
        await asyncio.sleep(60.0)
    assert stage.cluster.named("rollback") == []


async def test_a_bad_release_applied_again_and_again_is_held_and_paged_once(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)

    async def gitops() -> None:
        while True:
            auth.apply("bad")
            await asyncio.sleep(5.0)

    async with stage.guarding():
        loop = asyncio.create_task(gitops())
        await stage.until(lambda: stage.channel.of("Held"))
        await asyncio.sleep(300.0)
        loop.cancel()
    assert len(stage.cluster.patches) == 1
    assert len(stage.cluster.named("rollback")) == 1
    assert len(stage.channel.of("Held")) == 1
    assert stage.record().state.hold is Hold.ONCE
    assert auth.current.content == "content-bad"


async def test_scaling_begins_no_rollout(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    async with stage.guarding():
        auth.scale(5)
        await asyncio.sleep(30.0)
        auth.scale(2)
        await asyncio.sleep(30.0)
    assert stage.records() == []


async def test_scaled_to_nothing_and_back_the_rollout_goes_on(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    async with stage.guarding():
        auth.apply("better")
        await asyncio.sleep(10.0)
        auth.scale(0)
        await asyncio.sleep(600.0)
        assert stage.phase() is Phase.BAKING
        auth.scale(2)
        await stage.reaches(Phase.PROMOTED)
    assert stage.notes("suspended")


async def test_left_after_a_day_without_pods_it_is_judged_anew_when_they_come_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspension, "LEFT_AFTER", 60.0)
    auth = stage.cluster.create_serving()
    async with stage.guarding():
        auth.apply("bad")
        await asyncio.sleep(2.0)
        auth.scale(0)
        await stage.reaches(Phase.LEFT)
        stage.errors("bad", 0.5)
        auth.scale(2)
        await stage.reaches(Phase.ROLLED_BACK)


async def test_off_is_obeyed_within_two_seconds(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("better")
        await asyncio.sleep(10.0)
        auth.label(Mode.OFF)
        assert await stage.until(lambda: stage.channel.of("Left")) <= 2.0
        auth.apply("bad")
        await asyncio.sleep(60.0)
        assert len(stage.records()) == 1
        auth.label(None)
        await stage.reaches(Phase.ROLLED_BACK)


async def test_off_in_the_moment_of_the_decision_lets_nothing_be_done(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding(slow={"save": 1.0}):
        auth.apply("bad")
        await stage.until(lambda: stage.channel.of("RollingBack"))
        auth.label(Mode.OFF)
        await stage.reaches(Phase.LEFT)
    assert stage.cluster.named("rollback") == []


async def test_off_while_the_readings_are_out_yields_no_page(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    stage.errors("bad", 1.0)
    stage.scrape.delay = 0.9
    async with stage.guarding():
        auth.apply("bad")
        await asyncio.sleep(1.85)
        auth.label(Mode.OFF)
        await stage.reaches(Phase.LEFT)
    assert stage.channel.reasons == ["RolloutBegan", "Left"]


async def test_turned_off_while_the_guard_was_away_the_rollout_is_left(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    async with stage.guarding():
        auth.apply("better")
        await asyncio.sleep(10.0)
    auth.label(Mode.OFF)
    async with stage.guarding():
        await stage.reaches(Phase.LEFT, within=2.0)


# Deleted, recreated.


async def test_a_deleted_workload_is_left_and_forgotten(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding() as guard:
        auth.apply("bad")
        await stage.until(lambda: stage.cluster.patches)
        labels = {"namespace": "shop", "workload": "auth-service", "service": "auth-service"}
        assert guard.metric("guard_rollback_started_timestamp_seconds", **labels)
        stage.cluster.delete()
        await stage.until(lambda: stage.channel.of("Left"))
        await asyncio.sleep(1.0)
        assert guard.metric("guard_rollback_started_timestamp_seconds", **labels) is None
        labels.pop("service")
        assert guard.metric("guard_workload_rights_missing", **labels) is None
        assert guard.metric("guard_workloads") == 0.0
        assert guard.world.board.records() == []
        assert guard.supervisor._wardens == {}
    assert stage.cluster.documents == {}
    assert stage.channel.open_stories() == set()


async def test_deleted_and_created_anew_in_one_turn_it_is_guarded_as_a_new_one(
    stage: Stage,
) -> None:
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("better")
        await asyncio.sleep(5.0)
        stage.cluster.delete()
        await asyncio.sleep(0)
        again = stage.cluster.create_serving("other")
        await stage.until(lambda: stage.channel.of("Left"))
        await asyncio.sleep(2.0)
        assert stage.memory().known_good.revision.content == "content-other"
        again.apply("bad")
        await stage.reaches(Phase.ROLLED_BACK)
    assert again.current.content == "content-other"
    assert stage.cluster.documents[again.id][0] == again.uid


async def test_created_anew_while_the_old_one_is_being_forgotten_it_is_guarded(
    stage: Stage,
) -> None:
    stage.cluster.create_serving()
    async with stage.guarding(slow={"forget": 2.0}):
        stage.cluster.delete()
        await asyncio.sleep(1.0)
        again = stage.cluster.create_serving("other")
        await asyncio.sleep(5.0)
        assert stage.memory().known_good.revision.content == "content-other"
        assert stage.cluster.documents[again.id][0] == again.uid


async def test_a_store_that_hangs_while_it_forgets_keeps_no_new_object_waiting(
    stage: Stage,
) -> None:
    stage.cluster.create_serving()
    async with stage.guarding(hang={"forget"}):
        stage.cluster.delete()
        await asyncio.sleep(1.0)
        stage.cluster.create_serving("other")
        await asyncio.sleep(6.0)
        assert stage.memory().known_good.revision.content == "content-other"


async def test_a_store_that_does_not_forget_keeps_no_warden_alive(stage: Stage) -> None:
    stage.cluster.create_serving()
    async with stage.guarding(fail={"forget": TemporaryError("away")}) as guard:
        stage.cluster.delete()
        await asyncio.sleep(1.0)
        assert guard.supervisor._wardens == {}
        assert guard.metric("guard_task_crashes_total") == 0.0


# First sight, and what happened while the guard was away.


async def test_a_release_begun_and_finished_while_the_guard_was_away_is_judged(
    stage: Stage,
) -> None:
    auth = stage.cluster.create_serving(drain_after=3.0)
    stage.errors("bad", 0.5)
    async with stage.guarding():
        pass
    auth.apply("bad")
    await asyncio.sleep(60.0)
    async with stage.guarding():
        await stage.reaches(Phase.ROLLED_BACK)
    assert auth.current.content == "content-good"


async def test_a_rollout_under_way_at_first_sight_is_held_for_nothing_is_known_good(
    stage: Stage,
) -> None:
    auth = stage.cluster.create_serving()
    auth.apply("bad")
    stage.errors("bad", 0.5)
    async with stage.guarding():
        await stage.reaches(Phase.HELD)
        assert stage.record().state.hold is Hold.NO_KNOWN_GOOD
        assert stage.record().state.case.stable.assumed
        auth.apply("good")
        await stage.reaches(Phase.SUPERSEDED)
        await stage.until(lambda: not stage.memory().known_good.assumed)
    assert stage.memory().known_good.why == "served 5 min without trouble"


async def test_a_first_deployment_is_known_good_once_it_serves_alone(stage: Stage) -> None:
    async with stage.guarding():
        stage.cluster.create("first", ready_after=20.0)
        await stage.until(lambda: stage.cluster.named("keep"))
        assert stage.loop.time() > 20.0
    assert stage.memory().known_good.revision.content == "content-first"


async def test_the_rollout_goes_on_after_a_restart_without_beginning_again(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    async with stage.guarding():
        auth.apply("better")
        await asyncio.sleep(20.0)
    before = stage.record()
    assert before.state.elapsed == pytest.approx(18.0, abs=1.5)
    async with stage.guarding():
        await stage.reaches(Phase.PROMOTED)
    assert len(stage.records()) == 1
    assert stage.channel.reasons.count("RolloutBegan") == 1


async def test_a_held_rollout_is_still_held_after_a_restart_and_not_paged_again(
    stage: Stage,
) -> None:
    stage.policy(on_fail=OnFail.HOLD)
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("bad")
        await stage.reaches(Phase.HELD)
    async with stage.guarding():
        await asyncio.sleep(100.0)
    assert stage.phase() is Phase.HELD
    assert len(stage.channel.of("Held")) == 1


async def test_the_guard_does_not_guard_itself(stage: Stage) -> None:
    auth = stage.cluster.create_serving(itself=True)
    stage.errors("bad", 0.5)
    async with stage.guarding() as guard:
        auth.apply("bad")
        await asyncio.sleep(30.0)
        assert guard.metric("guard_workloads") == 0.0
    assert stage.cluster.calls == []


async def test_a_controller_that_is_behind_begins_nothing(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    async with stage.guarding():
        auth.observed = False
        auth.apply("better")
        await asyncio.sleep(10.0)
        assert stage.records() == []
        auth.observed = True
        auth.changed()
        await stage.reaches(Phase.PROMOTED)


async def test_the_guards_own_rollback_under_another_hash_is_no_new_rollout(stage: Stage) -> None:
    # As a platform does that hashes the same template anew.
    stage.cluster.hashed_anew = "~anew"
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("bad")
        await stage.reaches(Phase.ROLLED_BACK)
        await asyncio.sleep(30.0)
    assert len(stage.records()) == 1
    assert stage.memory().known_good.revision.hash == "good~anew"
    assert stage.cluster.kept[auth.id, auth.uid] == "good~anew"


async def test_a_restart_after_a_rollback_is_a_rollout_like_any_other(stage: Stage) -> None:
    auth = stage.cluster.create_serving(drain_after=5.0)
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("bad")
        await stage.reaches(Phase.ROLLED_BACK)
        auth.apply("good", "good~2")
        await stage.reaches(Phase.PROMOTED)
    assert [r.id.partition("@")[2] for r in stage.records()] == ["bad#2", "good~2#4"]


# A failed rollback's own story.


async def failed_rollback(stage: Stage) -> Deployment:
    auth = stage.cluster.create_serving(drain_after=3.0)
    stage.errors("bad", 0.5)
    async with stage.guarding(fail={"rollback": PermanentError("an admission policy says no")}):
        auth.apply("bad")
        await stage.reaches(Phase.ROLLBACK_FAILED)
    (key,) = stage.channel.open_stories()
    assert key.endswith("/rollback-failed")
    return auth


async def test_the_story_of_a_failed_rollback_ends_with_what_it_left_serving(stage: Stage) -> None:
    auth = await failed_rollback(stage)
    async with stage.guarding():
        await asyncio.sleep(60.0)
        assert len(stage.channel.open_stories()) == 1
        auth.apply("fixed")
        await stage.until(lambda: not stage.channel.open_stories())
    told = len(stage.channel.got)
    async with stage.guarding():
        await asyncio.sleep(10.0)
    # The next guard knows that it was told.
    assert [n.reason for _, n in stage.channel.got[told:] if n.reason == "RollbackFailed"] == []


async def test_the_story_of_a_failed_rollback_ends_with_its_workload(stage: Stage) -> None:
    await failed_rollback(stage)
    async with stage.guarding():
        stage.cluster.delete()
        await asyncio.sleep(2.0)
    assert stage.channel.open_stories() == set()


async def test_the_story_of_a_failed_rollback_ends_with_its_object(stage: Stage) -> None:
    await failed_rollback(stage)
    async with stage.guarding():
        stage.cluster.delete()
        stage.cluster.create_serving("other")
        await asyncio.sleep(2.0)
    assert stage.channel.open_stories() == set()


async def test_notices_of_a_whole_story_have_one_key_and_their_order(stage: Stage) -> None:
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("bad")
        await stage.reaches(Phase.ROLLED_BACK)
    notices = [notice for _, notice in stage.channel.got]
    assert len({notice.key for notice in notices}) == 1
    stages = [NoticeStage.INFORMED, NoticeStage.OPENED, NoticeStage.RESOLVED]
    assert [notice.stage for notice in notices] == stages
