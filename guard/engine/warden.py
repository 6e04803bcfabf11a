"""The warden: one task that keeps one workload, and sees when a rollout begins.

A rollout is a new current revision that is not the known-good one. Everything else (scaling,
labels, a restart of the guard) begins nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from guard.core import stories
from guard.core.actions import KnownGood
from guard.core.errors import GuardError
from guard.core.records import Record, noted
from guard.core.states import Case, Note, Phase, State
from guard.core.ticks import Frame
from guard.core.workloads import Mode
from guard.engine import checks, optin
from guard.engine.guardian import Guardian
from guard.engine.keeper import Keeper
from guard.engine.tasks import persist

if TYPE_CHECKING:
    from guard.core.policy import Policy
    from guard.core.workloads import Snapshot, WorkloadId
    from guard.engine.catalogue import Catalogue
    from guard.engine.world import World

LOOK_EVERY = 5.0
"""Seconds after which a warden looks again although nothing changed (trust, rights)."""
RIGHTS_EVERY = 3600.0
LAST_SAVE_WITHIN = 1.5
"""Seconds that a stopping guard takes for its last checkpoint."""

log = structlog.get_logger("guard.warden")


class Warden:
    """Keeps one workload."""

    def __init__(self, world: World, catalogue: Catalogue, workload: WorkloadId) -> None:
        """Start with nothing seen."""
        self._world = world
        self._catalogue = catalogue
        self._workload = workload
        self._snapshot: Snapshot | None = None
        self._changed = asyncio.Event()
        self._gone = False
        self._keeper: Keeper | None = None
        self._guardian: Guardian | None = None
        self._task: asyncio.Task[Record] | None = None
        self._rights_at: float | None = None

    def see(self, snapshot: Snapshot) -> None:
        """Take the newest snapshot."""
        self._snapshot = snapshot
        if self._guardian is not None:
            self._guardian.see(snapshot)
        self._changed.set()

    def poke(self) -> None:
        """Look again: the SLO files changed."""
        self._changed.set()

    def gone(self) -> None:
        """The workload was deleted: end what is under way, then `run` returns."""
        self._gone = True
        if self._guardian is not None:
            self._guardian.gone()
        self._changed.set()

    async def run(self) -> None:
        """Keep the workload until it is gone."""
        try:
            while True:
                self._changed.clear()
                await self._look()
                if self._gone and self._task is None:
                    await self._world.platform.forget(self._workload)
                    self._catalogue.forget(self._workload)
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY):
                        await self._changed.wait()
        finally:
            await self._stop()

    async def _stop(self) -> None:
        if self._task is None or self._keeper is None or self._guardian is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_SAVE_WITHIN):
                await self._keeper.save(self._guardian.record)

    async def _look(self) -> None:
        snapshot = self._snapshot
        if snapshot is None:
            return
        await self._ended()
        policy = self._catalogue.policy(snapshot)
        if policy is None or snapshot.itself:
            self._leave(snapshot)
            return
        if self._task is not None or self._gone:
            return
        keeper = await self._kept(snapshot)
        await self._rights(keeper, snapshot)
        if keeper.mode(snapshot) is Mode.OFF or not snapshot.observed:
            return
        await self._opted_in(snapshot)
        policy = self._catalogue.policy(snapshot) or policy
        await self._consider(keeper, snapshot, policy)

    def _leave(self, snapshot: Snapshot) -> None:
        """Nobody asks for this workload to be guarded (any longer), or it is the guard."""
        if self._guardian is not None:
            self._guardian.turn_off()
        if snapshot.itself and self._keeper is None and self._rights_at is None:
            self._rights_at = self._world.now()
            log.warning("the guard does not guard itself", workload=str(snapshot.workload))

    async def _kept(self, snapshot: Snapshot) -> Keeper:
        """This very object's keeper: a new object under an old name is another workload."""
        if self._keeper is None or self._keeper.memory.uid != snapshot.uid:
            keeper = Keeper(self._world, snapshot.workload, snapshot.uid)
            await keeper.load()
            self._keeper = keeper
            self._rights_at = None
        return self._keeper

    async def _rights(self, keeper: Keeper, snapshot: Snapshot) -> None:
        now = self._world.now()
        if self._rights_at is not None and now - self._rights_at < RIGHTS_EVERY:
            return
        try:
            keeper.rights = await self._world.platform.rights(snapshot.workload)
        except GuardError as error:
            log.warning("rights not known", workload=str(snapshot.workload), why=str(error))
            return
        self._rights_at = now
        missing = keeper.rights.missing
        self._world.metrics.rights_missing.labels(
            snapshot.workload.namespace, snapshot.workload.name
        ).set(len(missing))
        if missing:
            log.warning("rights missing", workload=str(snapshot.workload), missing=list(missing))

    async def _opted_in(self, snapshot: Snapshot) -> None:
        policies = self._catalogue.undecided(snapshot)
        if not policies or not any(pod.ready for pod in snapshot.pods):
            return
        policy, text = await optin.choose(self._world, policies, snapshot)
        self._catalogue.choose(snapshot.workload, policy)
        self._world.deliver.tell(optin.notice(snapshot, policy, text, self._world.now()))

    # Seeing a rollout begin.

    async def _consider(self, keeper: Keeper, snapshot: Snapshot, policy: Policy) -> None:
        open_record = next((r for r in reversed(keeper.records) if not r.state.ended), None)
        if open_record is not None:
            # Begun before the guard went away; what happened meanwhile it will see itself.
            self._start(keeper, open_record, snapshot)
            return
        if keeper.memory.known_good is None and not await self._first_sight(keeper, snapshot):
            return
        good = keeper.memory.known_good
        if good is not None and snapshot.current.hash == good.revision.hash:
            return
        if keeper.record_of(_name(snapshot)) is not None:
            await self._trust_in_time(keeper, snapshot)
            return
        if snapshot.replicas == 0:
            return
        await self._begin(keeper, snapshot, policy)

    async def _first_sight(self, keeper: Keeper, snapshot: Snapshot) -> bool:
        """Find what is known good. Returns whether a rollout may be considered now."""
        if snapshot.complete and snapshot.replicas > 0:
            why = "was serving alone when the guard first saw the workload"
            if await keeper.trust_revision(snapshot.current, snapshot, why, {}):
                await keeper.save()
            return False
        oldest = _oldest_serving(snapshot)
        if oldest is None:
            return False
        keeper.memory = replace(keeper.memory, known_good=oldest)
        return True

    async def _trust_in_time(self, keeper: Keeper, snapshot: Snapshot) -> None:
        """An unproven revision that served long enough without trouble is known good (law 5)."""
        unproven = keeper.memory.unproven
        if unproven is None or unproven.revision.hash != snapshot.current.hash:
            return
        now = self._world.now()
        clean = snapshot.complete and all(pod.ready for pod in snapshot.pods)
        if not clean:
            keeper.memory = replace(keeper.memory, unproven=replace(unproven, clean_since=now))
        elif now - unproven.clean_since >= unproven.trust_after:
            why = f"served {unproven.trust_after / 60:.0f} min without trouble"
            if await keeper.trust_revision(snapshot.current, snapshot, why, unproven.youth):
                await keeper.save()

    async def _begin(self, keeper: Keeper, snapshot: Snapshot, policy: Policy) -> None:
        now = self._world.now()
        case = Case(
            rollout=_name(snapshot),
            workload=snapshot.workload,
            uid=snapshot.uid,
            service=policy.service,
            owner=policy.owner,
            candidate=snapshot.current,
            stable=keeper.memory.known_good,
            began_at=now,
            policy=policy,
        )
        frame = Frame(
            began_at=now,
            alpha=policy.alpha,
            beta=policy.beta,
            counted=checks.counted(policy),
            interval=self._world.options.scrape_interval,
            youth=keeper.memory.youth,
        )
        record = Record(
            state=State(case=case, phase=Phase.PROGRESSING, since=now),
            mode=keeper.mode(snapshot),
            frame=frame,
            checks={check.name: checks.begin(check, frame) for check in policy.checks},
        )
        record = noted(record, Note(now, "began", stories.release(case)))
        log.info("began", rollout=case.rollout, service=case.service)
        self._world.deliver.tell(stories.began(record.state, now))
        self._start(keeper, record, snapshot)
        await keeper.save(record)

    def _start(self, keeper: Keeper, record: Record, snapshot: Snapshot) -> None:
        self._world.board.show(record)
        name = f"rollout:{record.id}"

        async def work() -> Record:
            # After a defect the guardian goes on from its last record.
            latest = keeper.record_of(record.id) or record
            self._guardian = Guardian(self._world, keeper, latest, self._snapshot or snapshot)
            if self._gone:
                self._guardian.gone()
            return await self._guardian.run()

        self._task = asyncio.create_task(persist(name, work, self._world.metrics), name=name)
        self._task.add_done_callback(lambda _: self._changed.set())

    async def _ended(self) -> None:
        """Put an ended rollout away."""
        if self._task is None or not self._task.done() or self._keeper is None:
            return
        record = self._task.result()
        self._task = None
        self._guardian = None
        self._keeper.ended(record)
        await self._keeper.save(record)


def _name(snapshot: Snapshot) -> str:
    return f"{snapshot.workload}@{snapshot.current.hash}#{snapshot.current.number}"


def _oldest_serving(snapshot: Snapshot) -> KnownGood | None:
    """The oldest revision with ready pods, where a rollout was under way at first sight."""
    serving = {pod.revision for pod in snapshot.pods if pod.ready}
    others = [r for r in snapshot.revisions if r.hash in serving]
    others = [r for r in others if r.hash != snapshot.current.hash]
    if not others:
        return None
    oldest = min(others, key=lambda revision: revision.number)
    why = "the oldest revision with ready pods when the guard came, an assumption"
    return KnownGood(revision=oldest, since=snapshot.at, why=why, assumed=True)
