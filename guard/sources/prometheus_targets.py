"""From the raw samples of one pod's series to its readings: one target, one scrape, one time.

The law of this module: bad and total of a reading come from the same series of the same target as
of its newest scrape, and nothing that Prometheus has twice is counted twice. Two jobs that scrape
one container, or two replicas whose label a proxy leaves in place, are two targets: one is read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from guard.config import regexes
from guard.core.counting import CLOCK_SKEW
from guard.core.policy import Latency, Matcher, MatchOp, Selector
from guard.core.samples import NoData, NoDataReason, Reading
from guard.sources import buckets
from guard.sources.matching import TARGET_LABELS, compiled
from guard.sources.paths import known_paths, machine_paths, path_of
from guard.sources.prometheus_answers import NAME
from guard.sources.prometheus_join import declares, instance
from guard.sources.prometheus_queries import PROCESS_START, UP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guard.core.policy import Scrape, Sli
    from guard.core.workloads import Pod
    from guard.sources.prometheus_answers import Series

SOURCE: Final = "prometheus"

Found = Reading | NoData
_Identity = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Target:
    """What one scrape of one target brings, as far as it was asked for.

    Attributes:
        identity: the labels that tell it from every other target.
        up: the series `up`; None where the server has none.
        live: the other series that the newest scrape still had.
        ended: those that it had no more, or that read NaN: so a series ends in VictoriaMetrics.
    """

    identity: _Identity
    container: str
    up: Series | None
    live: tuple[Series, ...]
    ended: tuple[Series, ...]


def readings(series: Sequence[Series], sli: Sli, pod: Pod, scrape: Scrape) -> dict[str, Found]:
    """What one pod's series say.

    Args:
        series: all series that were joined to this pod; at least one.
        sli: bad and total.
        pod: the pod.
        scrape: what the policy says about paths.

    Returns:
        By container (`""`: not known which): a reading, or why there is none. Where some container
        gives a reading, those without are left out: a sidecar that counts no requests is no gap.
    """
    found: dict[str, Found] = {}
    for target in _targets(series, pod, sli.target_labels):
        if isinstance(found.get(target.container), Reading):
            continue
        now = _read(target, sli, pod, scrape)
        if target.container not in found or isinstance(now, Reading):
            found[target.container] = now
    read = {name: now for name, now in found.items() if isinstance(now, Reading)}
    return dict(read) if read else found


def _targets(series: Sequence[Series], pod: Pod, more: frozenset[str]) -> list[_Target]:
    """The targets, in an order that stays: those of a declared port first."""
    ups = [one for one in series if one.labels[NAME] == UP and one.samples]
    ups.sort(key=lambda one: len(one.labels), reverse=True)
    grouped: dict[_Identity, tuple[Series | None, list[Series]]] = {
        _identity(up.labels): (up, []) for up in ups
    }
    for one in series:
        if one.labels[NAME] == UP or not one.samples:
            continue
        up = next((up for up in ups if _of_target(one.labels, up.labels)), None)
        identity = _identity(up.labels if up else _target_labels(one.labels, more))
        grouped.setdefault(identity, (up, []))[1].append(one)
    targets = [_target(key, up, rest, pod) for key, (up, rest) in grouped.items()]
    return sorted(targets, key=lambda t: (not declares(pod, _port(t.identity)), t.identity))


def _identity(labels: Mapping[str, str]) -> _Identity:
    return tuple(sorted(item for item in labels.items() if item[0] != NAME))


def _of_target(labels: Mapping[str, str], up: Mapping[str, str]) -> bool:
    """Whether a series is of the target whose `up` has these labels: it has all of them too."""
    return all(labels.get(label) == value for label, value in up.items() if label != NAME)


def _target_labels(labels: Mapping[str, str], more: frozenset[str]) -> dict[str, str]:
    return {k: v for k, v in labels.items() if k in TARGET_LABELS or k in more}


def _port(identity: _Identity) -> int:
    return instance(dict(identity))[1]


def _target(identity: _Identity, up: Series | None, rest: list[Series], pod: Pod) -> _Target:
    every = [*rest, up] if up else rest
    newest = max(_at(one) for one in every)
    scrapes = {at for one in every if _at(one) == newest for at, _ in one.samples}
    # A series that an earlier scrape had and the newest has not is gone. One with times of its own
    # is of another replica that a deduplicating proxy mixed in: it goes on.
    live: list[Series] = []
    ended: list[Series] = []
    for one in rest:
        goes_on = (_at(one) == newest or _at(one) not in scrapes) and not math.isnan(_value(one))
        (live if goes_on else ended).append(one)
    return _Target(identity, _container(dict(identity), pod), up, tuple(live), tuple(ended))


def _at(series: Series) -> float:
    return series.samples[-1][0]


def _value(series: Series) -> float:
    return series.samples[-1][1]


def _container(labels: Mapping[str, str], pod: Pod) -> str:
    """The container that a target is: by its label, its port, or because there is no other."""
    if labels.get("container"):
        return labels["container"]
    lasting = [container for container in pod.containers if not container.init]
    port = instance(labels)[1]
    owners = [c for c in lasting if any(number == port for _, number in c.ports)]
    for names in (owners, lasting):
        if len(names) == 1:
            return names[0].name
    return ""


def _read(target: _Target, sli: Sli, pod: Pod, scrape: Scrape) -> Found:
    if target.up is not None and _value(target.up) != 1.0:
        gone = math.isnan(_value(target.up))
        words = "its series have ended" if gone else "Prometheus cannot scrape it: up is 0"
        return NoData(NoDataReason.STALE, words)
    total, bad = (_selected(target, selector, sli) for selector in sli.selectors)
    for absent in (total, bad):
        if isinstance(absent, NoData):
            return absent
    assert not isinstance(total, NoData)
    assert not isinstance(bad, NoData)
    if not total:
        return _without(target, sli)
    if _mixed(target, pod, (*total, *bad)):
        words = "its series are of different scrapes, and a restart may lie between them"
        return NoData(NoDataReason.AMBIGUOUS, words)
    machines = machine_paths(pod, target.container, scrape)
    paths = {id(one): path_of(one.labels) for one in (*total, *bad)}
    users = [one for one in total if paths[id(one)] not in machines]
    errors = [one for one in bad if paths[id(one)] not in machines]
    counted: float | None = math.fsum(map(_value, errors)) if bad else None
    if isinstance(sli, Latency):
        if counted is None or len(errors) != len(users):
            return buckets.missing(sli)
        counted = math.fsum(map(_value, users)) - counted
    return Reading(
        total=math.fsum(map(_value, users)),
        bad=counted,
        at=max(map(_at, (*total, *bad))),
        source=SOURCE,
        process_start=_process_start(target),
        paths_known=known_paths(frozenset(paths[id(one)] for one in total), machines),
    )


def _selected(target: _Target, selector: Selector, sli: Sli) -> list[Series] | NoData:
    """The target's live series that a selector selects; NO_LABEL where it asks for an unknown one.

    A misspelt label would else select nothing, and no errors at all are what a good release has.
    """
    named = [one for one in target.live if one.labels[NAME] == selector.metric]
    if not named:
        return []
    unknown = compiled(selector, sli.target_labels).unknown_label(one.labels for one in named)
    if unknown is not None:
        return unknown
    tests = tests_of(selector)
    bound = buckets.bound_of(sli, selector)
    return [
        one
        for one in named
        if all(test(one.labels) for test in tests)
        and (bound is None or buckets.is_bound(one.labels, bound))
    ]


def _without(target: _Target, sli: Sli) -> NoData:
    """Why there is no total: the target answers without it, or does not answer any more."""
    ended = [one for one in target.ended if one.labels[NAME] == sli.total.metric]
    if any(math.isnan(_value(one)) for one in ended):
        return NoData(NoDataReason.NOT_A_NUMBER, f"{sli.total.text} reads NaN")
    if target.up is None and not target.live:
        return NoData(NoDataReason.STALE, "its series have ended")
    return NoData(NoDataReason.NO_SERIES, f"it has no {sli.total.text}")


def _mixed(target: _Target, pod: Pod, counted: Sequence[Series]) -> bool:
    """Whether these series may be of two processes, because they are of different scrapes.

    Of one and the same process they may be: each goes on from where it was.
    """
    starts = _starts(target)
    times = {_at(one) for one in (*counted, *starts)}
    if len(times) == 1:
        return False
    container = next((one for one in pod.containers if one.name == target.container), None)
    began = container.started_at if container else None
    processes = {value for one in starts for _, value in one.samples}
    return began is None or began + CLOCK_SKEW >= min(times) or len(processes) > 1


def _starts(target: _Target) -> list[Series]:
    return [one for one in target.live if one.labels[NAME] == PROCESS_START]


def _process_start(target: _Target) -> float | None:
    starts = _starts(target)
    return _value(starts[0]) if len(starts) == 1 else None


@dataclass(frozen=True, slots=True)
class _Test:
    """One matcher against a series as Prometheus has it. An absent label reads as empty."""

    matcher: Matcher
    pattern: Any

    def __call__(self, labels: Mapping[str, str]) -> bool:
        found = labels.get(self.matcher.label, "")
        if self.pattern is None:
            return (found == self.matcher.value) is (self.matcher.op is MatchOp.EQUAL)
        matched = self.pattern.fullmatch(found) is not None
        return matched is (self.matcher.op is MatchOp.REGEX)


@lru_cache(maxsize=1024)
def tests_of(selector: Selector) -> tuple[_Test, ...]:
    """A selector's matchers, to be called with a series' labels."""
    by_regex = {MatchOp.REGEX, MatchOp.NOT_REGEX}
    return tuple(
        _Test(m, regexes.compiled(m.value) if m.op in by_regex else None) for m in selector.matchers
    )
