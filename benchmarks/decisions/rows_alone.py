"""Figures of tests A, B and D by themselves: false aborts, detection, promotion."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from benchmarks.decisions.drive import HORIZON, NEVER, P0, a_alone, bound, mean_of_checks, weighed
from benchmarks.decisions.drive import promoted as pass_at
from benchmarks.decisions.rare import Case, abort_weight, mean_and_error
from benchmarks.decisions.report import Effort, Row, Standing, Unit, quantile, share
from benchmarks.decisions.traffic import Dice, drift, step_at
from guard.core.evidence import mixtures
from guard.core.evidence.statistics import Z95_ONE_SIDED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.decisions.traffic import Pair

RUNS = 20_000
"""Runs of a false-abort cell."""
SOME = 2_000
DEADLINE = 900
"""Seconds after which a policy's own deadline ends a rollout."""
BAKE = 120.0
"""Seconds that a policy's own bake takes."""
ORACLE = {
    p: math.log(100) / (p * math.log(p / P0) + (1 - p) * math.log((1 - p) / (1 - P0)))
    for p in (0.02, 0.05, 0.2, 0.5)
}
"""Requests that the test needs which knows p: ln(1/α)/KL(p‖p0)."""


def _aborted(series: list[Pair], k: int = 1, every: float = 1.0) -> bool:
    return a_alone(series, bound(k), every=every)[0] < NEVER


def false_aborts(effort: Effort) -> Iterator[Row]:
    """Yield healthy services at and under the bound, errors independent."""
    for ratio, goal in ((P0, "<= 0.6%"), (P0 / 2, "<= 0.05%")):
        for rate in (1.0, 10.0, 100.0):
            if effort.counting:
                hits = effort.many(
                    lambda seed, p=ratio, n=rate: _aborted(Dice(seed).series(n, p, HORIZON)), RUNS
                )
                yield share(f"false aborts at p = {ratio:.1%}, iid", f"{rate:g}/s", hits, goal)
            yield _weighted(
                effort, f"false aborts at p = {ratio:.1%}, iid", Case(rate, ratio), goal
            )
    hits = effort.many(
        lambda seed: _aborted(Dice(seed).course(10.0, drift(0.001, P0, HORIZON), HORIZON)), SOME
    )
    yield share("false aborts, drifting from 0.1% to p0", "10/s", hits, "<= 0.6%")
    hits = effort.many(lambda seed: _aborted(_with_gaps(Dice(seed))), 4 * SOME)
    yield share("false aborts at p0, a third of the polls missed", "10/s", hits, "<= 0.6%")


def _with_gaps(dice: Dice) -> list[Pair]:
    """Counts of polls that were missed come with the next one."""
    seen, late = [], (0, 0)
    for bad, total in dice.series(10.0, P0, HORIZON):
        late = (late[0] + bad, late[1] + total)
        missed = dice.random.random() < 1 / 3
        seen.append((0, 0) if missed else late)
        late = late if missed else (0, 0)
    return seen


def clusters(effort: Effort) -> Iterator[Row]:
    """Yield healthy services whose errors come in clusters, with and without the allowance."""
    for ratio, goal in ((P0, "<= 1%"), (P0 / 2, "<= 0.3%")):
        for phi in (3.0, 5.0):
            k = math.ceil(phi) + 1
            for spread in (0.0, 5.0, 30.0):
                for every in (1.0, 15.0):
                    case = f"φ = {phi:g} over {spread:g} s, k = {k}, polls of {every:g} s"
                    if effort.counting:
                        hits = effort.many(_cluster_run(phi, spread, every, (ratio, k)), RUNS)
                        yield share(f"false aborts at p = {ratio:.1%}, clusters", case, hits, goal)
                    cell = Case(10.0, ratio, phi, spread, k, every, round(HORIZON / every))
                    yield _weighted(
                        effort, f"false aborts at p = {ratio:.1%}, clusters", cell, goal
                    )
    for phi in (3.0, 5.0):
        hits = effort.many(_cluster_run(phi, 0.0, 1.0, (P0, 1)), SOME // 10)
        yield share("the same at k = 1: it breaks", f"φ = {phi:g}", hits, ">= 40%")


def _weighted(effort: Effort, figure: str, cell: Case, goal: str) -> Row:
    """Give the same cell by likelihood ratio."""
    fixed = bound(cell.k)
    values = effort.many(lambda seed: abort_weight(seed, cell, fixed), SOME)
    mean, error = mean_and_error(values)
    high = mean + Z95_ONE_SIDED * error
    limit = float(goal.split()[1].rstrip("%")) / 100.0
    standing = (
        Standing.MET if high <= limit else Standing.OPEN if mean <= limit else Standing.MISSED
    )
    spread = f" over {cell.spread:g} s, k = {cell.k}" if cell.phi > 1.0 else ""
    case = (
        f"{cell.rate:g}/s, φ = {cell.phi:g}{spread}, polls of {cell.every:g} s, by likelihood ratio"
    )
    value = f"{mean:.3%} (standard error {error:.3%})"
    return Row(figure, case, value, goal, standing, len(values))


def _cluster_run(phi: float, spread: float, every: float, judged: tuple[float, int]):  # noqa: ANN202
    ratio, k = judged
    shape = (round(HORIZON / every), every)
    return lambda seed: _aborted(
        Dice(seed).clustered(10.0, ratio, phi, spread, shape), k=k, every=every
    )


def detection(effort: Effort) -> Iterator[Row]:
    """Yield how long a bad candidate goes on, in requests of the oracle."""
    yield from _by_a(effort, 1, {0.02: (1.5, 3.0), 0.05: (1.5, 3.3), 0.2: (2.5,), 0.5: (4.5,)})
    for ratio, goal in {0.02: 1.5, 0.05: 1.6, 0.2: 3.3, 0.5: 7.1}.items():
        found = effort.many(
            lambda seed, p=ratio: weighed(
                (dice := Dice(seed)).series(10.0, p, HORIZON),
                dice.series(30.0, 0.001, HORIZON),
                bound(),
            ),
            SOME if ratio > 0.03 else SOME // 4,
        )
        unit = Unit(ORACLE[ratio] / 10.0, "× oracle")
        case = f"E = min, stable 30/s at 0.1%, {ratio:.0%}"
        yield quantile("detection, 10/s", case, found, (0.5, goal), unit)
    yield from _by_a(effort, 2, {0.02: (3.3, 5.5), 0.05: (3.3, 5.5)})


def _by_a(effort: Effort, k: int, goals: dict[float, tuple[float, ...]]) -> Iterator[Row]:
    for ratio, limits in goals.items():
        found = effort.many(
            lambda seed, p=ratio: a_alone(Dice(seed).series(10.0, p, HORIZON), bound(k))[0], SOME
        )
        unit = Unit(ORACLE[ratio] / 10.0, "× oracle")
        for at, limit in zip((0.5, 0.9), limits, strict=False):
            case = f"k = {k}, {ratio:.0%}"
            yield quantile("detection, 10/s", case, found, (at, limit), unit)


def late_onset(effort: Effort) -> Iterator[Row]:
    """Yield how soon trouble is found that begins long after the start."""
    figure = "late onset 0.1 → 5%, 10/s"
    for onset, limits in ((300, (33.0, 55.0)), (900, (36.0,)), (7200, (42.0,))):
        full = SOME if onset < 7200 else SOME // 2
        found = [at for at in effort.many(lambda seed, t=onset: _late(seed, t), full) if at > 0]
        for at, limit in zip((0.5, 0.9), limits, strict=False):
            yield quantile(figure, f"after {onset / 60:g} min", found, (at, limit), Unit())
    found = effort.many(lambda seed: _late(seed, 300, step=270.0), SOME)
    yield quantile(figure, "30 s after a traffic step", found, (0.5, 26.0), Unit())
    for onset, case in ((0, "from the first request"), (300, "after 5 min")):
        found = effort.many(lambda seed, t=onset: _late_beside(seed, t), SOME // 4)
        figure = "candidate 10/s, stable 90/s, 0.5 → 2.5%"
        yield quantile(figure, f"E = min, {case}", found, (0.5, 85.0), Unit())


def _late(seed: int, onset: int, step: float | None = None) -> float:
    series = Dice(seed).course(10.0, step_at(onset, 0.001, 0.05), onset + 1200)
    return a_alone(series, bound(), step=step)[0] - onset


def _late_beside(seed: int, onset: int) -> float:
    dice = Dice(seed)
    mine = dice.course(10.0, step_at(onset, 0.005, 0.025), HORIZON)
    return weighed(mine, dice.series(90.0, 0.005, HORIZON), bound(), onset=onset)


def low_traffic(effort: Effort) -> Iterator[Row]:
    """Yield one request a second, a quarter of it the candidate's."""
    for ratio, goal in ((0.2, 140.0), (0.5, 55.0)):
        found = effort.many(
            lambda seed, p=ratio: weighed(
                (dice := Dice(seed)).series(0.25, p, HORIZON),
                dice.series(0.75, 0.001, HORIZON),
                bound(),
            ),
            SOME // 2,
        )
        case = f"E = min, {ratio:.0%}"
        yield quantile("1/s, a quarter the candidate's", case, found, (0.5, goal), Unit())


def promotions(effort: Effort) -> Iterator[Row]:
    """Yield what test D lets pass, and how many requests it takes."""
    figure = "promoted although p = p1"
    hits = effort.many(
        lambda seed: pass_at(Dice(seed).series(10.0, 2 * P0, HORIZON), bound()) < NEVER, SOME // 2
    )
    yield share(figure, "iid, no floor of time, 10/s", hits, "<= 5%")
    for phi in (3.0, 5.0):
        k = math.ceil(phi) + 1
        for rate in (10.0, 1.0):
            hits = effort.many(
                lambda seed, f=phi, n=rate, c=k: (
                    pass_at(Dice(seed).clustered(n, 2 * P0, f, 5.0, (HORIZON, 1.0)), bound(c))
                    < NEVER
                ),
                2 * SOME,
            )
            yield share(
                figure, f"clusters φ = {phi:g} over 5 s, k = {k}, {rate:g}/s", hits, "<= 1%"
            )
    # 2 min is the policy's own bake; a longer one leaves A less weight for what comes late.
    for bake, goals in ((120, ("<= 5%", "<= 15%")), (300, ("<= 5%", ""))):
        ends = effort.many(lambda seed, b=bake: _turned_bad(seed, b), SOME)
        case = f"since 30 s before the end of a bake of {bake} s"
        yield share(figure, f"{case}: at that end", [e == bake for e in ends], goals[0])
        yield share(figure, f"{case}: ever, within 15 min", [e < NEVER for e in ends], goals[1])
    for ratio, goal in ((0.0, 190.0), (0.5 * P0, 340.0)):
        found = effort.many(lambda seed, p=ratio: float(_requests(Dice(seed), p)), SOME)
        yield quantile(
            "requests to PASS", f"p = {ratio:.1%}, k = 1", found, (0.5, goal), Unit(1.0, "")
        )


def _turned_bad(seed: int, bake: int) -> float:
    series = Dice(seed).course(10.0, step_at(bake - 30, 0.001, 2 * P0), DEADLINE)
    return pass_at(series, bound(), floor=float(bake))


def _requests(dice: Dice, ratio: float) -> int:
    bad = total = 0
    while mixtures.log_m_d(bad, total, P0, 2 * P0, 1) < math.log(20.0):
        total += 1
        bad += dice.random.random() < ratio
    return total


def tight(effort: Effort) -> Iterator[Row]:
    """Yield an objective ten times as tight."""
    fixed = bound(p0=0.001)
    for ratio, goal in ((0.0002, ">= 98%"), (0.002, "<= 2%")):
        hits = effort.many(
            lambda seed, p=ratio: (
                pass_at(Dice(seed).series(20.0, p, HORIZON), fixed, floor=BAKE) < NEVER
            ),
            SOME // 4 if ratio < 0.001 else 2 * SOME,
        )
        case = f"truth {ratio:.2%}, a bake of 2 min"
        yield share("p0 = 0.1%, 20/s: promoted", case, hits, goal)


def several_checks(effort: Effort) -> Iterator[Row]:
    """Yield what more checks cost, one of them bad at 5% and the others at 0.1%."""
    medians = {}
    for checks in (1, 2, 4):
        found = sorted(effort.many(lambda seed, n=checks: _of_checks(Dice(seed), n), SOME))
        medians[checks] = (found[len(found) // 2], len(found))
    for checks, goal in ((2, 1.18), (4, 1.30)):
        ratio = medians[checks][0] / medians[1][0]
        value = f"{ratio:.3f} × one check ({medians[checks][0]:g} s)"
        standing = Standing.MET if ratio <= goal else Standing.MISSED
        case = f"{checks} checks, one bad at 5%, median"
        yield Row("several checks", case, value, f"<= {goal} ×", standing, medians[checks][1])


def _of_checks(dice: Dice, checks: int) -> float:
    # 25 requests a second: with fewer, whole seconds are too coarse for a ratio of medians.
    bad = dice.series(25.0, 0.05, 600)
    good = [dice.series(25.0, 0.001, 600) for _ in range(checks - 1)]
    return mean_of_checks([bad, *good], bound())
