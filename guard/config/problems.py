"""Problems: what a person wrote that cannot be used, where, and what to do about it.

All of them are gathered before any is shown, so that one run of `guard check` says everything.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guard.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guard.config.codes import Code

Path = tuple[str | int, ...]

_SHOWN = 80
_CLOSE = 0.6
_LISTED = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        file: the file (or `environment`) as the person named it.
        line: counted from 1; 0 where lines mean nothing.
        path: the place in the document, `rollout.checks[0].health.port`, or a variable's name.
        found: what stands there; never the value of a secret.
        expected: what could stand there.
        action: what to do, one imperative clause.
    """

    file: str
    line: int
    path: str
    code: Code
    found: str
    expected: str
    action: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        place = f"{self.path}: " if self.path else ""
        return (
            f"{where}: [{self.code}] {place}"
            f"found {self.found}, expected {self.expected} — {self.action}"
        )


class Rejected(ValueError):
    """A value that cannot be used; whoever knows its place makes a `Problem` of it."""

    def __init__(self, code: Code, found: str, expected: str, action: str) -> None:
        super().__init__(f"[{code}] found {found}, expected {expected} — {action}")
        self.code = code
        self.found = found
        self.expected = expected
        self.action = action

    def at(self, file: str, line: int, path: str) -> Problem:
        """The problem that this value is at its place."""
        return Problem(file, line, path, self.code, self.found, self.expected, self.action)


class ConfigurationProblems(ConfigurationError):
    """Configuration that cannot be used, with everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def show(value: object) -> str:
    """A value in the words of YAML's kinds, cut to one line of at most 80 characters."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return cut(f"a mapping of {', '.join(map(str, value)) or 'no keys'}")
        case list() | tuple():
            return f"a list of {len(value)}"
        case str():
            text = repr(value)
            return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…'"
        case int() if abs(value) >= 10**_SHOWN:
            return f"a number of over {_SHOWN} digits"  # Python writes out no more than 4,300
        case _:
            return cut(str(value))


def cut(text: str) -> str:
    """A text that is shown without quotes, cut to 80 characters."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def listed(words: Iterable[str]) -> str:
    """Known words for a message, each cut, at most 60 of them."""
    shown = [cut(word) for word in words]
    more = f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else ""
    return ", ".join(shown[:_LISTED]) + more


def near(found: object, known: Iterable[str]) -> str | None:
    """The known word that is closest to the found one, whatever its case; None if none is near."""
    words = {word.casefold(): word for word in sorted(known, reverse=True)}
    close = difflib.get_close_matches(str(found).casefold(), sorted(words), n=1, cutoff=_CLOSE)
    return words[close[0]] if close else None


def closest(found: object, known: Iterable[str]) -> str:
    """An imperative clause that names the known word closest to the found one."""
    words = sorted(known)
    word = near(found, words)
    return f"use one of {listed(words)}" if word is None else f"did you mean {show(word)}?"


def place(path: Path) -> str:
    """A path as people read it: `rollout.checks[0].health`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
