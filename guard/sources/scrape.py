"""Reads counters from the pods' own /metrics, so that nothing waits for a scrape interval.

The law of this module: one burst reads every pod, bad and total of one page each, and no pod can
make the burst last. What a pod does not answer is said in its own words' place, never counted.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from guard.core.policy import of_whole_service
from guard.core.samples import NoData, Reading, Unavailable
from guard.sources import paths
from guard.sources.machines import Machines
from guard.sources.pages import Pages
from guard.sources.questions import ask
from guard.sources.targets import targets
from guard.sources.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from guard.core.policy import Scrape, Sli
    from guard.core.samples import CounterSample
    from guard.core.workloads import Pod
    from guard.sources.ledger import Ledger
    from guard.sources.machines import PrometheusScrapes
    from guard.sources.pages import Page
    from guard.sources.targets import Target
    from guard.sources.trust import Access

_ASIDE = 1_000_000
"""Bytes from which on a page is read in a thread, lest the loop stand still."""

_Samples = dict[str, "CounterSample"]


class Scraper:
    """Counters of pods, by direct scrape. Implements `engine.ports.Counters`."""

    name = "scrape"

    def __init__(
        self, ledger: Ledger, now: Callable[[], float], prometheus: PrometheusScrapes | None
    ) -> None:
        """Connects with the first reading.

        Args:
            ledger: where the guard's own requests are written down, shared with the prober.
            now: the wall clock, seconds since the epoch.
            prometheus: how Prometheus scrapes the same pods; None where the guard knows of none.
        """
        self._machines = Machines(ledger, prometheus)
        self._pages = Pages(ledger, now)
        self._trust = Trust()

    async def read(
        self, sli: Sli, pods: Sequence[Pod], scrape: Scrape
    ) -> Mapping[str, CounterSample]:
        """Read every pod's accounts in one burst.

        Returns:
            By account `pod uid/container`; under `pod uid/` the reason of a pod that has nowhere
            to scrape or did not answer. Nothing of what a proxy counts for the whole service: no
            pod of the workload exposes that.
        """
        if of_whole_service(sli):
            return {}
        access = await self._trust.access(scrape)
        if isinstance(access, Unavailable):
            return {f"{pod.uid}/": access for pod in pods}
        answers = await asyncio.gather(*(self._pod(sli, pod, scrape, access) for pod in pods))
        return {key: sample for answer in answers for key, sample in answer.items()}

    async def close(self) -> None:
        """End every connection. Idempotent."""
        await self._pages.close()

    async def _pod(self, sli: Sli, pod: Pod, scrape: Scrape, access: Access) -> _Samples:
        found = targets(pod, scrape)
        if isinstance(found, NoData):
            return {f"{pod.uid}/": found}
        pages = await asyncio.gather(*(self._pages.get(pod.uid, one, access) for one in found))
        samples: _Samples = {}
        for target, page in zip(found, pages, strict=True):
            if isinstance(page, Unavailable):
                # A query may hold what is nobody's business, such as a key.
                where = f"{target.url.partition('?')[0]}: {page.detail}"
                samples.setdefault(f"{pod.uid}/", Unavailable(page.reason, where))
            else:
                key = f"{pod.uid}/{target.container}"
                samples[key] = await self._sample(sli, pod, target, scrape, page)
        return samples

    async def _sample(
        self, sli: Sli, pod: Pod, target: Target, scrape: Scrape, page: Page
    ) -> CounterSample:
        question = ask(sli, paths.machine_paths(pod, target.container, scrape))
        if len(page.exposition.body) > _ASIDE:
            sample = await asyncio.to_thread(question.answer, page)
        else:
            sample = question.answer(page)
        if not isinstance(sample, Reading):
            return sample
        return self._machines.set_off(sample, pod, target.container, as_of=page.as_of)
