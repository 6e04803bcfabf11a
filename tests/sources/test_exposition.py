"""The single families that are read are read as the reference parser reads them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_parser,
)
from prometheus_client.parser import text_string_to_metric_families as text_parser

from guard.sources.exposition import Exposition, Malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.metrics_core import Metric

NAME = "http_requests_total"
Seen = dict[frozenset[tuple[str, str]], tuple[float, float | None]]

values = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12
) | st.sampled_from(['"', "\\", "\n", "\\n", 'a"}', "} 5", "{", "# x", ",", "="])
labels = st.dictionaries(st.sampled_from(["code", "path", "method", "le_"]), values, max_size=4)
numbers = st.floats(allow_nan=False) | st.integers(0, 2**53).map(float)


def ours(body: bytes, *, is_openmetrics: bool = False, name: str = NAME) -> Seen:
    found = Exposition(body, is_openmetrics).series(name)
    return {frozenset(one.labels.items()): (one.value, one.at) for one in found}


def theirs(
    body: bytes, parser: Callable[[str], Iterable[Metric]] = text_parser, name: str = NAME
) -> Seen:
    return {
        frozenset(sample.labels.items()): (
            sample.value,
            float(sample.timestamp) if sample.timestamp is not None else None,
        )
        for family in parser(body.decode())
        for sample in family.samples
        if sample.name == name
    }


def escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def line(labelled: dict[str, str], value: float, at: int | None, blank: str, comma: str) -> str:
    pairs = ",".join(f'{name}="{escaped(text)}"' for name, text in labelled.items())
    block = f"{{{pairs}{comma if pairs else ''}}}" if pairs else ""
    return f"{NAME}{block}{blank}{value!r}{'' if at is None else f' {at}'}\n"


NEIGHBOURS = [
    "",
    "# HELP http_requests_total Requests.\n# TYPE http_requests_total counter\n",
    "http_requests_total_other 7\nother_http_requests_total 9\n",
    'x{a="http_requests_total{} 1"} 2\n\n\n',
    "# http_requests_total 4\n",
    "http_requests_created 1.7e9\n",
]


@given(
    st.lists(
        st.tuples(
            labels,
            numbers,
            st.none() | st.integers(0, 2**42),
            st.sampled_from([" ", "  ", "\t"]),
            st.sampled_from(["", ","]),
            st.sampled_from(NEIGHBOURS),
        ),
        max_size=8,
        unique_by=lambda row: frozenset(row[0].items()),
    )
)
def test_any_text_exposition_is_read_as_the_reference_reads_it(
    rows: list[tuple[dict[str, str], float, int | None, str, str, str]],
) -> None:
    body = "".join(before + line(*row) for *row, before in rows).encode()
    found, expected = ours(body), theirs(body)
    assert found.keys() == expected.keys()
    for key, (value, at) in expected.items():
        assert found[key][0] == value
        assert found[key][1] == (None if at is None else pytest.approx(at))


def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    requests = Counter("http_requests_total", "Requests.", ["code", "path"], registry=made)
    requests.labels("200", "/a").inc(5, exemplar={"trace_id": "x{1}"})
    requests.labels("500", 'a "quoted" \\ path\n').inc(2)
    Gauge("process_start_time_seconds", "Start.", registry=made).set(1.7e9)
    Histogram("http_request_duration_seconds", "Time.", registry=made).observe(0.1)
    return made


def test_the_usual_librarys_text_is_read() -> None:
    body = generate_latest(registry())
    assert ours(body) == theirs(body)
    assert len(ours(body)) == 2


def test_the_usual_librarys_openmetrics_is_read_with_its_exemplars() -> None:
    body = openmetrics.generate_latest(registry())
    assert b"# {trace_id=" in body
    assert ours(body, is_openmetrics=True) == theirs(body, openmetrics_parser)


def test_times_are_milliseconds_in_text_and_seconds_in_openmetrics() -> None:
    assert ours(b"http_requests_total 5 1700000000500\n")[frozenset()] == (5.0, 1700000000.5)
    body = b"http_requests_total 5 1700000000.5\n# EOF\n"
    assert ours(body, is_openmetrics=True)[frozenset()] == (5.0, 1700000000.5)


def test_names_with_a_blank_before_them_count_as_the_format_says() -> None:
    assert ours(b" \thttp_requests_total 5\n")[frozenset()] == (5.0, None)


def test_a_last_line_without_its_end_is_read() -> None:
    assert ours(b"x 1\nhttp_requests_total 5")[frozenset()] == (5.0, None)


def test_a_quoted_label_name_is_read() -> None:
    body = b'http_requests_total{"http.code"="500", b="c"} 5\n'
    assert ours(body) == {frozenset({("http.code", "500"), ("b", "c")}): (5.0, None)}


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"# TYPE http_requests counter\nhttp_requests 5\n", "http_requests_total"),
        (b"# TYPE http_requests counter\nhttp_requests_total 5\n", "http_requests"),
        (b"# TYPE http_requests_total counter\nhttp_requests_total 5\n", "http_requests"),
    ],
    ids=["text without", "openmetrics with", "text with"],
)
def test_a_counter_is_found_with_and_without_total(body: bytes, name: str) -> None:
    assert ours(body, name=name) == {frozenset(): (5.0, None)}


def test_what_is_no_counter_is_not_found_under_another_name() -> None:
    assert ours(b"# TYPE http_requests gauge\nhttp_requests 5\n") == {}


def test_the_very_name_wins_over_the_other_one() -> None:
    body = b"# TYPE http_requests counter\nhttp_requests 5\nhttp_requests_total 6\n"
    assert ours(body) == {frozenset(): (6.0, None)}


def test_the_start_of_the_process_is_read_where_there_is_one_without_labels() -> None:
    assert Exposition(generate_latest(registry())).process_start() == 1.7e9
    assert Exposition(b'process_start_time_seconds{pid="1"} 5\n').process_start() is None
    assert Exposition(b"x 1\n").process_start() is None


@pytest.mark.parametrize("value", [b"NaN", b"+Inf", b"-Inf"])
def test_values_that_are_no_numbers_are_passed_on_as_such(value: bytes) -> None:
    (series,) = Exposition(b"http_requests_total %b\n" % value).series(NAME)
    assert not math.isfinite(series.value)


@pytest.mark.parametrize(
    "body",
    [
        b'http_requests_total{code="500" 5\n',
        b'http_requests_total{code="500} 5\n',
        b"http_requests_total{code=500} 5\n",
        b'http_requests_total{=""} 5\n',
        b'http_requests_total{a="1"b="2"} 5\n',
        b"http_requests_total five\n",
        b"http_requests_total 5 soon\n",
        b"http_requests_total 5 6 7\n",
        b"http_requests_total \n",
        b'http_requests_total{a="\xff"} 5\n',
    ],
)
def test_a_line_that_cannot_be_read_is_named_by_its_family_alone(body: bytes) -> None:
    with pytest.raises(Malformed, match=r"^a line of http_requests_total cannot be read$"):
        Exposition(body).series(NAME)


def test_a_line_that_cannot_be_read_does_not_matter_in_another_family() -> None:
    assert ours(b"broken{{{ 5\nhttp_requests_total 5\n") == {frozenset(): (5.0, None)}
