"""Executes a rollback and watches whether it worked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from guard.core.policy import ErrorRatio
from guard.core.samples import Reading
from guard.core.states import Settling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guard.core.actions import Intent, Outcome
    from guard.core.samples import CounterSample
    from guard.core.states import State
    from guard.engine.gather import Sides
    from guard.engine.world import World

MEASURED_FOR = 5.0
"""Seconds for which the known-good pods are measured, once they serve alone, before it is said
whether the service recovered."""

log = structlog.get_logger("guard.execute")


async def roll_back(world: World, intent: Intent, service: str) -> Outcome:
    """Ask the platform once. The intent is in the record already."""
    workload = intent.workload
    world.metrics.rollback_started.labels(workload.namespace, workload.name, service).set(
        intent.decided_at
    )
    outcome = await world.platform.rollback(intent)
    world.metrics.rollbacks.labels(outcome.kind.value).inc()
    log.info(
        "rollback",
        intent=intent.id,
        outcome=outcome.kind.value,
        detail=outcome.detail,
        warnings=list(outcome.warnings),
        seconds=round(outcome.at - intent.decided_at, 3),
    )
    return outcome


class Recovery:
    """Watches a patched rollback to its end, and counts what users see meanwhile."""

    def __init__(self, world: World, state: State) -> None:
        """Begin to watch; after a restart of the guard the counts begin anew."""
        self._world = world
        self._state = state
        self._complete_at: float | None = None
        self._last: dict[str, Reading] = {}
        self._bad = 0.0
        self._total = 0.0

    async def look(self, sides: Sides) -> Settling:
        """Look once: how many pods serve, and how many of their requests fail."""
        snapshot = sides.snapshot
        intent = self._state.intent
        assert intent is not None
        good = snapshot.hashes_of(intent.known_good.revision.content)
        pods = [p for p in snapshot.pods_of(good) if p.ready and p.deleted_at is None]
        back = snapshot.current.content == intent.known_good.revision.content
        now = self._world.now()
        complete = back and snapshot.complete
        await self._measure(sides, good)
        if not complete:
            self._complete_at = None
        elif self._complete_at is None:
            self._complete_at = now
        measured = self._complete_at is not None and now - self._complete_at >= MEASURED_FOR
        text = f"{len(pods)} of {snapshot.replicas} pods of the known-good revision ready"
        return Settling(
            complete=measured, text=f"{text}{self._words()}", recovered=self._recovered()
        )

    def _words(self) -> str:
        if not self._total:
            return ", no request of theirs measured since"
        return f", {self._bad:.0f} of their {self._total:.0f} requests failed since"

    def _recovered(self) -> bool | None:
        bounds = [c.above for c in self._state.case.policy.checks if isinstance(c, ErrorRatio)]
        if not self._total or not bounds:
            return None
        return self._bad / self._total <= max(bounds)

    async def _measure(self, sides: Sides, good: frozenset[str]) -> None:
        """Count by plain differences: this decides nothing, it is told."""
        policy = self._state.case.policy
        check = next((c for c in policy.checks if isinstance(c, ErrorRatio)), None)
        pods = sides.pods(good)
        if check is None or not pods or not self._world.counters:
            return
        answer = await self._world.counters[0].read(check.objective.sli, pods, policy.scrape)
        self._add(answer)

    def _add(self, answer: Mapping[str, CounterSample]) -> None:
        for key, sample in answer.items():
            if not isinstance(sample, Reading):
                continue
            before = self._last.get(key)
            self._last[key] = sample
            if before is not None and sample.total >= before.total:
                self._total += sample.total - before.total
                self._bad += max((sample.bad or 0.0) - (before.bad or 0.0), 0.0)
