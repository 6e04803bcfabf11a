"""Rules that others follow, written from their documentation, never from their code.

Each rule reads what its documentation has it read: bad and total requests of the last minute
(exact sums here, which is kinder than `rate()`), at its own interval. Sources:

Flagger 1.x: docs.flagger.app/usage/metrics ("interval: 1m" is the window of the query) and
    docs.flagger.app/usage/how-it-works ("threshold: max number of failed metric checks before
    rollback", "schedule interval (default 60s)"). Failed checks add up and are never taken back;
    no values halt the advancement and count as failed; the threshold is looked at on the next run.
Argo Rollouts 1.8: argo-rollouts.readthedocs.io/en/stable/features/analysis: `failureLimit`
    ("maximum number of failed run an analysis is allowed", 0 by default), "NaN and Infinity" (a
    `successCondition` alone turns NaN into a failure, together with a `failureCondition` into an
    inconclusive measurement), and features/specification: `consecutiveErrorLimit` 4.
Kayenta: spinnaker/kayenta docs/canary-config.md (direction, nanStrategy, critical) and
    docs/faq.md, "How is the canary score calculated", with the judge as published: Mann-Whitney U,
    98% confidence interval of the shift, tolerance of 0.25 times the Hodges-Lehmann estimate;
    at least 50 data points are recommended (Spinnaker, "Best practices for configuring canary").

A rule's `worst` is the smallest bound under which it would not have aborted this run, so that one
run says what every bound would have done: that is how each rule is tuned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.decisions.traffic import Pair

NEVER = math.inf
WINDOW = 60
Z98 = 2.3263478740408408
"""Two-sided 98% quantile of the normal distribution."""


@dataclass(frozen=True)
class Run:
    """Counts of both sides a second; second s is at index s - 1."""

    candidate: Sequence[Pair]
    stable: Sequence[Pair] = ()

    @cached_property
    def _sums(self) -> tuple[list[int], list[int], list[int], list[int]]:
        sides = (self.candidate, self.stable)
        bad, total, stable_bad, stable_total = (
            list(accumulate((pair[place] for pair in side), initial=0))
            for side in sides
            for place in (0, 1)
        )
        return bad, total, stable_bad, stable_total

    def lost(self, at: float) -> int:
        """Failed requests of the candidate until then."""
        bad = self._sums[0]
        return bad[int(min(at, len(bad) - 1))]

    def ratio(self, at: int, window: int = WINDOW, *, stable: bool = False) -> float:
        """Give the ratio of the last `window` seconds; NaN without requests."""
        bad, total = self._sums[2:] if stable else self._sums[:2]
        since = max(at - window, 0)
        requests = total[at] - total[since]
        return (bad[at] - bad[since]) / requests if requests else math.nan


class Rule(Protocol):
    """A way to decide by looking at one number again and again."""

    name: str

    def looks(self, run: Run) -> Iterator[tuple[int, float]]:
        """Yield when an abort would become possible, and the bound under which it would happen."""
        ...


def decides_at(rule: Rule, run: Run, bound: float) -> float:
    """Give the second of the abort at a bound; infinite where never."""
    return next((float(at) for at, level in rule.looks(run) if level > bound), NEVER)


def worst(rule: Rule, run: Run) -> float:
    """Give the smallest bound at which this run is not aborted."""
    return max((level for _, level in rule.looks(run)), default=0.0)


def _failed(value: float) -> float:
    """No number counts as failed at any bound."""
    return math.inf if math.isnan(value) else value


@dataclass(frozen=True)
class Threshold:
    """Abort at the first look that is over the bound; the first look is at `begins`."""

    name: str
    every: int = 5
    begins: int = 5

    def looks(self, run: Run) -> Iterator[tuple[int, float]]:
        for at in range(self.begins, len(run.candidate) + 1, self.every):
            value = run.ratio(at)
            if not math.isnan(value):
                yield at, value


@dataclass(frozen=True)
class TimesStable:
    """Abort at the first look with the candidate at so many times the stable ratio (the bound)."""

    name: str
    every: int = 5

    def looks(self, run: Run) -> Iterator[tuple[int, float]]:
        for at in range(self.every, len(run.candidate) + 1, self.every):
            value, beside = run.ratio(at), run.ratio(at, stable=True)
            if not math.isnan(value):
                yield at, value / beside if beside > 0 else math.inf if value > 0 else 0.0


@dataclass(frozen=True)
class Flagger:
    """Abort one interval after the `threshold`-th failed check, however long ago the others."""

    name: str
    every: int = 60
    threshold: int = 5

    def looks(self, run: Run) -> Iterator[tuple[int, float]]:
        highest: list[float] = []
        for at in range(self.every, len(run.candidate) + 1, self.every):
            if len(highest) >= self.threshold:
                yield at, highest[self.threshold - 1]
            highest = sorted([*highest, _failed(run.ratio(at))], reverse=True)[: self.threshold]


@dataclass(frozen=True)
class Argo:
    """Abort when more than `limit` measurements failed, or more than four in a row had errors.

    `result[0]` of an empty answer is an error; NaN fails a `successCondition` that stands alone.
    """

    name: str
    every: int = 60
    limit: int = 3

    def looks(self, run: Run) -> Iterator[tuple[int, float]]:
        highest: list[float] = []
        for at in range(self.every, len(run.candidate) + 1, self.every):
            highest = sorted([*highest, _failed(run.ratio(at))], reverse=True)[: self.limit + 1]
            if len(highest) > self.limit:
                yield at, highest[self.limit]


@dataclass(frozen=True)
class Kayenta:
    """Judge the metric of both sides every few minutes, over all data points since the start.

    High when the lower end of the shift's interval is over 0.25 times the estimated shift: then
    its score is 0. The bound is the z of the interval (98%: 2.33). The interval's lower end is
    over a value exactly when the statistic shifted by that value exceeds z.
    """

    name: str
    every: int = 300
    point: int = 60

    def looks(self, run: Run) -> Iterator[tuple[int, float]]:
        for at in range(self.every, len(run.candidate) + 1, self.every):
            points = range(self.point, at + 1, self.point)
            mine = self._points(run, points, stable=False)
            others = self._points(run, points, stable=True)
            if mine and others and sorted(mine) != sorted(others):
                yield at, shifted_statistic(mine, others)

    def _points(self, run: Run, at: range, *, stable: bool) -> list[float]:
        # Outliers are removed only where that is configured.
        values = [run.ratio(second, self.point, stable=stable) for second in at]
        return [value for value in values if not math.isnan(value)]


def shifted_statistic(mine: list[float], others: list[float]) -> float:
    """Standardise Mann-Whitney's U after a quarter of the estimated shift is taken off."""
    differences = sorted(x - y for x in mine for y in others)
    middle = len(differences) // 2
    estimate = (
        differences[middle]
        if len(differences) % 2
        else (differences[middle - 1] + differences[middle]) / 2.0
    )
    return _standardised([x - 0.25 * abs(estimate) for x in mine], others)


def _standardised(mine: list[float], others: list[float]) -> float:
    n, m = len(mine), len(others)
    pooled = sorted([(value, 0) for value in mine] + [(value, 1) for value in others])
    ranks, ties, start = 0.0, 0.0, 0
    while start < n + m:
        end = start
        while end < n + m and pooled[end][0] == pooled[start][0]:
            end += 1
        size = end - start
        ranks += (start + end + 1) / 2.0 * sum(side == 0 for _, side in pooled[start:end])
        ties += size**3 - size
        start = end
    centred = ranks - n * (n + 1) / 2.0 - n * m / 2.0
    spread = n * m / 12.0 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
    if spread <= 0.0:
        return 0.0  # "cannot compute": the metric is an error, and does not count
    return (centred - math.copysign(0.5, centred) * bool(centred)) / math.sqrt(spread)


AS_DOCUMENTED: tuple[tuple[Rule, float], ...] = (
    (Threshold("ratio of the last minute, every 5 s"), 0.01),
    (Threshold("the same, from a full minute on", begins=WINDOW), 0.01),
    (Flagger("Flagger, 60 s, threshold 5"), 0.01),
    (Flagger("Flagger, 10 s, threshold 5", every=10), 0.01),
    (Argo("Argo Rollouts, 60 s, failureLimit 3"), 0.01),
    (Argo("Argo Rollouts, 10 s, failureLimit 3", every=10), 0.01),
    (Kayenta("Kayenta, judged every 5 min"), Z98),
)
