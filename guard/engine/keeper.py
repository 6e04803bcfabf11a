"""The keeper of one workload's memory: what is known good, what was rolled back, its records.

Everything that must outlive the process passes here on its way to the platform's store.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from guard.core import stories
from guard.core.actions import Intent, KnownGood, Rehearsal, Rights
from guard.core.checks.error_ratio import ErrorRatioState, youth_of
from guard.core.errors import GuardError, TemporaryError
from guard.core.records import RECORDS_AT_MOST, Memory, Unproven, remember_rollback, trust
from guard.core.states import Facts, Phase
from guard.core.workloads import Mode
from guard.engine import codec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guard.core.records import Record
    from guard.core.ticks import Youth
    from guard.core.workloads import Revision, Snapshot, WorkloadId
    from guard.engine.world import World

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0

log = structlog.get_logger("guard.keeper")


class Keeper:
    """Holds one workload's memory and records, and writes them."""

    def __init__(self, world: World, workload: WorkloadId, uid: str) -> None:
        """Start with nothing; `load` brings what was stored."""
        self._world = world
        self.memory = Memory(workload=workload, uid=uid)
        self.records: list[Record] = []
        self.rights = Rights(may_patch=True)
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Bring what was stored; waits until the store answers.

        Raises:
            PermanentError: what is stored cannot be read by this guard.
        """
        documents = await self._until_answered()
        memory, records = codec.decode(documents)
        if memory is not None:
            self.memory = memory
        self.records = list(records)
        for record in records:
            self._world.board.show(record)
        for at in self.memory.rollbacks:
            self._world.circuit.rolled_back(at)

    async def _until_answered(self) -> Mapping[str, str]:
        pause = FIRST_PAUSE
        while True:
            try:
                return await self._world.platform.load(self.memory.workload, self.memory.uid)
            except TemporaryError as error:
                log.warning("memory not loaded", workload=str(self.memory.workload), why=str(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def record_of(self, rollout: str) -> Record | None:
        """A stored record by its rollout's name."""
        return next((record for record in self.records if record.id == rollout), None)

    # Writing.

    async def save(self, record: Record | None = None, *, must: bool = False) -> None:
        """Write memory and records.

        Args:
            record: the record that changed, if one did.
            must: wait until it is written (an intent before its act); else one failure is
                counted and the next checkpoint writes it.
        """
        if record is not None:
            self._take(record)
        pause = FIRST_PAUSE
        while True:
            try:
                await self._write()
            except GuardError as error:
                self._world.metrics.record_failures.inc()
                log.warning(
                    "record not written", workload=str(self.memory.workload), why=str(error)
                )
                if not must:
                    return
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return

    async def _write(self) -> None:
        async with self._lock:
            documents = codec.encode(self.memory, reversed(self.records))
            await self._world.platform.save(self.memory.workload, self.memory.uid, documents)

    def _take(self, record: Record) -> None:
        others = [one for one in self.records if one.id != record.id]
        dropped = others[: max(len(others) + 1 - RECORDS_AT_MOST, 0)]
        for one in dropped:
            self._world.board.drop(one.id)
        self.records = [*others[len(dropped) :], record]

    # What the lifecycle asks.

    def facts(self, snapshot: Snapshot) -> Facts:
        """What stands for or against acting now."""
        return Facts(
            mode=self.mode(snapshot),
            known_good=self.memory.known_good,
            rolled_back=frozenset(self.memory.rolled_back),
            circuit_open=self._world.circuit.open,
            paused=snapshot.paused,
            may_patch=self.rights.may_patch,
            migration=snapshot.migration,
        )

    def mode(self, snapshot: Snapshot) -> Mode:
        """The workload's own label, else the guard's mode."""
        return snapshot.mode or self._world.options.mode

    async def trust(self, record: Record, snapshot: Snapshot, why: str) -> None:
        """Take a promoted candidate as known good."""
        await self.trust_revision(record.state.case.candidate, snapshot, why, youths(record))

    async def trust_revision(
        self, revision: Revision, snapshot: Snapshot, why: str, youth: Mapping[str, Youth]
    ) -> bool:
        """Keep a revision's template and take it as known good; False where it is not in force.

        The template is kept first: a known-good revision whose template is lost would be a
        promise that no rollback could keep.
        """
        good = KnownGood(revision=revision, since=self._world.now(), why=why)
        pause = FIRST_PAUSE
        while True:
            try:
                kept = await self._world.platform.keep(snapshot, good)
            except TemporaryError as error:
                log.warning("template not kept", workload=str(snapshot.workload), why=str(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except GuardError as error:
                log.warning("template refused", workload=str(snapshot.workload), why=str(error))
                return False
            else:
                break
        if kept:
            self.memory = trust(self.memory, good, youth)
        return kept

    async def rolled_back(self, record: Record, at: float) -> None:
        """Remember that this candidate was rolled back."""
        content = record.state.case.candidate.content
        if content in self.memory.rolled_back:
            return
        self.memory = remember_rollback(self.memory, content, at)
        self._world.circuit.rolled_back(at)
        await self.save(record)

    def ended(self, record: Record) -> None:
        """Note what an ended rollout leaves behind."""
        self._world.metrics.ended.labels(record.state.phase.value).inc()
        case = record.state.case
        if record.state.phase is not Phase.UNPROVEN:
            return
        self.memory = replace(
            self.memory,
            unproven=Unproven(
                revision=case.candidate,
                clean_since=self._world.now(),
                trust_after=case.policy.trust_after,
                youth=youths(record),
            ),
        )

    async def rehearse(self, record: Record) -> Rehearsal | None:
        """Send this rollout's rollback as a dry run; None where there is nothing to return to."""
        case = record.state.case
        good = self.memory.known_good
        if good is None or good.assumed or good.revision.content == case.candidate.content:
            return None
        intent = Intent(
            id=f"rehearse:{case.rollout}",
            workload=case.workload,
            uid=case.uid,
            candidate=case.candidate,
            known_good=good,
            decided_at=self._world.now(),
            cause=stories.cause(case, good),
        )
        return await self._world.platform.rehearse(intent)


def youths(record: Record) -> dict[str, Youth]:
    """What the candidate's pods did when young, by check."""
    return {
        name: youth_of(state)
        for name, state in record.checks.items()
        if isinstance(state, ErrorRatioState)
    }
