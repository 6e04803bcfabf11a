"""What a proxy counts for a whole service, once a tick: asked of all sources, one answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from guard.core.samples import OF_SERVICE, CounterSample, NoData, NoDataReason, Reading
from guard.engine.burst import BURST_WITHIN, Lane, Samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guard.core.policy import Scrape, Sli
    from guard.core.workloads import Pod
    from guard.engine.ports import Counters

NOBODY = NoData(NoDataReason.NO_TARGET, "no source can read what a proxy counts; Prometheus can")


class ServiceBurst:
    """Reads the series of one indicator. Not joined to pods, so whatever pods there are."""

    def __init__(self, sources: Sequence[Counters], sli: Sli, scrape: Scrape) -> None:
        """Take the sources in order of preference; those that cannot tell answer nothing."""
        self._sli = sli
        self._scrape = scrape
        self._lanes = tuple(Lane(source) for source in sources)

    async def read(self, pods: Sequence[Pod]) -> tuple[Samples, list[tuple[str, CounterSample]]]:
        """Read once, as `Burst.read` does: what was chosen, and every sample with its source."""
        for lane in self._lanes:
            lane.ask(self._sli, pods, self._scrape)
        under_way = [lane.task for lane in self._lanes if lane.task is not None]
        if under_way:
            await asyncio.wait(under_way, timeout=BURST_WITHIN)
        answers = [(lane.source.name, _flat(lane)) for lane in self._lanes]
        told = [(name, one) for name, samples in answers for one in samples.values()]
        given = [samples for _, samples in answers if samples]
        best = next((one for one in given if _has_readings(one)), None)
        if best is None and any(lane.task is not None for lane in self._lanes):
            return {}, told
        if best is None:
            best = given[0] if given else {OF_SERVICE: NOBODY}
        return best, told

    async def close(self) -> None:
        """Drop what is still under way."""
        tasks = [lane.task for lane in self._lanes if lane.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _flat(lane: Lane) -> Samples:
    answer = lane.take() or {}
    return {key: sample for samples in answer.values() for key, sample in samples.items()}


def _has_readings(samples: Samples) -> bool:
    return any(isinstance(sample, Reading) for sample in samples.values())
