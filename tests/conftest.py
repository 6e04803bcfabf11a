"""What every test shares: loops that belong to one test, and blocking one of them is an error."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator


class NoImplicitLoop(asyncio.DefaultEventLoopPolicy):
    """Python 3.11 makes a loop whenever somebody only asks for one, and nobody closes it.

    pytest-asyncio asks (`_temporary_event_loop`), and the loop's end shows up as a
    ResourceWarning, hence an error, in whichever test happens to collect the garbage.
    """

    def get_event_loop(self) -> asyncio.AbstractEventLoop:
        if self._local._loop is None:  # type: ignore[attr-defined]
            message = "no loop was set, and none is made"
            raise RuntimeError(message)
        return super().get_event_loop()


asyncio.set_event_loop_policy(NoImplicitLoop())

# No test is about how long an example takes; on a fresh clone the first one builds tables of
# Unicode, which are kept in .hypothesis from then on.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def no_blocking_of_the_event_loop() -> Iterator[None]:
    with blockbuster_ctx("guard") as blocking:
        for function in blocking.functions.values():
            # It has a loop of its own, in a thread.
            function.can_block_in("guard/platforms/kubernetes/connect.py", {"load"})
            # The lock of the coverage measurement, which threads of the guard's hold as well.
            function.can_block_in("coverage/collector.py", {"lock_data"})
        yield


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything is said to be there (GUARD_NO_SKIPS), a test that was left out fails."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("GUARD_NO_SKIPS") or reporter is None:
        return
    if skipped := reporter.stats.get("skipped"):
        reporter.write_line(f"GUARD_NO_SKIPS: {len(skipped)} skipped is a failure", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
