"""Answers are taken whole or not at all, and nothing of the server's own words is passed on."""

from __future__ import annotations

import json
import math

import pytest

from guard.core.samples import Unavailable, UnavailableReason
from guard.sources.prometheus_answers import ResultType, Series, read

VECTOR = (ResultType.VECTOR, ResultType.SCALAR)
MATRIX = (ResultType.MATRIX,)
SECRET = "seeded-secret"


def success(kind: str, result: object, **more: object) -> bytes:
    data = {"resultType": kind, "result": result}
    return json.dumps({"status": "success", "data": data, **more}).encode()


def error(word: object) -> bytes:
    return json.dumps({"status": "error", "errorType": word, "error": SECRET}).encode()


def test_a_vector_a_scalar_and_a_matrix_are_read() -> None:
    rows = [{"metric": {"a": "b"}, "value": [1.5, "3.25"]}]
    assert read(200, success("vector", rows), VECTOR) == (Series({"a": "b"}, ((1.5, 3.25),)),)
    assert read(200, success("scalar", [2, "7"]), VECTOR) == (Series({}, ((2.0, 7.0),)),)
    rows = [{"metric": {}, "values": [[1, "1"], [2, "+Inf"]]}]
    expected = (Series({}, ((1.0, 1.0), (2.0, float("inf")))),)
    assert read(200, success("matrix", rows), MATRIX) == expected


def test_not_a_number_is_a_value_like_any_other() -> None:
    (series,) = read(200, success("scalar", [2, "NaN"]), VECTOR) or ()
    assert isinstance(series, Series)
    assert math.isnan(series.samples[0][1])


def test_histograms_give_series_without_samples() -> None:
    histogram = {"metric": {"a": "b"}, "histogram": [1.0, {"count": "1", "sum": "1"}]}
    assert read(200, success("vector", [histogram]), VECTOR) == (Series({"a": "b"}, ()),)
    histograms = {"metric": {}, "histograms": [[1.0, {"count": "1", "sum": "1"}]]}
    assert read(200, success("matrix", [histograms]), MATRIX) == (Series({}, ()),)


@pytest.mark.parametrize("kind", ["string", "matrix", "streams"])
def test_another_result_type_than_the_one_that_was_asked_for_is_malformed(kind: str) -> None:
    answer = read(200, success(kind, []), VECTOR)
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.MALFORMED
    assert answer.detail == f"a {kind} where a vector or scalar was expected"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>sign in</html>",
        b"[]",
        b'{"status": "success"}',
        b'{"status": "success", "data": {"resultType": "vector"}}',
        b'{"status": "success", "data": {"resultType": "vector", "result": [{"value": []}]}}',
        success("vector", [{"metric": {}, "value": [1, "many"]}]),
        success("vector", [{"metric": {}, "value": ["now", "1"]}]),
        success("scalar", "7"),
        success("vector", [])[:-1],
        b"\xff\xfe",
    ],
    ids=range(11),
)
def test_what_is_not_the_answer_of_the_api_is_malformed(body: bytes) -> None:
    answer = read(200, body, VECTOR)
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.MALFORMED


def test_an_answer_with_warnings_is_partial_and_the_warnings_stay_where_they_are() -> None:
    rows = [{"metric": {}, "value": [1.0, "1"]}]
    answer = read(200, success("vector", rows, warnings=[SECRET]), VECTOR)
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.PARTIAL
    assert "1 warning:" in answer.detail
    assert SECRET not in repr(answer)
    two = read(200, success("vector", rows, warnings=["a", "b"]), VECTOR)
    assert isinstance(two, Unavailable)
    assert "2 warnings:" in two.detail


def test_infos_are_no_warnings_wherever_they_stand() -> None:
    note = "PromQL info: metric might not be a counter"
    assert read(200, success("vector", [], infos=[note]), VECTOR) == ()
    assert read(200, success("vector", [], warnings=[note]), VECTOR) == ()
    assert read(200, success("vector", [], warnings=None), VECTOR) == ()
    both = read(200, success("vector", [], warnings=[note, "PromQL warning: mixed"]), VECTOR)
    assert isinstance(both, Unavailable)
    assert "1 warning:" in both.detail


def test_an_answer_that_calls_itself_partial_is_partial() -> None:
    answer = read(200, success("matrix", [], isPartial=True), MATRIX)
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.PARTIAL
    assert read(200, success("matrix", [], isPartial=False), MATRIX) == ()


@pytest.mark.parametrize(
    ("status", "body", "reason", "words"),
    [
        (400, error("bad_data"), UnavailableReason.QUERY_REFUSED, "HTTP 400, bad_data"),
        (422, error("execution"), UnavailableReason.QUERY_REFUSED, "HTTP 422, execution"),
        (422, error("422"), UnavailableReason.QUERY_REFUSED, "HTTP 422"),
        (406, error("not_acceptable"), UnavailableReason.QUERY_REFUSED, "HTTP 406, not_acceptable"),
        (503, error("timeout"), UnavailableReason.TIMEOUT, "HTTP 503, timeout"),
        (503, error("canceled"), UnavailableReason.TIMEOUT, "HTTP 503, canceled"),
        (500, error("internal"), UnavailableReason.HTTP_STATUS, "HTTP 500, internal"),
        (200, error("execution"), UnavailableReason.QUERY_REFUSED, "an error, execution"),
        (500, error(7), UnavailableReason.HTTP_STATUS, "HTTP 500"),
        (503, b"Service Unavailable", UnavailableReason.HTTP_STATUS, "HTTP 503"),
        (401, b"Unauthorized", UnavailableReason.UNAUTHORIZED, "HTTP 401"),
        (403, b"Forbidden", UnavailableReason.FORBIDDEN, "HTTP 403"),
        (429, b"slow down", UnavailableReason.HTTP_STATUS, "HTTP 429"),
        (302, b"", UnavailableReason.HTTP_STATUS, "HTTP 302: it redirects"),
        (404, b"", UnavailableReason.HTTP_STATUS, "HTTP 404: no such API there"),
    ],
)
def test_every_refusal_has_its_reason(
    status: int, body: bytes, reason: UnavailableReason, words: str
) -> None:
    answer = read(status, body, VECTOR)
    assert isinstance(answer, Unavailable)
    assert answer.reason is reason
    assert answer.detail.startswith(words)
    assert SECRET not in repr(answer)
