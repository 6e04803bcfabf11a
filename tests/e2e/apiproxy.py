"""A proxy before the API server, which the guard uses and nobody else does.

It can freeze, and it can hold one PATCH before it is forwarded or after it was carried out, so
that the guard is killed exactly between its intent and its patch, or between the patch and its
outcome, without any hook in the product.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from enum import Enum
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from yarl import URL

from tests.e2e.command import run

if TYPE_CHECKING:
    from pathlib import Path

_DROPPED = {"host", "connection", "transfer-encoding", "content-length", "accept-encoding"}
_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"


class Where(Enum):
    """At which side of the API server a request is held."""

    BEFORE = "before it was carried out"
    AFTER = "after it was carried out, before its answer"


class Held:
    """One rollback that will be held, and what the scenario does with it."""

    def __init__(self, deployment: str, where: Where) -> None:
        self.deployment = deployment
        self.where = where
        self.caught = asyncio.Event()
        self.released = asyncio.Event()


class ApiProxy:
    """Terminates TLS by an authority of its own and forwards to the real API server."""

    def __init__(self, folder: Path, address: str, port: int) -> None:
        self._folder = folder
        self._address = address
        self._port = port
        self._going = asyncio.Event()
        self._going.set()
        self._held: list[Held] = []
        self.patches: list[tuple[str, int]] = []
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._server = ""

    async def start(self) -> None:
        """Make the certificate, learn where the real server is, and listen."""
        self._folder.mkdir(parents=True, exist_ok=True)
        await self._certify()
        view = await run("kubectl", "config", "view", "--raw", "--minify", "--flatten", "-o=json")
        entry = json.loads(view)["clusters"][0]["cluster"]
        self._server = entry["server"].rstrip("/")
        authority = base64.b64decode(entry["certificate-authority-data"]).decode()
        trust = ssl.create_default_context(cadata=authority)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        own.load_cert_chain(self._folder / "tls.crt", self._folder / "tls.key")
        application = web.Application(client_max_size=8 * 1024 * 1024)
        application.router.add_route("*", "/{tail:.*}", self._forward)
        self._runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "0.0.0.0", self._port, ssl_context=own).start()

    async def close(self) -> None:
        """Stop. Idempotent."""
        self._going.set()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    def kubeconfig(self) -> str:
        """The file by which a pod reaches this proxy as its own service account."""
        authority = base64.b64encode((self._folder / "tls.crt").read_bytes()).decode()
        server = f"https://{self._address}:{self._port}"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxy",
            "clusters": [
                {
                    "name": "proxy",
                    "cluster": {"server": server, "certificate-authority-data": authority},
                }
            ],
            "users": [{"name": "proxy", "user": {"tokenFile": _TOKEN}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        }
        return json.dumps(document)

    def freeze(self) -> None:
        """Neither forward nor answer anything more, watches included."""
        self._going.clear()

    def thaw(self) -> None:
        """Go on."""
        self._going.set()

    def hold(self, deployment: str, where: Where) -> Held:
        """Hold the next rollback of this Deployment (not its rehearsals)."""
        held = Held(deployment, where)
        self._held.append(held)
        return held

    def landed(self, deployment: str) -> int:
        """How many patches of this Deployment's template the API server has carried out."""
        return sum(name == deployment and status < 300 for name, status in self.patches)

    async def _certify(self) -> None:
        name = f"/CN={self._address}"
        await run(
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", name, "-addext", f"subjectAltName=IP:{self._address}"),
            *("-keyout", str(self._folder / "tls.key"), "-out", str(self._folder / "tls.crt")),
        )

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        await self._going.wait()
        body = await request.read()
        deployment = _rolled_back(request, body)
        held = self._take(deployment)
        if held is not None and held.where is Where.BEFORE:
            await _stay(held)
        assert self._session is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _DROPPED}
        url = URL(f"{self._server}{request.raw_path}", encoded=True)
        async with self._session.request(
            request.method, url, data=body or None, headers=headers, allow_redirects=False
        ) as answer:
            if deployment is not None:
                self.patches.append((deployment, answer.status))
            if held is not None and held.where is Where.AFTER:
                await _stay(held)
            return await self._stream(request, answer)

    async def _stream(
        self, request: web.Request, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        kept = {k: v for k, v in answer.headers.items() if k.lower() not in _DROPPED}
        response = web.StreamResponse(status=answer.status, headers=kept)
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await self._going.wait()
            await response.write(chunk)
        await response.write_eof()
        return response

    def _take(self, deployment: str | None) -> Held | None:
        for held in self._held:
            if held.deployment == deployment:
                self._held.remove(held)
                return held
        return None


async def _stay(held: Held) -> None:
    held.caught.set()
    await held.released.wait()


def _rolled_back(request: web.Request, body: bytes) -> str | None:
    """The Deployment whose template this request replaces for real, else None."""
    if request.method != "PATCH" or "dryRun" in request.query:
        return None
    before, _, name = request.path.rpartition("/")
    if not before.endswith("/deployments") or b"/spec/template" not in body:
        return None
    operations: Any = json.loads(body)
    replaces = any(o.get("op") != "test" and o["path"] == "/spec/template" for o in operations)
    return name if replaces else None
