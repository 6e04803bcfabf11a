"""What the API server lets the guard do, asked of itself: one SelfSubjectAccessReview a right."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guard.core.actions import Rights
from guard.platforms.kubernetes.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from guard.core.workloads import WorkloadId
    from guard.platforms.kubernetes.api import Api

REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
GOOD_FOR: Final = 60.0
"""Seconds for which an answer is used again: what is asked for one workload is mostly asked for
all others of its namespace at the same time."""
AT_ONCE: Final = 8
"""Reviews under way at one time: what is asked for all workloads at start holds up no action."""
LISTING: Final = ("list", "deployments")
OWN_VERBS: Final = ("get", "list", "create", "update", "patch", "delete")
"""Verbs on the guard's own ConfigMaps and Secrets (architecture.md, Rights)."""


@dataclass(frozen=True, slots=True)
class Right:
    """One right; an empty namespace means every one, an empty name every object."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} in {self.namespace or 'all namespaces'}"


class Reviews:
    """Asks for rights."""

    def __init__(
        self, api: Api, scopes: tuple[str, ...], own: str, now: Callable[[], float]
    ) -> None:
        """Take the namespaces that are watched (empty: all) and the guard's own namespace."""
        self._api = api
        self._scopes = scopes
        self._own = own
        self._now = now
        self._known: dict[Right, tuple[float, bool]] = {}
        self._asking = asyncio.Lock()
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def rights(self, workload: WorkloadId) -> Rights:
        """Ask what the guard may do to one workload.

        Raises:
            TemporaryError: the API server did not answer.
            PermanentError: it does not answer this question.
        """
        namespace, name = workload.namespace, workload.name
        changed = [Right(verb, "apps", "deployments", namespace, name) for verb in ("get", "patch")]
        shared = tuple(self._shared(namespace))
        async with self._asking:
            # One asks, and the others of the namespace find its answers.
            answers = await self._allowed(shared)
        may = await self._allowed(changed)
        missing = [
            right
            for right, yes in zip((*changed, *shared), (*may, *answers), strict=True)
            if not yes
        ]
        return Rights(
            may_patch=all(may),
            missing=tuple(str(right) for right in missing),
            may_see=not any((one.verb, one.resource) == LISTING for one in missing),
        )

    def _shared(self, namespace: str) -> Iterable[Right]:
        where = namespace if self._scopes else ""
        watched = (("apps", "deployments"), ("apps", "replicasets"), ("", "pods"))
        for group, resource in watched:
            for verb in ("list", "watch"):
                yield Right(verb, group, resource, where)
        yield Right("create", "", "events", namespace)
        for resource in ("configmaps", "secrets"):
            for verb in OWN_VERBS:
                yield Right(verb, "", resource, self._own)

    async def _allowed(self, rights: Iterable[Right]) -> list[bool]:
        return await asyncio.gather(*(self._known_or_asked(right) for right in rights))

    async def _known_or_asked(self, right: Right) -> bool:
        at, known = self._known.get(right, (float("-inf"), False))
        if self._now() - at < GOOD_FOR:
            return known
        async with self._slots:
            answer = await allowed(self._api, right)
        if not right.name:
            self._known[right] = (self._now(), answer)
        return answer


async def allowed(api: Api, right: Right) -> bool:
    """Ask for one right.

    Raises:
        TemporaryError: the API server did not answer.
        PermanentError: it does not answer this question.
    """
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": right.resource,
        "namespace": right.namespace,
        "name": right.name,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = await api.call("POST", REVIEWS, body=review)
    if not answer.ok:
        raise refusal(answer, "asking for rights")
    return bool(answer.document["status"].get("allowed"))
