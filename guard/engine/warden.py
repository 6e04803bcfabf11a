"""The warden: one task that keeps one workload, and has each of its rollouts followed.

It looks whenever something changed, and now and then all the same. While a guardian follows a
rollout it only passes on what the guardian must know.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from guard.core.errors import GuardError
from guard.core.workloads import Mode
from guard.engine.guardian import Guardian
from guard.engine.keeper import Keeper
from guard.engine.neighbours import Guarded
from guard.engine.optin import OptIn
from guard.engine.pacing import Pacer
from guard.engine.past import Past
from guard.engine.rights import RightsCheck
from guard.engine.sight import Sight
from guard.engine.tasks import persist
from guard.engine.troubles import SOUND_AFTER, Trouble, Troubles

if TYPE_CHECKING:
    from guard.core.records import Record
    from guard.core.workloads import Snapshot, WorkloadId
    from guard.engine.catalogue import Catalogue
    from guard.engine.world import World

LOOK_EVERY = 5.0
"""Seconds after which a warden looks again although nothing changed (trust, rights)."""
READ_AGAIN = 60.0
"""Seconds until a memory that could not be read is read again."""
FORGET_WITHIN = 5.0
"""Seconds that the store has to forget: a new object of the same name may be waiting."""
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
        self._off = False
        self._troubles = Troubles(world, workload)
        self._rights = RightsCheck(world, workload)
        self._opt_in = OptIn(world, catalogue)
        self._past = Past(world, workload)
        self._pacer = Pacer(world, self._troubles)
        self._keeper: Keeper | None = None
        self._unread_uid = ""
        self._read_again_at = 0.0
        self._guardian: Guardian | None = None
        self._task: asyncio.Task[Record] | None = None
        self.guarding = False

    def see(self, snapshot: Snapshot) -> None:
        """Take the newest snapshot; the workload is there, also if it was gone before."""
        self._snapshot = snapshot
        self._gone = False
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
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            while True:
                self._changed.clear()
                await self._look()
                if clock() - began >= SOUND_AFTER:
                    self._troubles.over(Trouble.WARDEN)
                if self._gone and self._task is None:
                    await self._forget()
                    if self._gone:
                        return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY):
                        await self._changed.wait()
        finally:
            await self._stop()

    def failing(self, failures: int) -> None:
        """`run` failed, so many times in a row."""
        self._troubles.failing(Trouble.WARDEN, failures)

    async def _stop(self) -> None:
        """Stop what is under way with its last checkpoint; `run` may be called again."""
        task, self._task = self._task, None
        guardian, self._guardian = self._guardian, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        await self._rights.close()
        await self._past.close()
        if self._keeper is not None and not self._gone:
            if guardian is not None:
                self._keeper.put(guardian.record)
            await self._keeper.flush(LAST_SAVE_WITHIN)

    async def _forget(self) -> None:
        """Let go of a workload that is gone, and of all that names it."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await keeper.retire()
        self._guarded(now=False)
        self._catalogue.forget(self._workload)
        try:
            async with asyncio.timeout(FORGET_WITHIN):
                await self._world.platform.forget(self._workload)
        except (GuardError, TimeoutError) as error:
            log.warning("not forgotten", workload=str(self._workload), why=str(error))

    # Looking.

    async def _look(self) -> None:
        self._end()
        snapshot = self._snapshot
        if snapshot is None or self._gone:
            return
        policy = self._catalogue.policy(snapshot)
        if policy is None or snapshot.itself:
            self._leave(snapshot)
            await self._let_go(snapshot)
            return
        self._off = False
        self._troubles.concern(policy.service, policy.owner)
        keeper = await self._kept(snapshot)
        if keeper is None:
            return
        self._guarded(now=True)
        self._world.services.see(Guarded(snapshot, policy, self._past))
        self._rights.look(keeper)
        if snapshot.uid == keeper.memory.uid:
            keeper.look(snapshot)
        if self._task is None:
            if snapshot.complete:
                self._past.look(snapshot, policy)
            await self._between(keeper, snapshot)

    async def _between(self, keeper: Keeper, snapshot: Snapshot) -> None:
        """Look for a rollout to follow."""
        if keeper.open_record is None:
            if keeper.mode(snapshot) is Mode.OFF:
                await self._let_go(snapshot)
                return
            await self._opt_in.settle(keeper, snapshot)
        snapshot = self._snapshot or snapshot
        policy = self._catalogue.policy(snapshot)
        if policy is None or not snapshot.observed or snapshot.uid != keeper.memory.uid:
            return  # It changed meanwhile, or is about to: the next look is at hand.
        record = await Sight(self._world, keeper, self._past).look(snapshot, policy)
        if record is not None:
            self._start(keeper, record)
        else:
            await self._let_go(snapshot)

    async def _let_go(self, snapshot: Snapshot) -> None:
        """What no rollout needs any more is put back as it was."""
        if self._task is None:
            await self._pacer.let_go(snapshot, self._keeper.newest if self._keeper else None)

    def _leave(self, snapshot: Snapshot) -> None:
        """Nobody asks for this workload to be guarded (any longer), or it is the guard."""
        if snapshot.itself and not self._off:
            log.warning("the guard does not guard itself", workload=str(self._workload))
        self._off = True
        if self._guardian is not None:
            self._guardian.turn_off()
        if not snapshot.opted_in:
            self._catalogue.forget(self._workload)
        if self.guarding:
            log.info("not guarded any more", workload=str(self._workload))
        self._guarded(now=False)

    def _guarded(self, *, now: bool) -> None:
        if not now:
            self._world.services.forget(self._workload)
        if self.guarding and not now:
            self._rights.drop()
            self._troubles.all_over()
            self._world.metrics.forget(self._workload)
        self.guarding = now

    async def _kept(self, snapshot: Snapshot) -> Keeper | None:
        """This very object's keeper: a new object under an old name is another workload.

        None while what is stored cannot be read: without it nothing is known good.
        """
        keeper = self._keeper
        if keeper is not None and (keeper.memory.uid == snapshot.uid or self._task is not None):
            return keeper
        if snapshot.uid == self._unread_uid and self._world.now() < self._read_again_at:
            return None
        if keeper is not None:
            self._keeper = None
            await keeper.retire()
            self._rights.drop()
        keeper = Keeper(self._world, self._workload, snapshot.uid, self._troubles)
        try:
            await keeper.load()
        except GuardError as error:
            self._unread_uid = snapshot.uid
            self._read_again_at = self._world.now() + READ_AGAIN
            self._troubles.open(Trouble.MEMORY, str(error))
            log.warning("memory not read", workload=str(self._workload), why=str(error))
            return None
        self._troubles.over(Trouble.MEMORY)
        self._keeper = keeper
        return keeper

    # Following a rollout.

    def _start(self, keeper: Keeper, record: Record) -> None:
        self._world.board.show(record)
        name = f"rollout:{record.id}"

        async def work() -> Record:
            # After a defect the guardian goes on from its last record.
            latest = keeper.record_of(record.id) or record
            assert self._snapshot is not None
            guardian = self._guardian = Guardian(self._world, keeper, latest, self._snapshot)
            if self._gone:
                guardian.gone()
            if self._off:
                guardian.turn_off()
            return await guardian.run()

        def failing(failures: int) -> None:
            self._troubles.failing(Trouble.TASK, failures, record.id)

        self._task = asyncio.create_task(
            persist(name, work, self._world.metrics, failing), name=name
        )
        self._task.add_done_callback(lambda _: self._changed.set())

    def _end(self) -> None:
        """Put an ended rollout away; its last record is in the keeper already."""
        if self._task is not None and self._task.done():
            self._task.result()
            self._task = None
            self._guardian = None
