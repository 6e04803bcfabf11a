"""Objects in the guard's own namespace: read, replaced whole, deleted, listed.

The version last seen is remembered, so that replacing takes one call; where somebody else changed
the object meanwhile, it is read again. Labels and annotations that people added stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guard.core.errors import TemporaryError
from guard.core.names import FIELD_MANAGER
from guard.platforms.kubernetes.refusals import CONFLICT, NOT_FOUND, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from guard.platforms.kubernetes.api import Answer, Api

TRIES: Final = 5
"""Versions that may come in between; the guard is the only one to write these."""
PAGE: Final = 10
"""Objects of one page of a list: each may hold 1 MiB."""

_KINDS: Final = {"configmaps": "ConfigMap", "secrets": "Secret"}


class OwnObjects:
    """The ConfigMaps or the Secrets of the guard's namespace."""

    def __init__(self, api: Api, namespace: str, resource: str) -> None:
        """Take the API and which objects these are: `configmaps` or `secrets`."""
        self._api = api
        self._resource = resource
        self._path = f"/api/v1/namespaces/{namespace}/{resource}"
        self._where = f"{resource} in namespace {namespace}"
        self._seen: dict[str, Mapping[str, Any]] = {}

    async def read(self, name: str) -> Mapping[str, Any] | None:
        """The object, or None where there is none.

        Raises:
            TemporaryError: no answer, or not now.
            PermanentError: refused.
        """
        answer = await self._api.call("GET", f"{self._path}/{name}")
        if answer.status == NOT_FOUND:
            self._seen.pop(name, None)
            return None
        return self._took(name, self._done(answer, "reading"))

    async def replace(self, name: str, labels: Mapping[str, str], data: Mapping[str, str]) -> None:
        """Put this data in place of all there was, and create the object where there is none.

        Raises:
            TemporaryError: no answer, or not now.
            PermanentError: refused, e.g. for its size.
        """
        for _ in range(TRIES):
            answer = await self._write(name, labels, data)
            if answer.ok:
                self._took(name, answer.document)
                return
            if answer.status not in {CONFLICT, NOT_FOUND} or self._no_namespace(name, answer):
                raise refusal(answer, f"writing {self._where}")
            await self.read(name)
        text = f"writing {self._where}: changed {TRIES} times under the guard's hands"
        raise TemporaryError(text)

    async def delete(self, name: str, version: str | None = None) -> bool:
        """Delete the object; False where it is not there, or no longer of this version.

        Raises:
            TemporaryError: no answer, or not now.
            PermanentError: refused.
        """
        condition = {"preconditions": {"resourceVersion": version}} if version else {}
        answer = await self._api.call("DELETE", f"{self._path}/{name}", body=condition)
        self._seen.pop(name, None)
        if answer.status in {NOT_FOUND, CONFLICT}:
            return False
        self._done(answer, "deleting")
        return True

    async def listed(self, selector: str) -> AsyncIterator[Mapping[str, Any]]:
        """Yield every object that a label selector names, page by page.

        Raises:
            TemporaryError: no answer, or not now.
            PermanentError: refused.
        """
        params = {"labelSelector": selector, "limit": str(PAGE)}
        while True:
            answer = await self._api.call("GET", self._path, params=params)
            document = self._done(answer, "listing")
            for item in document.get("items") or ():
                yield item
            more = (document.get("metadata") or {}).get("continue")
            if not more:
                return
            params = {**params, "continue": more}

    async def _write(self, name: str, labels: Mapping[str, str], data: Mapping[str, str]) -> Answer:
        seen = self._seen.get(name)
        metadata: dict[str, Any] = {"name": name, "labels": dict(labels)}
        if seen is not None:
            metadata["labels"] = {**(seen.get("labels") or {}), **labels}
            metadata["annotations"] = seen.get("annotations") or {}
            metadata["resourceVersion"] = seen["resourceVersion"]
        body = {
            "apiVersion": "v1",
            "kind": _KINDS[self._resource],
            "metadata": metadata,
            "data": dict(data),
        }
        params = {"fieldManager": FIELD_MANAGER}
        if seen is None:
            return await self._api.call("POST", self._path, params=params, body=body)
        return await self._api.call("PUT", f"{self._path}/{name}", params=params, body=body)

    def _no_namespace(self, name: str, answer: Answer) -> bool:
        """Whether not even creating the object finds its place."""
        return answer.status == NOT_FOUND and name not in self._seen

    def _took(self, name: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        metadata = document["metadata"]
        keys = ("resourceVersion", "labels", "annotations")
        self._seen[name] = {key: metadata[key] for key in keys if key in metadata}
        return document

    def _done(self, answer: Answer, what: str) -> Mapping[str, Any]:
        if not answer.ok:
            raise refusal(answer, f"{what} {self._where}")
        document: Mapping[str, Any] = answer.document
        return document
