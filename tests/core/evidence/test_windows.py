"""Trailing windows: bounded memory, whole counts, the longer of seconds and requests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guard.core.evidence.windows import BINS_AT_MOST, Bin, add, trailing


def filled(*polls: tuple[float, int, int, int, int]) -> tuple[Bin, ...]:
    bins: tuple[Bin, ...] = ()
    for at, *counts in polls:
        bad, total, stable_bad, stable_total = counts
        bins = add(bins, at, (bad, total, stable_bad, stable_total))
    return bins


def test_polls_of_one_second_share_a_bin() -> None:
    assert filled((0.0, 1, 2, 3, 4), (0.5, 1, 2, 3, 4)) == (Bin(0.0, 2, 4, 6, 8),)


def test_the_window_is_the_last_seconds_of_a_side() -> None:
    bins = filled((0.0, 9, 9, 9, 9), (40.0, 1, 10, 0, 20), (60.0, 2, 10, 1, 20))
    assert trailing(bins, 65.0, 30.0, 0.0) == (3, 20)
    assert trailing(bins, 65.0, 30.0, 0.0, stable=True) == (1, 40)


def test_the_window_reaches_back_for_the_requests_it_needs() -> None:
    bins = filled((0.0, 9, 9, 0, 0), (40.0, 1, 10, 0, 0), (60.0, 2, 10, 0, 0))
    assert trailing(bins, 65.0, 3.0, 15.0) == (3, 20)
    assert trailing(bins, 65.0, 3.0, 21.0) == (12, 29)


@given(st.lists(st.floats(0.1, 30.0), min_size=1, max_size=400))
def test_memory_is_bounded_and_no_request_is_lost(pauses: list[float]) -> None:
    bins: tuple[Bin, ...] = ()
    at = 0.0
    for pause in pauses:
        at += pause
        bins = add(bins, at, (1, 2, 3, 4))
        assert len(bins) <= BINS_AT_MOST
    requests = 2 * len(pauses)
    assert trailing(bins, at, 0.0, requests) == (len(pauses), requests)
    assert [one.since for one in bins] == sorted(one.since for one in bins)


def test_old_bins_grow_coarser_and_the_newest_stay_fine() -> None:
    bins = filled(*((float(at), 1, 2, 0, 0) for at in range(1000)))
    assert len(bins) <= BINS_AT_MOST
    assert trailing(bins, 999.0, 10.0, 0.0) == (11, 22)
    assert trailing(bins, 999.0, 2000.0, 0.0) == (1000, 2000)
