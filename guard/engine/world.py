"""What a guardian needs of everything around it, in one bundle; `guard.app` builds it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guard.core.workloads import Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from guard.engine.board import Board
    from guard.engine.deliver import Deliverer
    from guard.engine.metrics import Metrics
    from guard.engine.ports import Counters, Expressions, Platform, Prober


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
    """The circuit breaker of law 7, across all workloads."""

    def __init__(self, options: Options, now: Callable[[], float]) -> None:
        """Start closed."""
        self._options = options
        self._now = now
        self._times: deque[float] = deque()

    def rolled_back(self, at: float) -> None:
        """Count one rollback."""
        self._times.append(at)

    @property
    def open(self) -> bool:
        """Whether the next rollback must not be automatic."""
        horizon = self._now() - self._options.circuit_window
        recent = sum(1 for at in self._times if at > horizon)
        return recent >= self._options.circuit_breaker


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside a rollout.

    Attributes:
        counters: sources of counters in order of preference (direct scrape first).
        now: the wall clock, seconds since the epoch.
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
