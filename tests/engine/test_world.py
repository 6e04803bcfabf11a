"""The circuit breaker (law 7), and the rhythm of looking."""

from __future__ import annotations

import pytest

from guard.core.workloads import WorkloadId
from guard.engine.rhythm import Rhythm, rhythm
from guard.engine.world import Circuit, Options
from tests.engine.cluster import AUTH

OTHER = WorkloadId("kubernetes", "shop", "carts")


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> Circuit:
    return Circuit(Options(circuit_breaker=2, circuit_window=100.0), clock)


def test_it_opens_at_the_bound_and_closes_when_the_window_has_passed(
    clock: Clock, circuit: Circuit
) -> None:
    circuit.rolled_back(AUTH, 950.0)
    assert not circuit.open
    circuit.rolled_back(OTHER, 1000.0)
    assert circuit.open
    clock.at = 1050.0
    assert not circuit.open


def test_a_rollback_counts_once_however_often_it_is_named(circuit: Circuit) -> None:
    circuit.rolled_back(AUTH, 990.0)
    circuit.rolled_back(AUTH, 990.0)
    assert not circuit.open


def test_what_came_to_nothing_counts_no_more(circuit: Circuit) -> None:
    circuit.rolled_back(AUTH, 990.0)
    circuit.rolled_back(AUTH, 991.0)
    circuit.not_rolled_back(AUTH, 990.0)
    circuit.not_rolled_back(OTHER, 991.0)
    assert not circuit.open


def test_what_is_older_than_the_window_is_not_kept(clock: Clock, circuit: Circuit) -> None:
    circuit.rolled_back(AUTH, 1.0)
    assert circuit._counted == set()
    for _ in range(50):
        circuit.rolled_back(AUTH, clock.at)
        clock.at += 60.0
    assert len(circuit._counted) <= 2


@pytest.mark.parametrize(
    ("age", "pause"),
    [(0, 0.5), (29.9, 0.5), (30, 1.0), (59.9, 1.0), (60, 2.0), (119, 2.0), (120, 5.0), (9e9, 5.0)],
)
def test_it_is_quick_after_a_step_and_slower_by_degrees(age: float, pause: float) -> None:
    assert rhythm(age) == pause


def test_seconds_count_from_look_to_look() -> None:
    assert Rhythm(100.0).next(101.0, 101.2) == 101.5


def test_while_the_evidence_grows_it_looks_closer_and_then_as_before() -> None:
    beat = Rhythm(0.0)
    beat.weigh(1.9)
    assert beat.next(200.0, 200.01) == 205.0  # One error is no suspicion yet.
    beat.weigh(2.5)
    assert beat.next(200.0, 200.01) == 200.2
    beat.weigh(2.5)
    assert beat.next(200.2, 200.21) == 205.2
    beat.weigh(40.0)
    beat.weigh(0.0)  # Decided.
    assert beat.next(200.4, 200.41) == 205.4


def test_closer_looks_spend_half_of_the_time_reading_at_most() -> None:
    beat = Rhythm(0.0)
    beat.weigh(2.5)
    assert beat.next(200.0, 200.3) == pytest.approx(200.6)
    assert beat.next(200.0, 204.0) == 205.0
    assert beat.next(1.0, 1.3) == 1.5  # A closer look is never a later one.


def test_the_first_pod_and_every_doubling_of_the_share_are_steps() -> None:
    beat = Rhythm(0.0)
    assert beat.next(300.0, 300.0) == 305.0
    assert not beat.see(1, 0.0, 300.0)  # A pod without users is no reason to look at once.
    assert beat.next(300.0, 300.0) == 300.5
    assert beat.see(1, 0.2, 400.0)
    assert not beat.see(2, 0.39, 500.0)
    assert beat.next(500.0, 500.0) == 502.0
    assert beat.see(2, 0.4, 600.0)
    assert beat.next(600.0, 600.0) == 600.5
    assert not beat.see(2, 0.4, 700.0)
    assert not beat.see(0, 0.0, 700.0)


def test_a_change_of_phase_is_a_step() -> None:
    beat = Rhythm(0.0)
    beat.step(1000.0)
    assert beat.next(1001.0, 1001.0) == 1001.5
