"""Values of variables: text from the environment in, checked values out.

Each reader also takes the value it gives, so that settings can be built in code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from guard.config import quantities
from guard.config.codes import Code
from guard.config.problems import Rejected, closest, show
from guard.core.workloads import Mode

_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_NAME: Final = r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?"
_HEADER: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LISTEN: Final = r"(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z.-]+):([0-9]{1,5})"
_MAX_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def invalid(value: object, expected: str, action: str) -> Rejected:
    """What a variable's value is when it cannot be used."""
    return Rejected(Code.SETTING_INVALID, show(value), expected, action)


def mode(value: object) -> Mode:
    """`observe` or `act`; `off` is a workload's label, not a guard's mode."""
    words = [Mode.OBSERVE.value, Mode.ACT.value]
    if value not in words:
        raise invalid(value, "observe or act", closest(value, words))
    return Mode(value)


def flag(value: object) -> bool:
    """A yes or no."""
    text = str(value).lower()
    if text not in _TRUE | _FALSE:
        raise invalid(value, "true or false", "write true or false")
    return text in _TRUE


def name(value: object) -> str:
    """A Kubernetes name."""
    if not isinstance(value, str) or not re.fullmatch(_NAME, value):
        expected = "a Kubernetes name: lower-case letters, digits and inner dashes"
        raise invalid(value, expected, "write the object's name")
    return value


def names(value: object) -> tuple[str, ...]:
    """Names with commas between them."""
    if isinstance(value, tuple):
        return tuple(name(item) for item in value)
    found = tuple(name(item.strip()) for item in str(value).split(",") if item.strip())
    if not found:
        expected = "at least one name, or the variable unset for all"
        raise invalid(value, expected, "name one, or unset the variable")
    return found


def url(value: object) -> str:
    """A base URL, without its last slash. What it holds of a password is never shown."""
    expected = "a URL such as http://prometheus.monitoring:9090"
    try:
        parts = urlsplit(str(value))
        port = parts.port
    except ValueError:
        raise Rejected(Code.SETTING_INVALID, "no URL", expected, "mend host and port") from None
    if parts.username is not None or parts.password is not None:
        action = "use GUARD_PROMETHEUS_USERNAME and GUARD_PROMETHEUS_PASSWORD_FILE"
        raise Rejected(Code.SETTING_INVALID, "a URL with a user in it", expected, action)
    if re.search(r"\s", str(value)) or _CONTROL.search(str(value)):
        action = "remove the blank; one in the path is %20"
        raise Rejected(Code.SETTING_INVALID, "a URL with a blank in it", expected, action)
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise invalid(value, expected, "begin with http:// or https://, then host and port")
    if parts.query or parts.fragment:
        raise Rejected(
            Code.SETTING_INVALID, "a URL with a query", expected, "remove it from the ? on"
        )
    return str(value).rstrip("/")


def file(value: object) -> Path:
    """A file that exists."""
    path = Path(str(value))
    if not path.is_file():
        raise invalid(str(value), "an existing file", "check the path and the mount")
    return path


def headers(value: object) -> dict[str, SecretStr]:
    """`Name=value` pairs with commas between them. Values are never shown."""
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items() if isinstance(item, SecretStr)}
    found: dict[str, SecretStr] = {}
    for pair in str(value).split(","):
        key, sign, text = pair.strip().partition("=")
        if not sign or not re.fullmatch(_HEADER, key):
            expected = "Name=value pairs with commas between them"
            words = ("something else", expected, "write X-Scope-OrgID=team, for example")
            raise Rejected(Code.SETTING_INVALID, *words)
        found[key] = SecretStr(_for_a_header(text, f"a value of {key}"))
    return found


def password(value: object) -> SecretStr:
    """One line of text, of any language: basic authentication encodes it. Never shown."""
    if isinstance(value, SecretStr):
        return value
    return SecretStr(_one_line(str(value), "a password"))


def token(value: object) -> SecretStr:
    """What stands in a header as it is. Never shown."""
    if isinstance(value, SecretStr):
        return value
    return SecretStr(_for_a_header(str(value), "a token"))


def _for_a_header(text: str, what: str) -> str:
    if not _one_line(text, what).isascii():
        action = "copy it anew; a header holds letters, digits and signs of ASCII"
        raise Rejected(Code.SETTING_INVALID, f"{what} that is not ASCII", "ASCII only", action)
    return text


def _one_line(text: str, what: str) -> str:
    if _CONTROL.search(text):
        found = f"{what} with a line break or another control character"
        raise Rejected(Code.SETTING_INVALID, found, "one line of text", "write it in one line")
    return text


def listen(value: object) -> Listen:
    """`host:port`, an IPv6 host in brackets."""
    if isinstance(value, Listen):
        return value
    match = re.fullmatch(_LISTEN, str(value))
    if not match or int(match[2]) > _MAX_PORT:
        raise invalid(value, "host:port such as 0.0.0.0:8080", "write both; port 0 is any free one")
    return Listen(match[1].strip("[]"), int(match[2]))


def duration_between(low: str, high: str) -> Callable[[object], float]:
    """A reader of durations; a number is seconds already."""
    parse = quantities.duration_between(low, high)

    def read(value: object) -> float:
        return float(value) if isinstance(value, int | float) else parse(value)

    return read


def count_between(low: int, high: int) -> Callable[[object], int]:
    """A reader of whole numbers, given as digits."""
    parse = quantities.whole_between(low, high)

    def read(value: object) -> int:
        digits = isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value)
        return parse(int(str(value)) if digits else value)

    return read
