"""Whose an object of the guard's namespace is: its name, its labels, and the uid it is bound to.

Names are made from a hash, so they cannot be read backwards; the data says it in full.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Final

from guard.core.names import (
    FIELD_MANAGER,
    LABEL_HOLDS,
    LABEL_MANAGED_BY,
    LABEL_WORKLOAD_NAMESPACE,
)

if TYPE_CHECKING:
    from guard.core.workloads import WorkloadId

RECORDS: Final = "records"
KNOWN_GOOD: Final = "known-good"
WORKLOAD_KEY: Final = "workload.json"
"""Key of the data that says which object of which workload the rest is about."""
READABLE_AT_MOST: Final = 180
"""Characters of namespace and name in an object's name, which holds 253 at most."""

_OTHER: Final = re.compile(r"[^a-z0-9-]+")


def object_name(holds: str, workload: WorkloadId) -> str:
    """A valid DNS name that a person can read, and that no other workload has."""
    exact = f"{workload.platform}/{workload.kind}/{workload.namespace}/{workload.name}"
    digest = hashlib.sha256(exact.encode()).hexdigest()[:10]
    readable = _OTHER.sub("-", f"{workload.namespace}-{workload.name}".lower())
    return f"{holds}-{readable[:READABLE_AT_MOST].strip('-')}-{digest}"


def labels(holds: str, workload: WorkloadId) -> dict[str, str]:
    """By which the guard and people find an object."""
    return {
        LABEL_MANAGED_BY: FIELD_MANAGER,
        LABEL_HOLDS: holds,
        LABEL_WORKLOAD_NAMESPACE: workload.namespace,
    }


def selector(holds: str) -> str:
    """The label selector of all objects of one kind of content."""
    return f"{LABEL_MANAGED_BY}={FIELD_MANAGER},{LABEL_HOLDS}={holds}"


def bound(workload: WorkloadId, uid: str, at: float, **more: Any) -> str:
    """What the data says about whose it is and when it was written, as JSON."""
    document = {
        "platform": workload.platform,
        "namespace": workload.namespace,
        "name": workload.name,
        "kind": workload.kind,
        "uid": uid,
        "writtenAt": at,
        **more,
    }
    return json.dumps(document)


def read(text: str) -> dict[str, Any]:
    """Read what `bound` wrote; what a person has damaged is bound to nothing."""
    try:
        document = json.loads(text or "{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
