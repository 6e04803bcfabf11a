"""The figures that the whole run must reach, taken from its table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from tests.e2e.prometheus import SCRAPE_INTERVAL
from tests.e2e.table import median
from tests.e2e.test_bad_releases import HALF, NEW_POD, OLD_POD, ROUNDS
from tests.e2e.test_good_releases import KIND as GOOD
from tests.e2e.test_good_releases import RELEASES, STEADY
from tests.e2e.test_paced import FIFTH as PACED_FIFTH
from tests.e2e.test_paced import GOOD_RELEASES
from tests.e2e.test_paced import HALF as PACED_HALF
from tests.e2e.test_paced import KIND_GOOD as PACED_GOOD
from tests.e2e.test_paced import TWENTIETH as PACED_TWENTIETH

if TYPE_CHECKING:
    from tests.e2e.side_by_side import Run
    from tests.e2e.table import Row

pytestmark = pytest.mark.asyncio(loop_scope="session")
ORACLE = math.log(1 / 0.01) / (0.05 * math.log(0.05 / 0.01) + 0.95 * math.log(0.95 / 0.99))
"""Requests by which who knows that it is 5% calls it over 1%, at 1% false alarms: ln(1/α)/KL."""
ORACLES_TIMES = 1.5
ONE_POLL = 10.0
"""Requests of one pod of five in the longest second between two polls."""
LOSES_AT_MOST = 2.5
"""Times what the hand that knows loses in the same run: it needs no evidence, the guard does."""


async def _rows(run: Run, kind: str, at_least: int) -> list[Row]:
    await run.over()
    rows = run.equipment.table.of(kind)
    assert len(rows) >= at_least, f"too few rows of the kind {kind}: run its scenarios too"
    return rows


async def test_half_of_the_requests_failing_is_decided_in_two_seconds(run: Run) -> None:
    rows = await _rows(run, HALF, ROUNDS)
    run.equipment.table.reached("decision, 50% errors, direct scrape, median", _decided(rows), 2.0)


async def test_from_prometheus_it_is_decided_an_interval_and_three_seconds_later(run: Run) -> None:
    rows = await _rows(run, OLD_POD, ROUNDS)
    bound = SCRAPE_INTERVAL + 3.0
    run.equipment.table.reached(f"decision, {OLD_POD}, median", _decided(rows), bound)


async def test_from_prometheus_new_pods_take_five_seconds_more(run: Run) -> None:
    rows = await _rows(run, NEW_POD, ROUNDS)
    bound = SCRAPE_INTERVAL + 8.0
    run.equipment.table.reached(f"decision, {NEW_POD}, median", _decided(rows), bound)


async def test_the_patch_follows_the_decision_within_half_a_second(run: Run) -> None:
    rows = await _rows(run, HALF, ROUNDS)
    run.equipment.table.reached(
        "patch after decision, median", median(rows, _patch_after_decision), 0.5
    )


async def test_users_lose_little_more_than_to_a_hand_that_knows(run: Run) -> None:
    rows = await _rows(run, HALF, ROUNDS)
    lost = sum(row.failed or 0 for row in rows)
    by_hand = sum(row.by_hand or 0 for row in rows)
    assert by_hand, "the hand's users saw nothing: this compares nothing"
    run.equipment.table.reached(
        "failed requests, 50% errors, times the hand's", lost / by_hand, LOSES_AT_MOST
    )


async def test_no_good_release_is_rolled_back(run: Run) -> None:
    rows = await _rows(run, GOOD, RELEASES * len(STEADY))
    undone = [row.scenario for row in rows if row.outcome == "rolled_back"]
    run.equipment.table.reached(f"rollbacks of {len(rows)} good releases", float(len(undone)), 0.0)


# Held at its first pods.


@pytest.mark.parametrize(("kind", "lost", "within"), [(PACED_HALF, 10, 1.5), (PACED_FIFTH, 8, 3.0)])
async def test_a_bad_release_at_its_first_pod_costs_a_handful(
    run: Run, kind: str, lost: int, within: float
) -> None:
    rows = await _rows(run, kind, ROUNDS)
    table = run.equipment.table
    table.reached(f"decision, {kind}, median", _decided(rows), within)
    table.reached(f"failed requests, {kind}, median", median(rows, lambda r: r.failed), lost)


async def test_at_its_first_pod_it_costs_half_of_what_the_hand_that_knows_loses(run: Run) -> None:
    rows = await _rows(run, PACED_HALF, ROUNDS)
    share = median(rows, lambda row: row.failed) / median(rows, lambda row: row.by_hand)
    run.equipment.table.reached("failed requests, paced, 50% errors, of the hand's", share, 0.5)


async def test_a_twentieth_is_found_by_little_more_requests_than_an_oracle_needs(run: Run) -> None:
    rows = await _rows(run, PACED_TWENTIETH, ROUNDS)
    needed = median(rows, lambda row: row.requests)
    bound = ORACLES_TIMES * ORACLE + ONE_POLL
    run.equipment.table.reached("requests to the decision, paced, 5% errors, median", needed, bound)


async def test_no_good_release_is_rolled_back_from_its_first_pods(run: Run) -> None:
    rows = await _rows(run, PACED_GOOD, GOOD_RELEASES)
    undone = [row.scenario for row in rows if row.outcome == "rolled_back"]
    run.equipment.table.reached(f"rollbacks of {len(rows)} paced", float(len(undone)), 0.0)


def _decided(rows: list[Row]) -> float:
    return median(rows, lambda row: row.decided)


def _patch_after_decision(row: Row) -> float | None:
    if row.decided is None or row.patched is None:
        return None
    return row.patched - row.decided
