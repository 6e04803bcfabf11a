"""Seeing a rollout begin, and what is known good before it.

A rollout is a new current revision that is not the known-good one. Everything else (scaling,
labels, a restart of the guard, the guard's own rollback) begins nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from guard.core import pace, stories
from guard.core.actions import KnownGood
from guard.core.records import Record, Unproven, noted
from guard.core.states import Case, Note, Phase, State
from guard.core.ticks import Frame
from guard.engine import checks
from guard.engine.past import told

if TYPE_CHECKING:
    from guard.core.policy import Policy
    from guard.core.workloads import Snapshot
    from guard.engine.keeper import Keeper
    from guard.engine.past import Past
    from guard.engine.world import World

CLEAN_WRITTEN_EVERY = 60.0
"""Seconds between two writes of the time since which an unproven revision was without trouble."""

log = structlog.get_logger("guard.sight")


class Sight:
    """Looks at one workload between its rollouts."""

    def __init__(self, world: World, keeper: Keeper, past: Past) -> None:
        """Take the memory to look with, and what is normal."""
        self._world = world
        self._keeper = keeper
        self._past = past

    async def look(self, snapshot: Snapshot, policy: Policy) -> Record | None:
        """The rollout to follow now: one that was begun before, or a new one; None without any."""
        keeper = self._keeper
        if keeper.open_record is not None:
            # Begun before the guard went away; what happened meanwhile it will see itself.
            return keeper.open_record
        good = keeper.memory.known_good or await self._first_sight(snapshot)
        if good is None:
            return None
        if snapshot.current.hash == good.revision.hash:
            if good.assumed:
                await self._trust_in_time(snapshot, policy)
            return None
        record = keeper.record_of(name_of(snapshot))
        if record is not None and record.state.phase is not Phase.LEFT:
            await self._after(record, snapshot, policy)
            return None
        if self._put_back_by_guard(snapshot, good):
            await keeper.trust_revision(snapshot.current, snapshot, good.why, keeper.memory.youth)
            return None
        # A rollout that was left is judged anew when the workload is the guard's again.
        return self._begin(snapshot, policy) if snapshot.replicas else None

    # What is known good.

    async def _first_sight(self, snapshot: Snapshot) -> KnownGood | None:
        """Find what is known good; None where no rollout can be seen yet."""
        if snapshot.complete and snapshot.replicas > 0:
            why = "was serving alone when the guard first saw the workload"
            await self._keeper.trust_revision(snapshot.current, snapshot, why, {})
            return self._keeper.memory.known_good
        oldest = oldest_serving(snapshot)
        if oldest is not None:
            self._keeper.memory = replace(self._keeper.memory, known_good=oldest)
            self._keeper.put()
        return oldest

    async def _after(self, record: Record, snapshot: Snapshot, policy: Policy) -> None:
        """The current revision's own rollout is over: make up for a trust that did not work."""
        if record.state.phase is Phase.PROMOTED:
            await self._keeper.trust(record, snapshot, record.state.text)
        elif self._serves_unproven(snapshot):
            await self._trust_in_time(snapshot, policy)

    def _serves_unproven(self, snapshot: Snapshot) -> bool:
        unproven = self._keeper.memory.unproven
        return unproven is not None and unproven.revision.hash == snapshot.current.hash

    async def _trust_in_time(self, snapshot: Snapshot, policy: Policy) -> None:
        """A revision that served long enough without trouble is known good (law 5)."""
        keeper = self._keeper
        now = self._world.now()
        unproven = keeper.memory.unproven
        if unproven is None or not self._serves_unproven(snapshot):
            unproven = Unproven(snapshot.current, now, policy.trust_after)
            keeper.memory = replace(keeper.memory, unproven=unproven)
            keeper.put()
        if not snapshot.complete or not all(pod.ready for pod in snapshot.pods):
            keeper.memory = replace(keeper.memory, unproven=replace(unproven, clean_since=now))
            if now - unproven.clean_since >= CLEAN_WRITTEN_EVERY:
                keeper.put()
        elif now - unproven.clean_since >= unproven.trust_after:
            why = f"served {unproven.trust_after / 60:.0f} min without trouble"
            await keeper.trust_revision(snapshot.current, snapshot, why, unproven.youth)

    def _put_back_by_guard(self, snapshot: Snapshot, good: KnownGood) -> bool:
        """The known-good template under another hash, put there by the guard: no new rollout."""
        newest = self._keeper.newest
        current = snapshot.current
        if newest is None or newest.state.intent is None or newest.state.verify_by is None:
            return False
        # Whatever came later than the very next revision is somebody else's, a restart perhaps.
        following = current.number == newest.state.case.candidate.number + 1
        return following and current.same_as(good.revision)

    # A new rollout.

    def _begin(self, snapshot: Snapshot, policy: Policy) -> Record:
        now = self._world.now()
        keeper = self._keeper
        good = keeper.memory.known_good
        case = Case(
            rollout=name_of(snapshot),
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
            counted=checks.number_counted(policy),
            interval=self._world.options.scrape_interval,
            youth=keeper.memory.youth,
            normal=self._past.normal(good.revision.content) if good else {},
        )
        pacing, unpaced = pace.begins(case, keeper.facts(snapshot), snapshot)
        record = Record(
            state=State(
                case=case,
                phase=Phase.PROGRESSING,
                since=now,
                pacing=pacing,
                previous=_previous(snapshot, keeper.newest),
            ),
            mode=keeper.mode(snapshot),
            frame=frame,
            checks={check.name: checks.begin(check, frame) for check in policy.checks},
        )
        record = noted(record, Note(now, "began", stories.release(case)))
        for text in told({}, record.checks):
            record = noted(record, Note(now, "normal", text))
        if unpaced:
            record = noted(record, Note(now, "unpaced", unpaced))
        log.info("began", rollout=case.rollout, service=case.service)
        self._world.deliver.tell(stories.began(record.state, now))
        keeper.put(record)
        return record


def _previous(snapshot: Snapshot, newest: Record | None) -> str:
    """What a pause that is still in force had changed, where an undo took its words away."""
    held = snapshot.pause
    if held is None or held.previous or newest is None:
        return ""
    return newest.state.previous if newest.state.case.candidate.hash == held.candidate else ""


def name_of(snapshot: Snapshot) -> str:
    """The name of the rollout that leads to a snapshot's current revision."""
    return f"{snapshot.workload}@{snapshot.current.hash}#{snapshot.current.number}"


def oldest_serving(snapshot: Snapshot) -> KnownGood | None:
    """The oldest revision with ready pods, where a rollout was under way at first sight."""
    serving = {pod.revision for pod in snapshot.pods if pod.ready}
    others = [r for r in snapshot.revisions if r.hash in serving]
    others = [r for r in others if r.hash != snapshot.current.hash]
    if not others:
        return None
    oldest = min(others, key=lambda revision: revision.number)
    why = "the oldest revision with ready pods when the guard came, an assumption"
    return KnownGood(revision=oldest, since=snapshot.at, why=why, assumed=True)
