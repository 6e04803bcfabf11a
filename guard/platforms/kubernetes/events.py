"""Creates Events in a team's namespace, on the very object they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guard.platforms.kubernetes.refusals import CONFLICT, not_now, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guard.platforms.kubernetes.api import Api

APPS = "apps/v1"


async def post_event(api: Api, namespace: str, body: Mapping[str, Any]) -> None:
    """Create an Event; one of that name that is there already is this very one.

    `kubectl describe` looks Events up by the object's uid, so it is read where the body has none.

    Raises:
        TemporaryError: no answer, or not now.
        PermanentError: refused: no right, no such namespace, or one that is going.
    """
    sent = dict(body)
    sent["involvedObject"] = await _with_uid(api, namespace, body["involvedObject"])
    answer = await api.call("POST", f"/api/v1/namespaces/{namespace}/events", body=sent)
    if not answer.ok and answer.status != CONFLICT:
        raise refusal(answer, f"creating an Event in namespace {namespace}")


async def _with_uid(api: Api, namespace: str, involved: Mapping[str, Any]) -> dict[str, Any]:
    """The reference with its uid; without it where the object is gone or may not be read."""
    found = dict(involved)
    if found.get("uid") or found.get("apiVersion") != APPS:
        return found
    resource = f"{found['kind'].lower()}s"
    path = f"/apis/{APPS}/namespaces/{namespace}/{resource}/{found['name']}"
    answer = await api.call("GET", path)
    if not_now(answer):
        raise refusal(answer, f"reading {path}")
    if answer.ok:
        found["uid"] = answer.document["metadata"]["uid"]
    return found
