"""Service level indicators by name, so that nobody has to write PromQL for usual instrumentation.

The law of this module: what counts as bad is what the project that exposes the counter calls a
server's fault, and `docs` names the page that says so. Nothing here is guessed from metric names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from guard.config.codes import Code
from guard.config.problems import Rejected, closest, show
from guard.config.selectors import matchers, paired, selector
from guard.core.policy import Matcher, MatchOp, Ratio, Selector

if TYPE_CHECKING:
    from collections.abc import Iterable


class Scope(StrEnum):
    """Whose requests the series of one pod count."""

    PER_REVISION = "per revision"  # those of the pod that exposes them
    WHOLE_SERVICE = "whole service"  # those of every pod behind a proxy; the series carry its pod


@dataclass(frozen=True, slots=True)
class Preset:
    """One indicator by name.

    Attributes:
        exposed_by: whose instrumentation it is, for people.
        indicator: bad requests among all.
        docs: the page that defines counter and labels.
        scrape: what `rollout.scrape` needs where the pod does not say it itself; empty: nothing.
        narrowed_by: of a whole service: what names one service among all behind the proxy, one
            label of each group. A check needs an `=` matcher for each of the groups.
        narrow: how that is written, for messages.
    """

    name: str
    exposed_by: str
    indicator: Ratio
    docs: str
    scope: Scope = Scope.PER_REVISION
    scrape: str = ""
    narrowed_by: tuple[tuple[str, ...], ...] = ()
    narrow: str = ""

    @property
    def one_service(self) -> bool:
        """Whether a check can count by it: by a revision's pods, or by one service."""
        exact = {
            m.label for m in self.indicator.total.matchers if m.op is MatchOp.EQUAL and m.value
        }
        return all(not exact.isdisjoint(group) for group in self.narrowed_by)


_SERVER_ERROR: Final = "5.."
"""Three characters, so it also matches `5xx`, as which some libraries group the codes."""

# https://github.com/open-telemetry/semantic-conventions/blob/main/docs/rpc/grpc.md, server span:
# the status codes that should be considered a server's errors. Go writes them `DataLoss`, Java and
# Python `DATA_LOSS`.
_GRPC_FAULTS: Final = (
    "Unknown",
    "DeadlineExceeded",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "UNKNOWN",
    "DEADLINE_EXCEEDED",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
)
# Kubelet and load balancers ask for health by gRPC: these are no users' requests.
_GRPC_USERS: Final = 'grpc_service!~"/?grpc[.]health[.].*"'


def _ratio(metric: str, bad: str, every: str = "") -> Ratio:
    """Bad requests, told by one matcher, among those that `every` selects."""
    both = f"{bad},{every}" if every else bad
    total = f"{metric}{{{every}}}" if every else metric
    return paired(Ratio(selector(f"{metric}{{{both}}}"), selector(total)))


def _coded(metric: str, label: str) -> Ratio:
    """HTTP requests whose status stands in a label."""
    return _ratio(metric, f'{label}=~"{_SERVER_ERROR}"')


PRESETS: Final = (
    Preset(
        name="http_requests_total",
        exposed_by="most applications, status in `code` (client_golang's promhttp)",
        indicator=_coded("http_requests_total", "code"),
        docs="https://pkg.go.dev/github.com/prometheus/client_golang/prometheus/promhttp",
    ),
    Preset(
        name="http_requests_total.status",
        exposed_by="most applications, status in `status` (prometheus-fastapi-instrumentator)",
        indicator=_coded("http_requests_total", "status"),
        docs="https://github.com/trallnag/prometheus-fastapi-instrumentator",
    ),
    Preset(
        name="http_requests_total.status_code",
        exposed_by="most applications, status in `status_code` (fiberprometheus)",
        indicator=_coded("http_requests_total", "status_code"),
        docs="https://github.com/ansrivas/fiberprometheus",
    ),
    Preset(
        name="http_server_request_duration_seconds",
        exposed_by="OpenTelemetry SDKs, ASP.NET Core from .NET 8 on",
        indicator=_coded("http_server_request_duration_seconds_count", "http_response_status_code"),
        docs="https://opentelemetry.io/docs/specs/semconv/http/http-metrics/",
    ),
    Preset(
        name="http_server_duration_milliseconds",
        exposed_by="OpenTelemetry SDKs before the stable HTTP conventions",
        indicator=_coded("http_server_duration_milliseconds_count", "http_status_code"),
        docs="https://opentelemetry.io/docs/specs/semconv/non-normative/http-migration/",
    ),
    Preset(
        name="http_server_requests_seconds",
        exposed_by="Spring Boot and others on Micrometer",
        indicator=_coded("http_server_requests_seconds_count", "status"),
        docs="https://docs.spring.io/spring-boot/reference/actuator/metrics.html",
        scrape="{path: /actuator/prometheus}",
    ),
    Preset(
        name="http_requests_received_total",
        exposed_by="ASP.NET Core with prometheus-net",
        indicator=_coded("http_requests_received_total", "code"),
        docs="https://github.com/prometheus-net/prometheus-net",
    ),
    Preset(
        name="grpc_server_handled_total",
        exposed_by="gRPC servers with the Prometheus interceptors of Go, Java, Python",
        indicator=_ratio(
            "grpc_server_handled_total", f'grpc_code=~"{"|".join(_GRPC_FAULTS)}"', _GRPC_USERS
        ),
        docs="https://github.com/grpc-ecosystem/go-grpc-prometheus",
    ),
    Preset(
        name="istio_requests_total",
        exposed_by="Istio sidecars",
        indicator=_ratio(
            "istio_requests_total",
            f'response_code=~"{_SERVER_ERROR}"',
            'reporter="destination"',  # the same pod also reports, as `source`, what it asks
        ),
        docs="https://istio.io/latest/docs/reference/config/metrics/",
        scrape="{container: istio-proxy, port: 15020, path: /stats/prometheus}",
    ),
    Preset(
        name="response_total",
        exposed_by="Linkerd proxies",
        indicator=_ratio("response_total", 'classification="failure"', 'direction="inbound"'),
        docs="https://linkerd.io/2-edge/reference/proxy-metrics/",
        scrape="{container: linkerd-proxy, port: linkerd-admin}",
    ),
    Preset(
        name="nginx_ingress_controller_requests",
        exposed_by="the NGINX ingress controller",
        indicator=_coded("nginx_ingress_controller_requests", "status"),
        docs="https://kubernetes.github.io/ingress-nginx/user-guide/monitoring/",
        scope=Scope.WHOLE_SERVICE,
        narrowed_by=(("exported_namespace", "namespace"), ("exported_service", "service")),
        narrow='{exported_namespace="shop",exported_service="cart"}',
    ),
    Preset(
        name="envoy_cluster_upstream_rq_xx",
        exposed_by="Envoy gateways, by class of status",
        indicator=_ratio("envoy_cluster_upstream_rq_xx", 'envoy_response_code_class="5"'),
        docs="https://www.envoyproxy.io/docs/envoy/latest/configuration/upstream/cluster_manager/"
        "cluster_stats",
        scope=Scope.WHOLE_SERVICE,
        narrowed_by=(("envoy_cluster_name",),),
        narrow='{envoy_cluster_name="shop/cart"}',
    ),
    Preset(
        name="envoy_cluster_upstream_rq",
        exposed_by="Envoy gateways, by status",
        indicator=_coded("envoy_cluster_upstream_rq", "envoy_response_code"),
        docs="https://www.envoyproxy.io/docs/envoy/latest/configuration/upstream/cluster_manager/"
        "cluster_stats",
        scope=Scope.WHOLE_SERVICE,
        narrowed_by=(("envoy_cluster_name",),),
        narrow='{envoy_cluster_name="shop/cart"}',
    ),
)
"""In the order in which they are tried: what an application counts itself says more (its paths)
than what a proxy beside it counts."""

PER_REVISION: Final = tuple(one for one in PRESETS if one.scope is Scope.PER_REVISION)
NAMES: Final = tuple(one.name for one in PRESETS)
_WHOLE: Final = "|".join(one.name for one in PRESETS if one.scope is Scope.WHOLE_SERVICE)
NARROWED: Final = rf"^({_WHOLE})\s*\{{.*\}}\s*$"
"""A whole service's preset with matchers, as a pattern for the schema."""
_BY_NAME: Final = {one.name: one for one in PRESETS}


def preset(text: object) -> Preset:
    """The preset of a name; of one that counts a whole service with matchers, narrowed by them.

    Raises:
        Rejected: `value-unknown`, with the closest name; `matchers-invalid`,
            `regex-unsupported`, `placeholder-misused` or `scope-unsupported` for its matchers.
    """
    name, brace, inside = text.partition("{") if isinstance(text, str) else (text, "", "")
    name = name.strip() if isinstance(name, str) else name
    found = _BY_NAME.get(name) if isinstance(name, str) else None
    if found is None:
        expected = "a preset of docs/presets.md"
        raise Rejected(Code.VALUE_UNKNOWN, show(text), expected, closest(name, NAMES))
    if not brace:
        return found
    if found.scope is not Scope.WHOLE_SERVICE:
        expected = f"{found.name} alone: its series are known by their pods"
        action = "leave out the braces, or write `ratio` with both selectors"
        raise Rejected(Code.SCOPE_UNSUPPORTED, show(text), expected, action)
    return _narrowed(found, matchers("{" + inside))


def _narrowed(found: Preset, more: tuple[Matcher, ...]) -> Preset:
    bad, total = found.indicator.bad, found.indicator.total
    return replace(
        found, indicator=replace(found.indicator, bad=_and(bad, more), total=_and(total, more))
    )


def _and(one: Selector, more: tuple[Matcher, ...]) -> Selector:
    every = (*one.matchers, *more)
    inside = ",".join(f"{m.label}{m.op}{json.dumps(m.value, ensure_ascii=False)}" for m in every)
    return Selector(one.metric, every, f"{one.metric}{{{inside}}}")


def ratio(of: Preset, target_labels: Iterable[str]) -> Ratio:
    """A preset's indicator for a team's own Prometheus (see `Ratio.target_labels`)."""
    whole = of.scope is Scope.WHOLE_SERVICE
    return replace(of.indicator, target_labels=frozenset(target_labels), whole_service=whole)
