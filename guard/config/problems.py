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
            return f"a mapping of {', '.join(map(str, value)) or 'no keys'}"[:_SHOWN]
        case list() | tuple():
            return f"a list of {len(value)}"
        case str():
            text = repr(value)
            return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…'"
        case _:
            return str(value)[:_SHOWN]


def closest(found: object, known: Iterable[str]) -> str:
    """An imperative clause that names the known word closest to the found one."""
    words = sorted(known)
    near = difflib.get_close_matches(str(found), words, n=1, cutoff=_CLOSE)
    return f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(words)}"


def place(path: Path) -> str:
    """A path as people read it: `rollout.checks[0].health`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
