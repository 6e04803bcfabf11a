"""What can be wrong with this release: read from the environment once, and asked at each request.

Every fault is off by default. The share of failing requests is exact in expectation, whatever the
length of the runs that they come in, and repeatable with SEED.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment, read. Times are seconds; README.md says what each does."""

    port: int = 8080
    workers: int = 1
    shared_registry: bool = True
    path_label: bool = False
    revision: str = "unnamed"
    state_dir: Path = Path("/var/lib/shop")
    seed: int | None = None
    error_ratio: float = 0.0
    error_cluster: int = 1
    onset: float = 0.0
    latency: float = 0.0
    slow_start: float = 0.0
    early_restart: float = 0.0
    never_ready: bool = False
    crash_loop: float = 0.0
    memory: float = 0.0
    health_status: int = 200
    dependency_url: str = ""
    fault_switch: bool = False


def settings_from(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings. Raises ValueError naming the variable that cannot be read."""
    seed = environment.get("SEED", "")
    return Settings(
        port=_integer(environment, "PORT", 8080),
        workers=_integer(environment, "WORKERS", 1),
        shared_registry=_flag(environment, "SHARED_REGISTRY", default=True),
        path_label=_flag(environment, "PATH_LABEL"),
        revision=environment.get("REVISION", "unnamed"),
        state_dir=Path(environment.get("STATE_DIR", "/var/lib/shop")),
        seed=int(seed) if seed else None,
        error_ratio=_number(environment, "ERROR_RATIO"),
        error_cluster=_integer(environment, "ERROR_CLUSTER", 1),
        onset=_number(environment, "ONSET"),
        latency=_number(environment, "LATENCY"),
        slow_start=_number(environment, "SLOW_START"),
        early_restart=_number(environment, "EARLY_RESTART"),
        never_ready=_flag(environment, "NEVER_READY"),
        crash_loop=_number(environment, "CRASH_LOOP"),
        memory=_number(environment, "MEMORY"),
        health_status=_integer(environment, "HEALTH_STATUS", 200),
        dependency_url=environment.get("DEPENDENCY_URL", ""),
        fault_switch=_flag(environment, "FAULT_SWITCH"),
    )


def _number(environment: Mapping[str, str], name: str) -> float:
    text = environment.get(name) or "0"
    try:
        return float(text)
    except ValueError as error:
        msg = f"{name}: expected a number, found {text!r}"
        raise ValueError(msg) from error


def _integer(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    try:
        return int(text)
    except ValueError as error:
        msg = f"{name}: expected a whole number, found {text!r}"
        raise ValueError(msg) from error


def _flag(environment: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    text = (environment.get(name) or str(default)).lower()
    if text not in {"1", "true", "yes", "0", "false", "no"}:
        msg = f"{name}: expected true or false, found {text!r}"
        raise ValueError(msg)
    return text in {"1", "true", "yes"}


@dataclass(slots=True)
class Faults:
    """Decides, request by request, whether this one fails.

    Errors come in runs of `error_cluster`. A run begins at a request outside one with probability
    r / (r + k (1 - r)): the mean distance of two runs is then k (1 - r) / r good requests, and the
    share of errors r.
    """

    settings: Settings
    shared_ratio: float = 0.0
    began: float = field(default_factory=time.monotonic)
    _left: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.settings.seed)

    def fails(self) -> bool:
        """Whether the request that is being answered now fails."""
        if self._left:
            self._left -= 1
            return True
        own = self.settings.error_ratio if self._has_begun() else 0.0
        ratio = max(own, self.shared_ratio)
        if ratio <= 0.0:
            return False
        length = self.settings.error_cluster if own >= self.shared_ratio else 1
        if self._random.random() >= ratio / (ratio + length * (1.0 - ratio)):
            return False
        self._left = length - 1
        return True

    def ready(self) -> bool:
        """Whether the readiness probe is answered with 200."""
        age = time.monotonic() - self.began
        return not self.settings.never_ready and age >= self.settings.slow_start

    def _has_begun(self) -> bool:
        return time.monotonic() - self.began >= self.settings.onset
