"""`guard discover`: which presets' counters a Prometheus knows, of which workloads.

Reads only, and one question at a time: this may be anybody's Prometheus.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import click

from guard.cli.discover_text import as_document, as_text
from guard.config.environment import load_settings
from guard.config.presets import PRESETS, Preset
from guard.config.problems import ConfigurationProblems, Rejected
from guard.config.setting_values import name as kubernetes_name
from guard.config.setting_values import url as base_url
from guard.core.errors import GuardError, PermanentError, TemporaryError
from guard.core.policy import Matcher, MatchOp
from guard.sources.lookup import Address, Lookup, address
from guard.sources.prometheus_queries import alternation, matcher_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

EXIT_NOTHING: Final = 1
EXIT_UNASKED: Final = 2
WITHIN: Final = 60.0
"""Seconds for all questions together; each has the time limit of its address."""

_RATE_WINDOW: Final = "5m"
# k8s.io/apimachinery, util/rand: the characters of generated names, and a ReplicaSet's pod's name.
_SAFE: Final = "bcdfghjklmnpqrstvwxz2456789"
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
"""A Kubernetes object's name: label values may be any text, and these are printed and pasted."""
_POD: Final = re.compile(rf"(?P<deployment>.+)-[{_SAFE}]{{6,10}}-[{_SAFE}]{{5}}")


class Row(Protocol):
    """One series with its labels and value."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""

    @property
    def value(self) -> float:
        """Its value now."""


class Series(Protocol):
    """Answers instant queries; raises `GuardError` where there is no answer."""

    async def vector(self, query: str) -> Sequence[Row]:
        """The series of an instant query."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose pods expose a counter.

    Attributes:
        namespace: empty where the series have no such label: they cannot be joined by name.
        workload: the Deployment's name; else the pod's, or the scrape job's.
        deployment: whether it is a Deployment, which the guard can look after.
        assumed: the Deployment's name was read off a pod's name.
    """

    namespace: str
    workload: str
    deployment: bool = False
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """One preset whose counters exist, for one workload.

    Attributes:
        pods: how many expose them.
        rate: requests a second over the last 5 min; None where that is not known yet.
    """

    owner: Owner
    preset: Preset
    pods: int
    rate: float | None = None


@click.command(short_help="Find out which request counters your workloads expose.")
@click.option("--prometheus", metavar="URL", help="Whom to ask. Default: GUARD_PROMETHEUS_URL.")
@click.option("--namespace", "-n", "namespaces", multiple=True, help="Only these; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
@click.pass_context
def discover(
    context: click.Context,
    prometheus: str | None,
    namespaces: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Ask a Prometheus which presets' counters it has, and print SLO files to begin with.

    Changes nothing. Signs in as the GUARD_PROMETHEUS_ settings say, unless --prometheus names
    another server. Exits 0 (found), 1 (none found) or 2 (could not ask).
    """
    try:
        for one in namespaces:
            kubernetes_name(one)
        found = asyncio.run(_asked(whom(prometheus), namespaces))
    except (ConfigurationProblems, Rejected) as error:
        click.echo(str(error), err=True)
        context.exit(EXIT_UNASKED)
    except GuardError as error:
        click.echo(f"cannot ask: {error}", err=True)
        context.exit(EXIT_UNASKED)
    click.echo(as_document(found) if as_json else as_text(found, namespaces))
    context.exit(0 if found else EXIT_NOTHING)


def whom(stated: str | None) -> Address:
    """The server to ask. What the settings hold of passwords goes to their own server alone.

    Raises:
        ConfigurationProblems, Rejected: the settings, or the stated address, cannot be used.
        PermanentError: nobody says whom to ask.
    """
    url = base_url(stated) if stated else None
    of_settings = address(load_settings())
    if of_settings is not None and url in {None, of_settings.url}:
        return of_settings
    if url is None:
        message = "no Prometheus: name one with --prometheus URL, or set GUARD_PROMETHEUS_URL"
        raise PermanentError(message)
    return Address(url)


async def _asked(of: Address, namespaces: Sequence[str]) -> list[Found]:
    lookup = Lookup(of)
    try:
        async with asyncio.timeout(WITHIN):
            return await search(lookup, namespaces)
    except TimeoutError:
        message = f"no answer to all questions within {WITHIN:g} s; name fewer with --namespace"
        raise TemporaryError(message) from None
    finally:
        await lookup.close()


async def search(series: Series, namespaces: Sequence[str] = ()) -> list[Found]:
    """Ask for every preset.

    Args:
        series: whom to ask.
        namespaces: only these; none: all.

    Returns:
        What was found, by namespace and workload, a workload's presets in their order.

    Raises:
        GuardError: a question was not answered.
    """
    only = (Matcher("namespace", MatchOp.REGEX, alternation(namespaces)),) if namespaces else ()
    seen = [(preset, await series.vector(existence(preset, only))) for preset in PRESETS]
    if not any(rows for _, rows in seen):
        return []
    deployments = await _deployments(series, only)
    found: list[Found] = []
    for preset, rows in seen:
        if rows:
            rates = await series.vector(traffic(preset, only))
            found += _grouped(preset, rows, rates, deployments)
    place = {preset.name: index for index, preset in enumerate(PRESETS)}
    return sorted(
        found, key=lambda one: (one.owner.namespace, one.owner.workload, place[one.preset.name])
    )


def existence(preset: Preset, only: Iterable[Matcher] = ()) -> str:
    """Counts a preset's series by pod, of those that have every label that it reads."""
    bad, total = preset.indicator.bad, preset.indicator.total
    present = (Matcher(m.label, MatchOp.NOT_EQUAL, "") for m in bad.matchers)
    needed = (one for one in present if one.label not in {m.label for m in total.matchers})
    return f"count by (namespace, pod, job) ({_text(preset, (*needed, *only))})"


def traffic(preset: Preset, only: Iterable[Matcher] = ()) -> str:
    """A preset's requests a second, by pod."""
    return f"sum by (namespace, pod, job) (rate({_text(preset, only)}[{_RATE_WINDOW}]))"


def _text(preset: Preset, more: Iterable[Matcher]) -> str:
    total = preset.indicator.total
    inside = ",".join(matcher_text(matcher) for matcher in (*total.matchers, *more))
    return f"{total.metric}{{{inside}}}"


async def _deployments(series: Series, only: Iterable[Matcher]) -> dict[tuple[str, str], str]:
    """Deployments by namespace and pod, where kube-state-metrics is scraped; else nothing."""
    text = "".join(f",{matcher_text(matcher)}" for matcher in only)
    rows = await series.vector(
        'label_replace(max by (namespace, pod, owner_name) (kube_pod_owner{owner_kind="ReplicaSet"'
        f'{text}}}), "replicaset", "$1", "owner_name", "(.+)") * on (namespace, replicaset)'
        " group_left (owner_name) max by (namespace, replicaset, owner_name)"
        f' (kube_replicaset_owner{{owner_kind="Deployment"{text}}})'
    )
    return {
        (row.labels.get("namespace", ""), row.labels.get("pod", "")): row.labels["owner_name"]
        for row in rows
        if "owner_name" in row.labels
    }


@dataclass(slots=True)
class _Group:
    """What one workload's series say of one preset."""

    pods: set[tuple[str, str]] = field(default_factory=set)
    rates: list[float] = field(default_factory=list)


def _grouped(
    preset: Preset,
    rows: Sequence[Row],
    rates: Sequence[Row],
    deployments: Mapping[tuple[str, str], str],
) -> list[Found]:
    groups: dict[Owner, _Group] = defaultdict(_Group)
    for row in rows:
        pod = row.labels.get("pod", "")
        groups[_owner(row.labels, deployments)].pods.add((pod, "" if pod else str(row.labels)))
    for row in rates:
        owner = _owner(row.labels, deployments)
        if owner in groups and math.isfinite(row.value):
            groups[owner].rates.append(row.value)
    return [
        Found(owner, preset, len(group.pods), sum(group.rates) if group.rates else None)
        for owner, group in groups.items()
    ]


def _owner(labels: Mapping[str, str], deployments: Mapping[tuple[str, str], str]) -> Owner:
    namespace, pod = labels.get("namespace", ""), labels.get("pod", "")
    if not _NAME.fullmatch(namespace) or not _NAME.fullmatch(pod):
        return Owner("", "".join(c if c.isprintable() else "?" for c in labels.get("job", "")))
    known = deployments.get((namespace, pod), "")
    if _NAME.fullmatch(known):
        return Owner(namespace, known, deployment=True)
    named = _POD.fullmatch(pod)
    if named is None:
        return Owner(namespace, pod)
    return Owner(namespace, named["deployment"], deployment=True, assumed=True)
