"""API objects as a real API server gives them, with what the guard must pass over."""

from __future__ import annotations

import copy
from typing import Any

import msgspec

Object = dict[str, Any]

IMAGE = "registry.example/shop/cart:1.4.2"
CREATED = "2026-11-25T00:00:00Z"
AT = 1_795_564_800.0
"""CREATED in seconds since the epoch."""


def moment(seconds: int) -> str:
    """Some seconds after CREATED."""
    return f"2026-11-25T00:{seconds // 60:02}:{seconds % 60:02}Z"


def raw(obj: Object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(obj))


def meta(name: str, namespace: str = "shop", **more: Any) -> Object:
    return {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{name}",
        "resourceVersion": "4711",
        "creationTimestamp": CREATED,
        "managedFields": [
            {
                "manager": "kubectl-client-side-apply",
                "operation": "Update",
                "apiVersion": "apps/v1",
                "time": CREATED,
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {"f:template": {"f:spec": {".": {}}}}},
            }
        ],
        **more,
    }


def template(version: str = "1", **spec: Any) -> Object:
    return {
        "metadata": {
            "creationTimestamp": None,
            "labels": {"app": "cart"},
            "annotations": {"team": "checkout"},
        },
        "spec": {
            "containers": [
                {
                    "name": "app",
                    "image": IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "env": [{"name": "VERSION", "value": version}],
                    "resources": {},
                    "terminationMessagePath": "/dev/termination-log",
                }
            ],
            "restartPolicy": "Always",
            "dnsPolicy": "ClusterFirst",
            "securityContext": {},
            **spec,
        },
    }


def deployment(
    name: str = "cart",
    *,
    of: Object | None = None,
    number: int | None = 1,
    labels: dict[str, str] | None = None,
    replicas: int = 2,
    **more: Any,
) -> Object:
    """A Deployment that has rolled out, unless `status` says otherwise."""
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    if number is not None:
        annotations["deployment.kubernetes.io/revision"] = str(number)
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "cart"}},
        "template": of or template(),
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
        },
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
        **more.get("spec", {}),
    }
    metadata = meta(
        name,
        generation=more.get("generation", 1),
        labels=labels,
        annotations={**annotations, **more.get("annotations", {})},
    )
    status = {
        "observedGeneration": metadata["generation"],
        "replicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": replicas,
        "availableReplicas": replicas,
        "conditions": [
            {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
        ],
        **more.get("status", {}),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**metadata, **more.get("metadata", {})},
        "spec": spec,
        "status": status,
    }


def owned(kind: str, name: str) -> list[Object]:
    return [
        {
            "apiVersion": "apps/v1",
            "kind": kind,
            "name": name,
            "uid": f"uid-{name}",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def replicaset(
    hash_: str = "aaaa",
    *,
    of: Object | None = None,
    number: int = 1,
    deployment: str = "cart",
    created: int = 0,
) -> Object:
    labelled = copy.deepcopy(of or template())
    labelled["metadata"].setdefault("labels", {})["pod-template-hash"] = hash_
    metadata = meta(
        f"{deployment}-{hash_}",
        labels={"app": "cart", "pod-template-hash": hash_},
        annotations={"deployment.kubernetes.io/revision": str(number)},
        ownerReferences=owned("Deployment", deployment),
        generation=1,
    )
    metadata["creationTimestamp"] = moment(created)
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": metadata,
        "spec": {"replicas": 2, "template": labelled},
        "status": {"replicas": 2, "observedGeneration": 1},
    }


def running(name: str = "app", **more: Any) -> Object:
    return {
        "name": name,
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": moment(2)}},
        "lastState": {},
        "image": IMAGE,
        "imageID": "sha256:0",
        "started": True,
        **more,
    }


def pod(
    name: str = "cart-aaaa-x",
    *,
    replicaset: str = "cart-aaaa",
    ready: bool = True,
    **more: Any,
) -> Object:
    condition = {
        "type": "Ready",
        "status": str(ready),
        "lastProbeTime": None,
        "lastTransitionTime": moment(5),
    }
    spec = {
        "nodeName": "node-1",
        "containers": [
            {
                "name": "app",
                "image": IMAGE,
                "env": [{"name": "PASSWORD", "value": "s3cret"}],
                "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            }
        ],
        **more.get("spec", {}),
    }
    status = {
        "phase": "Running",
        "podIP": "10.1.2.3",
        "hostIP": "192.0.2.1",
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": CREATED},
            condition,
        ],
        "containerStatuses": [running(ready=ready)],
        **more.get("status", {}),
    }
    metadata = meta(
        name,
        labels={"app": "cart", "pod-template-hash": "aaaa"},
        ownerReferences=owned("ReplicaSet", replicaset),
        generateName="cart-aaaa-",
    )
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, **more.get("metadata", {})},
        "spec": spec,
        "status": status,
    }
