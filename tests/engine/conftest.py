"""What every scenario starts with: an empty cluster and nobody guarding it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.stage import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    for guard in stage.guards:
        await guard.kill()
