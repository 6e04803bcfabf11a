"""Runs the commands that a person would type: kubectl, docker, openssl."""

from __future__ import annotations

import asyncio


class CommandError(Exception):
    """A command exited with something other than 0; the text holds what it said."""


async def run(*argv: str, stdin: str | None = None, within: float = 300.0) -> str:
    """Run a command and return its output.

    Args:
        argv: program and arguments; no shell is involved.
        stdin: what it reads.
        within: seconds until it is killed.

    Raises:
        CommandError: it failed, or did not end in time.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    data = stdin.encode() if stdin is not None else None
    try:
        async with asyncio.timeout(within):
            out, err = await process.communicate(data)
    except TimeoutError as error:
        process.kill()
        await process.wait()
        msg = f"{' '.join(argv)}: not done after {within:.0f} s"
        raise CommandError(msg) from error
    if process.returncode:
        msg = f"{' '.join(argv)}: exit {process.returncode}\n{err.decode().strip()[-2000:]}"
        raise CommandError(msg)
    return out.decode()
