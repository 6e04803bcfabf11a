"""One demo shop in the cluster: its manifest, its releases, and a witness of its templates."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.e2e.cluster import ApiError
from tests.e2e.command import run
from tests.e2e.images import SHOP
from tests.e2e.waiting import until

if TYPE_CHECKING:
    from tests.e2e.cluster import Cluster, Object

PORT = 8080
PRE_STOP = 3
"""Seconds from a pod's removal from the Service to its SIGTERM: a good release loses nothing."""


@dataclass(frozen=True, slots=True)
class Spec:
    """How a shop is deployed; `strategy` and `more` go into the Deployment's spec as they are."""

    namespace: str
    name: str
    replicas: int = 4
    strategy: Object | None = None
    more: Object = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def pod(self, env: dict[str, str], image: str = SHOP) -> Object:
        """The pod's specification for one release."""
        container: Object = {
            "name": "shop",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "env": [{"name": name, "value": value} for name, value in sorted(env.items())],
            "ports": [{"name": "http", "containerPort": PORT}],
            "readinessProbe": {
                "httpGet": {"path": "/ready", "port": PORT},
                "periodSeconds": 1,
                "timeoutSeconds": 2,
            },
            "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(PRE_STOP)]}}},
            "resources": {
                "requests": {"cpu": "5m", "memory": "40Mi"},
                "limits": {"memory": "400Mi"},
            },
            "volumeMounts": [{"name": "state", "mountPath": "/var/lib/shop"}],
        }
        return {
            "terminationGracePeriodSeconds": 15,
            "enableServiceLinks": False,
            "automountServiceAccountToken": False,
            "containers": [container],
            "volumes": [{"name": "state", "emptyDir": {}}],
        }

    def deployment(self, env: dict[str, str], image: str = SHOP) -> Object:
        """The whole Deployment."""
        strategy = {"strategy": self.strategy} if self.strategy else {}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "namespace": self.namespace,
                "name": self.name,
                "labels": {"app": self.name, **self.labels},
            },
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": {"app": self.name}},
                **strategy,
                **self.more,
                "template": {
                    "metadata": {"labels": {"app": self.name}},
                    "spec": self.pod(env, image),
                },
            },
        }

    def service(self) -> Object:
        """The Service, reachable from outside the cluster."""
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": self.namespace, "name": self.name},
            "spec": {
                "type": "NodePort",
                "selector": {"app": self.name},
                "ports": [{"port": PORT, "targetPort": PORT}],
            },
        }


@dataclass(frozen=True, slots=True)
class Sighting:
    """When a template was first seen in force (epoch seconds), and its pod specification."""

    at: float
    revision: str
    pod: Object


def revision_of(pod: Object) -> str:
    """The REVISION that a pod specification carries; its image where it has none."""
    first = pod["containers"][0]
    named = [e["value"] for e in first.get("env", []) if e["name"] == "REVISION"]
    return str(named[0] if named else first["image"])


class Shop:
    """A deployed shop."""

    def __init__(self, cluster: Cluster, spec: Spec) -> None:
        self.spec = spec
        self.sightings: list[Sighting] = []
        self._cluster = cluster
        self._collection = f"/apis/apps/v1/namespaces/{spec.namespace}/deployments"
        self.path = f"{self._collection}/{spec.name}"
        self._task: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Witness its templates from now on."""
        self._task = asyncio.create_task(self._witness(), name=f"witness {self.spec.name}")

    async def apply(self, deployment: Object, *options: str) -> None:
        """`kubectl apply` of a manifest and the Service, as a person does it."""
        await self._cluster.apply([deployment, self.spec.service()], *options)

    async def node_port(self) -> int:
        """Where users reach it."""
        path = f"/api/v1/namespaces/{self.spec.namespace}/services/{self.spec.name}"
        service = await self._cluster.get(path)
        return int(service["spec"]["ports"][0]["nodePort"])

    async def close(self) -> None:
        """Stop witnessing. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def remove(self) -> None:
        """Take it down, without waiting for its end."""
        service = f"/api/v1/namespaces/{self.spec.namespace}/services/{self.spec.name}"
        for path in (self.path, service):
            with contextlib.suppress(ApiError):
                await self._cluster.call("DELETE", path)

    async def release(self, env: dict[str, str], image: str = SHOP) -> float:
        """Put a new template in force; returns when, epoch seconds."""
        body = {"spec": {"template": {"spec": self.spec.pod(env, image)}}}
        await self._cluster.patch(self.path, body)
        return time.time()

    async def undo(self) -> float:
        """`kubectl rollout undo`, as a person does it; returns when it answered."""
        where = ("-n", self.spec.namespace)
        await run("kubectl", "rollout", "undo", f"deployment/{self.spec.name}", *where)
        return time.time()

    async def label(self, name: str, value: str) -> float:
        """Set a label of the Deployment; returns when it answered."""
        await self._cluster.patch(self.path, {"metadata": {"labels": {name: value}}})
        return time.time()

    async def scale(self, replicas: int) -> None:
        """Change the number of pods, as an autoscaler does."""
        await self._cluster.patch(f"{self.path}/scale", {"spec": {"replicas": replicas}})

    async def read(self) -> Object:
        """The Deployment now."""
        return dict(await self._cluster.get(self.path))

    async def complete(self, within: float = 120.0) -> float:
        """Wait until all desired pods are new, available and alone; returns when."""

        async def done() -> bool:
            return _is_complete(await self.read())

        await until(done, within, f"{self.spec.name}: the rollout is complete")
        return time.time()

    async def pods(self) -> list[Object]:
        """Its pods that are not going."""
        path = f"/api/v1/namespaces/{self.spec.namespace}/pods?labelSelector=app%3D{self.spec.name}"
        items = (await self._cluster.get(path))["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    async def tell(self, word: str) -> int:
        """PUT a word to the fault switch of its pods; returns how many took it."""
        told = 0
        for pod in await self.pods():
            with contextlib.suppress(ApiError, aiohttp.ClientError):
                await self._cluster.raw("PUT", self._switch(pod), word)
                told += 1
        return told

    async def crash_one(self, revision: str) -> None:
        """Let a serving pod of this revision end at once with 1; it starts again."""
        pods = await self.pods()
        mine = [pod for pod in pods if revision_of(pod["spec"]) == revision and _is_ready(pod)]
        # It dies before it answers.
        with contextlib.suppress(ApiError, aiohttp.ClientError):
            await self._cluster.raw("PUT", self._switch(mine[0]), "die")

    async def restarts(self) -> int:
        """How often containers of its present pods were started again."""
        statuses = [pod["status"].get("containerStatuses", ()) for pod in await self.pods()]
        return sum(one["restartCount"] for of_pod in statuses for one in of_pod)

    def _switch(self, pod: Object) -> str:
        name = pod["metadata"]["name"]
        return f"/api/v1/namespaces/{self.spec.namespace}/pods/{name}:{PORT}/proxy/fault"

    @property
    def templates(self) -> list[str]:
        """The revisions in the order in which they came into force."""
        return [sighting.revision for sighting in self.sightings]

    def in_force_since(self, revision: str, after: float) -> float | None:
        """When the template of this revision was first seen after a moment."""
        found = [s.at for s in self.sightings if s.revision == revision and s.at >= after]
        return min(found, default=None)

    async def _witness(self) -> None:
        """Note each change of the template, as any client of the API sees it."""
        while True:
            selector = f"metadata.name={self.spec.name}"
            with contextlib.suppress(aiohttp.ClientError):
                async for deployment in self._cluster.watch(self._collection, selector):
                    self._note(deployment)
            await asyncio.sleep(0.2)

    def _note(self, deployment: Object) -> None:
        pod = deployment["spec"]["template"]["spec"]
        if not self.sightings or self.sightings[-1].pod != pod:
            self.sightings.append(Sighting(time.time(), revision_of(pod), pod))


def _is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _is_complete(deployment: dict[str, Any]) -> bool:
    status = deployment.get("status", {})
    replicas = deployment["spec"]["replicas"]
    counts = ("updatedReplicas", "availableReplicas", "replicas")
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return seen and all(status.get(count, 0) == replicas for count in counts)
