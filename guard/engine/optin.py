"""Opting in by label alone: find which request counter a workload exposes, and say it once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.core.notices import Notice, Severity, Stage
from guard.core.policy import ErrorRatio
from guard.core.samples import Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guard.core.policy import Policy
    from guard.core.workloads import Pod, Snapshot
    from guard.engine.world import World


async def choose(
    world: World, policies: Sequence[Policy], snapshot: Snapshot
) -> tuple[Policy, str]:
    """Choose the default policy whose counter some ready pod exposes.

    Returns:
        The policy (the last one, which needs no counter, where none is exposed) and one
        sentence for the person who set the label.
    """
    pods = [pod for pod in snapshot.pods if pod.ready and pod.address and not pod.deleted_at]
    reason = "no pod was ready"
    for policy in policies:
        check = next((c for c in policy.checks if isinstance(c, ErrorRatio)), None)
        if check is None or not pods:
            continue
        found, reason = await _exposed(world, policy, check, pods)
        if found:
            sli = check.objective.sli
            return policy, f"guarded by error ratio ({sli.bad.text}), health and pods"
    return policies[-1], f"guarded by pods and health only: no request counter ({reason})"


async def _exposed(
    world: World, policy: Policy, check: ErrorRatio, pods: Sequence[Pod]
) -> tuple[bool, str]:
    reason = "nothing to scrape"
    for source in world.counters:
        answer = await source.read(check.objective.sli, pods, policy.scrape)
        for sample in answer.values():
            if isinstance(sample, Reading):
                return True, ""
            reason = f"{sample.reason.value} {sample.detail}".strip()
    return False, reason


def notice(snapshot: Snapshot, policy: Policy, text: str, now: float) -> Notice:
    """What the person who set the label is told, once."""
    return Notice(
        key=f"{snapshot.workload}/opt-in",
        stage=Stage.INFORMED,
        severity=Severity.INFO,
        reason="Guarded",
        title=f"{snapshot.workload.name}: {text}",
        workload=snapshot.workload,
        rollout="",
        at=now,
        service=policy.service,
        owner=policy.owner,
    )
