"""The laws hold whatever people, failures and killers do, in whatever order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.core.errors import PermanentError, TemporaryError
from guard.core.pace import AT_A_STEP
from guard.core.policy import Step
from guard.core.states import ENDS, Phase
from guard.core.workloads import Mode
from tests.engine.cluster import AUTH
from tests.engine.stage import Stage

if TYPE_CHECKING:
    from tests.engine.cluster import Deployment
    from tests.engine.stage import Guard

pytestmark = pytest.mark.looptime

CALLS = ["save", "rollback", "keep", "rehearse", "forget", "rights", "pause", "resume"]
CONTENTS = ["good", "better", "bad", "worse"]

PEOPLE = st.one_of(
    st.tuples(st.just("apply"), st.sampled_from(CONTENTS)),
    st.tuples(st.just("restart"), st.integers(2, 4)),
    st.tuples(st.just("label"), st.sampled_from([None, Mode.OFF, Mode.OBSERVE, Mode.ACT])),
    st.tuples(st.just("pause"), st.booleans()),
    st.tuples(st.just("scale"), st.sampled_from([0, 1, 3])),
    st.tuples(st.just("recreate"), st.sampled_from(CONTENTS)),
    st.tuples(st.just("files"), st.booleans()),
)
FAILURES = st.one_of(
    st.tuples(st.just("fail"), st.sampled_from(CALLS)),
    st.tuples(st.just("refuse"), st.sampled_from(["save", "keep", "rollback", "pause", "resume"])),
    st.tuples(st.just("hang"), st.sampled_from(CALLS)),
    st.tuples(st.just("recover"), st.none()),
    st.tuples(st.just("scrape"), st.booleans()),
)
DEATHS = st.tuples(st.sampled_from(["kill", "stop"]), st.none())
Steps = list[tuple[tuple[str, object], float]]
WAITS = st.sampled_from([0.0, 0.02, 0.5, 3.0, 20.0])


class Play:
    """Does what it is told to a stage with one workload and one guard at a time."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.guard: Guard = stage.start()
        self.stepwise = self.auth.stepwise
        for content in ("bad", "worse"):
            stage.errors(content, 0.5)

    @property
    def auth(self) -> Deployment:
        return self.stage.cluster.workloads[AUTH]

    async def do(self, what: str, how: object) -> None:
        await getattr(self, what)(how)

    async def apply(self, content: str) -> None:
        self.auth.apply(content)

    async def restart(self, number: int) -> None:
        content = self.auth.current.content.removeprefix("content-")
        self.auth.apply(content, f"{content}~{number}")

    async def label(self, mode: Mode | None) -> None:
        self.auth.label(mode)

    async def pause(self, paused: bool) -> None:  # noqa: FBT001 - one of many actions
        self.auth.paused = paused
        self.auth.changed()

    async def scale(self, replicas: int) -> None:
        self.auth.scale(replicas)

    async def recreate(self, content: str) -> None:
        self.stage.cluster.delete()
        await asyncio.sleep(0.01)
        stepwise = self.stepwise
        self.stage.cluster.create_serving(content, drain_after=10.0, stepwise=stepwise)

    async def files(self, there: bool) -> None:  # noqa: FBT001 - one of many actions
        self.guard.supervisor.take(self.stage.services if there else ())

    async def fail(self, call: str) -> None:
        self.guard.connection.fail[call] = TemporaryError("away")

    async def refuse(self, call: str) -> None:
        self.guard.connection.fail[call] = PermanentError("forbidden")

    async def hang(self, call: str) -> None:
        self.guard.connection.hang.add(call)

    async def recover(self, _: None = None) -> None:
        self.guard.connection.fail.clear()
        self.guard.connection.hang.clear()

    async def scrape(self, up: bool) -> None:  # noqa: FBT001 - one of many actions
        self.stage.scrape.down = not up

    async def kill(self, _: None) -> None:
        await self.guard.kill()
        self.guard = self.stage.start()

    async def stop(self, _: None) -> None:
        await self.guard.stop()
        self.guard = self.stage.start()


async def played(steps: Steps, *, paces: int) -> Stage:
    """Do all of it, then let everything recover and come to rest."""
    stage = Stage()
    stage.policy(bake=10.0, deadline=40.0, pace=(Step.FIRST, Step(0.5))[:paces])
    singly = paces > 1
    create = stage.cluster.create_serving
    create(drain_after=10.0, stepwise=paces > 0, singly=singly, replicas=4 if singly else 2)
    play = Play(stage)
    await asyncio.sleep(0.5)
    for (what, how), wait in steps:
        await play.do(what, how)
        await asyncio.sleep(wait)
    await play.recover()
    await play.scrape(up=True)
    await asyncio.sleep(300.0)
    return stage


def assert_acted_by_the_laws(stage: Stage) -> None:
    cluster = stage.cluster
    # No defect of the guard itself was met on the way.
    crashes = [guard.metric("guard_task_crashes_total") for guard in stage.guards]
    assert crashes == [0.0] * len(stage.guards)
    for tried in cluster.tries:
        # Observing never acts, and neither does a guard that was turned off, nor on what is paused.
        assert tried.mode in (None, Mode.ACT)
        assert not tried.paused
        # Law 6: the intent is in the store before the act.
        assert tried.written
        # Law 5: never to what is not known good, and never to itself.
        assert not tried.intent.known_good.assumed
        assert tried.intent.known_good.revision.content != tried.intent.candidate.content
    # Law 7: a revision is rolled back once, whoever puts it back.
    assert len(set(cluster.undone)) == len(cluster.undone)
    # A good release is never undone, whatever failed meanwhile (laws 1 and 4).
    assert not {"content-good", "content-better"} & {content for _, content in cluster.undone}


def assert_nothing_is_overlooked(stage: Stage) -> None:
    """What is in force now is known good or was judged, and nothing is stuck."""
    guard = stage.guards[-1]
    auth = stage.cluster.workloads[AUTH]
    records = guard.world.board.newest()
    for record in records:
        waits = record.state.phase is Phase.ROLLING_BACK and (
            auth.paused or auth.mode is Mode.OBSERVE
        )
        # A rollout that a person paused at its first pods is theirs to let on.
        waits |= auth.paused and record.state.pacing in AT_A_STEP
        over = record.state.phase in ENDS or record.state.phase is Phase.HELD
        assert over or waits or auth.replicas == 0
    if auth.pause is not None and not auth.paused:
        assert auth.mode in (None, Mode.ACT)
        live = [r for r in records if r.state.phase not in ENDS]
        failed = [r for r in records if r.state.phase is Phase.ROLLBACK_FAILED]
        assert live or failed
    guarded = guard.supervisor._catalogue.workloads and auth.mode is not Mode.OFF
    if not guarded or not auth.replicas or not auth.complete:
        return
    memory, _ = stage.stored()
    good = memory.known_good if memory else None
    names = [record.id for record in records]
    current = auth.current
    judged = f"{AUTH}@{current.hash}#{current.number}" in names
    assert judged or (good is not None and good.revision.hash == current.hash)


def still_standing(stage: Stage) -> set[str]:
    """Keys of the stories that may be open, by where the rollouts stand."""
    keys = set()
    for record in stage.guards[-1].world.board.newest():
        if record.state.phase is Phase.ROLLBACK_FAILED:
            keys.add(f"{record.id}/rollback-failed")
        elif record.state.phase is Phase.ROLLING_BACK:
            keys |= {record.id, f"{AUTH}/RollbackDelayed"}
        elif record.state.phase not in ENDS:
            keys |= {f"{record.id}/held", f"{record.id}/blind"}
    memory, _ = stage.stored()
    if memory is None or memory.known_good is None or memory.known_good.assumed:
        keys.add(f"{AUTH}/TemplateNotKept")
    return keys


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(st.tuples(st.one_of(PEOPLE, FAILURES, DEATHS), WAITS), max_size=25),
    paces=st.integers(0, 2),
)
async def test_the_guard_acts_by_the_laws_whatever_happens(steps: Steps, *, paces: int) -> None:
    stage = await played(steps, paces=paces)
    try:
        assert_acted_by_the_laws(stage)
        assert_nothing_is_overlooked(stage)
    finally:
        for guard in stage.guards:
            await guard.kill()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(st.tuples(st.one_of(PEOPLE, FAILURES), WAITS), max_size=25),
    paces=st.integers(0, 2),
)
async def test_what_was_opened_is_resolved_unless_it_still_stands(
    steps: Steps, *, paces: int
) -> None:
    stage = await played(steps, paces=paces)
    try:
        assert_acted_by_the_laws(stage)
        assert stage.channel.open_stories() <= still_standing(stage)
    finally:
        for guard in stage.guards:
            await guard.kill()
