"""What a guardian needs of everything around it, in one bundle; `guard.app` builds it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guard.core.workloads import Mode
from guard.engine.neighbours import Services

if TYPE_CHECKING:
    from collections.abc import Callable

    from guard.core.workloads import WorkloadId
    from guard.engine.board import Board
    from guard.engine.deliver import Deliverer
    from guard.engine.metrics import Metrics
    from guard.engine.ports import Alarms, Counters, Expressions, History, Platform, Prober


@dataclass(frozen=True, slots=True)
class Options:
    """What the settings say to the engine.

    Attributes:
        mode: for workloads that carry no mode label of their own.
        circuit_breaker: rollbacks across all workloads within `circuit_window` seconds after
            which no further one is automatic.
    """

    mode: Mode = Mode.OBSERVE
    circuit_breaker: int = 5
    circuit_window: float = 3600.0
    scrape_interval: float = 15.0


class Circuit:
    """The circuit breaker of law 7, across all workloads.

    A rollback counts from its decision on: twenty workloads that fail in one moment must not all
    be rolled back because none of them was done yet.
    """

    def __init__(self, options: Options, now: Callable[[], float]) -> None:
        """Start closed."""
        self._options = options
        self._now = now
        self._counted: set[tuple[WorkloadId, float]] = set()

    def rolled_back(self, workload: WorkloadId, at: float) -> None:
        """Count the rollback that was decided then; once, however often it is named."""
        self._forget_old()
        if at > self._horizon:
            self._counted.add((workload, at))

    def not_rolled_back(self, workload: WorkloadId, at: float) -> None:
        """The rollback that was decided then came to nothing."""
        self._counted.discard((workload, at))

    @property
    def open(self) -> bool:
        """Whether the next rollback must not be automatic."""
        self._forget_old()
        return len(self._counted) >= self._options.circuit_breaker

    @property
    def _horizon(self) -> float:
        return self._now() - self._options.circuit_window

    def _forget_old(self) -> None:
        horizon = self._horizon
        self._counted = {(workload, at) for workload, at in self._counted if at > horizon}


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside a rollout.

    Attributes:
        counters: sources of counters in order of preference (direct scrape first).
        now: the wall clock, seconds since the epoch.
        alarms: where alerts are read; None without Alertmanager.
        history: where the past is looked up; None without Prometheus.
        services: every guarded workload, for whoever depends on its service.
    """

    platform: Platform
    counters: tuple[Counters, ...]
    prober: Prober
    expressions: Expressions | None
    deliver: Deliverer
    board: Board
    metrics: Metrics
    options: Options
    circuit: Circuit
    now: Callable[[], float] = field(default=time.time)
    alarms: Alarms | None = None
    history: History | None = None
    services: Services = field(default_factory=Services)
