"""A real Alertmanager on this machine, with alerts as a team's own Prometheus would send them."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import aiohttp

from tests.e2e import servers

if TYPE_CHECKING:
    from pathlib import Path

_NAMES: Final = (
    os.environ.get("GUARD_TEST_ALERTMANAGER", "prometheus-alertmanager"),
    "alertmanager",
)
_CONFIG: Final = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


def program() -> str | None:
    """Where Alertmanager is, if it is anywhere."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


@dataclass(slots=True)
class Alertmanager:
    """One server that tells nobody."""

    folder: Path
    port: int
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        binary = program()
        assert binary is not None, "available.missing() asks for it"
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "alertmanager.yml"
        config.write_text(_CONFIG, encoding="utf-8")
        self.process = await servers.launch(
            self.folder,
            self.port,
            binary,
            f"--config.file={config}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address=0.0.0.0:{self.port}",
            "--cluster.listen-address=",
        )

    async def close(self) -> None:
        """End it. Idempotent."""
        if self.process is not None:
            await servers.kill(self.process)
            self.process = None

    async def fire(self, labels: dict[str, str], *, ended: bool = False) -> None:
        """Post an alert that begins now, or that has ended now."""
        now = datetime.now(UTC).isoformat()
        alert = {"labels": labels, **({"endsAt": now} if ended else {"startsAt": now})}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://127.0.0.1:{self.port}/api/v2/alerts", json=[alert]) as answer,
        ):
            assert answer.status == 200, await answer.text()
