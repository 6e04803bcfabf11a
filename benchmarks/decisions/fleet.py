"""A fleet of pods before the product's whole check: counting, evidence, blame, finding.

Pods serve, are replaced, drain, restart and are scraped; every second `counted.update` sees
what the guard would see. Nothing here decides anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from benchmarks.decisions.traffic import Dice
from guard.core.checks import counted, counted_finding, counted_state
from guard.core.checks.blame import Standing
from guard.core.findings import Verdict
from guard.core.policy import ErrorRatio, Objective, Ratio, Selector, WorseThanStable
from guard.core.samples import CounterSample, Reading
from guard.core.ticks import Frame, Tick, Youth
from guard.core.workloads import Container, Pod, Revision, Snapshot, WorkloadId

if TYPE_CHECKING:
    from collections.abc import Callable

    from guard.core.evidence.history import Normal

START = 1000.0
NEVER = math.inf
LOOK_EVERY = 5
"""Seconds between two looks for PASS; FAIL is looked for at every tick."""
REVISION = Revision("new", "new", 2, "u", START)
WORKLOAD = WorkloadId("kubernetes", "n", "w")

Truth = "Callable[[int, bool], float]"
"""The true error ratio at a second, of the candidate or of stable."""


@dataclass
class Serving:
    """One pod and what it has served.

    Attributes:
        weight: its share of the traffic, relative to the others.
        phase: second of the scrape interval at which Prometheus asks it.
        drains_until: the second at which a pod that is going stops to answer.
    """

    pod: Pod
    weight: float = 1.0
    bad: int = 0
    total: int = 0
    phase: int = 0
    drains_until: float = NEVER

    @property
    def candidate(self) -> bool:
        return self.pod.revision == "new"


@dataclass
class Setting:
    """What a story is played under.

    Attributes:
        rate: requests a second of all pods together.
        truth: the true error ratio.
        p0, k, bake: of the policy; k None: as history says.
        worse: the check is *worse than stable* instead of the error ratio.
        normal: what history says is normal.
        before: what stable did in the 5 min before.
        interval: seconds between two scrapes by Prometheus; 0: one burst of direct scrapes.
        every: seconds between two polls; `missed` the share of polls that nobody makes.
        restarts: chance a second that a pod's process is replaced by a new one.
        draining: error ratio of a pod that is going, for 5 s.
    """

    rate: float
    truth: Callable[[int, bool], float]
    p0: float = 0.01
    k: int | None = 1
    bake: float = 120.0
    worse: bool = False
    normal: Normal | None = None
    before: Youth | None = None
    interval: int = 0
    every: int = 1
    missed: float = 0.0
    restarts: float = 0.0
    draining: float = 0.0


@dataclass
class Fleet:
    """The pods of both revisions, second by second."""

    dice: Dice
    setting: Setting
    pods: list[Serving] = field(default_factory=list)
    scraped: dict[str, CounterSample] = field(default_factory=dict)
    standings: set[Standing] = field(default_factory=set)

    def __post_init__(self) -> None:
        selector = Selector("x", (), "x")
        kind = WorseThanStable if self.setting.worse else ErrorRatio
        check = kind(
            name="errors",
            objective=Objective("o", 0.99, 1.0, Ratio(selector, selector)),
            above=self.setting.p0,
            allowance=self.setting.k,
        )
        before = {"errors": self.setting.before} if self.setting.before else {}
        normal = {"errors": self.setting.normal} if self.setting.normal else {}
        frame = Frame(began_at=START, before=before, normal=normal)
        self.state = counted.begin(check, frame)
        self.ready_at = NEVER

    def add(self, revision: str, at: float, weight: float = 1.0) -> None:
        """Start a pod."""
        uid = f"{revision}{len(self.pods)}"
        containers = (Container("app", started_at=at, ready=True),)
        pod = Pod(uid, uid, "n", revision, at, ready=True, ready_at=at, containers=containers)
        phase = self.dice.random.randrange(self.setting.interval) if self.setting.interval else 0
        self.pods.append(Serving(pod, weight, phase=phase))

    def replace_one(self, second: int) -> None:
        """One stable pod begins to go, one candidate pod comes."""
        at = START + second
        staying = [p for p in self.pods if not p.candidate and p.pod.deleted_at is None]
        if not staying:
            return
        going = staying[0]
        going.pod = replace(going.pod, deleted_at=at)
        going.drains_until = second + (5.0 if self.setting.draining else 0.0)
        self.add("new", at)
        if len(staying) == 1:
            self.ready_at = at

    def second(self, second: int) -> Verdict:
        """Let a second pass; WAIT where nothing was looked at."""
        self.serve(second)
        setting = self.setting
        if second % setting.every or self.dice.random.random() < setting.missed:
            return Verdict.WAIT
        tick = self.tick(second)
        self.state = counted.update(self.state, tick)
        standing = self.state.attribution.standing
        self.standings.add(standing)
        over = counted_state.e_value(self.state) >= 1.0 / self.state.bound.alpha
        if over or standing is Standing.BLAMED or second % LOOK_EVERY == 0:
            return counted_finding.find(self.state, tick).answer
        return Verdict.WAIT

    def step(self, second: int) -> Tick:
        """Let a second pass and scrape, without judging."""
        self.serve(second)
        return self.tick(second)

    def serve(self, second: int) -> None:
        """Let users ask for a second."""
        serving = [p for p in self.pods if p.pod.deleted_at is None or second <= p.drains_until]
        weights = sum(pod.weight for pod in serving)
        for pod in serving:
            going = pod.pod.deleted_at is not None
            ratio = self.setting.truth(second, pod.candidate)
            ratio = self.setting.draining if going else ratio
            bad, total = self.dice.counts(self.setting.rate * pod.weight / weights, ratio)
            pod.bad, pod.total = pod.bad + bad, pod.total + total
            if self.setting.restarts and self.dice.random.random() < self.setting.restarts:
                self._restart(pod, START + second)

    def _restart(self, pod: Serving, at: float) -> None:
        """What the old process counted since the last scrape is lost with it."""
        container = pod.pod.containers[0]
        container = replace(container, restarts=container.restarts + 1, started_at=at)
        pod.pod = replace(pod.pod, containers=(container,))
        pod.bad = pod.total = 0

    def tick(self, second: int) -> Tick:
        """Scrape what is due."""
        at = START + second
        apart = self.setting.interval
        for pod in self.pods:
            if pod.pod.deleted_at is None and (not apart or second % apart == pod.phase):
                self.scraped[f"{pod.pod.uid}/app"] = Reading(
                    total=float(pod.total),
                    bad=float(pod.bad),
                    at=at,
                    source="prometheus" if apart else "scrape",
                    paths_known=True,
                )
        pods = tuple(pod.pod for pod in self.pods)
        return Tick(
            at=at,
            snapshot=Snapshot(WORKLOAD, "u", 1, at, REVISION, 5, pods=pods),
            candidate=frozenset({"new"}),
            stable=frozenset({"old"}),
            counters={"errors": dict(self.scraped)},
            from_prometheus=bool(apart),
        )


@dataclass(frozen=True)
class Ending:
    """How a story ended.

    Attributes:
        failed_at: the second of FAIL; infinite where never.
        passed: PASS after the bake, before any FAIL.
        repair: the candidate was ever called a repair.
    """

    failed_at: float
    passed: bool
    repair: bool

    @property
    def undone(self) -> bool:
        return self.failed_at < NEVER


def replaced(seed: int, setting: Setting, seconds: int, every: float, pods: int = 5) -> Ending:
    """A rolling update: after 5 s, and then each `every` seconds, one pod is replaced."""
    fleet = Fleet(Dice(seed), setting)
    for _ in range(pods):
        fleet.add("old", 0.0)
    next_at = 5.0
    passed = False
    for second in range(1, seconds + 1):
        while second >= next_at and next_at < 5.0 + every * pods:
            fleet.replace_one(second)
            next_at += every
        answer = fleet.second(second)
        if answer is Verdict.FAIL:
            return Ending(float(second), passed, Standing.REPAIR in fleet.standings)
        baked = START + second >= fleet.ready_at + setting.bake
        passed = passed or (baked and answer is Verdict.PASS)
    return Ending(NEVER, passed, Standing.REPAIR in fleet.standings)


def beside(seed: int, setting: Setting, seconds: int, share: float = 0.25) -> Ending:
    """A held rollout: one candidate pod with that share of the traffic beside one stable pod."""
    fleet = Fleet(Dice(seed), setting)
    fleet.add("old", 0.0, 1.0 - share)
    fleet.add("new", START, share)
    for second in range(1, seconds + 1):
        if fleet.second(second) is Verdict.FAIL:
            return Ending(float(second), passed=False, repair=False)
    return Ending(NEVER, passed=False, repair=False)
