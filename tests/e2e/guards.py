"""Guards in the cluster, each installed from manifests/base by a generated overlay."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.e2e.cluster import ApiError
from tests.e2e.command import CommandError, run
from tests.e2e.images import GUARD, ROOT
from tests.e2e.records import Records
from tests.e2e.waiting import until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.e2e.cluster import Cluster

NAME = "deployment-guard"


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """How a guard is set up; each kind is one guard of the run, with shops of its own.

    Attributes:
        settings: GUARD_… variables beyond the ones that every guard of a run gets.
        prometheus: how many Prometheus servers it has, round robin when more than one.
        proxied: it reaches the API server through a proxy that can freeze and hold.
        alertmanager: it has an Alertmanager to ask.
        alone: its scenarios break what it stands on, so that they take turns.
    """

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    prometheus: int = 1
    proxied: bool = False
    alone: bool = False
    alertmanager: bool = False

    @property
    def own(self) -> str:
        """Its own namespace."""
        return f"e2e-guard-{self.name}"

    @property
    def shops(self) -> str:
        """The namespace that it watches."""
        return f"e2e-{self.name}"

    @property
    def spaces(self) -> list[str]:
        """Both namespaces."""
        return [self.own, self.shops]


MAIN = Kind("main")
FROM_PROMETHEUS = Kind("prometheus", {"GUARD_SCRAPE": "false"})
FROM_REPLICAS = Kind("replicas", {"GUARD_SCRAPE": "false"}, prometheus=2)
ALERTED = Kind("alerted", alertmanager=True)
BLINDED = Kind("blinded", alone=True)
FROZEN = Kind("frozen", proxied=True, alone=True)
KILLED = Kind("killed", proxied=True, alone=True)


@dataclass(slots=True)
class Guard:
    """One installed guard.

    Attributes:
        slos: SLO files by name.
        settings: GUARD_… variables.
        kubeconfig: a kubeconfig for the pod, where it must not go straight to the API server.
    """

    cluster: Cluster
    kind: Kind
    slos: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)
    kubeconfig: str | None = None

    @property
    def namespace(self) -> str:
        """Its own namespace."""
        return self.kind.own

    @property
    def records(self) -> Records:
        """What it says."""
        return Records(self.cluster, self.namespace)

    async def install(self, folder: Path) -> None:
        """Write the overlay, apply it, and wait until the guard is ready."""
        overlay = self._overlay(folder)
        text = await run("kubectl", "kustomize", str(overlay))
        (folder / f"{self.kind.name}.yaml").write_text(text, encoding="utf-8")
        await run("kubectl", "apply", "-f", "-", stdin=text)
        await self.ready()

    async def uninstall(self) -> None:
        """Remove what stands outside its namespace; the namespace is the caller's."""
        kinds = ("clusterrole", "clusterrolebinding")
        names = f"{NAME}-workloads-{self.kind.name}"
        for kind in kinds:
            with contextlib.suppress(CommandError):
                await run("kubectl", "delete", kind, names, "--ignore-not-found")

    async def ready(self, within: float = 90.0) -> None:
        """Wait until its pod is ready."""
        await until(self._is_ready, within, f"{self.namespace}: the guard is ready")

    async def kill(self) -> None:
        """kill -9 of the whole pod, without a chance to end in order."""  # noqa: D403
        for pod in await self.pods():
            path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}"
            with contextlib.suppress(ApiError):
                await self.cluster.call("DELETE", path, {"gracePeriodSeconds": 0})

    async def scale(self, replicas: int) -> None:
        """Take the guard away (0), or bring it back (1), and wait until that is so."""
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{NAME}/scale"
        await self.cluster.patch(path, {"spec": {"replicas": replicas}})
        if replicas:
            await self.ready()
            return

        async def gone() -> bool:
            return not await self.pods()

        await until(gone, 60.0, f"{self.namespace}: the guard is away")

    async def pods(self) -> list[str]:
        """The names of its pods."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        return [item["metadata"]["name"] for item in (await self.cluster.get(path))["items"]]

    async def logs(self) -> str:
        """What its present pod has said."""
        where = ("-n", self.namespace, f"deployment/{NAME}", "--tail=-1")
        return await run("kubectl", "logs", *where)

    async def _is_ready(self) -> bool:
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{NAME}"
        deployment = await self.cluster.get(path)
        status = deployment.get("status", {})
        seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        return bool(seen and status.get("readyReplicas") == 1 == status.get("updatedReplicas"))

    def _overlay(self, folder: Path) -> Path:
        """A kustomization beside the repository's own, so that the base is what users get."""
        overlay = ROOT / "build" / "e2e" / self.kind.name
        overlay.mkdir(parents=True, exist_ok=True)
        for name, text in self.slos.items():
            (overlay / name).write_text(text, encoding="utf-8")
        settings = {
            "GUARD_MODE": "act",
            "GUARD_NAMESPACES": self.kind.shops,
            "GUARD_LOG_FORMAT": "json",
            # A run rolls back more in minutes than a healthy cluster does in a month.
            "GUARD_CIRCUIT_BREAKER": "1000",
            **self.settings,
        }
        patches = [{"patch": json.dumps(_rename(self.namespace)), "target": {"kind": "Namespace"}}]
        if self.kubeconfig is not None:
            (overlay / "kubeconfig.json").write_text(self.kubeconfig, encoding="utf-8")
            settings["GUARD_KUBECONFIG"] = "/etc/guard/access/kubeconfig.json"
            patches.append({"patch": json.dumps(_MOUNT), "target": {"kind": "Deployment"}})
        image, _, tag = GUARD.partition(":")
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": self.namespace,
            "resources": ["../../../manifests/base"],
            "images": [{"name": NAME, "newName": image, "newTag": tag}],
            "patches": [
                *patches,
                *_cluster_wide(f"{NAME}-workloads-{self.kind.name}", self.namespace),
            ],
            "configMapGenerator": [
                _merge(f"{NAME}-settings", literals=[f"{k}={v}" for k, v in settings.items()]),
                {
                    **_merge(f"{NAME}-slos", files=sorted(self.slos)),
                    "behavior": "replace",
                    "options": {"disableNameSuffixHash": True},
                },
                *([_ACCESS] if self.kubeconfig is not None else []),
            ],
        }
        (overlay / "kustomization.yaml").write_text(json.dumps(kustomization), encoding="utf-8")
        folder.mkdir(parents=True, exist_ok=True)
        return overlay


_ACCESS = {"name": "guard-access", "files": ["kubeconfig.json"]}
_MOUNT = [
    {
        "op": "add",
        "path": "/spec/template/spec/volumes/-",
        "value": {"name": "access", "configMap": {"name": "guard-access"}},
    },
    {
        "op": "add",
        "path": "/spec/template/spec/containers/0/volumeMounts/-",
        "value": {"name": "access", "mountPath": "/etc/guard/access", "readOnly": True},
    },
]


def _rename(name: str) -> list[dict[str, str]]:
    return [{"op": "replace", "path": "/metadata/name", "value": name}]


def _cluster_wide(name: str, namespace: str) -> list[dict[str, object]]:
    """Several guards of one cluster need several names for what has no namespace."""
    role = [*_rename(name)]
    binding = [
        *_rename(name),
        {"op": "replace", "path": "/roleRef/name", "value": name},
        {"op": "replace", "path": "/subjects/0/namespace", "value": namespace},
    ]
    return [
        {"patch": json.dumps(role), "target": {"kind": "ClusterRole"}},
        {"patch": json.dumps(binding), "target": {"kind": "ClusterRoleBinding"}},
    ]


def _merge(name: str, **content: list[str]) -> dict[str, object]:
    # The base's objects carry its namespace already, and are found only under it.
    return {"name": name, "namespace": NAME, "behavior": "merge", **content}
