"""What every handler needs, and how an answer is written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

if TYPE_CHECKING:
    from guard.engine.board import Board

Users = Callable[[], list[dict[str, object]]]
"""Rows of "What users saw": `case`, `sent`, `failed`, `note`."""


@dataclass(frozen=True, slots=True)
class Site:
    """The application's one state.

    Attributes:
        unready: why the guard does not see its workloads, empty where it does; Prometheus has no
            part in it.
        mode: the guard's own mode, `observe` or `act`.
        closing: set when the server stops, so that open event streams end.
        streams: one entry for each open event stream.
        now: the wall clock, seconds since the epoch.
    """

    board: Board
    unready: Callable[[], str]
    version: str
    mode: str
    users: Users | None = None
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    streams: set[object] = field(default_factory=set)
    now: Callable[[], float] = time.time


SITE: Final = web.AppKey("site", Site)


def encoded(document: Any) -> bytes:
    """A document as JSON; numbers that JSON does not have (NaN, infinity) become null."""
    return msgspec.json.encode(document)


def json_answer(body: bytes, status: int = 200) -> web.Response:
    """An encoded document as an answer that nobody may keep: the next one may differ."""
    return web.Response(
        body=body,
        status=status,
        content_type="application/json",
        charset="utf-8",
        headers={"Cache-Control": "no-store"},
    )
