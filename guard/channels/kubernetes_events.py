"""Tells by Kubernetes Events on the workload: what `kubectl describe deployment` shows.

An Event is created and never changed, since creating is the only right the guard has in a team's
namespace. Its name comes from the notice, so that a repeated notice makes no second Event.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from guard.core.names import EVENT_COMPONENT
from guard.core.notices import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guard.core.notices import Notice

PLATFORM: Final = "kubernetes"
MESSAGE_AT_MOST: Final = 1024
"""Bytes of a message: what the API takes of a note (`noteLengthLimit`), and people of a line."""
NAME_AT_MOST: Final = 253
"""Characters of an object's name, RFC 1123 as Kubernetes uses it."""
CUT: Final = "…"

_GROUPS: Final = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1"}


class PostEvent(Protocol):
    """Creates an Event; the platform offers it."""

    async def __call__(self, namespace: str, body: Mapping[str, Any]) -> None:
        """Create the Event, or find that it is there already.

        Raises:
            TemporaryError: try again later.
            PermanentError: it will never be taken.
        """


class KubernetesEvents:
    """A channel; other platforms' workloads have no Events and are passed over."""

    name = "kubernetes-events"

    def __init__(self, post: PostEvent, instance: str = EVENT_COMPONENT) -> None:
        """Take what creates Events, and which guard this is (its pod's name)."""
        self._post = post
        self._instance = instance

    async def send(self, notice: Notice) -> None:
        """Create one Event.

        Raises:
            TemporaryError: try again later.
            PermanentError: this notice will never be taken.
        """
        if notice.workload.platform == PLATFORM:
            await self._post(notice.workload.namespace, event(notice, self._instance))

    async def close(self) -> None:
        """Nothing is held open. Idempotent."""


def event(notice: Notice, instance: str) -> dict[str, Any]:
    """The Event as the API takes it; it gives the workload's uid where the platform knows it."""
    workload = notice.workload
    at = datetime.fromtimestamp(notice.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": workload.namespace, "name": _name(notice)},
        "involvedObject": {
            "apiVersion": _GROUPS.get(workload.kind, "v1"),
            "kind": workload.kind,
            "namespace": workload.namespace,
            "name": workload.name,
        },
        "type": "Normal" if notice.severity is Severity.INFO else "Warning",
        "reason": notice.reason,
        "message": message(notice.title, notice.body),
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "source": {"component": EVENT_COMPONENT},
        "reportingComponent": EVENT_COMPONENT,
        "reportingInstance": instance,
    }


def message(title: str, body: str) -> str:
    """Title and body in one line of at most 1024 bytes; the title is cut last."""
    line = " ".join(title.split())
    more = "; ".join(part for part in map(str.strip, body.splitlines()) if part)
    return _cut(f"{line}: {more}" if more else line)


def _cut(text: str) -> str:
    encoded = text.encode()
    if len(encoded) <= MESSAGE_AT_MOST:
        return text
    room = MESSAGE_AT_MOST - len(CUT.encode())
    return encoded[:room].decode(errors="ignore") + CUT


def _name(notice: Notice) -> str:
    identity = "\n".join((notice.key, notice.stage, notice.reason, repr(notice.at)))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return f"{notice.workload.name[: NAME_AT_MOST - 17].rstrip('.-')}.{digest}"
