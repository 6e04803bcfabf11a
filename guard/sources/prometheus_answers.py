"""Reads what Prometheus, or a server that speaks its API, answered to an instant query.

The law of this module: an answer is taken whole or not at all. A warning says that something may
be missing from it, and a number that rests on it may be too small: `PARTIAL`. The server's own
words are never passed on, for they can echo what was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from guard.core.samples import Unavailable, UnavailableReason

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

NAME: Final = "__name__"
"""The label that holds a series' metric."""

# Prometheus 2.44 to 2.52 put notes on a query ("metric might not be a counter") among the warnings;
# later ones have `infos` for them. They say nothing about what is missing.
_NOTE: Final = "PromQL info"


class ResultType(StrEnum):
    """What an expression evaluates to."""

    VECTOR = "vector"
    MATRIX = "matrix"
    SCALAR = "scalar"
    STRING = "string"


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer.

    Attributes:
        labels: its labels, the metric's name under `NAME`; none of a scalar.
        samples: (time, value), oldest first; seconds since the epoch. Of an instant vector the time
            is that of the evaluation. Empty where the values are histograms.
    """

    labels: Mapping[str, str]
    samples: tuple[tuple[float, float], ...]


_Sample = tuple[float, str]


class _Row(msgspec.Struct):
    metric: dict[str, str]
    value: _Sample | None = None
    values: list[_Sample] = msgspec.field(default_factory=list)


class _Data(msgspec.Struct):
    kind: str = msgspec.field(name="resultType")
    result: msgspec.Raw


class _Envelope(msgspec.Struct):
    status: str
    data: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    error: str = msgspec.field(name="errorType", default="")
    warnings: list[str] | None = None
    # VictoriaMetrics says so where a storage node did not answer.
    partial: bool = msgspec.field(name="isPartial", default=False)


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_DATA: Final = msgspec.json.Decoder(_Data)
_ROWS: Final = msgspec.json.Decoder(list[_Row])
_SCALAR: Final = msgspec.json.Decoder(_Sample)

_STATUSES: Final = {
    400: UnavailableReason.QUERY_REFUSED,
    401: UnavailableReason.UNAUTHORIZED,
    403: UnavailableReason.FORBIDDEN,
    422: UnavailableReason.QUERY_REFUSED,
}
_OK: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)
_NOT_FOUND: Final = 404

# Prometheus' own words (docs/querying/api.md; web/api/v1/api.go), for any status they come with.
_ERRORS: Final = {
    "bad_data": UnavailableReason.QUERY_REFUSED,
    "execution": UnavailableReason.QUERY_REFUSED,
    "not_acceptable": UnavailableReason.QUERY_REFUSED,
    "timeout": UnavailableReason.TIMEOUT,
    "canceled": UnavailableReason.TIMEOUT,
    "internal": UnavailableReason.HTTP_STATUS,
    "unavailable": UnavailableReason.HTTP_STATUS,
    "not_found": UnavailableReason.HTTP_STATUS,
}


def read(
    status: int, body: bytes, wanted: Collection[ResultType]
) -> tuple[Series, ...] | Unavailable:
    """Read one answer.

    Args:
        status: the HTTP status.
        body: the whole body.
        wanted: the result types that the question can have.

    Returns:
        The series in the server's order, or why there are none to rely on.
    """
    if status not in _OK:
        return _refused(status, body)
    try:
        envelope = _ENVELOPE.decode(body)
        if envelope.status != "success":
            return _refused(status, body)
        if envelope.partial or _warned(envelope):
            return _partial(envelope)
        return _series(_DATA.decode(envelope.data), wanted)
    except (msgspec.DecodeError, ValueError):
        # A page of a proxy that asks to sign in also comes with status 200.
        return Unavailable(UnavailableReason.MALFORMED, "the answer is not that of Prometheus' API")


def _series(data: _Data, wanted: Collection[ResultType]) -> tuple[Series, ...] | Unavailable:
    if data.kind not in wanted:
        words = f"a {data.kind:.20} where a {' or '.join(wanted)} was expected"
        return Unavailable(UnavailableReason.MALFORMED, words)
    if data.kind == ResultType.SCALAR:
        at, value = _SCALAR.decode(data.result)
        return (Series({}, ((at, float(value)),)),)
    return tuple(
        Series(row.metric, tuple((at, float(value)) for at, value in _samples(row)))
        for row in _ROWS.decode(data.result)
    )


def _samples(row: _Row) -> list[_Sample]:
    return row.values if row.value is None else [row.value]


def _warned(envelope: _Envelope) -> list[str]:
    return [words for words in envelope.warnings or () if not words.startswith(_NOTE)]


def _partial(envelope: _Envelope) -> Unavailable:
    count = len(_warned(envelope))
    words = f"came with {count} warning{'s' * (count != 1)}" if count else "is marked as partial"
    return Unavailable(UnavailableReason.PARTIAL, f"the answer {words}: something may be missing")


def _refused(status: int, body: bytes) -> Unavailable:
    word = _error_type(body)
    reason = _STATUSES.get(status) or _ERRORS.get(word) or UnavailableReason.HTTP_STATUS
    words = f"HTTP {status}" if status not in _OK else "an error"
    if word in _ERRORS:
        words += f", {word}"
    elif status in _REDIRECTS:
        words += ": it redirects; name the place that it redirects to"
    elif status == _NOT_FOUND:
        words += ": no such API there; does the URL lack a path?"
    return Unavailable(reason, words)


def _error_type(body: bytes) -> str:
    try:
        return _ENVELOPE.decode(body).error
    except (msgspec.DecodeError, ValueError):
        return ""
