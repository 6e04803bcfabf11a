"""A bucket's bound, however a library writes it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from guard.core.buckets import bucket_matcher, bucket_pattern

BOUNDS = st.sampled_from([0.001, 0.005, 0.25, 0.5, 1.0, 2.5, 10.0, 500.0, 1e4, 1e6, 1e-5, 0.3])


@given(BOUNDS)
def test_every_usual_way_to_write_a_bound_is_found(bound: float) -> None:
    for text in (f"{bound:g}", f"{bound:e}", f"{bound:E}", f"{bound:.15f}"):
        assert re.fullmatch(bucket_pattern(bound), text), text


def test_the_ways_of_known_libraries_are_found() -> None:
    for text in ("1", "1.0", "1e0", "1e+00", "1.00", "1E0"):
        assert re.fullmatch(bucket_pattern(1.0), text), text


@given(BOUNDS, BOUNDS)
def test_no_other_bound_is_found(bound: float, other: float) -> None:
    assert bool(re.fullmatch(bucket_pattern(bound), repr(other))) is (bound == other)


def test_the_matcher_is_promql() -> None:
    assert bucket_matcher(0.5) == r'le=~"0\\.50*|5(?:\\.0*)?[eE]-0*1"'
