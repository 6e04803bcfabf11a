"""What is normal: only evidence that stable itself is over its bound raises that bound."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.evidence.history import (
    DAY,
    HOUR,
    OVER_AT_MOST,
    Block,
    Mark,
    Track,
    blocks_of,
    normal,
    served,
)

NOW = 1_000_000.0
STEP = 60.0


def track(
    ratio: float,
    *,
    pod: str = "a",
    rate: float = 10.0,
    hours: float = 24.0,
    seed: int = 1,
    spike: tuple[float, float, float] | None = None,
) -> Track:
    """A pod's marks, one a minute, until now; `spike`: (hours ago, for so many hours, ratio)."""
    draw = random.Random(f"{seed}{pod}")
    total = bad = 0
    marks = []
    minutes = round(hours * 60)
    for minute in range(minutes + 1):
        at = NOW - (minutes - minute) * STEP
        marks.append(Mark(at, float(total), float(bad)))
        p = ratio
        if spike and 0 <= spike[0] - (NOW - at) / HOUR < spike[1]:
            p = spike[2]
        n = round(rate * STEP)
        mean = n * p
        bad += min(max(round(draw.gauss(mean, math.sqrt(mean * (1 - p)))), 0), n)
        total += n
    return Track(pod, tuple(marks))


def test_a_service_within_its_bound_is_judged_against_it() -> None:
    answer = normal([track(0.003)], 0.01, NOW, STEP)
    assert (answer.over, answer.pod_over) == (None, None)
    assert answer.total == 24 * 36_000
    assert answer.bad / answer.total == pytest.approx(0.003, rel=0.05)


@pytest.mark.parametrize("ratio", [0.012, 0.015, 0.02, 0.03])
def test_a_service_over_its_bound_is_judged_against_what_it_does(ratio: float) -> None:
    over = normal([track(ratio)], 0.01, NOW, STEP).over
    assert over is not None
    assert ratio * 0.97 < over < ratio * 1.1


def test_of_the_last_hour_and_the_last_day_the_lower_bound_counts() -> None:
    better = normal([track(0.03, spike=(1.0, 1.1, 0.015))], 0.01, NOW, STEP).over
    worse = normal([track(0.015, spike=(1.0, 1.1, 0.03))], 0.01, NOW, STEP).over
    assert better is not None
    assert worse is not None
    assert better < 0.018
    assert worse < 0.018


def test_an_incident_of_half_an_hour_raises_nothing() -> None:
    assert normal([track(0.002, spike=(0.6, 0.5, 0.1))], 0.01, NOW, STEP).over is None


@pytest.mark.parametrize(
    ("bad", "total"), [(0, 50), (1, 50), (9, 90)], ids=["none", "one error", "nine errors"]
)
def test_a_few_requests_raise_nothing(bad: int, total: int) -> None:
    few = Track("a", (Mark(NOW - 60.0, 0.0, 0.0), Mark(NOW, float(total), float(bad))))
    assert normal([few], 0.01, NOW, STEP).over is None


def test_a_service_that_fails_nearly_always_is_no_measure() -> None:
    assert normal([track(0.95)], 0.01, NOW, STEP).over == OVER_AT_MOST


def test_one_pod_with_a_failing_client_raises_the_bound_of_test_a_alone() -> None:
    pods = [track(0.002, pod=str(index)) for index in range(9)] + [track(0.04, pod="x")]
    answer = normal(pods, 0.01, NOW, STEP)
    assert answer.over is None
    assert answer.pod_over is not None
    assert 0.04 < answer.pod_over < 0.045


def test_without_marks_nothing_is_known() -> None:
    answer = normal([], 0.01, NOW, STEP)
    assert (answer.total, answer.over, answer.pod_over, answer.allowance) == (0, None, None, None)


def test_single_errors_of_a_day_need_little_allowance() -> None:
    answer = normal([track(0.01, seed=5)], 0.05, NOW, STEP)
    assert answer.allowance in {1, 2}
    assert answer.dispersion == pytest.approx(1.0, abs=0.15)
    assert answer.dispersion_upper >= answer.dispersion


# Blocks.


def test_a_fall_leaves_its_block_out() -> None:
    marks = (Mark(0, 100, 5), Mark(60, 160, 6), Mark(120, 20, 0), Mark(180, 50, 1))
    assert blocks_of(Track("a", marks)) == (Block(0, 60, 1, 60), Block(120, 180, 1, 30))


def test_a_pod_whose_counters_fall_all_the_time_is_not_believed() -> None:
    marks = tuple(Mark(60.0 * t, 100.0 * t + 5000 * (t % 2), 0.0) for t in range(100))
    assert blocks_of(Track("a", marks)) == ()


@pytest.mark.parametrize(
    "mark",
    [
        Mark(60, math.nan, 0),
        Mark(60, math.inf, 0),
        Mark(60, 10, math.nan),
        Mark(60, 10, -1),
        Mark(60, 10, 11),
    ],
    ids=["NaN", "infinite", "errors NaN", "negative", "more errors than requests"],
)
def test_marks_that_are_no_counts_are_left_out(mark: Mark) -> None:
    assert blocks_of(Track("a", (Mark(0, 0, 0), mark, Mark(120, 9, 1)))) == (Block(0, 120, 1, 9),)


def test_only_blocks_within_the_span_count() -> None:
    pods = [Track("a", tuple(Mark(60.0 * t, 100.0 * t, float(t)) for t in range(11)))]
    assert served(pods, 300.0, 600.0) == (5, 500)
    assert served(pods, 310.0, 590.0) == (3, 300)


def test_a_gap_says_nothing_about_clusters_but_counts_for_the_ratio() -> None:
    whole = track(0.02)
    gappy = Track("a", whole.marks[::3])
    answer = normal([gappy], 0.01, NOW, STEP)
    assert answer.over is not None
    assert answer.allowance is None


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=60),
    st.sets(st.integers(0, 59)),
)
def test_blocks_never_count_more_than_was_served(
    steps: list[tuple[int, int]], missed: set[int]
) -> None:
    total = bad = 0
    marks = [Mark(0.0, 0.0, 0.0)]
    for index, (more, failed) in enumerate(steps):
        total += more
        bad += min(failed, more)
        if index not in missed:
            marks.append(Mark(60.0 * (index + 1), float(total), float(bad)))
    blocks = blocks_of(Track("a", tuple(marks)))
    assert sum(block.total for block in blocks) == int(marks[-1].total)
    assert sum(block.bad for block in blocks) == int(marks[-1].bad)
    assert all(0 <= block.bad <= block.total for block in blocks)


def test_what_is_older_than_a_day_is_not_looked_at() -> None:
    old = Track("a", (Mark(NOW - DAY - 120, 0, 0), Mark(NOW - DAY - 60, 1000, 900)))
    assert normal([old], 0.01, NOW, STEP).total == 0
