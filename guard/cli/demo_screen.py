"""The demo's screen: a story line by line, and on a terminal a live picture under it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from guard.cli import demo_words as words
from guard.cli.demo_figures import BOUND, RECENT, WITH, WITHOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import RenderableType

    from guard.cli.demo_figures import Figures, Seen
    from guard.core.workloads import Snapshot

PLAIN_EVERY = 2.0
"""Seconds between two lines of evidence where there is no terminal to paint on."""
PLAIN_WIDTH = 140
"""Columns of lines that no terminal bounds."""
BAR = 24

STYLES: Mapping[str, str] = {"version 1": "cyan", "version 2": "green", "version 3": "red"}


class Screen:
    """Prints the story; between `open` and `close` it also paints."""

    def __init__(
        self, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take a console, by default this process' own output, and a clock that only grows."""
        self._clock = clock
        self.console = console or Console(highlight=False, markup=False)
        if not self.console.is_terminal:
            self.console.width = PLAIN_WIDTH
        self._began = clock()
        self._live: Live | None = None
        self._plain_at = 0.0
        self._plain_last = ""

    def open(self) -> None:
        """Paint from now on, if there is a terminal."""
        self._began = self._clock()
        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()

    def close(self) -> None:
        """Paint no more. Idempotent."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str, style: str = "") -> None:
        """Add a line to the story, with the time since its beginning."""
        seconds = self._clock() - self._began
        line = Table.grid(padding=(0, 1))
        line.add_column(width=7, justify="right", style="dim")
        line.add_column(overflow="fold")
        line.add_row(f"{seconds:.1f} s", Text(text, style=style))
        self.console.print(line)

    def write(self, what: RenderableType) -> None:
        """Print as it is."""
        self.console.print(what)

    def paint(self, picture: RenderableType, evidence: str) -> None:
        """Show how things stand: the picture, or on paper its evidence now and then."""
        if self._live is not None:
            self._live.update(picture, refresh=True)
            return
        now = self._clock()
        if evidence and evidence != self._plain_last and now - self._plain_at >= PLAIN_EVERY:
            self._plain_at, self._plain_last = now, evidence
            self.say(f"    {evidence}", "dim")


def picture(
    copies: Mapping[str, Snapshot],
    figures: Figures,
    record: words.Record | None,
    versions: Mapping[str, str],
) -> RenderableType:
    """Both copies with their pods and users, and the guard's evidence."""
    table = Table(box=None, padding=(0, 2))
    for column in ("", "pods", f"failed, last {RECENT:.0f} s", "failed, this release"):
        table.add_column(column, no_wrap=True)
    now = time.time()
    for copy, snapshot in copies.items():
        recent = _failed(figures.recent(copy, now))
        since = _failed(figures.seen(-1, copy)) if figures.releases else Text()
        table.add_row(copy, _pods(snapshot, versions), recent, since)
    if record is None:
        return Group(Text(), table)
    return Group(Text(), table, Text(), *_evidence(record, versions))


def _failed(seen: Seen) -> Text:
    """Red from the bound of the demo's policy on."""
    bad = seen.sent > 0 and seen.failed / seen.sent > BOUND
    return Text(words.of(seen.failed, seen.sent), "bold red" if bad else "")


def _pods(snapshot: Snapshot, versions: Mapping[str, str]) -> Text:
    """Each pod as its version's number; a dot is one that is not ready yet."""
    text = Text()
    for pod in snapshot.pods:
        if pod.deleted_at is None:
            version = versions.get(pod.revision, "?")
            mark = version.removeprefix("version ") if pod.ready else "."
            text.append(f"{mark} ", STYLES.get(version, ""))
    return text


def _evidence(record: words.Record, versions: Mapping[str, str]) -> list[RenderableType]:
    found = words.numbers(record)
    candidate = versions.get(record["candidate"]["hash"], "?")
    phase = record["phase"].replace("_", " ")
    head = Text.assemble(
        ("the guard ", "bold"),
        (phase.upper(), "bold"),
        f" {candidate}: ",
        words.counted(record, versions),
    )
    if not found or not found["total"]:
        return [head]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(width=BAR)
    grid.add_column()
    fault = _bar(found["log_e"], math.log(found["bound"]), "red")
    grid.add_row("  bad beyond doubt", fault, words.suspected(found))
    proof = _bar(min(found["log_m_d"], found["log_m_d_recent"]), found["log_bound_d"], "green")
    grid.add_row("  good beyond doubt", proof, words.missing(found))
    return [head, grid]


def _bar(value: float, bound: float, style: str) -> ProgressBar:
    return ProgressBar(
        total=bound,
        completed=min(max(value, 0.0), bound),
        width=BAR,
        complete_style=style,
        finished_style=f"bold {style}",
    )


def summary(rows: Sequence[tuple[str, str, str]]) -> RenderableType:
    """The last table."""
    table = Table(title="What it came to", title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column(WITH)
    table.add_column(WITHOUT)
    for row in rows:
        table.add_row(*row)
    return table
