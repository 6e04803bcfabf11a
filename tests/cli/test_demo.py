"""`guard demo` as a stranger runs it: one run of the real command, and how it is stopped."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from click.testing import CliRunner

from guard.cli.demo import demo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ENDS_WITHIN = 60.0
"""Seconds that the demo may take (issue 8, acceptance 1)."""
PAGE = re.compile(r"http://127\.0\.0\.1:\d+/")


@dataclass
class Run:
    """One run of the command."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)

    async def until(self, words: str) -> str:
        """Read on to the line that holds these words."""
        assert self.process.stdout is not None
        while line := (await self.process.stdout.readline()).decode():
            self.lines.append(line.rstrip())
            if words in line:
                return line
        raise AssertionError("\n".join(["it ended without: " + words, *self.lines]))

    async def end(self) -> int:
        """Read to the end."""
        assert self.process.stdout is not None
        self.lines += (await self.process.stdout.read()).decode().splitlines()
        return await self.process.wait()

    def place(self, words: str) -> int:
        return next(number for number, line in enumerate(self.lines) if words in line)


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[Run]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "guard",
        "demo",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        # What the command needs to start, and no setting of anybody's guard.
        env={k: v for k, v in os.environ.items() if not k.startswith(("GUARD_", "KUBE"))},
    )
    try:
        yield Run(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def fetched(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        return json.loads(await answer.text())


@pytest.mark.timeout(90)
async def test_it_promotes_the_good_release_undoes_the_bad_one_and_counts_what_users_lost() -> None:
    began = time.monotonic()
    async with running() as run:
        found = PAGE.search(await run.until("page while this runs"))
        assert found is not None
        await run.until("version 3 fails its first user")
        rollouts = await fetched(f"{found[0]}api/v1/rollouts")
        users = await fetched(f"{found[0]}api/v1/users")
        assert await run.end() == 0, "\n".join(run.lines)
    assert time.monotonic() - began < ENDS_WITHIN

    # The story, in its order.
    places = [
        run.place(words)
        for words in (
            "RELEASE: version 2",
            "good after",
            "PROMOTED version 2",
            "RELEASE: version 3",
            "version 3 fails its first user",
            "DECIDED to undo version 3",
            "put version 2 back",
            "ROLLED BACK: version 2 serves again",
            "What it came to",
        )
    ]
    assert places == sorted(places)

    # The page told the same meanwhile.
    assert {one["phase"] for one in rollouts["rollouts"]} >= {"promoted"}
    cases = {row["case"]: row for row in users["users"]}
    assert cases["version 2, with the guard"]["sent"] > 300
    assert cases["version 3, with the guard"]["failed"] >= 1

    # What was lost, in the last two rows of the table: (failed, sent) with the guard and without.
    rows = [re.findall(r"(\d+) of (\d+) \(", line) for line in run.lines if "its users" in line]
    ((good, good_sent), (good_alone, _)), ((bad, _), (bad_alone, _)) = (
        [(int(failed), int(sent)) for failed, sent in row] for row in rows
    )
    assert max(good, good_alone) < 0.02 * good_sent
    assert 0 < bad < bad_alone


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What a shell starts in the background ignores Ctrl-C, and hands that on to its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
async def test_ctrl_c_stops_it_within_a_second() -> None:
    async with running() as run:
        await run.until("RELEASE: version 2")
        run.process.send_signal(signal.SIGINT)
        began = time.monotonic()
        # Everything is down then; what follows is the interpreter's own end.
        await run.until("stopped")
        assert time.monotonic() - began < 1.0
        assert await run.end() == 130


async def test_a_port_that_is_taken_is_said_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with running("--port", str(port)) as run:
            assert await run.end() == 1
    assert f"cannot listen on 127.0.0.1:{port}" in run.lines[-1]
    assert "choose another address or port" in run.lines[-1]


def test_its_help_says_what_it_needs_and_how_it_ends() -> None:
    words = " ".join(CliRunner().invoke(demo, ["--help"]).output.split())
    assert "no cluster, no Prometheus and no rights" in words
    assert "Exits 0 if" in words
