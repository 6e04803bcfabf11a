"""Blame: a release answers for what it did, and for nothing that it shares."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from guard.core.checks import blame, counted, counted_finding
from guard.core.checks.blame import Blame, Standing, View
from guard.core.findings import Reason, Verdict
from guard.core.ticks import Youth

if TYPE_CHECKING:
    from guard.core.findings import Finding
    from tests.core.checks.conftest import Begin, Rollout

VIEW = View(
    at=100.0,
    m_a=1.0,
    m_a_stable=1.0,
    m_b=1.0,
    m_better=1.0,
    bound=100.0,
    better_at=100.0,
    stable_was_over=False,
    candidate_recent=100,
    stable_recent=100,
    stable_share=0.5,
    stable_gone=False,
    stable_awaited=False,
    stable_clean=True,
    good_again=False,
    first_at=10.0,
)


def looked(*views: View) -> Blame:
    state = Blame()
    for view in views:
        state, _ = blame.update(state, view)
    return state


# What the service depends on.

OVER = replace(VIEW, m_a=500.0)
"""A release over its bound while stable beside it is clean, and B has not told them apart."""


def waited(view: View) -> Blame:
    return looked(replace(view, at=0.0), replace(view, at=blame.ATTRIBUTING_AT_MOST))


def test_a_release_over_its_bound_is_blamed_while_what_it_depends_on_is_well() -> None:
    assert waited(OVER).standing is Standing.BLAMED


def test_a_service_that_it_depends_on_makes_trouble_shared_while_over_its_own_bound() -> None:
    state = waited(replace(OVER, depends_over=("orders",)))
    assert state.standing is Standing.SHARED
    assert state.depends == ("orders",)
    assert not state.broke_both


def test_such_trouble_stays_shared_until_the_release_was_good_again() -> None:
    state = waited(replace(OVER, depends_over=("orders",)))
    state, anew = blame.update(state, replace(OVER, at=60.0))
    assert (state.standing, anew) == (Standing.SHARED, False)
    state, anew = blame.update(state, replace(VIEW, at=90.0, good_again=True))
    assert (state.standing, state.depends, anew) == (Standing.CLEAR, (), True)


def test_a_release_that_is_worse_than_stable_is_not_excused_by_what_it_depends_on() -> None:
    state = waited(replace(OVER, m_b=500.0, depends_over=("orders",)))
    assert state.standing is Standing.CLEAR


def test_the_finding_names_what_the_service_depends_on(beside: Begin) -> None:
    rollout = beside({"allowance": 1})
    finding = None
    for second in range(60):
        # 2% beside 1.3%: over the bound, and not told apart.
        rollout.serve("c", bad=2, total=100)
        rollout.serve("s", bad=2 if second % 3 == 0 else 1, total=100)
        rollout.at += 1.0
        readings = {f"{uid}/app": rollout.reading(uid) for uid in rollout.pods}
        tick = replace(rollout.tick(readings), depends_over=("orders",))
        rollout.state = counted.update(rollout.state, tick)
        finding = counted_finding.find(rollout.state, tick)
    assert finding is not None
    assert (finding.answer, finding.reason, finding.hold) == (Verdict.WAIT, Reason.SHARED, True)
    assert "orders, which this service depends on, is over its own bound" in finding.text


# Control.


@pytest.mark.parametrize(
    ("candidate", "stable", "control"), [(75, 25, True), (76, 24, False), (0, 5, True)]
)
def test_control_begins_at_a_quarter_of_the_requests(
    candidate: int,
    stable: int,
    control: bool,  # noqa: FBT001  # a row of the table
) -> None:
    view = replace(VIEW, candidate_recent=candidate, stable_recent=stable)
    assert looked(view).control is control


def test_control_once_had_is_kept_down_to_a_fifth_and_what_chance_explains() -> None:
    kept = replace(VIEW, candidate_recent=80, stable_recent=20)
    by_chance = replace(VIEW, candidate_recent=86, stable_recent=14)
    lost = replace(VIEW, candidate_recent=87, stable_recent=13)
    surely = replace(VIEW, candidate_recent=8100, stable_recent=1900)
    assert looked(VIEW, kept).control
    assert looked(VIEW, by_chance).control
    assert not looked(VIEW, surely).control
    assert not looked(VIEW, lost).control
    assert looked(VIEW, lost).ever
    assert not looked(kept).control


def test_without_requests_the_pods_that_are_ready_tell() -> None:
    idle = replace(VIEW, candidate_recent=0, stable_recent=0)
    assert looked(replace(idle, stable_share=0.25)).control
    assert not looked(replace(idle, stable_share=0.24)).control


def test_while_stables_first_counts_are_awaited_the_pods_tell() -> None:
    view = replace(VIEW, stable_recent=0)
    assert not looked(view).control
    assert looked(replace(view, stable_awaited=True)).control


def test_a_stable_that_is_gone_has_no_control_whatever_it_served_of_late() -> None:
    assert not looked(VIEW, replace(VIEW, stable_gone=True)).control


# The table.

OVER = replace(VIEW, m_a=500.0)
LATER = replace(OVER, at=130.0)


def test_over_the_bound_under_control_is_attributed_first() -> None:
    assert looked(OVER).standing is Standing.ATTRIBUTING
    assert looked(OVER, replace(OVER, at=129.0)).standing is Standing.ATTRIBUTING


@pytest.mark.parametrize(
    ("changes", "standing"),
    [
        ({}, Standing.BLAMED),
        ({"stable_clean": False}, Standing.OPEN),
        ({"m_a_stable": 20.0}, Standing.SHARED),
        ({"m_better": 100.0, "m_a_stable": 50.0}, Standing.SHARED),
        (
            {"m_better": 100.0, "m_a_stable": 50.0, "stable_was_over": True},
            Standing.REPAIR,
        ),
        ({"m_a": 99.0}, Standing.CLEAR),
        ({"m_b": 100.0}, Standing.CLEAR),
    ],
)
def test_after_thirty_seconds_stable_decides(changes: dict[str, float], standing: Standing) -> None:
    assert looked(OVER, replace(LATER, **changes)).standing is standing


def test_an_open_question_is_asked_anew_at_each_tick() -> None:
    unclear = replace(LATER, stable_clean=False)
    clear = replace(LATER, at=131.0)
    assert looked(OVER, unclear, clear).standing is Standing.BLAMED


def test_what_fell_under_the_bound_begins_its_thirty_seconds_anew() -> None:
    calm = replace(VIEW, at=120.0)
    assert looked(OVER, calm, LATER).standing is Standing.ATTRIBUTING


@pytest.mark.parametrize(
    ("first_at", "was_over", "broke_both"),
    [(40.0, False, True), (39.0, False, False), (None, False, False), (40.0, True, False)],
)
def test_a_release_may_have_broken_both_when_it_began_within_a_minute(
    first_at: float | None,
    was_over: bool,  # noqa: FBT001  # a row of the table
    broke_both: bool,  # noqa: FBT001  # a row of the table
) -> None:
    shared = replace(LATER, m_a_stable=20.0, first_at=first_at, stable_was_over=was_over)
    assert looked(OVER, shared).broke_both is broke_both


def test_a_shared_incident_lasts_until_the_candidate_is_good_again() -> None:
    shared = replace(LATER, m_a_stable=20.0)
    still = replace(shared, at=140.0, m_a=1.0, m_a_stable=1.0)
    assert looked(OVER, shared, still).standing is Standing.SHARED
    over, anew = blame.update(looked(OVER, shared, still), replace(still, good_again=True))
    assert over.standing is Standing.CLEAR
    assert anew


# Control goes.

ALONE = replace(VIEW, stable_share=0.0, stable_gone=True)


@pytest.mark.parametrize(
    ("changes", "standing"),
    [
        ({"m_a_stable": 1.4}, Standing.CLEAR),
        ({"m_a_stable": 1.5}, Standing.UNATTRIBUTED),
        ({"m_a_stable": 1.5, "m_b": 20.0}, Standing.CLEAR),
        ({"stable_was_over": True}, Standing.UNATTRIBUTED),
        ({"stable_was_over": True, "m_better": 100.0}, Standing.REPAIR),
    ],
)
def test_what_was_shared_is_not_forgotten_when_the_control_goes(
    changes: dict[str, float], standing: Standing
) -> None:
    assert looked(VIEW, replace(ALONE, **changes)).standing is standing


def test_without_control_from_the_start_nothing_was_shared() -> None:
    assert looked(replace(ALONE, m_a_stable=50.0)).standing is Standing.CLEAR


def test_a_repair_stays_one_when_the_control_goes() -> None:
    repair = replace(LATER, m_better=100.0, stable_was_over=True)
    gone = replace(ALONE, m_a=500.0, m_better=90.0, stable_was_over=True)
    state = looked(OVER, repair, gone)
    assert state.standing is Standing.REPAIR
    assert state.unattributed
    assert looked(OVER, repair, gone, replace(gone, good_again=True)).standing is Standing.CLEAR


def test_unattributed_ends_when_the_candidate_was_once_good_enough() -> None:
    state = looked(VIEW, replace(ALONE, m_a_stable=2.0))
    assert blame.update(state, ALONE) == (state, False)
    after, anew = blame.update(state, replace(ALONE, good_again=True))
    assert (after.standing, anew) == (Standing.CLEAR, True)


# Whole rollouts (law 4).


def answers(rollout: Rollout, seconds: int, **requests: tuple[int, int]) -> list[Finding]:
    return [rollout.poll(**requests) for _ in range(seconds)]


def test_a_shared_incident_is_held_told_and_ends_in_a_pass(beside: Begin) -> None:
    rollout = beside()
    rollout.until(20, c=(0, 10), s=(0, 20))
    during = answers(rollout, 120, c=(1, 10), s=(2, 20))
    assert Verdict.FAIL not in {finding.answer for finding in during}
    assert {f.reason for f in during} >= {Reason.ATTRIBUTING, Reason.SHARED}
    last = during[-1]
    assert last.hold
    assert "stable fails too: an incident that both share" in last.text
    assert last.numbers["may_have_broken_both"] == 1.0
    after = answers(rollout, 200, c=(0, 10), s=(0, 20))
    assert Verdict.FAIL not in {finding.answer for finding in after}
    assert after[-1].answer is Verdict.PASS
    assert not after[-1].hold


def test_a_second_trouble_of_the_candidate_alone_is_found_after_a_shared_one(
    beside: Begin,
) -> None:
    rollout = beside()
    rollout.until(20, c=(0, 10), s=(0, 20))
    rollout.until(60, c=(1, 10), s=(2, 20))
    rollout.until(100, c=(0, 10), s=(0, 20))
    assert Verdict.FAIL in {f.answer for f in answers(rollout, 20, c=(2, 10), s=(0, 20))}


def test_a_shared_incident_that_outlasts_the_stable_pods_undoes_nobody(beside: Begin) -> None:
    rollout = beside()
    rollout.until(10, c=(0, 10), s=(0, 20))
    rollout.until(10, c=(3, 10), s=(6, 20))
    rollout.change("s", deleted_at=rollout.at)
    during = answers(rollout, 200, c=(3, 10))
    assert Verdict.FAIL not in {finding.answer for finding in during}
    assert (during[-1].reason, during[-1].hold) == (Reason.UNATTRIBUTED, True)
    after = answers(rollout, 200, c=(0, 10))
    assert after[-1].answer is Verdict.PASS
    assert Verdict.FAIL in {f.answer for f in answers(rollout, 30, c=(3, 10))}


def test_an_incident_that_begins_with_the_first_request_is_not_compared_with_calm_before(
    beside: Begin,
) -> None:
    rollout = beside()
    rollout.until(30, s=(0, 100))
    assert rollout.state.evidence.direct.carried == (0, 0, 0, 0)
    finding = rollout.poll(c=(4, 10), s=(40, 100))
    assert finding.numbers["m_b"] <= 1.0
    assert finding.numbers["m_a_stable"] > 100


def test_a_stable_that_was_merely_suspicious_when_it_went_holds_nobody(beside: Begin) -> None:
    rollout = beside({"allowance": 1})
    rollout.until(3, c=(0, 10), s=(1, 20))
    rollout.change("s", deleted_at=rollout.at)
    seen = answers(rollout, 60, c=(0, 10))
    assert rollout.state.attribution.ever
    assert seen[0].answer is Verdict.WAIT
    assert not any(finding.hold for finding in seen)
    assert seen[-1].answer is Verdict.PASS


def test_a_rollout_of_seconds_is_judged_alone_as_soon_as_stable_is_gone(beside: Begin) -> None:
    rollout = beside()
    rollout.until(3, s=(0, 50))
    rollout.change("s", deleted_at=rollout.at)
    finding = rollout.poll(c=(12, 25))
    assert finding.answer is Verdict.FAIL
    assert "no control" in finding.text


def test_a_bad_release_is_undone_although_its_stable_pods_are_gone(beside: Begin) -> None:
    rollout = beside()
    rollout.until(3, c=(0, 10), s=(0, 20))
    rollout.change("s", deleted_at=rollout.at)
    assert Verdict.FAIL in {f.answer for f in answers(rollout, 60, c=(2, 10))}


def a_little_worse(rollout: Rollout) -> Finding:
    """One second of 1.7% errors beside a stable with half a percent."""
    seconds = int(rollout.at)
    return rollout.poll(c=(1, 60), s=(1 if seconds % 9 == 0 else 0, 20))


def test_a_clean_stable_convicts_a_release_that_b_is_too_weak_for(beside: Begin) -> None:
    rollout = beside({"allowance": 1})
    seen = [a_little_worse(rollout) for _ in range(120)]
    failed = next(finding for finding in seen if finding.answer is Verdict.FAIL)
    assert failed.reason is Reason.BLAMED
    assert "stable is clean at the same time, so the release is to blame" in failed.text
    assert failed.numbers["e_value"] < failed.numbers["bound"]


def test_a_stable_that_is_neither_clean_nor_bad_leaves_the_question_open(beside: Begin) -> None:
    rollout = beside({"allowance": 1})
    seen = [rollout.poll(c=(1, 60), s=(rollout.at % 6 == 0, 20)) for _ in range(140)]
    assert Verdict.FAIL not in {finding.answer for finding in seen}
    assert (seen[-1].reason, seen[-1].hold) == (Reason.ATTRIBUTING, True)
    assert "neither clean nor clearly bad" in seen[-1].text


def test_nobody_is_blamed_while_the_candidate_cannot_be_seen(beside: Begin) -> None:
    rollout = beside({"allowance": 1})
    while a_little_worse(rollout).reason is not Reason.ATTRIBUTING:
        pass
    for _ in range(60):
        assert rollout.silence().answer is not Verdict.FAIL


def test_a_repair_is_never_held_back(beside: Begin) -> None:
    rollout = beside(before={"errors": Youth(bad=300, total=1000)})
    seen = answers(rollout, 120, c=(5, 100), s=(30, 100))
    assert Verdict.FAIL not in {finding.answer for finding in seen}
    assert (seen[-1].reason, seen[-1].hold) == (Reason.REPAIR, False)
    rollout.change("s", deleted_at=rollout.at)
    alone = answers(rollout, 60, c=(5, 100))
    assert {(f.answer, f.reason) for f in alone} == {(Verdict.WAIT, Reason.REPAIR)}


def test_a_stable_that_broke_with_the_release_is_never_called_a_repair(beside: Begin) -> None:
    rollout = beside()
    rollout.until(5, c=(5, 100), s=(0, 100))
    rollout = beside()
    rollout.until(5, c=(0, 100), s=(0, 100))
    seen = answers(rollout, 120, c=(5, 100), s=(20, 100))
    assert Reason.REPAIR not in {finding.reason for finding in seen}


def test_first_counts_of_the_candidate_wait_for_those_of_stable(begin: Begin) -> None:
    rollout = begin()
    rollout.pod("s", "old", age=900.0)
    rollout.serve("s", 500, 5000)
    rollout.pod("c")
    first = rollout.poll(c=(20, 40), s=(20, 40))
    assert first.numbers["m_a"] > 100
    assert (first.answer, first.reason) == (Verdict.WAIT, Reason.ATTRIBUTING)
    assert rollout.poll(c=(20, 40), s=(20, 40)).answer is Verdict.WAIT


@pytest.mark.parametrize("prometheus", [False, True])
def test_stables_first_counts_are_not_awaited_for_ever(begin: Begin, prometheus: bool) -> None:  # noqa: FBT001
    rollout = begin()
    rollout.from_prometheus = prometheus
    rollout.pod("s", "old", age=900.0)
    rollout.pod("c")
    seen = []
    for _ in range(40):
        rollout.serve("c", 5, 10)
        rollout.at += 1.0
        seen.append(rollout.take({"c/app": rollout.reading("c")}))
    failed = [finding.answer for finding in seen].index(Verdict.FAIL)
    assert failed == (30 if prometheus else 10)


def test_chance_alone_takes_no_control_from_one_stable_pod_of_five(beside: Begin) -> None:
    rollout = beside()
    rollout.until(10, c=(0, 6), s=(0, 4))
    seen = [rollout.poll(c=(0, 83), s=(0, 17)) for _ in range(3)]
    seen += [rollout.poll(c=(0, 8), s=(0, 2)) for _ in range(40)]
    assert all(finding.numbers["control"] for finding in seen)


def test_a_stable_with_a_tenth_of_the_requests_loses_control(beside: Begin) -> None:
    rollout = beside()
    rollout.until(10, c=(0, 6), s=(0, 4))
    assert not rollout.until(40, c=(0, 9), s=(0, 1)).numbers["control"]
