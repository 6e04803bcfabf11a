"""What the guards say: their pods' logs, followed into a file that outlives the pods.

Notices are read from here: a page that went out stays written, also when the guard was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.e2e.cluster import ApiError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.cluster import Cluster


class Logs:
    """The log of one guard, over all its pods."""

    def __init__(self, cluster: Cluster, namespace: str, file: Path) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._file = file
        self._followed: dict[str, asyncio.subprocess.Process] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Follow from now on."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text("", encoding="utf-8")
        self._task = asyncio.create_task(self._follow(), name=f"logs {self._namespace}")

    async def close(self) -> None:
        """Follow no more. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        for process in self._followed.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        self._followed = {}

    def lines(self, word: str) -> list[dict[str, Any]]:
        """The lines in which a word stands, decoded; what is no JSON is left out."""
        found = []
        for line in self._file.read_text(encoding="utf-8", errors="replace").splitlines():
            if word in line:
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return found

    def notices(self, namespace: str, shop: str) -> list[dict[str, Any]]:
        """What people were told of one shop, oldest first."""
        workload = f"/{namespace}/{shop}@"
        lines = self.lines(workload)
        return [n for n in lines if n.get("message") == "notice" and workload in n["rollout"]]

    async def _follow(self) -> None:
        """Each pod from its container's start on, and its restarted containers too."""
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        while True:
            with contextlib.suppress(ApiError, aiohttp.ClientError, OSError):
                for pod in (await self._cluster.get(path))["items"]:
                    await self._attach(pod)
            await asyncio.sleep(0.5)

    async def _attach(self, pod: dict[str, Any]) -> None:
        statuses = pod.get("status", {}).get("containerStatuses", [])
        if not statuses or "containerID" not in statuses[0]:
            return
        run = statuses[0]["containerID"]
        if run in self._followed or "running" not in statuses[0]["state"]:
            return
        with self._file.open("ab") as out:
            self._followed[run] = await asyncio.create_subprocess_exec(
                *("kubectl", "logs", "-f", "-n", self._namespace, pod["metadata"]["name"]),
                stdout=out,
                stderr=asyncio.subprocess.DEVNULL,
            )
