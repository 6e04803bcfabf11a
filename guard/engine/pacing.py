"""Brings pauses in force and ends them. What is to be done says `core.pace`; here it is tried.

Level-triggered like all else: a pause that a rollout waits for, or that none needs any more, is
asked for again until the platform has answered. Nothing is asked while a person has paused it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from guard.core import pace
from guard.core.actions import Outcome, OutcomeKind, PauseIntent
from guard.core.errors import GuardError, PermanentError
from guard.core.states import Pacing, PauseAnswered, Phase, ResumeAnswered
from guard.core.workloads import Mode
from guard.engine.troubles import Trouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from guard.core.records import Record
    from guard.core.states import State
    from guard.core.workloads import Snapshot
    from guard.engine.troubles import Troubles
    from guard.engine.world import World

ANSWER_WITHIN = 3.0
"""Seconds after which an attempt counts as not answered: judging waits for it."""
AGAIN = 1.0
"""Seconds from an attempt that was not answered, or refused, until the next one."""
HELD_BY_GUARD = frozenset({Pacing.PAUSING, Pacing.PAUSED})

log = structlog.get_logger("guard.pacing")


class Pacer:
    """Pauses one workload, and lets it go on."""

    def __init__(self, world: World, troubles: Troubles) -> None:
        """Start with nothing asked."""
        self._world = world
        self._troubles = troubles
        self._not_before = 0.0

    async def due(
        self, state: State, snapshot: Snapshot, mode: Mode
    ) -> PauseAnswered | ResumeAnswered | None:
        """Try what is due for a rollout that is judged; None where nothing is, or not yet."""
        if snapshot.paused or state.pacing in HELD_BY_GUARD or snapshot.pause is None:
            self._troubles.over(Trouble.PAUSE)  # There is nothing to let go on, or not any more.
        if snapshot.paused or state.phase is Phase.ROLLING_BACK or state.ended:
            return None
        intent = pace.intent(state, self._world.now())
        first = state.pacing is Pacing.PAUSING and state.paused_at is None
        if first or pace.reached(state, snapshot):
            if mode is not Mode.ACT or snapshot.complete:
                return None  # The next look says why it is not paced.
            outcome = await self._attempt("pause", self._world.platform.pause, intent)
            return PauseAnswered(outcome) if outcome else None
        if state.pacing is Pacing.ADVANCING and pace.shown(state, snapshot.pause):
            return None  # It is in force already: the next look takes it in.
        if state.pacing not in HELD_BY_GUARD and snapshot.pause is not None:
            outcome = await self._resume(intent)
            return ResumeAnswered(outcome) if outcome else None
        return None

    def reached(self, state: State, snapshot: Snapshot) -> bool:
        """Whether the next step's pods are there, and the platform may be asked to hold them."""
        may_ask = asyncio.get_running_loop().time() >= self._not_before
        return may_ask and pace.reached(state, snapshot)

    async def let_go(self, snapshot: Snapshot, newest: Record | None) -> None:
        """End a pause of a workload of which no rollout is judged any more."""
        if snapshot.paused or snapshot.pause is None or _failed(snapshot, newest):
            self._troubles.over(Trouble.PAUSE)
            return
        await self._resume(
            PauseIntent(
                workload=snapshot.workload,
                uid=snapshot.uid,
                candidate=snapshot.current,
                decided_at=self._world.now(),
                previous=newest.state.previous if newest else "",
            )
        )

    async def _resume(self, intent: PauseIntent) -> Outcome | None:
        outcome = await self._attempt("resume", self._world.platform.resume, intent)
        if outcome is None or outcome.kind is OutcomeKind.SUPERSEDED:
            return outcome
        if outcome.kind in pace.TAKEN:
            self._troubles.over(Trouble.PAUSE)
        else:
            self._troubles.open(Trouble.PAUSE, outcome.detail)
        return outcome

    async def _attempt(
        self, what: str, act: Callable[[PauseIntent], Awaitable[Outcome]], intent: PauseIntent
    ) -> Outcome | None:
        clock = asyncio.get_running_loop().time
        if clock() < self._not_before:
            return None
        outcome = await self._answer(act, intent)
        if outcome.kind not in pace.TAKEN:
            self._not_before = clock() + AGAIN
        log.info(
            what,
            workload=str(intent.workload),
            candidate=intent.candidate.hash,
            outcome=outcome.kind.value,
            detail=outcome.detail,
            seconds=round(outcome.at - intent.decided_at, 3),
        )
        return outcome

    async def _answer(
        self, act: Callable[[PauseIntent], Awaitable[Outcome]], intent: PauseIntent
    ) -> Outcome:
        now = self._world.now
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await act(intent)
        except TimeoutError:
            detail = f"no answer within {ANSWER_WITHIN:.0f} s"
        except PermanentError as error:
            return Outcome(OutcomeKind.REFUSED, now(), str(error))
        except GuardError as error:
            detail = str(error)
        return Outcome(OutcomeKind.UNAVAILABLE, now(), detail)


def _failed(snapshot: Snapshot, newest: Record | None) -> bool:
    """A release that failed and could not be undone is not let on to more users as well."""
    if newest is None or newest.state.phase is not Phase.ROLLBACK_FAILED:
        return False
    return newest.state.case.candidate.hash == snapshot.current.hash
