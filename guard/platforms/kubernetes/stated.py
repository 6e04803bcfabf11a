"""Which of the fields that a pause changes stand in a team's own manifest.

Each apply of such a manifest sets them again, and so ends the pause. `kubectl apply` leaves the
manifest behind as an annotation, a server-side apply its fields in `managedFields`; other entries
there also hold what the API server added itself, and tell nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from guard.core.names import ANNOTATION_LAST_APPLIED
from guard.platforms.kubernetes import owners
from guard.platforms.kubernetes.in_force import path_of
from guard.platforms.kubernetes.refusals import NOT_FOUND, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guard.core.workloads import WorkloadId
    from guard.platforms.kubernetes.api import Api


async def stated(api: Api, workload: WorkloadId) -> tuple[str, ...]:
    """Read one Deployment and say which fields it is; none where it is gone.

    Raises:
        TemporaryError: no answer, or not now.
        PermanentError: refused.
    """
    answer = await api.call("GET", path_of(workload))
    if answer.status == NOT_FOUND:
        return ()
    if not answer.ok:
        raise refusal(answer, f"reading {workload}")
    return stated_in(answer.document)


def stated_in(deployment: Mapping[str, Any]) -> tuple[str, ...]:
    """The same of a Deployment of the API, in the order of the API's own reference."""
    metadata = deployment["metadata"]
    applied = [e for e in metadata.get("managedFields") or () if e.get("operation") == "Apply"]
    by_server = {name for entry in owners.of(applied, owners.PATHS) for name in entry["fields"]}
    manifest = _manifest((metadata.get("annotations") or {}).get(ANNOTATION_LAST_APPLIED, ""))
    return tuple(
        name
        for name, path in owners.PATHS.items()
        if name in by_server or _states(manifest, [key.removeprefix("f:") for key in path])
    )


def _manifest(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _states(manifest: object, path: list[str]) -> bool:
    found = manifest
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found is not None
