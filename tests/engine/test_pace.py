"""Paced rollouts, from the release to their end, in virtual time."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from guard.core.errors import TemporaryError
from guard.core.policy import OnBlind, OnInconclusive, Step
from guard.core.states import Hold, Pacing, Phase
from guard.core.workloads import Mode
from tests.engine.cluster import AUTH, STEP_AFTER, Traffic

if TYPE_CHECKING:
    from typing import Any

    from tests.engine.cluster import Deployment
    from tests.engine.stage import Stage

pytestmark = pytest.mark.looptime


def serving(stage: Stage, *, singly: bool = False, **policy: Any) -> Deployment:
    """Four pods under a policy that paces."""
    stage.policy(**{"pace": (Step.FIRST,), **policy})
    create = stage.cluster.create_serving
    return create(replicas=4, stepwise=True, singly=singly, drain_after=2.0)


def candidates(deployment: Deployment) -> int:
    return sum(pod.revision == deployment.current.hash for pod in deployment.pods)


def pacing(stage: Stage) -> Pacing | None:
    records = stage.records()
    return records[-1].state.pacing if records else None


async def held(stage: Stage, deployment: Deployment, content: str = "new") -> None:
    """Release, and wait until it is held at its first pod."""
    deployment.apply(content)
    await stage.until(lambda: pacing(stage) is Pacing.PAUSED)
    await stage.until(lambda: stage.phase() is Phase.BAKING)
    assert candidates(deployment) == 1


async def test_a_release_is_held_at_its_first_pod_before_anything_else_is_asked(
    stage: Stage,
) -> None:
    deployment = serving(stage)
    async with stage.guarding() as guard:
        guard.connection.slow["save"] = 0.4
        before = len(stage.cluster.calls)
        released = stage.loop.time()
        deployment.apply("new")
        await stage.until(lambda: deployment.held, every=0.01)
        assert stage.loop.time() - released < STEP_AFTER / 2
        asked = [call.name for call in stage.cluster.calls[before:]]
        assert asked == ["pause"]


async def test_a_good_release_bakes_at_its_first_pods_and_again_with_all_of_them(
    stage: Stage,
) -> None:
    deployment = serving(stage)
    async with stage.guarding():
        await held(stage, deployment)
        at_first = await stage.until(lambda: not deployment.held)
        assert at_first == pytest.approx(30.0, abs=10.0)
        assert stage.phase() is not Phase.PROMOTED
        rest = await stage.until(lambda: stage.phase() is Phase.PROMOTED)
        assert rest >= 30.0
    assert candidates(deployment) == len(deployment.pods) == 4
    assert stage.notes("baking") == [
        "1 ready beside 4 stable, 20% of the pods",
        "every candidate pod is ready",
    ]
    assert stage.record().state.step == 1


async def test_a_bad_release_never_gets_beyond_its_first_pod(stage: Stage) -> None:
    deployment = serving(stage)
    stage.errors("bad", 0.5)
    async with stage.guarding():
        deployment.apply("bad")
        most: list[int] = []

        def undone() -> bool:
            most.append(sum(pod.revision == "bad" for pod in deployment.pods))
            return stage.phase() is Phase.ROLLED_BACK

        await stage.until(undone)
        assert max(most) == 1
    assert deployment.pause is None
    assert not stage.cluster.named("resume"), "the rollback itself puts back what the pause changed"
    assert stage.channel.open_stories() == set()


async def test_a_newer_release_is_judged_anew_under_the_same_pause(stage: Stage) -> None:
    deployment = serving(stage)
    async with stage.guarding():
        await held(stage, deployment)
        deployment.apply("newer")
        await stage.until(lambda: deployment.pause and deployment.pause.candidate == "newer")
        assert not stage.cluster.named("resume")
        assert candidates(deployment) == 1
        await stage.reaches(Phase.PROMOTED)
    first, second = stage.records()
    assert first.state.phase is Phase.SUPERSEDED
    assert second.state.case.candidate.hash == "newer"


async def test_a_persons_undo_is_let_go_at_once(stage: Stage) -> None:
    deployment = serving(stage)
    async with stage.guarding():
        await held(stage, deployment)
        deployment.apply("good")
        assert await stage.until(lambda: deployment.pause is None) < 0.5
        await stage.reaches(Phase.SUPERSEDED)
    assert [call.what for call in stage.cluster.named("resume")][:1] == ["as it was"]
    assert len(stage.records()) == 1


@pytest.mark.parametrize("marks", [False, True], ids=["by the annotation's command", "by a field"])
async def test_what_a_person_lets_go_is_judged_on_and_never_held_again(
    stage: Stage, *, marks: bool
) -> None:
    deployment = serving(stage)
    async with stage.guarding():
        await held(stage, deployment)
        deployment.let_go(marks=marks)
        await stage.reaches(Phase.PROMOTED)
    assert deployment.pause is None, "what the guard had set besides is put back"
    assert len(stage.cluster.named("pause")) == 1
    assert stage.record().state.pacing is Pacing.RELEASED
    assert stage.channel.reasons.count("LetGo") == 1


@pytest.mark.parametrize(("errors", "closest"), [(0.0, 0.5), (0.2, 0.2)])
async def test_looks_come_closer_while_the_evidence_against_a_release_grows_and_only_then(
    stage: Stage, errors: float, closest: float
) -> None:
    deployment = serving(stage)
    stage.cluster.traffic["new"] = Traffic(errors=errors)
    async with stage.guarding():
        await held(stage, deployment)
        began = len(stage.scrape.asked)
        await asyncio.sleep(20.0)
    looks = [at for at, _ in stage.scrape.asked[began:]]
    assert min(later - at for at, later in pairwise(looks)) == pytest.approx(closest, abs=0.03)


STEPS = (Step.FIRST, Step(0.5))


async def test_a_good_release_is_held_at_each_step_and_bakes_there(stage: Stage) -> None:
    deployment = serving(stage, singly=True, pace=STEPS)
    async with stage.guarding():
        await held(stage, deployment)
        await stage.until(lambda: candidates(deployment) == 2)
        reached = stage.loop.time()
        await stage.until(lambda: deployment.held, every=0.01)
        assert stage.loop.time() - reached < STEP_AFTER / 2
        at_half = await stage.until(lambda: not deployment.held)
        assert at_half == pytest.approx(30.0, abs=10.0)
        await stage.until(lambda: stage.phase() is Phase.PROMOTED)
    assert stage.notes("paused") == [
        "held at its first pods, to be judged there",
        "held at 50% of its pods, to be judged there",
    ]
    assert stage.notes("baking")[1:] == [
        "2 ready beside 4 stable, 33% of the pods",
        "every candidate pod is ready",
    ]
    assert stage.record().state.step == 2


async def test_a_release_that_fails_at_a_later_step_is_undone_there(stage: Stage) -> None:
    deployment = serving(stage, singly=True, pace=STEPS)
    stage.cluster.traffic["new"] = Traffic(errors=0.3, since=45.0)
    async with stage.guarding():
        await held(stage, deployment)
        await stage.until(lambda: pacing(stage) is Pacing.PAUSED and candidates(deployment) == 2)
        await stage.until(lambda: stage.phase() is Phase.ROLLED_BACK)
        assert deployment.pause is None
    assert "held at 50% of its pods: 2 ready beside" in stage.notes("intent")[0]


async def test_scaled_to_0_between_two_steps_it_waits_and_goes_on_with_the_pods(
    stage: Stage,
) -> None:
    deployment = serving(stage, singly=True, pace=(Step.FIRST, Step(0.75)))
    async with stage.guarding():
        await held(stage, deployment)
        await stage.until(lambda: pacing(stage) is Pacing.ADVANCING, every=0.01)
        looks = len(stage.scrape.asked)
        deployment.scale(0)
        await asyncio.sleep(3.0)
        assert len(stage.scrape.asked) - looks < 20
        deployment.scale(4)
        await stage.until(lambda: stage.phase() is Phase.PROMOTED)


async def test_a_rollback_that_waits_between_two_steps_is_tried_at_the_usual_rhythm(
    stage: Stage,
) -> None:
    deployment = serving(stage, singly=True, pace=STEPS)
    async with stage.guarding() as guard:
        await held(stage, deployment)
        deployment.drain_after = 90.0  # It is not complete for a while.
        guard.connection.fail = dict.fromkeys(("pause", "rollback"), TemporaryError("no answer"))
        await stage.until(lambda: pacing(stage) is Pacing.ADVANCING, every=0.01)
        stage.cluster.health["new"] = 500
        await stage.until(lambda: stage.phase() is Phase.ROLLING_BACK)
        assert pacing(stage) is Pacing.ADVANCING
        tried = guard.connection.made["rollback"]
        await asyncio.sleep(10.0)
        assert 5 <= guard.connection.made["rollback"] - tried <= 25
        deployment.drain_after = 2.0
        guard.connection.fail.clear()
        await stage.until(lambda: stage.phase() is Phase.ROLLED_BACK)


async def test_a_guard_killed_as_it_asks_for_a_later_step_holds_it_all_the_same(
    stage: Stage,
) -> None:
    """After the platform took the pause and before the record says so."""
    deployment = serving(stage, singly=True, pace=STEPS)
    async with stage.guarding() as guard:
        guard.connection.die_at = ("pause", 2, "after")
        await held(stage, deployment)
        await stage.until(guard.connection.dead.is_set, within=300.0)
    assert deployment.held
    async with stage.guarding():
        await stage.until(lambda: pacing(stage) is Pacing.PAUSED)
        assert (candidates(deployment), deployment.held) == (2, True)
        await stage.until(lambda: stage.phase() is Phase.PROMOTED)
    assert len(stage.cluster.named("resume")) == 2


async def test_a_hold_by_blindness_stays_at_the_first_pods_and_is_told(stage: Stage) -> None:
    deployment = serving(stage)
    async with stage.guarding():
        await held(stage, deployment)
        stage.scrape.down = True
        await stage.reaches(Phase.HELD)
        await stage.until(lambda: bool(stage.channel.of("Blind")))
        await asyncio.sleep(3600.0)
        assert deployment.held
        assert candidates(deployment) == 1
        assert "it stays at its first pods: 1 ready beside 4 stable" in stage.channel.titles[-1]
        stage.scrape.down = False
        await stage.reaches(Phase.PROMOTED)
    assert stage.channel.open_stories() == set()


@pytest.mark.parametrize(
    ("on", "goes_on"),
    [(OnInconclusive.ACCEPT, True), (OnInconclusive.HOLD, False)],
    ids=["accept", "hold"],
)
async def test_too_little_evidence_at_the_steps_deadline_does_what_the_policy_says(
    stage: Stage, on: OnInconclusive, *, goes_on: bool
) -> None:
    deployment = serving(stage, on_inconclusive=on)
    stage.errors("new", 0.0, rate=0.2)
    async with stage.guarding():
        await held(stage, deployment)
        await stage.until(lambda: not deployment.held or stage.phase() is Phase.HELD)
        assert deployment.held is not goes_on
        if goes_on:
            await stage.reaches(Phase.UNPROVEN)
        else:
            assert stage.record().state.hold is Hold.INCONCLUSIVE
            deployment.let_go()
            await stage.until(lambda: pacing(stage) is Pacing.RELEASED)
            assert stage.channel.open_stories() == set()


async def test_blind_at_the_deadline_goes_on_where_the_policy_says_notify(stage: Stage) -> None:
    deployment = serving(stage, on_blind=OnBlind.NOTIFY)
    async with stage.guarding():
        await held(stage, deployment)
        stage.scrape.down = True
        assert await stage.until(lambda: not deployment.held) >= 60.0
        await stage.reaches(Phase.UNPROVEN)


async def test_a_killed_guard_leaves_it_held_and_the_next_one_goes_on(stage: Stage) -> None:
    deployment = serving(stage)
    guard = stage.start()
    await stage.until(lambda: bool(stage.cluster.kept))
    await held(stage, deployment)
    await guard.kill()
    await asyncio.sleep(3600.0)
    assert deployment.held
    async with stage.guarding():
        await stage.reaches(Phase.PROMOTED)
    assert len(stage.cluster.named("pause")) == 1


async def test_a_guard_whose_record_was_lost_takes_its_own_pause_over(stage: Stage) -> None:
    deployment = serving(stage)
    guard = stage.start()
    await stage.until(lambda: bool(stage.cluster.kept))
    await held(stage, deployment)
    await guard.kill()
    _, documents = stage.cluster.documents[AUTH]
    for name in [name for name in documents if name.startswith("rollout-")]:
        del documents[name]
    async with stage.guarding():
        await stage.until(lambda: pacing(stage) is Pacing.PAUSED)
        await stage.reaches(Phase.PROMOTED)
    assert deployment.pause is None


@pytest.mark.parametrize("mode", [Mode.OFF, Mode.OBSERVE])
async def test_a_person_who_takes_the_leave_to_act_away_finds_nothing_held(
    stage: Stage, mode: Mode
) -> None:
    deployment = serving(stage)
    async with stage.guarding():
        await held(stage, deployment)
        deployment.label(mode)
        assert await stage.until(lambda: deployment.pause is None) < 6.0


async def test_a_pause_that_is_refused_is_told_and_the_release_is_judged_all_the_same(
    stage: Stage,
) -> None:
    deployment = serving(stage)
    stage.cluster.pause_refused = "an admission policy forbids it"
    async with stage.guarding():
        deployment.apply("new")
        await stage.reaches(Phase.PROMOTED)
    assert stage.channel.of("NotPaced")[0].body == "an admission policy forbids it"
    assert len(stage.cluster.named("pause")) == 1


async def test_a_later_step_that_is_refused_is_told_and_the_release_goes_on(stage: Stage) -> None:
    deployment = serving(stage, singly=True, pace=STEPS)
    async with stage.guarding():
        await held(stage, deployment)
        stage.cluster.pause_refused = "an admission policy forbids it"
        await stage.reaches(Phase.PROMOTED)
    assert stage.channel.of("NotPaced")[0].body == "an admission policy forbids it"
    assert len(stage.cluster.named("pause")) == 2


async def test_a_later_step_that_is_not_answered_is_asked_for_again(stage: Stage) -> None:
    deployment = serving(stage, singly=True, pace=STEPS)
    async with stage.guarding() as guard:
        await held(stage, deployment)
        guard.connection.fail["pause"] = TemporaryError("no answer")
        await stage.until(lambda: guard.connection.made["pause"] == 2)
        guard.connection.fail.clear()
        await stage.until(lambda: pacing(stage) is Pacing.PAUSED)
        assert guard.connection.made["pause"] == 3
        await stage.reaches(Phase.PROMOTED)
    assert len(stage.notes("paused")) == 2


async def test_a_guard_that_only_observes_holds_nothing(stage: Stage) -> None:
    deployment = serving(stage)
    deployment.label(Mode.OBSERVE)
    async with stage.guarding():
        deployment.apply("new")
        await stage.reaches(Phase.PROMOTED)
    assert not stage.cluster.named("pause")
    assert stage.notes("unpaced") == ["not paced: the guard only observes here"]


async def test_a_restart_of_the_known_good_template_is_not_held(stage: Stage) -> None:
    deployment = serving(stage)
    async with stage.guarding():
        deployment.apply("good", "good~2")
        await stage.until(lambda: bool(stage.records()))
        await asyncio.sleep(0.1)
    assert not stage.cluster.named("pause")


async def test_scaled_while_held_its_pods_are_counted_anew(stage: Stage) -> None:
    deployment = serving(stage)
    async with stage.guarding():
        await held(stage, deployment)
        deployment.scale(1)
        await stage.reaches(Phase.PROMOTED)
    assert deployment.pause is None


async def test_scaled_to_nothing_while_held_it_waits_and_goes_on(stage: Stage) -> None:
    deployment = serving(stage)
    async with stage.guarding():
        await held(stage, deployment)
        deployment.scale(0)
        await stage.until(lambda: bool(stage.notes("suspended")))
        assert deployment.held
        deployment.scale(4)
        await stage.reaches(Phase.PROMOTED)


async def test_what_cannot_be_let_go_is_told_and_tried_again(stage: Stage) -> None:
    deployment = serving(stage)
    async with stage.guarding() as guard:
        await held(stage, deployment)
        guard.connection.fail["resume"] = TemporaryError("no answer")
        await stage.until(lambda: bool(stage.channel.of("ResumeDelayed")))
        assert deployment.held
        guard.connection.fail.clear()
        await stage.reaches(Phase.PROMOTED)
    assert stage.channel.open_stories() == set()


async def test_an_api_that_hangs_under_the_pause_holds_no_judging_and_no_notice_up(
    stage: Stage,
) -> None:
    deployment = serving(stage)
    stage.errors("bad", 0.5)
    async with stage.guarding(hang={"pause"}):
        deployment.apply("bad")
        await asyncio.sleep(STEP_AFTER)
        began = stage.loop.time()
        await stage.until(lambda: stage.channel.of("RollingBack"))
        assert stage.loop.time() - began <= 4.5
        asked = [at for at, _ in stage.scrape.asked]
    gaps = [later - sooner for sooner, later in pairwise(asked)]
    assert max(gaps) <= 0.6
    assert stage.cluster.patches


async def test_a_pause_that_is_answered_late_is_in_force_all_the_same(stage: Stage) -> None:
    deployment = serving(stage)
    async with stage.guarding(slow={"pause": 1.2}):
        deployment.apply("new")
        await stage.until(lambda: pacing(stage) is Pacing.PAUSED, within=5.0)
        assert len(stage.cluster.named("pause")) == 1


async def test_a_newer_release_is_held_at_once_also_while_pods_keep_a_burst_waiting(
    stage: Stage,
) -> None:
    deployment = serving(stage)
    async with stage.guarding():
        deployment.apply("new")
        await stage.until(lambda: pacing(stage) is Pacing.PAUSED, within=5.0)
        await asyncio.sleep(STEP_AFTER + 1.0)
        stage.scrape.hanging |= {pod.uid for pod in deployment.pods}
        await asyncio.sleep(0.6)  # By now a burst has begun, which waits a second for them.
        began = stage.loop.time()
        deployment.apply("newer")
        await stage.until(lambda: len(stage.cluster.named("pause")) == 2, within=5.0)
        assert stage.loop.time() - began <= 0.1
