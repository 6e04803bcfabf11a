"""Check *free PromQL*: an expression stays inside its bound (decisions.md, E).

Only evaluations on distinct data times count: asking faster than Prometheus scrapes is no
evidence. What was beyond its bound before the release is not the release's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from guard.core.findings import Finding, Reason, Verdict
from guard.core.policy import Promql
from guard.core.samples import Measured, Sample
from guard.core.ticks import Frame, Tick

STALE_AFTER = 60.0
"""Seconds after which data are stale, or three scrape intervals where those are longer: an instant
query itself looks back 5 min, and a value that old may neither promote nor roll back (law 1)."""
INTERVALS_TO_STALE = 3.0


@dataclass(frozen=True, slots=True)
class PromqlState:
    """What the expression said so far.

    Attributes:
        stale_after: age in seconds at which data say nothing any more.
        at: data time of the newest evaluation taken in; None before the first.
        beyond: evaluations beyond the bound in a row; `inside` evaluations inside it, ever.
        pre_existing: it was beyond the bound from the first evaluation on.
        absent: why the last evaluation gave no number; empty when it gave one.
    """

    kind: Literal["promql"]
    check: Promql
    stale_after: float = STALE_AFTER
    at: float | None = None
    value: float = 0.0
    beyond: int = 0
    inside: int = 0
    pre_existing: bool = False
    absent: str = ""
    absent_since: float | None = None


def begin(check: Promql, frame: Frame) -> PromqlState:
    """Start with nothing known."""
    stale_after = max(STALE_AFTER, INTERVALS_TO_STALE * frame.interval)
    return PromqlState(kind="promql", check=check, stale_after=stale_after)


def update(state: PromqlState, tick: Tick) -> PromqlState:
    """Take the newest evaluation in, if its data are newer than the last."""
    sample: Sample | None = tick.values.get(state.check.name)
    if sample is None:
        return state
    absent = _why_absent(sample, tick.at - state.stale_after)
    if absent or not isinstance(sample, Measured):
        since = tick.at if state.absent_since is None else state.absent_since
        return replace(state, absent=absent, absent_since=since)
    seeing = replace(state, absent="", absent_since=None)
    if state.at is not None and sample.at <= state.at:
        return seeing
    return _taken(seeing, sample)


def _why_absent(sample: Sample, oldest: float) -> str:
    if not isinstance(sample, Measured):
        return f"{sample.reason.value} {sample.detail}".strip()
    if math.isnan(sample.value):
        return "the value is NaN"
    return "stale: the newest data are too old" if sample.at < oldest else ""


def _taken(state: PromqlState, sample: Measured) -> PromqlState:
    outside = _outside(state.check, sample.value)
    first = state.at is None
    return replace(
        state,
        at=sample.at,
        value=min(max(sample.value, -1e300), 1e300),
        beyond=state.beyond + 1 if outside else 0,
        inside=state.inside + (0 if outside else 1),
        pre_existing=outside and (first or state.pre_existing),
    )


def _outside(check: Promql, value: float) -> bool:
    if check.above is not None:
        return value > check.above
    return check.below is not None and value < check.below


def find(state: PromqlState, tick: Tick) -> Finding:
    """Say whether the expression is inside its bound."""
    check = state.check
    if state.absent_since is not None or state.at is None:
        return _absent(state, tick)
    bound = f"above {check.above:g}" if check.above is not None else f"below {check.below:g}"
    text = f"{check.name} is {state.value:g}"
    if state.pre_existing:
        text += f", {bound} already when the release began: not the release's"
        return _found(state, Verdict.WAIT, Reason.PRE_EXISTING, text)
    if state.beyond >= check.failures:
        text += f", {bound} for {state.beyond} evaluations of new data in a row"
        return _found(state, Verdict.FAIL, Reason.BEYOND_BOUND, text)
    if state.beyond:
        text += f", {bound} for {state.beyond} of {check.failures} evaluations"
        return _found(state, Verdict.WAIT, Reason.COLLECTING, text)
    return _found(state, Verdict.PASS, Reason.INSIDE_BOUND, f"{text}, not {bound}")


def _absent(state: PromqlState, tick: Tick) -> Finding:
    if state.absent_since is None:
        return _found(
            state, Verdict.WAIT, Reason.COLLECTING, f"{state.check.name}: not evaluated yet"
        )
    seconds = tick.at - state.absent_since
    text = f"{state.check.name} cannot be measured for {seconds:.0f} s: {state.absent}"
    return _found(state, Verdict.BLIND, Reason.NO_DATA, text)


def _found(state: PromqlState, answer: Verdict, reason: Reason, text: str) -> Finding:
    return Finding(
        check=state.check.name,
        kind="promql",
        answer=answer,
        reason=reason,
        text=text,
        numbers={"value": state.value, "beyond": float(state.beyond)},
        query=state.check.expr,
    )
