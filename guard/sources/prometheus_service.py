"""A proxy's series of one service from Prometheus: its own identity is the account, no pod is.

The law of this module: each series is what one scrape of one proxy read, with that scrape's time.
One that a proxy had not at the scrape before counts from 0 since then, and only where the answer
itself shows that scrape; of any other nobody knows since when it counts.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from guard.core.samples import OF_SERVICE, NoData, NoDataReason, Reading, Unavailable
from guard.sources.matching import TARGET_LABELS
from guard.sources.prometheus_join import instance
from guard.sources.prometheus_queries import matcher_text, stale_after
from guard.sources.prometheus_targets import SOURCE, tests_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from guard.core.policy import Ratio, Selector
    from guard.core.samples import CounterSample
    from guard.sources.prometheus_answers import Series
    from guard.sources.prometheus_client import PrometheusClient

PROXY_LABELS: Final = ("pod", "controller_pod")
"""Labels that name a proxy's pod; without one the host of `instance` does."""
SERIES_AT_MOST: Final = 1_000
"""More series than this are not one service: each is an account of the rollout's record."""
FRESH: Final = 1.0
"""Seconds for which an answer is good for all checks that ask the same."""

_Samples = dict[str, "CounterSample"]
_Labels = tuple[tuple[str, str], ...]


class ServiceCounters:
    """Reads what proxies count for whole services."""

    def __init__(self, client: PrometheusClient, interval: float) -> None:
        """Nothing is asked yet.

        Args:
            client: whom to ask; closed by whoever made it.
            interval: the scrape interval, seconds.
        """
        self._client = client
        self._window = stale_after(interval)
        self._asked: dict[Ratio, tuple[float, asyncio.Lock, _Samples]] = {}

    async def read(self, sli: Ratio) -> Mapping[str, CounterSample]:
        """Every series that the indicator selects.

        Returns:
            By account `service/hash of its labels`; under `service/` why there is none.
        """
        clock = asyncio.get_running_loop().time
        _, lock, _ = self._asked.setdefault(sli, (-math.inf, asyncio.Lock(), {}))
        async with lock:
            at, _, samples = self._asked[sli]
            if clock() - at < FRESH:
                return samples
            query = f"{selected(sli.total)}[{math.ceil(self._window * 1000)}ms]"
            samples = _samples(await self._client.matrix(query), sli)
            self._forget(clock())
            self._asked[sli] = clock(), lock, samples
            return samples

    def _forget(self, now: float) -> None:
        self._asked = {
            sli: kept
            for sli, kept in self._asked.items()
            if kept[1].locked() or now - kept[0] < self._window
        }


def selected(selector: Selector) -> str:
    """A selector as PromQL writes it."""
    return f"{selector.metric}{{{','.join(map(matcher_text, selector.matchers))}}}"


def proxy(labels: Mapping[str, str]) -> str:
    """What tells one proxy from another, however often it is scraped."""
    named = next((labels[label] for label in PROXY_LABELS if labels.get(label)), "")
    return named or instance(labels)[0]


def _samples(answer: Sequence[Series] | Unavailable, sli: Ratio) -> _Samples:
    if isinstance(answer, Unavailable):
        return {OF_SERVICE: answer}
    found = [one for one in answer if one.samples]
    if not found:
        return _none(NoDataReason.NO_SERIES, f"no series that {sli.total.text} selects")
    if len(found) > SERIES_AT_MOST:
        words = f"{len(found)} series, more than {SERIES_AT_MOST}: narrow it to one service"
        return _none(NoDataReason.AMBIGUOUS, words)
    wanted = {m.label for m in sli.bad.matchers if m not in sli.total.matchers}
    unknown = sorted(wanted - {label for one in found for label in one.labels})
    if unknown:
        # No errors at all are what a good release has.
        words = f"no series that {sli.total.text} selects has the label {', '.join(unknown)}"
        return _none(NoDataReason.NO_LABEL, words)
    tests = tests_of(sli.bad)
    samples: _Samples = {}
    for target in _targets(found, TARGET_LABELS | sli.target_labels):
        for one in target:
            at, value = one.samples[-1]
            if math.isnan(value):
                continue  # So a series ends in VictoriaMetrics.
            bad = all(test(one.labels) for test in tests)
            samples[_account(one.labels)] = Reading(
                total=value,
                bad=value if bad else 0.0,
                at=at,
                source=SOURCE,
                paths_known=True,
                absent_at=_absent_at(one, target),
            )
    return samples or _none(NoDataReason.STALE, "its series have ended")


def _none(reason: NoDataReason, words: str) -> _Samples:
    return {OF_SERVICE: NoData(reason, words)}


def _account(labels: Mapping[str, str]) -> str:
    text = "\n".join(f"{name}={value}" for name, value in sorted(labels.items()))
    return f"{OF_SERVICE}{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _targets(found: Iterable[Series], target_labels: frozenset[str]) -> list[list[Series]]:
    """The series of each proxy: of two targets that are one proxy, one."""
    targets: dict[str, dict[_Labels, list[Series]]] = defaultdict(lambda: defaultdict(list))
    for one in found:
        identity = tuple(
            sorted((name, value) for name, value in one.labels.items() if name in target_labels)
        )
        targets[proxy(one.labels)][identity].append(one)
    return [of_proxy[min(of_proxy)] for _, of_proxy in sorted(targets.items())]


def _absent_at(series: Series, target: Sequence[Series]) -> float | None:
    """The newest scrape before its first sample, if another series shows both scrapes.

    Where a deduplicating proxy mixes two replicas the times of two series differ, and tell nothing.
    """
    first = series.samples[0][0]
    before = [
        max(earlier)
        for other in target
        if any(at == first for at, _ in other.samples)
        and (earlier := [at for at, _ in other.samples if at < first])
    ]
    return max(before, default=None)
