"""The servers that all tests of this folder share: the current Prometheus, and Debian's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.integration.prometheus.scene import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator


# VictoriaMetrics is in no one's package archive: whoever has it names it, and nothing is skipped.
VICTORIA = os.environ.get("GUARD_TEST_VICTORIAMETRICS", "")


@pytest.fixture(scope="session", params=["current", "old"] + ["victoria"] * bool(VICTORIA))
def binary(request: pytest.FixtureRequest) -> str:
    if request.param == "victoria":
        return VICTORIA
    prefix = "old_" if request.param == "old" else ""
    return str(request.getfixturevalue(f"{prefix}prometheus_binary"))


@pytest.fixture(scope="session")
def fleet(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    servers = Fleet(binary, tmp_path_factory.mktemp("fleet"))
    servers.start()
    yield servers
    servers.stop()


@pytest.fixture
def only_prometheus(binary: str) -> None:
    """For what VictoriaMetrics does in a way of its own, without harm."""
    if binary == VICTORIA:
        pytest.skip("VictoriaMetrics drops NaN, keeps duplicates, shows samples some seconds late")
