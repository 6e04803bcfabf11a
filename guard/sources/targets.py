"""Where each container of a pod exposes its metrics.

By the policy, else the pod's annotations, else a port of a telling name, else the port that its
probes ask (issue "The main job", *Where to scrape*). A guess is never made: nothing found is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guard.core.samples import NoData, NoDataReason
from guard.sources.machines import ANNOTATION_PORT, ANNOTATION_SCRAPE
from guard.sources.paths import ANNOTATION_PATH, DEFAULT_PATH

if TYPE_CHECKING:
    from guard.core.policy import Scrape
    from guard.core.workloads import Container, Pod

ANNOTATION_SCHEME: Final = "prometheus.io/scheme"
PORT_NAMES: Final = frozenset({"metrics", "http-metrics"})
_PROBES: Final = {"readiness": 0, "liveness": 1, "startup": 2}


@dataclass(frozen=True, slots=True)
class Target:
    """One address to scrape. `container` is whose counter stands there."""

    container: str
    host: str
    port: int
    path: str
    scheme: str

    @property
    def url(self) -> str:
        """The address as a URL."""
        return url(self.scheme, self.host, self.port, self.path)


def url(scheme: str, host: str, port: int, path: str) -> str:
    """A URL; an IPv6 address gets its brackets."""
    literal = f"[{host}]" if ":" in host else host
    return f"{scheme}://{literal}:{port}/{path.removeprefix('/')}"


def targets(pod: Pod, scrape: Scrape) -> tuple[Target, ...] | NoData:
    """Where to scrape a pod: at most one address for each container.

    Args:
        pod: the pod.
        scrape: what the policy says; it wins over what the pod says, part by part.

    Returns:
        The targets, or NO_TARGET in words.
    """
    if not pod.address:
        return _nothing(f"{pod.name} has no address yet")
    containers = [container for container in pod.containers if not container.init]
    if scrape.container is not None:
        containers = [one for one in containers if one.name == scrape.container]
        if not containers:
            return _nothing(f"{pod.name} has no container {scrape.container}")
    annotations = dict(pod.annotations)
    ports = _ports(pod, containers, scrape, annotations)
    if isinstance(ports, NoData):
        return ports
    path = scrape.path or annotations.get(ANNOTATION_PATH) or DEFAULT_PATH
    stated = scrape.scheme or annotations.get(ANNOTATION_SCHEME)
    return tuple(
        Target(name, pod.address, port, path, stated or scheme)
        for name, (port, scheme) in ports.items()
    )


_Ports = dict[str, tuple[int, str]]
"""By container name: port number and scheme."""


def _ports(
    pod: Pod, containers: list[Container], scrape: Scrape, annotations: dict[str, str]
) -> _Ports | NoData:
    if scrape.port is not None:
        return _stated(pod, containers, scrape.port)
    says = annotations.get(ANNOTATION_SCRAPE, "").lower()
    annotated = annotations.get(ANNOTATION_PORT, "")
    if says != "false" and annotated.isdecimal():
        return {_owner(containers, int(annotated)): (int(annotated), "http")}
    found = _named(containers) or _probed(pod, containers)
    if not found and says == "true":
        found = _only(containers)
    if not found:
        return _nothing(
            f"{pod.name} says nowhere where its metrics are: name a port `metrics`, annotate "
            f"{ANNOTATION_PORT}, or set rollout.scrape.port"
        )
    return found


def _stated(pod: Pod, containers: list[Container], port: int | str) -> _Ports | NoData:
    """The port of the policy. A number need not be declared by any container."""
    if isinstance(port, int):
        return {_owner(containers, port): (port, "http")}
    found = {
        container.name: (number, "http")
        for container in containers
        for name, number in container.ports
        if name == port
    }
    return found or _nothing(f"no container of {pod.name} has a port named {port}")


def _owner(containers: list[Container], port: int) -> str:
    """The container that declares a port, else the first: ports need not be declared."""
    declaring = [one for one in containers if any(number == port for _, number in one.ports)]
    return next((one.name for one in declaring or containers), "")


def _named(containers: list[Container]) -> _Ports:
    return {
        container.name: (number, "http")
        for container in containers
        for name, number in container.ports
        if name in PORT_NAMES
    }


def _probed(pod: Pod, containers: list[Container]) -> _Ports:
    """The port of each container's HTTP probe, the readiness probe's first."""
    names = {container.name for container in containers}
    http = [p for p in pod.probes if p.handler == "http" and p.port and p.container in names]
    http.sort(key=lambda probe: _PROBES.get(probe.kind, len(_PROBES)), reverse=True)
    return {probe.container: (probe.port, probe.scheme.lower()) for probe in http}


def _only(containers: list[Container]) -> _Ports:
    """Where the pod asks to be scraped and declares one port, it can only be this one."""
    declared = [(one.name, number) for one in containers for _, number in one.ports]
    return {declared[0][0]: (declared[0][1], "http")} if len(declared) == 1 else {}


def _nothing(words: str) -> NoData:
    return NoData(NoDataReason.NO_TARGET, words)
