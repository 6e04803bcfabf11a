"""The demo shop, with one worker and with four behind one registry, asked by machines and users."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from guard.core.samples import Reading
from tests.sources.machine_traffic import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SHOP = Path(__file__).parents[2] / "examples" / "shop" / "serve.py"
MISSED_AT_MOST = 10
"""As in tests/sources/test_scrape_machines_only.py."""


@asynccontextmanager
async def shop(port: int, **environment: str) -> AsyncIterator[None]:
    """One pod's process, from when it answers until it has ended.

    The shop is a script beside its modules: it needs the folder that a safe path leaves out. And
    it is no part of the guard, whose coverage is measured in every other process.
    """
    ours = {"PYTHONSAFEPATH", "PYTHONPATH", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SHOP),
        env={**kept, "PORT": str(port), **environment},
        cwd=SHOP.parent,
    )
    try:
        await answers(port)
        yield
    finally:
        process.terminate()
        await process.wait()


async def answers(port: int) -> None:
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}/ready") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "environment",
    [
        {"WORKERS": "1"},
        {"WORKERS": "4"},
        {"WORKERS": "4", "PATH_LABEL": "true"},
    ],
    ids=["one worker", "four workers", "four workers and a path label"],
)
async def test_machines_are_no_users_and_users_are_counted(
    environment: dict[str, str], unused_tcp_port_factory: Callable[[], int]
) -> None:
    ports = {"new": unused_tcp_port_factory(), "old": unused_tcp_port_factory()}
    async with (
        shop(ports["new"], **environment),
        shop(ports["old"], **environment),
        Stage(ports) as stage,
    ):
        await stage.run(130.0)
        assert all(isinstance(sample, Reading) for sample in stage.last.values())
        assert stage.counted == (0, 0)
        await stage.run(60.0, users=1.0)
        await stage.run(20.0, users=0.0)
        for counted in stage.counted:
            assert stage.served - MISSED_AT_MOST <= counted <= stage.served


async def test_workers_without_a_shared_registry_are_told_and_not_counted_any_more(
    unused_tcp_port_factory: Callable[[], int],
) -> None:
    ports = {"new": unused_tcp_port_factory(), "old": unused_tcp_port_factory()}
    apart = {"WORKERS": "4", "SHARED_REGISTRY": "false"}
    async with shop(ports["new"], **apart), shop(ports["old"], WORKERS="1"), Stage(ports) as stage:
        # Which worker answers is the kernel's choice: on an idle machine it is often the same.
        for _ in range(60):
            await stage.run(1.0)
            if stage.state.sight.not_monotonic:
                break
        assert stage.state.sight.not_monotonic
        before = stage.counted
        assert sum(before) <= MISSED_AT_MOST
        await stage.run(110.0)
        assert stage.counted == before
        assert stage.state.sight.not_monotonic
