"""The kubelet's probes of a pod, with named ports resolved to numbers.

They say where the pod answers for its health, and which requests are the kubelet's, not users'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guard.core.workloads import Probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guard.platforms.kubernetes.objects import ContainerSpec, ProbeSpec

PERIOD: Final = 10.0
"""Seconds: `periodSeconds` where the API server was not asked to fill it in."""


def probes(containers: tuple[ContainerSpec, ...]) -> tuple[Probe, ...]:
    """Read the probes of the containers that keep running.

    A probe of another host (`httpGet.host`) never reaches the pod and is left out.
    """
    return tuple(probe for container in containers for probe in _of(container))


def _of(container: ContainerSpec) -> Iterator[Probe]:
    kinds = (
        ("readiness", container.readiness_probe),
        ("liveness", container.liveness_probe),
        ("startup", container.startup_probe),
    )
    for kind, spec in kinds:
        probe = None if spec is None else _read(container, kind, spec)
        if probe is not None:
            yield probe


def _read(container: ContainerSpec, kind: str, spec: ProbeSpec) -> Probe | None:
    period = spec.period_seconds or PERIOD
    if spec.http_get is not None:
        http = spec.http_get
        if http.host:
            return None
        return Probe(
            kind=kind,
            container=container.name,
            handler="http",
            path=http.path or "/",
            port=_port(container, http.port),
            scheme=(http.scheme or "http").lower(),
            period=period,
        )
    if spec.tcp_socket is not None:
        if spec.tcp_socket.host:
            return None
        port = _port(container, spec.tcp_socket.port)
        return Probe(kind, container.name, "tcp", port=port, period=period)
    if spec.grpc is not None:
        return Probe(kind, container.name, "grpc", port=spec.grpc.port, period=period)
    return Probe(kind, container.name, "exec", period=period)


def _port(container: ContainerSpec, port: int | str) -> int:
    """A number; 0 where the container declares no port of that name."""
    if isinstance(port, int):
        return port
    for one in container.ports or ():
        if one.name == port:
            return one.container_port
    return int(port) if port.isdecimal() else 0
