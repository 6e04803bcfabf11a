"""A small API server and a client of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.platforms.kubernetes.apiserver import ApiServer, client_of, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from guard.platforms.kubernetes.api import Api


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with serving(ApiServer()) as running:
        yield running


@pytest.fixture
async def api(server: ApiServer) -> AsyncIterator[Api]:
    async with client_of(server.url, token="s3cret") as client:
        yield client
