"""The API server as raw JSON: one call, one answer, and every way of not answering as one error.

Statuses come back for the caller to sort; only what is no answer of an API server at all raises.
Nothing of an answer's free text is ever passed on: it can echo a whole object with its env.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import aiohttp
import msgspec

from guard.core.errors import TemporaryError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from kubernetes.aio.client import ApiClient

CONNECT_WITHIN: Final = 5.0
"""Seconds for a connection and its TLS handshake."""
OPEN_WITHIN: Final = 10.0
"""Seconds until a watch has begun: an API server sends the head of its answer at once."""
LINE_AT_MOST: Final = 16 * 1024 * 1024
"""Bytes of one watch event: an object of 3 MiB, the most it takes, with `<` as `\\u003c`."""
ENDLESS: Final = "a watch event has no end"
KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
"""A watch whose other end is gone without a word is noticed after 10 + 3 · 5 s."""

HTTP_CLIENT_ERROR: Final = 400
HTTP_SERVER_ERROR: Final = 500

_WORD: Final = r"[A-Za-z][A-Za-z0-9]{0,63}"
_FIELD: Final = r"[A-Za-z0-9_.\[\]/~*-]{1,200}"
_WARNING: Final = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')
_FIELDS_AT_MOST: Final = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server answered.

    Attributes:
        status: the HTTP status.
        document: the body as parsed JSON; None where a 4xx carried something else.
        warnings: texts of the `Warning` headers, in order.
        retry_after: seconds that the server asks to wait, None where it does not.
    """

    status: int
    document: Any = field(repr=False)
    warnings: tuple[str, ...] = ()
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.status < HTTP_CLIENT_ERROR


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer whose body is not parsed yet."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait; the HTTP-date form counts as none."""
        text = self.headers.get("Retry-After", "")
        return float(text) if re.fullmatch(r"[0-9]{1,5}", text) else None

    def parsed(self) -> Answer:
        """Parse the body.

        Raises:
            TemporaryError: something other than an API server answered.
        """
        try:
            document = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if not HTTP_CLIENT_ERROR <= self.status < HTTP_SERVER_ERROR:
                text = f"status {self.status} without JSON: no API server's answer"
                raise TemporaryError(text) from None
            # 429 of the API server itself and 4xx of proxies are plain text; the status says it.
            document = None
        return Answer(self.status, document, self.warnings, self.retry_after)


class Stream:
    """The lines of one watch, as they come."""

    def __init__(self, response: aiohttp.ClientResponse, idle: float) -> None:
        """Take an open response."""
        self._response = response
        self._idle = idle
        self.status = response.status

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield each line once it is whole, until the server ends the watch.

        Raises:
            TemporaryError: the connection broke or fell silent, or a line has no end.
        """
        rest = b""
        with _mapped(self._idle):
            async for chunk in self._response.content.iter_any():
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    if line:
                        yield line
                if len(rest) > LINE_AT_MOST:
                    raise TemporaryError(ENDLESS)

    async def raw(self) -> Raw:
        """Read the whole body: what the server says when it refuses a watch."""
        with _mapped(self._idle):
            body = await self._response.read()
        return Raw(self.status, body, self._response.headers)


class Api:
    """Calls one API server. Authentication, TLS and proxies are the given client's."""

    def __init__(self, client: ApiClient) -> None:
        """Take a configured client; `close` closes it."""
        self._client: Any = client

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout: float = 10.0,  # noqa: ASYNC109 - it bounds the request, not the caller
    ) -> Answer:
        """Make one call; every status comes back.

        Args:
            method: `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
            path: from the host on, e.g. `/apis/apps/v1/namespaces/shop/deployments/cart`.
            params: of the query.
            body: what is sent as JSON (lists for a JSON patch).
            content_type: of the body.
            timeout: seconds until the whole answer must be here.

        Raises:
            TemporaryError: no answer. A write may have happened all the same.
        """
        with _mapped(timeout):
            response = await self._send(
                method, path, params, _sent(body, content_type), aiohttp.ClientTimeout(timeout)
            )
            async with response:
                raw = await _read(response)
        return raw.parsed()

    async def read(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        timeout: float = 30.0,  # noqa: ASYNC109 - it bounds the request, not the caller
    ) -> Raw:
        """GET without parsing.

        Raises:
            TemporaryError: no answer.
        """
        with _mapped(timeout):
            response = await self._send("GET", path, params, None, aiohttp.ClientTimeout(timeout))
            async with response:
                return await _read(response)

    @asynccontextmanager
    async def stream(
        self, path: str, *, params: Mapping[str, str] | None = None, idle: float
    ) -> AsyncIterator[Stream]:
        """Open a watch and hand over its lines; leaving the context ends it.

        Args:
            path: of the list that is watched.
            params: of the query, `watch` among them.
            idle: seconds of silence after which the connection counts as dead.

        Raises:
            TemporaryError: no answer.
        """
        bounds = aiohttp.ClientTimeout(sock_connect=CONNECT_WITHIN, sock_read=idle)
        with _mapped(OPEN_WITHIN):
            async with asyncio.timeout(OPEN_WITHIN):
                response = await self._send("GET", path, params, None, bounds)
        try:
            _keep_alive(response)
            yield Stream(response, idle)
        finally:
            response.close()

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        await self._client.close()

    async def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        content: tuple[object, str] | None,
        bounds: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        query = f"?{urlencode(params)}" if params else ""
        url = f"{self._client.configuration.host}{path}{query}"
        body, content_type = content or (None, "application/json")
        headers = {
            "Accept": "application/json",
            "Content-Type": content_type,
            **self._client.default_headers,
        }
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        answer = await self._client.call_api(method, url, headers, body, _request_timeout=bounds)
        response: aiohttp.ClientResponse = answer.response
        return response


def safe_reason(answer: Answer) -> str:
    """Why the API server refused: its reason and the fields it names, never its message.

    Returns:
        e.g. `Invalid (422): spec.template.spec.containers[0].image`; only the status where the
        body is no Status.
    """
    document = answer.document if isinstance(answer.document, dict) else {}
    reason = document.get("reason")
    if not isinstance(reason, str) or not re.fullmatch(_WORD, reason):
        reason = "refused"
    details = document.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    listed = causes if isinstance(causes, list) else []
    fields = [cause.get("field") for cause in listed if isinstance(cause, dict)]
    shown = [one for one in fields if isinstance(one, str) and re.fullmatch(_FIELD, one)]
    more = f": {', '.join(shown[:_FIELDS_AT_MOST])}" if shown else ""
    return f"{reason} ({answer.status}){more}"


def _sent(body: object, content_type: str) -> tuple[object, str] | None:
    return None if body is None else (body, content_type)


async def _read(response: aiohttp.ClientResponse) -> Raw:
    body = await response.read()
    warnings = tuple(
        re.sub(r"\\(.)", r"\1", text)
        for header in response.headers.getall("Warning", ())
        for text in _WARNING.findall(header)
    )
    return Raw(response.status, body, response.headers, warnings)


def _keep_alive(response: aiohttp.ClientResponse) -> None:
    transport = response.connection.transport if response.connection is not None else None
    raw = transport.get_extra_info("socket") if transport is not None else None
    if raw is None:
        return
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        raw.setsockopt(socket.IPPROTO_TCP, option, value)


@contextmanager
def _mapped(seconds: float) -> Iterator[None]:
    """Turn every way of not answering into a `TemporaryError` with words that are safe to show."""
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:
        raise TemporaryError(_words(error, seconds)) from None


def _words(error: aiohttp.ClientError | OSError, seconds: float) -> str:
    if isinstance(error, TimeoutError):
        return f"the API server did not answer within {seconds:g} s"
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return "TLS with the API server failed"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the API server's name cannot be resolved"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"the API server cannot be reached: {error.strerror or 'no connection'}"
    return "the connection to the API server broke"
