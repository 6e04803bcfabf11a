"""Looking back: a rollout begins with what is normal for its service, and waits for nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from guard.core.evidence.history import DAY, Mark, Track
from guard.core.samples import NoData, NoDataReason, Unavailable, UnavailableReason
from guard.core.states import Phase
from guard.engine.past import AGAIN, ANSWER_WITHIN, BEFORE, EVERY, ask_normal
from tests.engine.cluster import now
from tests.engine.stage import ERRORS, POLICY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guard.core.policy import Scrape, Sli
    from guard.core.workloads import Pod
    from tests.engine.stage import Stage

pytestmark = pytest.mark.looptime


@dataclass
class Library:
    """A history in which every pod always failed alike; `ratio` of the day, and of the minutes."""

    ratio: float = 0.0
    before: float = 0.0
    delay: float = 0.1
    absent: NoData | Unavailable | None = None
    asked: list[tuple[float, frozenset[str]]] = field(default_factory=list)

    async def look_back(
        self, sli: Sli, pods: Sequence[Pod], scrape: Scrape, span: tuple[float, float, float]
    ) -> tuple[Track, ...] | NoData | Unavailable:
        since, until, step = span
        self.asked.append((until - since, frozenset(pod.uid for pod in pods)))
        await asyncio.sleep(self.delay)
        if self.absent is not None:
            return self.absent
        ratio = self.ratio if until - since >= DAY else self.before
        steps = round((until - since) / step)
        return tuple(
            Track(pod.uid, tuple(_mark(since + n * step, n, step, ratio) for n in range(steps + 1)))
            for pod in pods
        )

    @property
    def days(self) -> int:
        """How often a whole day was asked for."""
        return sum(span >= DAY for span, _ in self.asked)


def _mark(at: float, n: int, step: float, ratio: float) -> Mark:
    requests = round(n * step * 10)
    return Mark(at, float(requests), float(round(requests * ratio)))


@pytest.fixture
def library(stage: Stage) -> Library:
    stage.history = library = Library()
    stage.checks(ERRORS)
    return library


async def test_a_release_like_its_predecessor_at_three_percent_is_promoted(
    stage: Stage, library: Library
) -> None:
    library.ratio = 0.03
    auth = stage.cluster.create_serving()
    stage.errors("good", 0.03)
    stage.errors("alike", 0.03)
    async with stage.guarding():
        await asyncio.sleep(2.0)
        auth.apply("alike")
        await stage.reaches(Phase.PROMOTED)
    (told,) = stage.notes("normal")
    assert "over its own bound of 1%" in told
    assert "since the service is over its own of 1%" in stage.record().findings[0].text


async def test_without_history_it_is_not(stage: Stage) -> None:
    stage.checks(ERRORS)
    auth = stage.cluster.create_serving()
    stage.errors("alike", 0.03)
    async with stage.guarding():
        auth.apply("alike")
        await stage.until(lambda: stage.phase() not in {None, Phase.PROGRESSING, Phase.BAKING})
    assert stage.phase() is not Phase.PROMOTED
    assert "assumed without history" in stage.record().findings[0].text


async def test_a_service_within_its_bound_is_judged_as_ever(stage: Stage, library: Library) -> None:
    library.ratio = 0.002
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.2)
    async with stage.guarding():
        await asyncio.sleep(2.0)
        auth.apply("bad")
        await stage.reaches(Phase.ROLLED_BACK)
    assert stage.notes("normal") == []


async def test_between_rollouts_it_is_asked_every_ten_minutes(
    stage: Stage, library: Library
) -> None:
    stage.cluster.create_serving()
    async with stage.guarding():
        await asyncio.sleep(3 * EVERY + 30.0)
        assert library.days == 4


async def test_what_was_not_answered_is_asked_again_soon(stage: Stage, library: Library) -> None:
    library.absent = Unavailable(UnavailableReason.TIMEOUT)
    stage.cluster.create_serving()
    async with stage.guarding() as guard:
        await asyncio.sleep(2 * AGAIN + 10.0)
        assert library.days == 3
        name = "guard_samples_total"
        assert guard.metric(name, source="history", answer="unavailable") == 3


async def test_a_history_that_hangs_holds_nothing_up(stage: Stage, library: Library) -> None:
    library.delay = 10 * ANSWER_WITHIN
    auth = stage.cluster.create_serving()
    stage.errors("bad", 0.5)
    async with stage.guarding():
        auth.apply("bad")
        began = stage.loop.time()
        await stage.until(lambda: stage.cluster.patches)
        assert stage.loop.time() - began < ANSWER_WITHIN
        await stage.reaches(Phase.ROLLED_BACK)
    assert "assumed without history" in stage.record().findings[0].text


async def test_a_guard_that_has_just_started_asks_beside_the_rollout(
    stage: Stage, library: Library
) -> None:
    library.ratio = 0.03
    auth = stage.cluster.create_serving(ready_after=3.0)
    stage.errors("alike", 0.03)
    library.absent = NoData(NoDataReason.NO_SERIES)
    async with stage.guarding():
        library.absent = None
        auth.apply("alike")
        await stage.reaches(Phase.PROMOTED)
    assert len(stage.notes("normal")) == 1


async def test_an_incident_before_the_release_is_known(stage: Stage, library: Library) -> None:
    library.before = 0.2
    auth = stage.cluster.create_serving()
    async with stage.guarding():
        await asyncio.sleep(2.0)
        auth.apply("repair")
        await asyncio.sleep(5.0)
        spans = {span for span, _ in library.asked}
        assert BEFORE in spans
        await stage.reaches(Phase.PROMOTED)


async def test_only_pods_of_the_stable_revision_are_asked_about(
    stage: Stage, library: Library
) -> None:
    auth = stage.cluster.create_serving()
    async with stage.guarding():
        await asyncio.sleep(2.0)
        stable = {pod.uid for pod in auth.pods}
        auth.apply("better")
        await asyncio.sleep(5.0)
        assert all(uids <= stable for _, uids in library.asked)
        library.asked.clear()
        await stage.reaches(Phase.PROMOTED)
        await asyncio.sleep(EVERY)
        assert library.days
        assert not any(uids & stable for _, uids in library.asked)


async def test_pods_that_are_gone_still_count_for_their_revision(
    stage: Stage, library: Library
) -> None:
    auth = stage.cluster.create_serving()
    async with stage.guarding():
        first = {pod.uid for pod in auth.pods}
        auth.scale(1)
        await asyncio.sleep(EVERY + 30.0)
        assert library.asked[-1][1] >= first


async def test_a_history_of_many_pods_is_read_aside_in_longer_blocks(
    stage: Stage, library: Library
) -> None:
    library.ratio = 0.03
    auth = stage.cluster.create_serving(replicas=60)
    async with stage.guarding() as guard:
        found = await ask_normal(guard.world, POLICY, auth.pods, now())
    assert found["availability"].over == pytest.approx(0.03, rel=0.01)
    assert all(len(uids) == 60 for _, uids in library.asked)
