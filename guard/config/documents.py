"""YAML text becomes plain data that still knows the line of each of its keys.

First as nodes (every duplicate key, every line, whatever cannot be read), then these as plain
values. Not on an event loop: ruamel.yaml looks for plug-ins on the disk each time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.tag import Tag

from guard.config.codes import Code
from guard.config.problems import Path, Problem, cut, place, show

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_NODES = 20_000
_MAX_DEPTH = 50
_CORE: Final = "tag:yaml.org,2002:"
_TEXT: Final = f"{_CORE}str"
_MERGE: Final = f"{_CORE}merge"
_NUMBERS: Final = frozenset({f"{_CORE}int", f"{_CORE}float"})
_MAPPING: Final = f"{_CORE}map"
_SEQUENCE: Final = f"{_CORE}seq"
_TAGS: Final = frozenset(
    {_MAPPING, _SEQUENCE, _TEXT, *_NUMBERS}
    | {f"{_CORE}{name}" for name in ("bool", "null", "timestamp")}
)
_UNREADABLE: Final = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)
"""What the library's constructors raise for `!!int x`, 30 February or a number of 5,000 digits."""
_HALF: Final = re.compile("[\ud800-\udfff]")
_KEY: Final = "write the key as plain text, in quotes if need be"
_FLAT: Final = ("a file as docs/slo-file.md shows", "write it without so many levels")


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


class _EndlessError(YAMLError):
    """Aliases that unfold into more than any SLO file holds, or into themselves."""


@dataclass(slots=True)
class _Index:
    """Walks the nodes of one file.

    What is wrong with a node is reported, and the node made harmless, so that the rest of the file
    is judged all the same.
    """

    file: str
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    scalars: Any = field(default_factory=lambda: _plain().constructor)
    visits: int = 0

    def walk(self, node: Node, path: Path, depth: int = 0) -> None:
        """Note the line of every key and item below `node`, and whatever cannot be read."""
        self.visits += 1
        if self.visits > _MAX_NODES or depth > _MAX_DEPTH:
            raise _EndlessError
        if node.tag not in _TAGS:
            self._report(node, path, (f"the tag {_short(node)}", "a plain value", "remove the tag"))
            node.ctag = Tag(suffix=_plain_tag(node))
        if isinstance(node, MappingNode):
            self._mapping(node, path, depth)
        elif isinstance(node, SequenceNode):
            for index, item in enumerate(node.value):
                self._enter(item, (*path, index), (item.start_mark.line + 1, depth))
        elif isinstance(node, ScalarNode):
            self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path, depth: int) -> None:
        seen: dict[str, int] = {}
        kept = []
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == _MERGE:
                self.walk(value, path, depth + 1)
            elif key.tag != _TEXT or _HALF.search(key.value):
                words = (_keyed(key), "a key of text", _KEY)
                self._report(key, path, words, Code.KEY_UNKNOWN)
                continue
            else:
                here: Path = (*path, key.value)
                if key.value in seen:
                    self.problems.append(_duplicate(self.file, line, here, seen[key.value]))
                seen.setdefault(key.value, line)
                self._enter(value, here, (line, depth))
            kept.append((key, value))
        node.value = kept

    def _enter(self, node: Node, path: Path, where: tuple[int, int]) -> None:
        line, depth = where
        self.lines[path] = line
        self.walk(node, path, depth + 1)

    def _scalar(self, node: ScalarNode, path: Path) -> None:
        found = ""
        if node.tag in _NUMBERS and "_" in node.value:
            found = f"{show(node.value)}, a number with an underscore"
        elif _HALF.search(node.value):
            found = "half of a surrogate pair, which is no character"
        else:
            try:
                self.scalars.construct_object(node)
            except (YAMLError, *_UNREADABLE):
                found = f"{show(node.value)}, which is no {_short(node)}"
        if found:
            action = "write it plainly, or in quotes where it is a text"
            self._report(node, path, (found, "a text, a number, true or false", action))
            node.ctag, node.value = Tag(suffix=_TEXT), _HALF.sub("?", node.value)

    def _report(
        self,
        node: Node,
        path: Path,
        words: tuple[str, str, str],
        code: Code = Code.YAML_INVALID,
    ) -> None:
        line = node.start_mark.line + 1
        self.problems.append(Problem(self.file, line, place(path), code, *words))


def read_document(file: str, content: bytes) -> tuple[Document | None, list[Problem]]:
    """Parse one file; no content makes this raise.

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
        deep = _too_deep(text)
        if deep:
            words = (f"more than {_MAX_DEPTH} levels of brackets or indents", *_FLAT)
            return None, [Problem(file, deep, "", Code.YAML_INVALID, *words)]
        yaml = _plain()
        node = yaml.compose(text)
        if node is not None:
            index.walk(node, ())
        data = yaml.constructor.construct_document(node) if node is not None else None
    except _EndlessError:
        words = ("aliases that unfold endlessly", "a file of plain values", "remove the aliases")
        return None, [*index.problems, Problem(file, 1, "", Code.YAML_INVALID, *words)]
    except YAMLError as error:
        return None, [*index.problems, _invalid(file, error)]
    if not isinstance(data, dict) or not (data or index.problems):
        words = (show(data), "one mapping that begins with apiVersion: guard/v1", _START)
        problem = Problem(file, 1, "", Code.DOCUMENT_INVALID, *words)
        return None, [*index.problems, problem]
    return Document(file, data, index.lines), index.problems


_START = "see docs/slo-file.md for the least file that works"


def _plain() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = True  # the index has reported them, with all their lines
    yaml.composer.warn_double_anchors = False  # YAML 1.2 allows an anchor to be set anew
    return yaml


def _too_deep(text: str) -> int:
    """The line, from 1, that goes deeper than any SLO file; 0 if none. Composing recurses."""
    depth = 0
    for event in _plain().parse(text):
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                return int(event.start_mark.line) + 1
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
    return 0


def _plain_tag(node: Node) -> str:
    match node:
        case MappingNode():
            return _MAPPING
        case SequenceNode():
            return _SEQUENCE
        case _:
            return _TEXT


def _short(node: Node) -> str:
    """A node's tag as people write it: `!!int`."""
    return cut(str(node.tag).replace(_CORE, "!!"))


def _keyed(key: Node) -> str:
    match key:
        case ScalarNode():
            return f"the key {show(key.value)} ({_short(key)})"
        case SequenceNode():
            return "a key that is a list"
        case _:
            return "a key that is a mapping"


def _duplicate(file: str, line: int, path: Path, first: int) -> Problem:
    words = (f"the key a second time (first in line {first})", "each key once", "remove one")
    return Problem(file, line, place(path), Code.KEY_DUPLICATE, *words)


def _invalid(file: str, error: YAMLError) -> Problem:
    line = 1
    found = "characters that YAML does not allow"
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        found = f"a syntax error: {cut(str(error.problem or error.context))}"
    words = (found, "one YAML 1.2 document", "mend the syntax at or just before this line")
    return Problem(file, line, "", Code.YAML_INVALID, *words)
