"""How the start of an e-process is spread: never more than 1, and never none left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.evidence import spend


def spent_after(*times: float, steps: tuple[float, ...] = ()) -> float:
    state = spend.begin(0.0)
    for at in sorted({*times, *steps}):
        if at in steps:
            state = spend.step(state, at)
        state, _ = spend.draw(state, at)
    return state.spent


def test_half_is_spent_at_once() -> None:
    assert spent_after(0.0) == 0.5


def test_each_half_hour_spends_half_of_what_is_left_of_the_quarter_for_time() -> None:
    assert spent_after(0.0, 1800.0) == pytest.approx(0.5 + 0.125)
    assert spent_after(0.0, 3600.0) == pytest.approx(0.5 + 0.1875)
    assert spent_after(0.0, 900.0) == pytest.approx(0.5 + 0.0625)


def test_a_step_spreads_half_of_what_is_left_over_forty_five_seconds() -> None:
    without = spent_after(0.0, 22.5)
    assert spent_after(22.5, steps=(0.0,)) - without == pytest.approx(0.0625)
    assert spent_after(45.0, steps=(0.0,)) - spent_after(0.0, 45.0) == pytest.approx(0.125)
    assert spent_after(90.0, steps=(0.0,)) - spent_after(0.0, 90.0) == pytest.approx(0.125)


def test_what_a_step_had_not_spent_goes_back_before_the_next_one() -> None:
    with_steps = spent_after(22.0, 90.0, steps=(0.0, 22.5))
    first = 0.125 * 22.0 / 45.0
    assert with_steps - spent_after(0.0, 90.0) == pytest.approx(first + (0.25 - first) / 2)


def test_a_clock_that_goes_back_spends_nothing() -> None:
    state, _ = spend.draw(spend.begin(0.0), 100.0)
    after, weight = spend.draw(state, 50.0)
    assert weight == 0.0
    assert after.at == 100.0


@given(
    times=st.lists(st.floats(0.0, 1e6), min_size=1, max_size=60),
    steps=st.lists(st.floats(0.0, 1e6), max_size=12),
)
def test_however_it_is_polled_no_more_than_one_is_ever_spent(
    times: list[float], steps: list[float]
) -> None:
    assert 0.5 <= spent_after(*times, steps=tuple(steps)) <= 1.0 + 1e-12


@given(times=st.lists(st.floats(0.0, 1e5), min_size=1, max_size=40))
def test_the_number_of_polls_does_not_change_what_is_spent(times: list[float]) -> None:
    last = max(times)
    assert spent_after(*times) == pytest.approx(spent_after(0.0, last))
