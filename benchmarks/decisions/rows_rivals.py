"""The same service and the same bad releases before every rule, as documented and tuned alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.decisions.drive import HORIZON, P0, a_alone, bound
from benchmarks.decisions.rare import Case, level_weights
from benchmarks.decisions.report import Effort, Row, Standing, Unit, quantile, share
from benchmarks.decisions.rivals import AS_DOCUMENTED, NEVER, Kayenta, Rule, Run, decides_at, worst
from benchmarks.decisions.traffic import Dice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

RATE = 12.5
RUNS = 2_000
FEW = 500
BAD = (0.02, 0.05, 0.2)
ALLOWED = 0.01
"""False aborts at p0 in 30 min that every rule is tuned to."""


def healthy(seed: int) -> Run:
    """Give a service that is exactly at its bound, and a stable revision just like it."""
    dice = Dice(seed)
    return Run(dice.series(RATE, P0, HORIZON), dice.series(RATE, P0, HORIZON))


def broken(seed: int, ratio: float) -> Run:
    """Give a bad release beside a stable revision at 0.1%, which makes it easier for Kayenta."""
    dice = Dice(seed)
    return Run(dice.series(RATE, ratio, HORIZON), dice.series(RATE, 0.001, HORIZON))


@dataclass(frozen=True)
class Curve:
    """What one rule does at each of its bounds.

    Attributes:
        ratio: of the bad release.
        false_aborts: at p0 in 30 min, for each bound that was looked at.
        lost: failed requests of the bad release until its abort, on average, for the same bounds.
    """

    name: str
    ratio: float
    false_aborts: list[float]
    lost: list[float]


def as_documented(effort: Effort) -> Iterator[Row]:
    """Yield each rule at the settings its documentation shows."""
    for rule, limit in AS_DOCUMENTED:
        full = FEW if isinstance(rule, Kayenta) else RUNS
        hits = effort.many(
            lambda seed, r=rule, b=limit: decides_at(r, healthy(seed), b) < NEVER, full
        )
        yield share("as documented: false aborts at p0 in 30 min", rule.name, hits, "")
        hits = effort.many(
            lambda seed, r=rule, b=limit: decides_at(r, _half(seed), b) < NEVER, full
        )
        yield share("as documented: false aborts at p0/2", rule.name, hits, "")


def _half(seed: int) -> Run:
    dice = Dice(seed)
    return Run(dice.series(RATE, P0 / 2, HORIZON), dice.series(RATE, P0 / 2, HORIZON))


def tuned(effort: Effort) -> Iterator[Row]:
    """Yield delays and lost requests, every rule tuned to the same false aborts."""
    yield from _guard(effort)
    for rule, _ in AS_DOCUMENTED:
        full = FEW // 2 if isinstance(rule, Kayenta) else RUNS
        levels = sorted(effort.many(lambda seed, r=rule: worst(r, healthy(seed)), full))
        limit = levels[min(math.ceil((1.0 - ALLOWED) * len(levels)), len(levels) - 1)]
        for ratio in BAD:
            runs = effort.many(
                lambda seed, r=rule, b=limit, p=ratio: _outcome(broken(seed, p), r, b), full // 2
            )
            yield _delays(f"{rule.name}, tuned (bound {limit:.3g})", ratio, runs)


Outcome = tuple[float, float]
"""Seconds until the abort, and failed requests until then."""


def _outcome(run: Run, rule: Rule, limit: float) -> Outcome:
    at = decides_at(rule, run, limit)
    return at, run.lost(at)


def _delays(name: str, ratio: float, runs: Sequence[Outcome]) -> Row:
    times = sorted(at for at, _ in runs)
    lost = sum(lost for _, lost in runs) / len(runs)
    median, late = times[len(times) // 2], times[min(int(0.9 * len(times)), len(times) - 1)]
    words = [f"{value:.0f} s" if value < NEVER else "over 1800 s" for value in (median, late)]
    value = f"median {words[0]}, 90% {words[1]}, lost {lost:.1f}"
    return Row(f"tuned alike, 12.5/s, p = {ratio:.0%}", name, value, "", Standing.SHOWN, len(runs))


def _guard(effort: Effort) -> Iterator[Row]:
    """Yield ours: E is valid at 1/α, and tuned to 1% as the others are it decides a bit sooner."""
    aborts = false_aborts(effort)
    level = next(e for e, share in zip(LEVELS, aborts, strict=True) if share <= ALLOWED)
    for name, limit in (
        ("guard, as it ships (1/α = 100)", 100.0),
        (f"guard, tuned ({level:.0f})", level),
    ):
        for ratio in (*BAD, 0.5):
            runs = effort.many(
                lambda seed, p=ratio, b=limit: _guard_outcome(broken(seed, p), b), RUNS
            )
            yield _delays(name, ratio, runs)
            if limit < 100.0 and ratio <= 0.05:
                goal = (0.5, 130.0) if ratio < 0.03 else (0.9, 27.0)
                times = [at for at, _ in runs]
                yield quantile(
                    "tuned alike, 12.5/s", f"guard, p = {ratio:.0%}", times, goal, Unit()
                )


LEVELS = tuple(math.exp(step / 8.0) for step in range(56))
"""Levels of E that the curve looks at: 1 to 970, far under the ceiling of 10,000."""


def false_aborts(effort: Effort) -> list[float]:
    """Give the share of healthy runs in which E ever reaches each level, by likelihood ratio."""
    case, fixed = Case(RATE, P0), bound()
    runs = effort.many(lambda seed: level_weights(seed, case, fixed, LEVELS), RUNS)
    return [sum(column) / len(runs) for column in zip(*runs, strict=True)]


def _guard_outcome(run: Run, limit: float) -> Outcome:
    at = a_alone(run.candidate, bound(), levels=(limit,))[0]
    return at, run.lost(at)


def curves(effort: Effort, ratio: float = 0.05) -> Iterator[Curve]:
    """Yield lost requests against false aborts, one curve a rule."""
    crossings: Callable[[Run], list[float]] = lambda run: a_alone(  # noqa: E731 # two uses below
        run.candidate, bound(), levels=LEVELS
    )
    bad = effort.many(lambda seed: _losses(broken(seed, ratio), crossings), FEW)
    yield Curve(
        "guard",
        ratio,
        false_aborts(effort),
        [sum(row[place] for row in bad) / len(bad) for place in range(len(LEVELS))],
    )
    for rule, _ in AS_DOCUMENTED:
        full = FEW // 2 if isinstance(rule, Kayenta) else FEW
        yield _curve(effort, rule, ratio, full)


def _losses(run: Run, crossings: Callable[[Run], list[float]]) -> list[int]:
    return [run.lost(at) for at in crossings(run)]


def _curve(effort: Effort, rule: Rule, ratio: float, full: int) -> Curve:
    levels = sorted(effort.many(lambda seed: worst(rule, healthy(seed)), full * 2))
    shares = (0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95)
    kept = [s for s in shares if s * len(levels) >= 1]
    limits = [levels[min(math.ceil((1 - s) * len(levels)), len(levels) - 1)] for s in kept]
    bad = [broken(seed, ratio) for seed in range(effort.runs(full // 2))]
    lost = [
        sum(run.lost(decides_at(rule, run, limit)) for run in bad) / len(bad) for limit in limits
    ]
    return Curve(rule.name, ratio, kept, lost)


def oracle(_: Effort) -> Iterator[Row]:
    """Yield what the test needs that knows p."""
    for ratio in (*BAD, 0.5):
        kl = ratio * math.log(ratio / P0) + (1 - ratio) * math.log((1 - ratio) / (1 - P0))
        requests = math.ceil(math.log(1.0 / ALLOWED) / kl)
        value = f"{requests} requests, {requests / RATE:.0f} s, lost {requests * ratio:.1f}"
        yield Row(f"tuned alike, 12.5/s, p = {ratio:.0%}", "the oracle that knows p", value)
