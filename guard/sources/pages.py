"""Fetches what pods expose: one GET for all who ask for the same page at the same time.

The law of this module: no trouble of a pod is raised, none lasts longer than the time limit, and
every request that may have reached a pod is in the ledger.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from math import inf, nextafter
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aiohttp

from guard.core.samples import Unavailable, UnavailableReason
from guard.sources.exposition import Exposition
from guard.sources.failures import TROUBLES, failure, was_sent
from guard.sources.pod_http import BAD, open_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from guard.sources.exposition import Series
    from guard.sources.ledger import Ledger
    from guard.sources.targets import Target
    from guard.sources.trust import Access

BODY_AT_MOST: Final = 10_000_000
"""Bytes of a body, decompressed (issue "The main job")."""
TIME_LIMIT: Final = 1.0
"""Seconds for one page, with connecting: a pod that needs more costs its poll, not the others'."""

NEW_CONNECTIONS: Final = 20
"""Requests to a pod until connections are kept. Worker processes that each count for themselves
are told by their answering in turn, and over one connection it is always the same one: that must
show when a rollout starts, not when an idle connection is closed in the middle of it."""

_ACCEPT: Final = (
    "text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1"
)
_OPENMETRICS: Final = "application/openmetrics-text"
_OTHERS: Final = frozenset(
    {"application/json", "application/vnd.google.protobuf", "application/xml"}
)
_OK: Final = 200
_REDIRECTS: Final = range(300, 400)
_PATH_AT_MOST: Final = 100
_Key = tuple[str, str, ssl.SSLContext | bool]
_REASONS: Final = {401: UnavailableReason.UNAUTHORIZED, 403: UnavailableReason.FORBIDDEN}


@dataclass(slots=True)
class Page:
    """What one pod exposed.

    Attributes:
        at: when it answered, seconds since the epoch.
        as_of: when it was asked: requests of the guard that ended before are counted in it.
    """

    exposition: Exposition
    at: float
    as_of: float
    _series: dict[str, list[Series]] = field(default_factory=dict)

    def series(self, name: str) -> list[Series]:
        """Every series of a metric; read once, whoever asks.

        Raises:
            Malformed: a line of the metric cannot be read.
        """
        if name not in self._series:
            self._series[name] = self.exposition.series(name)
        return self._series[name]


class Pages:
    """Fetches pages over connections that it keeps open."""

    def __init__(
        self, ledger: Ledger, now: Callable[[], float], time_limit: float = TIME_LIMIT
    ) -> None:
        """Connects with the first page."""
        self._ledger = ledger
        self._now = now
        self._limit = aiohttp.ClientTimeout(total=time_limit)
        self._session: aiohttp.ClientSession | None = None
        self._under_way: dict[_Key, asyncio.Task[Page | Unavailable]] = {}

    async def get(self, pod_uid: str, target: Target, access: Access) -> Page | Unavailable:
        """Fetch one page; who asks while it is under way gets the same."""
        key = (target.url, access.headers.get("Authorization", ""), access.context)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._fetch(pod_uid, target, access), name="scrape")
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End every request and connection. Idempotent."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _fetch(self, uid: str, target: Target, access: Access) -> Page | Unavailable:
        if self._session is None:
            self._session = open_session(_ACCEPT, keep=True)
        as_of = self._now()
        sent, _ = self._ledger.sent(uid, as_of, target.container)
        keep = {} if sent >= NEW_CONNECTIONS else {"Connection": "close"}
        try:
            async with self._session.get(
                target.url,
                headers={**access.headers, **keep},
                ssl=access.context,
                timeout=self._limit,
                allow_redirects=False,
            ) as answer:
                at = self._now()
                bad = answer.status >= BAD
                # Later than `as_of` by any clock: a page does not count the request for itself.
                ended = max(at, nextafter(as_of, inf))
                self._ledger.note(uid, ended, bad=bad, container=target.container)
                return await _page(answer, at, as_of)
        except TROUBLES as error:
            if was_sent(error):
                self._ledger.note(
                    uid, self._now(), bad=False, answered=False, container=target.container
                )
            return failure(error)


async def _page(answer: aiohttp.ClientResponse, at: float, as_of: float) -> Page | Unavailable:
    if answer.status != _OK:
        reason = _REASONS.get(answer.status, UnavailableReason.HTTP_STATUS)
        return Unavailable(reason, f"it answers {answer.status}{_towards(answer)}")
    if answer.content_type in _OTHERS:
        return Unavailable(UnavailableReason.MALFORMED, f"it answers {answer.content_type}")
    body = await _body(answer)
    if body is None:
        words = f"it answers more than {BODY_AT_MOST // 1_000_000} MB"
        return Unavailable(UnavailableReason.TOO_LARGE, words)
    if body.lstrip()[:1] == b"<":
        return Unavailable(UnavailableReason.MALFORMED, "it answers a page for people")
    openmetrics = answer.content_type == _OPENMETRICS
    if not _is_whole(answer, body, openmetrics=openmetrics):
        return Unavailable(UnavailableReason.MALFORMED, "the answer was cut off")
    return Page(Exposition(body, openmetrics), at, as_of)


def _towards(answer: aiohttp.ClientResponse) -> str:
    """Where a redirect leads, as what to write down: none is followed, it may leave the pod."""
    try:
        path = urlsplit(answer.headers.get("Location", "")).path
    except ValueError:
        return ""
    if answer.status not in _REDIRECTS or not path.startswith("/"):
        return ""
    return f", a redirect: name {path[:_PATH_AT_MOST]} as the path (`scrape` or annotation)"


def _is_whole(answer: aiohttp.ClientResponse, body: bytes, *, openmetrics: bool) -> bool:
    """Whether nothing is missing at the end, as far as HTTP and the format can tell."""
    if openmetrics:
        return body.rstrip().endswith(b"# EOF")
    told = "Content-Length" in answer.headers or "Transfer-Encoding" in answer.headers
    # Of a compressed body HTTP tells the length, but not whether the compression had ended.
    return (told and "Content-Encoding" not in answer.headers) or body[-1:] in {b"", b"\n"}


async def _body(answer: aiohttp.ClientResponse) -> bytes | None:
    """The body; None where it is too large, compressed or not."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > BODY_AT_MOST:
            return None
        chunks.append(chunk)
    return b"".join(chunks)
