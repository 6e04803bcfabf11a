"""Figures of whole rollouts: shared incidents, stable pods that go, repairs, blindness."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.decisions.fleet import Ending, Setting, beside, replaced
from benchmarks.decisions.report import Effort, Row, Unit, quantile, share
from benchmarks.decisions.rivals import NEVER, Run, TimesStable, decides_at
from benchmarks.decisions.traffic import Dice, between, step_at
from guard.core.ticks import Youth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RUNS = 1_000
MANY = 4_000


def _both(of: Callable[[int], float]) -> Callable[[int, bool], float]:
    return lambda second, _: of(second)


def _sides(candidate: float, stable: float) -> Callable[[int, bool], float]:
    return lambda _, mine: candidate if mine else stable


def _undone(endings: list[Ending]) -> list[bool]:
    return [ending.undone for ending in endings]


def shared(effort: Effort) -> Iterator[Row]:
    """Yield incidents that both sides share while stable has control."""
    truth = _both(between(120, 300, 0.005, 0.1))
    figure = "shared incident 0.5 → 10% for 3 min, 20/s"
    one = effort.many(lambda s: beside(s, Setting(20.0, truth), 420), MANY // 2)
    yield share(figure, "counts of one burst: aborts", _undone(one), "<= 0.5%")
    apart = effort.many(lambda s: beside(s, Setting(20.0, truth, interval=15), 420), MANY)
    yield share(figure, "scrapes offset by 0 to 15 s: aborts", _undone(apart), "<= 0.1%")
    rule = TimesStable("ratio over 2×", every=15)
    hits = effort.many(lambda s: _twice(s, rule), RUNS)
    yield share(figure, "the rule 'ratio over 2× stable' each 15 s: aborts", hits, "")
    rough = Setting(20.0, truth, missed=0.3, restarts=1 / 300)
    hits = _undone(effort.many(lambda s: beside(s, rough, 420), RUNS))
    yield share(figure, "with missed polls and restarts of processes: aborts", hits, "<= 0.5%")


def _twice(seed: int, rule: TimesStable) -> bool:
    dice, ratio = Dice(seed), between(120, 300, 0.005, 0.1)
    run = Run(dice.course(5.0, ratio, 420), dice.course(15.0, ratio, 420))
    return decides_at(rule, run, 2.0) < NEVER


def outlasting(effort: Effort) -> Iterator[Row]:
    """Yield incidents that outlast the stable pods, and candidates that alone are bad."""
    slow, fast = "one of 5 pods a minute, 10/s", "all replaced in 4 s, 50/s"
    for bad, limit, quick in ((0.1, "<= 13%", "<= 2%"), (0.3, "<= 3%", "<= 0.5%")):
        found = effort.many(lambda s, b=bad: _slowly(s, b), RUNS if bad < 0.2 else RUNS * 3)
        case = f"0.5 → {bad:.0%}, {slow}, onset in the first 4 min: aborts"
        yield share("shared incident that outlasts stable", case, _undone(found), limit)
        found = effort.many(lambda s, b=bad: _quickly(s, b), RUNS if bad < 0.2 else RUNS * 2)
        case = f"0.5 → {bad:.0%}, {fast}, onset with the first: aborts"
        yield share("shared incident that outlasts stable", case, _undone(found), quick)
    for bad, limit in ((0.05, ">= 98%"), (0.2, ">= 99%"), (0.5, ">= 99%")):
        truth = _sides(bad, 0.005)
        found = effort.many(lambda s, t=truth: replaced(s, Setting(10.0, t), 900, 60.0), RUNS)
        yield share("the candidate alone bad: undone", f"{bad:.0%}, {slow}", _undone(found), limit)
        found = effort.many(lambda s, t=truth: replaced(s, Setting(50.0, t), 300, 0.8), RUNS)
        yield share("the candidate alone bad: undone", f"{bad:.0%}, {fast}", _undone(found), limit)


def _slowly(seed: int, bad: float) -> Ending:
    onset = Dice(-1 - seed).random.uniform(0.0, 240.0)
    return replaced(seed, Setting(10.0, _both(step_at(onset, 0.005, bad))), 900, 60.0)


def _quickly(seed: int, bad: float) -> Ending:
    return replaced(seed, Setting(50.0, _both(step_at(4, 0.005, bad))), 300, 0.8)


def alone(effort: Effort) -> Iterator[Row]:
    """Yield candidates that turn bad in the first minute after the last stable pod is gone."""
    figure = "turns bad within a minute after stable is gone, 10/s"
    for bad, limit in ((0.05, 30.0), (0.2, 4.0), (0.5, 2.0)):
        found = effort.many(lambda seed, p=bad: _turns_bad(seed, p), RUNS)
        yield quantile(figure, f"{bad:.0%}", found, (0.5, limit), Unit())


def _turns_bad(seed: int, bad: float) -> float:
    # The fifth and last stable pod goes at second 25.
    onset = Dice(-1 - seed).random.randrange(26, 86)
    setting = Setting(10.0, _both(step_at(onset, 0.001, bad)))
    return replaced(seed, setting, onset + 300, 5.0).failed_at - onset


def draining(effort: Effort) -> Iterator[Row]:
    """Yield rollouts whose stable pods answer 30% badly while they go."""
    figure = "stable pods drain at 30% for 5 s, one of 5 each 5 s, 20/s"
    for ratio, goal in ((0.03, ">= 98%"), (0.05, ">= 98%"), (0.002, "<= 0.5%")):
        setting = Setting(20.0, _sides(ratio, 0.002), draining=0.3)
        full = RUNS if ratio > 0.01 else RUNS * 2
        found = effort.many(lambda s, w=setting: replaced(s, w, 600, 5.0), full)
        yield share(figure, f"candidate at {ratio:.1%}: undone", _undone(found), goal)


def repairs(effort: Effort) -> Iterator[Row]:
    """Yield fixes that are released in the middle of an incident, and what is none."""
    clean, bad = Youth(9, 3000), Youth(300, 3000)
    broke = Setting(10.0, lambda second, mine: _broke(second, mine=mine), before=clean)
    found = effort.many(lambda s: replaced(s, broke, 400, 30.0), RUNS)
    yield share(
        "stable broke 5 s after the first pod, 20 against 5%",
        "called a repair",
        [ending.repair for ending in found],
        "<= 0%",
    )
    figure = "stable at 10% for 5 min, all pods replaced in 3 s, 50/s"
    same = Setting(50.0, _sides(0.1, 0.1), before=bad)
    found = effort.many(lambda s: replaced(s, same, 600, 0.6), RUNS)
    yield share(figure, "candidate at 10%: aborts", _undone(found), "<= 0%")
    fixed = Setting(50.0, _sides(0.001, 0.1), before=bad)
    found = effort.many(lambda s: replaced(s, fixed, 600, 0.6), RUNS)
    promoted = [ending.passed and not ending.undone for ending in found]
    yield share(figure, "candidate at 0.1%: promoted", promoted, ">= 98%")


def _broke(second: int, *, mine: bool) -> float:
    if mine:
        return 0.05
    return 0.2 if second > 10 else 0.003


def old_quarrels(effort: Effort) -> Iterator[Row]:
    """Yield a candidate worse than stable within its bounds when an incident comes."""
    ends = between(600, 780, 0.0, 0.1)
    setting = Setting(1000.0, lambda s, mine: ends(s) or (0.0054 if mine else 0.003))
    found = effort.many(lambda s: beside(s, setting, 840, 0.5), RUNS // 2)
    yield share(
        "shared 10% incident, candidate 0.54 against 0.3% before, 1000/s",
        "undone",
        _undone(found),
        "<= 1.5%",
    )


def good_releases(effort: Effort) -> Iterator[Row]:
    """Yield good releases, and releases that are like a predecessor over its bound."""
    setting = Setting(20.0, _sides(0.002, 0.002), k=2)
    found = effort.many(lambda s: replaced(s, setting, 600, 5.0), RUNS)
    yield share("a good release at 0.2%, 20/s, k = 2", "undone", _undone(found), "<= 0.5%")
    promoted = [ending.passed and not ending.undone for ending in found]
    yield share("a good release at 0.2%, 20/s, k = 2", "promoted", promoted, ">= 98%")


def worse_than_stable(effort: Effort) -> Iterator[Row]:
    """Yield candidates under the bound that are, or are hardly, worse than stable."""
    figure = "worse than stable (factor 2, floor p0/5), 50/s, half each"
    for bad, goal in ((0.009, ">= 98%"), (0.0003, "<= 1%")):
        setting = Setting(50.0, _sides(bad, 0.0001), worse=True)
        found = effort.many(lambda s, w=setting: beside(s, w, 600, 0.5), RUNS // 2)
        yield share(figure, f"0.01 → {bad:.2%}: undone", _undone(found), goal)
