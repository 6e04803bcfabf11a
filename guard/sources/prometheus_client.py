"""Asks Prometheus, or a server that speaks its API, over HTTP: instant and range queries.

The law of this module: whatever happens on the way is an `Unavailable` with its reason, in time and
without a secret in it. Foreign exceptions are mapped once (`failures.py`).
"""

from __future__ import annotations

import asyncio
import math
import ssl
from typing import TYPE_CHECKING, Final

import aiohttp

from guard.core.samples import Unavailable, UnavailableReason
from guard.sources import sign_in
from guard.sources.failures import TROUBLES, failure
from guard.sources.lookup import address
from guard.sources.prometheus_answers import ResultType, Series, read

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from guard.config.settings import Settings
    from guard.sources.lookup import Address

BODY_AT_MOST: Final = 8_000_000
"""Bytes of one answer, unpacked: some 25,000 series, read in about 50 ms."""
QUERY_AT_MOST: Final = 14_000
"""Characters of one query sent by POST. VictoriaMetrics refuses more than 16 KiB by default
(-search.maxQueryLen); Prometheus has no limit."""
QUERY_IN_URL: Final = 2_500
"""Characters of one query sent by GET: percent-encoded it stays below the 8 KiB that most proxies
take for a request line."""
CONNECTIONS: Final = 8
"""At most so many at once: the guard is not Prometheus' only guest."""

_CHUNK: Final = 65_536
_ASIDE: Final = 1_000_000
"""Bytes from which on an answer is read in a thread, lest the loop stand still."""
# What a load balancer says of a server that is gone. Prometheus' own 503, a query that took too
# long, is JSON: asked again it would take as long.
_GONE: Final = frozenset({502, 503, 504})
_METHOD_NOT_ALLOWED: Final = 405

Answer = tuple[Series, ...] | Unavailable


class _TooLarge(Exception):
    """The body is longer than `BODY_AT_MOST`."""


class PrometheusClient:
    """One server, or several replicas behind one address."""

    def __init__(self, address: Address) -> None:
        """Connects with the first question.

        Args:
            address: where it is and how to sign in; its URL may have a path.

        Raises:
            ConfigurationError: the certificate authorities, or a secret, cannot be used.
        """
        self._api = f"{address.url.rstrip('/')}/api/v1/"
        self._limit = address.timeout
        self._headers = sign_in.headers(address)
        self._tls = sign_in.tls(address)
        self._session: aiohttp.ClientSession | None = None
        self._method = "POST"

    @property
    def limit(self) -> float:
        """Seconds in which every question is answered, one way or another."""
        return self._limit

    @property
    def room(self) -> int:
        """Characters that one query may have."""
        return QUERY_AT_MOST if self._method == "POST" else QUERY_IN_URL

    async def vector(self, query: str) -> Answer:
        """Evaluate now an expression that gives an instant vector or a scalar."""
        form = {"query": query}
        return await self._ask("query", form, (ResultType.VECTOR, ResultType.SCALAR))

    async def matrix(self, query: str) -> Answer:
        """Evaluate now a selector with a range: its raw samples, each with its own time."""
        return await self._ask("query", {"query": query}, (ResultType.MATRIX,))

    async def range(self, query: str, since: float, until: float, step: float) -> Answer:
        """Evaluate at every step of a span; times in seconds since the epoch, steps in seconds.

        Prometheus reckons in milliseconds. They are rounded down, so that no step is after the end.
        """
        start, end = (math.floor(at * 1000.0) / 1000.0 for at in (since, until))
        times = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        return await self._ask("query_range", {"query": query, **times}, (ResultType.MATRIX,))

    async def close(self) -> None:
        """End every connection. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(
        self, path: str, form: Mapping[str, str], wanted: Collection[ResultType]
    ) -> Answer:
        try:
            async with asyncio.timeout(self._limit):
                status, body = await self._persist(path, form)
        except _TooLarge:
            words = f"the answer is larger than {BODY_AT_MOST / 1e6:g} MB"
            return Unavailable(UnavailableReason.TOO_LARGE, words)
        except TROUBLES as error:
            return failure(error)
        if len(body) > _ASIDE:
            return await asyncio.to_thread(read, status, body, wanted)
        return read(status, body, wanted)

    async def _persist(self, path: str, form: Mapping[str, str]) -> tuple[int, bytes]:
        """Ask a second time where the first met a replica that is gone, or an old connection."""
        try:
            status, body = await self._send(path, form)
        except (ssl.SSLError, TimeoutError):
            raise
        except (aiohttp.ClientConnectionError, ConnectionError):
            return await self._send(path, form)
        if status == _METHOD_NOT_ALLOWED and self._method == "POST":
            self._method = "GET"
        elif status not in _GONE or body.lstrip().startswith(b"{"):
            return status, body
        return await self._send(path, form)

    async def _send(self, path: str, form: Mapping[str, str]) -> tuple[int, bytes]:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=self._tls)
            # The cookies of a load balancer would tie the guard to one replica, dead or alive.
            self._session = aiohttp.ClientSession(
                connector=connector,
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
            )
        body, in_url = (form, None) if self._method == "POST" else (None, form)
        # A redirect would carry the headers, and a secret with them, to whatever it names.
        async with self._session.request(
            self._method, self._api + path, data=body, params=in_url, allow_redirects=False
        ) as answer:
            return answer.status, await _body(answer)


def connect(settings: Settings) -> PrometheusClient | None:
    """The client that the settings describe; None where they name no Prometheus.

    Raises:
        ConfigurationError: the certificate authorities, or a secret, cannot be used.
    """
    where = address(settings)
    return None if where is None else PrometheusClient(where)


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > BODY_AT_MOST:
            raise _TooLarge
    return bytes(body)
