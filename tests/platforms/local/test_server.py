"""Faults of a local pod's server: the share is exact in expectation, whatever the clusters."""

from __future__ import annotations

import random

import pytest

from guard.platforms.local.server import Faults


def seeded(ratio: float, length: int) -> Faults:
    faults = Faults(ratio, length)
    faults._random = random.Random(7)
    return faults


@pytest.mark.parametrize("length", [1, 5])
@pytest.mark.parametrize("ratio", [0.002, 0.2, 0.5])
def test_the_share_of_failing_requests_is_what_was_asked(ratio: float, length: int) -> None:
    faults = seeded(ratio, length)
    requests = 100_000
    share = sum(faults.fails() for _ in range(requests)) / requests
    # Four standard deviations, which clusters make wider.
    assert share == pytest.approx(ratio, abs=4 * (ratio * 2 * length / requests) ** 0.5)


def test_failing_requests_come_in_runs_of_at_least_the_asked_length() -> None:
    faults = seeded(0.1, 4)
    text = "".join("x" if faults.fails() else "." for _ in range(5000))
    assert {len(run) % 4 for run in text.strip("x").split(".") if run} == {0}


def test_a_ratio_of_zero_never_fails_and_of_one_always() -> None:
    assert not any(seeded(0.0, 3).fails() for _ in range(1000))
    assert all(seeded(1.0, 1).fails() for _ in range(1000))
