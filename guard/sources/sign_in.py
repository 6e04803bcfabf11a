"""How the guard signs in at a monitoring server: headers and certificate authorities.

The law of this module: whatever cannot be used is said once, at the start, without its value.
"""

from __future__ import annotations

import base64
import re
import ssl
from typing import TYPE_CHECKING

from guard import __version__
from guard.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guard.sources.lookup import Address


def headers(address: Address) -> Mapping[str, str]:
    """The headers of every request.

    Raises:
        ConfigurationError: a value would break out of its header.
    """
    found = {"User-Agent": f"deployment-guard/{__version__}", "Accept": "application/json"}
    found.update((name, value.get_secret_value()) for name, value in address.headers.items())
    if address.token is not None:
        found["Authorization"] = f"Bearer {address.token.get_secret_value()}"
    elif address.username is not None and address.password is not None:
        pair = f"{address.username}:{address.password.get_secret_value()}"
        found["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    for name, value in found.items():
        if re.search(r"[\r\n\0]", name + value):
            message = (
                f"{address.whose}: the header {name!r} would hold a line break; mend its value"
            )
            raise ConfigurationError(message)
    return found


def tls(address: Address) -> ssl.SSLContext | bool:
    """Whom to trust; True: the system's authorities.

    Raises:
        ConfigurationError: the file holds no certificate authority.
    """
    if address.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=address.ca_file)
    except (OSError, ValueError):
        message = (
            f"{address.whose}: {address.ca_file} holds no certificate authority; name a PEM file"
        )
        raise ConfigurationError(message) from None
