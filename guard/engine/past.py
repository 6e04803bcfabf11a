"""Looking back: what Prometheus' history says of a workload's stable revision.

No rollout waits for it. Between rollouts it is asked for beforehand, so that the next one begins
with what is normal; what was still unknown then is asked for beside the first ticks, and taken by a
check as long as it has weighed nothing yet.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import structlog

from guard.core.checks import bounds
from guard.core.checks.counted_state import CountedState
from guard.core.evidence import history
from guard.core.policy import CountedCheck, Health, WorseThanStable, of_whole_service
from guard.core.samples import NoData, Unavailable, UnavailableReason
from guard.core.ticks import Youth
from guard.engine.tasks import persist

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from guard.core.evidence.history import Normal, Track
    from guard.core.policy import Policy, Scrape
    from guard.core.records import CheckState
    from guard.core.ticks import Frame
    from guard.core.workloads import Pod, Snapshot, WorkloadId
    from guard.engine.gather import Sides
    from guard.engine.world import World

EVERY = 600.0
"""Seconds between two looks back on a workload that has no rollout."""
GOOD_FOR = 3600.0
"""Seconds for which an answer is used where Prometheus gives no newer one."""
ANSWER_WITHIN = 5.0
AGAIN = 30.0
"""Seconds until it is asked again what was not answered."""
STEP = 60.0
COARSE_STEP = 120.0
"""Seconds between two marks: blocks of 1 to 2 min (decisions.md, C)."""
FINE_PODS = 50
"""Pods up to which the finer step is asked for."""
BEFORE = 300.0
"""Seconds before the rollout in which a stable revision over its bound is suspicious."""
MARKS_AT_ONCE = 4_000
"""Marks from which on a history is read in a thread: so many take some 7 ms."""
TRIES = 3
"""Times that a rollout asks for what it has not got; later it could not be used any more."""
GONE_AT_MOST = 100
"""Pods of the stable revision that are gone and whose history still counts."""

log = structlog.get_logger("guard.past")


class Past:
    """Keeps what is normal for one workload's stable revision."""

    def __init__(self, world: World, workload: WorkloadId) -> None:
        """Start with nothing asked."""
        self._world = world
        self._workload = workload
        self._due = 0.0
        self._task: asyncio.Task[None] | None = None
        self._content = ""
        self._normal: Mapping[str, Normal] = {}
        self._known: dict[str, Pod] = {}

    def look(self, snapshot: Snapshot, policy: Policy) -> None:
        """Ask if it is time to, of the revision that serves now. Never waits."""
        if self._world.history is None:
            return
        current = snapshot.current
        if current.content != self._content:
            self._content, self._due = current.content, 0.0
            self._normal, self._known = {}, {}
        # The platform named these pods: what they did counts after they are gone, too.
        seen = {pod.name: pod for pod in snapshot.pods_of(snapshot.hashes_of(current))}
        self._known = dict([*(self._known | seen).items()][-GONE_AT_MOST - len(seen) :])
        under_way = self._task is not None and not self._task.done()
        if under_way or self._world.now() < self._due or not seen:
            return
        self._due = self._world.now() + EVERY
        name = f"past:{self._workload}"
        ask = partial(self._ask, policy, tuple(self._known.values()))
        self._task = asyncio.create_task(persist(name, ask, self._world.metrics), name=name)

    def normal(self, content: str) -> Mapping[str, Normal]:
        """What is normal for a revision, by check name; empty where it is not known."""
        oldest = self._world.now() - GOOD_FOR
        if content != self._content:
            return {}
        return {name: one for name, one in self._normal.items() if one.at >= oldest}

    async def close(self) -> None:
        """Drop a question under way. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _ask(self, policy: Policy, pods: Sequence[Pod]) -> None:
        content = self._content
        normal = await ask_normal(self._world, policy, pods, self._world.now())
        if content != self._content:
            return
        if normal:
            self._normal = {**self._normal, **normal}
        else:
            self._due = self._world.now() + AGAIN


class LookBack:
    """Asks beside a rollout for what its frame lacks."""

    def __init__(self, world: World, policy: Policy, sides: Sides, frame: Frame) -> None:
        """Nothing is known yet; `run` must be running."""
        self._world = world
        self._policy = policy
        self._sides = sides
        self._frame = frame
        # What a proxy counted needs no pod of the stable revision to be asked for.
        self._whole = any(
            of_whole_service(check.objective.sli)
            for check in policy.checks
            if isinstance(check, CountedCheck)
        )
        self.before: Mapping[str, Youth] = {}
        self.normal: Mapping[str, Normal] = {}

    async def run(self) -> None:
        """Ask until all is known, or could not be used any more."""
        if self._world.history is None:
            return
        for _ in range(TRIES):
            # Of pods that were there before it: no candidate's pod has any history.
            began_at = self._frame.began_at
            pods = [p for p in self._sides.pods(self._sides.stable) if p.created_at < began_at]
            asks = bool(pods) or self._whole
            if asks and not self.before:
                self.before = await ask_before(self._world, self._policy, pods, began_at)
            if asks and not self.normal and not self._frame.normal:
                self.normal = await ask_normal(self._world, self._policy, pods, began_at)
            if self.before and (self.normal or self._frame.normal):
                return
            await asyncio.sleep(AGAIN)


async def ask_normal(
    world: World, policy: Policy, pods: Sequence[Pod], at: float
) -> dict[str, Normal]:
    """What is normal for these pods until a moment, by the name of each counted check."""
    step = STEP if len(pods) <= FINE_PODS else COARSE_STEP

    def read(check: CountedCheck, tracks: Sequence[Track]) -> Normal:
        found = history.normal(tracks, check.above, at, step)
        # Of a whole service each track is a proxy: one of them alone says nothing of a pod.
        return replace(found, pod_over=None) if of_whole_service(check.objective.sli) else found

    return await _ask(world, policy, pods, ((at - history.DAY, at, step), read))


async def ask_before(
    world: World, policy: Policy, pods: Sequence[Pod], began_at: float
) -> dict[str, Youth]:
    """What these pods did in the 5 min before a rollout, by the name of each counted check."""
    step = world.options.scrape_interval

    def read(_: CountedCheck, tracks: Sequence[Track]) -> Youth:
        bad, total = history.served(tracks, began_at - BEFORE - step, began_at)
        return Youth(bad=bad, total=total)

    return await _ask(world, policy, pods, ((began_at - BEFORE, began_at, step), read))


T = TypeVar("T")
Span = tuple[float, float, float]
"""(since, until, step), as `History.look_back` takes it."""


async def _ask(
    world: World,
    policy: Policy,
    pods: Sequence[Pod],
    asked: tuple[Span, Callable[[CountedCheck, Sequence[Track]], T]],
) -> dict[str, T]:
    """Ask for each counted check."""
    assert world.history is not None
    span, read = asked
    found: dict[str, T] = {}
    for check in policy.checks:
        if not isinstance(check, CountedCheck):
            continue
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                answer = await world.history.look_back(
                    check.objective.sli, pods, scrape_of(policy), span
                )
        except TimeoutError:
            answer = Unavailable(UnavailableReason.TIMEOUT, "no history in time")
        kind = {NoData: "no_data", Unavailable: "unavailable"}.get(type(answer), "measured")
        world.metrics.samples.labels("history", kind).inc()
        if isinstance(answer, NoData | Unavailable):
            log.info("no history", check=check.name, why=f"{answer.reason.value} {answer.detail}")
        else:
            found[check.name] = await _aside(partial(read, check, answer), answer)
    return found


async def _aside(read: Callable[[], T], tracks: Sequence[Track]) -> T:
    """Read a long history in a thread, lest the loop stand still."""
    if sum(len(track.marks) for track in tracks) > MARKS_AT_ONCE:
        return await asyncio.to_thread(read)
    return read()


def told(before: Mapping[str, CheckState], after: Mapping[str, CheckState]) -> list[str]:
    """What people must know of the service's normal state that the checks did not know before."""
    found = []
    for name, state in after.items():
        was = before.get(name)
        if not isinstance(state, CountedState) or isinstance(state.check, WorseThanStable):
            continue
        known = isinstance(was, CountedState) and was.bound.normal is not None
        text = "" if known else bounds.news(state.bound, name, state.check.above)
        found += [text] if text else []
    return found


def scrape_of(policy: Policy) -> Scrape:
    """Where metrics are read, with the paths that the policy's own health checks ask."""
    paths = {c.path for c in policy.checks if isinstance(c, Health) and c.path}
    return replace(policy.scrape, asked=frozenset(paths))
