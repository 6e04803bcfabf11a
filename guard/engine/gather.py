"""Gathers one tick: every source is asked side by side, none may hold the others up.

Counters are read in one burst a tick, direct scrape before Prometheus. Probes and expressions
have a rhythm of their own and run beside the ticks, which take their newest answers.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from guard.core.policy import ErrorRatio, Health, Promql
from guard.core.samples import Measured, NoData, NoDataReason, Reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guard.core.policy import Policy
    from guard.core.samples import CounterSample, Sample
    from guard.core.ticks import ProbeAnswer
    from guard.core.workloads import Pod, Snapshot
    from guard.engine.ports import Counters
    from guard.engine.world import World


class Sides:
    """Which pods are on which side now; the guardian keeps it current."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Start with a snapshot and empty sides."""
        self.snapshot = snapshot
        self.candidate: frozenset[str] = frozenset()
        self.stable: frozenset[str] = frozenset()

    def pods(self, hashes: frozenset[str]) -> list[Pod]:
        """The living pods of some revisions that have an address."""
        return [
            pod
            for pod in self.snapshot.pods
            if pod.revision in hashes and pod.deleted_at is None and pod.address
        ]

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
        self._scrape = replace(policy.scrape, asked=frozenset(paths))
        self._unread: dict[str, set[str]] = {}
        self.probes: dict[str, dict[str, ProbeAnswer]] = {}
        self.values: dict[str, Sample] = {}

    async def run(self) -> None:
        """Probe and evaluate until cancelled."""
        async with asyncio.TaskGroup() as group:
            for check in self._policy.checks:
                if isinstance(check, Health):
                    group.create_task(self._probe(check), name=f"probe:{check.name}")
                elif isinstance(check, Promql) and self._world.expressions is not None:
                    group.create_task(self._evaluate(check), name=f"evaluate:{check.name}")

    async def counters(self) -> tuple[dict[str, Mapping[str, CounterSample]], bool]:
        """Read every counted check's accounts in one burst.

        Returns:
            The samples by check and account, and whether some came from Prometheus.
        """
        checks = [check for check in self._policy.checks if isinstance(check, ErrorRatio)]
        answers = await asyncio.gather(*(self._read(check) for check in checks))
        found = {check.name: samples for check, (samples, _) in zip(checks, answers, strict=True)}
        return found, any(apart for _, apart in answers)

    async def _read(self, check: ErrorRatio) -> tuple[Mapping[str, CounterSample], bool]:
        pods = self._sides.both
        if not pods or not self._world.counters:
            return {}, False
        first, *others = self._world.counters
        unread = self._unread.setdefault(check.name, set())
        # Pods that the first source did not answer for last time are asked of the others in
        # the same burst: a dead source costs one tick, not a time-out in each.
        later = [pod for pod in pods if pod.uid in unread]
        answers = await asyncio.gather(
            self._ask(first, check, pods), *(self._ask(other, check, later) for other in others)
        )
        chosen = _choose(pods, answers)
        unread.clear()
        unread.update(pod.uid for pod in pods if not _readings(answers[0], pod))
        apart = any(
            isinstance(sample, Reading) and sample.source == "prometheus"
            for sample in chosen.values()
        )
        return chosen, apart

    async def _ask(
        self, source: Counters, check: ErrorRatio, pods: Sequence[Pod]
    ) -> Mapping[str, CounterSample]:
        if not pods:
            return {}
        samples = await source.read(check.objective.sli, pods, self._scrape)
        for sample in samples.values():
            self._count(source.name, sample)
        return samples

    async def _probe(self, check: Health) -> None:
        latest = self.probes.setdefault(check.name, {})
        while True:
            pods = [pod for pod in self._sides.both if pod.ready_at is not None]
            answers = await asyncio.gather(*(self._world.prober.probe(check, pod) for pod in pods))
            latest.clear()
            for pod, answer in zip(pods, answers, strict=True):
                if answer is not None:
                    latest[pod.uid] = answer
                    kind = "measured" if answer.status is not None else "unavailable"
                    self._world.metrics.samples.labels("health", kind).inc()
            await asyncio.sleep(check.every if pods else 0.2)

    async def _evaluate(self, check: Promql) -> None:
        assert self._world.expressions is not None
        sides = self._sides
        while True:
            candidate = sides.pods(sides.candidate)
            if candidate:
                sample = await self._world.expressions.evaluate(
                    check, candidate, sides.pods(sides.stable)
                )
                self.values[check.name] = sample
                self._count("expression", sample)
            await asyncio.sleep(check.every if candidate else 0.5)

    def _count(self, source: str, sample: CounterSample | Sample) -> None:
        answer = "unavailable"
        if isinstance(sample, Reading | Measured):
            answer = "measured"
        elif isinstance(sample, NoData):
            answer = "no_data"
        self._world.metrics.samples.labels(source, answer).inc()


def _readings(answer: Mapping[str, CounterSample], pod: Pod) -> dict[str, CounterSample]:
    return {
        key: sample
        for key, sample in answer.items()
        if key.startswith(f"{pod.uid}/") and isinstance(sample, Reading)
    }


def _choose(
    pods: Sequence[Pod], answers: Sequence[Mapping[str, CounterSample]]
) -> dict[str, CounterSample]:
    """For each pod the first source that has a reading; else every source's reason."""
    chosen: dict[str, CounterSample] = {}
    for pod in pods:
        found = next((found for a in answers if (found := _readings(a, pod))), None)
        chosen.update(found if found is not None else _reasons(answers, pod))
    return chosen


def _reasons(answers: Sequence[Mapping[str, CounterSample]], pod: Pod) -> dict[str, CounterSample]:
    for answer in answers:
        reasons = {k: sample for k, sample in answer.items() if k.startswith(f"{pod.uid}/")}
        if reasons:
            return reasons
    return {f"{pod.uid}/": NoData(NoDataReason.NO_TARGET, "no source knows this pod")}


def rhythm(age: float) -> float:
    """Seconds between two ticks, by seconds since the first candidate pod or the last step.

    Half a second for 30 s, a second up to 60 s, then slower by degrees down to 5 s.
    """
    steps: tuple[tuple[float, float], ...] = ((30.0, 0.5), (60.0, 1.0), (120.0, 2.0))
    return next((pause for until, pause in steps if age < until), 5.0)
