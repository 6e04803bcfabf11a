"""The two JSON patches of a rollback, and nothing that `kubectl rollout undo` does on the side.

Each is bound by a `test` to the very object it was made from. The template itself is compared in
Python: a `test` of it fails for ever wherever a string holds `&`, `<` or `é`, which the API
server compares in its own encoding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guard.core.names import ANNOTATION_CHANGE_CAUSE, ANNOTATION_INTENT, ANNOTATION_LAST_APPLIED
from guard.platforms.kubernetes import managed_fields, operations, owners, pause
from guard.platforms.kubernetes.last_applied import spliced

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guard.core.actions import Intent
    from guard.platforms.kubernetes.kept import Kept
    from guard.platforms.kubernetes.operations import Operation

JSON_PATCH: Final = "application/json-patch+json"


def put_back(deployment: Mapping[str, Any], kept: Kept, intent: Intent) -> list[Operation]:
    """Put the kept template in force, and back what a pause changed, if nobody was faster."""
    metadata = deployment["metadata"]
    return [
        *operations.bound(metadata),
        {"op": "replace", "path": "/spec/template", "value": kept.template},
        *pause.put_back(deployment, intent.previous),
        *operations.mark("annotations", metadata, _annotations(metadata, kept, intent)),
    ]


def give_back(deployment: Mapping[str, Any], kept: Kept | None) -> list[Operation]:
    """Take the guard out of `managedFields`, and give the teams back what it took.

    Args:
        deployment: the object to be patched, of this very resource version.
        kept: what was kept with the template in force; None: it is no longer in force, so
            nothing is given back.
    """
    metadata = deployment["metadata"]
    entries = owners.given_back(metadata.get("managedFields") or [], pause.owners_of(deployment))
    after = (
        managed_fields.without_guard(entries)
        if kept is None
        else managed_fields.given_back(entries, kept.managed_fields)
    )
    return tidy(deployment, after)


def tidy(deployment: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> list[Operation]:
    """Put other `managedFields` in force, and take off the marks of a pause that is over."""
    return [
        *operations.exact(deployment["metadata"]),
        *pause.tidied(deployment),
        {"op": "replace", "path": "/metadata/managedFields", "value": list(entries)},
    ]


def mark(intent: Intent) -> str:
    """By which a Deployment says that this very intent was carried out."""
    return f"{intent.id} {intent.uid}"


def is_marked(deployment: Mapping[str, Any], intent: Intent) -> bool:
    """Whether this very intent was carried out before."""
    annotations = deployment["metadata"].get("annotations") or {}
    return bool(annotations.get(ANNOTATION_INTENT) == mark(intent))


def _annotations(metadata: Mapping[str, Any], kept: Kept, intent: Intent) -> dict[str, str]:
    now = (metadata.get("annotations") or {}).get(ANNOTATION_LAST_APPLIED)
    changes = {ANNOTATION_CHANGE_CAUSE: intent.cause, ANNOTATION_INTENT: mark(intent)}
    last_applied = spliced(now, kept.last_applied)
    if last_applied is not None and last_applied != now:
        changes[ANNOTATION_LAST_APPLIED] = last_applied
    return changes
