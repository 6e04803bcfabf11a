"""What every scenario starts with: an empty cluster and nobody guarding it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

from tests.engine.stage import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """One JSON object a line, as the product logs."""
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        cache_logger_on_first_use=False,
    )
    yield
    structlog.configure(**before)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    for guard in stage.guards:
        await guard.kill()
