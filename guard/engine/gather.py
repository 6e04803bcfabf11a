"""Gathers one tick: every source is asked side by side, none may hold the others up.

Counters are read in one burst a tick, direct scrape before Prometheus. Probes and expressions
have a rhythm of their own and run beside the ticks, which take their newest answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from guard.core.policy import Alerts, CountedCheck, Health, Promql, of_whole_service
from guard.core.samples import Alerted, Measured, NoData, Reading, Unavailable, UnavailableReason
from guard.engine.burst import Burst
from guard.engine.service_burst import ServiceBurst

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from guard.core.policy import Policy, Scrape, Sli
    from guard.core.samples import AlertSample, CounterSample, Sample
    from guard.core.ticks import ProbeAnswer
    from guard.core.workloads import Pod, Snapshot
    from guard.engine.world import World

Readings = tuple[dict[str, "Mapping[str, CounterSample]"], bool]
"""Samples by check and account, and whether some came from Prometheus."""
AT_ONCE = 0.001
"""Seconds below which the loop's own clock does not tell two moments apart."""


class Sides:
    """Which pods are on which side now; the guardian keeps it current."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Start with a snapshot and empty sides."""
        self.snapshot = snapshot
        self.candidate: frozenset[str] = frozenset()
        self.stable: frozenset[str] = frozenset()
        self._changed = asyncio.Event()

    def see(self, snapshot: Snapshot) -> None:
        """Take the newest snapshot, and wake whoever waits for a change."""
        self.snapshot = snapshot
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def change(self, seconds: float = math.inf) -> None:
        """Wait for the next snapshot, at most so long."""
        within = seconds if math.isfinite(seconds) else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._changed.wait()

    def pods(self, hashes: frozenset[str]) -> list[Pod]:
        """The living pods of some revisions that have an address."""
        return [
            pod
            for pod in self.snapshot.pods
            if pod.revision in hashes and pod.deleted_at is None and pod.address
        ]

    @property
    def share(self) -> float:
        """The candidate's share of the ready pods of both sides; 0 without any."""
        ready = [p.revision for p in self.snapshot.pods if p.ready and p.deleted_at is None]
        mine = sum(revision in self.candidate for revision in ready)
        other = sum(revision in self.stable for revision in ready)
        return mine / (mine + other) if mine else 0.0

    @property
    def both(self) -> list[Pod]:
        """The living pods of both sides."""
        return self.pods(self.candidate | self.stable)


class Gatherer:
    """Asks the world for one rollout."""

    def __init__(self, world: World, policy: Policy, sides: Sides) -> None:
        """Take the checks of a policy; `run` must be running for probes and expressions."""
        self._world = world
        self._policy = policy
        self._sides = sides
        paths = {c.path for c in policy.checks if isinstance(c, Health) and c.path}
        scrape = replace(policy.scrape, asked=frozenset(paths))
        self._asks = {
            check.name: check.objective.sli
            for check in policy.checks
            if isinstance(check, CountedCheck)
        }
        # Checks that count by the same indicator see the very same numbers.
        self._bursts = {
            sli: _burst(world, sli, scrape) for sli in dict.fromkeys(self._asks.values())
        }
        self.probes: dict[str, dict[str, ProbeAnswer]] = {}
        self.values: dict[str, Sample] = {}
        self.alerts: dict[str, AlertSample] = {}

    async def run(self) -> None:
        """Probe and evaluate until cancelled."""
        async with asyncio.TaskGroup() as group:
            for check in self._policy.checks:
                if isinstance(check, Health):
                    group.create_task(self._probe(check), name=f"probe:{check.name}")
                elif isinstance(check, Promql):
                    group.create_task(self._evaluate(check), name=f"evaluate:{check.name}")
                elif isinstance(check, Alerts):
                    group.create_task(self._alarm(check), name=f"alerts:{check.name}")

    async def close(self) -> None:
        """Drop the questions that are still open."""
        for burst in self._bursts.values():
            await burst.close()

    async def unless(self, over: Callable[[], bool]) -> Readings | None:
        """Read one burst; None, at once, where a newer snapshot says that the rollout is over."""
        asking = asyncio.create_task(self.counters(), name="burst")
        try:
            while not asking.done():
                changed = asyncio.create_task(self._sides.change(), name="change")
                await asyncio.wait([asking, changed], return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if over():
                    return None
            return asking.result()
        finally:
            asking.cancel()

    async def counters(self) -> Readings:
        """Read every counted check's accounts in one burst.

        Returns:
            The samples by check and account, and whether some came from Prometheus.
        """
        pods = self._sides.both
        read = await asyncio.gather(*(burst.read(pods) for burst in self._bursts.values()))
        by_sli: dict[Sli, Mapping[str, CounterSample]] = {}
        for sli, (chosen, answered) in zip(self._bursts, read, strict=True):
            by_sli[sli] = chosen
            for source, sample in answered:
                self._count(source, sample)
        found = {name: by_sli[sli] for name, sli in self._asks.items()}
        return found, any(
            isinstance(sample, Reading) and sample.source == "prometheus"
            for sli, chosen in by_sli.items()
            if not of_whole_service(sli)  # It says nothing of how pods are read.
            for sample in chosen.values()
        )

    async def _probe(self, check: Health) -> None:
        """Ask each ready pod in a rhythm of its own: a new one at once, then once a period."""
        clock = asyncio.get_running_loop().time
        latest = self.probes.setdefault(check.name, {})
        due: dict[str, float] = {}
        while True:
            pods = [pod for pod in self._sides.both if pod.ready_at is not None]
            began = clock()
            due = {pod.uid: due.get(pod.uid, began) for pod in pods}
            for uid in latest.keys() - due.keys():
                del latest[uid]
            asked = [pod for pod in pods if due[pod.uid] <= began]
            due.update({pod.uid: began + check.every for pod in asked})
            if asked:
                await self._ask(check, asked, latest)
            else:
                left = min(due.values(), default=math.inf) - began
                await self._sides.change(max(left, AT_ONCE))

    async def _ask(
        self, check: Health, pods: Sequence[Pod], latest: dict[str, ProbeAnswer]
    ) -> None:
        answers = await asyncio.gather(*(self._world.prober.probe(check, pod) for pod in pods))
        for pod, answer in zip(pods, answers, strict=True):
            if answer is None:
                continue
            latest[pod.uid] = answer
            kind = "measured" if answer.status is not None else "unavailable"
            self._world.metrics.samples.labels("health", kind).inc()

    async def _evaluate(self, check: Promql) -> None:
        clock = asyncio.get_running_loop().time
        sides = self._sides
        if self._world.expressions is None:
            words = "no Prometheus is configured to evaluate it"
            self.values[check.name] = Unavailable(UnavailableReason.NOT_CONFIGURED, words)
            return
        while True:
            began = clock()
            candidate = sides.pods(sides.candidate)
            if not candidate:
                await sides.change()
                continue
            sample = await self._world.expressions.evaluate(
                check, candidate, sides.pods(sides.stable)
            )
            self.values[check.name] = sample
            self._count("expression", sample)
            await asyncio.sleep(max(began + check.every - clock(), 0.0))

    async def _alarm(self, check: Alerts) -> None:
        """Ask for alerts also before there is a candidate pod: what fires then is known."""
        clock = asyncio.get_running_loop().time
        if self._world.alarms is None:
            words = "no Alertmanager is configured to ask"
            self.alerts[check.name] = Unavailable(UnavailableReason.NOT_CONFIGURED, words)
            return
        workload = self._sides.snapshot.workload
        while True:
            began = clock()
            sample = await self._world.alarms.firing(check, workload, self._policy.service)
            self.alerts[check.name] = sample
            self._count("alerts", sample)
            await asyncio.sleep(max(began + check.every - clock(), 0.0))

    def _count(self, source: str, sample: CounterSample | Sample | AlertSample) -> None:
        answer = "unavailable"
        if isinstance(sample, Reading | Measured | Alerted):
            answer = "measured"
        elif isinstance(sample, NoData):
            answer = "no_data"
        self._world.metrics.samples.labels(source, answer).inc()


def _burst(world: World, sli: Sli, scrape: Scrape) -> Burst | ServiceBurst:
    return (ServiceBurst if of_whole_service(sli) else Burst)(world.counters, sli, scrape)
