"""What the engine asks of the world. Sources, platforms and channels implement these.

Expected troubles come back as values; what raises, raises `GuardError`s only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from guard.core.actions import Intent, KnownGood, Outcome, PauseIntent, Rehearsal, Rights
    from guard.core.evidence.history import Track
    from guard.core.notices import Notice
    from guard.core.policy import Alerts, Health, Promql, Scrape, Sli
    from guard.core.samples import AlertSample, CounterSample, NoData, Sample, Unavailable
    from guard.core.ticks import ProbeAnswer
    from guard.core.workloads import Gone, Pod, Snapshot, WorkloadId


class Platform(Protocol):
    """Watches workloads and acts on them."""

    name: str

    @property
    def trouble(self) -> str:
        """Why the watch gets no answer now, in the platform's words; empty while it does."""

    def follow(self, workloads: frozenset[WorkloadId]) -> None:
        """Name the workloads of the SLO files; those that opt in by label come by themselves.

        May be called again at any time (a changed SLO file).
        """

    def watch(self) -> AsyncIterator[Snapshot | Gone]:
        """Yield the whole truth of a followed workload whenever it changed; first all of them."""

    async def rehearse(self, intent: Intent) -> Rehearsal:
        """Send the rollback as a dry run. Never raises for a refusal."""

    async def rollback(self, intent: Intent) -> Outcome:
        """Put the known-good template back, if the candidate of the intent is still in force.

        Idempotent: a second call with the same intent finishes what the first left undone and
        answers ALREADY with `by_guard`.
        """

    async def pause(self, intent: PauseIntent) -> Outcome:
        """Hold the rollout at the pods that it has, if the intent's candidate is in force.

        Idempotent: ALREADY where it is held for this candidate. A pause for a candidate that this
        one took the place of becomes this one's, with what it had changed.
        """

    async def resume(self, intent: PauseIntent) -> Outcome:
        """Put back what the pause changed, if the intent's candidate is in force.

        What others have changed since stays theirs. Idempotent: ALREADY where nothing is held.
        """

    async def stated(self, workload: WorkloadId) -> tuple[str, ...]:
        """The fields that a pause changes and the team's own manifest states.

        Each apply of it sets them again, and so ends the pause. As far as the platform can tell.

        Raises:
            TemporaryError: the platform did not answer.
            PermanentError: it does not answer this question.
        """

    async def keep(self, snapshot: Snapshot, known_good: KnownGood) -> bool:
        """Keep the template now in force as the known good one, and the one kept before it.

        A late rollback, after the promotion, leads to the one before (`on_late_fail`).

        Returns False when the template in force is no longer `known_good.revision`'s.

        Raises:
            TemporaryError: the store did not answer.
            PermanentError: the store refused.
        """

    async def load(self, workload: WorkloadId, uid: str) -> Mapping[str, str]:
        """The stored documents of this very workload (by uid), by name; empty without any.

        Raises:
            TemporaryError: the store did not answer.
        """

    async def save(self, workload: WorkloadId, uid: str, documents: Mapping[str, str]) -> None:
        """Replace the stored documents.

        Raises:
            TemporaryError: the store did not answer.
            PermanentError: the store refused.
        """

    async def forget(self, workload: WorkloadId) -> None:
        """Drop what is stored of a workload that is gone."""

    async def rights(self, workload: WorkloadId) -> Rights:
        """Ask what the guard may do to this workload."""

    async def close(self) -> None:
        """End every watch and connection. Idempotent."""


class Counters(Protocol):
    """Reads cumulative counters of pods, bad and total together."""

    name: str

    async def read(
        self, sli: Sli, pods: Sequence[Pod], scrape: Scrape
    ) -> Mapping[str, CounterSample]:
        """Read every pod's account in one burst.

        Returns:
            By account `pod uid/container`. A pod whose container is not known (it did not
            answer, or has nowhere to scrape) stands under `pod uid/` with its reason.
        """


class History(Protocol):
    """Looks up what pods counted before."""

    async def look_back(
        self, sli: Sli, pods: Sequence[Pod], scrape: Scrape, span: tuple[float, float, float]
    ) -> tuple[Track, ...] | NoData | Unavailable:
        """Each pod's cumulative counters at every step of a span (since, until, step).

        Times are seconds since the epoch, the step is seconds. Pods that have no history are
        left out.
        """


class Prober(Protocol):
    """Asks pods' health endpoints."""

    async def probe(self, check: Health, pod: Pod) -> ProbeAnswer | None:
        """Ask one pod once; None where the pod has no HTTP endpoint to ask."""


class Expressions(Protocol):
    """Evaluates free PromQL."""

    async def evaluate(
        self, check: Promql, candidate: Sequence[Pod], stable: Sequence[Pod]
    ) -> Sample:
        """Evaluate now. `Measured.at` is the newest `timestamp()` of the data in it."""


class Alarms(Protocol):
    """Reads alerts that fire."""

    async def firing(self, check: Alerts, workload: WorkloadId, service: str) -> AlertSample:
        """Everything that fires now of what the check looks at."""


class Channel(Protocol):
    """Tells people or systems."""

    name: str

    async def send(self, notice: Notice) -> None:
        """Send one notice.

        Raises:
            TemporaryError: try again later.
            PermanentError: this notice will never be taken.
        """

    async def close(self) -> None:
        """End every connection. Idempotent."""
