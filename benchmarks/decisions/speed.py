"""What a poll costs on one core, and how large a check's state is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.decisions.drive import bound, poll
from benchmarks.decisions.fleet import START, Fleet, Setting
from benchmarks.decisions.report import Row, Standing
from benchmarks.decisions.traffic import Dice
from guard.core.checks import counted, counted_finding
from guard.core.evidence import weighing
from guard.engine.codec import packed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.decisions.report import Effort

POLLS = 20_000
GOAL = 50_000
BYTES = 2_048


def costs(effort: Effort) -> Iterator[Row]:
    """Yield check-polls a second, and bytes of state."""
    polls = effort.runs(POLLS)
    figure = "check-polls a second on one core"
    cases = {
        "A and B, 40/s, 0.5% bad": (10.0, 30.0, 0.005),
        "A and B, 40/s, 10% bad": (10.0, 30.0, 0.1),
        "A and B, 400/s, 1% bad": (100.0, 300.0, 0.01),
        "A and B, nobody asks": (0.0, 0.0, 0.0),
    }
    for case, (mine, others, ratio) in cases.items():
        yield _row(figure, case, _weighing(polls, mine, others, ratio), polls)
    for pods in (1, 4):
        a_second = _whole(polls // 10, pods, find=False)
        yield _shown(figure, f"whole check.update, {pods} + {pods} pods", a_second, polls // 10)
    a_second = _whole(polls // 10, 1, find=True)
    yield _shown(figure, "whole check, update and finding, 1 + 1 pods", a_second, polls // 10)
    yield from _sizes()


def _weighing(polls: int, mine: float, others: float, ratio: float) -> float:
    dice, fixed = Dice(1), bound(k=2)
    made = [
        poll(float(at), dice.counts(mine, ratio), dice.counts(others, ratio))
        for at in range(1, polls + 1)
    ]
    evidence = weighing.begin(0.0, fixed)
    began = time.process_time()
    for one in made:
        evidence = weighing.weigh(evidence, one, fixed)
    return polls / (time.process_time() - began)


def _fleet(pods: int) -> Fleet:
    fleet = Fleet(Dice(1), Setting(20.0 * pods, lambda _, __: 0.005, k=2))
    for _ in range(pods):
        fleet.add("old", 0.0)
        fleet.add("new", START)
    return fleet


def _whole(polls: int, pods: int, *, find: bool) -> float:
    fleet = _fleet(pods)
    ticks = [fleet.step(second) for second in range(1, polls + 1)]
    state = fleet.state
    began = time.process_time()
    for tick in ticks:
        state = counted.update(state, tick)
        if find:
            counted_finding.find(state, tick)
    return polls / (time.process_time() - began)


def _sizes() -> Iterator[Row]:
    fleet = _fleet(2)
    state = fleet.state
    for second in range(1, 1801):
        state = counted.update(state, fleet.step(second))
    size = len(packed(state))
    met = Standing.MET if size <= BYTES else Standing.MISSED
    case = "in the record, with its policy and the accounts of 2 + 2 pods"
    yield Row("bytes of a check's state after 30 min", case, f"{size}", f"<= {BYTES}", met)


def _row(figure: str, case: str, a_second: float, polls: int) -> Row:
    met = Standing.MET if a_second >= GOAL else Standing.MISSED
    return Row(figure, case, f"{a_second:,.0f}", f">= {GOAL:,}", met, polls)


def _shown(figure: str, case: str, a_second: float, polls: int) -> Row:
    return Row(figure, case, f"{a_second:,.0f}", "", Standing.SHOWN, polls)
