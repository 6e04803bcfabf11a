"""In which order one burst's samples come, and from how many pods, changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.core.checks import counted_state
from tests.core.checks.conftest import BEGAN

if TYPE_CHECKING:
    from random import Random

    from tests.core.checks.conftest import Begin, Rollout

PROPERTY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
REQUESTS = st.integers(0, 30).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
PODS = ("s", "t", "c", "d")
BURST = st.tuples(*(REQUESTS for _ in PODS))


def fleet(begin: Begin) -> Rollout:
    rollout = begin({"allowance": 1})
    for uid in PODS[:2]:
        rollout.pod(uid, "old", age=900.0)
    for uid in PODS[2:]:
        rollout.pod(uid)
    return rollout


@PROPERTY
@given(bursts=st.lists(BURST, min_size=1, max_size=12), chance=st.randoms(use_true_random=False))
def test_the_order_of_simultaneous_samples_does_not_matter(
    begin: Begin, bursts: list[tuple[tuple[int, int], ...]], chance: Random
) -> None:
    one, two = fleet(begin), fleet(begin)
    for burst in bursts:
        for uid, (bad, total) in zip(PODS, burst, strict=True):
            one.serve(uid, bad, total)
            two.serve(uid, bad, total)
        shuffled = list(PODS)
        chance.shuffle(shuffled)
        one.at += 1.0
        two.at += 1.0
        first = one.take({f"{uid}/app": one.reading(uid) for uid in PODS})
        second = two.take({f"{uid}/app": two.reading(uid) for uid in shuffled})
        assert first == second
        assert one.state == two.state


@PROPERTY
@given(bursts=st.lists(BURST, min_size=1, max_size=12))
def test_two_pods_tell_what_one_with_the_traffic_of_both_would(
    begin: Begin, bursts: list[tuple[tuple[int, int], ...]]
) -> None:
    apart, together = fleet(begin), begin({"allowance": 1})
    together.pod("s", "old", age=900.0)
    together.pod("c")
    assert apart.at == together.at == BEGAN
    for s, t, c, d in bursts:
        apart.poll(s=s, t=t, c=c, d=d)
        together.poll(s=(s[0] + t[0], s[1] + t[1]), c=(c[0] + d[0], c[1] + d[1]))
    assert counted_state.e_value(apart.state) == counted_state.e_value(together.state)
    assert apart.state.sums.total == together.state.sums.total
    assert apart.state.bins == together.state.bins
