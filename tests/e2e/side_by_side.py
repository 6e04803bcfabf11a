"""Scenarios that run side by side, each of them a test of its own.

pytest runs one test after the other; a rollout is mostly waiting. So all chosen scenarios start
with the session, as tasks of its one event loop, as many at a time as the machine bears; each test
waits for its own and reports it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from tests.e2e.equipment import Equipment
    from tests.e2e.guards import Kind
    from tests.e2e.policies import Rules
    from tests.e2e.stage import Stage

CAPACITY: Final = int(os.environ.get("GUARD_E2E_CAPACITY", "0")) or 3 * (os.cpu_count() or 1)
"""Shops under load at a time: three a core keep it below the point where answers come late."""
ALONE: Final = 1000
"""Shops that leave no room for others: half a second is what some figures are about."""
TIMED: Final = 0.75
"""Of these for the scenarios whose seconds are figures: they come first, and are left in peace."""
PATIENCE: Final = 1800.0
"""Seconds after which a scenario that has begun is called stuck."""
TURN: Final = 7200
"""Seconds that a test may wait for its scenario's turn and end."""
_NUMBERS: Final = itertools.count()


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """One thing that happens to one or more shops under one guard.

    Attributes:
        slos: policies by the name of the shop that each guards.
        shops: how many shops it has under load at a time, the unguarded ones too.
        timed: its seconds and losses are figures.
        first: begins before the others, since it takes long.
        number: its place in its module.
    """

    name: str
    play: Callable[[Stage], Awaitable[None]]
    guard: Kind
    slos: Mapping[str, Rules]
    shops: int
    core: bool
    timed: bool
    first: bool
    number: int


def scenario(
    guard: Kind,
    slos: Mapping[str, Rules],
    *,
    shops: int = 1,
    core: bool = False,
    timed: bool = False,
    first: bool = False,
) -> Callable[[Callable[[Stage], Awaitable[None]]], Callable[[Run], Awaitable[None]]]:
    """Make a test of an async function that plays a scenario on its stage."""

    def take(play: Callable[[Stage], Awaitable[None]]) -> Callable[[Run], Awaitable[None]]:
        name = play.__name__.removeprefix("test_").replace("_", " ")
        number = next(_NUMBERS)
        entry = Scenario(name, play, guard, slos, shops, core, timed, first, number)

        async def wait(run: Run) -> None:
            await run.result(entry)

        # Not functools.wraps: pytest would look through it for the fixtures of `play`.
        for word in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(wait, word, getattr(play, word))
        wait.scenario = entry  # type: ignore[attr-defined]  # how the session finds what to start
        marked = pytest.mark.asyncio(loop_scope="session")(pytest.mark.timeout(TURN)(wait))
        return pytest.mark.core(marked) if core else marked

    return take


class Room:
    """So many shops at a time; who waits longest comes first, so that nobody starves."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._free = places
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @contextlib.asynccontextmanager
    async def take(self, wanted: int) -> AsyncIterator[None]:
        """Wait for so many places, and give them back."""
        wanted = min(wanted, self._places)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, turn))
        self._admit()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._free += wanted
            else:
                with contextlib.suppress(ValueError):
                    self._waiting.remove((wanted, turn))
            self._admit()

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, turn = self._waiting.popleft()
            if not turn.done():
                self._free -= wanted
                turn.set_result(None)


class Run:
    """The scenarios of one session."""

    def __init__(self, equipment: Equipment) -> None:
        self.equipment = equipment
        self._room = Room(CAPACITY)
        self._quiet_room = Room(int(TIMED * CAPACITY))
        self._measured = asyncio.Event()
        self._timed = 0
        self._turns: dict[str, asyncio.Lock] = {}
        self._tasks: dict[Scenario, asyncio.Task[None]] = {}

    def start(self, chosen: list[Scenario]) -> None:
        """Start them: the timed ones, then the long ones, then in the order of their modules."""
        chosen.sort(key=lambda entry: (not entry.timed, not entry.first, entry.number))
        for entry in chosen:
            self._tasks[entry] = asyncio.create_task(self._play(entry), name=entry.name)
        self._timed = sum(entry.timed for entry in chosen)
        self._measure(0)

    async def result(self, entry: Scenario) -> None:
        """Wait for one; raises what it raised."""
        await self._tasks[entry]

    async def over(self) -> None:
        """Wait until all have ended, however they did."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def close(self) -> None:
        """End what still runs. Idempotent."""
        for task in self._tasks.values():
            task.cancel()
        await self.over()

    async def _play(self, entry: Scenario) -> None:
        if entry.timed:
            try:
                await self._perform(entry, self._quiet_room)
            finally:
                self._measure(1)
            return
        await self._measured.wait()
        # A guard that the scenario freezes or kills is not shared meanwhile.
        turn = self._turns.setdefault(entry.guard.name, asyncio.Lock())
        async with turn if entry.guard.alone else contextlib.nullcontext():
            await self._perform(entry, self._room)

    def _measure(self, done: int) -> None:
        self._timed -= done
        if self._timed == 0:
            self._measured.set()

    async def _perform(self, entry: Scenario, room: Room) -> None:
        async with room.take(entry.shops), self.equipment.stage(entry) as stage:
            async with asyncio.timeout(PATIENCE):
                await entry.play(stage)
