"""Cumulative counters from Prometheus: slower than a direct scrape, and not blind where that is.

The law of this module: a number is what one scrape of one pod read, with that scrape's own time.
What cannot be told apart, or is not there, is `NoData`; what was not answered, `Unavailable`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guard.core.policy import Ratio
from guard.core.samples import NoData, NoDataReason, Reading, Unavailable
from guard.sources.machines import Machines, PrometheusScrapes
from guard.sources.prometheus_desk import Desk
from guard.sources.prometheus_queries import question, stale_after
from guard.sources.prometheus_service import ServiceCounters
from guard.sources.prometheus_targets import SOURCE, readings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from guard.core.policy import Scrape, Sli
    from guard.core.samples import CounterSample
    from guard.core.workloads import Pod
    from guard.sources.ledger import Ledger
    from guard.sources.prometheus_client import PrometheusClient
    from guard.sources.prometheus_queries import Question

_FORGET_AFTER: Final = 300.0
"""Seconds after which a reading is forgotten that nobody asked for again."""


class PrometheusCounters:
    """Reads pods' counters in Prometheus. Implements `engine.ports.Counters`."""

    name = SOURCE

    def __init__(
        self,
        client: PrometheusClient,
        ledger: Ledger,
        now: Callable[[], float],
        interval: float,
        replicas: int = 1,
    ) -> None:
        """Nothing is asked yet.

        Args:
            client: whom to ask; closed by whoever made it.
            ledger: the guard's own requests to the pods.
            now: the wall clock, seconds since the epoch.
            interval: the scrape interval, seconds.
            replicas: servers behind the client's address that scrape the same pods, each at
                moments of its own.
        """
        self._client = client
        self._now = now
        self._interval = interval
        self._replicas = replicas
        self._machines = Machines(ledger, PrometheusScrapes(interval, replicas))
        self._service = ServiceCounters(client, interval)
        self._desks: dict[Question, Desk] = {}
        self._kept: dict[tuple[Sli, str], dict[str, Reading]] = {}

    async def read(
        self, sli: Sli, pods: Sequence[Pod], scrape: Scrape
    ) -> Mapping[str, CounterSample]:
        """Read every pod's account, as of the newest scrape that Prometheus has of it.

        Of what a proxy counts for the whole service: each series, whatever the pods are.
        """
        if isinstance(sli, Ratio) and sli.whole_service:
            return await self._service.read(sli)
        if not pods:
            return {}
        found = await self._desk(question(sli)).ask(pods)
        samples: dict[str, CounterSample] = {}
        for pod in pods:
            series = found.get(pod.uid, ())
            if isinstance(series, Unavailable):
                samples[f"{pod.uid}/"] = series
                continue
            now = readings(series, sli, pod, scrape) if series else {}
            for container, sample in self._settle(sli, pod, now).items():
                samples[f"{pod.uid}/{container}"] = sample
        return samples

    async def close(self) -> None:
        """End what is under way. Idempotent; the client is not closed."""
        for desk in self._desks.values():
            await desk.close()
        self._desks.clear()

    def _desk(self, asked: Question) -> Desk:
        if asked not in self._desks:
            self._desks = {one: desk for one, desk in self._desks.items() if not desk.idle}
            window = stale_after(self._interval)
            self._desks[asked] = Desk(asked, self._client, window, self._interval)
        return self._desks[asked]

    def _settle(
        self, sli: Sli, pod: Pod, found: Mapping[str, Reading | NoData]
    ) -> Mapping[str, Reading | NoData]:
        """Complete the readings of one pod, or say why it has none."""
        key = sli, pod.uid
        kept = self._kept.get(key, {})
        age = self._now() - max((one.at for one in kept.values()), default=0.0)
        # Of several replicas one may be cut off from a pod, or have just started.
        others = kept if self._replicas > 1 and age <= stale_after(self._interval) else {}
        read = {
            container: _newer(others.get(container), self._machines.set_off(one, pod, container))
            for container, one in found.items()
            if isinstance(one, Reading)
        }
        if read:
            self._keep(key, read)
            return read
        return others or found or _absent(kept, age)

    def _keep(self, key: tuple[Sli, str], read: dict[str, Reading]) -> None:
        if key not in self._kept:
            oldest = self._now() - _FORGET_AFTER
            self._kept = {
                one: kept
                for one, kept in self._kept.items()
                if max(reading.at for reading in kept.values()) >= oldest
            }
        self._kept[key] = read


def _newer(kept: Reading | None, reading: Reading) -> Reading:
    """The newer of two replicas' readings, whatever their clocks say.

    The counter of one and the same process does not fall: the one that reads less is older.
    """
    if kept is None or kept.process_start != reading.process_start:
        return reading
    behind = kept.process_start is not None and reading.total < kept.total
    return kept if behind or reading.at < kept.at else reading


def _absent(kept: Mapping[str, Reading], age: float) -> Mapping[str, NoData]:
    if kept:
        words = f"Prometheus has no sample of it any more; the last was {age:.0f} s ago"
        return {container: NoData(NoDataReason.STALE, words) for container in kept}
    words = "no series by namespace and pod, nor by address: not scraped (yet), or relabelled"
    return {"": NoData(NoDataReason.UNJOINED, words)}
