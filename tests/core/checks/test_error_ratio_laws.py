"""The laws of architecture.md, as properties of the error ratio."""

from __future__ import annotations

import math
import random
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from guard.core.checks.counted_state import CountedState
from guard.core.findings import Verdict
from guard.core.samples import (
    CounterSample,
    NoData,
    NoDataReason,
    Unavailable,
    UnavailableReason,
)
from guard.core.ticks import Youth

if TYPE_CHECKING:
    from tests.core.checks.conftest import Begin, Rollout

STATE = TypeAdapter(CountedState)
PROPERTY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

ABSENT = st.one_of(
    st.builds(NoData, st.sampled_from(NoDataReason)),
    st.builds(Unavailable, st.sampled_from(UnavailableReason)),
    st.sampled_from(["nan", "infinite", "negative", "half", "frozen", "older", "impossible"]),
)


def absent(rollout: Rollout, uid: str, kind: NoData | Unavailable | str) -> CounterSample:
    """A sample of this pod that tells nothing, whatever the pod served meanwhile."""
    if isinstance(kind, NoData | Unavailable):
        return kind
    reading = rollout.reading(uid)
    return {
        "nan": replace(reading, total=math.nan),
        "infinite": replace(reading, bad=math.inf),
        "negative": replace(reading, total=-1.0),
        "half": replace(reading, total=reading.total + 0.5),
        "frozen": replace(reading, at=999.0),
        "older": replace(reading, at=rollout.at - 1e6),
        "impossible": replace(reading, bad=reading.total + 1.0),
    }[kind]


REQUESTS = st.integers(0, 30).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@dataclass(frozen=True)
class Moment:
    """What happens in one second of a random rollout."""

    candidate: tuple[int, int]
    stable: tuple[int, int]
    asked: bool
    prometheus: bool
    event: str


MOMENTS = st.lists(
    st.builds(
        Moment,
        candidate=REQUESTS,
        stable=REQUESTS,
        asked=st.integers(0, 3).map(bool),
        prometheus=st.integers(0, 3).map(lambda n: n == 0),
        event=st.sampled_from(["none"] * 12 + ["candidate comes", "stable goes", "unready"]),
    ),
    min_size=1,
    max_size=50,
)


def live(rollout: Rollout, moment: Moment) -> None:
    """Let one moment pass."""
    if moment.event == "candidate comes":
        rollout.pod(f"c{len(rollout.pods)}")
    elif moment.event == "stable goes" and "s2" in rollout.pods:
        rollout.change("s2", deleted_at=rollout.at)
    elif moment.event == "unready":
        rollout.change("c", ready=not rollout.pods["c"].ready, ready_at=rollout.at)
    rollout.from_prometheus = moment.prometheus
    if moment.asked:
        rollout.poll(c=moment.candidate, s=moment.stable)
    else:
        rollout.serve("c", *moment.candidate)
        rollout.serve("s", *moment.stable)
        rollout.silence()


# Law 1 and 2.


@PROPERTY
@given(kinds=st.lists(st.tuples(ABSENT, ABSENT), min_size=1, max_size=60))
def test_what_tells_nothing_never_fails_and_never_passes(
    begin: Begin, kinds: list[tuple[NoData | Unavailable | str, NoData | Unavailable | str]]
) -> None:
    rollout = begin()
    rollout.pod("s", "old", age=900.0)
    rollout.pod("c")
    for candidate, stable in kinds:
        rollout.serve("c", 50, 100)
        rollout.at += 1.0
        finding = rollout.take(
            {"c/app": absent(rollout, "c", candidate), "s/app": absent(rollout, "s", stable)}
        )
        assert finding.answer in {Verdict.WAIT, Verdict.BLIND}
        assert finding.numbers["total"] == 0


def assert_changes_no_mind(
    rollout: Rollout, kinds: list[NoData | Unavailable | str], seconds: float
) -> None:
    """Absence weighs nothing: beside it, a twin of this rollout is not asked at all.

    What was counted before may be compared only now (M_B waits for a side that lags), in both.
    """
    before = rollout.silence()
    twin = deepcopy(rollout)
    for kind in kinds:
        untouched = twin.silence(seconds=seconds)
        rollout.at += seconds
        after = rollout.take({"c/app": absent(rollout, "c", kind)})
        for verdict in (Verdict.FAIL, Verdict.PASS):
            if untouched.answer is not verdict:
                assert after.answer is not verdict
        for number in ("bad", "total", "m_a", "log_m_d"):
            assert after.numbers[number] == pytest.approx(before.numbers[number])
        assert after.numbers["e_value"] == untouched.numbers["e_value"]


@PROPERTY
@given(
    moments=MOMENTS,
    kinds=st.lists(ABSENT, min_size=1, max_size=40),
    seconds=st.sampled_from([0.5, 1.0, 20.0]),
)
def test_after_any_evidence_absence_alone_changes_no_mind(
    beside: Begin, moments: list[Moment], kinds: list[NoData | Unavailable | str], seconds: float
) -> None:
    rollout = beside()
    for moment in moments:
        live(rollout, moment)
    assert_changes_no_mind(rollout, kinds, seconds)


@PROPERTY
@given(kinds=st.lists(ABSENT, min_size=25, max_size=40), good=st.integers(0, 200))
def test_a_release_once_good_enough_is_not_promoted_while_it_cannot_be_seen(
    beside: Begin, kinds: list[NoData | Unavailable | str], good: int
) -> None:
    rollout = beside()
    rollout.until(20, c=(0, good), s=(0, good))
    for kind in kinds:
        rollout.at += 1.0
        finding = rollout.take({"c/app": absent(rollout, "c", kind)})
    assert finding.answer is Verdict.BLIND


@PROPERTY
@given(moments=MOMENTS)
def test_nothing_passes_without_the_requests_that_it_takes(
    beside: Begin, moments: list[Moment]
) -> None:
    rollout = beside({"allowance": 1})
    for moment in moments:
        live(rollout, moment)
        finding = rollout.silence()
        if finding.answer is Verdict.PASS:
            assert finding.numbers["total"] >= 150
            assert finding.numbers["e_value"] < 3.0


# Law 3, and what a crash may not change.


@PROPERTY
@given(moments=MOMENTS, saved=st.sets(st.integers(0, 50)))
def test_a_state_saved_and_restored_at_any_tick_goes_on_to_the_bit(
    beside: Begin, moments: list[Moment], saved: set[int]
) -> None:
    one, two = (
        beside(youth={"errors": Youth(30, 200)}, before={"errors": Youth(9, 200)}) for _ in range(2)
    )
    for number, moment in enumerate(moments):
        live(one, moment)
        live(two, moment)
        if number in saved:
            two.state = STATE.validate_json(STATE.dump_json(two.state))
        assert two.state == one.state
    assert STATE.dump_json(two.state) == STATE.dump_json(one.state)


@PROPERTY
@given(moments=MOMENTS)
def test_what_polls_are_missed_changes_no_count(beside: Begin, moments: list[Moment]) -> None:
    quiet = [replace(moment, event="none", prometheus=False) for moment in moments]
    often, seldom = beside(), beside()
    for moment in quiet:
        live(often, replace(moment, asked=True))
        live(seldom, moment)
    for rollout in (often, seldom):
        rollout.poll()
    one, two = often.state.sums, seldom.state.sums
    assert (one.bad, one.total, one.stable_bad, one.stable_total) == (
        two.bad,
        two.total,
        two.stable_bad,
        two.stable_total,
    )


def test_evidence_stays_small_however_long_it_is_gathered(beside: Begin) -> None:
    rollout = beside()
    sizes = []
    for _ in range(40):
        rollout.until(50, c=(1, 100), s=(1, 100))
        sizes.append(len(STATE.dump_json(replace(rollout.state, accounts={}))))
    assert max(sizes[2:]) < 5_000
    assert sizes[-1] <= sizes[4] * 1.2


# Law 4.


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("prometheus", [False, True], ids=["one burst", "scraped apart"])
def test_no_shared_incident_undoes_a_release(beside: Begin, seed: int, prometheus: bool) -> None:  # noqa: FBT001
    """0.5% before and after, 10 to 40% for one to three minutes, on both sides alike."""
    chance = random.Random(seed)
    begins, lasts = chance.randint(1, 60), chance.randint(60, 180)
    bad_ratio = chance.choice([0.1, 0.2, 0.4])
    rollout = beside()
    rollout.from_prometheus = prometheus
    pending: dict[str, CounterSample] = {}
    for second in range(300):
        ratio = bad_ratio if begins <= second < begins + lasts else 0.005
        rollout.at += 1.0
        for uid, requests in (("c", 10), ("s", 30)):
            rollout.serve(uid, sum(chance.random() < ratio for _ in range(requests)), requests)
            phase = 4 if uid == "c" else 11
            if not prometheus or second % 15 == phase:
                pending[f"{uid}/app"] = rollout.reading(uid)
        assert rollout.take(dict(pending)).answer is not Verdict.FAIL


@pytest.mark.parametrize("seed", range(8))
def test_a_release_at_half_its_bound_is_not_undone(beside: Begin, seed: int) -> None:
    chance = random.Random(seed)
    rollout = beside()
    for _ in range(300):
        bad, stable = (sum(chance.random() < 0.005 for _ in range(10)) for _ in range(2))
        assert rollout.poll(c=(bad, 10), s=(stable, 10)).answer is not Verdict.FAIL
