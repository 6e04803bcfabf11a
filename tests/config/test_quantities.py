"""Durations, ratios, targets and numbers as people write them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.config import quantities
from guard.config.codes import Code
from guard.config.fields import step
from guard.config.problems import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("2m", 120.0),
        ("2ms", 0.002),
        ("500ms", 0.5),
        ("1h30m", 5400.0),
        ("1d", 86_400.0),
        ("4w", 2_419_200.0),
        ("1w1d1h1m1s1ms", 694_861.001),
        ("0s", 0.0),
        (" 2m ", 120.0),
    ],
)
def test_a_duration_is_the_sum_of_its_parts(text: str, seconds: float) -> None:
    assert math.isclose(quantities.duration(text), seconds)


@pytest.mark.parametrize(
    "value",
    ["", "2", "2 m", "m", "1.5h", "30m1h", "1m1m", "2min", "2m\n3s", 5, 2.5, None, True, []],
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(Rejected) as caught:
        quantities.duration(value)
    assert caught.value.code is Code.DURATION_INVALID


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 999))
def test_any_duration_in_prometheus_notation_is_read_exactly(h: int, m: int, ms: int) -> None:
    assert math.isclose(quantities.duration(f"{h}h{m}m{ms}ms"), h * 3600 + m * 60 + ms / 1000)


def test_a_duration_outside_its_range_is_refused_and_both_ends_are_inside() -> None:
    read = quantities.duration_between("1s", "1m")
    assert (read("1s"), read("60s")) == (1.0, 60.0)
    for text in ("999ms", "61s"):
        with pytest.raises(Rejected) as caught:
            read(text)
        assert caught.value.code is Code.DURATION_OUT_OF_RANGE


@pytest.mark.parametrize(
    ("value", "fraction"),
    [("1%", 0.01), ("0.5 %", 0.005), (0.01, 0.01), ("99.9%", 0.999), (1e-3, 0.001)],
)
def test_a_ratio_is_the_fraction_that_was_written(value: object, fraction: float) -> None:
    assert quantities.ratio(value) == fraction


_NEARLY_ALL = f"99.{'9' * 20}%"


@pytest.mark.parametrize(
    "value",
    [0, 1, 5, -0.1, "0%", "100%", "250%", _NEARLY_ALL, f"0.{'0' * 19}1%", "0.0009%", 1e-6],
)
def test_a_ratio_is_from_0_001_to_under_100_percent(value: object) -> None:
    with pytest.raises(Rejected) as caught:
        quantities.ratio(value)
    assert caught.value.code is Code.RATIO_OUT_OF_RANGE


def test_the_least_ratio_is_inside_however_it_is_written() -> None:
    assert quantities.ratio("0.001%") == quantities.ratio(0.00001) == quantities.MIN_RATIO


@pytest.mark.parametrize("digits", [2_000, 1_100_000])
def test_a_percentage_of_endless_digits_is_refused(digits: int) -> None:
    with pytest.raises(Rejected) as caught:
        quantities.ratio("9" * digits + "%")
    assert caught.value.code is Code.RATIO_INVALID


@pytest.mark.parametrize("value", ["0.01", "one", "-1%", math.nan, math.inf, None, True])
def test_what_is_no_ratio_is_refused(value: object) -> None:
    with pytest.raises(Rejected) as caught:
        quantities.ratio(value)
    assert caught.value.code is Code.RATIO_INVALID


@given(st.decimals(1, "99.999", places=3))
def test_a_target_is_exact_to_the_digit_however_it_is_written(percent: object) -> None:
    assert quantities.target(float(str(percent))) == quantities.target(f"{percent}%")
    assert math.isclose(quantities.target(f"{percent}%") * 100, float(str(percent)))


def test_99_9_percent_is_not_99_9_divided_in_binary() -> None:
    assert quantities.target(99.9) == 0.999


@pytest.mark.parametrize("value", [0.999, 0, 100, "100%", 101, _NEARLY_ALL])
def test_a_target_outside_1_to_100_percent_is_refused(value: object) -> None:
    with pytest.raises(Rejected) as caught:
        quantities.target(value)
    assert caught.value.code is Code.TARGET_OUT_OF_RANGE


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (quantities.probability, "0.001%"),
        (quantities.probability, "30%"),
    ],
)
def test_an_error_probability_has_a_range(read: Callable[[object], float], value: str) -> None:
    with pytest.raises(Rejected) as caught:
        read(value)
    assert caught.value.code is Code.RATIO_OUT_OF_RANGE


@pytest.mark.parametrize("value", ["5", None, True, math.nan, math.inf])
def test_what_is_no_finite_number_is_refused(value: object) -> None:
    with pytest.raises(Rejected) as caught:
        quantities.number(value)
    assert caught.value.code is Code.NUMBER_INVALID


@pytest.mark.parametrize("digits", [400, 4_200, 9_999])
def test_a_whole_number_that_no_float_holds_is_refused_and_not_shown(digits: int) -> None:
    with pytest.raises(Rejected) as caught:
        quantities.number(10**digits)
    assert caught.value.code is Code.NUMBER_INVALID
    assert caught.value.found == "a number of over 80 digits"


def test_a_negative_number_is_a_number() -> None:
    assert quantities.number(-3) == -3.0


def test_whole_numbers_are_neither_true_nor_text_nor_fractions() -> None:
    read = quantities.whole_between(1, 3)
    assert [read(1), read(3)] == [1, 3]
    for value in (True, "2", 2.0, None):
        with pytest.raises(Rejected) as caught:
            read(value)
        assert caught.value.code is Code.NUMBER_INVALID


def test_a_step_that_is_nearly_all_pods_is_refused() -> None:
    with pytest.raises(Rejected) as caught:
        step(_NEARLY_ALL)
    assert caught.value.code is Code.RATIO_OUT_OF_RANGE
