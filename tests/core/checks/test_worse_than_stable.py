"""Worse than stable: a comparison with the revision beside it, over a floor."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest

from guard.core.checks import bounds, counted
from guard.core.findings import Reason, Verdict
from guard.core.policy import WorseThanStable
from guard.core.ticks import Frame
from tests.core.checks.conftest import LATENCY, OBJECTIVE

if TYPE_CHECKING:
    from guard.core.findings import Finding
    from tests.core.checks.conftest import Begin, Rollout

WORSE = WorseThanStable("against", OBJECTIVE, allowance=1)


def serve(rollout: Rollout, ratios: tuple[float, float], seconds: int, rate: int = 100) -> Finding:
    """Candidate and stable fail this often, evenly, `rate` requests a second each."""
    owed = [0.0, 0.0]
    finding = rollout.silence(seconds=0.0)
    for _ in range(seconds):
        owed = [was + ratio * rate for was, ratio in zip(owed, ratios, strict=True)]
        bad = [math.floor(one) for one in owed]
        owed = [one - whole for one, whole in zip(owed, bad, strict=True)]
        finding = rollout.poll(c=(bad[0], rate), s=(bad[1], rate))
        if finding.answer is Verdict.FAIL:
            break
    return finding


def test_what_is_nine_times_worse_is_found_although_it_is_under_the_bound(beside: Begin) -> None:
    rollout = beside(WORSE)
    finding = serve(rollout, (0.009, 0.001), 300)
    assert (finding.answer, finding.reason) == (Verdict.FAIL, Reason.WORSE_THAN_STABLE)
    assert finding.kind == "worse_than_stable"
    assert "the bound is 2 times stable's, and never under 0.2%" in finding.text
    assert "100 decides" in finding.text
    assert rollout.at < 1000 + 120


def test_what_is_worse_under_the_floor_is_left_alone(beside: Begin) -> None:
    finding = serve(beside(WORSE), (0.0003, 0.0001), 1200)
    assert (finding.answer, finding.reason) == (Verdict.PASS, Reason.GOOD_ENOUGH)


def test_what_is_less_than_twice_as_bad_is_left_alone(beside: Begin) -> None:
    assert serve(beside(WORSE), (0.006, 0.0034), 1200).answer is not Verdict.FAIL


@pytest.mark.parametrize("seed", range(6))
def test_an_incident_that_both_share_fails_nobody(beside: Begin, seed: int) -> None:
    chance = random.Random(seed)
    rollout = beside(WORSE)
    for second in range(240):
        shared = 0.1 if 60 <= second < 180 else 0.0
        bad, stable = (
            sum(chance.random() < ratio + shared for _ in range(100)) for ratio in (0.0054, 0.003)
        )
        assert rollout.poll(c=(bad, 100), s=(stable, 100)).answer is not Verdict.FAIL


def test_without_control_the_last_e_stands_whatever_comes(beside: Begin) -> None:
    rollout = beside(WORSE)
    serve(rollout, (0.009, 0.001), 20)
    before = rollout.silence().numbers
    assert before["e_value"] > 1.0
    assert before["control"] == 1.0
    rollout.change("s", deleted_at=rollout.at)
    after = rollout.until(100, c=(50, 100))
    assert after.numbers["control"] == 0.0
    assert after.numbers["e_value"] == before["e_value"]
    assert after.answer is not Verdict.FAIL


def test_a_comparison_that_decided_stands_when_stable_goes(beside: Begin) -> None:
    rollout = beside(WORSE)
    serve(rollout, (0.2, 0.001), 20)
    rollout.change("s", deleted_at=rollout.at)
    finding = rollout.poll(c=(0, 100))
    assert (finding.answer, finding.reason) == (Verdict.FAIL, Reason.WORSE_THAN_STABLE)
    assert "as it last stood beside stable" in finding.text


def test_a_release_without_anything_to_compare_with_is_judged_by_nothing(begin: Begin) -> None:
    rollout = begin(WORSE)
    rollout.pod("c")
    rollout.poll()
    finding = rollout.until(60, c=(50, 100))
    assert finding.numbers["e_value"] == 1.0
    assert finding.answer is Verdict.WAIT


def test_being_no_worse_for_a_few_requests_earns_no_promotion(beside: Begin) -> None:
    finding = beside(WORSE).until(1, c=(0, 100), s=(0, 100))
    assert (finding.answer, finding.reason) == (Verdict.WAIT, Reason.COLLECTING)
    assert finding.numbers["missing"] > 0


def test_a_promotion_takes_the_same_requests_as_the_bound_beside_it(beside: Begin) -> None:
    worse, errors = beside(WORSE), beside({"allowance": 1})
    one, two = (each.until(1, c=(0, 10), s=(0, 10)).numbers for each in (worse, errors))
    assert one["missing"] == two["missing"]


def test_clusters_that_are_too_large_decide_nothing(beside: Begin) -> None:
    rollout = beside(WorseThanStable("against", OBJECTIVE, allowance=11))
    finding = serve(rollout, (0.5, 0.0), 60)
    assert (finding.answer, finding.reason) == (Verdict.WAIT, Reason.TOO_CLUSTERED)
    assert finding.numbers["e_value"] <= 1.0


def test_its_floor_is_a_fifth_of_the_bound_unless_it_is_stated() -> None:
    assert bounds.floor(WorseThanStable("w", OBJECTIVE, above=0.05)) == pytest.approx(0.01)
    assert bounds.floor(WorseThanStable("w", OBJECTIVE, floor=0.003)) == 0.003
    state = counted.begin(WorseThanStable("w", OBJECTIVE, factor=3.0), Frame(began_at=0.0))
    assert (state.bound.psi0, state.bound.p0, state.bound.good) == (3.0, 0.002, 0.01)


def test_slow_requests_are_compared_alike(beside: Begin) -> None:
    rollout = beside(WorseThanStable("slower", LATENCY, above=0.05, allowance=1))
    rollout.until(61, c=(0, 100), s=(0, 100))
    finding = serve(rollout, (0.04, 0.002), 200)
    assert (finding.answer, finding.reason) == (Verdict.FAIL, Reason.WORSE_THAN_STABLE)
    assert "took over 500 ms" in finding.text


def test_from_prometheus_too_the_factor_is_left_alone(beside: Begin) -> None:
    rollout = beside(WORSE)
    rollout.from_prometheus = True
    assert serve(rollout, (0.006, 0.0034), 900).answer is not Verdict.FAIL
    bad = beside(WORSE)
    bad.from_prometheus = True
    assert serve(bad, (0.05, 0.001), 900).answer is Verdict.FAIL
