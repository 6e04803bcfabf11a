"""Executes a rollback and watches whether it worked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from guard.core.actions import Outcome, OutcomeKind
from guard.core.errors import GuardError, PermanentError
from guard.core.evidence.statistics import lower
from guard.core.policy import ErrorRatio, of_whole_service
from guard.core.samples import Reading
from guard.core.states import Settling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guard.core.actions import Intent
    from guard.core.samples import CounterSample
    from guard.core.states import State
    from guard.engine.gather import Sides
    from guard.engine.world import World

MEASURED_FOR = 5.0
"""Seconds for which the known-good pods are measured, once they serve alone, before it is said
whether the service recovered."""
ANSWER_WITHIN = 60.0
"""Seconds after which one attempt counts as not answered, whatever the platform's own patience
is: it may try many times before it answers."""

log = structlog.get_logger("guard.execute")


async def roll_back(world: World, intent: Intent, service: str) -> Outcome:
    """Ask the platform once. The intent is in the record already."""
    workload = intent.workload
    world.metrics.rollback_started.labels(workload.namespace, workload.name, service).set(
        intent.decided_at
    )
    outcome = await _attempt(world, intent)
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


async def _attempt(world: World, intent: Intent) -> Outcome:
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            return await world.platform.rollback(intent)
    except TimeoutError:
        detail = f"no answer within {ANSWER_WITHIN:.0f} s"
    except PermanentError as error:
        return Outcome(OutcomeKind.REFUSED, world.now(), str(error))
    except GuardError as error:
        detail = str(error)
    return Outcome(OutcomeKind.UNAVAILABLE, world.now(), detail)


def done(outcome: Outcome) -> bool:
    """Whether this intent was carried out, now or by an attempt whose outcome was lost."""
    already = outcome.kind is OutcomeKind.ALREADY and outcome.by_guard
    return outcome.kind is OutcomeKind.PATCHED or already


class Recovery:
    """Watches a patched rollback to its end, and counts what users see meanwhile."""

    def __init__(self, state: State) -> None:
        """Begin to watch; after a restart of the guard the counts begin anew."""
        self._state = state
        checks = state.case.policy.checks
        counted = (check for check in checks if isinstance(check, ErrorRatio))
        # What a proxy counts for all pods says nothing of the known-good ones.
        by_pod = (check for check in counted if not of_whole_service(check.objective.sli))
        self._check = next(by_pod, None)
        self._complete_at: float | None = None
        self._last: dict[str, Reading] = {}
        self._bad = 0.0
        self._total = 0.0

    def look(
        self, sides: Sides, counters: Mapping[str, Mapping[str, CounterSample]], now: float
    ) -> Settling:
        """Look once: how many pods serve, and how many of their requests fail.

        Args:
            sides: the newest snapshot.
            counters: what the sources answered now, by check and account.
            now: seconds since the epoch.
        """
        snapshot = sides.snapshot
        intent = self._state.intent
        assert intent is not None
        good = snapshot.hashes_of(intent.known_good.revision)
        if self._check is not None:
            living = {pod.uid for pod in sides.pods(good)}
            self._count(counters.get(self._check.name, {}), living)
        pods = [p for p in snapshot.pods_of(good) if p.ready and p.deleted_at is None]
        back = snapshot.current.same_as(intent.known_good.revision)
        if not (back and snapshot.complete):
            self._complete_at = None
        elif self._complete_at is None:
            self._complete_at = now
        text = f"{len(pods)} of {snapshot.replicas} pods of the known-good revision ready"
        return Settling(
            complete=self._measured(now),
            text=f"{text}{self._words()}",
            recovered=self._recovered(),
        )

    def _measured(self, now: float) -> bool:
        """Whether the known-good pods have served alone for long enough to say how well.

        What was complete in time is complete, also where the time to measure is cut short.
        """
        if self._complete_at is None:
            return False
        verify_by = self._state.verify_by
        over = verify_by is not None and now >= verify_by
        return over or now - self._complete_at >= MEASURED_FOR

    def _words(self) -> str:
        if not self._total:
            return ", no request of theirs measured since"
        return f", {self._bad:.0f} of their {self._total:.0f} requests failed since"

    def _recovered(self) -> bool | None:
        """None where there are too few requests to say that the service has not recovered."""
        if self._check is None or not self._total:
            return None
        if self._bad / self._total <= self._check.above:
            return True
        return False if lower(self._bad, self._total) > self._check.above else None

    def _count(self, samples: Mapping[str, CounterSample], living: set[str]) -> None:
        """Count by plain differences: this decides nothing, it is told."""
        for key, sample in samples.items():
            if not isinstance(sample, Reading) or key.partition("/")[0] not in living:
                continue
            before = self._last.get(key)
            self._last[key] = sample
            if before is not None and before.source == sample.source:
                requests = sample.total - before.total
                bad = (sample.bad or 0.0) - (before.bad or 0.0)
                if 0.0 <= bad <= requests:
                    self._total += requests
                    self._bad += bad
