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
from guard.core.checks.counted_state import CountedState, youth_of
from guard.core.errors import GuardError, PermanentError, TemporaryError
from guard.core.records import RECORDS_AT_MOST, Memory, Unproven, remember_rollback, trust
from guard.core.states import Facts, Phase
from guard.core.workloads import Mode
from guard.engine import codec
from guard.engine.troubles import Trouble, failure_over
from guard.engine.writer import TOLD_AFTER, Writer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guard.core.records import Record
    from guard.core.ticks import Youth
    from guard.core.workloads import Revision, Snapshot, WorkloadId
    from guard.engine.troubles import Troubles
    from guard.engine.world import World

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
ANSWER_WITHIN = 5.0
"""Seconds after which a question to the store counts as not answered."""
REHEARSED_WITHIN = 60.0
"""Seconds after which a rehearsal counts as not answered; like a rollback it may try many times."""

log = structlog.get_logger("guard.keeper")


class Keeper:
    """Holds one workload's memory and records, and has them written."""

    def __init__(self, world: World, workload: WorkloadId, uid: str, troubles: Troubles) -> None:
        """Start with nothing; `load` brings what was stored."""
        self._world = world
        self.troubles = troubles
        self.memory = Memory(workload=workload, uid=uid)
        self.records: list[Record] = []
        self.told: dict[str, str] = {}
        self._unkept: tuple[str, float] | None = None
        self.rights = Rights(may_patch=True)
        self._writer = Writer(world, workload, uid, self._documents, troubles)

    async def load(self) -> None:
        """Bring what was stored; waits until the store answers.

        Raises:
            PermanentError: what is stored cannot be read by this guard.
        """
        documents = await self._until_answered()
        memory, records = codec.decode(documents)
        if memory is not None:
            self.memory = _unwatched(memory, self._world.now())
        self.records = list(records)
        self.told = codec.decode_told(documents)
        for record in records:
            self._world.board.show(record)
        for at in self.memory.rollbacks:
            self._world.circuit.rolled_back(self.memory.workload, at)

    async def _until_answered(self) -> Mapping[str, str]:
        pause = FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout(ANSWER_WITHIN):
                    return await self._world.platform.load(self.memory.workload, self.memory.uid)
            except (TemporaryError, TimeoutError) as error:
                log.warning("memory not loaded", workload=str(self.memory.workload), why=str(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def record_of(self, rollout: str) -> Record | None:
        """A record by its rollout's name."""
        return next((record for record in self.records if record.id == rollout), None)

    @property
    def newest(self) -> Record | None:
        """The newest record."""
        return self.records[-1] if self.records else None

    @property
    def open_record(self) -> Record | None:
        """The newest record of a rollout that has not ended."""
        return next((r for r in reversed(self.records) if not r.state.ended), None)

    # Stories that outlive their rollout.

    @property
    def failures(self) -> list[Record]:
        """Failed rollbacks whose story is still open."""
        failed = [r for r in self.records if r.state.phase is Phase.ROLLBACK_FAILED]
        return [record for record in failed if record.id not in self.told]

    def failure_over(self, record: Record, why: str) -> None:
        """What a failed rollback left serving serves no more: close its story (law 9)."""
        self._world.deliver.tell(failure_over(record.state.case, why, self._world.now()))
        known = {one.id for one in self.records}
        kept = {key: told for key, told in self.told.items() if "@" not in key or key in known}
        self.told = {**kept, record.id: "over"}
        self.put()

    def look(self, snapshot: Snapshot) -> None:
        """Close what the newest snapshot shows to be over."""
        if self._unkept is None or self._unkept[0] != snapshot.current.hash:
            self.troubles.over(Trouble.TEMPLATE)
        for record in self.failures:
            if snapshot.complete and snapshot.current.hash != record.state.case.candidate.hash:
                self.failure_over(record, f"{snapshot.current.hash} serves alone")

    # Writing.

    def put(self, record: Record | None = None) -> None:
        """Have memory and records written soon. Never waits.

        Args:
            record: the record that changed, if one did.
        """
        if record is not None:
            self._take(record)
        self._writer.changed()

    async def secure(self, record: Record) -> bool:
        """Write memory and this record now. Returns whether they are in the store.

        An intent is secured before its act (law 6); where that fails people are told.
        """
        self.put(record)
        return await self._writer.now()

    async def flush(self, seconds: float) -> None:
        """Wait until all is written, at most so long; nothing is under way afterwards."""
        if not await self._writer.flush(seconds):
            log.error("last checkpoint not written", workload=str(self.memory.workload))
        await self._writer.halt()

    async def retire(self) -> None:
        """This object is gone: write no more, close its stories, take its records off the board."""
        await self._writer.close()
        self.troubles.all_over()
        for record in self.failures:
            self.failure_over(record, "the workload was deleted")
        for record in self.records:
            self._world.board.drop(record.id)
        self.records = []

    def _documents(self) -> Mapping[str, str]:
        documents = codec.encode(self.memory, reversed(self.records))
        return {**documents, **codec.encode_told(self.told)}

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

    async def trust(self, record: Record, snapshot: Snapshot, why: str) -> bool:
        """Take a promoted candidate as known good; see `trust_revision`."""
        return await self.trust_revision(record.state.case.candidate, snapshot, why, youths(record))

    async def trust_revision(
        self, revision: Revision, snapshot: Snapshot, why: str, youth: Mapping[str, Youth]
    ) -> bool:
        """Keep a revision's template and take it as known good, trying once.

        The template is kept first: a known-good revision whose template is lost would be a
        promise that no rollback could keep. The warden tries again at each of its looks.

        Returns:
            Whether it is known good now. It is not where the store did not answer, or where the
            template in force is another one by now.
        """
        good = KnownGood(revision=revision, since=self._world.now(), why=why)
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                kept = await self._world.platform.keep(snapshot, good)
        except (GuardError, TimeoutError) as error:
            why = str(error) or f"no answer within {ANSWER_WITHIN:.0f} s"
            log.warning("template not kept", workload=str(snapshot.workload), why=why)
            self._not_kept(revision, why, for_good=isinstance(error, PermanentError))
            return False
        self._unkept = None
        if kept:
            self.memory = trust(self.memory, good, youth)
            self.troubles.over(Trouble.TEMPLATE)
            self.put()
        return kept

    def _not_kept(self, revision: Revision, why: str, *, for_good: bool) -> None:
        """Tell people where it is refused, or not answered for long."""
        now = self._world.now()
        if self._unkept is None or self._unkept[0] != revision.hash:
            self._unkept = (revision.hash, now)
        if for_good or now - self._unkept[1] >= TOLD_AFTER:
            self.troubles.open(Trouble.TEMPLATE, why)

    def rolled_back(self, record: Record) -> None:
        """Remember that this candidate was rolled back, with the next write."""
        intent = record.state.intent
        assert intent is not None
        self.memory = remember_rollback(self.memory, intent.candidate.content, intent.decided_at)
        good = self.memory.known_good
        if good is not None and good.revision.same_as(intent.candidate):
            # It was promoted and failed later: what was known good before it is so again.
            before = intent.known_good
            self.memory = replace(self.memory, known_good=before, youth=dict(record.frame.youth))

    def ended(self, record: Record) -> None:
        """Note what an ended rollout leaves behind, with the next write."""
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
        """Send this rollout's rollback as a dry run; None where there is nothing to return to.

        Raises:
            TemporaryError: the platform did not answer.
            TimeoutError: the same, within its time.
        """
        case = record.state.case
        good = self.memory.known_good
        if good is None or good.assumed or good.revision.same_as(case.candidate):
            return None
        intent = Intent(
            id=f"rehearse:{case.rollout}",
            workload=case.workload,
            uid=case.uid,
            candidate=case.candidate,
            known_good=good,
            decided_at=self._world.now(),
            cause=stories.cause(case, good),
            previous=record.state.previous,
        )
        async with asyncio.timeout(REHEARSED_WITHIN):
            return await self._world.platform.rehearse(intent)


def youths(record: Record) -> dict[str, Youth]:
    """What the candidate's pods did when young, by check."""
    return {
        name: youth_of(state)
        for name, state in record.checks.items()
        if isinstance(state, CountedState)
    }


def _unwatched(memory: Memory, now: float) -> Memory:
    """While the guard was away nobody saw whether an unproven revision served without trouble."""
    if memory.unproven is None:
        return memory
    return replace(memory, unproven=replace(memory.unproven, clean_since=now))
