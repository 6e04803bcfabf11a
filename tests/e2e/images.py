"""Builds the two images and makes them known to the cluster's nodes."""

from __future__ import annotations

import asyncio
import os
import shlex
from pathlib import Path
from typing import Final

from tests.e2e.command import run

ROOT: Final = Path(__file__).resolve().parents[2]
BASE: Final = "python:3.11-slim"
GUARD: Final = "deployment-guard:e2e"
SHOP: Final = "deployment-guard-shop:e2e"
OTEL: Final = "deployment-guard-otel:e2e"
UNGUARDED: Final = "e2e-unguarded"
"""The namespace of shops that no guard looks after."""
LOAD: Final = os.environ.get("GUARD_E2E_LOAD", "kind load docker-image")
"""The command that copies local images to the nodes; the images' names follow it."""
BUILD: Final = os.environ.get("GUARD_E2E_BUILD", "docker build --build-arg PIP_INDEX_URL")
"""The command that builds an image; `-t NAME FOLDER` follows it. An index of Python packages that
this machine's own pip is told to use by its environment is used in the build too."""


async def build() -> None:
    """Build both images side by side and load them."""
    wanted = {SHOP: ROOT / "examples" / "shop", GUARD: ROOT}
    await asyncio.gather(*(_build(tag, path) for tag, path in wanted.items()))
    await run(*shlex.split(LOAD), *wanted)


async def build_otel() -> str:
    """Build the service under OpenTelemetry, which one scenario alone needs; returns its name."""
    await _build(OTEL, ROOT / "tests" / "e2e" / "otel")
    await run(*shlex.split(LOAD), OTEL)
    return OTEL


async def _build(tag: str, folder: Path) -> None:
    await run(*shlex.split(BUILD), "-q", "-t", tag, str(folder), within=900.0)


async def megabytes(image: str) -> float:
    """The size of a local image."""
    return int(await run("docker", "image", "inspect", "-f", "{{.Size}}", image)) / 1e6
