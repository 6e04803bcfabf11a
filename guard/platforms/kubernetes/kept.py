"""What is kept of a known-good revision, so that a rollback never needs the platform's history.

A template of 1.1 MB does not fit a Secret raw; gzipped it does. Compressing takes tens of
milliseconds then, hence a thread.
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guard.core.errors import PermanentError
from guard.core.names import ANNOTATION_LAST_APPLIED
from guard.platforms.kubernetes import managed_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = 1
"""Of the document; a reader refuses a newer one instead of guessing."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A known-good template, and what `kubectl apply` needs to know about it.

    Attributes:
        template: as the API gave it back, defaults and all.
        last_applied: the annotation of that name, None without one.
        managed_fields: the teams' entries.
    """

    template: Mapping[str, Any] = field(repr=False)
    last_applied: str | None = field(repr=False, default=None)
    managed_fields: tuple[Mapping[str, Any], ...] = field(repr=False, default=())


def kept_of(deployment: Mapping[str, Any]) -> Kept:
    """What must be kept of a Deployment whose template is known good."""
    metadata = deployment["metadata"]
    annotations = metadata.get("annotations") or {}
    return Kept(
        template=deployment["spec"]["template"],
        last_applied=annotations.get(ANNOTATION_LAST_APPLIED),
        managed_fields=managed_fields.of_teams(metadata.get("managedFields") or ()),
    )


async def pack(kept: Kept) -> bytes:
    """As gzipped JSON, the same bytes for the same content."""
    document = {
        "version": VERSION,
        "template": kept.template,
        "lastApplied": kept.last_applied,
        "managedFields": list(kept.managed_fields),
    }
    return await asyncio.to_thread(_packed, document)


async def unpack(packed: bytes) -> Kept:
    """Read what `pack` wrote.

    Raises:
        PermanentError: it is damaged, or of a newer guard.
    """
    document = await asyncio.to_thread(_unpacked, packed)
    if not isinstance(document, dict) or document.get("version") != VERSION:
        text = f"the kept template is of another version; this guard reads {VERSION}"
        raise PermanentError(text)
    return Kept(
        template=document["template"],
        last_applied=document["lastApplied"],
        managed_fields=tuple(document["managedFields"]),
    )


def _packed(document: Mapping[str, Any]) -> bytes:
    return gzip.compress(msgspec.json.encode(document), mtime=0)


def _unpacked(packed: bytes) -> Any:
    try:
        return msgspec.json.decode(gzip.decompress(packed))
    except (OSError, EOFError, zlib.error, ValueError, msgspec.DecodeError):
        text = "the kept template is damaged"
        raise PermanentError(text) from None
