"""Field types of the SLO file: a reader, and the JSON Schema that editors complete with."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from guard.config import presets, quantities, selectors
from guard.config.codes import Code
from guard.config.problems import Rejected, closest, show
from guard.core.policy import Matcher, Selector, Step

_Choice = TypeVar("_Choice", bound=StrEnum)

_DNS: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_WORD: Final = r"^[a-z][a-z0-9_-]*$"
_TITLE: Final = r"^[^\s\x00-\x1f]([^\x00-\x1f]*[^\s\x00-\x1f])?$"
_LABEL: Final = r"^[a-zA-Z_][a-zA-Z0-9_]*$"
_URL_PATH: Final = r"^/([^\s#%\x00-\x1f\x7f]|%[0-9a-fA-F]{2})*$"
_NOT_IN_PATH: Final = r"[\s#\x00-\x1f\x7f]|%(?![0-9a-fA-F]{2})"
_FILE_PATH: Final = r"^/.+$"
_PORT_NAME: Final = r"^(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$"

_MAX_PORT: Final = 65_535
_MAX_PORT_NAME: Final = 15
_MAX_URL_PATH: Final = 512
_FIRST: Final = "first"


def _pattern(code: Code, pattern: str, longest: int, expected: str) -> tuple[Any, Any]:
    """A check of a text, and its schema."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text) or len(text) > longest:
            raise Rejected(code, show(text), expected, f"use at most {longest} such characters")
        return text

    schema = {"type": "string", "pattern": pattern, "maxLength": longest}
    return AfterValidator(check), WithJsonSchema(schema)


def _quantity(read: Callable[[object], Any], schema: dict[str, Any]) -> tuple[Any, Any]:
    return BeforeValidator(read), WithJsonSchema(schema)


def choice(options: type[_Choice]) -> Callable[[object], _Choice]:
    """A reader of one word out of an enumeration, which names the closest one otherwise."""

    def read(value: object) -> _Choice:
        words = [option.value for option in options]
        if value not in words:
            expected = f"one of {', '.join(words)}"
            raise Rejected(Code.VALUE_UNKNOWN, show(value), expected, closest(value, words))
        return options(value)

    return read


def step(value: object) -> Step:
    """A step of the pace: `first`, or the share of the desired pods.

    Raises:
        Rejected: `value-unknown`, or `ratio-out-of-range`.
    """
    if value == _FIRST:
        return Step.FIRST
    if not isinstance(value, str) or not re.fullmatch(quantities.PERCENT_PATTERN, value):
        expected = "first, or a share of the pods such as 50%"
        raise Rejected(Code.VALUE_UNKNOWN, show(value), expected, "write one of them")
    return Step(quantities.ratio(value))


def port(value: object) -> int | str:
    """A port's number, or its name in the pod.

    Raises:
        Rejected: `port-invalid`.
    """
    named = (
        isinstance(value, str) and re.fullmatch(_PORT_NAME, value) and len(value) <= _MAX_PORT_NAME
    )
    numbered = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MAX_PORT
    if not isinstance(value, int | str) or not (named or numbered):
        expected = "a port from 1 to 65535 or the name of one of the container's ports"
        raise Rejected(Code.PORT_INVALID, show(value), expected, "write a number without quotes")
    return value


def api_version(value: object) -> str:
    """The one version there is.

    Raises:
        Rejected: `api-version-unknown`.
    """
    if value != "guard/v1":
        raise Rejected(Code.API_VERSION_UNKNOWN, show(value), "guard/v1", "write guard/v1")
    return "guard/v1"


def _sequence(value: object) -> object:
    """Lists become tuples; anything else is left for pydantic to refuse."""
    return tuple(value) if isinstance(value, list) else value


def _filled(items: tuple[Any, ...]) -> tuple[Any, ...]:
    if not items:
        raise Rejected(Code.LIST_EMPTY, "an empty list", "at least one item", "add one")
    return items


SEQUENCE: Final = BeforeValidator(_sequence)
FILLED: Final = AfterValidator(_filled)


def _url_path(text: str) -> str:
    """A path as it stands in a request's first line.

    Raises:
        Rejected: `url-path-invalid`, which names the character.
    """
    if re.fullmatch(_URL_PATH, text) and len(text) <= _MAX_URL_PATH:
        return text
    expected, action = "a path that begins with /", "write /health, for example"
    if len(text) > _MAX_URL_PATH:
        expected, action = f"at most {_MAX_URL_PATH} characters", "shorten it"
    elif text.startswith("/") and (wrong := re.search(_NOT_IN_PATH, text)):
        expected = "a path without blanks, # or a bare %"
        action = f"write %{ord(wrong.group()[0]):02X} for {wrong.group()!r}, or leave it out"
    raise Rejected(Code.URL_PATH_INVALID, show(text), expected, action)


_SERVICE = _pattern(Code.NAME_INVALID, _DNS, 63, "lower-case letters, digits and inner dashes")
_OBJECT = _pattern(Code.NAME_INVALID, _SUBDOMAIN, 253, "a Kubernetes object's name")
_KEY = _pattern(Code.NAME_INVALID, _WORD, 63, "lower-case letters, digits, - and _")
_ONE_LINE = _pattern(Code.NAME_INVALID, _TITLE, 63, "one line of text")
_LABEL_NAME = _pattern(Code.LABEL_INVALID, _LABEL, 128, "a Prometheus label's name")
_URL_SCHEMA: Final = {"type": "string", "pattern": _URL_PATH, "maxLength": _MAX_URL_PATH}
_FILE = _pattern(Code.FILE_PATH_INVALID, _FILE_PATH, 512, "an absolute path in the guard's pod")

ServiceName = Annotated[str, _SERVICE[0], _SERVICE[1]]
ObjectName = Annotated[str, _OBJECT[0], _OBJECT[1]]
ObjectiveName = Annotated[str, _KEY[0], _KEY[1]]
Title = Annotated[str, _ONE_LINE[0], _ONE_LINE[1]]
LabelName = Annotated[str, _LABEL_NAME[0], _LABEL_NAME[1]]
UrlPath = Annotated[str, AfterValidator(_url_path), WithJsonSchema(_URL_SCHEMA)]
FilePath = Annotated[str, _FILE[0], _FILE[1]]

_DURATION_SCHEMA: Final = {"type": "string", "pattern": quantities.DURATION_PATTERN}
period: Final = quantities.duration_between("0s", "7d")
positive_period: Final = quantities.duration_between("1s", "7d")
_SHORT = _quantity(quantities.duration_between("100ms", "5m"), _DURATION_SCHEMA)
_PERIOD = _quantity(period, _DURATION_SCHEMA)
_POSITIVE = _quantity(positive_period, _DURATION_SCHEMA)
_THRESHOLD = _quantity(quantities.duration_between("1ms", "1h"), _DURATION_SCHEMA)
_WINDOW = _quantity(quantities.duration_between("1h", "366d"), _DURATION_SCHEMA)

ShortDuration = Annotated[float, _SHORT[0], _SHORT[1]]
Period = Annotated[float, _PERIOD[0], _PERIOD[1]]
PositivePeriod = Annotated[float, _POSITIVE[0], _POSITIVE[1]]
Threshold = Annotated[float, _THRESHOLD[0], _THRESHOLD[1]]
Window = Annotated[float, _WINDOW[0], _WINDOW[1]]

_PERCENT: Final = {"type": "string", "pattern": quantities.PERCENT_PATTERN}
_BELOW_ONE: Final = {
    "type": "number",
    "minimum": quantities.MIN_RATIO,
    "exclusiveMaximum": 1,
}
_BELOW_ALL: Final = {"type": "number", "minimum": 1, "exclusiveMaximum": 100}
_RATIO = _quantity(quantities.ratio, {"anyOf": [_PERCENT, _BELOW_ONE]})
_PROBABILITY = _quantity(quantities.probability, {"anyOf": [_PERCENT, _BELOW_ONE]})
_TARGET = _quantity(quantities.target, {"anyOf": [_PERCENT, _BELOW_ALL]})
_NUMBER = _quantity(quantities.number, {"type": "number"})
_FACTOR = _quantity(quantities.factor, {"type": "number", "minimum": 1, "maximum": 100})

RatioValue = Annotated[float, _RATIO[0], _RATIO[1]]
Probability = Annotated[float, _PROBABILITY[0], _PROBABILITY[1]]
Target = Annotated[float, _TARGET[0], _TARGET[1]]
Number = Annotated[float, _NUMBER[0], _NUMBER[1]]
Factor = Annotated[float, _FACTOR[0], _FACTOR[1]]


def _whole(low: int, high: int) -> tuple[Any, Any]:
    schema = {"type": "integer", "minimum": low, "maximum": high}
    return _quantity(quantities.whole_between(low, high), schema)


_STATUS = _whole(100, 599)
_FAILURES = _whole(1, 100)
_ALLOWANCE = _whole(1, 10)  # above 10 a check never fails (decisions.md, C)

Status = Annotated[int, _STATUS[0], _STATUS[1]]
Failures = Annotated[int, _FAILURES[0], _FAILURES[1]]
Allowance = Annotated[int, _ALLOWANCE[0], _ALLOWANCE[1]]

_STEP_SCHEMA: Final = {"anyOf": [{"const": _FIRST}, _PERCENT]}
PaceStep = Annotated[Step, BeforeValidator(step), WithJsonSchema(_STEP_SCHEMA)]

_PORT_SCHEMA: Final = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": _MAX_PORT},
        {"type": "string", "pattern": _PORT_NAME, "maxLength": _MAX_PORT_NAME},
    ]
}
Port = Annotated[int | str, BeforeValidator(port), WithJsonSchema(_PORT_SCHEMA)]
ApiVersion = Annotated[str, BeforeValidator(api_version), WithJsonSchema({"const": "guard/v1"})]
SelectorText = Annotated[
    Selector, BeforeValidator(selectors.selector), WithJsonSchema({"type": "string"})
]
MatchersText = Annotated[
    tuple[Matcher, ...], BeforeValidator(selectors.matchers), WithJsonSchema({"type": "string"})
]
HistogramText = Annotated[
    Selector, BeforeValidator(selectors.histogram), WithJsonSchema({"type": "string"})
]
PresetName = Annotated[
    presets.Preset,
    BeforeValidator(presets.preset),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": list(presets.NAMES)},
                {"type": "string", "pattern": presets.NARROWED},
            ]
        }
    ),
]
Expression = Annotated[
    str, BeforeValidator(selectors.expression), WithJsonSchema({"type": "string"})
]
