"""A few minutes' look at the figures of decisions.md, by simulating the product's own code.

`python benchmarks/decisions_quick.py [runs]` prints, per row: what was simulated, what came out,
and the goal. The full benchmark, with the rules on one number beside it, is a later one.
"""

from __future__ import annotations

import math
import random
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from guard.core.checks import error_ratio, ratio_finding
from guard.core.evidence import mixtures, weighing
from guard.core.evidence.statistics import wilson
from guard.core.findings import Verdict
from guard.core.policy import ErrorRatio, Objective, Ratio, Selector
from guard.core.samples import Reading
from guard.core.ticks import Frame, Tick, Youth
from guard.core.workloads import Container, Pod, Revision, Snapshot, WorkloadId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HORIZON = 1800
FIRST = 5.0
"""Second of the first candidate pod."""
P0 = 0.01


def bound(k: int) -> weighing.Bound:
    return weighing.Bound(
        p0=P0, p1=2 * P0, k=k, assumed=False, counted=1, alpha=0.01, beta=0.05, interval=15.0
    )


class Dice:
    """Poisson requests and binomial errors."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def requests(self, mean: float) -> int:
        if mean > 60.0:
            return max(round(self.random.gauss(mean, math.sqrt(mean))), 0)
        limit, number, product = math.exp(-mean), 0, self.random.random()
        while product > limit:
            number += 1
            product *= self.random.random()
        return number

    def errors(self, requests: int, ratio: float) -> int:
        if ratio <= 0.0:
            return 0
        number, at, scale = 0, 0, math.log1p(-ratio)
        while True:
            at += 1 + int(math.log(1.0 - self.random.random()) / scale)
            if at > requests:
                return number
            number += 1


# Tests A and B alone: seconds until E reaches 1/alpha.


def seconds_to_decide(
    dice: Dice, ratio: float, k: int, beside: tuple[float, float] | None = None, rate: float = 10.0
) -> float:
    fixed = bound(k)
    evidence = weighing.begin(0.0, fixed)
    for second in range(1, HORIZON + 1):
        total = dice.requests(rate)
        mine = (dice.errors(total, ratio), total)
        others = (0, 0)
        if beside:
            total = dice.requests(beside[0])
            others = (dice.errors(total, beside[1]), total)
        poll = weighing.Poll(
            at=float(second),
            candidate=mine,
            stable=others,
            young=(0, 0),
            compared=(*mine, *others),
            apart=False,
            gap=False,
        )
        evidence = weighing.weigh(evidence, poll, fixed)
        e_value = weighing.m_a(evidence, fixed)
        if beside:
            e_value = min(e_value, weighing.m_b(evidence))
        if e_value >= 1.0 / fixed.alpha:
            return float(second)
    return math.inf


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def detection(runs: int) -> Iterator[tuple[str, str, str]]:
    oracle = {0.02: 1177, 0.05: 112, 0.2: 11, 0.5: 3}
    goals = {
        (1, False): {0.02: "1.5 3.0", 0.05: "1.5 3.3", 0.2: "2.5", 0.5: "4.5"},
        (1, True): {0.02: "1.5", 0.05: "1.6", 0.2: "3.3", 0.5: "7.1"},
        (2, False): {0.02: "3.3 5.5", 0.05: "3.3 5.5"},
    }
    for (k, compared), rows in goals.items():
        for ratio, goal in rows.items():
            beside = (30.0, 0.001) if compared else None
            found = [seconds_to_decide(Dice(seed), ratio, k, beside) for seed in range(runs)]
            times = [quantile(found, share) * 10.0 / oracle[ratio] for share in (0.5, 0.9)]
            what = f"detection of {ratio:.0%}, k = {k}" + (", E = min" if compared else "")
            yield what, f"{times[0]:.2f} {times[1]:.2f} x oracle", goal


def false_aborts(runs: int) -> Iterator[tuple[str, str, str]]:
    for rate in (1.0, 10.0):
        aborted = sum(
            seconds_to_decide(Dice(seed), P0, 1, rate=rate) < math.inf for seed in range(runs)
        )
        high = wilson(aborted, runs)[1]
        what = f"false aborts at p0, {rate:.0f} requests a second"
        yield what, f"{aborted} of {runs} (95% upper {high:.2%})", "0.6% (of 20,000)"


# The whole check, with its blame table, over simulated rollouts.


@dataclass
class World:
    """Pods of both sides; `ratio(second, candidate)` is the true error ratio."""

    dice: Dice
    rate: float
    ratio: Callable[[float, bool], float]
    stable: int
    candidate: int = 0
    before: Youth | None = None
    k: int = 2

    def __post_init__(self) -> None:
        selector = Selector("x", (), "x")
        objective = Objective("o", 0.99, 1.0, Ratio(selector, selector))
        check = ErrorRatio("errors", objective, P0, self.k)
        before = {"errors": self.before} if self.before else {}
        self.state = error_ratio.begin(check, Frame(began_at=1000.0, before=before))
        self.served: dict[str, tuple[int, int]] = {}
        self.pods = [self._pod(f"s{number}", "old", 0.0) for number in range(self.stable)]
        self.pods += [self._pod(f"c{number}", "new", 1000.0) for number in range(self.candidate)]

    def _pod(self, uid: str, revision: str, at: float) -> Pod:
        containers = (Container("app", started_at=at, ready=True),)
        return Pod(uid, uid, "n", revision, at, ready=True, ready_at=at, containers=containers)

    def replace_one(self, at: float) -> None:
        """One stable pod goes, one candidate pod comes."""
        old = next((p for p in self.pods if p.revision == "old" and p.deleted_at is None), None)
        if old is None:
            return
        self.pods[self.pods.index(old)] = replace(old, deleted_at=at)
        self.pods.append(self._pod(f"c{len(self.pods)}", "new", at))

    def second(self, second: int) -> Verdict:
        at = 1000.0 + second
        alive = [pod for pod in self.pods if pod.deleted_at is None]
        for pod in alive:
            requests = self.dice.requests(self.rate / len(alive))
            errors = self.dice.errors(requests, self.ratio(second, pod.revision == "new"))
            bad, total = self.served.get(pod.uid, (0, 0))
            self.served[pod.uid] = (bad + errors, total + requests)
        readings = {
            f"{pod.uid}/app": Reading(
                float(self.served[pod.uid][1]),
                float(self.served[pod.uid][0]),
                at,
                "scrape",
                paths_known=True,
            )
            for pod in alive
        }
        current = Revision("new", "new", 2, "u", 1000.0)
        snapshot = Snapshot(
            WorkloadId("kubernetes", "n", "w"), "u", 1, at, current, 5, pods=tuple(self.pods)
        )
        tick = Tick(
            at, snapshot, frozenset({"new"}), frozenset({"old"}), counters={"errors": readings}
        )
        self.state = error_ratio.update(self.state, tick)
        return ratio_finding.find(self.state, tick).answer


def story(world: World, seconds: int, every: float) -> tuple[float, bool]:
    """When a rollout that replaces a pod each `every` seconds failed; whether it ever passed."""
    next_at, passed = FIRST, False
    for second in range(1, seconds + 1):
        while second >= next_at:
            world.replace_one(1000.0 + second)
            next_at += every
        answer = world.second(second)
        if answer is Verdict.FAIL:
            return float(second), passed
        passed = passed or answer is Verdict.PASS
    return math.inf, passed


def share(found: list[tuple[float, bool]]) -> str:
    undone = sum(at < math.inf for at, _ in found)
    passed = sum(ever and at == math.inf for at, ever in found)
    return f"undone {undone / len(found):.1%}, promoted {passed / len(found):.1%}"


def many(runs: int, build: Callable[[Dice], World], seconds: int, every: float) -> str:
    return share([story(build(Dice(seed)), seconds, every) for seed in range(runs)])


def since(onset: float, high: float, low: float = 0.005) -> Callable[[float, bool], float]:
    return lambda second, _: high if second >= onset else low


def of_candidate(bad: float, stable: float) -> Callable[[float, bool], float]:
    return lambda _, candidate: bad if candidate else stable


def shared_incidents(runs: int) -> Iterator[tuple[str, str, str]]:
    for high, slow, fast in ((0.1, "13%", "2%"), (0.3, "3%", "0.5%")):
        yield (
            f"shared incident 0.5 -> {high:.0%} outlasts stable, a pod a minute",
            many(runs, lambda d, h=high: World(d, 10.0, since(60, h), 5, k=1), 900, 60.0),
            f"undone {slow}",
        )
        yield (
            f"the same, {high:.0%}, all replaced in 4 s, 50 requests a second",
            many(runs, lambda d, h=high: World(d, 50.0, since(FIRST, h), 5, k=1), 300, 0.8),
            f"undone {fast}",
        )


def releases(runs: int) -> Iterator[tuple[str, str, str]]:
    for bad in (0.05, 0.2, 0.5):
        ratio = of_candidate(bad, 0.005)
        yield (
            f"the candidate alone bad at {bad:.0%}, a pod a minute",
            many(runs, lambda d, r=ratio: World(d, 10.0, r, 5, k=1), 900, 60.0),
            "undone 98, 99, 99%",
        )
    yield (
        "a good release at 0.2%, a pod each 5 s, 20 requests a second, k = 2",
        many(runs, lambda d: World(d, 20.0, since(0, 0.002), 5), 600, 5.0),
        "undone 0.5%",
    )
    for bad, goal in ((0.001, "promoted"), (0.1, "undone 0")):
        ratio = of_candidate(bad, 0.1)
        yield (
            f"stable at 10% before; candidate at {bad:.1%}, all replaced in 3 s",
            many(runs, lambda d, r=ratio: World(d, 50.0, r, 5, before=Youth(300, 3000)), 600, 0.6),
            goal,
        )


def late_trouble(runs: int) -> Iterator[tuple[str, str, str]]:
    """The candidate alone turns bad a minute after the last stable pod went."""
    for bad, goal in ((0.05, 30), (0.2, 4), (0.5, 2)):
        onset = 90
        found = [
            story(World(Dice(seed), 10.0, since(onset, bad, 0.001), 5, k=1), 400, 5.0)[0] - onset
            for seed in range(runs)
        ]
        yield (
            f"turns bad at {bad:.0%} after stable is gone",
            f"median {quantile(found, 0.5):.0f} s, 90% {quantile(found, 0.9):.0f} s",
            f"{goal} s",
        )


def promotions(runs: int) -> Iterator[tuple[str, str, str]]:
    fixed = bound(1)
    promoted = 0
    for seed in range(runs):
        dice, bad, total = Dice(seed), 0, 0
        for _ in range(600):
            bad, total = bad + dice.errors(10, fixed.p1), total + 10
            if mixtures.log_m_d(bad, total, P0, fixed.p1, 1) >= math.log(1.0 / fixed.beta):
                promoted += 1
                break
    yield "promoted although p = p1, k = 1", f"{promoted} of {runs}", "5%"
    for bad, goal in ((0.0, 190), (0.005, 340)):
        found = [float(_requests_to_pass(Dice(seed), bad)) for seed in range(runs)]
        yield f"requests to PASS at {bad:.1%}, median", f"{quantile(found, 0.5):.0f}", f"{goal}"


def _requests_to_pass(dice: Dice, ratio: float) -> int:
    bad = total = 0
    while mixtures.log_m_d(bad, total, P0, 2 * P0, 1) < math.log(20.0):
        total += 1
        bad += dice.errors(1, ratio)
    return total


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    few = max(runs // 4, 10)
    for rows in (
        detection(runs),
        false_aborts(runs * 5),
        promotions(runs * 2),
        shared_incidents(runs),
        releases(few),
        late_trouble(few),
    ):
        for what, came, goal in rows:
            print(f"{what:68} {came:38} goal {goal}", flush=True)


if __name__ == "__main__":
    main()
