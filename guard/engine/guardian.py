"""The guardian: one task that follows one rollout from its beginning to its end.

It measures, judges, asks `lifecycle.step` what follows, and does just that. Everything it knows
is in its record, so that a guardian that begins with a stored record goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from guard.core import lifecycle, pace
from guard.core.actions import OutcomeKind
from guard.core.findings import Verdict
from guard.core.records import noted
from guard.core.states import (
    Act,
    Acted,
    Deleted,
    Judged,
    Note,
    Phase,
    Resume,
    Save,
    Tell,
    Trust,
)
from guard.core.ticks import Tick
from guard.core.verdicts import judge
from guard.core.workloads import Mode
from guard.engine import checks, outside
from guard.engine.execute import Recovery, done, roll_back
from guard.engine.gather import Gatherer, Sides
from guard.engine.neighbours import Neighbours
from guard.engine.pacing import Pacer
from guard.engine.past import LookBack, told
from guard.engine.rehearsing import rehearse
from guard.engine.rhythm import Rhythm
from guard.engine.tasks import persist
from guard.engine.troubles import SOUND_AFTER, Trouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from guard.core.records import Record
    from guard.core.samples import CounterSample
    from guard.core.states import Command, Event, Facts, PauseAnswered, ResumeAnswered
    from guard.core.workloads import Snapshot
    from guard.engine.keeper import Keeper
    from guard.engine.world import World

CHECKPOINT_EVERY = 15.0
"""Seconds between two written checkpoints of the evidence (decisions.md, After a restart)."""
DELAY_TOLD_AFTER = 10.0
"""Seconds from the decision after which people are told that the rollback is not done."""
PACE_WITHIN = 0.5
"""Seconds that a look waits for the pause it asked for; an answer that comes later enters with a
later look, so that an API server which hangs holds no judging up."""

log = structlog.get_logger("guard.guardian")


class Guardian:
    """Follows one rollout."""

    def __init__(self, world: World, keeper: Keeper, record: Record, snapshot: Snapshot) -> None:
        """Take the record to go on with and the newest snapshot."""
        self.record = checks.completed(record)
        self._world = world
        self._keeper = keeper
        self._sides = Sides(snapshot)
        self._gather = Gatherer(world, record.state.case.policy, self._sides)
        self._past = LookBack(world, record.state.case.policy, self._sides, record.frame)
        self._neighbours = Neighbours(world, record.state.case.policy)
        self._pacer = Pacer(world, keeper.troubles)
        self._changed = asyncio.Event()
        self._off = False
        self._gone = False
        self._began = self._clock()
        self._rhythm = Rhythm(self._began)
        self._saved_at = world.now()
        self._intended = False
        self._pacing: asyncio.Task[PauseAnswered | ResumeAnswered | None] | None = None
        self._recovery: Recovery | None = None
        self._sort()

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()

    # What others tell it.

    def see(self, snapshot: Snapshot) -> None:
        """Take the newest snapshot; older ones that were not looked at are lost on purpose."""
        self._sides.see(snapshot)
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
        beside: list[asyncio.Task[Any]] = []
        try:
            # Before all else: each moment brings up more pods of a release nobody knows yet.
            await self._pace()
            gathering = asyncio.create_task(self._gather.run(), name=f"gather:{self.record.id}")
            rehearsal = partial(rehearse, self._world, self._keeper, self)
            beside = [
                gathering,
                self._beside("rehearse", rehearsal),
                self._beside("past", self._past.run),
                self._beside("neighbours", self._neighbours.run),
            ]
            while not self.record.state.ended:
                began = self._clock()
                if gathering.done():
                    gathering.result()  # Only a defect ends it with an error, which is told here.
                await self._once()
                await self._pause(began)
        finally:
            beside += [self._pacing] if self._pacing else []
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await self._gather.close()
        return self.record

    def _beside(self, what: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[Any]:
        name = f"{what}:{self.record.id}"
        return asyncio.create_task(persist(name, work, self._world.metrics), name=name)

    async def _once(self) -> None:
        self._changed.clear()
        self._sort()
        event = self._outside()
        if event is not None:
            await self._take(event)
        elif self.record.state.phase is Phase.ROLLING_BACK:
            await self._follow_rollback()
        else:
            await self._pace()
            await self._judge()
        if self._clock() - self._began >= SOUND_AFTER:
            self._keeper.troubles.over(Trouble.TASK)

    async def _pause(self, began: float) -> None:
        """Wait for the next look: by the rhythm, or for what is worth a look at once."""
        if self.record.state.ended:
            return
        watching = self.record.state.phase is Phase.WATCHING
        now = self._clock()
        pause = self._rhythm.next(began, now, watching=watching) - now
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(pause, 0.0)):
                while not self._worth_a_look():
                    await self._changed.wait()
                    self._changed.clear()
        await asyncio.sleep(0)

    def _worth_a_look(self) -> bool:
        sides = self._sides
        pods = len(sides.snapshot.pods_of(sides.candidate))
        stepped = self._rhythm.see(pods, sides.share, self._clock())
        reached = self._pacing is None and self._pacer.reached(self.record.state, sides.snapshot)
        return stepped or reached or self._outside() is not None

    def _sort(self) -> None:
        state = self.record.state
        self._sides.candidate = frozenset({state.case.candidate.hash})
        self._sides.stable = outside.stable_hashes(state, self._sides.snapshot)

    def _outside(self) -> Event | None:
        """What ended the rollout from outside, if anything did."""
        if self._gone:
            return Deleted()
        snapshot = self._sides.snapshot
        mode = Mode.OFF if self._off else self._keeper.mode(snapshot)
        return outside.ended(self.record.state, snapshot, mode)

    # Judging.

    async def _judge(self) -> None:
        with self._world.metrics.tick.time():
            read = await self._gather.unless(lambda: self._outside() is not None)
            if read is None:
                return  # What was read speaks of a rollout that is over.
            counters, apart = read
            self._sort()
            event = self._judged(self._tick(counters, apart=apart))
        await self._take(event)
        await self._trust_again()

    async def _trust_again(self) -> None:
        """Make up, while it is watched, for a trust that did not work at the promotion."""
        state = self.record.state
        good = self._keeper.memory.known_good
        trusted = good is not None and good.revision.hash == state.case.candidate.hash
        if state.phase is Phase.WATCHING and not trusted:
            await self._keeper.trust(self.record, self._sides.snapshot, state.text)

    def _judged(self, tick: Tick) -> Judged:
        """Take a tick in. Nothing here waits: the facts are those of this very moment."""
        states = {name: checks.update(s, tick) for name, s in self.record.checks.items()}
        self._neighbours.see(states.values())
        for text in told(self.record.checks, states):
            self.note(Note(tick.at, "normal", text))
        findings = tuple(checks.find(state, tick) for state in states.values())
        pause = tick.snapshot.pause
        held = pause is not None and pause.in_force
        at_a_step = held and self.record.state.pacing in pace.AT_A_STEP
        judgement = judge(findings, self.record.frame, at_a_step=at_a_step)
        decided = judgement.verdict is Verdict.FAIL
        self._rhythm.weigh(0.0 if decided else checks.evidence(states.values()))
        self._world.metrics.verdicts.labels(judgement.verdict.value).inc()
        for finding in judgement.findings:
            self._world.metrics.findings.labels(finding.reason.value).inc()
        facts = self._facts()
        self.record = replace(
            self.record, checks=states, findings=judgement.findings, mode=facts.mode
        )
        snapshot = tick.snapshot
        ready = snapshot.ready(tick.candidate)
        return Judged(
            judgement=judgement,
            facts=facts,
            pods_ready=ready >= snapshot.due(tick.candidate) > 0,
            complete=snapshot.complete and snapshot.current.hash in tick.candidate,
            replicas=snapshot.replicas,
            pause=snapshot.pause,
            beside=(ready, snapshot.ready(tick.stable)),
        )

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
            alerts=dict(self._gather.alerts),
            from_prometheus=apart,
            before=self._past.before,
            normal=self._past.normal,
            depends_over=self._neighbours.over,
            step=self.record.state.step,
        )

    def _facts(self) -> Facts:
        return self._keeper.facts(self._sides.snapshot)

    # Doing what follows.

    async def _take(self, event: Event) -> None:
        before = self.record.state
        state, commands = lifecycle.step(before, event, self._world.now())
        self.record = replace(self.record, state=state)
        if state.phase is not before.phase:
            self._rhythm.step(self._clock())
        if state.ended and not before.ended:
            self._ended()
        await self._perform(commands)
        self._world.board.show(self.record)
        if self._world.now() - self._saved_at >= CHECKPOINT_EVERY:
            self.put()

    def _ended(self) -> None:
        """Leave behind what outlives the rollout, before its last record is written."""
        state = self.record.state
        self._keeper.ended(self.record)
        for trouble in (Trouble.ROLLBACK, Trouble.TASK):
            self._keeper.troubles.over(trouble)
        if state.intent is not None and not (state.outcome and done(state.outcome)):
            circuit = self._world.circuit
            circuit.not_rolled_back(state.intent.workload, state.intent.decided_at)

    async def _perform(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            if isinstance(command, Note):
                self.note(command)
            elif isinstance(command, Tell):
                # Before anything that waits: people are told whatever the store and the API do.
                self._world.deliver.tell(command.notice)
        for command in commands:
            if isinstance(command, Trust):
                await self._keeper.trust(self.record, self._sides.snapshot, command.why)
        if any(isinstance(command, Save) for command in commands):
            self.put()
        if any(isinstance(command, Act) for command in commands):
            self._world.board.show(self.record)
            await self._act()
        if any(isinstance(command, Resume) for command in commands):
            await self._pace()

    async def _pace(self) -> None:
        """Try what is due about the pause; the next look tries again where it was not possible."""
        if self._outside() is not None:
            return
        if self._pacing is None:
            snapshot = self._sides.snapshot
            due = self._pacer.due(self.record.state, snapshot, self._keeper.mode(snapshot))
            self._pacing = asyncio.create_task(due, name=f"pace:{self.record.id}")
        await asyncio.wait([self._pacing], timeout=PACE_WITHIN)
        if not self._pacing.done():
            return
        task, self._pacing = self._pacing, None
        answered = task.result()
        if answered is not None:
            await self._take(answered)

    def note(self, note: Note) -> None:
        """Add a line to the record's timeline, and to the log."""
        self.record = noted(self.record, note)
        service = self.record.state.case.service
        log.info(note.kind, rollout=self.record.id, service=service, text=note.text)

    def put(self) -> None:
        """Have the record written soon."""
        self._saved_at = self._world.now()
        self._keeper.put(self.record)

    # Rolling back.

    async def _act(self) -> None:
        """Try the rollback once; the next look tries again where it was not possible yet."""
        intent = self.record.state.intent
        assert intent is not None
        self._world.circuit.rolled_back(intent.workload, intent.decided_at)
        if self._pacing is not None:
            self._pacing.cancel()  # The rollback puts back what the pause changed.
            self._pacing = None
        # First the intent, then the act (law 6). Writing takes time: look again what is true now.
        if not self._intended:
            self._intended = await self._keeper.secure(self.record)
        hindrance = self._hindrance()
        if not self._intended or hindrance or self._outside() is not None:
            await self._give_way(hindrance)
            return
        outcome = await roll_back(self._world, intent, self.record.state.case.service)
        if done(outcome):
            # Into the memory before the outcome is written, so that one write holds both.
            self._keeper.rolled_back(self.record)
            self._keeper.troubles.over(Trouble.ROLLBACK)
        elif outcome.kind is OutcomeKind.UNAVAILABLE and self._delayed():
            why = f"the platform does not answer: {outcome.detail}"
            self._keeper.troubles.open(Trouble.ROLLBACK, why, self.record.id)
        await self._take(Acted(outcome, self._sides.snapshot.progress_deadline))

    def _delayed(self) -> bool:
        return self._world.now() - self.record.state.since >= DELAY_TOLD_AFTER

    async def _give_way(self, hindrance: str) -> None:
        """While the guard cannot act, a template that came meanwhile is not kept waiting."""
        state, snapshot = self.record.state, self._sides.snapshot
        over = self._outside() or outside.moved_on(state, snapshot)
        if over is None:
            if hindrance:
                self._keeper.troubles.open(Trouble.ROLLBACK, hindrance, self.record.id)
            return
        if self._intended and outside.is_back(state, snapshot):
            # Perhaps by an attempt whose outcome was lost: not a second time (law 7).
            self._keeper.rolled_back(self.record)
        await self._take(over)

    def _hindrance(self) -> str:
        """Why people do not let the guard act; what they changed since the decision counts."""
        snapshot = self._sides.snapshot
        if self._keeper.mode(snapshot) is not Mode.ACT:
            return "the guard may only observe here by now (mode)"
        return "a person paused this workload (spec.paused)" if snapshot.paused else ""

    async def _follow_rollback(self) -> None:
        state = self.record.state
        if state.verify_by is None:
            await self._act()
            return
        if self._recovery is None:
            self._recovery = Recovery(state)
        counters, _ = await self._gather.counters()
        event = self._outside()
        if event is None:
            event = self._recovery.look(self._sides, counters, self._world.now())
        await self._take(event)
