"""Both sides of a rollout over the same time: gaps postpone the comparison, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from guard.core.evidence.comparison import ZERO
from guard.core.samples import Unavailable, UnavailableReason

if TYPE_CHECKING:
    from tests.core.checks.conftest import Begin

TIMEOUT = Unavailable(UnavailableReason.TIMEOUT)


def test_a_target_with_a_gap_postpones_the_comparison_for_both_sides(beside: Begin) -> None:
    rollout = beside()
    rollout.poll(c=(0, 10), s=(0, 10))
    for _ in range(5):
        rollout.poll({"s": TIMEOUT}, c=(5, 10), s=(5, 10))
    direct = rollout.state.evidence.direct
    assert direct.carried == (25, 50, 0, 0)
    assert rollout.state.sums.bad == 25
    rollout.poll(c=(5, 10), s=(5, 10))
    direct = rollout.state.evidence.direct
    assert direct.carried == ZERO
    assert max(direct.r) <= rollout.state.evidence.spend.spent


def test_a_shared_incident_during_which_one_side_cannot_be_read_undoes_nobody(
    beside: Begin,
) -> None:
    rollout = beside()
    rollout.until(30, c=(0, 10), s=(0, 30))
    for _ in range(100):
        rollout.poll({"c": TIMEOUT}, c=(3, 10), s=(9, 30))
    finding = rollout.until(5, c=(0, 10), s=(0, 30))
    assert finding.numbers["bad"] == 300
    assert finding.numbers["m_b"] < 20
    assert finding.numbers["m_a"] > 1000
    assert finding.answer == "WAIT"


def test_a_target_lost_for_more_than_a_minute_holds_the_comparison_up_no_longer(
    beside: Begin,
) -> None:
    rollout = beside()
    rollout.pod("s2", "old", age=900.0)
    rollout.poll(c=(0, 10), s=(0, 10), s2=(0, 10))
    for _ in range(59):
        rollout.poll({"s2": TIMEOUT}, c=(0, 10), s=(0, 10))
        assert rollout.state.evidence.direct.carried[1] > 0
    for _ in range(4):
        rollout.poll({"s2": TIMEOUT}, c=(0, 10), s=(0, 10))
    assert rollout.state.evidence.direct.carried == ZERO


def test_what_a_target_says_after_a_long_gap_is_compared_with_nothing(beside: Begin) -> None:
    rollout = beside()
    rollout.poll(c=(0, 10), s=(0, 10))
    for _ in range(70):
        rollout.poll({"c": TIMEOUT}, c=(1, 10), s=(0, 10))
    before = rollout.state
    after = rollout.poll(c=(1, 10), s=(0, 10))
    assert after.numbers["bad"] == 71
    assert rollout.state.evidence.direct.r == pytest.approx(before.evidence.direct.r, rel=0.01)


def test_after_the_guard_itself_was_away_both_sides_gap_is_one_poll(beside: Begin) -> None:
    rollout = beside()
    rollout.poll(c=(0, 10), s=(0, 10))
    finding = rollout.poll(seconds=400.0, c=(200, 4000), s=(4, 4000))
    assert finding.numbers["m_b"] > 100


def test_from_prometheus_a_missed_scrape_keeps_the_slot_open(beside: Begin) -> None:
    rollout = beside()
    rollout.from_prometheus = True
    for _ in range(3):
        rollout.poll(seconds=15.0, c=(0, 10), s=(0, 10))
    middle = rollout.state.evidence.shifted.quick.middle
    rollout.poll({"s": TIMEOUT}, seconds=15.0, c=(5, 10), s=(5, 10))
    rollout.poll({"s": TIMEOUT}, seconds=15.0, c=(5, 10), s=(5, 10))
    shifted = rollout.state.evidence.shifted
    assert middle == (0, 10, 0, 10)
    assert shifted.slot == (5, 10, 0, 0)
    rollout.poll(seconds=15.0, c=(5, 10), s=(5, 10))
    assert rollout.state.evidence.shifted.quick.middle == (10, 20, 15, 30)


def test_how_old_a_pod_was_when_it_failed_is_known_beside_how_old_any_was(beside: Begin) -> None:
    rollout = beside()
    rollout.pod("fresh")
    rollout.poll(fresh=(0, 10), s=(0, 10))
    rollout.poll(fresh=(3, 10), s=(0, 10))
    finding = rollout.until(20, fresh=(0, 10), s=(5, 10))
    assert finding.numbers["bad_age"] == 2.0
    assert finding.numbers["age"] == 22.0


def test_a_failing_pod_that_was_never_ready_is_as_old_as_its_container(beside: Begin) -> None:
    rollout = beside()
    rollout.pod("fresh", ready=False)
    finding = rollout.until(4, fresh=(1, 10), s=(0, 10))
    assert finding.numbers["bad_age"] == finding.numbers["age"] == 4.0
