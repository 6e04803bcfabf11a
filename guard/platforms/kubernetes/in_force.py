"""One Deployment as it is now, and whose template is in force in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guard.platforms.kubernetes import templates
from guard.platforms.kubernetes.refusals import NOT_FOUND, not_now, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guard.core.workloads import Revision, WorkloadId
    from guard.platforms.kubernetes.api import Api

    Deployment = Mapping[str, Any]


def path_of(workload: WorkloadId) -> str:
    """Where the API has this Deployment."""
    return f"/apis/apps/v1/namespaces/{workload.namespace}/deployments/{workload.name}"


async def read(api: Api, workload: WorkloadId, uid: str) -> Deployment | None:
    """The Deployment now; None where it is gone, or another object has its name.

    Raises:
        TemporaryError: no answer, or not now.
        PermanentError: refused.
    """
    answer = await api.call("GET", path_of(workload))
    if answer.status == NOT_FOUND:
        return None
    if not answer.ok:
        raise refusal(answer, f"reading {workload}")
    document: Deployment = answer.document
    return document if document["metadata"]["uid"] == uid else None


def content_of(deployment: Deployment) -> str:
    """The content hash of the template in force."""
    return templates.content(deployment["spec"]["template"])


async def which(api: Api, deployment: Deployment, revisions: Sequence[Revision]) -> Revision | None:
    """Which of these revisions the template in force is, if it is one of them.

    The Deployment's revision annotation cannot tell: where a release also scales, the controller
    notes the newest generation as seen while the annotation is still the old revision's.

    Raises:
        TemporaryError: no answer, or not now.
    """
    content = content_of(deployment)
    for revision in revisions:
        if revision.content == content:
            return revision
    # A revision hashed before the API server was upgraded may have other defaults since; its
    # ReplicaSet, read from the same server as the Deployment, has the same ones.
    alike = await _replica_sets(api, deployment["metadata"]["namespace"], revisions, content)
    return next((revision for revision in revisions if revision.uid in alike), None)


async def _replica_sets(
    api: Api, namespace: str, revisions: Sequence[Revision], content: str
) -> frozenset[str]:
    """Uids of those ReplicaSets of these revisions that have this content."""
    hashes = ",".join(revision.hash for revision in revisions)
    answer = await api.call(
        "GET",
        f"/apis/apps/v1/namespaces/{namespace}/replicasets",
        params={"labelSelector": f"{templates.LABEL_HASH} in ({hashes})"},
    )
    if not answer.ok and not_now(answer):
        raise refusal(answer, "reading ReplicaSets")
    items = answer.document["items"] if answer.ok else ()
    return frozenset(
        item["metadata"]["uid"]
        for item in items
        if templates.content(item["spec"]["template"]) == content
    )
