"""Operations of JSON patches (RFC 6902), as all of the guard's patches are made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Operation = dict[str, Any]


def bound(metadata: Mapping[str, Any]) -> list[Operation]:
    """Bind a patch to this very object while its specification is still this one.

    Generation moves with the specification alone: status updates do not disturb, whoever scales
    or releases meanwhile does.
    """
    return [
        test("/metadata/uid", metadata["uid"]),
        test("/metadata/generation", metadata["generation"]),
    ]


def exact(metadata: Mapping[str, Any]) -> list[Operation]:
    """Bind a patch to this very version of the object, whatever changes of it."""
    return [
        test("/metadata/uid", metadata["uid"]),
        test("/metadata/resourceVersion", metadata["resourceVersion"]),
    ]


def mark(where: str, metadata: Mapping[str, Any], changes: Mapping[str, str]) -> list[Operation]:
    """Set labels or annotations.

    `add` throughout: it replaces what is there, and removing what is absent is refused.
    """
    if not metadata.get(where):
        return [{"op": "add", "path": f"/metadata/{where}", "value": dict(changes)}]
    return [
        {"op": "add", "path": f"/metadata/{where}/{escaped(name)}", "value": value}
        for name, value in changes.items()
    ]


def test(path: str, value: object) -> Operation:
    """The patch is refused as a whole unless this value is there."""
    return {"op": "test", "path": path, "value": value}


def escaped(name: str) -> str:
    """As RFC 6901 wants it in a path."""
    return name.replace("~", "~0").replace("/", "~1")
