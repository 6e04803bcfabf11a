"""The demo's story: a good release, then a bad one, and what each cost with a guard and without."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from guard.cli import demo_words as words
from guard.cli.demo_figures import BOUND, RECENT, WITH, WITHOUT
from guard.cli.demo_screen import Screen, picture, summary
from guard.cli.demo_stage import ALONE, BAD, FIRST, GOOD, GUARDED, RATE, REPLICAS, stage
from guard.core.states import ENDS, Phase

if TYPE_CHECKING:
    from guard.cli.demo_figures import Release
    from guard.cli.demo_stage import Stage

BEFORE: Final = 1.5
"""Seconds for which version 1 is watched alone, so that there is something to compare with."""
STORY_AT_MOST: Final = 52.0
"""Seconds for both releases together; half of it on a machine that has nothing else to do. With
the start of the process it stays under a minute."""
PAINT_EVERY: Final = 0.2
TRUST_WITHIN: Final = 5.0

INTRODUCTION: Final = f"""
Two copies of one shop on this machine, {REPLICAS} pods and {RATE:.0f} users' requests a second \
each. Both get the same releases at the same moment; the guard looks after one of them.
The policy: more than {BOUND:.0%} errors is bad. E says how much better a bad release explains \
what was seen than a good one; at 100 it is undone, at a risk of 1% to undo a good one. (Errors \
are independent of each other here, so each counts in full: k = 1.)"""
NEXT: Final = """
Next: describe your service in an SLO file (docs/slo-file.md) and try it with `guard check`
(in a clone of the repository: .venv/bin/guard check slos/).
In a cluster the guard only observes until you say otherwise: kubectl apply -k manifests/base"""
JUDGED: Final = (Phase.PROGRESSING, Phase.BAKING, Phase.HELD)
VERSIONS: Final = {release.template.hash: release.version for release in (FIRST, GOOD, BAD)}


async def tell(port: int | None, *, stay: bool = False, screen: Screen | None = None) -> int:
    """Tell the whole story.

    Args:
        port: the page's on 127.0.0.1; 0 takes a free one, None serves no page.
        stay: keep the page at the end, until cancelled.
        screen: where to print; this process' output by default.

    Returns:
        The exit status: 0 if the good release was promoted and the bad one rolled back, else 1.

    Raises:
        ConfigurationError: nothing can listen on that port.
    """
    screen = screen or Screen()
    async with stage(port) as on:
        story = _Story(on, screen)
        status = await story.run()
        if stay and on.page:
            screen.write(f"The page stays until Ctrl-C: {on.page}")
            await asyncio.Event().wait()
    return status


class _Story:
    """Runs the acts on one stage."""

    def __init__(self, on: Stage, screen: Screen) -> None:
        self._on = on
        self._screen = screen
        self._record: words.Record | None = None
        self._told_failure = False
        self._until = time.monotonic() + STORY_AT_MOST

    async def run(self) -> int:
        """Every act in its order; the first that ends otherwise than it should ends the story."""
        self._introduce()
        self._screen.open()
        try:
            async with asyncio.TaskGroup() as group:
                painting = group.create_task(self._paint(), name="paint")
                good, bad = await self._acts()
                painting.cancel()
        finally:
            self._screen.close()
        self._on.figures.ended_at = time.time()
        return self._sum_up(good, bad)

    async def _acts(self) -> tuple[words.Record | None, words.Record | None]:
        if not await self._trusted():
            return None, None
        self._screen.say(f"{FIRST.version} serves in both; the guard takes it as known good")
        await asyncio.sleep(BEFORE)
        good = await self._act(GOOD)
        if good is None or good["phase"] != Phase.PROMOTED:
            return good, None
        return good, await self._act(BAD)

    def _introduce(self) -> None:
        self._screen.write(INTRODUCTION)
        if self._on.page:
            self._screen.write(f"The same on a page while this runs: {self._on.page}")
        self._screen.write("")

    async def _trusted(self) -> bool:
        """Wait until the guard has taken version 1 as known good, which it writes down."""
        on = self._on
        try:
            async with asyncio.timeout(TRUST_WITHIN):
                while not await on.local.load(GUARDED, on.shown(GUARDED).uid):  # noqa: ASYNC110 - a store has no event
                    await asyncio.sleep(0.05)
        except TimeoutError:
            text = f"the guard did not take {FIRST.version} as known good in {TRUST_WITHIN:.0f} s"
            self._screen.say(text, "bold red")
            return False
        return True

    async def _act(self, release: Release) -> words.Record | None:
        """One release from its beginning to its end; None where it does not end in time."""
        self._on.release(release)
        self._screen.say(words.released(release), "bold")
        try:
            async with asyncio.timeout(self._until - time.monotonic()):
                return await self._followed(release)
        except TimeoutError:
            text = f"{release.version} did not end in time: this machine may have much else to do"
            self._screen.say(text, "bold red")
            return None

    async def _followed(self, release: Release) -> words.Record:
        """Tell what the guard writes into the release's record, until that ends."""
        seen = 0
        async with aclosing(self._on.engine.board.subscribe()) as changes:
            async for record in changes:
                if record["candidate"]["hash"] != release.template.hash:
                    continue
                self._record = record
                for note in record["timeline"][seen:]:
                    self._tell(record, note)
                seen = len(record["timeline"])
                if record["phase"] in ENDS:
                    return record
        raise AssertionError

    def _tell(self, record: words.Record, note: dict[str, object]) -> None:
        text = words.told(record, note, VERSIONS)
        if text is not None:
            loud = note["kind"] in {"decided", "ended"}
            self._screen.say(text, "bold" if loud else "")

    async def _paint(self) -> None:
        on = self._on
        while True:
            self._tell_failure()
            record = self._record
            shown = {WITH: on.shown(GUARDED), WITHOUT: on.shown(ALONE)}
            line = ""
            if record is not None and record["phase"] in JUDGED:
                line = words.evidence(record, VERSIONS)
            self._screen.paint(picture(shown, on.figures, record, VERSIONS), line)
            await asyncio.sleep(PAINT_EVERY)

    def _tell_failure(self) -> None:
        """Say once when the bad release failed its first user."""
        figures = self._on.figures
        number = len(figures.releases) - 1
        if self._told_failure or number < 1:
            return
        if figures.failures(number, WITH) is not None:
            self._told_failure = True
            self._screen.say(f"{BAD.version} fails its first user in {GUARDED.name}", "red")

    def _sum_up(self, good: words.Record | None, bad: words.Record | None) -> int:
        figures = self._on.figures
        rows = []
        if good is not None:
            rows.append((f"{GOOD.version}, {GOOD.words}", words.judged(good), "nobody looked"))
            rows.append(self._users(0))
        if bad is not None:
            recent = figures.recent(WITHOUT, figures.ended_at)
            still = f"still serving: it fails {recent.failed / RECENT:.0f} users a second"
            undone = words.undone(bad, figures.failures(1, WITH))
            rows.append((f"{BAD.version}, {BAD.words}", undone, still))
            rows.append(self._users(1))
        if rows:
            self._screen.write("")
            self._screen.write(summary(rows))
        return self._conclude(good, bad)

    def _users(self, number: int) -> tuple[str, str, str]:
        counts = [self._on.figures.seen(number, copy) for copy in (WITH, WITHOUT)]
        guarded, alone = (words.share(seen.failed, seen.sent) for seen in counts)
        return "   what its users saw", f"{guarded} requests failed", f"{alone} requests failed"

    def _conclude(self, good: words.Record | None, bad: words.Record | None) -> int:
        if good is not None and good["phase"] != Phase.PROMOTED:
            self._screen.write(
                f"UNEXPECTED: the good release ended {good['phase']}: {good['text']}"
            )
        elif bad is not None and bad["phase"] != Phase.ROLLED_BACK:
            self._screen.write(f"UNEXPECTED: the bad release ended {bad['phase']}: {bad['text']}")
        elif good is not None and bad is not None:
            self._screen.write(NEXT)
            return 0
        return 1
