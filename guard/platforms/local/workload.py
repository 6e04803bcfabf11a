"""One local workload: its template, its revisions, its pods, and the controller that rolls it out.

The rolling update is that of a Deployment with maxSurge 1 and maxUnavailable 0. It is paused as one
there: pods that come up under the pause serve, and never count as available.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from guard.core.workloads import GuardPause, Mode, Revision, Snapshot
from guard.platforms.local.pod import LocalPod

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

    from guard.core.workloads import WorkloadId
    from guard.platforms.local.template import Template

SURGE = 1
"""Pods beyond the desired ones that a rolling update may have."""
PROGRESS_DEADLINE = 60.0


@dataclass(frozen=True, slots=True)
class Labels:
    """What people set on a workload: its mode for the guard, and whether it asks to be guarded."""

    mode: Mode | None = None
    opted_in: bool = False


class LocalWorkload:
    """Keeps the pods that its template and replicas ask for, while `run` runs."""

    def __init__(
        self,
        workload: WorkloadId,
        template: Template,
        replicas: int,
        changed: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        """Create the object; `changed` is called at each change of its snapshot."""
        self.id = workload
        self.uid = str(uuid4())
        self.labels = Labels()
        self.intent = ""
        self.paused: GuardPause | None = None
        self._available: frozenset[str] = frozenset()
        self.template = template
        self._replicas = replicas
        self._cause = ""
        self._generation = 1
        self._tell = changed
        self._now = now
        self._revisions: dict[str, Revision] = {}
        self._pods: list[LocalPod] = []
        self._made = 0
        self._deleted = False
        self._work = asyncio.Event()
        self._enter(template)

    @property
    def revision(self) -> Revision:
        """The revision that the template leads to."""
        return self._revisions[self.template.hash]

    # What people and the guard change.

    def apply(self, template: Template, cause: str = "", intent: str = "") -> None:
        """Put a template in force; the same one again changes nothing.

        Args:
            template: what its pods run from now on, by a rolling update.
            cause: who or what changed it, one line.
            intent: the guard's intent that this fulfils; a person has none.
        """
        if template == self.template:
            return
        self.template = template
        self.intent = intent
        self._cause = cause
        self._enter(template)
        if intent:
            self.paused = None
        self._change()

    def pause(self) -> None:
        """Hold the rollout of the template in force where it is; one of another goes on."""
        if self.paused is None:
            self._available = frozenset(self._revisions) - {self.revision.hash}
        self.paused = GuardPause(self.revision.hash, self._now())
        self._change()

    def resume(self) -> None:
        """Let it go on."""
        self.paused = None
        self._change()

    def scale(self, replicas: int) -> None:
        """Ask for another number of pods."""
        if replicas != self._replicas:
            self._replicas = replicas
            self._change()

    def label(self, labels: Labels) -> None:
        """Replace what people set on it."""
        self.labels = labels
        self._changed()

    def delete(self) -> None:
        """End it with all its pods; `run` returns when they are gone."""
        self._deleted = True
        self._change()

    # Its life.

    async def run(self, kubelet: aiohttp.ClientSession) -> None:
        """Keep the pods until deleted and gone."""
        try:
            async with asyncio.TaskGroup() as group:
                while not self._deleted or self._pods:
                    self._work.clear()
                    for _ in range(self._missing()):
                        pod = self._new()
                        group.create_task(self._keep(pod, kubelet), name=f"pod:{pod.name}")
                    for pod in self._surplus():
                        pod.delete()
                    await self._work.wait()
        finally:
            # Pods whose task was cancelled before it began hold a port.
            for pod in self._pods:
                await pod.close()

    async def _keep(self, pod: LocalPod, kubelet: aiohttp.ClientSession) -> None:
        try:
            await pod.run(kubelet)
        finally:
            self._pods.remove(pod)
            self._changed()

    def _missing(self) -> int:
        """How many pods of the template's revision may be made now."""
        living = self._living
        mine = [pod for pod in living if pod.revision == self.revision.hash]
        others = len(living) - len(mine)
        allowed = self._replicas + (SURGE if others else 0) - len(living)
        return 0 if self._deleted else max(min(self._replicas - len(mine), allowed), 0)

    def _surplus(self) -> list[LocalPod]:
        """The pods that may go now: others first, those that do not serve before those that do."""
        living = self._living
        desired = 0 if self._deleted else self._replicas
        hash_ = self.revision.hash
        others = sorted((p for p in living if p.revision != hash_), key=self._serves)
        mine = sorted((p for p in living if p.revision == hash_), key=lambda pod: pod.ready)
        spare = sum(self._serves(pod) for pod in living) - desired
        going = mine[: max(len(mine) - desired, 0)]
        spare -= sum(self._serves(pod) for pod in going)
        for pod in others:
            spare -= self._serves(pod)
            if self._serves(pod) and spare < 0:
                break
            going.append(pod)
        return going

    def _serves(self, pod: LocalPod) -> bool:
        """Whether a pod counts as available."""
        return pod.ready and (self.paused is None or pod.revision in self._available)

    def _new(self) -> LocalPod:
        self._made += 1
        pod = LocalPod(self.id, self._made, self.revision, self.template, self._changed, self._now)
        self._pods.append(pod)
        self._changed()
        return pod

    # What it shows.

    @property
    def endpoints(self) -> list[int]:
        """The ports of the pods that users are sent to now."""
        return [pod.port for pod in self._living if pod.ready]

    def snapshot(self) -> Snapshot:
        """The whole truth now."""
        current = self.revision
        ready = sum(pod.ready for pod in self._living if pod.revision == current.hash)
        others = sum(pod.revision != current.hash for pod in self._living)
        return Snapshot(
            workload=self.id,
            uid=self.uid,
            generation=self._generation,
            at=self._now(),
            current=current,
            replicas=self._replicas,
            revisions=tuple(sorted(self._revisions.values(), key=lambda r: -r.number)),
            pods=tuple(pod.show() for pod in self._pods),
            complete=ready >= self._replicas and not others and self.paused is None,
            mode=self.labels.mode,
            opted_in=self.labels.opted_in,
            progress_deadline=PROGRESS_DEADLINE,
            change_cause=self._cause,
            pause=self.paused,
            max_surge=SURGE,
        )

    @property
    def _living(self) -> list[LocalPod]:
        return [pod for pod in self._pods if pod.deleted_at is None]

    def _enter(self, template: Template) -> None:
        """Number a template's revision; one that returns keeps its uid and gets a new number."""
        number = 1 + max((r.number for r in self._revisions.values()), default=0)
        known = self._revisions.get(template.hash)
        if known is not None:
            self._revisions[template.hash] = replace(known, number=number)
            return
        self._revisions[template.hash] = Revision(
            hash=template.hash,
            content=template.content,
            number=number,
            uid=str(uuid4()),
            created_at=self._now(),
            images=(template.image,),
        )

    def _change(self) -> None:
        self._generation += 1
        self._changed()

    def _changed(self) -> None:
        self._work.set()
        self._tell()
