"""What the scenarios of rollouts held at their first pods share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from guard.core.names import ANNOTATION_GO_ON, ANNOTATION_PAUSE, LABEL_PAUSED
from guard.platforms.kubernetes.pause import MIN_READY
from tests.e2e.policies import ERRORS, HEALTH, PODS, Rules
from tests.e2e.waiting import until

if TYPE_CHECKING:
    from tests.e2e.cluster import Object
    from tests.e2e.stage import Open

FIRST: dict[str, Any] = {"pace": ["first"], "bake": "5s", "deadline": "60s"}
PACED = Rules(rollout=FIRST)
ALONE_ERRORS = {"error_ratio": {**ERRORS["error_ratio"], "allowance": 1}}
SINGLE = Rules(checks=(ALONE_ERRORS, HEALTH, PODS), rollout=FIRST)
"""Errors come alone here, and the policy knows it: k = 1."""
PATIENT = replace(SINGLE, rollout={**FIRST, "bake": "30s", "deadline": "3m"})
"""Time for people to act while it is held."""
PACED_FIELDS = ("minReadySeconds", "progressDeadlineSeconds", "strategy")


def held_revision(deployment: Object) -> str:
    """The hash that a Deployment is held at; empty where it is not held."""
    label = deployment["metadata"].get("labels", {}).get(LABEL_PAUSED, "")
    in_force = deployment["spec"].get("minReadySeconds") == MIN_READY
    return str(label) if in_force else ""


async def is_held(opened: Open, *, other_than: str = "", within: float = 30.0) -> str:
    """Wait until the first pod of a release serves and no more come; returns what is held."""

    async def ask() -> str | None:
        deployment = await opened.shop.read()
        held = held_revision(deployment)
        status = deployment.get("status", {})
        first = status.get("updatedReplicas", 0) > 0
        seen = status.get("observedGeneration") == deployment["metadata"]["generation"]
        return held if held and held != other_than and first and seen else None

    return await until(ask, within, f"{opened.name}: held at its first pods")


async def updated(opened: Open) -> int:
    """How many pods of the newest template there are."""
    return int((await opened.shop.read()).get("status", {}).get("updatedReplicas", 0))


def paced_part(deployment: Object) -> Object:
    """What a pause changes, to be compared with what it was before."""
    return {key: deployment["spec"].get(key) for key in PACED_FIELDS}


async def untouched(opened: Open, before: Object) -> None:
    """Wait until nothing of a pause is left on a Deployment."""

    async def ask() -> bool:
        deployment = await opened.shop.read()
        metadata = deployment["metadata"]
        marks = {*metadata.get("labels", {}), *metadata.get("annotations", {})}
        left = marks & {LABEL_PAUSED, ANNOTATION_PAUSE, ANNOTATION_GO_ON}
        return not left and paced_part(deployment) == paced_part(before)

    await until(ask, 20.0, f"{opened.name}: nothing of the pause is left")
