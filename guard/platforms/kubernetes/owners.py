"""Who owned the fields that a pause changes, so that each team gets its own back.

Without it the next server-side apply meets a conflict with the guard, or no longer removes what
the team took out of its manifest. Kept in the pause's own annotation, as short as it can be said.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from guard.core.names import FIELD_MANAGER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    Entry = Mapping[str, Any]

PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "minReadySeconds": ("f:spec", "f:minReadySeconds"),
    "progressDeadlineSeconds": ("f:spec", "f:progressDeadlineSeconds"),
    "maxSurge": ("f:spec", "f:strategy", "f:rollingUpdate", "f:maxSurge"),
    "maxUnavailable": ("f:spec", "f:strategy", "f:rollingUpdate", "f:maxUnavailable"),
}
"""As FieldsV1 names what a pause changes (KEP-555, structured-merge-diff)."""


def of(entries: Iterable[Entry], fields: Iterable[str]) -> tuple[Entry, ...]:
    """Which of these fields each team owns now, by `managedFields`."""
    wanted = [field for field in fields if field in PATHS]
    found = []
    for entry in entries:
        if entry.get("subresource") or entry.get("manager") == FIELD_MANAGER:
            continue
        owned = [field for field in wanted if _has(entry.get("fieldsV1") or {}, PATHS[field])]
        if owned:
            found.append({**_named(entry), "fields": owned})
    return tuple(found)


def joined(
    mine: Sequence[Entry], before: Sequence[Entry], fields: Collection[str]
) -> tuple[Entry, ...]:
    """What each team owns now, and what it owned of these fields before an earlier pause."""
    found = {_key(entry): dict(entry) for entry in mine}
    for entry in before:
        old = [field for field in entry["fields"] if field in fields]
        if old:
            one = found.setdefault(_key(entry), {**_named(entry), "fields": []})
            one["fields"] = [*dict.fromkeys([*one["fields"], *old])]
    return tuple(found.values())


def read(said: object) -> tuple[Entry, ...]:
    """Read what `of` gave; entries of any other form are left out."""
    items = said if isinstance(said, list) else []
    return tuple(
        item for item in items if isinstance(item, dict) and isinstance(item.get("fields"), list)
    )


def given_back(entries: Sequence[Entry], before: Sequence[Entry]) -> list[Entry]:
    """The entries without the guard's, where each team owns again what it owned before."""
    owned = {_key(entry): entry["fields"] for entry in before}
    after = []
    for entry in entries:
        if entry.get("manager") == FIELD_MANAGER and not entry.get("subresource"):
            continue
        mine = None if entry.get("subresource") else owned.get(_key(entry))
        after.append(_with(entry, mine) if mine else entry)
    return after


def _with(entry: Entry, fields: Iterable[str]) -> Entry:
    owned = deepcopy(entry.get("fieldsV1") or {})
    for field in fields:
        at = owned
        for step in PATHS.get(field, ()):
            at = at.setdefault(step, {})
    return {**entry, "fieldsV1": owned}


def _has(fields: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    found: Any = fields
    for step in path:
        if step not in found:
            return False
        found = found[step]
    return True


def _named(entry: Entry) -> dict[str, str]:
    return {key: entry.get(key, "") for key in ("manager", "operation", "apiVersion")}


def _key(entry: Entry) -> tuple[str, str, str]:
    named = _named(entry)
    return (named["manager"], named["operation"], named["apiVersion"])
