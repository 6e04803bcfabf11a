"""Pod templates: the guard's own name for what one holds, and what it gives away by itself.

A template is hashed as the API server reads it back. What differs between two templates of one
revision is left out: annotations (law 7), the hash label, and nulls, which come and go with the
API server's version.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

LABEL_HASH: Final = "pod-template-hash"
"""The label that the Deployment controller adds to each ReplicaSet, its template and its pods."""
DIGITS: Final = 32
"""Hexadecimal digits of a content hash: 128 bits."""

_MIGRATES: Final = re.compile(r"alembic|migrate", re.IGNORECASE)


def content(template: Mapping[str, Any]) -> str:
    """Hash a template (`spec.template` of a Deployment or a ReplicaSet).

    Returns:
        32 hexadecimal digits, the same for two templates that differ in annotations alone.
    """
    metadata = dict(template.get("metadata") or {})
    metadata.pop("annotations", None)
    labels = {k: v for k, v in (metadata.pop("labels", None) or {}).items() if k != LABEL_HASH}
    plain = {"labels": labels, "metadata": metadata, "spec": template.get("spec")}
    canonical = msgspec.json.encode(_without_nulls(plain), order="deterministic")
    return hashlib.sha256(canonical).hexdigest()[:DIGITS]


def migrates(command: tuple[str, ...]) -> bool:
    """Whether an init container's command and arguments look like a database migration."""
    return any(_MIGRATES.search(word) for word in command)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
