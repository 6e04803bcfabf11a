"""The second patch: gives the fields that the first one took back to their teams.

Without it the next `kubectl apply --server-side` meets a conflict, or leaves what the team removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guard.core.errors import PermanentError, TemporaryError
from guard.platforms.kubernetes import in_force, managed_fields, patches
from guard.platforms.kubernetes.api import safe_reason
from guard.platforms.kubernetes.refusals import not_now, precondition_failed, refusal
from guard.platforms.kubernetes.sending import attempts, patch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guard.core.actions import Intent
    from guard.platforms.kubernetes.api import Api
    from guard.platforms.kubernetes.kept import Kept

NOT_YET = "the template is put back, its fields are not yet back with their managers"


async def give_back(
    api: Api, intent: Intent, deployment: Mapping[str, Any], kept: Kept | None
) -> str:
    """Take the guard out of `managedFields`.

    Args:
        api: the API.
        intent: of the rollback.
        deployment: the object after the first patch.
        kept: what was put back with it; None: another template came since, whose fields are
            its own managers' already.

    Returns:
        What could not be done, for a person; empty where all is done.

    Raises:
        TemporaryError: not finished; a second call finishes it.
    """
    content = in_force.content_of(deployment)
    current: Mapping[str, Any] | None = deployment
    async for attempt in attempts():
        if attempt > 1:
            try:
                current = await in_force.read(api, intent.workload, intent.uid)
            except PermanentError as error:
                return _undone(str(error))
        if current is None or not _guard_owns(current):
            return ""
        still = kept if in_force.content_of(current) == content else None
        answer = await patch(api, intent.workload, patches.give_back(current, still))
        if answer.ok:
            return ""
        if not_now(answer):
            raise refusal(answer, NOT_YET)
        if not precondition_failed(answer):
            return _undone(safe_reason(answer))
    text = f"{NOT_YET}: the Deployment changed too often"
    raise TemporaryError(text)


def _guard_owns(deployment: Mapping[str, Any]) -> bool:
    return managed_fields.owns_any(deployment["metadata"].get("managedFields") or ())


def _undone(why: str) -> str:
    return (
        f"its fields could not be given back to their managers ({why}): the next server-side "
        "apply may meet a conflict with deployment-guard"
    )
