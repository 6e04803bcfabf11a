"""Counting over any schedule: every request once, and none that was not a user's."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from guard.core.counting import Delta, advance
from guard.core.samples import Reading
from guard.core.workloads import Container

BEGAN = 1000.0
NEW = Container("app", started_at=1001.0, ready=True)


def scraped(total: float, bad: float, *, at: float, source: str) -> Reading:
    return Reading(total=total, bad=bad, at=at, source=source, paths_known=True)


def machines(total: float, *, at: float, rate: float, sent: int = 0) -> Reading:
    return Reading(total, 0.0, at, "scrape", machine=rate, sent=sent)


@dataclass(frozen=True)
class Step:
    """One moment of a simulated target: what it served, and what was asked of it."""

    good: int
    bad: int
    restart: bool
    scrape: bool
    prometheus: bool
    ask: str


STEPS = st.lists(
    st.builds(
        Step,
        good=st.integers(0, 20),
        bad=st.integers(0, 5),
        restart=st.integers(0, 19).map(lambda n: n == 0),
        scrape=st.booleans(),
        prometheus=st.booleans(),
        ask=st.sampled_from(["scrape", "prometheus", "nobody"]),
    ),
    min_size=1,
    max_size=60,
)


@dataclass
class Target:
    """A pod that serves, restarts, and is scraped by Prometheus at its own times."""

    total: int = 0
    bad: int = 0
    at: float = BEGAN
    served: int = 0
    failed: int = 0
    container: Container = replace(NEW, started_at=BEGAN)
    stored: Reading | None = None

    def live(self, step: Step) -> None:
        self.at += 2.0
        if step.restart:
            self.total = self.bad = 0
            self.container = replace(
                self.container, restarts=self.container.restarts + 1, started_at=self.at - 1.5
            )
        self.total += step.good + step.bad
        self.bad += step.bad
        self.served += step.good + step.bad
        self.failed += step.bad
        if step.prometheus:
            self.stored = self.reading("prometheus")

    def reading(self, source: str) -> Reading:
        return scraped(self.total, self.bad, at=self.at, source=source)


def run(steps: list[Step], *, restarts: bool) -> tuple[Target, int, int]:
    target, account = Target(), None
    bad = total = 0
    final = Step(0, 0, restart=False, scrape=True, prometheus=True, ask="scrape")
    for step in [*steps, final]:
        target.live(step if restarts else replace(step, restart=False))
        asked = {"scrape": target.reading("scrape"), "prometheus": target.stored}.get(step.ask)
        if asked is None:
            continue
        account, delta = advance(account, asked, target.container, BEGAN)
        if isinstance(delta, Delta):
            assert 0 <= delta.bad <= delta.total
            bad += delta.bad
            total += delta.total
    return target, bad, total


@given(STEPS)
def test_over_any_schedule_and_any_sources_in_turn_every_request_counts_once(
    steps: list[Step],
) -> None:
    target, bad, total = run(steps, restarts=False)
    assert (bad, total) == (target.failed, target.served)


@given(STEPS)
def test_over_restarts_nothing_is_ever_counted_twice(steps: list[Step]) -> None:
    target, bad, total = run(steps, restarts=True)
    assert bad <= target.failed
    assert total <= target.served


@given(
    periods=st.lists(st.sampled_from([2.0, 5.0, 10.0, 15.0]), min_size=1, max_size=4),
    phases=st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4),
    pauses=st.lists(st.floats(0.3, 40.0), min_size=1, max_size=60),
)
def test_a_candidate_that_only_machines_talk_to_has_no_users(
    periods: list[float], phases: list[float], pauses: list[float]
) -> None:
    rate = sum(1.0 / period for period in periods)
    account, at = None, 1001.0
    for scrapes, pause in enumerate(pauses):
        at += pause
        seen = sum(
            math.floor((at - 1001.0) / period + phase)
            for period, phase in zip(periods, phases, strict=False)
        )
        reading = machines(seen + scrapes, at=at, rate=rate, sent=scrapes)
        account, delta = advance(account, reading, NEW, BEGAN)
        assert isinstance(delta, Delta)
        assert delta.total == 0


@given(
    users=st.lists(st.integers(0, 30), min_size=1, max_size=80),
    phase=st.floats(0.0, 1.0),
    asked=st.lists(st.booleans(), min_size=80, max_size=80),
)
def test_beside_machines_no_users_request_is_invented_and_few_are_lost(
    users: list[int], phase: float, asked: list[bool]
) -> None:
    account, served, counted = None, 0, 0
    for number, (requests, ask) in enumerate(zip(users, asked, strict=False), start=1):
        at = 1001.0 + number
        served += requests
        if not ask:
            continue
        probes = math.floor(number / 10.0 + phase)
        account, delta = advance(account, machines(served + probes, at=at, rate=0.1), NEW, BEGAN)
        assert isinstance(delta, Delta)
        counted += delta.total
        assert served - 4 <= counted <= served or counted <= served < 4
