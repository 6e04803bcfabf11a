"""What `guard check --live` says of a paced service: its steps, and what would end its pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.cli.live_findings import LiveFinding, LiveKind
from guard.core import pace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from guard.core.policy import Service
    from guard.core.workloads import Snapshot
    from guard.engine.ports import Platform


async def steps(
    service: Service, snapshots: Sequence[Snapshot], platform: Platform
) -> AsyncIterator[LiveFinding]:
    """Say where each workload is held, or why it cannot be."""
    for snapshot in snapshots:
        yield _first(service, snapshot)
        stated = await platform.stated(snapshot.workload)
        if stated:
            found = f"the team's own manifest states {', '.join(stated)}, which a pause changes"
            action = "leave them out of it, or live with a pause that ends at each apply"
            subject = str(snapshot.workload)
            yield LiveFinding(LiveKind.PAUSE_UNDONE, service.name, subject, found, action)


def _first(service: Service, snapshot: Snapshot) -> LiveFinding:
    """How many pods a paced release brings up at first, and which share of the traffic that is."""
    subject = str(snapshot.workload)
    if snapshot.strategy != "RollingUpdate":
        found = f"the strategy {snapshot.strategy} has no first pods: a release is judged unpaced"
        action = "use RollingUpdate, or leave pace: out"
        return LiveFinding(LiveKind.NOT_PACED, service.name, subject, found, action)
    least, most, stable = pace.first_pods(snapshot, narrow=service.policy.narrow)
    if not least:
        found = "0 pods are desired: from 0 on all pods are the release's, and nothing is held"
        return LiveFinding(LiveKind.NOT_PACED, service.name, subject, found, "scale it up first")
    first = f"{least} pod" if least == 1 else f"{least} pods"
    share = f"{least / (least + stable):.0%} of the traffic"
    found = f"a release is held at {first} beside {stable}, {share}"
    if most > least:
        found += f" (at most {most}: Kubernetes is faster at times)"
    later = [step.pods(snapshot.replicas) for step in service.policy.pace[1:]]
    if later:
        found += f", then at {', '.join(str(pods) for pods in later)} or a few more"
    return LiveFinding(LiveKind.FIRST_STEP, service.name, subject, found, "")
