"""What the demo's users saw, counted from their own answers and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guard.platforms.local.template import Template
    from guard.platforms.local.users import Answer, Users

WITH = "with the guard"
WITHOUT = "without a guard"
BOUND = 0.02
"""Error ratio over which a release is bad, by the demo's policy."""
RECENT = 3.0
"""Seconds over which it is said how many requests fail now."""


@dataclass(frozen=True, slots=True)
class Release:
    """One release that goes out to both copies of the shop.

    Attributes:
        version: what people call it.
        words: what is good or bad about it.
    """

    version: str
    template: Template
    words: str


@dataclass(frozen=True, slots=True)
class Seen:
    """How many requests the users of one copy sent, and how many failed."""

    sent: int
    failed: int


class Figures:
    """Counts, release by release, what users of both copies saw."""

    def __init__(self, guarded: Users, alone: Users) -> None:
        """Take the users of the guarded copy and of the one that nobody guards."""
        self.users = {WITH: guarded, WITHOUT: alone}
        self.releases: list[tuple[Release, float]] = []
        self.ended_at: float = float("inf")

    def begin(self, release: Release, at: float) -> None:
        """Both copies get this release now."""
        self.releases.append((release, at))

    def seen(self, number: int, copy: str) -> Seen:
        """What users of a copy saw from one release on, until the next one.

        Args:
            number: which release, from 0 on; -1 is the newest.
            copy: `WITH` or `WITHOUT`.
        """
        begins = [at for _, at in self.releases]
        until = [*begins[1:], self.ended_at][number]
        return _summed(self.users[copy].since(begins[number], until))

    def failures(self, number: int, copy: str) -> tuple[float, float] | None:
        """When the `number`th release itself first and last failed a user of a copy, if it did."""
        release, at = self.releases[number]
        times = [
            answer.at
            for answer in self.users[copy].since(at, self.ended_at)
            if answer.failed and answer.revision == release.template.hash
        ]
        return (min(times), max(times)) if times else None

    def recent(self, copy: str, now: float) -> Seen:
        """What users of a copy saw in the last `RECENT` seconds."""
        return _summed(_newest(self.users[copy].answers, now - RECENT))

    def rows(self) -> list[dict[str, object]]:
        """The rows of the page's table "What users saw"."""
        return [
            {
                "case": f"{release.version}, {copy}",
                "sent": (seen := self.seen(number, copy)).sent,
                "failed": seen.failed,
                "note": release.words,
            }
            for number, (release, _) in enumerate(self.releases)
            for copy in self.users
        ]


def _summed(answers: Sequence[Answer]) -> Seen:
    return Seen(len(answers), sum(answer.failed for answer in answers))


def _newest(answers: list[Answer], since: float) -> list[Answer]:
    """Answers come nearly in order of sending, so the newest are at the end."""
    first = len(answers)
    while first and answers[first - 1].at >= since:
        first -= 1
    return answers[first:]
