"""Joins the series of an answer to pods, by their labels or else by their address (Counting 6).

The law of this module: a series is joined to one pod or to none. What carries another pod's name is
never joined by its address, and what answers on a port that the pod does not declare may be another
pod of the same node's network.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from guard.sources.machines import ANNOTATION_PORT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from guard.core.workloads import Pod
    from guard.sources.prometheus_answers import Series

Joined = dict[str, list["Series"]]
"""Series by pod uid; a pod without any has no entry."""


def by_name(answer: Iterable[Series], pods: Sequence[Pod]) -> Joined:
    """Join by the labels `namespace` and `pod`."""
    named = {(pod.namespace, pod.name): pod.uid for pod in pods}
    joined: Joined = defaultdict(list)
    for series in answer:
        uid = named.get((series.labels.get("namespace", ""), series.labels.get("pod", "")))
        if uid is not None:
            joined[uid].append(series)
    return joined


def by_address(answer: Iterable[Series], pods: Sequence[Pod]) -> Joined:
    """Join by the host part of the label `instance`."""
    hosts: dict[str, list[Pod]] = defaultdict(list)
    for pod in pods:
        if pod.address:
            hosts[pod.address].append(pod)
    joined: Joined = defaultdict(list)
    for series in answer:
        host, port = instance(series.labels)
        owner = _only(hosts.get(host, ()), series.labels, port)
        if owner is not None:
            joined[owner.uid].append(series)
    return joined


def instance(labels: Mapping[str, str]) -> tuple[str, int]:
    """Host and port in the label `instance`; port 0 where it says none."""
    text = labels.get("instance", "")
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or (":" in host and not host.endswith("]")):
        return text.strip("[]"), 0
    return host.strip("[]"), int(port)


def declares(pod: Pod, port: int) -> bool:
    """Whether the pod says that this port is its own, by a container or by annotation."""
    return port in _ports(pod)


def _ports(pod: Pod) -> set[int]:
    ports = {number for container in pod.containers for _, number in container.ports}
    annotated = dict(pod.annotations).get(ANNOTATION_PORT, "")
    return ports | {int(annotated)} if annotated.isdecimal() else ports


def _only(pods: Sequence[Pod], labels: Mapping[str, str], port: int) -> Pod | None:
    """The one pod of this address that the series can be of.

    A pod that declares no port at all has any of its address, if nobody else has that.
    """
    fits = [
        pod
        for pod in pods
        if labels.get("pod", pod.name) == pod.name
        and labels.get("namespace", pod.namespace) == pod.namespace
    ]
    if len(fits) > 1 or (port and fits and _ports(fits[0])):
        fits = [pod for pod in fits if declares(pod, port)]
    return fits[0] if len(fits) == 1 else None
