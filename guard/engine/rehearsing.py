"""Rehearses a rollout's rollback while there is time to tell people (law 6)."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from guard.core.errors import TemporaryError
from guard.core.states import Note, Phase
from guard.engine.troubles import refused_rehearsal

if TYPE_CHECKING:
    from guard.core.records import Record
    from guard.engine.guardian import Guardian
    from guard.engine.keeper import Keeper
    from guard.engine.world import World

AGAIN = 10.0
AT_LAST = 600.0
"""Seconds until a rollback that could not be rehearsed is rehearsed again, doubled each time."""


async def rehearse(world: World, keeper: Keeper, guardian: Guardian) -> None:
    """Send the rollback as a dry run until it is known whether it would work."""
    pause = AGAIN
    while not _known(guardian.record):
        with contextlib.suppress(TemporaryError, TimeoutError):
            rehearsal = await keeper.rehearse(guardian.record)
            if rehearsal is None:
                return
            before = guardian.record.rehearsal
            guardian.record = replace(guardian.record, rehearsal=rehearsal)
            if before is None or before.detail != rehearsal.detail:
                guardian.note(Note(rehearsal.at, "rehearsed", rehearsal.detail))
                guardian.put()
            if rehearsal.possible is False:
                case = guardian.record.state.case
                world.deliver.tell(refused_rehearsal(case, rehearsal.detail, world.now()))
        if not _known(guardian.record):
            await asyncio.sleep(pause)
            pause = min(2 * pause, AT_LAST)


def _known(record: Record) -> bool:
    """Whether it is known if a rollback would work, or one is under way."""
    known = record.rehearsal is not None and record.rehearsal.possible is not None
    return known or record.state.phase is Phase.ROLLING_BACK
