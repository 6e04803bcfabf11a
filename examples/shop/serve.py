"""Starts the shop: prepares what several workers share, then hands over to uvicorn.

The two ways of dying on purpose live here, where they end the whole container.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from faults import settings_from

if TYPE_CHECKING:
    from faults import Settings

GRACE = 10
"""Seconds for the requests under way at SIGTERM."""


def main() -> None:
    """Run until SIGTERM, or until a fault ends the process."""
    try:
        settings = settings_from()
    except ValueError as error:
        sys.exit(str(error))
    if settings.workers > 1 and settings.shared_registry:
        # Must be set before prometheus_client is imported, which only the workers do.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="registry-")
    _plan_death(settings)
    uvicorn.run(
        "app:create",
        factory=True,
        host="0.0.0.0",  # noqa: S104 - a container serves its pod's address
        port=settings.port,
        workers=settings.workers,
        access_log=False,
        log_level="warning",
        backlog=1024,
        timeout_graceful_shutdown=GRACE,
        server_header=False,
        date_header=False,
    )


def _plan_death(settings: Settings) -> None:
    if settings.crash_loop:
        _die_after(settings.crash_loop, "crash loop", None)
    marker = settings.state_dir / "restarted"
    if settings.early_restart and not marker.exists():
        _die_after(settings.early_restart, "early restart", marker)


def _die_after(seconds: float, why: str, marker: Path | None) -> None:
    """End the process without clean-up, as a crash does; the marker outlives the container."""

    def die() -> None:
        if marker is not None:
            marker.write_text("restarted once\n", encoding="utf-8")
        print(f"dying on purpose: {why}", flush=True)
        os._exit(1)

    timer = threading.Timer(seconds, die)
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    main()
