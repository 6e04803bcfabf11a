"""The real servers that integration tests need; where one is missing, why a test was left out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import guard


@pytest.fixture(scope="session", autouse=True)
def _of_the_built_wheel() -> None:
    """`make integration` puts the installed wheel first: a file it lacks is missed here."""
    site = os.environ.get("GUARD_TEST_SITE")
    if site:
        assert Path(guard.__file__).is_relative_to(Path(site).resolve())


@pytest.fixture(scope="session")
def prometheus_binary() -> str:
    """A current Prometheus: GUARD_TEST_PROMETHEUS, else `prometheus` on PATH."""
    found = shutil.which(os.environ.get("GUARD_TEST_PROMETHEUS", "prometheus"))
    if found is None:
        pytest.skip("no Prometheus: put `prometheus` on PATH, or name it by GUARD_TEST_PROMETHEUS")
    return found


@pytest.fixture(scope="session")
def old_prometheus_binary() -> str:
    """A Prometheus 2.42, as Debian 12 has it: GUARD_TEST_PROMETHEUS_OLD."""
    found = shutil.which(os.environ.get("GUARD_TEST_PROMETHEUS_OLD", ""))
    if found is None:
        pytest.skip("no old Prometheus: name one of 2.42 by GUARD_TEST_PROMETHEUS_OLD")
    return found


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """The cluster to test against; tests make namespaces of their own there and remove them."""
    named = os.environ.get("KUBECONFIG", "")
    if not named or not Path(named).is_file():
        pytest.skip("no cluster: name one by KUBECONFIG (kind, k3d or any other)")
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl on PATH, by which tests arrange what a person would")
    return Path(named)
