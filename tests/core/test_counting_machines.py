"""Counting 7 as a property: whatever the rhythm and phase of machines, they are no users."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.counting import Account, Delta, advance
from guard.core.samples import NoData, NoDataReason, Reading
from guard.core.workloads import Container

BEGAN = 1000.0
OLD = Container("app", started_at=10.0, ready=True)
NEW = Container("app", started_at=BEGAN, ready=True)


@dataclass(frozen=True)
class Asker:
    """A machine that asks every `period` seconds, first at `phase`."""

    period: float
    phase: float

    def asked(self, until: float) -> int:
        return max(math.floor((until - BEGAN - self.phase) / self.period) + 1, 0)


askers = st.lists(
    st.builds(Asker, st.sampled_from([0.5, 1.0, 5.0, 10.0, 15.0, 30.0, 60.0]), st.floats(0.0, 60)),
    max_size=5,
)
pauses = st.lists(st.sampled_from([0.5, 0.5, 1.0, 2.0, 5.0, 40.0]), min_size=2, max_size=60)


def total(machines: list[Asker], until: float) -> int:
    return sum(machine.asked(until) for machine in machines)


def follow(
    machines: list[Asker], pauses: list[float], container: Container, users: float = 0.0
) -> list[Delta]:
    """What is counted where each poll is itself counted, after its own answer."""
    rate = sum(1 / machine.period for machine in machines)
    at, account, found = BEGAN, None, []
    for polls, pause in enumerate(pauses):
        at += pause
        value = total(machines, at) + polls + math.floor((at - BEGAN) * users)
        reading = Reading(
            float(value), 0.0, at, "scrape", machine=rate, sent=polls, ahead=len(machines) + 2
        )
        account, delta = advance(account, reading, container, BEGAN)
        if isinstance(delta, Delta):
            found.append(delta)
    return found


@given(askers, pauses, st.sampled_from([OLD, NEW]))
def test_a_pod_that_only_machines_talk_to_has_no_users(
    machines: list[Asker], pauses: list[float], container: Container
) -> None:
    deltas = follow(machines, pauses, container)
    assert sum(delta.total for delta in deltas) == 0


@given(askers, pauses, st.sampled_from([OLD, NEW]), st.sampled_from([1.0, 7.0]))
def test_of_users_no_more_requests_are_missed_than_machines_may_run_ahead(
    machines: list[Asker], pauses: list[float], container: Container, users: float
) -> None:
    deltas = follow(machines, pauses, container, users)
    counted = sum(delta.total for delta in deltas)
    since = BEGAN if container is NEW else BEGAN + pauses[0]
    came = math.floor((BEGAN + sum(pauses) - BEGAN) * users) - math.floor((since - BEGAN) * users)
    # Machines that have not asked yet are taken off all the same, and twice their number may be
    # asked of the balance: once for those ahead, once for those behind.
    late = sum(math.ceil(machine.phase / machine.period) for machine in machines)
    assert counted <= came
    assert counted >= came - 2 * (len(machines) + 2) - late


READING = Reading(50.0, 5.0, 1010.0, "scrape", ahead=2)


def test_after_a_restart_of_the_guard_the_first_reading_is_only_a_baseline() -> None:
    account: Account | None = None
    account, _ = advance(account, replace(READING, sent=30), OLD, BEGAN)
    again = replace(READING, total=90.0, at=1030.0, sent=1, sent_since=1029.0)
    account, delta = advance(account, again, OLD, BEGAN)
    assert isinstance(delta, NoData)
    assert delta.reason is NoDataReason.BASELINE
    _, delta = advance(account, replace(again, total=100.0, at=1031.0, sent=2), OLD, BEGAN)
    assert delta == Delta(0, 7, 1030.0, 1031.0)


def test_what_a_pod_counted_before_the_guard_was_started_is_no_evidence() -> None:
    _, delta = advance(None, replace(READING, sent_since=1005.0), NEW, BEGAN)
    assert isinstance(delta, NoData)
    assert delta.reason is NoDataReason.BASELINE


def test_where_paths_are_known_a_restart_of_the_guard_costs_nothing() -> None:
    reading = replace(READING, paths_known=True, sent_since=1005.0)
    _, delta = advance(None, reading, NEW, BEGAN)
    assert delta == Delta(5, 50, 1000.0, 1010.0)


@pytest.mark.parametrize("ready", [True, False], ids=["ready", "not ready"])
def test_only_failed_requests_of_the_guard_are_taken_off_the_failed_ones(*, ready: bool) -> None:
    container = replace(OLD, ready=ready)
    account, _ = advance(None, replace(READING, ahead=0, sent=10), OLD, BEGAN)
    later = replace(READING, total=70.0, bad=9.0, at=1011.0, ahead=0, sent=18, sent_bad=1)
    _, delta = advance(account, later, container, BEGAN)
    assert delta == Delta(3, 12, 1010.0, 1011.0)


def test_a_container_that_is_not_ready_has_no_users_however_often_it_is_probed() -> None:
    starting = replace(NEW, ready=False)
    account: Account | None = None
    for at in range(1001, 1181):
        probes = float((at - 1000) // 4)
        reading = Reading(probes, probes, float(at), "scrape", machine=0.2, ahead=3)
        account, delta = advance(account, reading, starting, BEGAN)
        assert delta == Delta(0, 0, max(BEGAN, at - 1.0), at)
    # Its first users reach it when it is ready, and what came late of its probes stays theirs.
    reading = Reading(probes + 2.0, probes + 2.0, 1181.0, "scrape", machine=0.2, ahead=3)
    account, delta = advance(account, reading, NEW, BEGAN)
    assert delta == Delta(0, 0, 1180.0, 1181.0)
    reading = replace(reading, total=probes + 52.0, at=1182.0)
    _, delta = advance(account, reading, NEW, BEGAN)
    assert isinstance(delta, Delta)
    assert (delta.bad, delta.total) == (0, 48)


def test_machines_errors_never_become_users_errors_later() -> None:
    """Ten machines' errors, and then ten users' good requests: none of the users failed."""
    account, bad = None, []
    for at, every, errors in [(100.0, 0, 0), (110.0, 5, 5), (120.0, 15, 5)]:
        reading = Reading(float(every), float(errors), at, "scrape", machine=0.5, ahead=0)
        account, delta = advance(account, reading, None, 100.0)
        if isinstance(delta, Delta):
            bad.append((delta.bad, delta.total))
    assert bad == [(0, 0), (0, 5)]
