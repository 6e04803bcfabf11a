"""Opting in by label alone: find which request counter a workload exposes, and say it once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from guard.core.notices import Notice, Severity, Stage
from guard.core.policy import ErrorRatio
from guard.core.samples import NoDataReason, Reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guard.core.policy import Policy, Sli
    from guard.core.samples import Absent, CounterSample
    from guard.core.workloads import Pod, Snapshot
    from guard.engine.catalogue import Catalogue
    from guard.engine.keeper import Keeper
    from guard.engine.ports import Counters
    from guard.engine.world import World

ASK_WITHIN = 1.5
"""Seconds that the pods have to show their counters: a rollout must not wait for longer."""
ASK_AGAIN = 60.0
"""Seconds until pods without a counter are asked again: many libraries show one only after the
first request."""
TOLD = "opt-in"


class OptIn:
    """Settles under which default policy one workload is guarded."""

    def __init__(self, world: World, catalogue: Catalogue) -> None:
        """Start with nobody asked."""
        self._world = world
        self._catalogue = catalogue
        self._asked_at: float | None = None

    async def settle(self, keeper: Keeper, snapshot: Snapshot) -> None:
        """Ask the pods, where nothing is settled yet and there are pods to ask."""
        policies = self._catalogue.undecided(snapshot)
        pods = [pod for pod in snapshot.pods if pod.ready and pod.address and not pod.deleted_at]
        now = self._world.now()
        early = self._asked_at is not None and now - self._asked_at < ASK_AGAIN
        if not policies or not pods or early:
            return
        self._asked_at = now
        policy, text = await choose(self._world, policies, pods)
        if policy is not policies[-1]:
            self._catalogue.choose(snapshot.workload, policy)
        # The words may name a pod's address, which changes; what is told once is the choice.
        chosen = str(policies.index(policy))
        if keeper.told.get(TOLD) != chosen:
            keeper.told[TOLD] = chosen
            keeper.put()
            self._world.deliver.tell(notice(snapshot, policy, text, now))


async def choose(
    world: World, policies: Sequence[Policy], pods: Sequence[Pod]
) -> tuple[Policy, str]:
    """Choose the default policy whose counter some ready pod exposes.

    Returns:
        The policy (the last one, which needs no counter, where none is exposed) and one
        sentence for the person who set the label.
    """
    absent: list[Absent] = []
    for policy, sli, samples in await _exposed(world, policies, pods):
        if any(isinstance(sample, Reading) for sample in samples):
            return policy, f"guarded by error ratio ({sli.text}), health and pods"
        absent += [sample for sample in samples if not isinstance(sample, Reading)]
    return policies[-1], f"guarded by pods and health only: no request counter ({_why(absent)})"


def _why(absent: Sequence[Absent]) -> str:
    """What says most: a counter that lacks its label, a page without any, why there is no page."""
    if not absent:
        return "nothing to scrape"
    reasons = [sample.reason for sample in absent]
    if NoDataReason.NO_SERIES in reasons and NoDataReason.NO_LABEL not in reasons:
        return "none of the usual ones is exposed"
    telling = NoDataReason.NO_LABEL if NoDataReason.NO_LABEL in reasons else reasons[0]
    told = absent[reasons.index(telling)]
    return f"{told.reason.value} {told.detail}".strip()


async def _exposed(
    world: World, policies: Sequence[Policy], pods: Sequence[Pod]
) -> list[tuple[Policy, Sli, list[CounterSample]]]:
    """What the pods answered in time, by policy; a source that hangs keeps no other one back."""
    asked = [
        (policy, check.objective.sli, asyncio.ensure_future(_read(source, policy, check, pods)))
        for policy in policies
        for check in policy.checks
        if isinstance(check, ErrorRatio)
        for source in world.counters
    ]
    if asked:
        await asyncio.wait([task for _, _, task in asked], timeout=ASK_WITHIN)
    answered = []
    for policy, sli, task in asked:
        if task.done():
            answered.append((policy, sli, list(task.result().values())))
        else:
            task.cancel()
    return answered


async def _read(
    source: Counters, policy: Policy, check: ErrorRatio, pods: Sequence[Pod]
) -> Mapping[str, CounterSample]:
    return await source.read(check.objective.sli, pods, policy.scrape)


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
