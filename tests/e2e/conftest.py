"""One session of scenarios: brought up once, played side by side, told in one table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import pytest_asyncio

# The product is the installed one; the scenarios and the shop are this repository's.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.e2e.available import missing
from tests.e2e.equipment import FOLDER, Equipment
from tests.e2e.side_by_side import TURN, Run, Scenario
from tests.e2e.table import Table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_TABLE: Final = pytest.StashKey[Table]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test waits for its scenario's turn: the limit of the other tests is none for these."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TURN))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def run(request: pytest.FixtureRequest) -> AsyncIterator[Run]:
    """Start every scenario of the session; what is lacking here is said at once."""
    chosen = _chosen(request.session.items)
    lacking = missing(alertmanager=any(entry.guard.alertmanager for entry in chosen))
    if lacking:
        pytest.exit("\n".join(["the end-to-end run lacks:", *lacking]), returncode=1)
    equipment = await Equipment.prepare(chosen)
    request.config.stash[_TABLE] = equipment.table
    playing = Run(equipment)
    playing.start(chosen)
    yield playing
    await playing.close()
    await equipment.close()


def _chosen(items: list[pytest.Item]) -> list[Scenario]:
    found = [getattr(getattr(item, "function", None), "scenario", None) for item in items]
    return [entry for entry in found if entry is not None]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, and keep it."""
    table = terminalreporter.config.stash.get(_TABLE, None)
    if table is None:
        return
    table.write(FOLDER)
    terminalreporter.section("what came of each scenario")
    terminalreporter.write_line(table.text())
