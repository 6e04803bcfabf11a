"""Certificate authorities and bearer tokens of a scrape, from files, read again when they change.

Files are read in a thread: a mounted secret may sit on a slow disk, and the loop must not wait.
A token never leaves this module but as a header; no text here holds one.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from guard.core.samples import Unavailable, UnavailableReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from guard.core.policy import Scrape

_Read = TypeVar("_Read")
_Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Access:
    """How one burst signs in, and whom it trusts."""

    context: ssl.SSLContext | bool = True
    headers: dict[str, str] = field(default_factory=dict, repr=False)


class _File(Generic[_Read]):
    """What was read from one file, as long as the file stays the same."""

    def __init__(self, path: str, read: Callable[[Path], _Read]) -> None:
        self._path = Path(path)
        self._read = read
        self._kept: tuple[_Stamp, _Read] | None = None

    def get(self) -> _Read:
        status = self._path.stat()
        stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        if self._kept is None or self._kept[0] != stamp:
            self._kept = stamp, self._read(self._path)
        return self._kept[1]


_PLAIN: Final = Access()


class Trust:
    """Keeps what the files of policies hold."""

    def __init__(self) -> None:
        """Nothing is read before it is asked for."""
        self._authorities: dict[str, _File[ssl.SSLContext]] = {}
        self._tokens: dict[str, _File[str]] = {}

    async def access(self, scrape: Scrape) -> Access | Unavailable:
        """How to ask the pods of one policy.

        Returns:
            The access; NOT_CONFIGURED or TLS where a file cannot be used, with the path.
        """
        if scrape.ca_file is None and scrape.token_file is None:
            return _PLAIN
        return await asyncio.to_thread(self._access, scrape.ca_file, scrape.token_file)

    def _access(self, ca_file: str | None, token_file: str | None) -> Access | Unavailable:
        context: ssl.SSLContext | bool = True
        headers = {}
        if ca_file is not None:
            file = self._authorities.setdefault(ca_file, _File(ca_file, _authorities))
            try:
                context = file.get()
            except (OSError, ValueError):
                return Unavailable(UnavailableReason.TLS, f"no authorities in ca_file {ca_file}")
        if token_file is not None:
            token = self._tokens.setdefault(token_file, _File(token_file, _token))
            try:
                headers["Authorization"] = f"Bearer {token.get()}"
            except (OSError, ValueError):
                words = f"no token in token_file {token_file}"
                return Unavailable(UnavailableReason.NOT_CONFIGURED, words)
        return Access(context, headers)


def _authorities(path: Path) -> ssl.SSLContext:
    """Trust these authorities alone.

    A pod is asked by an address that it got a moment ago, and no certificate names that. So the
    chain is verified and the name is not: whom this authority certifies is trusted to be a pod.
    Without a `ca_file` both are verified, for the system's authorities certify anybody.
    """
    context = ssl.create_default_context(cafile=str(path))
    context.check_hostname = False
    return context


def _token(path: Path) -> str:
    token = path.read_text(encoding="ascii").strip()
    if not token or not token.isprintable():
        message = "no token"
        raise ValueError(message)
    return token
