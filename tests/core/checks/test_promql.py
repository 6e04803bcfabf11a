"""Free PromQL told as evaluations: only new data count, and what was there before is no fault."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.checks import promql
from guard.core.checks.promql import PromqlState
from guard.core.findings import Finding, Reason, Verdict
from guard.core.policy import Promql
from guard.core.samples import (
    Measured,
    NoData,
    NoDataReason,
    Sample,
    Unavailable,
    UnavailableReason,
)
from guard.core.ticks import Frame, Tick
from guard.core.workloads import Revision, Snapshot, WorkloadId

QUEUE = Promql("queue depth", 'max(queue_depth{pod=~"$candidate"})', above=100.0, failures=3)
BEGAN = 1000.0
REVISION = Revision("new", "new", 2, "rs", BEGAN)
SNAPSHOT = Snapshot(WorkloadId("kubernetes", "shop", "auth"), "u", 1, BEGAN, REVISION, 4)


def tick(at: float, sample: Sample | None) -> Tick:
    values = {} if sample is None else {QUEUE.name: sample}
    return Tick(at, SNAPSHOT, frozenset({"new"}), frozenset({"old"}), values=values)


def told(*samples: Sample | None, check: Promql = QUEUE) -> Finding:
    """What the check says after one evaluation a second."""
    state: PromqlState = promql.begin(check, Frame(BEGAN))
    at = BEGAN
    for at, sample in enumerate(samples, int(BEGAN) + 1):
        state = promql.update(state, tick(at, sample))
    return promql.find(state, tick(at, samples[-1] if samples else None))


def values(*numbers: float) -> list[Sample]:
    return [Measured(number, BEGAN + second) for second, number in enumerate(numbers, 1)]


def test_before_the_first_evaluation_it_waits() -> None:
    assert told().answer is Verdict.WAIT
    assert told(None).reason is Reason.COLLECTING


def test_a_value_inside_its_bound_passes() -> None:
    found = told(*values(5.0))
    assert (found.answer, found.reason) == (Verdict.PASS, Reason.INSIDE_BOUND)
    assert found.numbers["value"] == 5.0
    assert found.query == QUEUE.expr


def test_the_stated_number_of_new_values_beyond_the_bound_fails() -> None:
    assert told(*values(5.0, 200.0, 200.0)).answer is Verdict.WAIT
    found = told(*values(5.0, 200.0, 200.0, 200.0))
    assert (found.answer, found.reason) == (Verdict.FAIL, Reason.BEYOND_BOUND)
    assert "above 100 for 3 evaluations" in found.text


def test_one_value_inside_the_bound_begins_the_count_anew() -> None:
    assert told(*values(5.0, 200.0, 200.0, 5.0, 200.0, 200.0)).answer is Verdict.WAIT


def test_a_lower_bound_fails_below_it() -> None:
    check = replace(QUEUE, above=None, below=10.0, failures=1)
    assert told(*values(50.0, 9.0), check=check).answer is Verdict.FAIL
    assert told(*values(50.0, 10.0), check=check).answer is Verdict.PASS


def test_the_same_data_asked_again_count_once() -> None:
    same = [Measured(200.0, BEGAN + 1.0)] * 5
    assert told(Measured(5.0, BEGAN), *same).numbers["beyond"] == 1.0


def test_older_data_of_another_replica_are_not_taken_in() -> None:
    assert told(Measured(5.0, BEGAN + 2.0), Measured(200.0, BEGAN + 1.0)).numbers["beyond"] == 0.0


def test_a_value_beyond_the_bound_from_the_start_is_pre_existing_until_it_was_inside_once() -> None:
    found = told(*values(200.0, 200.0, 200.0, 200.0))
    assert (found.answer, found.reason) == (Verdict.WAIT, Reason.PRE_EXISTING)
    assert told(*values(200.0, 5.0, 200.0, 200.0, 200.0)).answer is Verdict.FAIL


@pytest.mark.parametrize(
    "absent",
    [
        pytest.param(NoData(NoDataReason.NO_SERIES), id="empty"),
        pytest.param(Unavailable(UnavailableReason.TIMEOUT), id="no answer"),
        pytest.param(Measured(math.nan, BEGAN + 2.0), id="not a number"),
    ],
)
def test_an_absent_value_is_blindness_and_says_since_when(absent: Sample) -> None:
    found = told(*values(5.0), absent, absent, absent)
    assert (found.answer, found.reason) == (Verdict.BLIND, Reason.NO_DATA)
    assert "for 2 s" in found.text


def test_data_that_grow_old_are_blindness_and_new_ones_end_it() -> None:
    state = promql.begin(QUEUE, Frame(BEGAN, interval=30.0))
    old = Measured(5.0, BEGAN)
    state = promql.update(state, tick(BEGAN + 90.0, old))
    assert promql.find(state, tick(BEGAN + 90.0, old)).answer is Verdict.PASS
    state = promql.update(state, tick(BEGAN + 91.0, old))
    assert "stale" in promql.find(state, tick(BEGAN + 91.0, old)).text
    state = promql.update(state, tick(BEGAN + 92.0, Measured(5.0, BEGAN + 92.0)))
    assert promql.find(state, tick(BEGAN + 92.0, None)).answer is Verdict.PASS


def test_a_tick_without_an_evaluation_changes_nothing() -> None:
    state = promql.update(promql.begin(QUEUE, Frame(BEGAN)), tick(BEGAN + 1, values(5.0)[0]))
    assert promql.update(state, tick(BEGAN + 2, None)) is state


def test_infinity_is_a_value_and_stays_a_finite_number_in_the_record() -> None:
    found = told(*values(5.0, math.inf, math.inf, math.inf))
    assert found.answer is Verdict.FAIL
    assert math.isfinite(found.numbers["value"])


ABSENT = st.sampled_from(
    [
        NoData(NoDataReason.NO_SERIES),
        NoData(NoDataReason.STALE),
        Unavailable(UnavailableReason.REFUSED),
        Measured(math.nan, BEGAN + 1),
        Measured(5.0, BEGAN - 1000.0),
        Measured(500.0, BEGAN - 1000.0),
    ]
)


@given(st.lists(ABSENT, min_size=1, max_size=20))
def test_blindness_alone_never_fails_and_never_passes(samples: list[Sample]) -> None:
    assert told(*samples).answer not in {Verdict.FAIL, Verdict.PASS}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(1, 5))
def test_no_rhythm_of_asking_fails_with_fewer_data_than_stated(
    repeats: list[int], failures: int
) -> None:
    """Law 3 for rules: each data time may be asked for any number of times, also never."""
    check = replace(QUEUE, failures=failures)
    asked = [
        Measured(200.0, BEGAN + second)
        for second, times in enumerate(repeats, 1)
        for _ in range(times)
    ]
    distinct = len({sample.at for sample in asked})
    found = told(Measured(5.0, BEGAN), *asked, check=check)
    assert (found.answer is Verdict.FAIL) == (distinct >= failures)
