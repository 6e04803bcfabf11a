"""Foreign exceptions become the guard's own reasons, and none is left out."""

from __future__ import annotations

import inspect
import ssl
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import client_exceptions
from yarl import URL

from guard.core.samples import UnavailableReason
from guard.sources.failures import TROUBLES, failure, was_sent

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "seeded-secret"
KEY: Any = SimpleNamespace(host=SECRET, port=1, ssl=True, is_ssl=True)
REQUEST: Any = SimpleNamespace(real_url=URL("http://h/"), url=URL("http://h/"))

EXPECTED = {
    "ClientConnectorDNSError": UnavailableReason.UNRESOLVED,
    "InvalidURL": UnavailableReason.UNRESOLVED,
    "InvalidUrlClientError": UnavailableReason.UNRESOLVED,
    "InvalidUrlRedirectClientError": UnavailableReason.UNRESOLVED,
    "ClientSSLError": UnavailableReason.TLS,
    "ClientConnectorSSLError": UnavailableReason.TLS,
    "ClientConnectorCertificateError": UnavailableReason.TLS,
    "ServerFingerprintMismatch": UnavailableReason.TLS,
    "ServerTimeoutError": UnavailableReason.TIMEOUT,
    "ConnectionTimeoutError": UnavailableReason.TIMEOUT,
    "SocketTimeoutError": UnavailableReason.TIMEOUT,
    "ClientPayloadError": UnavailableReason.MALFORMED,
    "ClientResponseError": UnavailableReason.MALFORMED,
    "ContentTypeError": UnavailableReason.MALFORMED,
    "WSServerHandshakeError": UnavailableReason.MALFORMED,
    "ClientHttpProxyError": UnavailableReason.MALFORMED,
    "TooManyRedirects": UnavailableReason.MALFORMED,
    "ClientError": UnavailableReason.REFUSED,
    "ClientConnectionError": UnavailableReason.REFUSED,
    "ClientConnectionResetError": UnavailableReason.REFUSED,
    "ClientOSError": UnavailableReason.REFUSED,
    "ClientConnectorError": UnavailableReason.REFUSED,
    "ClientProxyConnectionError": UnavailableReason.REFUSED,
    "UnixClientConnectorError": UnavailableReason.REFUSED,
    "ServerConnectionError": UnavailableReason.REFUSED,
    "ServerDisconnectedError": UnavailableReason.REFUSED,
    # Of redirects and uploads, neither of which the guard makes.
    "UploadAbortedError": UnavailableReason.REFUSED,
    "RedirectClientError": UnavailableReason.REFUSED,
    "NonHttpUrlClientError": UnavailableReason.REFUSED,
    "NonHttpUrlRedirectClientError": UnavailableReason.REFUSED,
}


def raised_by_aiohttp() -> Iterator[type[client_exceptions.ClientError]]:
    for kind in vars(client_exceptions).values():
        if inspect.isclass(kind) and issubclass(kind, client_exceptions.ClientError):
            yield kind


def made(kind: type[Exception]) -> Exception:
    """One exception of that kind, whose own text echoes a secret."""
    if issubclass(kind, client_exceptions.ClientConnectorCertificateError):
        return kind(KEY, OSError(SECRET))
    if issubclass(kind, client_exceptions.UnixClientConnectorError):
        return kind(SECRET, KEY, OSError(1, SECRET))
    if issubclass(kind, client_exceptions.ClientConnectorError):
        return kind(KEY, OSError(1, SECRET))
    if issubclass(kind, client_exceptions.ClientResponseError):
        return kind(REQUEST, (), message=SECRET)
    if issubclass(kind, client_exceptions.ServerFingerprintMismatch):
        return kind(b"a", b"b", SECRET, 1)
    return kind(SECRET)


def test_every_exception_of_the_client_has_its_row() -> None:
    assert {kind.__name__ for kind in raised_by_aiohttp()} == EXPECTED.keys()


@pytest.mark.parametrize("kind", list(raised_by_aiohttp()), ids=lambda kind: kind.__name__)
def test_every_exception_of_the_client_has_its_reason_and_echoes_nothing(
    kind: type[Exception],
) -> None:
    assert issubclass(kind, TROUBLES)
    trouble = failure(made(kind))
    assert trouble.reason is EXPECTED[kind.__name__]
    assert SECRET not in trouble.detail


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), UnavailableReason.TIMEOUT),
        (ssl.SSLError(), UnavailableReason.TLS),
        (ssl.SSLCertVerificationError(), UnavailableReason.TLS),
        (ConnectionResetError(), UnavailableReason.REFUSED),
        (BrokenPipeError(), UnavailableReason.REFUSED),
        (OSError(113, "no route"), UnavailableReason.REFUSED),
    ],
    ids=repr,
)
def test_what_the_loop_raises_has_its_reason(error: Exception, reason: UnavailableReason) -> None:
    assert isinstance(error, TROUBLES)
    assert failure(error).reason is reason


@pytest.mark.parametrize("kind", list(raised_by_aiohttp()), ids=lambda kind: kind.__name__)
def test_without_a_connection_nothing_was_sent(kind: type[Exception]) -> None:
    unconnected = (
        client_exceptions.ClientConnectorError,
        client_exceptions.InvalidURL,
    )
    assert was_sent(made(kind)) is not issubclass(kind, unconnected)
