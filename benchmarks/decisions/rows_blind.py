"""What every rule does when its source has nothing to say, answers nonsense, or is gone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.decisions.fleet import START, Fleet, Setting
from benchmarks.decisions.report import Effort, Row, Standing
from benchmarks.decisions.rivals import NEVER, Argo, Flagger, Run, decides_at
from benchmarks.decisions.traffic import Dice
from guard.core.checks import counted, counted_finding
from guard.core.findings import Verdict
from guard.core.samples import NoData, NoDataReason, Reading, Unavailable, UnavailableReason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guard.core.samples import CounterSample
    from guard.core.ticks import Tick

SECONDS = 300
BLIND_FROM = (0, 5, 60)
"""Seconds of good sight before it goes: none, too few to pass, and a minute."""
KINDS = ("NaN", "empty", "stale", "source gone", "negative", "half a request")


def blindness(effort: Effort) -> Iterator[Row]:
    """Yield aborts and promotions of rollouts that cannot be seen."""
    for kind in KINDS:
        for since in BLIND_FROM:
            ends = effort.many(lambda seed, k=kind, s=since: _outcome(seed, k, s), 40)
            failed, passed = sum(f for f, _ in ends), sum(p for _, p in ends)
            value = f"{failed} aborts, {passed} promotions of {len(ends)}"
            standing = Standing.MISSED if failed or passed else Standing.MET
            case = f"{kind} after {since} s of good sight"
            yield Row("blind", case, value, "0 aborts, 0 promotions", standing, len(ends))
    nothing = Run([(0, 0)] * SECONDS)
    for rule in (
        Flagger("Flagger, 10 s, threshold 5: no values", every=10),
        Argo("Argo Rollouts, 10 s, failureLimit 3: NaN", every=10),
    ):
        at = decides_at(rule, nothing, 0.01)
        value = "never" if at == NEVER else f"aborts after {at:.0f} s"
        yield Row("blind", rule.name, value)


def _outcome(seed: int, kind: str, since: int) -> tuple[bool, bool]:
    """Whether it was undone, or promoted by what was seen before the sight went (5 s of it)."""
    fleet = Fleet(Dice(seed), Setting(40.0, lambda _, __: 0.002))
    fleet.add("old", 0.0)
    fleet.add("new", START)
    state = fleet.state
    failed = passed = False
    for second in range(1, SECONDS + 1):
        tick = fleet.step(second)
        if second > since:
            tick = _blinded(tick, kind)
        state = counted.update(state, tick)
        answer = counted_finding.find(state, tick).answer
        failed = failed or answer is Verdict.FAIL
        # A good release that was good enough may stay so for as long as a check has patience.
        passed = passed or (second > since + 30 and answer is Verdict.PASS)
    return failed, passed


def _blinded(tick: Tick, kind: str) -> Tick:
    counters = {
        check: {key: _spoilt(sample, kind) for key, sample in samples.items()}
        for check, samples in tick.counters.items()
    }
    return replace(tick, counters=counters)


def _spoilt(sample: CounterSample, kind: str) -> CounterSample:
    assert isinstance(sample, Reading)
    match kind:
        case "NaN":
            return replace(sample, total=math.nan)
        case "empty":
            return NoData(NoDataReason.NO_SERIES)
        case "stale":
            return NoData(NoDataReason.STALE)
        case "negative":
            return replace(sample, total=-sample.total - 1.0, bad=-1.0)
        case "half a request":
            return replace(sample, total=sample.total + 0.5)
        case _:
            return Unavailable(UnavailableReason.REFUSED)
