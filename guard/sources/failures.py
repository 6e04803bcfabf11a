"""Why an HTTP request had no answer: foreign exceptions to the guard's own reasons, once.

The first match in the table counts. A test holds the table to what aiohttp can raise.
"""

from __future__ import annotations

import ssl
from typing import Final

import aiohttp

from guard.core.samples import Unavailable, UnavailableReason

TROUBLES: Final = (aiohttp.ClientError, OSError, TimeoutError)
"""What a request can raise; expected, and a value from here on."""

_REASONS: Final[tuple[tuple[type[Exception], UnavailableReason, str], ...]] = (
    (aiohttp.ClientConnectorDNSError, UnavailableReason.UNRESOLVED, "its name has no address"),
    (aiohttp.InvalidURL, UnavailableReason.UNRESOLVED, "its address cannot be used"),
    (aiohttp.ClientConnectorCertificateError, UnavailableReason.TLS, "certificate not trusted"),
    (aiohttp.ClientSSLError, UnavailableReason.TLS, "no TLS connection"),
    (aiohttp.ServerFingerprintMismatch, UnavailableReason.TLS, "certificate not trusted"),
    (ssl.SSLError, UnavailableReason.TLS, "no TLS connection"),
    (TimeoutError, UnavailableReason.TIMEOUT, "no answer in time"),
    (aiohttp.ClientPayloadError, UnavailableReason.MALFORMED, "the answer was cut off"),
    (aiohttp.ClientResponseError, UnavailableReason.MALFORMED, "no HTTP answer"),
    (aiohttp.ServerDisconnectedError, UnavailableReason.REFUSED, "the connection was closed"),
    (ConnectionResetError, UnavailableReason.REFUSED, "the connection was reset"),
    (OSError, UnavailableReason.REFUSED, "no connection"),
    (aiohttp.ClientError, UnavailableReason.REFUSED, "no connection"),
)


def failure(error: Exception) -> Unavailable:
    """The guard's own reason for one of `TROUBLES`; the text echoes nothing foreign."""
    rows = (
        Unavailable(reason, words) for kind, reason, words in _REASONS if isinstance(error, kind)
    )
    return next(rows)


def was_sent(error: Exception) -> bool:
    """Whether the request may have reached the pod: no connection, no request."""
    return not isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL)
