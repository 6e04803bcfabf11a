"""How the start of an e-process is spread over time (decisions.md, A).

Half of the weight starts at once; a quarter is spent by time, each 30 min half of what is left,
evenly; a quarter waits for traffic steps, each of which takes half of what is left and spreads
it over the 45 s after the step. What is unspent stays in reserve, so the sum never exceeds 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

AT_START = 0.5
BY_TIME = 0.25
BY_STEPS = 0.25
PERIOD = 1800.0
"""Seconds in which half of what is left of the weight by time is spent."""
STEP_SPREAD = 45.0
"""Seconds over which a traffic step's weight is spread."""


@dataclass(frozen=True, slots=True)
class Spend:
    """What has been spent.

    Attributes:
        began_at: when the process began; `at`: until when weights were drawn.
        steps_left: weight that later steps may take.
        step_at: when the newest step was; `step_weight` what it took, `step_spent` of it.
        spent: sum of all weights drawn so far.
    """

    began_at: float
    at: float
    steps_left: float = BY_STEPS
    step_at: float = 0.0
    step_weight: float = 0.0
    step_spent: float = 0.0
    spent: float = 0.0


def begin(at: float) -> Spend:
    """Nothing spent yet; the first draw takes the half of the start."""
    return Spend(began_at=at, at=at)


def step(spend: Spend, at: float) -> Spend:
    """Note a traffic step. What an earlier one has not spent yet goes back first."""
    left = spend.steps_left + (spend.step_weight - spend.step_spent)
    weight = left / 2.0
    return replace(spend, steps_left=left - weight, step_at=at, step_weight=weight, step_spent=0.0)


def draw(spend: Spend, at: float) -> tuple[Spend, float]:
    """Draw the weight of the poll at `at` (seconds since the epoch)."""
    first = AT_START if spend.spent == 0.0 else 0.0
    before = _by_time(max(spend.at - spend.began_at, 0.0)) if spend.spent else 0.0
    by_time = max(_by_time(max(at - spend.began_at, 0.0)) - before, 0.0)
    due = spend.step_weight * min(max(at - spend.step_at, 0.0) / STEP_SPREAD, 1.0)
    by_step = max(due - spend.step_spent, 0.0)
    weight = first + by_time + by_step
    after = Spend(
        began_at=spend.began_at,
        at=max(at, spend.at),
        steps_left=spend.steps_left,
        step_at=spend.step_at,
        step_weight=spend.step_weight,
        step_spent=spend.step_spent + by_step,
        spent=spend.spent + weight,
    )
    return after, weight


def _by_time(elapsed: float) -> float:
    """Weight spent by time after so many seconds."""
    whole = math.floor(elapsed / PERIOD)
    part = elapsed / PERIOD - whole
    return BY_TIME * (1.0 - 0.5**whole) + BY_TIME * 0.5 ** (whole + 1) * part
