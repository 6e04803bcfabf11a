"""Numbers and times as a person reads them."""

from __future__ import annotations

import math

import pytest

from guard.core import quantities
from guard.web.checks import check
from guard.web.figures import log_bar, place, scale, whisker

AT = 1_795_600_800.0


def test_times_are_utc() -> None:
    assert quantities.clock(AT) == "10:00:00"
    assert quantities.day(AT) == "2026-11-25"
    assert quantities.iso(AT + 61.9) == "2026-11-25T10:01:01Z"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (80, "1 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
        (864_000, "10 d"),
    ],
)
def test_a_duration_is_told_by_its_two_largest_units(seconds: float, words: str) -> None:
    assert quantities.duration(seconds) == words


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (-5, "now"),
        (0.9, "now"),
        (1, "1 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (3600, "1 h ago"),
        (86_400 * 3, "3 d ago"),
    ],
)
def test_how_long_ago_is_told_by_the_largest_unit(passed: float, words: str) -> None:
    assert quantities.ago(AT, AT + passed) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.0, "1"),
        (0.434, "0.434"),
        (0.00123, "0.00123"),
        (1.2e-4, "1.2 × 10⁻⁴"),
        (87.24, "87.2"),
        (999.4, "999"),
        (2317.0, "2,317"),
        (12_345.0, "12,345"),
        (9_970_000.0, "1.0 × 10⁷"),
        (3.4e8, "3.4 × 10⁸"),
    ],
)
def test_an_e_value_is_told_with_three_digits(value: float, words: str) -> None:
    assert quantities.e_value(math.log(value)) == words


def test_an_e_value_beyond_what_a_float_holds_is_told_by_its_logarithm() -> None:
    assert quantities.e_value(-690.8) == "9.8 × 10⁻³⁰¹"
    assert quantities.e_value(1000.0) == "2.0 × 10⁴³⁴"


def test_what_is_no_number_is_a_question_mark() -> None:
    assert quantities.e_value(float("nan")) == "?"
    assert quantities.count(float("inf")) == "?"
    assert quantities.count(12_345.0) == "12,345"
    assert quantities.percent(0.22115) == "22.1%"


# Figures.


def test_a_ratio_s_scale_holds_bound_and_intervals_and_never_ends_at_the_bound() -> None:
    assert scale(0.01, ()) > 0.02
    assert scale(0.01, (0.31, 0.02)) > 0.31
    assert scale(0.9, (1.0,)) == 1.0
    assert scale(0.0, ()) == 1.0


def test_a_whisker_lies_where_its_interval_lies() -> None:
    drawn = whisker(0.2, (0.1, 0.3), 0.4)
    assert (drawn.low, drawn.at, drawn.high, drawn.width) == (25.0, 50.0, 75.0, 50.0)


def test_no_mark_leaves_its_figure() -> None:
    assert place(5.0, 1.0) == 100.0
    assert place(-1.0, 1.0) == 0.0
    assert place(1.0, 0.0) == 0.0
    assert place(float("nan"), 1.0) == 0.0


def test_a_log_bar_is_empty_at_1_and_full_at_ten_times_its_goal() -> None:
    goal = math.log(100.0)
    assert log_bar(0.0, goal).filled == 0.0
    assert log_bar(-700.0, goal).filled == 0.0
    assert log_bar(math.log(1000.0), goal).filled == 100.0
    assert log_bar(1e9, goal).filled == 100.0
    assert log_bar(goal, goal).filled == log_bar(goal, goal).goal == pytest.approx(66.67)


# Findings.


def finding(**numbers: float) -> dict[str, object]:
    return {
        "check": "errors",
        "kind": "error_ratio",
        "answer": "WAIT",
        "reason": "collecting",
        "text": "",
        "hold": False,
        "numbers": {"bad": 0.0, "total": 0.0, **numbers},
        "query": "",
        "counted": True,
    }


@pytest.mark.parametrize(
    ("missing", "seconds", "words"),
    [
        (-1.0, -1.0, "never at this ratio"),
        (0.0, 0.0, "none"),
        (193.0, -1.0, "193"),
        (17_700.0, 3540.0, "17,700, 59 min at this rate"),
    ],
)
def test_missing_requests_are_told_with_the_time_they_take(
    missing: float, seconds: float, words: str
) -> None:
    shown = check(finding(missing=missing, missing_seconds=seconds))
    assert shown.counted is not None
    assert shown.counted.missing == words


def test_a_finding_that_does_not_count_shows_no_figure() -> None:
    rule = {**finding(), "counted": False}
    assert check(rule).counted is None
    assert check({**finding(), "numbers": {}}).counted is None


def test_numbers_that_are_null_or_absent_in_an_old_record_break_nothing() -> None:
    shown = check(finding()).counted
    assert shown is not None
    assert [side.figure for side in shown.sides] == [None, None]
    assert shown.against.goal == "100"
    assert shown.good.goal == "20"


def test_evidence_that_has_reached_its_goal_says_so() -> None:
    shown = check(finding(log_e=4.7, bound=100.0, log_m_d=3.1, log_m_d_recent=2.9, log_bound_d=3.0))
    assert shown.counted is not None
    assert shown.counted.against.reached
    assert not shown.counted.good.reached  # the lesser of both looks counts
