"""List and watch one resource for ever: the whole truth first, then every change, then again.

The library's own watch goes on asking for a version that is gone, and spins on an error page. Here
every status is looked at, a version that is gone leads to a new list, each failure to a longer
pause, and a connection that fell silent is left.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import SystemRandom
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
import structlog

from guard.core.errors import TemporaryError
from guard.platforms.kubernetes.api import Answer, safe_reason

if TYPE_CHECKING:
    from guard.platforms.kubernetes.api import Api

PAGE: Final = 250
"""Objects of one page of a list: 2 MB at 8 kB each, parsed in some milliseconds."""
WATCH_FOR: Final = (50.0, 70.0)
"""Seconds of one watch, drawn at random, so that many watches do not begin anew together. A next
one costs one request; one that a proxy keeps open and silent is left as soon."""
SILENCE_BEYOND: Final = 5.0
"""Seconds beyond its own end after which a silent watch counts as dead."""
SHORT: Final = 1.0
"""Seconds: a watch that ends sooner, and brought nothing, counts as a failure."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds between two tries. After an outage the guard sees again within the longest."""
LONGEST_ASKED: Final = 30.0
"""Seconds of a server's own `Retry-After` that are waited at most."""
LIST_ANEW: Final = 3600.0
"""Seconds after which a watch that never failed is listed anew all the same: against whatever made
it miss a change, such as a restored etcd."""

NO_LIST: Final = "no list of an API server"
NO_EVENT: Final = "no watch event of an API server"
ENDED_AT_ONCE: Final = "the watch ended as soon as it began"
VERSION_GONE: Final = "the version is gone"
BACK_IN_TIME: Final = "the server forgot what it had said, as after a restored etcd"

GONE: Final = 410
OK: Final = 200

_random = SystemRandom()
log = structlog.get_logger("guard.kubernetes.watch")


class Sink(Protocol):
    """Takes raw objects in: whole lists between `begin` and `finish`, and single changes."""

    def begin(self) -> None:
        """A list begins; what an unfinished one brought is void."""

    def add(self, raw: msgspec.Raw) -> None:
        """One object of the list."""

    def finish(self) -> None:
        """The list is whole: what it did not hold is gone."""

    def put(self, raw: msgspec.Raw) -> None:
        """One object is new or changed."""

    def remove(self, raw: msgspec.Raw) -> None:
        """One object was deleted; this was its last state."""


class _Meta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct):
    metadata: _Meta
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Object(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    code: int = 0


class _Refused(TemporaryError):
    """The API server said no; `retry_after` seconds are what it asks for."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(safe_reason(answer))
        self.retry_after = answer.retry_after or 0.0


class _Expired(TemporaryError):
    """The version asked for is not kept any longer."""


class Backoff:
    """Ever longer pauses, drawn between half and all of what is due."""

    def __init__(self, first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE) -> None:
        """Start with the shortest; both in seconds."""
        self._first = first
        self._longest = longest
        self._due = first

    def reset(self) -> None:
        """Begin with the shortest again."""
        self._due = self._first

    def next(self) -> float:
        """Seconds to wait now."""
        due, self._due = self._due, min(2 * self._due, self._longest)
        return _random.uniform(due / 2, due)


class ListWatch:
    """Keeps one sink equal to one resource of one namespace, or of all.

    Attributes:
        synced: set once the first list was taken in.
        behind: a list was asked for and is not taken in yet.
    """

    def __init__(self, api: Api, path: str, sink: Sink) -> None:
        """Take the path of the list, e.g. `/api/v1/pods`; `run` does the rest."""
        self.synced = asyncio.Event()
        self.behind = True
        self._api = api
        self._path = path
        self._sink = sink
        self._version = ""
        self._asked = False
        self._scope: asyncio.Timeout | None = None
        self._backoff = Backoff()
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """Why the API server gives no answer now; empty while it does."""
        return self._trouble

    def relist(self) -> None:
        """List anew soon: the sink wants objects that it let go by."""
        self._asked = self.behind = True
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(0.0)

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                await self._list()
            except TemporaryError as error:
                await self._pause(error)
                continue
            self.synced.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(LIST_ANEW * _random.uniform(0.9, 1.1)) as self._scope:
                    if not self._asked:
                        await self._watch_on()
            self._scope = None

    async def _list(self) -> None:
        self._asked = False
        self._sink.begin()
        params = {"limit": str(PAGE)}
        while True:
            meta = await self._page(params)
            if not meta.continue_:
                break
            params["continue"] = meta.continue_
        self._version = meta.resource_version
        self.behind = self._asked
        self._sink.finish()

    async def _page(self, params: dict[str, str]) -> _Meta:
        raw = await self._api.read(self._path, params=params)
        if raw.status != OK:
            raise _Refused(raw.parsed())
        try:
            page = msgspec.json.decode(raw.body, type=_Page)
        except msgspec.DecodeError:
            raise TemporaryError(NO_LIST) from None
        if not page.metadata.resource_version:
            raise TemporaryError(NO_LIST)
        for item in page.items or ():
            self._sink.add(item)
        return page.metadata

    async def _watch_on(self) -> None:
        """Watch again and again, until the version is gone."""
        while True:
            try:
                await self._watch()
            except _Expired as error:
                await self._pause(error)
                return
            except TemporaryError as error:
                await self._pause(error)

    async def _watch(self) -> None:
        seconds = _random.uniform(*WATCH_FOR)
        params = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": f"{seconds:.0f}",
        }
        began, version = asyncio.get_running_loop().time(), self._version
        async with self._api.stream(
            self._path, params=params, idle=seconds + SILENCE_BEYOND
        ) as stream:
            if stream.status != OK:
                raise _refusal((await stream.raw()).parsed())
            async for line in stream.lines():
                self._take(line)
        lasted = asyncio.get_running_loop().time() - began
        if version == self._version and lasted < SHORT:
            raise TemporaryError(ENDED_AT_ONCE)
        self._well()

    def _take(self, line: bytes) -> None:
        try:
            event = msgspec.json.decode(line, type=_Event)
            seen = msgspec.json.decode(event.object, type=_Object)
        except msgspec.DecodeError:
            raise TemporaryError(NO_EVENT) from None
        if event.type == "ERROR":
            raise _refusal(_answer(event.object, seen))
        version = seen.metadata.resource_version
        if not version:
            raise TemporaryError(NO_EVENT)
        if _older(version, self._version):
            raise _Expired(BACK_IN_TIME)
        self._version = version
        self._well()
        if event.type == "DELETED":
            self._sink.remove(event.object)
        elif event.type != "BOOKMARK":
            self._sink.put(event.object)

    async def _pause(self, error: TemporaryError) -> None:
        if str(error) != self._trouble:
            self._trouble = str(error)
            log.warning("watch interrupted", path=self._path, why=self._trouble)
        asked = error.retry_after if isinstance(error, _Refused) else 0.0
        await asyncio.sleep(max(self._backoff.next(), min(asked, LONGEST_ASKED)))

    def _well(self) -> None:
        self._backoff.reset()
        if self._trouble:
            self._trouble = ""
            log.info("watch goes on", path=self._path)


def _answer(raw: msgspec.Raw, seen: _Object) -> Answer:
    """An ERROR event's Status as if it had come alone."""
    return Answer(seen.code, msgspec.json.decode(raw))


def _refusal(answer: Answer) -> TemporaryError:
    return _Expired(VERSION_GONE) if answer.status == GONE else _Refused(answer)


def _older(version: str, than: str) -> bool:
    """Whether one resource version is older than another of the same resource, if both tell."""
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)
