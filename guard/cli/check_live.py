"""`guard check --live`: what no file can tell, asked of the cluster and of Prometheus.

Nothing is changed anywhere, and no verdict is given: it says beforehand why a rollout could not be
judged, or not be undone.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from guard.cli import live_pace
from guard.cli.live_findings import LiveFinding, LiveKind
from guard.config import regexes
from guard.core.errors import GuardError
from guard.core.evidence.mixtures import missing_to_pass
from guard.core.policy import (
    CountedCheck,
    Latency,
    Matcher,
    MatchOp,
    Promql,
    Selector,
    of_whole_service,
)
from guard.core.samples import Reading
from guard.core.workloads import Snapshot
from guard.sources import buckets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from guard.core.actions import Rights
    from guard.core.policy import Policy, Service, Sli
    from guard.core.workloads import Pod, WorkloadId
    from guard.engine.ports import Counters, Platform

_SNAPSHOTS_WITHIN: Final = 10.0
_DEFAULT_ALLOWANCE: Final = 2
_RATE_WINDOW: Final = "5m"


class Row(Protocol):
    """One series with its labels and value."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""

    @property
    def value(self) -> float:
        """Its value now."""


class Lookup(Protocol):
    """Looks series up; both methods raise `GuardError` where there is no answer."""

    async def labels(self, metric: str) -> frozenset[str]:
        """The names of all labels that a metric's series have."""

    async def vector(self, query: str) -> Sequence[Row]:
        """The series of an instant query."""


@dataclass(frozen=True, slots=True)
class Live:
    """Whom to ask. None: not configured, and not asked."""

    platform: Platform
    scrape: Counters | None = None
    lookup: Lookup | None = None


async def ask(services: Sequence[Service], live: Live) -> list[LiveFinding]:
    """Ask everything about these services, in their order."""
    wanted = frozenset(workload for service in services for workload in service.workloads)
    snapshots = await _snapshots(live.platform, wanted)
    findings: list[LiveFinding] = []
    for service in services:
        seen = [snapshots[w] for w in service.workloads if w in snapshots]
        rights = {one: await live.platform.rights(one) for one in service.workloads}
        findings += _missing(service, snapshots, rights)
        findings += _rights(service, rights)
        if service.policy.pace:
            findings += [found async for found in live_pace.steps(service, seen, live.platform)]
        if live.scrape:
            findings += [found async for found in _targets(service, seen, live.scrape)]
        if live.lookup:
            findings += await _series(service, seen, live.lookup)
    return findings


async def _snapshots(
    platform: Platform, wanted: frozenset[WorkloadId]
) -> dict[WorkloadId, Snapshot]:
    """The first snapshot of each workload; without those that do not come in time."""
    found: dict[WorkloadId, Snapshot] = {}
    platform.follow(wanted)
    watch = platform.watch()
    try:
        async with asyncio.timeout(_SNAPSHOTS_WITHIN):
            async for item in watch:
                if isinstance(item, Snapshot):
                    found[item.workload] = item
                if wanted <= found.keys():
                    break
    except TimeoutError:
        pass
    return found


def _missing(
    service: Service,
    snapshots: Mapping[WorkloadId, Snapshot],
    rights: Mapping[WorkloadId, Rights],
) -> Iterable[LiveFinding]:
    """Those that are not there; where the guard may not look, what it lacks is told instead."""
    action = "check namespace and name"
    return [
        LiveFinding(LiveKind.WORKLOAD_MISSING, service.name, str(workload), "not there", action)
        for workload in service.workloads
        if workload not in snapshots and rights[workload].may_see
    ]


def _rights(service: Service, rights: Mapping[WorkloadId, Rights]) -> Iterable[LiveFinding]:
    for workload, has in rights.items():
        if has.missing:
            found = f"the guard may not {', '.join(has.missing)}"
            action = "bind the Role of manifests/ in that namespace"
            yield LiveFinding(LiveKind.RIGHT_MISSING, service.name, str(workload), found, action)


async def _targets(
    service: Service, snapshots: Sequence[Snapshot], scrape: Counters
) -> AsyncIterator[LiveFinding]:
    for snapshot in snapshots:
        pods = [pod for pod in snapshot.pods if pod.ready and pod.deleted_at is None]
        for sli in _indicators(service.policy):
            answers = await scrape.read(sli, pods, service.policy.scrape)
            reasons = {
                f"{answer.reason.value} {answer.detail}".strip()
                for answer in answers.values()
                if not isinstance(answer, Reading)
            }
            for reason in sorted(reasons):
                subject = f"{snapshot.workload} {sli.total.text}"
                action = "mend rollout.scrape, the port's name or the pod's annotations"
                yield LiveFinding(LiveKind.TARGET_UNSCRAPED, service.name, subject, reason, action)


async def _series(
    service: Service, snapshots: Sequence[Snapshot], lookup: Lookup
) -> list[LiveFinding]:
    """All questions to Prometheus; the first that it does not answer ends them."""
    findings: list[LiveFinding] = []
    try:
        for check in service.policy.checks:
            if isinstance(check, CountedCheck):
                findings += await _indicator(service, check, snapshots, lookup)
            if isinstance(check, Promql):
                findings += await _expression(service, check, snapshots, lookup)
    except GuardError as error:
        action = "check GUARD_PROMETHEUS_URL and how the guard signs in"
        kind = LiveKind.PROMETHEUS_UNAVAILABLE
        findings.append(LiveFinding(kind, service.name, "Prometheus", str(error), action))
    return findings


async def _indicator(
    service: Service, check: CountedCheck, snapshots: Sequence[Snapshot], lookup: Lookup
) -> list[LiveFinding]:
    sli = check.objective.sli
    findings = []
    for selector in sli.selectors:
        findings += await _labels(service, selector, lookup)
    if findings:
        return findings
    if not await lookup.vector(f"count({sli.total.text})"):
        action = "compare it with what /metrics shows"
        kind = LiveKind.SELECTOR_EMPTY
        return [LiveFinding(kind, service.name, sli.total.text, "matches no series", action)]
    if isinstance(sli, Latency):
        findings += await _bucket(service, sli, lookup)
    for snapshot in snapshots:
        findings += await _traffic(service, check, snapshot, lookup)
    return findings


async def _bucket(service: Service, sli: Latency, lookup: Lookup) -> list[LiveFinding]:
    """A threshold between two buckets cannot be counted."""
    rows = await lookup.vector(f"count by ({buckets.LABEL}) ({sli.buckets.text})")
    if any(buckets.is_bound(row.labels, sli.bound) for row in rows):
        return []
    found = buckets.missing(sli, buckets.bounds(row.labels for row in rows)).detail
    action = "choose a slower_than that is the bound of a bucket, or add that bucket"
    kind = LiveKind.BUCKET_MISSING
    return [LiveFinding(kind, service.name, sli.buckets.text, found, action)]


async def _labels(service: Service, selector: Selector, lookup: Lookup) -> list[LiveFinding]:
    """A label that no series of the metric has is an error that names it.

    A metric without any series says nothing about its labels: a counter of errors alone may
    have none before the first error.
    """
    known = await lookup.labels(selector.metric)
    if not known:
        return []
    unknown = sorted({m.label for m in selector.matchers if _asks_for(m)} - known)
    found = f"no series has the label {', '.join(unknown)}"
    action = f"use one of {', '.join(sorted(known))}"
    kind = LiveKind.LABEL_UNKNOWN
    return [LiveFinding(kind, service.name, selector.text, found, action)] if unknown else []


def _asks_for(matcher: Matcher) -> bool:
    """Whether a matcher can only match a series that has its label."""
    match matcher.op:
        case MatchOp.EQUAL:
            return matcher.value != ""
        case MatchOp.REGEX:
            return not regexes.matches(matcher.value, "")
        case _:
            return False


async def _traffic(
    service: Service, check: CountedCheck, snapshot: Snapshot, lookup: Lookup
) -> list[LiveFinding]:
    """Whether the requests that a PASS needs come before the deadline, at the present rate."""
    total = check.objective.sli.total
    subject = f"{snapshot.workload} {total.text}"
    pods = [pod for pod in snapshot.pods if pod.deleted_at is None]
    query = rate_query(total, snapshot.workload.namespace, pods)
    if of_whole_service(check.objective.sli):
        query = f"sum(rate({_text(total, ())}[{_RATE_WINDOW}]))"  # No pod of the workload has it.
    rows = await lookup.vector(query)
    if not rows:
        found = "no series of this workload's pods, by namespace and pod or by address"
        action = "let the scrape configuration keep the labels namespace and pod"
        return [LiveFinding(LiveKind.SERIES_UNJOINED, service.name, subject, found, action)]
    policy = service.policy
    k = check.allowance or _DEFAULT_ALLOWANCE
    needed = missing_to_pass(0, 0, (check.above, 2 * check.above, k, policy.beta))
    rate = rows[0].value
    if rate * policy.deadline >= needed:
        return []
    takes = f"that takes {needed / rate / 60:.0f} min" if rate > 0 else "they never come"
    found = (
        f"a promotion needs {needed} requests without an error; at {rate:.2g} a second {takes}, "
        f"and the deadline is {policy.deadline / 60:.0f} min"
    )
    action = f"lengthen the deadline, raise `above`, or live with {policy.on_inconclusive.value}"
    return [LiveFinding(LiveKind.TRAFFIC_LOW, service.name, subject, found, action)]


async def _expression(
    service: Service, check: Promql, snapshots: Sequence[Snapshot], lookup: Lookup
) -> list[LiveFinding]:
    findings = []
    for snapshot in snapshots:
        pods = "|".join(re.escape(pod.name) for pod in snapshot.pods) or "none"
        query = check.expr.replace("$candidate", _quoted(pods)).replace("$stable", _quoted(pods))
        rows = await lookup.vector(query)
        if len(rows) == 1:
            continue
        subject = f"{snapshot.workload} {check.name}"
        if rows:
            labels = sorted({label for row in rows for label in row.labels})
            found = f"{len(rows)} series, by {', '.join(labels)}"
            action = "aggregate it to one, for example with max(…)"
            kind = LiveKind.EXPRESSION_MANY
        else:
            found, kind = "no series", LiveKind.EXPRESSION_EMPTY
            action = "check that the pods expose what it selects"
        findings.append(LiveFinding(kind, service.name, subject, found, action))
    return findings


def rate_query(selector: Selector, namespace: str, pods: Sequence[Pod]) -> str:
    """Requests a second of these pods: by namespace and pod, else by the instance's address."""
    names = "|".join(re.escape(pod.name) for pod in pods) or "none"
    hosts = {re.escape(pod.address) for pod in pods if pod.address}
    addresses = "|".join(f"{host}(:[0-9]+)?" for host in sorted(hosts)) or "none"
    by_name = (
        Matcher("namespace", MatchOp.EQUAL, namespace),
        Matcher("pod", MatchOp.REGEX, names),
    )
    by_address = (Matcher("instance", MatchOp.REGEX, addresses),)
    either = (f"rate({_text(selector, more)}[{_RATE_WINDOW}])" for more in (by_name, by_address))
    return f"sum({' or '.join(either)})"


def _text(selector: Selector, more: tuple[Matcher, ...]) -> str:
    matchers = (*selector.matchers, *more)
    inside = ",".join(f'{m.label}{m.op.value}"{_quoted(m.value)}"' for m in matchers)
    return f"{selector.metric}{{{inside}}}"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _indicators(policy: Policy) -> list[Sli]:
    """Each indicator once, however many checks count by it."""
    counted = (check for check in policy.checks if isinstance(check, CountedCheck))
    return list(dict.fromkeys(check.objective.sli for check in counted))
