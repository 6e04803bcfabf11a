"""The first patch: puts the known-good template back, for real or as a dry run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from guard.core.actions import OutcomeKind
from guard.platforms.kubernetes import in_force, patches
from guard.platforms.kubernetes.api import safe_reason
from guard.platforms.kubernetes.refusals import (
    FORBIDDEN,
    UNPROCESSABLE,
    not_now,
    precondition_failed,
    refusal,
)
from guard.platforms.kubernetes.rights import Right, allowed
from guard.platforms.kubernetes.sending import TRIES, attempts, patch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guard.core.actions import Intent
    from guard.platforms.kubernetes.api import Answer, Api
    from guard.platforms.kubernetes.kept import Kept


@dataclass(frozen=True, slots=True)
class Came:
    """What came of the first patch.

    Attributes:
        deployment: the object that carries this intent's mark, where there is one.
        in_force: the known-good template is in force in it.
        unable: refused because the guard lacks the right to patch, not for what it sent.
    """

    kind: OutcomeKind
    detail: str
    deployment: Mapping[str, Any] | None = field(default=None, repr=False)
    in_force: bool = False
    unable: bool = False
    warnings: tuple[str, ...] = ()


async def put_back(api: Api, intent: Intent, kept: Kept | None, *, dry: bool) -> Came:
    """Put what is kept in force, if the intent's candidate still is.

    Raises:
        TemporaryError: no answer, or not now. A real patch may have been carried out all the same.
        PermanentError: the Deployment may not be read.
    """
    params = {"dryRun": "All"} if dry else {}
    tested = None
    async for attempt in attempts():
        deployment = await in_force.read(api, intent.workload, intent.uid)
        came = await _standing(api, intent, deployment, kept)
        if came is not None:
            return came
        assert deployment is not None
        assert kept is not None
        generation = deployment["metadata"]["generation"]
        if generation == tested:
            # Nothing had changed, so it was no precondition that failed.
            return _refused("the API server refused without naming a reason")
        operations = patches.put_back(deployment, kept, intent)
        answer = await patch(api, intent.workload, operations, params)
        if answer.ok:
            return _patched(intent, answer, attempt)
        if not precondition_failed(answer):
            return await _not_patched(api, intent, answer)
        tested = generation if answer.status == UNPROCESSABLE else None
    text = f"the Deployment changed {TRIES} times in a row while it was patched"
    return Came(OutcomeKind.UNAVAILABLE, text)


async def _standing(
    api: Api, intent: Intent, deployment: Mapping[str, Any] | None, kept: Kept | None
) -> Came | None:
    """What answers the intent as things stand; None where it is still to be carried out."""
    if deployment is None:
        return Came(OutcomeKind.SUPERSEDED, "the Deployment was deleted")
    good = intent.known_good.revision
    marked = patches.is_marked(deployment, intent)
    revision = await in_force.which(api, deployment, (good, intent.candidate))
    if revision is good and marked:
        text = f"{good.hash} was put back by an earlier attempt at this rollback"
        return Came(OutcomeKind.ALREADY, text, deployment, in_force=True)
    if revision is good:
        return Came(OutcomeKind.ALREADY, f"{good.hash} was put back by someone else")
    if marked:
        # One intent is carried out once, also where the candidate itself was applied again.
        text = f"{good.hash} was put back by this rollback; another template came after it"
        return Came(OutcomeKind.ALREADY, text, deployment)
    if revision is None:
        return Came(OutcomeKind.SUPERSEDED, "another template is in force")
    if deployment["spec"].get("paused"):
        return _refused("a person paused the Deployment (spec.paused)")
    if kept is None:
        return _refused(f"nothing is kept of {good.hash}, so there is nothing to put back")
    return None


async def _not_patched(api: Api, intent: Intent, answer: Answer) -> Came:
    if not_now(answer):
        raise refusal(answer, "the patch was not taken")
    namespace, name = intent.workload.namespace, intent.workload.name
    right = Right("patch", "apps", "deployments", namespace, name)
    # A missing right and an admission that forbids answer alike.
    if answer.status == FORBIDDEN and not await allowed(api, right):
        text = f"the guard lacks the right to patch deployments in {namespace}"
        return Came(OutcomeKind.REFUSED, text, unable=True)
    return _refused(f"the API server refused: {safe_reason(answer)}")


def _patched(intent: Intent, answer: Answer, attempt: int) -> Came:
    tries = f" at attempt {attempt}" if attempt > 1 else ""
    return Came(
        OutcomeKind.PATCHED,
        f"{intent.known_good.revision.hash} put back{tries}",
        answer.document,
        in_force=True,
        warnings=answer.warnings,
    )


def _refused(detail: str) -> Came:
    return Came(OutcomeKind.REFUSED, detail)
