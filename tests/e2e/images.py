"""Builds the two images and makes them known to the cluster's nodes."""

from __future__ import annotations

import asyncio
import os
import shlex
from pathlib import Path
from typing import Final

from tests.e2e.command import run

ROOT: Final = Path(__file__).resolve().parents[2]
GUARD: Final = "deployment-guard:e2e"
SHOP: Final = "deployment-guard-shop:e2e"
LOAD: Final = os.environ.get("GUARD_E2E_LOAD", "kind load docker-image")
"""The command that copies local images to the nodes; the images' names follow it."""


async def build(*, guard: bool) -> None:
    """Build both images side by side and load them."""
    wanted = {SHOP: ROOT / "examples" / "shop"} | ({GUARD: ROOT} if guard else {})
    await asyncio.gather(
        *(run("docker", "build", "-q", "-t", tag, str(path)) for tag, path in wanted.items())
    )
    await run(*shlex.split(LOAD), *wanted)
