"""One indicator's readings in one burst a tick: what answers is not held up by what does not.

Each source is asked in lanes of its own, with one question under way in each. A tick waits a
moment for what it asked; an answer that comes later enters with a later tick.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from guard.core.samples import CounterSample, NoData, NoDataReason, Reading

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from guard.core.policy import Scrape, Sli
    from guard.core.workloads import Pod
    from guard.engine.ports import Counters

BURST_WITHIN = 1.0
"""Seconds that a tick waits for the pods that the first source had readings of last time."""
OTHERS_WITHIN = 0.25
"""Seconds that a tick waits for all other answers."""

Samples = dict[str, CounterSample]
"""By account `pod uid/container`."""
ByPod = dict[str, Samples]
"""The same by pod uid."""


class Lane:
    """One source, asked for one group of pods at a time."""

    def __init__(self, source: Counters) -> None:
        """Start with nothing asked."""
        self.source = source
        self.asked: frozenset[str] = frozenset()
        self.task: asyncio.Task[Mapping[str, CounterSample]] | None = None

    def ask(self, sli: Sli, pods: Sequence[Pod], scrape: Scrape) -> None:
        """Ask for these pods, unless the last question is still open."""
        if self.task is not None or not pods:
            return
        self.asked = frozenset(pod.uid for pod in pods)
        self.task = asyncio.ensure_future(_read(self.source, sli, pods, scrape))

    def take(self) -> ByPod | None:
        """The answer, once; None while there is none."""
        if self.task is None or not self.task.done():
            return None
        task, self.task = self.task, None
        grouped: ByPod = {}
        for key, sample in task.result().items():
            grouped.setdefault(key.partition("/")[0], {})[key] = sample
        return grouped


async def _read(
    source: Counters, sli: Sli, pods: Sequence[Pod], scrape: Scrape
) -> Mapping[str, CounterSample]:
    return await source.read(sli, pods, scrape)


class Burst:
    """Reads every pod's accounts of one indicator, whichever checks count by it."""

    def __init__(self, sources: Sequence[Counters], sli: Sli, scrape: Scrape) -> None:
        """Take the sources in order of preference: direct scrape before Prometheus."""
        self._sli = sli
        self._scrape = scrape
        first = sources[:1]
        self._first = tuple(Lane(source) for source in first)
        # Pods that the first source had no reading of are asked apart, and of the others too:
        # one that hangs costs one tick, and its neighbours nothing.
        self._again = tuple(Lane(source) for source in first)
        self._others = tuple(Lane(source) for source in sources[1:])
        self._lanes = (*self._first, *self._again, *self._others)
        self._unread: set[str] = set()

    async def read(self, pods: Sequence[Pod]) -> tuple[Samples, list[tuple[str, CounterSample]]]:
        """Read in one burst.

        Args:
            pods: those of both sides that have an address.

        Returns:
            By account what was chosen, nothing for a pod whose answer is still out; and with its
            source's name every sample, for the metrics.
        """
        answers = self._taken()
        self._unread &= {pod.uid for pod in pods}
        slow = [pod for pod in pods if pod.uid in self._unread]
        quick = [pod for pod in pods if pod.uid not in self._unread]
        for lane in self._lanes:
            lane.ask(self._sli, quick if lane in self._first else slow, self._scrape)
        answers.update(await self._wait(self._first, BURST_WITHIN))
        answers.update(await self._wait((*self._again, *self._others), OTHERS_WITHIN))
        ordered = [(lane, answers[lane]) for lane in self._lanes if lane in answers]
        chosen: Samples = {}
        for pod in pods:
            chosen.update(self._of(pod.uid, [answer for _, answer in ordered]))
        return chosen, [
            (lane.source.name, sample)
            for lane, answer in ordered
            for samples in answer.values()
            for sample in samples.values()
        ]

    async def close(self) -> None:
        """Drop what is still under way."""
        tasks = [lane.task for lane in self._lanes if lane.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self, lanes: Iterable[Lane], seconds: float) -> dict[Lane, ByPod]:
        out = [lane.task for lane in lanes if lane.task is not None]
        if out:
            await asyncio.wait(out, timeout=seconds)
        return self._taken()

    def _taken(self) -> dict[Lane, ByPod]:
        taken: dict[Lane, ByPod] = {}
        for lane in self._lanes:
            answer = lane.take()
            if answer is None:
                continue
            taken[lane] = answer
            if lane not in self._others:
                read = {uid for uid in lane.asked if _readings(answer.get(uid, {}))}
                self._unread = (self._unread | lane.asked) - read
        return taken

    def _of(self, uid: str, answers: Collection[ByPod]) -> Samples:
        """The first source's readings of a pod; else the first reason for which there is none."""
        for answer in answers:
            readings = _readings(answer.get(uid, {}))
            if readings:
                return readings
        if any(lane.task is not None and uid in lane.asked for lane in self._lanes):
            return {}
        for answer in answers:
            if answer.get(uid):
                return answer[uid]
        return {f"{uid}/": NoData(NoDataReason.NO_TARGET, "no source knows this pod")}


def _readings(samples: Samples) -> Samples:
    return {key: sample for key, sample in samples.items() if isinstance(sample, Reading)}
