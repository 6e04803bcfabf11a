"""Whose field is whose: gives a team back the fields that a rollback took from it.

Only the ownership of what a rollback changes is put back to what it was when the template was
kept. All else stays as it is now: a team that has left `spec.replicas` to an autoscaler since
would own it again, and its next apply would remove it.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from guard.core.names import ANNOTATION_CHANGE_CAUSE, ANNOTATION_LAST_APPLIED, FIELD_MANAGER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Entry = Mapping[str, Any]
    Path = tuple[str, ...]

CHANGED: Final[tuple[Path, ...]] = (
    ("f:spec", "f:template"),
    ("f:metadata", "f:annotations", f"f:{ANNOTATION_LAST_APPLIED}"),
    ("f:metadata", "f:annotations", f"f:{ANNOTATION_CHANGE_CAUSE}"),
)
"""What a rollback changes, as FieldsV1 names it (KEP-555, structured-merge-diff)."""


def of_teams(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The entries of everyone but the guard; what comes by a subresource is a controller's."""
    return tuple(entry for entry in entries if not entry.get("subresource") and not _ours(entry))


def owns_any(entries: Iterable[Entry]) -> bool:
    """Whether the guard itself owns fields."""
    return any(_ours(entry) for entry in entries)


def without_guard(entries: Iterable[Entry]) -> list[Entry]:
    """All entries but the guard's own."""
    return [entry for entry in entries if not _ours(entry)]


def given_back(entries: Sequence[Entry], kept: Sequence[Entry]) -> list[Entry]:
    """The entries as they must be after a rollback.

    Args:
        entries: as they are now, the guard's among them.
        kept: the teams' entries when the template that is in force again was kept.
    """
    before = {_key(entry): entry for entry in kept}
    after: list[Entry] = []
    for entry in without_guard(entries):
        if entry.get("subresource"):
            after.append(entry)
            continue
        after.extend(_mended(entry, before.pop(_key(entry), None)))
    for entry in before.values():
        # Its manager has lost every field since: it gets back what the rollback put back.
        after.extend(_mended({**entry, "fieldsV1": {}}, entry))
    return after


def _mended(entry: Entry, kept: Entry | None) -> list[Entry]:
    fields = deepcopy(entry.get("fieldsV1") or {})
    source = (kept or {}).get("fieldsV1") or {}
    for path in CHANGED:
        _remove(fields, path)
        found = _find(source, path)
        if found is not None:
            _put(fields, path, deepcopy(found))
    return [{**entry, "fieldsV1": fields}] if fields else []


def _find(fields: Mapping[str, Any], path: Path) -> Any:
    found: Any = fields
    for step in path:
        if step not in found:
            return None
        found = found[step]
    return found


def _put(fields: dict[str, Any], path: Path, value: Any) -> None:
    for step in path[:-1]:
        fields = fields.setdefault(step, {})
    fields[path[-1]] = value


def _remove(fields: dict[str, Any], path: Path) -> None:
    """Take a path out, and every parent that holds nothing any more."""
    first, *rest = path
    if first not in fields:
        return
    if rest:
        _remove(fields[first], tuple(rest))
    if not rest or not fields[first]:
        del fields[first]


def _ours(entry: Entry) -> bool:
    return entry.get("manager") == FIELD_MANAGER and not entry.get("subresource")


def _key(entry: Entry) -> tuple[str, str, str]:
    return (entry.get("manager", ""), entry.get("operation", ""), entry.get("apiVersion", ""))
