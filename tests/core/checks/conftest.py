"""A simulated rollout as the error ratio sees it: pods that serve, and readings of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from guard.core.checks import counted, counted_finding
from guard.core.checks.counted_state import CountedState
from guard.core.findings import Finding
from guard.core.policy import (
    CountedCheck,
    ErrorRatio,
    Latency,
    Objective,
    Ratio,
    Selector,
    SlowRatio,
    WorseThanStable,
)
from guard.core.samples import CounterSample, Reading
from guard.core.ticks import Frame, Tick
from guard.core.workloads import Container, Pod, Revision, Snapshot, WorkloadId

BEGAN = 1000.0
BAD = Selector("http_requests_total", (), 'http_requests_total{code=~"5.."}')
TOTAL = Selector("http_requests_total", (), "http_requests_total")
OBJECTIVE = Objective("availability", 0.999, 2_592_000.0, Ratio(BAD, TOTAL))
LATENCY = Objective(
    "fast", 0.95, 2_592_000.0, Latency(Selector("rpc_seconds", (), "rpc_seconds"), 0.5, 0.5)
)
WORKLOAD = WorkloadId("kubernetes", "shop", "auth")
REVISION = Revision("new", "new", 2, "rs-new", BEGAN)


@dataclass
class Served:
    """What one pod has served so far."""

    bad: int = 0
    total: int = 0


@dataclass
class Rollout:
    """One rollout in simulated time; `poll` is one tick of one second unless said otherwise."""

    check: CountedCheck
    frame: Frame
    state: CountedState
    at: float = BEGAN
    pods: dict[str, Pod] = field(default_factory=dict)
    served: dict[str, Served] = field(default_factory=dict)
    last: Tick | None = None
    from_prometheus: bool = False

    def pod(self, uid: str, revision: str = "new", *, ready: bool = True, age: float = 0.0) -> None:
        """Add a pod that started `age` seconds ago and has been ready since, if it is ready."""
        started = self.at - age
        container = Container("app", started_at=started, ready=ready)
        self.pods[uid] = Pod(
            uid=uid,
            name=f"auth-{uid}",
            namespace="shop",
            revision=revision,
            created_at=started,
            ready=ready,
            ready_at=started if ready else None,
            containers=(container,),
        )
        self.served.setdefault(uid, Served())

    def change(self, uid: str, **changes: object) -> None:
        """Change a pod as the platform shows it."""
        self.pods[uid] = replace(self.pods[uid], **changes)  # type: ignore[arg-type]

    def serve(self, uid: str, bad: int, total: int) -> None:
        """Let a pod serve `total` requests, `bad` of them badly."""
        self.served[uid].bad += bad
        self.served[uid].total += total

    def reading(self, uid: str, **changes: object) -> Reading:
        """What a scrape of the pod answers now."""
        served = self.served[uid]
        source = "prometheus" if self.from_prometheus else "scrape"
        reading = Reading(float(served.total), float(served.bad), self.at, source, paths_known=True)
        return replace(reading, **changes)  # type: ignore[arg-type]

    def poll(
        self,
        answers: dict[str, CounterSample] | None = None,
        *,
        seconds: float = 1.0,
        **requests: tuple[int, int],
    ) -> Finding:
        """Serve (bad, total) per pod, let time pass, and take one tick in.

        `answers` replaces what single pods' scrapes would have answered.
        """
        for uid, (bad, total) in requests.items():
            self.serve(uid, bad, total)
        self.at += seconds
        readings: dict[str, CounterSample] = {
            f"{uid}/app": self.reading(uid)
            for uid, pod in self.pods.items()
            if pod.deleted_at is None
        }
        for key, answer in (answers or {}).items():
            readings.pop(f"{key.partition('/')[0]}/app", None)
            readings[key if "/" in key else f"{key}/app"] = answer
        return self.take(readings)

    def silence(self, *, seconds: float = 1.0) -> Finding:
        """A tick for which nobody was asked."""
        self.at += seconds
        return self.take({})

    def take(self, readings: dict[str, CounterSample]) -> Finding:
        """Take one tick with these readings in."""
        self.last = self.tick(readings)
        self.state = counted.update(self.state, self.last)
        return counted_finding.find(self.state, self.last)

    def tick(self, readings: dict[str, CounterSample]) -> Tick:
        """The tick of this moment."""
        snapshot = Snapshot(
            WORKLOAD, "uid", 2, self.at, REVISION, 4, pods=tuple(self.pods.values())
        )
        return Tick(
            at=self.at,
            snapshot=snapshot,
            candidate=frozenset({"new"}),
            stable=frozenset({"old"}),
            counters={self.check.name: readings},
            from_prometheus=self.from_prometheus,
        )

    def until(self, seconds: int, **requests: tuple[int, int]) -> Finding:
        """Poll every second with the same requests, at least once."""
        finding = self.poll(**requests)
        for _ in range(seconds - 1):
            finding = self.poll(**requests)
        return finding


Begin = Callable[..., Rollout]


@pytest.fixture
def begin() -> Begin:
    """Begin a rollout: keyword arguments are the frame's, `check` the check's own.

    `check` may be whole, or the keys of an error ratio.
    """

    def rollout(
        check: dict[str, object] | SlowRatio | WorseThanStable | None = None, **frame: object
    ) -> Rollout:
        asked: CountedCheck
        if isinstance(check, SlowRatio | WorseThanStable):
            asked = check
        else:
            asked = ErrorRatio("errors", OBJECTIVE, **(check or {}))  # type: ignore[arg-type]
        framed = Frame(began_at=BEGAN, **frame)  # type: ignore[arg-type]
        return Rollout(asked, framed, counted.begin(asked, framed))

    return rollout


@pytest.fixture
def beside(begin: Begin) -> Begin:
    """A rollout with one candidate pod `c` (just started) and one stable pod `s`, polled once."""

    def rollout(
        check: dict[str, object] | SlowRatio | WorseThanStable | None = None, **frame: object
    ) -> Rollout:
        made = begin(check, **frame)
        made.pod("s", "old", age=900.0)
        made.pod("c")
        made.poll()
        return made

    return rollout
