"""Where all rollouts that look at the same metrics ask together.

The law of this module: however many rollouts ask, at most one batch of queries is under way for a
metric, and none waits for a server that hangs longer than one question may take. A batch asks for
every pod that was asked about lately, so that its answer serves those who come a moment later.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from guard.core.samples import Unavailable, UnavailableReason
from guard.sources.prometheus_answers import NAME
from guard.sources.prometheus_join import Joined, by_address, by_name
from guard.sources.prometheus_queries import queries_by_address, queries_by_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from guard.core.workloads import Pod
    from guard.sources.prometheus_answers import Series
    from guard.sources.prometheus_client import PrometheusClient
    from guard.sources.prometheus_queries import Question

    Part = tuple[str, tuple[Pod, ...]]
    SeriesOrReason = tuple[Series, ...] | Unavailable

GATHER: Final = 0.02
"""Seconds for which the first to ask waits for others of the same moment."""
FRESH_AT_MOST: Final = 1.0
"""Seconds for which an answer is good, or a tenth of the scrape interval where that is less: the
samples do not change faster, and detection may take an interval and 3 s."""
REMEMBERED: Final = 15.0
"""Seconds after which a pod is not asked about any more unless somebody does again; the guard's
polls are 5 s apart at most, and a question takes 5 s at most by default."""

_PODS_AT_MOST: Final = 1_000
"""Pods in one query, until an answer is too large: then half as many, from then on."""


@dataclass(frozen=True, slots=True)
class _Way:
    """One way of joining: how it asks, and how it reads the answer."""

    queries: Callable[[Question, Sequence[Pod], float, int], Iterator[Part]]
    join: Callable[[Iterable[Series], Sequence[Pod]], Joined]


_BY_NAME: Final = _Way(queries_by_name, by_name)
_BY_ADDRESS: Final = _Way(queries_by_address, by_address)


@dataclass(slots=True)
class _Batch:
    """What one batch of queries gave, by pod uid."""

    joined: Joined = field(default_factory=lambda: defaultdict(list))
    failed: dict[str, Unavailable] = field(default_factory=dict)


class Desk:
    """Asks one question for all."""

    def __init__(
        self, question: Question, client: PrometheusClient, window: float, interval: float
    ) -> None:
        """Nothing is asked yet.

        Args:
            question: what is asked.
            client: whom.
            window: how far back the samples go, seconds.
            interval: the scrape interval, seconds.
        """
        self._question = question
        self._client = client
        self._window = window
        self._fresh = min(FRESH_AT_MOST, interval / 10.0)
        self._pods: dict[str, tuple[Pod, float]] = {}
        self._named: dict[str, bool] = {}
        self._found: Mapping[str, SeriesOrReason] = {}
        self._found_at = float("-inf")
        self._silent: SeriesOrReason | None = None
        self._at_most = _PODS_AT_MOST
        self._under_way = asyncio.Lock()
        self._next: asyncio.Task[Mapping[str, SeriesOrReason]] | None = None
        self._tasks: set[asyncio.Task[Mapping[str, SeriesOrReason]]] = set()

    @property
    def idle(self) -> bool:
        """Nobody has asked for a while, and nothing is under way."""
        self._forget()
        return not self._pods and not self._tasks

    async def ask(self, pods: Sequence[Pod]) -> Mapping[str, SeriesOrReason]:
        """The series of these pods, not older than one poll."""
        now = asyncio.get_running_loop().time()
        self._pods.update((pod.uid, (pod, now)) for pod in pods)
        if now - self._found_at < self._fresh and all(pod.uid in self._found for pod in pods):
            return self._found
        if self._silent is not None:
            # It hangs. One question is kept before it; nobody else's tick waits for the answer.
            if not self._tasks:
                self._begin()
            return dict.fromkeys((pod.uid for pod in pods), self._silent)
        batch = self._next or self._begin()
        # The batch before this one may still be under way, and take its time too.
        done, _ = await asyncio.wait([batch], timeout=GATHER + self._client.limit)
        if not done:
            self._silent = Unavailable(UnavailableReason.TIMEOUT, "no answer in time")
            return dict.fromkeys((pod.uid for pod in pods), self._silent)
        return batch.result()

    async def close(self) -> None:
        """End what is under way. Idempotent."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self) -> asyncio.Task[Mapping[str, SeriesOrReason]]:
        task = asyncio.create_task(self._run(), name=f"prometheus:{self._question.metrics[0]}")
        self._next = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self) -> Mapping[str, SeriesOrReason]:
        await asyncio.sleep(GATHER)
        async with self._under_way:
            self._next = None
            self._forget()
            pods = [pod for pod, _ in self._pods.values()]
            found = await self._all(pods)
            self._found, self._found_at = found, asyncio.get_running_loop().time()
            self._silent = next((one for one in found.values() if _hangs(one)), None)
            return found

    def _forget(self) -> None:
        oldest = asyncio.get_running_loop().time() - REMEMBERED
        self._pods = {uid: seen for uid, seen in self._pods.items() if seen[1] >= oldest}
        self._named = {uid: named for uid, named in self._named.items() if uid in self._pods}

    async def _all(self, pods: Sequence[Pod]) -> Mapping[str, SeriesOrReason]:
        """Ask by name and by address; of a pod whose way of joining is known, by that alone."""
        named = [pod for pod in pods if self._named.get(pod.uid, True)]
        addressed = [pod for pod in pods if not self._named.get(pod.uid, False)]
        first, second = await asyncio.gather(
            self._batch(_BY_NAME, named), self._batch(_BY_ADDRESS, addressed)
        )
        return {pod.uid: self._settle(pod.uid, first, second) for pod in pods}

    def _settle(self, uid: str, first: _Batch, second: _Batch) -> SeriesOrReason:
        """Take the counters that carry the pod's name, else those of its address."""
        self._named.pop(uid, None)
        for named, batch in ((True, first), (False, second)):
            if uid in batch.failed:
                return batch.failed[uid]
            series = batch.joined.get(uid, [])
            if any(one.labels[NAME] in self._question.metrics for one in series):
                self._named[uid] = named
                return tuple(series)
        return tuple(first.joined.get(uid) or second.joined.get(uid) or ())

    async def _batch(self, way: _Way, pods: Sequence[Pod]) -> _Batch:
        batch = _Batch()
        await self._parts(way, pods, batch)
        return batch

    async def _parts(self, way: _Way, pods: Sequence[Pod], batch: _Batch) -> None:
        size = min(self._at_most, len(pods)) or 1
        parts = (
            part
            for at in range(0, len(pods), size)
            for part in way.queries(
                self._question, pods[at : at + size], self._window, self._client.room
            )
        )
        await asyncio.gather(*(self._part(way, part, batch) for part in parts))

    async def _part(self, way: _Way, part: Part, batch: _Batch) -> None:
        query, pods = part
        answer = await self._client.matrix(query)
        if not isinstance(answer, Unavailable):
            for uid, series in way.join(answer, pods).items():
                batch.joined[uid] += series
        elif answer.reason is UnavailableReason.TOO_LARGE and len(pods) > 1:
            self._at_most = min(self._at_most, len(pods) // 2)
            await self._parts(way, pods, batch)
        else:
            batch.failed.update((pod.uid, answer) for pod in pods)


def _hangs(found: SeriesOrReason) -> bool:
    return isinstance(found, Unavailable) and found.reason is UnavailableReason.TIMEOUT
