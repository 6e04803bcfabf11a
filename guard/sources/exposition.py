"""Reads single metric families out of what a pod exposes (Prometheus text 0.0.4, OpenMetrics).

The law of this module: only the lines of the families that were asked for are ever looked at. A
body of a megabyte costs a search, not a parse.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROCESS_START: Final = "process_start_time_seconds"

_TOTAL: Final = "_total"
_NEWLINE: Final = 0x0A
_BLANKS: Final = b" \t"
_AFTER_NAME: Final = frozenset(b"{ \t")

# `{labels} value [timestamp] [# exemplar]`, from the end of the name on. Nothing is tried twice
# (possessive quantifiers): a hostile line costs no more than a good one.
_REST: Final = re.compile(
    rb"""[ \t]*+(\{(?:[^"}\n]++|"(?:[^"\\\n]++|\\.)*+")*+\})?+"""
    rb"""[ \t]*([^\s#{]+)(?:[ \t]+([^\s#{]+))?[ \t]*(?:\#[^\n]*)?\r?(?:\n|\Z)"""
)
_LABEL: Final = re.compile(
    rb"""[ \t]*(?:([a-zA-Z_][a-zA-Z0-9_]*)|"((?:[^"\\]++|\\.)*+)")[ \t]*=[ \t]*"""
    rb""""((?:[^"\\]++|\\.)*+)"[ \t]*(?:,[ \t]*|\Z)"""
)
_ESCAPE: Final = re.compile(r'\\([\\n"])')


class Malformed(ValueError):
    """A line of a wanted family cannot be read. The text names the family, never the line."""


class Series(NamedTuple):
    """One series of a family.

    Attributes:
        block: its labels as they stand in the body, `{…}` or nothing: the same series has the
            same block in each body of a process, so what it means need be found out but once.
        at: the exposed time, seconds since the epoch; None where there is none.
    """

    block: bytes
    value: float
    at: float | None

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels, parsed."""
        return _labels(self.block) if self.block else {}


@dataclass(frozen=True, slots=True)
class Exposition:
    """One body. `openmetrics`: its content type says so (times are then seconds, not ms)."""

    body: bytes
    openmetrics: bool = False

    def series(self, name: str) -> list[Series]:
        """Every series of one metric.

        A counter is found with and without `_total`: the same counter has it in one format and
        not in the other, depending on the client library.

        Raises:
            Malformed: a line of the metric cannot be read.
        """
        found = list(self._samples(name))
        if found:
            return found
        other = name.removesuffix(_TOTAL) if name.endswith(_TOTAL) else name + _TOTAL
        return list(self._samples(other)) if self._is_counter(other) else []

    def process_start(self) -> float | None:
        """When the process began, seconds since the epoch; None where it does not say so."""
        alone = [one.value for one in self._samples(PROCESS_START) if not one.block]
        return alone[0] if len(alone) == 1 else None

    def _is_counter(self, name: str) -> bool:
        family = name.removesuffix(_TOTAL).encode()
        return any(
            b"# TYPE %b counter" % typed in self.body for typed in (family, family + b"_total")
        )

    def _samples(self, name: str) -> Iterator[Series]:
        scale = 1.0 if self.openmetrics else 1e-3
        for after in _ends_of(name.encode(), self.body):
            line = _REST.match(self.body, after)
            if line is None:
                raise Malformed(_unreadable(name))
            block, value, at = line.groups()
            try:
                if block:
                    _labels(block)
                yield Series(block or b"", float(value), float(at) * scale if at else None)
            except ValueError:
                raise Malformed(_unreadable(name)) from None


def _unreadable(name: str) -> str:
    return f"a line of {name} cannot be read"


def _ends_of(name: bytes, body: bytes) -> Iterator[int]:
    """Where the name of each sample line of a metric ends."""
    at = body.find(name)
    while at >= 0:
        after = at + len(name)
        if after < len(body) and body[after] in _AFTER_NAME and _begins_line(body, at):
            yield after
        at = body.find(name, after)


def _begins_line(body: bytes, at: int) -> bool:
    while at > 0 and body[at - 1] in _BLANKS:
        at -= 1
    return at == 0 or body[at - 1] == _NEWLINE


@lru_cache(maxsize=8192)
def _labels(block: bytes) -> Mapping[str, str]:
    """Parse `{…}`. A process exposes the same blocks again and again, hence the cache."""
    inside = block[1:-1].strip(_BLANKS)
    labels: dict[str, str] = {}
    at = 0
    while at < len(inside):
        label = _LABEL.match(inside, at)
        if label is None:
            message = "labels"
            raise Malformed(message)
        plain, quoted, value = label.groups()
        labels[_text(quoted) if plain is None else plain.decode()] = _text(value)
        at = label.end()
    return labels


def _text(raw: bytes) -> str:
    text = raw.decode()
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], text)
