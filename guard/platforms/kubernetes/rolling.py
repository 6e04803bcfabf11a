"""How a Deployment rolls out by its team's own will, also while the guard's pause is over it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from guard.platforms.kubernetes.objects import DeploymentSpec

PROGRESS_DEADLINE: Final = 600
"""Seconds: the API's default for `progressDeadlineSeconds`."""
SHARE: Final = "25%"
"""The API's default for `maxSurge` and `maxUnavailable`."""

Amount = int | str


@dataclass(frozen=True, slots=True)
class Rolling:
    """The team's own values; `surge` and `unavailable` as the API has them."""

    progress_deadline: float
    min_ready: float
    surge: Amount
    unavailable: Amount

    def pods(self, replicas: int) -> tuple[int, int]:
        """Surge and unavailable in pods, as the Deployment controller resolves them.

        Surge rounds up and unavailable down; where both come to 0 one pod may be unavailable
        (`ResolveFenceposts` of the Deployment controller).
        """
        surge = _pods(self.surge, replicas, math.ceil)
        unavailable = _pods(self.unavailable, replicas, math.floor)
        return surge, unavailable if surge or unavailable else 1


def read(spec: DeploymentSpec, previous: Mapping[str, Any]) -> Rolling:
    """Read a specification.

    Args:
        spec: as it is now.
        previous: what a pause that is in force has changed, by the API's own names.
    """
    update = spec.strategy.rolling_update if spec.strategy else None
    now = {
        "progressDeadlineSeconds": spec.progress_deadline_seconds,
        "minReadySeconds": spec.min_ready_seconds,
        "maxSurge": update.max_surge if update else None,
        "maxUnavailable": update.max_unavailable if update else None,
    }
    own = {**{key: value for key, value in now.items() if value is not None}, **previous}
    return Rolling(
        progress_deadline=float(own.get("progressDeadlineSeconds", PROGRESS_DEADLINE)),
        min_ready=float(own.get("minReadySeconds", 0)),
        surge=own.get("maxSurge", SHARE),
        unavailable=own.get("maxUnavailable", SHARE),
    )


def _pods(amount: Amount, replicas: int, whole: Callable[[float], int]) -> int:
    if isinstance(amount, int):
        return amount
    share = amount.removesuffix("%")
    return whole(int(share) * replicas / 100) if share.isdecimal() else 0
