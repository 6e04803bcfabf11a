"""What pods counted in the past: counters at fixed steps, never `rate()` or `increase()`.

The law of this module: only series that carry the namespace and the name of a pod that the platform
itself names are that pod's (decisions.md, Counting 6). A pod that is gone, whose name nobody can
vouch for, is left out: history is then shorter, never another's.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from guard.core.buckets import bucket_pattern
from guard.core.evidence.history import Mark, Track
from guard.core.policy import Latency, Matcher, MatchOp, Ratio
from guard.core.samples import NoData, NoDataReason, Unavailable
from guard.sources.paths import PATH_LABELS, machine_paths
from guard.sources.prometheus_queries import alternation, matcher_text
from guard.sources.prometheus_service import PROXY_LABELS, proxy, selected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from guard.core.policy import Scrape, Selector, Sli
    from guard.core.workloads import Pod
    from guard.sources.prometheus_answers import Series
    from guard.sources.prometheus_client import PrometheusClient

PODS_AT_MOST: Final = 100
"""Pods that are looked at, the oldest first: their day is 1,440 steps of two series, some 50 kB,
and an answer has 8 MB at most. A hundred say what is normal for the whole."""
_SAMPLES_AT_ONCE: Final = 8_000
"""Samples from which on an answer is read in a thread, lest the loop stand still."""
_KIND: Final = "guard_kind"
_BAD: Final = "bad"
_FAST: Final = "fast"
_TOTAL: Final = "total"
_BY: Final = ("namespace", "pod", "container", "job", "instance")


class PrometheusHistory:
    """Looks pods' counters up in Prometheus. Implements `engine.ports.History`."""

    def __init__(self, client: PrometheusClient) -> None:
        """Take whom to ask; closed by whoever made it."""
        self._client = client

    async def look_back(
        self, sli: Sli, pods: Sequence[Pod], scrape: Scrape, span: tuple[float, float, float]
    ) -> tuple[Track, ...] | NoData | Unavailable:
        """Each pod's counters at every step of a span.

        Requests of machines are left out where a label says their path; where none does they
        are in, and the ratio is a little lower than users see it.

        Args:
            sli: bad and total.
            pods: whose.
            scrape: what the policy says about paths.
            span: (since, until, step), in seconds since the epoch and seconds.
        """
        if isinstance(sli, Ratio) and sli.whole_service:
            return await self._of_service(sli, span)
        asked = sorted(pods, key=lambda pod: (pod.created_at, pod.name))[:PODS_AT_MOST]
        if not asked:
            return NoData(NoDataReason.NO_PODS, "there is no pod to look back on")
        query = _query(sli, asked, scrape)
        while len(query) > self._client.room and len(asked) > 1:
            asked = asked[: len(asked) // 2]
            query = _query(sli, asked, scrape)
        answer = await self._client.range(query, *span)
        if isinstance(answer, Unavailable):
            return answer
        latency = isinstance(sli, Latency)
        if sum(len(series.samples) for series in answer) > _SAMPLES_AT_ONCE:
            tracks = await asyncio.to_thread(_tracks, answer, asked, latency=latency)
        else:
            tracks = _tracks(answer, asked, latency=latency)
        if not tracks:
            words = "Prometheus has no history of these pods by the labels namespace and pod"
            return NoData(NoDataReason.NO_SERIES, words)
        return tracks

    async def _of_service(
        self, sli: Ratio, span: tuple[float, float, float]
    ) -> tuple[Track, ...] | NoData | Unavailable:
        """Each proxy's counters of the service, whatever pods were behind it."""
        by = ", ".join(sorted({*_BY, *PROXY_LABELS}))
        query = " or ".join(
            f'label_replace(sum by ({by}) ({selected(selector)}), "{_KIND}", "{kind}", "", "")'
            for selector, kind in _selectors(sli)
        )
        answer = await self._client.range(query, *span)
        if isinstance(answer, Unavailable):
            return answer
        if sum(len(series.samples) for series in answer) > _SAMPLES_AT_ONCE:
            tracks = await asyncio.to_thread(_service_tracks, answer)
        else:
            tracks = _service_tracks(answer)
        if not tracks:
            words = f"Prometheus has no history that {sli.total.text} selects"
            return NoData(NoDataReason.NO_SERIES, words)
        return tracks


def _query(sli: Sli, pods: Sequence[Pod], scrape: Scrape) -> str:
    """One query for both, so that one server answers both as of the same moments."""
    names = (
        Matcher("namespace", MatchOp.REGEX, alternation(sorted({p.namespace for p in pods}))),
        Matcher("pod", MatchOp.REGEX, alternation(sorted(p.name for p in pods))),
    )
    machines = {
        path
        for pod in pods
        for name in ("", *(container.name for container in pod.containers))
        for path in machine_paths(pod, name, scrape)
    }
    pattern = alternation(sorted(machines))
    without = tuple(Matcher(label, MatchOp.NOT_REGEX, pattern) for label in PATH_LABELS)
    return " or ".join(
        f"label_replace(sum by ({', '.join(_BY)}) ({_selector(selector, (*names, *without))}), "
        f'"{_KIND}", "{kind}", "", "")'
        for selector, kind in _selectors(sli)
    )


def _selectors(sli: Sli) -> tuple[tuple[Selector, str], ...]:
    if not isinstance(sli, Latency):
        return (sli.total, _TOTAL), (sli.bad, _BAD)
    bound = Matcher("le", MatchOp.REGEX, bucket_pattern(sli.bound))
    fast = replace(sli.buckets, matchers=(*sli.buckets.matchers, bound))
    return (sli.total, _TOTAL), (fast, _FAST)


def _selector(selector: Selector, more: Iterable[Matcher]) -> str:
    matchers = ",".join(matcher_text(matcher) for matcher in (*selector.matchers, *more))
    return f"{selector.metric}{{{matchers}}}"


def _tracks(answer: Iterable[Series], pods: Sequence[Pod], *, latency: bool) -> tuple[Track, ...]:
    """One track a container; of two targets that are one container, the one with more to say."""
    created = {(pod.namespace, pod.name): pod for pod in pods}
    targets: dict[tuple[str, ...], dict[str, Series]] = defaultdict(dict)
    for series in answer:
        identity = tuple(series.labels.get(label, "") for label in _BY)
        targets[identity][series.labels.get(_KIND, "")] = series
    best: dict[tuple[str, str, str], tuple[Mark, ...]] = {}
    for identity, kinds in sorted(targets.items()):
        pod = created.get((identity[0], identity[1]))
        if pod is None or _TOTAL not in kinds:
            continue
        # A StatefulSet gives a new pod its predecessor's name.
        read = _slow_marks(kinds) if latency else _marks(kinds)
        marks = tuple(mark for mark in read if mark.at >= pod.created_at)
        key = identity[0], identity[1], identity[2]
        if len(marks) > len(best.get(key, ())):
            best[key] = marks
    return tuple(Track("/".join(key), marks) for key, marks in best.items())


def _service_tracks(answer: Iterable[Series]) -> tuple[Track, ...]:
    """One track a proxy; of two targets that are one proxy, the one with more to say."""
    targets: dict[tuple[tuple[str, str], ...], dict[str, Series]] = defaultdict(dict)
    for series in answer:
        identity = tuple(sorted(item for item in series.labels.items() if item[0] != _KIND))
        targets[identity][series.labels.get(_KIND, "")] = series
    best: dict[str, tuple[Mark, ...]] = {}
    for identity, kinds in sorted(targets.items()):
        if _TOTAL not in kinds:
            continue
        marks, key = tuple(_marks(kinds)), proxy(dict(identity))
        if len(marks) > len(best.get(key, ())):
            best[key] = marks
    return tuple(Track(key, marks) for key, marks in sorted(best.items()))


def _slow_marks(kinds: dict[str, Series]) -> Iterator[Mark]:
    """Slow is what is not in the bound's bucket; without that bucket nothing is known."""
    fast = dict(kinds[_FAST].samples) if _FAST in kinds else {}
    for at, total in kinds[_TOTAL].samples:
        if at in fast and math.isfinite(total) and math.isfinite(fast[at]):
            yield Mark(at, total, max(total - fast[at], 0.0))


def _marks(kinds: dict[str, Series]) -> Iterator[Mark]:
    """Errors that have no series yet are none: the same target's total is there (Counting 5)."""
    bad = dict(kinds[_BAD].samples) if _BAD in kinds else {}
    for at, total in kinds[_TOTAL].samples:
        failed = bad.get(at, 0.0)
        if math.isfinite(total) and math.isfinite(failed):
            yield Mark(at, total, min(failed, total))
