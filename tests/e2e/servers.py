"""Programs that serve on this machine for the cluster's pods: started, awaited, killed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import aiohttp

from tests.e2e.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

READY_WITHIN = 30.0
"""Seconds from the start of a program until it must answer."""


async def launch(folder: Path, port: int, *argv: str) -> asyncio.subprocess.Process:
    """Start a program whose `/-/ready` tells when it serves, and wait for that.

    Args:
        folder: where its log goes.
        port: where it listens.
        argv: program and arguments.
    """
    with (folder / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(*argv, stdout=log, stderr=log)
    async with aiohttp.ClientSession() as session:

        async def ready() -> bool:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"http://127.0.0.1:{port}/-/ready") as answer:
                    return answer.status == 200
            return False

        await until(ready, READY_WITHIN, f"{argv[0]} answers (its log is in {folder})")
    return process


async def kill(process: asyncio.subprocess.Process) -> None:
    """Kill it with -9, and wait for its end."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
