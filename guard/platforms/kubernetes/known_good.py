"""The Secret of one workload that holds what was last known good.

The template that was kept before the last one stays beside it, because the memory that names the
new one is written afterwards: a crash in between must leave a rollback possible.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

from guard.core.errors import PermanentError
from guard.platforms.kubernetes import binding
from guard.platforms.kubernetes.kept import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from guard.core.workloads import Revision, WorkloadId
    from guard.platforms.kubernetes.kept import Kept
    from guard.platforms.kubernetes.own_objects import OwnObjects

SECRET_AT_MOST: Final = 1_000_000
"""Bytes of all data in a Secret: the API takes 1 MiB (`MaxSecretSize`)."""


class KnownGoodSecrets:
    """Keeps templates in Secrets."""

    def __init__(self, secrets: OwnObjects, now: Callable[[], float]) -> None:
        """Take the Secrets of the guard's namespace; `now` is in seconds since the epoch."""
        self._secrets = secrets
        self._now = now

    async def keep(self, workload: WorkloadId, uid: str, revision: Revision, kept: Kept) -> None:
        """Keep a revision's template, and the one that was kept before it.

        Raises:
            TemporaryError: the store did not answer.
            PermanentError: the store refused, or the template is too large for it.
        """
        name = binding.object_name(binding.KNOWN_GOOD, workload)
        packed = await pack(kept)
        if len(packed) > SECRET_AT_MOST:
            text = f"the template of {workload} is too large to keep: {len(packed)} bytes gzipped"
            raise PermanentError(text)
        entries = [_entry(revision)]
        data = {_key(revision): base64.b64encode(packed).decode()}
        for entry, value in _before(await self._secrets.read(name), uid, revision):
            if len(packed) + _bytes(value) <= SECRET_AT_MOST:
                entries.append(entry)
                data[entry["key"]] = value
        text = binding.bound(workload, uid, self._now(), kept=entries)
        data[binding.WORKLOAD_KEY] = base64.b64encode(text.encode()).decode()
        await self._secrets.replace(name, binding.labels(binding.KNOWN_GOOD, workload), data)

    async def kept(self, workload: WorkloadId, uid: str, revision: Revision) -> Kept | None:
        """What is kept of this very revision, by the uid of its ReplicaSet; None without it.

        Raises:
            TemporaryError: the store did not answer.
            PermanentError: the store refused, or what it holds cannot be read.
        """
        name = binding.object_name(binding.KNOWN_GOOD, workload)
        secret = await self._secrets.read(name)
        for entry, value in _entries(secret, uid):
            if entry["replicaSet"] == revision.uid:
                return await unpack(_decoded(value))
        return None


def bound(secret: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a Secret says about whose it is; empty where it says nothing."""
    encoded = ((secret or {}).get("data") or {}).get(binding.WORKLOAD_KEY, "")
    return binding.read(_decoded(encoded).decode(errors="replace"))


def _entries(secret: Mapping[str, Any] | None, uid: str) -> list[tuple[dict[str, Any], str]]:
    """What is kept of this very workload, the newest first, with its base64."""
    said = bound(secret)
    if secret is None or said.get("uid") != uid:
        return []
    data = secret["data"]
    return [(entry, data[entry["key"]]) for entry in said["kept"] if entry["key"] in data]


def _before(
    secret: Mapping[str, Any] | None, uid: str, revision: Revision
) -> list[tuple[dict[str, Any], str]]:
    """The newest other one, if there is one."""
    return [(e, v) for e, v in _entries(secret, uid) if e["key"] != _key(revision)][:1]


def _entry(revision: Revision) -> dict[str, Any]:
    return {"key": _key(revision), "replicaSet": revision.uid, "hash": revision.hash}


def _key(revision: Revision) -> str:
    return f"{revision.hash}-{revision.number}.json.gz"


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value)
    except binascii.Error:
        return b""


def _bytes(value: str) -> int:
    return len(value) * 3 // 4
