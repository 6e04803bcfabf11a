"""HTTP towards pods: how the guard names itself, and what it never does.

It follows no redirect (where a pod sends us is not the pod), keeps no cookie, uses no proxy of the
environment, and a request has one time limit for everything.
"""

from __future__ import annotations

from typing import Final

import aiohttp

from guard import __version__

USER_AGENT: Final = f"deployment-guard/{__version__}"
BAD: Final = 400
"""The status from which on an answer counts as a failed request in the ledger."""
_IDLE: Final = 15.0
"""Seconds for which an idle connection is kept: three of the slowest polls."""
_READ_AHEAD: Final = 1 << 20
"""Bytes taken in before a reader must come: bigger bodies cost fewer wake-ups."""


def open_session(accept: str, *, keep: bool) -> aiohttp.ClientSession:
    """A session for pods; call it inside the loop, and close it.

    Args:
        accept: the content types to ask for.
        keep: keep connections open for the next request.
    """
    connector = (
        aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE)
        if keep
        else aiohttp.TCPConnector(limit=0, force_close=True)
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": USER_AGENT, "Accept": accept},
        read_bufsize=_READ_AHEAD,
        trust_env=False,
    )
