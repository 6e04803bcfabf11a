"""Pauses a Deployment and lets it go on: each bound to the candidate it was decided on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guard.core.actions import Outcome, OutcomeKind
from guard.core.errors import PermanentError, TemporaryError
from guard.platforms.kubernetes import (
    in_force,
    managed_fields,
    operations,
    owners,
    patches,
    pause,
)
from guard.platforms.kubernetes.api import safe_reason
from guard.platforms.kubernetes.refusals import (
    UNPROCESSABLE,
    not_now,
    precondition_failed,
    refusal,
)
from guard.platforms.kubernetes.sending import TRIES, attempts, patch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from guard.core.actions import PauseIntent
    from guard.platforms.kubernetes.api import Api
    from guard.platforms.kubernetes.operations import Operation

    Deployment = Mapping[str, Any]
    Answered = tuple[OutcomeKind, str, Deployment | None]


class Pausing:
    """Carries pauses out, and their ends."""

    def __init__(self, api: Api, now: Callable[[], float]) -> None:
        """Take the API and the clock (epoch seconds)."""
        self._api = api
        self._now = now

    async def pause(self, intent: PauseIntent) -> Outcome:
        """Hold the rollout where it is, if the intent's candidate is in force.

        Never raises for a trouble of the platform.
        """

        def stands(deployment: Deployment) -> Answered | None:
            if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
                return OutcomeKind.REFUSED, "the strategy Recreate has no first pods", None
            if pause.is_for(deployment, intent):
                return OutcomeKind.ALREADY, "held before", deployment
            return None

        def hold(deployment: Deployment) -> list[Operation]:
            return pause.hold(deployment, intent, self._now())

        kind, detail, deployment = await self._safely(intent, stands, hold)
        if kind is OutcomeKind.PATCHED and deployment is not None:
            replicas = deployment["spec"].get("replicas", 1)
            detail = f"held, {replicas} desired"
        held = pause.of(deployment) if deployment is not None else None
        return self._outcome(kind, detail, held[0].previous if held else "")

    async def resume(self, intent: PauseIntent) -> Outcome:
        """Put back what the pause changed, if the intent's candidate is in force.

        Never raises for a trouble of the platform.
        """
        written: list[pause.Written] = []

        def stands(deployment: Deployment) -> Answered | None:
            found = pause.of(deployment, intent.previous)
            if found is None:
                return OutcomeKind.ALREADY, "not held", deployment
            written[:] = [found[1]]
            return None

        def go_on(deployment: Deployment) -> list[Operation]:
            bound = operations.bound(deployment["metadata"])
            return [*bound, *pause.put_back(deployment, intent.previous)]

        kind, detail, deployment = await self._safely(intent, stands, go_on)
        if kind is OutcomeKind.PATCHED and deployment is not None:
            detail = "let go on, with all as it was before"
            left = await self._tidy(intent, deployment, written[-1].owners)
            detail = f"{detail}; {left}" if left else detail
        return self._outcome(kind, detail)

    def _outcome(self, kind: OutcomeKind, detail: str, previous: str = "") -> Outcome:
        already = kind is OutcomeKind.ALREADY
        return Outcome(kind, self._now(), detail, by_guard=already, previous=previous)

    async def _safely(
        self,
        intent: PauseIntent,
        stands: Callable[[Deployment], Answered | None],
        made: Callable[[Deployment], list[Operation]],
    ) -> Answered:
        try:
            return await self._patch(intent, stands, made)
        except TemporaryError as error:
            return OutcomeKind.UNAVAILABLE, str(error), None
        except PermanentError as error:
            return OutcomeKind.REFUSED, str(error), None

    async def _patch(
        self,
        intent: PauseIntent,
        stands: Callable[[Deployment], Answered | None],
        made: Callable[[Deployment], list[Operation]],
    ) -> Answered:
        """Read, look, and patch what was read; again while others change it meanwhile."""
        tested = None
        async for _ in attempts():
            deployment = await in_force.read(self._api, intent.workload, intent.uid)
            if deployment is None:
                return OutcomeKind.SUPERSEDED, "the Deployment was deleted", None
            if await in_force.which(self._api, deployment, (intent.candidate,)) is None:
                return OutcomeKind.SUPERSEDED, "another template is in force", None
            if deployment["spec"].get("paused"):
                text = "a person paused the Deployment (spec.paused)"
                return OutcomeKind.UNAVAILABLE, text, None
            answered = stands(deployment)
            if answered is not None:
                return answered
            generation = deployment["metadata"]["generation"]
            if generation == tested:
                # Nothing had changed, so it was no precondition that failed.
                text = "the API server refused without naming a reason"
                return OutcomeKind.REFUSED, text, None
            answer = await patch(self._api, intent.workload, made(deployment))
            if answer.ok:
                return OutcomeKind.PATCHED, "", answer.document
            if not precondition_failed(answer):
                if not_now(answer):
                    raise refusal(answer, "the patch was not taken")
                text = f"the API server refused: {safe_reason(answer)}"
                return OutcomeKind.REFUSED, text, None
            tested = generation if answer.status == UNPROCESSABLE else None
        text = f"the Deployment changed {TRIES} times in a row while it was patched"
        return OutcomeKind.UNAVAILABLE, text, None

    async def _tidy(
        self, intent: PauseIntent, deployment: Deployment, before: tuple[Mapping[str, Any], ...]
    ) -> str:
        """Take the marks and the guard out, and give the fields back to their managers.

        Returns:
            What could not be done, for a person; empty where all is done. A crash before it
            leaves an empty label and the guard as the owner of fields with the team's values.
        """
        current: Deployment | None = deployment
        async for attempt in attempts():
            if attempt > 1:
                current = await in_force.read(self._api, intent.workload, intent.uid)
            if current is None or not _left(current):
                return ""
            entries = owners.given_back(current["metadata"].get("managedFields") or [], before)
            answer = await patch(self._api, intent.workload, patches.tidy(current, entries))
            if answer.ok:
                return ""
            if not precondition_failed(answer):
                break
        return (
            "its fields could not be given back to their managers: the next server-side apply "
            "may meet a conflict with deployment-guard"
        )


def _left(deployment: Deployment) -> bool:
    entries = deployment["metadata"].get("managedFields") or ()
    return managed_fields.owns_any(entries) or bool(pause.tidied(deployment))
