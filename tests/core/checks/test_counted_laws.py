"""The laws of architecture.md, as properties of slow ratio and worse than stable."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from guard.core.checks.counted_state import CountedState
from guard.core.findings import Verdict
from guard.core.policy import SlowRatio, WorseThanStable
from guard.core.records import CheckState
from guard.core.ticks import Youth
from tests.core.checks.conftest import LATENCY, OBJECTIVE
from tests.core.checks.test_error_ratio_laws import (
    ABSENT,
    MOMENTS,
    PROPERTY,
    Moment,
    absent,
    assert_changes_no_mind,
    live,
)

if TYPE_CHECKING:
    from guard.core.samples import NoData, Unavailable
    from tests.core.checks.conftest import Begin, Rollout

    Kind = NoData | Unavailable | str

CHECKS = st.sampled_from(
    [
        SlowRatio("errors", LATENCY, above=0.01, allowance=1),
        WorseThanStable("errors", OBJECTIVE, allowance=1),
        WorseThanStable("errors", LATENCY),
    ]
)
YOUTHS = st.sampled_from([{}, {"errors": Youth(0, 500)}, {"errors": Youth(200, 500)}])
STATE = TypeAdapter(CheckState)


def begun(beside: Begin, check: SlowRatio | WorseThanStable, youth: dict[str, Youth]) -> Rollout:
    return beside(check, youth=youth, counted=2)


# Law 1 and 2.


@PROPERTY
@given(
    check=CHECKS,
    youth=YOUTHS,
    kinds=st.lists(st.tuples(ABSENT, ABSENT), min_size=1, max_size=60),
)
def test_what_tells_nothing_never_fails_and_never_passes(
    begin: Begin,
    check: SlowRatio | WorseThanStable,
    youth: dict[str, Youth],
    kinds: list[tuple[Kind, Kind]],
) -> None:
    rollout = begin(check, youth=youth)
    rollout.pod("s", "old", age=900.0)
    rollout.pod("c", age=0.0)
    for candidate, stable in kinds:
        rollout.serve("c", 50, 100)
        rollout.at += 1.0
        finding = rollout.take(
            {"c/app": absent(rollout, "c", candidate), "s/app": absent(rollout, "s", stable)}
        )
        assert finding.answer in {Verdict.WAIT, Verdict.BLIND}
        assert finding.numbers["total"] == 0


@PROPERTY
@given(
    check=CHECKS,
    youth=YOUTHS,
    moments=MOMENTS,
    kinds=st.lists(ABSENT, min_size=1, max_size=40),
    seconds=st.sampled_from([0.5, 1.0, 20.0]),
)
def test_after_any_evidence_absence_alone_changes_no_mind(
    beside: Begin,
    check: SlowRatio | WorseThanStable,
    youth: dict[str, Youth],
    moments: list[Moment],
    kinds: list[Kind],
    seconds: float,
) -> None:
    rollout = begun(beside, check, youth)
    for moment in moments:
        live(rollout, moment)
    assert_changes_no_mind(rollout, kinds, seconds)


@PROPERTY
@given(check=CHECKS, youth=YOUTHS, moments=MOMENTS)
def test_nothing_passes_without_the_requests_that_it_takes(
    beside: Begin,
    check: SlowRatio | WorseThanStable,
    youth: dict[str, Youth],
    moments: list[Moment],
) -> None:
    rollout = begun(beside, check, youth)
    for moment in moments:
        live(rollout, moment)
        finding = rollout.silence()
        if finding.answer is Verdict.PASS:
            assert finding.numbers["total"] >= 150
            assert finding.numbers["e_value"] < 3.0


# Law 3, and what a crash may not change.


@PROPERTY
@given(check=CHECKS, youth=YOUTHS, moments=MOMENTS, saved=st.sets(st.integers(0, 50)))
def test_a_state_saved_and_restored_at_any_tick_goes_on_to_the_bit(
    beside: Begin,
    check: SlowRatio | WorseThanStable,
    youth: dict[str, Youth],
    moments: list[Moment],
    saved: set[int],
) -> None:
    one, two = (begun(beside, check, youth) for _ in range(2))
    for number, moment in enumerate(moments):
        live(one, moment)
        live(two, moment)
        if number in saved:
            restored = STATE.validate_json(STATE.dump_json(two.state))
            assert isinstance(restored, CountedState)
            two.state = restored
        assert two.state == one.state


@pytest.mark.parametrize("poll", [1, 5, 30])
@pytest.mark.parametrize(
    "check",
    [
        SlowRatio("errors", LATENCY, above=0.01, allowance=1),
        WorseThanStable("errors", OBJECTIVE, allowance=1),
    ],
    ids=["slow ratio at its bound", "twice as bad as stable"],
)
def test_a_release_at_its_bound_is_undone_no_more_often_than_stated_however_often_it_is_looked_at(
    beside: Begin, check: SlowRatio | WorseThanStable, poll: int
) -> None:
    """α is 20% here, so that 60 releases show a bound that is broken by much."""
    undone = 0
    for seed in range(60):
        chance = random.Random(seed)
        rollout = beside(check, youth={"errors": Youth(0, 500)}, alpha=0.2)
        served = [(0, 0), (0, 0)]
        for second in range(120):
            drawn = [sum(chance.random() < p for _ in range(20)) for p in (0.01, 0.005)]
            served = [(was[0] + bad, was[1] + 20) for was, bad in zip(served, drawn, strict=True)]
            if second % poll:
                continue
            finding = rollout.poll(seconds=float(poll), c=served[0], s=served[1])
            served = [(0, 0), (0, 0)]
            if finding.answer is Verdict.FAIL:
                undone += 1
                break
    assert undone <= 12


# Law 4.


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("prometheus", [False, True], ids=["one burst", "scraped apart"])
@pytest.mark.parametrize(
    "check",
    [SlowRatio("errors", LATENCY, allowance=2), WorseThanStable("errors", OBJECTIVE)],
    ids=["slow ratio", "worse than stable"],
)
def test_no_shared_incident_undoes_a_release(
    beside: Begin,
    seed: int,
    prometheus: bool,  # noqa: FBT001
    check: SlowRatio | WorseThanStable,
) -> None:
    chance = random.Random(seed)
    begins, lasts = chance.randint(1, 60), chance.randint(60, 180)
    bad_ratio = chance.choice([0.1, 0.2, 0.4])
    rollout = beside(check, youth={"errors": Youth(0, 500)})
    rollout.from_prometheus = prometheus
    pending = {}
    for second in range(300):
        ratio = bad_ratio if begins <= second < begins + lasts else 0.005
        rollout.at += 1.0
        for uid, requests in (("c", 10), ("s", 30)):
            rollout.serve(uid, sum(chance.random() < ratio for _ in range(requests)), requests)
            phase = 4 if uid == "c" else 11
            if not prometheus or second % 15 == phase:
                pending[f"{uid}/app"] = rollout.reading(uid)
        assert rollout.take(dict(pending)).answer is not Verdict.FAIL
