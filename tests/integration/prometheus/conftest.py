"""The servers that all tests of this folder share: the current Prometheus, and Debian's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.prometheus.scene import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", params=["current", "old"])
def binary(request: pytest.FixtureRequest) -> str:
    prefix = "old_" if request.param == "old" else ""
    return str(request.getfixturevalue(f"{prefix}prometheus_binary"))


@pytest.fixture(scope="session")
def fleet(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    servers = Fleet(binary, tmp_path_factory.mktemp("fleet"))
    servers.start()
    yield servers
    servers.stop()
