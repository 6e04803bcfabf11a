"""Counting: nothing twice, nothing invented, over any schedule, restart and change of source."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from guard.core.counting import Account, Delta, advance, seen_without
from guard.core.samples import NoData, NoDataReason, Reading
from guard.core.workloads import Container

BEGAN = 1000.0
OLD = Container("app", started_at=10.0, ready=True)
NEW = Container("app", started_at=1001.0, ready=True)


def scraped(total: float, bad: float | None = 0.0, *, at: float, source: str = "scrape") -> Reading:
    return Reading(total=total, bad=bad, at=at, source=source, paths_known=True)


def take(
    account: Account | None, reading: Reading, container: Container | None = OLD
) -> tuple[Account | None, Delta | NoData]:
    return advance(account, reading, container, BEGAN)


def follow(*readings: Reading, container: Container | None = OLD) -> list[tuple[int, int] | str]:
    """What each reading adds: (bad, total), or the reason why nothing."""
    account: Account | None = None
    said: list[tuple[int, int] | str] = []
    for reading in readings:
        account, delta = take(account, reading, container)
        said.append(delta.reason if isinstance(delta, NoData) else (delta.bad, delta.total))
    return said


# First sight.


def test_the_first_value_of_an_old_container_is_only_a_baseline() -> None:
    assert follow(scraped(500, 7, at=1001), scraped(510, 9, at=1002)) == ["baseline", (2, 10)]


def test_the_first_value_of_a_container_of_this_rollout_counts_from_zero() -> None:
    assert follow(scraped(12, 3, at=1002), container=NEW) == [(3, 12)]


def test_a_container_whose_start_is_cut_to_whole_seconds_still_belongs_to_this_rollout() -> None:
    cut = Container("app", started_at=999.0, ready=True)
    assert advance(None, scraped(12, 3, at=1002), cut, 999.8)[1] == Delta(3, 12, 999.0, 1002)


def test_a_sample_older_than_the_container_it_is_said_to_be_of_is_only_a_baseline() -> None:
    account, delta = take(None, scraped(9000, 90, at=1000.5), NEW)
    assert isinstance(delta, NoData)
    assert delta.reason is NoDataReason.BASELINE
    # What the process after it serves is then no unexplained fall.
    assert take(account, scraped(5, 1, at=1003), NEW)[1] == Delta(1, 5, 1001, 1003)


def test_a_process_older_than_its_container_is_only_a_baseline() -> None:
    reading = replace(scraped(9000, 90, at=1002), process_start=900.0)
    assert isinstance(take(None, reading, NEW)[1], NoData)


def test_a_target_seen_without_the_series_counts_its_first_value() -> None:
    account, delta = take(seen_without(None, 1005.0), scraped(3, 1, at=1010))
    assert delta == Delta(1, 3, 1005.0, 1010)
    assert account is not None
    assert account.at == 1010


def test_a_sample_from_before_the_target_was_seen_without_the_series_is_dropped() -> None:
    account = seen_without(None, 1005.0)
    after, delta = take(account, scraped(3, 1, at=1005))
    assert after is account
    assert isinstance(delta, NoData)
    assert delta.reason is NoDataReason.NOT_NEWER


def test_an_account_that_was_read_before_stays_as_it_is_without_the_series() -> None:
    account, _ = take(None, scraped(500, at=1001))
    assert seen_without(account, 1002.0) is account


def test_a_container_that_nobody_knows_gives_a_baseline_first() -> None:
    assert follow(scraped(5, at=1001), scraped(7, at=1002), container=None) == ["baseline", (0, 2)]


def test_a_process_start_says_since_when_a_first_value_counts() -> None:
    reading = replace(scraped(4, at=1003), process_start=1001.5)
    assert take(None, reading, NEW)[1] == Delta(0, 4, 1001.5, 1003)


# What is no number.


@pytest.mark.parametrize(
    ("total", "bad"),
    [(math.nan, 0.0), (math.inf, 0.0), (-1.0, 0.0), (1.5, 0.0), (5.0, math.nan), (5.0, -1.0)],
)
def test_what_is_no_count_is_no_data_and_leaves_the_account_alone(total: float, bad: float) -> None:
    account, _ = take(None, scraped(5, at=1001))
    after, delta = take(account, scraped(total, bad, at=1002))
    assert after is account
    assert isinstance(delta, NoData)
    assert delta.reason is NoDataReason.NOT_A_NUMBER


def test_a_sample_without_a_time_is_no_data() -> None:
    assert follow(scraped(5, at=math.nan)) == ["not_a_number"]


def test_more_bad_than_total_is_named_as_ambiguous() -> None:
    _, delta = take(None, scraped(5, 6, at=1001))
    assert isinstance(delta, NoData)
    assert delta.reason is NoDataReason.AMBIGUOUS
    assert "bad 6 exceeds total 5" in delta.detail


def test_a_series_of_errors_that_does_not_exist_yet_counts_as_zero() -> None:
    assert follow(
        scraped(5, None, at=1001), scraped(9, None, at=1002), scraped(12, 1, at=1003)
    ) == [
        "baseline",
        (0, 4),
        (1, 3),
    ]


# Order, falls and restarts.


def test_a_sample_that_is_no_newer_is_dropped() -> None:
    assert follow(scraped(5, at=1002), scraped(9, at=1002), scraped(9, at=1001)) == [
        "baseline",
        "not_newer",
        "not_newer",
    ]


def test_a_gap_contributes_nothing_and_the_next_delta_covers_it() -> None:
    account, _ = take(None, scraped(100, 1, at=1001))
    assert take(account, scraped(700, 4, at=1090))[1] == Delta(3, 600, 1001, 1090)


def test_a_fall_with_a_restart_counts_from_zero() -> None:
    account, _ = take(None, scraped(100, 9, at=1001))
    again = replace(OLD, restarts=1, started_at=1004.0)
    assert take(account, scraped(7, 2, at=1006), again)[1] == Delta(2, 7, 1004, 1006)


def test_a_restart_that_only_the_restart_count_tells_counts_from_zero() -> None:
    account, _ = take(None, scraped(100, 9, at=1001))
    _, delta = take(account, scraped(7, 2, at=1006), replace(OLD, restarts=1))
    assert isinstance(delta, Delta)
    assert (delta.bad, delta.total) == (2, 7)


def test_a_restart_between_two_samples_counts_from_zero_although_nothing_fell() -> None:
    account, _ = take(None, scraped(5, 0, at=1001))
    again = replace(OLD, restarts=1, started_at=1002.0)
    assert take(account, scraped(40, 1, at=1010), again)[1] == Delta(1, 40, 1002, 1010)


def test_a_fall_of_the_bad_requests_alone_is_a_fall() -> None:
    assert follow(scraped(100, 9, at=1001), scraped(110, 3, at=1002))[1] == "not_monotonic"


def test_an_unexplained_fall_is_not_monotonic_and_a_new_baseline() -> None:
    assert follow(scraped(100, at=1001), scraped(40, at=1002), scraped(45, at=1003)) == [
        "baseline",
        "not_monotonic",
        (0, 5),
    ]


def test_three_unexplained_falls_say_that_several_processes_answer() -> None:
    account: Account | None = None
    for at, total in enumerate((100, 90, 80, 70), start=1001):
        account, delta = take(account, scraped(total, at=at))
    assert isinstance(delta, NoData)
    assert "several processes" in delta.detail
    assert take(account, scraped(75, at=1006))[1] == delta


def test_a_restart_forgives_earlier_falls() -> None:
    account: Account | None = None
    for at, total in enumerate((100, 90, 80, 70), start=1001):
        account, _ = take(account, scraped(total, at=at))
    again = replace(OLD, restarts=1, started_at=1006.0)
    assert take(account, scraped(3, at=1009), again)[1] == Delta(0, 3, 1006, 1009)


def test_a_sample_older_than_a_restart_already_shown_does_not_use_the_restart_up() -> None:
    """Prometheus' sample is of the process before; the fall comes one scrape later."""
    account, _ = take(None, scraped(100, at=1001, source="prometheus"))
    again = replace(OLD, restarts=1, started_at=1010.0)
    account, delta = take(account, scraped(150, at=1008, source="prometheus"), again)
    assert delta == Delta(0, 50, 1001, 1008)
    _, delta = take(account, scraped(20, at=1023, source="prometheus"), again)
    assert delta == Delta(0, 20, 1010, 1023)


def test_a_container_that_waits_for_its_restart_changes_nothing() -> None:
    account, _ = take(None, scraped(100, at=1001))
    waiting = replace(OLD, restarts=1, started_at=None)
    account, delta = take(account, scraped(101, at=1002), waiting)
    assert delta == Delta(0, 1, 1001, 1002)
    assert account is not None
    assert account.restarts == 0


def test_a_restart_is_noted_even_where_no_fall_showed_it() -> None:
    account, _ = take(None, scraped(100, at=1005))
    again = replace(OLD, restarts=1, started_at=1004.0)
    account, delta = take(account, scraped(120, at=1009), again)
    assert delta == Delta(0, 20, 1005, 1009)
    assert account is not None
    assert account.restarts == 1


def test_a_container_first_known_later_is_no_restart() -> None:
    account, _ = take(None, scraped(100, at=1001), None)
    _, delta = take(account, scraped(40, at=1002), OLD)
    assert isinstance(delta, NoData)
    assert delta.reason is NoDataReason.NOT_MONOTONIC


# Processes by their own start.


def started(total: float, start: float | None, *, at: float, source: str = "scrape") -> Reading:
    return replace(scraped(total, at=at, source=source), process_start=start)


def test_a_later_process_start_is_a_restart_even_without_a_fall() -> None:
    account, _ = take(None, started(100, 10.0, at=1001))
    assert take(account, started(130, 1002.5, at=1004))[1] == Delta(0, 130, 1002.5, 1004)


def test_the_same_process_start_makes_a_fall_unexplained_whatever_the_platform_says() -> None:
    account, _ = take(None, started(100, 10.0, at=1001))
    _, delta = take(account, started(50, 10.0, at=1002), replace(OLD, restarts=1))
    assert isinstance(delta, NoData)
    assert delta.reason is NoDataReason.NOT_MONOTONIC


def test_workers_that_answer_in_turn_are_several_processes_and_add_nothing() -> None:
    account, _ = take(None, started(100, 10.0, at=1001))
    said = []
    for at, (total, start) in enumerate([(300, 11.0), (101, 10.0), (301, 11.0)], start=1002):
        account, delta = take(account, started(total, start, at=at))
        assert isinstance(delta, NoData)
        said.append(delta.detail)
    assert "several processes" in said[-1]
    assert "the counter went from 100 to 300 without a restart" in said[0]


# Two sources in turn.


def test_another_source_that_reads_less_is_dropped_not_rebased() -> None:
    assert follow(
        scraped(100, at=1001),
        scraped(90, at=1002, source="prometheus"),
        scraped(104, at=1003),
    ) == ["baseline", "not_newer", (0, 4)]


def test_another_source_that_still_reads_less_after_a_minute_is_a_fall() -> None:
    assert follow(scraped(100, at=1001), scraped(90, at=1062, source="prometheus")) == [
        "baseline",
        "not_monotonic",
    ]


def test_another_source_that_reads_more_goes_on_where_the_first_stopped() -> None:
    assert follow(scraped(100, at=1001), scraped(107, at=1002, source="prometheus")) == [
        "baseline",
        (0, 7),
    ]


# The requests of machines.


def machines(
    total: float,
    bad: float = 0.0,
    *,
    at: float,
    rate: float = 0.2,
    sent: int = 0,
    sent_bad: int = 0,
) -> Reading:
    return Reading(total, bad, at, "scrape", machine=rate, sent=sent, sent_bad=sent_bad)


def test_what_does_not_exceed_the_machines_requests_is_no_users_traffic() -> None:
    assert follow(machines(100, at=1001), machines(110, at=1051), machines(120, at=1101)) == [
        "baseline",
        (0, 0),
        (0, 0),
    ]


def test_what_exceeds_the_machines_requests_is_users_traffic() -> None:
    # Three may have come right after the baseline and before their mean rate says so.
    assert follow(machines(100, at=1001), machines(150, 3, at=1051)) == ["baseline", (3, 37)]


def test_the_guards_own_requests_are_set_off() -> None:
    assert follow(
        machines(100, at=1001, rate=0.0, sent=5), machines(110, at=1006, rate=0.0, sent=12)
    ) == ["baseline", (0, 2)]


def test_machines_failing_requests_are_set_off_while_the_guards_own_fail_too() -> None:
    assert follow(
        machines(100, 0, at=1001, rate=0.0, sent=5),
        machines(110, 6, at=1006, rate=0.0, sent=10, sent_bad=5),
    ) == ["baseline", (1, 4)]


def test_probes_that_a_slow_starter_answers_with_503_are_no_users_errors() -> None:
    starting = replace(NEW, ready=False)
    account: Account | None = None
    for at in range(1002, 1042):
        probes = float((at - 1001) // 5)
        account, delta = take(account, machines(probes, probes, at=at), starting)
        assert isinstance(delta, Delta)
        assert (delta.bad, delta.total) == (0, 0)
    _, delta = take(account, machines(8 + 50, 8, at=1042), NEW)
    assert isinstance(delta, Delta)
    assert delta.bad == 0
    assert delta.total > 40


def test_a_users_error_seen_before_its_request_was_told_from_a_machines_is_kept() -> None:
    account, _ = take(None, machines(0, at=1002, sent=1), NEW)
    account, delta = take(account, machines(2, 2, at=1003, sent=1), NEW)
    assert isinstance(delta, Delta)
    assert (delta.bad, delta.total) == (0, 0)
    _, delta = take(account, machines(30, 2, at=1004, sent=1), NEW)
    assert isinstance(delta, Delta)
    assert delta.bad == 2


def test_what_was_sent_to_the_process_before_a_restart_is_not_set_off_for_ever() -> None:
    account, _ = take(None, machines(100, at=1001, rate=0.0, sent=500))
    again = replace(OLD, restarts=1, started_at=1002.0)
    account, _ = take(account, machines(1, at=1003, rate=0.0, sent=501), again)
    _, delta = take(account, machines(21, at=1004, rate=0.0, sent=502), again)
    assert isinstance(delta, Delta)
    assert delta.total in (17, 18)
