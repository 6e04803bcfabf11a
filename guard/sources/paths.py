"""Tells machines' requests from users' by the path that a counter says (decisions.md, Counting 7).

Shared by direct scrape and Prometheus. Series of a path that only machines ask for are always left
out. Whether that was enough (`known`) depends on the other series: one whose label is no literal
path ("other", "NOT_FOUND", "/{page}", a function's name) can hold machines' requests as well.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from guard.core.policy import Scrape
    from guard.core.workloads import Pod

DEFAULT_PATH: Final = "/metrics"
ANNOTATION_PATH: Final = "prometheus.io/path"

PATH_LABELS: Final = (
    "path",
    "handler",
    "route",
    "uri",
    "url",
    "http_route",
    "http_target",
    "url_path",
    "request_path",
    "path_template",
    "endpoint",
    "exported_endpoint",
)
"""Labels in which usual instrumentations put the path: client_golang `handler`, Micrometer `uri`,
OpenTelemetry `http_route`, Flask `endpoint` or `path`, Express `route` or `path`."""

GRPC_SERVICE: Final = "grpc_service"
GRPC_METHOD: Final = "grpc_method"
"""Labels of gRPC interceptors; together they are the path of the HTTP/2 request."""

_PARAMETER: Final = re.compile(r"\{[^/]*\}|<[^/]*>|:[^/]*|\*")
_REST: Final = re.compile(r"\*\*|\{[^/]*(:path|\*)\}|<path:[^/]*>|\{\*[^/]*\}|\*")


def machine_paths(pod: Pod, container: str, scrape: Scrape) -> frozenset[str]:
    """The paths that the guard, the kubelet and Prometheus ask of one container.

    Args:
        pod: the pod.
        container: the container whose counter is read.
        scrape: where the policy says to scrape, and which paths its own checks ask.
    """
    annotated = dict(pod.annotations).get(ANNOTATION_PATH)
    probed = {
        probe.path or "/"
        for probe in pod.probes
        if probe.handler == "http" and probe.container in {container, ""}
    }
    scraped = {scrape.path or annotated or DEFAULT_PATH, annotated or scrape.path or DEFAULT_PATH}
    return frozenset(_normal(path) for path in scraped | probed | scrape.asked)


def path_of(labels: Mapping[str, str]) -> str | None:
    """The path that a series' labels say; None where none of them says one."""
    if GRPC_SERVICE in labels and GRPC_METHOD in labels:
        return _normal(f"/{labels[GRPC_SERVICE].lstrip('/')}/{labels[GRPC_METHOD]}")
    for label in PATH_LABELS:
        value = labels.get(label, "")
        if value.startswith("/"):
            return _normal(value)
        if "://" in value:
            return _normal(urlsplit(value).path)
    return None


def asked_by_machines(labels: Mapping[str, str], machines: frozenset[str]) -> bool:
    """Whether a series counts requests for a path that machines ask for: leave it out."""
    return path_of(labels) in machines


def known(series: Iterable[Mapping[str, str]], machines: frozenset[str]) -> bool:
    """`known_paths`, by the labels of every selected series, those left out included."""
    return known_paths(frozenset(path_of(labels) for labels in series), machines)


@lru_cache(maxsize=1024)
def known_paths(paths: frozenset[str | None], machines: frozenset[str]) -> bool:
    """Whether no machine's request can be among the series that are not left out.

    Args:
        paths: `path_of` of every series that the selector selects, those of machines included.
        machines: what `machine_paths` gave: series of these paths are left out.

    Returns:
        True if each machine path has a series of its own, or no remaining series can hold the
        requests for one that has none. False without any series.
    """
    unseen = machines - paths
    return bool(paths) and not any(
        _may_hold(path, machine) for path in paths - machines for machine in unseen
    )


def _normal(path: str) -> str:
    return "/" + path.partition("?")[0].strip("/")


def _may_hold(path: str | None, machine: str) -> bool:
    """Whether requests for `machine` may be counted under this label value."""
    if path is None:
        return True
    return _template_holds(path.strip("/").split("/"), machine.strip("/").split("/"))


def _template_holds(template: list[str], path: list[str]) -> bool:
    for at, part in enumerate(template):
        if _REST.fullmatch(part):
            return True
        if at >= len(path):
            return False
        if not _PARAMETER.search(part) and part != path[at]:
            return False
    return len(template) == len(path)
