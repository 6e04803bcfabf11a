"""The table of a run: a row a scenario, and what the figures of one kind of row come to."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

ALONE_FOR: Final = 60.0
"""Seconds for which a bad release runs without a guard; then it is counted what users lost."""
_HEADS: Final = (
    "scenario",
    "outcome",
    "to decision",
    "to patched",
    "to last bad",
    "failed",
    f"no guard, {ALONE_FOR:.0f} s",
    "a hand that knows",
    "note",
)


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one scenario.

    Attributes:
        kind: rows of one kind are measured together.
        decided: seconds from the first bad response to the decision.
        patched: seconds from the first bad response until the good template was in force.
        last_bad: seconds from the first bad response to the last.
        failed: requests that failed, of every kind.
        alone: the same without a guard, in ALONE_FOR seconds.
        by_hand: the same for `kubectl rollout undo` at the first bad response.
        requests: of the candidate, counted until the decision; not shown.
        hand_last_bad: that hand's seconds from the first bad response to the last.
    """

    scenario: str
    outcome: str
    kind: str = ""
    decided: float | None = None
    patched: float | None = None
    last_bad: float | None = None
    failed: int | None = None
    alone: int | None = None
    by_hand: int | None = None
    hand_last_bad: float | None = None
    requests: int | None = None
    note: str = ""

    def cells(self) -> list[str]:
        """As text, in the order of the heads."""
        hand = _count(self.by_hand)
        if self.hand_last_bad is not None:
            hand = f"{hand} ({self.hand_last_bad:.1f} s)"
        return [
            self.scenario,
            self.outcome,
            _seconds(self.decided),
            _seconds(self.patched),
            _seconds(self.last_bad),
            _count(self.failed),
            _count(self.alone),
            hand,
            self.note,
        ]


@dataclass(frozen=True, slots=True)
class Figure:
    """What the rows come to, and what they must come to."""

    what: str
    value: float
    bound: float

    def __str__(self) -> str:
        return f"{self.what}: {self.value:.2f}, allowed {self.bound:g}"


@dataclass(slots=True)
class Table:
    """All rows of a run."""

    rows: list[Row] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Take a row."""
        self.rows.append(row)

    def reached(self, what: str, value: float, bound: float) -> None:
        """Note a figure, and insist on it.

        Raises:
            AssertionError: it is over its bound.
        """
        figure = Figure(what, value, bound)
        self.figures.append(figure)
        if value > bound:
            raise AssertionError(str(figure))

    def of(self, kind: str) -> list[Row]:
        """The rows of one kind."""
        return [row for row in self.rows if row.kind == kind]

    def text(self) -> str:
        """As Markdown, whose columns also line up in a terminal."""
        lines = [list(_HEADS), *(row.cells() for row in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADS))]
        shown = [_line(line, widths) for line in lines]
        shown.insert(1, _line(["-" * width for width in widths], widths))
        figures = [f"* {figure}" for figure in self.figures]
        return "\n".join([*shown, "", *figures] if figures else shown)

    def write(self, folder: Path) -> None:
        """Write table.md and table.json."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "table.md").write_text(f"{self.text()}\n", encoding="utf-8")
        kept = {
            "rows": [asdict(row) for row in self.rows],
            "figures": [asdict(figure) for figure in self.figures],
        }
        (folder / "table.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")


def median(rows: Iterable[Row], figure: Callable[[Row], float | None]) -> float:
    """The median of one figure over rows that have it.

    Raises:
        ValueError: none has it.
    """
    found = [value for row in rows if (value := figure(row)) is not None]
    if not found:
        msg = "no row has this figure"
        raise ValueError(msg)
    return statistics.median(found)


def _line(cells: list[str], widths: list[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return f"| {' | '.join(padded)} |"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


def _count(value: int | None) -> str:
    return "" if value is None else str(value)
