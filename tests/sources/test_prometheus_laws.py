"""Over any interleaving of requests, scrapes, restarts and polls nothing is counted twice.

The series are what Prometheus servers would have; the counting is that of core.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hypothesis import example, given
from hypothesis import strategies as st

from guard.core.counting import CLOCK_SKEW, Account, Delta, advance, seen_without
from guard.core.policy import Scrape
from guard.core.samples import NoData, NoDataReason, Reading
from guard.sources.ledger import Ledger
from guard.sources.prometheus import PrometheusCounters
from guard.sources.prometheus_queries import stale_after
from guard.sources.prometheus_targets import readings
from tests.sources.prometheus_world import SLI, of_pod, pod

if TYPE_CHECKING:
    from guard.sources.prometheus_answers import Series

INTERVAL = 15.0
WINDOW = stale_after(INTERVAL)
BEGAN = 1_000.0

_Key = tuple[str, str]


@dataclass
class World:
    """One pod, the replicas that scrape it, and a guard that polls one of them, or all.

    `kind`: `in turn` (a round robin), `apart` (a proxy that leaves the replicas' label in place) or
    `mixed` (one that chooses a replica for each series).
    """

    kind: str
    replicas: int
    luck: random.Random
    at: float = BEGAN
    codes: dict[str, int] = field(default_factory=dict)
    started: float = BEGAN
    restarts: int = 0
    served: int = 0
    failed: int = 0
    turn: int = 0
    account: Account | None = None
    total: int = 0
    bad: int = 0

    def __post_init__(self) -> None:
        self.stored: list[dict[_Key, list[tuple[float, float]]]] = [
            defaultdict(list) for _ in range(self.replicas)
        ]
        self.counters = PrometheusCounters(
            None,  # type: ignore[arg-type]  # nobody is asked over HTTP
            Ledger(lambda: 0.0),
            lambda: self.at,
            INTERVAL,
            self.replicas,
        )

    def serve(self, *, fails: bool) -> None:
        code = "500" if fails else self.luck.choice(["200", "404"])
        self.codes[code] = self.codes.get(code, 0) + 1
        self.served += 1
        self.failed += fails

    def restart(self) -> None:
        self.codes.clear()
        self.started = self.at
        self.restarts += 1

    def scrape(self, replica: int) -> None:
        stored = self.stored[replica % self.replicas]
        stored["up", ""].append((self.at, 1.0))
        stored["process_start_time_seconds", ""].append((self.at, self.started))
        for code, count in self.codes.items():
            stored["http_requests_total", code].append((self.at, float(count)))

    def poll(self) -> None:
        container = replace(
            pod().containers[0], started_at=self.started, restarts=self.restarts, ready=True
        )
        mine = replace(pod(), containers=(container,))
        rows = self._answer()
        found = readings(rows, SLI, mine, Scrape()) if rows else {}
        (sample,) = self.counters._settle(SLI, mine, found).values()
        if isinstance(sample, NoData) and sample.reason is NoDataReason.NO_SERIES:
            self.account = seen_without(self.account, self.at)
        if isinstance(sample, Reading):
            self.account, delta = advance(self.account, sample, container, BEGAN)
            if isinstance(delta, Delta):
                assert delta.bad <= delta.total
                self.total += delta.total
                self.bad += delta.bad

    def _answer(self) -> list[Series]:
        if self.kind == "apart":
            return [
                row
                for number, stored in enumerate(self.stored)
                for row in self._rows(stored, replica=str(number))
            ]
        if self.kind == "mixed":
            keys = {key for stored in self.stored for key in stored}
            chosen = {key: self.luck.choice(self._with(key))[key] for key in sorted(keys)}
            return self._rows(chosen)
        self.turn += 1
        return self._rows(self.stored[self.turn % self.replicas])

    def _with(self, key: _Key) -> list[dict[_Key, list[tuple[float, float]]]]:
        """The replicas that have a series within the window; of none, whichever has it."""
        fresh = [stored for stored in self.stored if self._recent(stored.get(key, []))]
        return fresh or [stored for stored in self.stored if key in stored]

    def _recent(self, samples: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [sample for sample in samples if sample[0] > self.at - WINDOW]

    def _rows(self, stored: dict[_Key, list[tuple[float, float]]], **labels: str) -> list[Series]:
        return [
            of_pod(metric, *recent, **({"code": code, "path": "/shop"} if code else {}), **labels)
            for (metric, code), samples in stored.items()
            if (recent := self._recent(samples))
        ]


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("serve"), st.booleans()),
        st.tuples(st.just("scrape"), st.integers(0, 2)),
        st.tuples(st.just("poll"), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 20)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=80,
)


def happen(world: World, events: list[tuple[str, int]], *, restarts: bool) -> None:
    for what, how in events:
        world.at += 0.25
        match what:
            case "serve":
                world.serve(fails=bool(how))
            case "scrape":
                world.scrape(how)
            case "poll":
                world.poll()
            case "wait":
                world.at += how
            case "restart" if restarts:
                world.restart()
        assert world.total <= world.served
        assert world.bad <= world.failed


def settle(world: World) -> None:
    """All replicas scrape, and the guard polls each of them."""
    world.at += CLOCK_SKEW
    for _ in range(3):
        for replica in range(world.replicas):
            world.at += 0.25
            world.scrape(replica)
            world.poll()
            world.poll()


WORLDS = st.builds(
    World,
    kind=st.sampled_from(["in turn", "apart", "mixed"]),
    replicas=st.integers(1, 3),
    luck=st.randoms(use_true_random=False),
)


@given(world=WORLDS, events=EVENTS)
def test_all_that_a_process_served_is_counted_once(
    world: World, events: list[tuple[str, int]]
) -> None:
    happen(world, events, restarts=False)
    settle(world)
    assert (world.bad, world.total) == (world.failed, world.served)


# Errors of the process before are still in the server's memory, and no longer in the pod's.
GONE = [
    *[("serve", 1)] * 5,
    *[("scrape", 0), ("poll", 0), ("restart", 0), ("serve", 0), ("scrape", 0), ("poll", 0)],
]


@given(world=WORLDS, events=EVENTS)
@example(world=World("in turn", 1, random.Random(1)), events=GONE)
def test_over_restarts_nothing_is_counted_that_was_not_served(
    world: World, events: list[tuple[str, int]]
) -> None:
    happen(world, events, restarts=True)
    before = world.total
    settle(world)
    assert world.total <= world.served
    assert world.bad <= world.failed
    # The process that serves now is counted to its last request.
    if world.restarts and not before:
        assert world.total >= sum(world.codes.values())
