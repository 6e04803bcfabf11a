"""φ and k: errors that come one by one need no allowance, clusters need one that covers them."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.evidence.clusters import BLOCKS, Dispersion, allowance, dispersion

DAY = 1440
"""Blocks of a minute."""


def poisson(draw: random.Random, mean: float) -> int:
    """Knuth's method."""
    limit, count, product = math.exp(-mean), 0, draw.random()
    while product > limit:
        product *= draw.random()
        count += 1
    return count


def errors(draw: random.Random, mean: float, size: float) -> int:
    """Errors of one block in clusters of geometric size with this mean: φ = 2·size - 1."""
    count = 0
    for _ in range(poisson(draw, mean / size)):
        count += 1
        while draw.random() < 1.0 - 1.0 / size:
            count += 1
    return count


def history(seed: int, blocks: int, size: float = 1.0, mean: float = 6.0) -> list[tuple[int, int]]:
    """Blocks of 600 requests."""
    draw = random.Random(seed)
    return [(errors(draw, mean, size), 600) for _ in range(blocks)]


def found(blocks: list[tuple[int, int]]) -> Dispersion:
    answer = dispersion(blocks)
    assert answer is not None
    return answer


@pytest.mark.parametrize("seed", range(20))
def test_a_day_of_single_errors_needs_an_allowance_of_1_or_2(seed: int) -> None:
    assert allowance(found(history(seed, DAY))) in {1, 2}


def test_most_days_of_single_errors_need_none_at_all() -> None:
    ones = [allowance(found(history(seed, DAY))) for seed in range(20)]
    assert ones.count(1) >= 17


@pytest.mark.parametrize(("size", "phi"), [(2.0, 3.0), (3.0, 5.0)])
def test_clusters_get_at_least_the_allowance_that_covers_them(size: float, phi: float) -> None:
    for seed in range(20):
        answer = found(history(seed, DAY, size))
        assert answer.estimate == pytest.approx(phi, rel=0.25)
        assert math.ceil(phi) + 1 <= allowance(answer) <= math.ceil(phi) + 2


def test_a_drift_over_the_day_is_no_cluster() -> None:
    draw = random.Random(7)
    day = [(poisson(draw, 6.0 + 5.0 * math.sin(2 * math.pi * t / DAY)), 600) for t in range(DAY)]
    assert found(day).upper < 1.2


def test_one_incident_of_an_hour_is_no_cluster() -> None:
    day = history(3, DAY)
    for at in range(600, 660):
        day[at] = (day[at][0] + 10 * (at - 599), 600)
    assert found(day).upper < 1.2


def test_requests_that_come_and_go_are_no_cluster() -> None:
    draw = random.Random(11)
    counts = [draw.choice((60, 600, 1200)) for _ in range(DAY)]
    assert found([(poisson(draw, n / 100), n) for n in counts]).upper < 1.2


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param([], id="no history"),
        pytest.param([(0, 600)] * DAY, id="no errors"),
        pytest.param([(6, 600)] * 40, id="four windows"),
        pytest.param([(0, 0)] * DAY, id="no requests"),
        pytest.param([(0, 600)] * 1300 + [(9, 600)] * 140, id="errors in one window of ten"),
    ],
)
def test_what_is_too_little_tells_nothing(blocks: list[tuple[int, int]]) -> None:
    assert dispersion(blocks) is None


def test_a_service_that_fails_every_request_has_no_clusters() -> None:
    assert found([(600, 600)] * 100).upper == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("estimate", "upper", "k"),
    [
        (1.0, 1.2, 1),
        (1.1, 1.21, 2),
        (1.2, 3.0, 2),
        (1.21, 1.9, 3),
        (2.8, 3.0, 4),
        (2.9, 3.1, 5),
        (9.0, 9.5, 11),
    ],
)
def test_k_follows_the_upper_bound(estimate: float, upper: float, k: int) -> None:
    assert allowance(Dispersion(estimate, upper, 100)) == k


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(40, 900)), max_size=30 * BLOCKS))
def test_the_bound_is_never_under_the_estimate_and_both_are_numbers(
    blocks: list[tuple[int, int]],
) -> None:
    answer = dispersion(blocks)
    if answer is not None:
        assert 0.0 <= answer.estimate <= answer.upper < math.inf
        assert allowance(answer) >= 1


def test_the_bound_covers_the_true_median_in_95_of_100_histories() -> None:
    # Windows of errors that come one by one have a median of 1 by construction.
    covered = sum(found(history(seed, 200, mean=20.0)).upper >= 1.0 for seed in range(200))
    assert covered >= 180
