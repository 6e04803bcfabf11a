"""Notices changed SLO files; the last good set stays until a better one is there.

By content and not by time stamps: a mounted ConfigMap changes by a symlink that is swapped, and
its files keep whatever times they have. Blocking reads: the async shell polls in a thread.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from guard.config.load import Loaded, gather, parse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from guard.config.load import SourceFile
    from guard.config.problems import Problem
    from guard.core.policy import Service


class Watcher:
    """Follows the SLO files at some paths. Not for several threads at once."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._seen: bytes | None = None
        self.services: tuple[Service, ...] = ()
        self.problems: tuple[Problem, ...] = ()

    def poll(self) -> Loaded | None:
        """Read the files; None while they are what they were at the last poll.

        A set with any problem is refused whole: `services` stays what it was, `problems` says
        why, and the answer holds both for log and metric.
        """
        files, unread = gather(self._paths)
        seen = _digest(files, unread)
        if seen == self._seen:
            return None
        parsed = parse(files)
        loaded = Loaded(parsed.services, (*unread, *parsed.problems), parsed.files)
        self._seen = seen  # only now: what could not be judged is no known content
        self.problems = loaded.problems
        if not loaded.problems:
            self.services = loaded.services
        return loaded


def _digest(files: Sequence[SourceFile], unread: Sequence[Problem]) -> bytes:
    state = hashlib.sha256()
    for file in files:
        state.update(f"{file.name}\0{len(file.content)}\0".encode())
        state.update(file.content)
    for problem in unread:
        state.update(f"{problem}\0".encode())
    return state.digest()
