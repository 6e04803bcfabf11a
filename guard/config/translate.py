"""Pydantic's complaints become the guard's: a stable code, a line, and what to do."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from guard.config.codes import Code
from guard.config.models import SloFile
from guard.config.problems import Path, Problem, Rejected, closest, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

    from guard.config.documents import Document

_REFERENCE: Final = "see docs/slo-file.md"

_TYPES: Final = {
    "string_type": "text",
    "bool_type": "true or false",
    "model_type": "a mapping",
    "tuple_type": "a list",
}

# Kinds that architecture.md names and that this version does not guard yet.
_LATER: Final = frozenset({"swarm", "compose", "statefulset", "daemonset", "local"})


def validate(document: Document) -> tuple[SloFile | None, list[Problem]]:
    """Read a document into the model.

    Returns:
        The file, None if anything is wrong with it; and everything that is.
    """
    try:
        return SloFile.model_validate(document.data), []
    except ValidationError as error:
        return None, list(_problems(document, error))


def _problems(document: Document, error: ValidationError) -> Iterator[Problem]:
    for detail in error.errors(include_url=False):
        path = detail["loc"]
        if detail["type"] != "missing" or not _unsupported(document.at(*path[:-1])):
            yield _problem(document, path, detail)


def _problem(document: Document, path: Path, detail: ErrorDetails) -> Problem:
    match detail["type"]:
        case "value_error":
            rejected = detail.get("ctx", {}).get("error")
            if isinstance(rejected, Rejected):
                words = (rejected.found, rejected.expected, rejected.action)
                return document.problem(path, rejected.code, words)
        case "missing":
            words = ("nothing", f"the key {path[-1]!r}", f"add it ({_REFERENCE})")
            return document.problem(path, Code.KEY_MISSING, words)
        case "extra_forbidden" | "invalid_key":
            return _unknown(document, path)
        case kind:
            expected = _TYPES.get(kind, detail["msg"])
            words = (show(detail["input"]), expected, f"write {expected} here ({_REFERENCE})")
            return document.problem(path, Code.TYPE_WRONG, words)
    raise AssertionError(detail)


def _unknown(document: Document, path: Path) -> Problem:
    key = path[-1]
    if key in _LATER:
        words = (
            f"{key!r}",
            "kubernetes: {namespace, deployment}, the only kind so far",
            "leave this workload out: it is not supported yet",
        )
        return document.problem(path, Code.PLATFORM_UNSUPPORTED, words)
    known = keys_at(path[:-1])
    words = (f"the key {show(str(key))}", f"one of {', '.join(known)}", closest(key, known))
    return document.problem(path, Code.KEY_UNKNOWN, words)


def _unsupported(around: object) -> bool:
    return isinstance(around, dict) and not _LATER.isdisjoint(around)


def keys_at(path: Path) -> list[str]:
    """The keys that the mapping at a path may hold, in the order of the model."""
    model: type[BaseModel] = SloFile
    for part in path:
        if isinstance(part, str):
            field = next(
                field for name, field in model.model_fields.items() if (field.alias or name) == part
            )
            model = _model_in(field.annotation) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation holds, alone, as optional, or as items."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(argument) for argument in typing.get_args(annotation))
    return next((model for model in found if model), None)
