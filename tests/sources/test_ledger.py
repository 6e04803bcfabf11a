"""The ledger: every request of the guard's own, as of any time that a sample may speak of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guard.sources.ledger import HISTORY, UNANSWERED_FOR, UNTOUCHED, Ledger

requests = st.lists(st.tuples(st.floats(0.0, 1200.0), st.booleans()), max_size=300)


def ledger() -> Ledger:
    return Ledger(lambda: 0.0)


def test_what_was_sent_counts_up_to_the_time_asked_for_and_at_that_time_too() -> None:
    book = ledger()
    for at in (1.0, 2.0, 3.0):
        book.note("u", at, bad=at == 2.0)
    assert [book.sent("u", at) for at in (0.9, 1.0, 2.5, 3.0)] == [(0, 0), (1, 0), (2, 1), (3, 1)]


def test_pods_are_counted_apart() -> None:
    book = ledger()
    book.note("u", 1.0, bad=False)
    assert book.sent("v", 2.0) == (0, 0)


@given(requests)
def test_the_count_is_exact_for_the_time_of_history_and_never_falls(
    noted: list[tuple[float, bool]],
) -> None:
    book = ledger()
    times = sorted(noted)
    for at, bad in times:
        book.note("u", at, bad=bad)
    end = times[-1][0] if times else 0.0
    for at in (end, end - HISTORY / 2, end - HISTORY + 1.0):
        expected = [bad for when, bad in times if when <= at]
        assert book.sent("u", at) == (len(expected), sum(expected))
    counts = [book.sent("u", float(at)) for at in range(0, 1300, 50)]
    assert counts == sorted(counts)


def test_requests_older_than_the_history_are_counted_without_their_times() -> None:
    book = ledger()
    for at in range(3000):
        book.note("u", float(at), bad=True)
    assert book.sent("u", 2999.0) == (3000, 3000)
    assert len(book._pods["u"].containers[""].all.newer) < HISTORY + 100
    assert book.sent("u", 0.0)[0] > 2000


def test_what_is_known_to_have_gone_to_another_container_is_left_out() -> None:
    book = ledger()
    book.note("u", 1.0, bad=False, container="app")
    book.note("u", 1.0, bad=True, container="sidecar")
    book.note("u", 1.0, bad=False)
    assert book.sent("u", 2.0) == (3, 1)
    assert book.sent("u", 2.0, "app") == (2, 0)
    assert book.sent("u", 2.0, "sidecar") == (2, 1)


def test_requests_that_were_given_up_are_remembered_as_such_for_a_while() -> None:
    book = ledger()
    book.note("u", 10.0, bad=False, answered=False, container="app")
    book.note("u", 11.0, bad=False, container="app")
    book.note("u", 14.0, bad=False, answered=False)
    assert book.sent("u", 15.0) == (3, 0)
    assert book.unanswered("u", 9.0) == (0, 0.0)
    assert book.unanswered("u", 15.0, "app") == (2, 4.0)
    assert book.unanswered("u", 15.0, "sidecar") == (1, 0.0)
    assert book.unanswered("u", 10.0 + UNANSWERED_FOR) == (1, 0.0)


def test_it_says_from_when_on_it_knows() -> None:
    book = Ledger(lambda: 100.0)
    book.note("u", 101.0, bad=False)
    assert book.known_since("u") == book.known_since("v") == 100.0


def test_pods_that_are_gone_are_forgotten() -> None:
    book = ledger()
    book.note("u", 1.0, bad=False)
    book.note("v", 1.0, bad=False)
    book.keep(["v"])
    assert book.sent("u", 2.0) == (0, 0)
    assert book.sent("v", 2.0) == (1, 0)


def test_a_pod_that_nobody_asked_about_for_long_is_forgotten_and_its_past_then_unknown() -> None:
    book = ledger()
    book.note("u", 1.0, bad=False)
    for at in range(0, 2 * int(UNTOUCHED) + 200, 100):
        book.note("v", float(at), bad=False)
    assert "u" not in book._pods
    assert book.known_since("u") > UNTOUCHED
    assert book.known_since("v") == 0.0


def test_nothing_is_forgotten_that_somebody_asks_about() -> None:
    book = ledger()
    book.note("u", 1.0, bad=False)
    for at in range(0, 3 * int(UNTOUCHED), 100):
        assert book.sent("u", float(at) + 1.0) == (1, 0)
    assert book.known_since("u") == 0.0
