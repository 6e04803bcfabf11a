"""The cluster that KUBECONFIG names, whichever it is: objects as plain JSON, through kubectl.

`kubectl proxy` carries the credentials of any kind of cluster, so that everything else is HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any, Self

import aiohttp

from tests.e2e.command import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

Object = dict[str, Any]
MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"


class ApiError(Exception):
    """The API server answered with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text[:500]}")
        self.status = status


class Cluster:
    """A session with the API server."""

    def __init__(self, process: asyncio.subprocess.Process, base: str) -> None:
        self._process = process
        self._session = aiohttp.ClientSession(base, timeout=aiohttp.ClientTimeout(total=30))

    @classmethod
    async def connect(cls) -> Self:
        """Start the proxy on any free port."""
        process = await asyncio.create_subprocess_exec(
            "kubectl", "proxy", "--port=0", stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        address = line.rsplit(" ", 1)[-1].strip()
        return cls(process, f"http://{address}")

    async def close(self) -> None:
        """End the session. Idempotent."""
        await self._session.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        await self._process.wait()

    async def call(self, method: str, path: str, body: object = None, kind: str = "") -> Any:
        """Ask for JSON; raises ApiError for a status of 400 or more."""
        headers = {"Content-Type": kind or "application/json"}
        data = None if body is None else json.dumps(body)
        async with self._session.request(method, path, data=data, headers=headers) as answer:
            text = await answer.text()
            if answer.status >= 400:
                raise ApiError(answer.status, text)
            return json.loads(text) if text[:1] in "{[" else text

    async def get(self, path: str) -> Any:
        """Read an object."""
        return await self.call("GET", path)

    async def patch(self, path: str, body: object, kind: str = MERGE) -> Any:
        """Change an object."""
        return await self.call("PATCH", path, body, kind)

    async def raw(self, method: str, path: str, body: str = "") -> str:
        """Call through to a pod or a service; raises ApiError."""
        async with self._session.request(method, path, data=body) as answer:
            text = await answer.text()
            if answer.status >= 400:
                raise ApiError(answer.status, text)
            return text

    async def watch(self, path: str, selector: str) -> AsyncIterator[Object]:
        """Yield each version of the selected objects; ends when the server closes."""
        query = {"watch": "true", "fieldSelector": selector, "timeoutSeconds": "3600"}
        no_limit = aiohttp.ClientTimeout(total=None)
        async with self._session.get(path, params=query, timeout=no_limit) as answer:
            async for line in answer.content:
                event = json.loads(line)
                if event["type"] in {"ADDED", "MODIFIED"}:
                    yield event["object"]

    async def apply(self, documents: Sequence[Object], *options: str) -> str:
        """`kubectl apply` of these objects."""
        text = "\n---\n".join(json.dumps(document) for document in documents)
        return await run("kubectl", "apply", *options, "-f", "-", stdin=text)

    async def namespace(self, name: str) -> None:
        """Make an empty namespace: one of that name is removed first."""
        with contextlib.suppress(ApiError):
            await self.call("DELETE", f"/api/v1/namespaces/{name}")
        while True:
            try:
                await self.call(
                    "POST",
                    "/api/v1/namespaces",
                    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
                )
            except ApiError as error:
                if error.status != 409:
                    raise
                await asyncio.sleep(0.5)
            else:
                return

    async def remove(self, names: Sequence[str]) -> None:
        """Remove namespaces, without waiting for their ends."""
        for name in names:
            with contextlib.suppress(ApiError):
                await self.call("DELETE", f"/api/v1/namespaces/{name}")

    async def node_address(self) -> str:
        """An address of a node."""
        nodes = await self.get("/api/v1/nodes")
        addresses = nodes["items"][0]["status"]["addresses"]
        return next(str(a["address"]) for a in addresses if a["type"] == "InternalIP")


def host_address(node: str) -> str:
    """This machine's address on the way to a node: pods reach the machine there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((node, 9))
        return str(probe.getsockname()[0])


def load_address(node: str) -> str:
    """Where NodePorts answer: the loopback address where the node is this very machine."""
    return "127.0.0.1" if host_address(node) == node else node
