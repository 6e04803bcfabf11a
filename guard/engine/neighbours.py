"""Neighbours: is a service that this one depends on over its own bound, at this moment?

The law of this module: a neighbour's trouble only ever holds a rollout. It is measured as a
rollout's candidate is, by test A over all pods of the neighbour, from the moment on in which there
is trouble to be explained.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guard.core.checks import counted, counted_state
from guard.core.checks.blame import SUSPICIOUS, TOLD_APART
from guard.core.checks.counted_state import CountedState
from guard.core.policy import ErrorRatio, of_whole_service
from guard.core.samples import Reading
from guard.core.ticks import Frame, Tick
from guard.engine.burst import Burst
from guard.engine.past import Past, scrape_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guard.core.policy import Policy
    from guard.core.records import CheckState
    from guard.core.workloads import Snapshot, WorkloadId
    from guard.engine.world import World

EVERY = 1.0
"""Seconds between two readings of a neighbour."""
QUIET_AFTER = 60.0
"""Seconds without trouble of one's own after which neighbours are let alone."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A workload as its warden last saw it, with the policy that speaks for it."""

    snapshot: Snapshot
    policy: Policy
    past: Past


class Services:
    """Every guarded workload, for whoever depends on its service."""

    def __init__(self) -> None:
        """Start with none."""
        self._guarded: dict[WorkloadId, Guarded] = {}

    def see(self, guarded: Guarded) -> None:
        """Take the newest of one workload."""
        self._guarded[guarded.snapshot.workload] = guarded

    def forget(self, workload: WorkloadId) -> None:
        """The workload is gone, or not guarded any longer."""
        self._guarded.pop(workload, None)

    def of(self, service: str) -> list[Guarded]:
        """The workloads of a service."""
        return [one for one in self._guarded.values() if one.policy.service == service]


class Neighbours:
    """Watches what one rollout's service depends on, while that rollout has trouble."""

    def __init__(self, world: World, policy: Policy) -> None:
        """Nothing is asked while nothing is wrong; `run` must be running."""
        self._world = world
        self._names = policy.depends_on
        self._followed: dict[tuple[WorkloadId, str], _Followed] = {}
        self._wanted = asyncio.Event()
        self._wanted_at = 0.0

    @property
    def over(self) -> tuple[str, ...]:
        """The services that are over their own bound now."""
        over = {one.service for one in self._followed.values() if one.over}
        return tuple(name for name in self._names if name in over)

    def see(self, states: Iterable[CheckState]) -> None:
        """Look at the rollout's own evidence: is there trouble that asks for an explanation?"""
        if self._names and any(_suspicious(state) for state in states):
            self._wanted_at = self._world.now()
            self._wanted.set()

    async def run(self) -> None:
        """Read the neighbours while they are wanted, until cancelled."""
        try:
            while True:
                await self._wanted.wait()
                await self._read()
                if self._world.now() - self._wanted_at > QUIET_AFTER:
                    self._wanted.clear()
                    await self.close()
                await asyncio.sleep(EVERY)
        finally:
            await self.close()

    async def close(self) -> None:
        """Drop what is known of them, and the questions that are still open. Idempotent."""
        followed, self._followed = self._followed, {}
        for one in followed.values():
            await one.close()

    async def _read(self) -> None:
        now: dict[tuple[WorkloadId, str], _Followed] = {}
        asked = []
        for guarded in (one for name in self._names for one in self._world.services.of(name)):
            for check in guarded.policy.checks:
                # What a proxy counts is not read here: a neighbour's own pods say enough.
                if isinstance(check, ErrorRatio) and not of_whole_service(check.objective.sli):
                    key = guarded.snapshot.workload, check.name
                    known = self._followed.pop(key, None)
                    now[key] = known or _Followed(self._world, guarded, check)
                    asked.append(now[key].read(guarded.snapshot))
        gone, self._followed = self._followed, now
        for one in gone.values():
            await one.close()
        await asyncio.gather(*asked)


class _Followed:
    """One error ratio of one neighbour, all of its pods together."""

    def __init__(self, world: World, guarded: Guarded, check: ErrorRatio) -> None:
        policy, snapshot = guarded.policy, guarded.snapshot
        self.service = policy.service
        self._world = world
        self._burst = Burst(world.counters, check.objective.sli, scrape_of(policy))
        frame = Frame(
            began_at=world.now(),
            interval=world.options.scrape_interval,
            normal=guarded.past.normal(snapshot.current.content),
        )
        self._state = counted.begin(check, frame)

    @property
    def over(self) -> bool:
        """As stable is over its bound in the blame table: by its own M_A."""
        return counted_state.m_a(self._state) >= TOLD_APART

    async def read(self, snapshot: Snapshot) -> None:
        """Take one burst of all its living pods in."""
        pods = [pod for pod in snapshot.pods if pod.deleted_at is None and pod.address]
        counters, _ = await self._burst.read(pods)
        tick = Tick(
            at=self._world.now(),
            snapshot=snapshot,
            candidate=frozenset(pod.revision for pod in pods),
            stable=frozenset(),
            counters={self._state.check.name: counters},
            from_prometheus=any(
                isinstance(sample, Reading) and sample.source == "prometheus"
                for sample in counters.values()
            ),
        )
        self._state = counted.update(self._state, tick)

    async def close(self) -> None:
        await self._burst.close()


def _suspicious(state: CheckState) -> bool:
    return isinstance(state, CountedState) and counted_state.m_a(state) >= SUSPICIOUS
