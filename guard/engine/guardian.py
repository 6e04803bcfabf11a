"""The guardian: one task that follows one rollout from its beginning to its end.

It measures, judges, asks `lifecycle.step` what follows, and does just that. Everything it knows
is in its record, so that a guardian that begins with a stored record goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from guard.core import lifecycle
from guard.core.errors import TemporaryError
from guard.core.records import noted
from guard.core.states import (
    Act,
    Acted,
    Deleted,
    Judged,
    Note,
    Phase,
    Save,
    Superseded,
    Tell,
    Trust,
    TurnedOff,
)
from guard.core.ticks import Tick
from guard.core.verdicts import judge
from guard.core.workloads import Mode
from guard.engine import checks
from guard.engine.execute import Recovery, roll_back
from guard.engine.gather import Gatherer, Sides, rhythm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guard.core.records import Record
    from guard.core.samples import CounterSample
    from guard.core.states import Command, Event, Facts
    from guard.core.workloads import Snapshot
    from guard.engine.keeper import Keeper
    from guard.engine.world import World

CHECKPOINT_EVERY = 15.0
"""Seconds between two written checkpoints of the evidence (decisions.md, After a restart)."""

log = structlog.get_logger("guard.guardian")


class Guardian:
    """Follows one rollout."""

    def __init__(self, world: World, keeper: Keeper, record: Record, snapshot: Snapshot) -> None:
        """Take the record to go on with and the newest snapshot."""
        self.record = record
        self._world = world
        self._keeper = keeper
        self._sides = Sides(snapshot)
        self._gather = Gatherer(world, record.state.case.policy, self._sides)
        self._changed = asyncio.Event()
        self._off = False
        self._gone = False
        self._saved_at = world.now()
        self._first_pod_at: float | None = None
        self._recovery: Recovery | None = None

    # What others tell it.

    def see(self, snapshot: Snapshot) -> None:
        """Take the newest snapshot; older ones that were not looked at are lost on purpose."""
        self._sides.snapshot = snapshot
        self._changed.set()

    def turn_off(self) -> None:
        """A person took this workload from the guard."""
        self._off = True
        self._changed.set()

    def gone(self) -> None:
        """The workload was deleted."""
        self._gone = True
        self._changed.set()

    # Its life.

    async def run(self) -> Record:
        """Follow the rollout to its end and return its record."""
        background = asyncio.create_task(self._gather.run(), name=f"gather:{self.record.id}")
        rehearsal = asyncio.create_task(self._rehearse(), name=f"rehearse:{self.record.id}")
        try:
            while not self.record.state.ended:
                if background.done():
                    background.result()
                await self._once()
        finally:
            for task in (background, rehearsal):
                task.cancel()
            await asyncio.gather(background, rehearsal, return_exceptions=True)
        return self.record

    async def _once(self) -> None:
        self._changed.clear()
        self._sort()
        event = self._outside()
        if event is not None:
            await self._take(event)
        elif self.record.state.phase is Phase.ROLLING_BACK:
            await self._follow_rollback()
        else:
            await self._judge()
        if not self.record.state.ended:
            await self._pause()

    async def _pause(self) -> None:
        now = self._world.now()
        began = self._first_pod_at or now
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rhythm(now - began)):
                await self._woken()

    async def _woken(self) -> None:
        """Wake early for what changes what to do; a pod that turns ready waits for its tick."""
        while True:
            await self._changed.wait()
            if self._outside() is not None or self.record.state.phase is Phase.ROLLING_BACK:
                return
            self._changed.clear()

    def _sort(self) -> None:
        snapshot = self._sides.snapshot
        case = self.record.state.case
        self._sides.candidate = frozenset({case.candidate.hash})
        stable = case.stable
        known = frozenset({stable.revision.hash}) if stable else frozenset()
        alike = snapshot.hashes_of(stable.revision.content) if stable else frozenset()
        self._sides.stable = (known | alike) - self._sides.candidate
        if self._first_pod_at is None and snapshot.pods_of(self._sides.candidate):
            self._first_pod_at = self._world.now()

    def _outside(self) -> Event | None:
        """What ended the rollout from outside, if anything did."""
        snapshot = self._sides.snapshot
        state = self.record.state
        case = state.case
        if self._gone or snapshot.uid != case.uid:
            return Deleted()
        if self._off or snapshot.mode is Mode.OFF:
            return TurnedOff()
        current = snapshot.current
        if (current.hash, current.number) == (case.candidate.hash, case.candidate.number):
            return None
        good = state.intent.known_good if state.intent else case.stable
        back = good is not None and current.content == good.revision.content
        if state.phase is Phase.ROLLING_BACK:
            # Before the patch has an outcome, only the platform can tell whose template it is.
            return None if back or state.outcome is None else Superseded(self._by(current.hash))
        if back:
            return Superseded(f"a person put {current.hash} back, the known-good revision")
        return Superseded(self._by(current.hash))

    def _by(self, newer: str) -> str:
        return f"a newer release, {newer}, took its place"

    # Judging.

    async def _judge(self) -> None:
        with self._world.metrics.tick.time():
            counters, apart = await self._gather.counters()
        tick = self._tick(counters, apart=apart)
        states = {name: checks.update(s, tick) for name, s in self.record.checks.items()}
        findings = tuple(checks.find(state, tick) for state in states.values())
        judgement = judge(findings, self.record.frame)
        self._world.metrics.verdicts.labels(judgement.verdict.value).inc()
        for finding in judgement.findings:
            self._world.metrics.findings.labels(finding.reason.value).inc()
        self.record = replace(
            self.record, checks=states, findings=judgement.findings, mode=self._facts().mode
        )
        snapshot = tick.snapshot
        ready = [p for p in snapshot.pods_of(tick.candidate) if p.ready and p.deleted_at is None]
        event = Judged(
            judgement=judgement,
            facts=self._facts(),
            pods_ready=len(ready) >= snapshot.replicas > 0,
            complete=snapshot.complete and snapshot.current.hash in tick.candidate,
            replicas=snapshot.replicas,
        )
        await self._take(event)

    def _tick(self, counters: Mapping[str, Mapping[str, CounterSample]], *, apart: bool) -> Tick:
        return Tick(
            at=self._world.now(),
            snapshot=self._sides.snapshot,
            candidate=self._sides.candidate,
            stable=self._sides.stable,
            bake_began_at=self.record.state.bake_began_at,
            counters=counters,
            probes={name: dict(answers) for name, answers in self._gather.probes.items()},
            values=dict(self._gather.values),
            from_prometheus=apart,
        )

    def _facts(self) -> Facts:
        return self._keeper.facts(self._sides.snapshot)

    # Doing what follows.

    async def _take(self, event: Event) -> None:
        before = self.record.state
        state, commands = lifecycle.step(before, event, self._world.now())
        self.record = replace(self.record, state=state)
        await self._perform(commands)
        self._world.board.show(self.record)
        if self._world.now() - self._saved_at >= CHECKPOINT_EVERY:
            await self._save()

    async def _perform(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            if isinstance(command, Note):
                self.record = noted(self.record, command)
                log.info(
                    command.kind,
                    rollout=self.record.id,
                    service=self.record.state.case.service,
                    text=command.text,
                )
            elif isinstance(command, Tell):
                self._world.deliver.tell(command.notice)
        for command in commands:
            if isinstance(command, Trust):
                await self._keeper.trust(self.record, self._sides.snapshot, command.why)
        if any(isinstance(command, Save) for command in commands):
            self._world.board.show(self.record)
            await self._save(must=any(isinstance(command, Act) for command in commands))
        for command in commands:
            if isinstance(command, Act):
                await self._act()

    async def _save(self, *, must: bool = False) -> None:
        self._saved_at = self._world.now()
        await self._keeper.save(self.record, must=must)

    async def _act(self) -> None:
        """Try the rollback once; the next tick tries again where it was not available."""
        intent = self.record.state.intent
        assert intent is not None
        outcome = await roll_back(self._world, intent, self.record.state.case.service)
        self._recovery = None
        await self._take(Acted(outcome, self._sides.snapshot.progress_deadline))
        if self.record.state.verify_by is not None:
            await self._keeper.rolled_back(self.record, outcome.at)

    async def _follow_rollback(self) -> None:
        state = self.record.state
        if state.verify_by is None:
            await self._act()
            return
        if self._recovery is None:
            self._recovery = Recovery(self._world, state)
        event = await self._recovery.look(self._sides)
        await self._take(event)

    async def _rehearse(self) -> None:
        """Send the rollback as a dry run while there is time to tell people (law 6)."""
        if self.record.rehearsal is not None or self.record.state.phase is Phase.ROLLING_BACK:
            return
        rehearsal = await self._keeper.rehearse(self.record)
        if rehearsal is None:
            return
        self.record = replace(self.record, rehearsal=rehearsal)
        note = Note(rehearsal.at, "rehearsed", rehearsal.detail)
        with contextlib.suppress(TemporaryError):
            await self._perform((note, Save()))
