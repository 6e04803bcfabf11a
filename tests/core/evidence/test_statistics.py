"""Intervals of a ratio."""

from __future__ import annotations

import pytest

from guard.core.evidence.statistics import lower, upper, wilson


@pytest.mark.parametrize(
    ("bad", "total", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_score_interval_is_that_of_the_literature(
    bad: int, total: int, low: float, high: float
) -> None:
    assert wilson(bad, total) == pytest.approx((low, high), abs=5e-5)


def test_without_requests_everything_is_possible() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert upper(0, 0) == 1.0
    assert lower(0, 0) == 0.0


def test_the_interval_never_leaves_zero_to_one() -> None:
    for total in range(1, 500):
        assert wilson(0, total)[0] == 0.0
        assert wilson(total, total)[1] == 1.0


def test_one_sided_bounds_lie_inside_the_two_sided_interval() -> None:
    low, high = wilson(30, 1000)
    assert low < lower(30, 1000) < 0.03 < upper(30, 1000) < high
