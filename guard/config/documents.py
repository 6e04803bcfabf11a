"""YAML text becomes plain data that still knows the line of each of its keys.

Read twice on purpose: once as nodes (every duplicate key, every line), once as plain values. Not
on an event loop: ruamel.yaml looks for plug-ins on the disk each time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from guard.config.codes import Code
from guard.config.problems import Path, Problem, place, show

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_NODES = 20_000
_MAX_DEPTH = 50


@dataclass(frozen=True, slots=True)
class Document:
    """One file's content: plain data, the line of each path (from 1), what is wrong already."""

    file: str
    data: dict[Any, Any]
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest thing around it that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, path: Path, code: Code, words: tuple[str, str, str]) -> Problem:
        """A problem at a path; `words` are what was found, expected, and what to do."""
        return Problem(self.file, self.line(path), place(path), code, *words)

    def at(self, *path: str | int) -> Any:
        """The value at a path, None where there is none."""
        value: Any = self.data
        for part in path:
            match value:
                case dict():
                    value = value.get(part)
                case list() if isinstance(part, int) and part < len(value):
                    value = value[part]
                case _:
                    return None
        return value

    def items(self, *path: str | int) -> Iterator[tuple[Path, Any]]:
        """Each item of the list at a path, with its own path; nothing if that is no list."""
        value = self.at(*path)
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield (*path, index), item


class _TooManyNodesError(YAMLError):
    """Aliases that unfold into more than any SLO file holds, or into themselves."""


@dataclass(slots=True)
class _Index:
    """Walks the nodes of one file."""

    file: str
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def walk(self, node: Node, path: Path) -> None:
        """Note the line of every key and item below `node`, and every duplicate key."""
        if len(self.lines) > _MAX_NODES or len(path) > _MAX_DEPTH:
            raise _TooManyNodesError
        if isinstance(node, MappingNode):
            self._mapping(node, path)
        elif isinstance(node, SequenceNode):
            for index, item in enumerate(node.value):
                self._enter(item, (*path, index), item.start_mark.line + 1)

    def _mapping(self, node: MappingNode, path: Path) -> None:
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                continue
            line = key.start_mark.line + 1
            here: Path = (*path, key.value)
            if key.value in seen:
                self.problems.append(_duplicate(self.file, line, here, seen[key.value]))
            seen.setdefault(key.value, line)
            self._enter(value, here, line)

    def _enter(self, node: Node, path: Path, line: int) -> None:
        self.lines[path] = line
        self.walk(node, path)


def read_document(file: str, content: bytes) -> tuple[Document | None, list[Problem]]:
    """Parse one file.

    Returns:
        The document, None where nothing can be said about its keys; and what is wrong.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        words = ("bytes that are no UTF-8", "text in UTF-8", "save the file as UTF-8")
        return None, [Problem(file, line, "", Code.YAML_INVALID, *words)]
    index = _Index(file)
    try:
        node = YAML(typ="rt").compose(text)
        if node is not None:
            index.walk(node, ())
        data = _plain().load(text)
    except YAMLError as error:
        return None, [*index.problems, _invalid(file, error)]
    if not isinstance(data, dict) or not data:
        words = (show(data), "one mapping that begins with apiVersion: guard/v1", _START)
        return None, [Problem(file, 1, "", Code.DOCUMENT_INVALID, *words)]
    return Document(file, data, index.lines), index.problems


_START = "see docs/slo-file.md for the least file that works"


def _plain() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = True  # the index has reported them, with all their lines
    return yaml


def _duplicate(file: str, line: int, path: Path, first: int) -> Problem:
    words = (f"the key a second time (first in line {first})", "each key once", "remove one")
    return Problem(file, line, place(path), Code.KEY_DUPLICATE, *words)


def _invalid(file: str, error: YAMLError) -> Problem:
    if isinstance(error, _TooManyNodesError):
        words = ("aliases that unfold endlessly", "a file of plain values", "remove the aliases")
        return Problem(file, 1, "", Code.YAML_INVALID, *words)
    line = 1
    found = "characters that YAML does not allow"
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        found = f"a syntax error: {error.problem or error.context}"
    words = (found, "one YAML 1.2 document", "mend the syntax at or just before this line")
    return Problem(file, line, "", Code.YAML_INVALID, *words)
