"""The figures that the whole run must reach, taken from its table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.prometheus import SCRAPE_INTERVAL
from tests.e2e.table import median
from tests.e2e.test_bad_releases import HALF, NEW_POD, OLD_POD, ROUNDS
from tests.e2e.test_good_releases import KIND as GOOD
from tests.e2e.test_good_releases import RELEASES, STEADY

if TYPE_CHECKING:
    from tests.e2e.side_by_side import Run
    from tests.e2e.table import Row

pytestmark = pytest.mark.asyncio(loop_scope="session")
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


def _decided(rows: list[Row]) -> float:
    return median(rows, lambda row: row.decided)


def _patch_after_decision(row: Row) -> float | None:
    if row.decided is None or row.patched is None:
        return None
    return row.patched - row.decided
