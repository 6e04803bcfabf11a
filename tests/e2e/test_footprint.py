"""What the guard costs: time to start, memory, and room for its image."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e import images
from tests.e2e.command import run as command
from tests.e2e.guards import FROZEN
from tests.e2e.policies import Rules
from tests.e2e.side_by_side import Run, scenario
from tests.e2e.stage import GOOD
from tests.e2e.waiting import until

if TYPE_CHECKING:
    from tests.e2e.stage import Stage

HELP_CPU = 0.6
"""Seconds of CPU of `guard --help`."""
MEMORY = 120.0
"""MiB of the guard's process with one rollout."""
IMAGE = 150.0
"""MB that the image adds to its base."""


@pytest.mark.asyncio(loop_scope="session")
async def test_help_takes_little_cpu(run: Run) -> None:
    seconds = [await asyncio.to_thread(_cpu_of_help) for _ in range(5)]
    run.equipment.table.reached(
        "CPU s of guard --help, median", statistics.median(seconds), HELP_CPU
    )


def _cpu_of_help() -> float:
    words = (sys.executable, "-c", "from guard.cli.main import main; main()", "--help")
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


@pytest.mark.asyncio(loop_scope="session")
async def test_the_image_adds_little_to_its_base(run: Run) -> None:
    added = await images.megabytes(images.GUARD) - await images.megabytes(images.BASE)
    run.equipment.table.reached("MB that the image adds to its base", added, IMAGE)


@scenario(FROZEN, {"frugal": Rules(rollout={"bake": "30s"})})
async def test_the_guard_takes_little_memory_with_one_rollout(stage: Stage) -> None:
    opened = await stage.guarded(stage.spec("frugal"))
    await opened.shop.release({**GOOD, "REVISION": "better"})
    await stage.rollout("frugal", lambda r: r.phase == "baking")
    peaks = [0.0]

    async def ended() -> bool:
        peaks.append(await _resident(stage))
        return (await stage.rollouts("frugal"))[-1].ended

    await until(ended, 120.0, "frugal: the rollout ends", every=3.0)
    stage.table.reached("MiB of memory with one rollout, peak", max(peaks), MEMORY)


async def _resident(stage: Stage) -> float:
    """MiB that the guard's process holds now."""
    pod = (await stage.guard.pods())[0]
    where = ("-n", stage.guard.namespace, pod, "--")
    status = await command("kubectl", "exec", *where, "cat", "/proc/1/status")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
