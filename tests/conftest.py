"""What every test shares: loops that belong to one test, and blocking one of them is an error."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx

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


@pytest.fixture(autouse=True)
def no_blocking_of_the_event_loop() -> Iterator[None]:
    with blockbuster_ctx("guard"):
        yield
