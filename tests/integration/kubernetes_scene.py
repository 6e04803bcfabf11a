"""A team on the real cluster, the guard's acting half beside it, and an API that can break."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from guard.config.settings import Settings
from guard.core.actions import Intent, KnownGood
from guard.core.errors import TemporaryError
from guard.core.workloads import Revision, Snapshot, WorkloadId
from guard.platforms.kubernetes import templates
from guard.platforms.kubernetes.connect import connect
from guard.platforms.kubernetes.keeping import Keeping
from guard.platforms.kubernetes.rollback import Rollbacks
from guard.platforms.kubernetes.store import Store
from tests.e2e.command import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from guard.platforms.kubernetes.api import Answer, Api

IMAGE = "guard.local/pause:3"
"""Replicas are 0 nearly everywhere, so that no image is ever pulled."""
WITHIN = 30.0
SERVER_SIDE = ("--server-side",)

Object = dict[str, Any]


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Api]:
    settings = await asyncio.to_thread(lambda: Settings(kubeconfig=kubeconfig))
    api = await connect(settings)
    try:
        yield api
    finally:
        await api.close()


@asynccontextmanager
async def namespace(prefix: str = "rb") -> AsyncIterator[str]:
    name = f"{prefix}-{uuid4().hex[:8]}"
    await run("kubectl", "create", "namespace", name)
    try:
        yield name
    finally:
        await run("kubectl", "delete", "namespace", name, "--wait=false")


@asynccontextmanager
async def as_nobody(namespace: str, kubeconfig: Path, folder: Path) -> AsyncIterator[Api]:
    """The API as a service account that may do nothing to workloads but read them."""
    await run("kubectl", "create", "serviceaccount", "-n", namespace, "nobody")
    for resource in ("deployments.apps", "replicasets.apps", "configmaps", "secrets"):
        name = f"read-{resource.split('.', maxsplit=1)[0]}"
        role = ("-n", namespace, name)
        await run("kubectl", "create", "role", *role, "--verb=get,list", f"--resource={resource}")
        subject = f"--serviceaccount={namespace}:nobody"
        await run("kubectl", "create", "rolebinding", *role, f"--role={name}", subject)
    token = (await run("kubectl", "create", "token", "-n", namespace, "nobody")).strip()
    view = await run("kubectl", "config", "view", "--raw", "--minify", "--flatten", "-o=json")
    config = json.loads(view)
    config["users"][0]["user"] = {"token": token}
    file = folder / "nobody.json"
    await asyncio.to_thread(file.write_text, json.dumps(config))
    async with connected(file) as api:
        yield api


@dataclass
class Breaking:
    """An API with something that happens before or after one of its calls.

    `on` says for a call's method, path and body what happens: `before` it is sent, or `after` it
    was carried out (its answer is lost if that raises).
    """

    api: Api
    on: Callable[[str, str, Any], bool]
    before: Callable[[], Awaitable[None]] | None = None
    after: Callable[[], Awaitable[None]] | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)

    async def call(self, method: str, path: str, **more: Any) -> Answer:
        hit = self.on(method, path, more.get("body"))
        self.calls.append((method, path))
        if hit and self.before is not None:
            await self.before()
        answer = await self.api.call(method, path, **more)
        if hit and self.after is not None:
            await self.after()
        return answer


async def lost() -> None:
    text = "the connection broke"
    raise TemporaryError(text)


def first_patch(method: str, _path: str, body: Any) -> bool:
    return method == "PATCH" and any(one["path"] == "/spec/template" for one in body)


def second_patch(method: str, _path: str, body: Any) -> bool:
    return method == "PATCH" and any(one["path"] == "/metadata/managedFields" for one in body)


def container(name: str = "app", **env: str) -> Object:
    return {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": key, "value": value} for key, value in env.items()],
    }


@dataclass(frozen=True)
class Team:
    """One Deployment and the people who release it."""

    api: Api
    namespace: str
    name: str = "shop"

    @property
    def id(self) -> WorkloadId:
        return WorkloadId("kubernetes", self.namespace, self.name)

    def manifest(self, *containers: Object, **spec: Any) -> Object:
        labels = {"app": "shop"}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"namespace": self.namespace, "name": self.name},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": list(containers)},
                },
                **spec,
            },
        }

    async def apply(self, *containers: Object, how: tuple[str, ...] = (), **spec: Any) -> None:
        await self.apply_manifest(self.manifest(*containers, **spec), *how)

    async def apply_manifest(self, manifest: Object, *how: str) -> None:
        await run("kubectl", "apply", *how, "-f", "-", stdin=json.dumps(manifest))

    async def kubectl(self, *words: str) -> str:
        return await run("kubectl", "-n", self.namespace, *words)

    async def get(self) -> Object:
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{self.name}"
        answer = await self.api.call("GET", path)
        assert answer.ok
        found: Object = answer.document
        return found

    async def template(self) -> Object:
        found: Object = (await self.get())["spec"]["template"]
        return found

    async def revision(self) -> Revision:
        """The revision in force, once the controller has made its ReplicaSet."""
        async with asyncio.timeout(WITHIN):
            while True:
                deployment = await self.get()
                content = templates.content(deployment["spec"]["template"])
                for item in await self._replica_sets(deployment["metadata"]["uid"]):
                    if templates.content(item["spec"]["template"]) == content:
                        return _revision(item, content)
                await asyncio.sleep(0.02)

    async def pruned(self) -> None:
        """Wait until the controller has dropped every ReplicaSet of the past."""
        uid = (await self.get())["metadata"]["uid"]

        async def one_is_left() -> bool:
            return len(await self._replica_sets(uid)) <= 1

        await _until(one_is_left)

    async def observed(self) -> None:
        """Wait until the controller has taken the newest generation in."""

        async def seen() -> bool:
            deployment = await self.get()
            observed = deployment.get("status", {}).get("observedGeneration", 0)
            return bool(observed >= deployment["metadata"]["generation"])

        await _until(seen)

    async def snapshot(self) -> Snapshot:
        deployment = await self.get()
        revision = await self.revision()
        metadata = deployment["metadata"]
        return Snapshot(self.id, metadata["uid"], metadata["generation"], 0.0, revision, 0)

    async def _replica_sets(self, uid: str) -> list[Object]:
        path = f"/apis/apps/v1/namespaces/{self.namespace}/replicasets"
        items: list[Object] = (await self.api.call("GET", path)).document["items"]
        return [i for i in items if i["metadata"]["ownerReferences"][0]["uid"] == uid]


async def _until(ask: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN):
        while not await ask():  # noqa: ASYNC110 - it is the cluster's
            await asyncio.sleep(0.05)


def _revision(item: Mapping[str, Any], content: str) -> Revision:
    metadata = item["metadata"]
    return Revision(
        hash=metadata["labels"][templates.LABEL_HASH],
        content=content,
        number=int(metadata["annotations"]["deployment.kubernetes.io/revision"]),
        uid=metadata["uid"],
        created_at=0.0,
    )


@dataclass(frozen=True)
class Guard:
    """What the guard does with one team's Deployment."""

    api: Api
    team: Team

    @property
    def store(self) -> Store:
        return Store(self.api, self.team.namespace, time.time)

    @property
    def rollbacks(self) -> Rollbacks:
        return Rollbacks(self.api, self.store, time.time)

    async def trust(self) -> KnownGood:
        """Keep the template in force."""
        snapshot = await self.team.snapshot()
        good = KnownGood(snapshot.current, time.time(), "promoted")
        assert await Keeping(self.api, self.store).keep(snapshot, good)
        return good

    async def intend(self, good: KnownGood) -> Intent:
        """Decide to roll the template in force back."""
        snapshot = await self.team.snapshot()
        bad = snapshot.current
        return Intent(
            id=f"rollback:{self.team.id}@{bad.hash}#{bad.number}",
            workload=self.team.id,
            uid=snapshot.uid,
            candidate=bad,
            known_good=good,
            decided_at=time.time(),
            cause=f"guard rolled {bad.hash} back to {good.revision.hash}",
        )
