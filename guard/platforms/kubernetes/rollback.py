"""The rollback: what `kubectl rollout undo` means, bound to the candidate it was decided on.

Two patches that belong to one intent. The first puts the known-good template back and marks the
Deployment with the intent; the second gives the fields back to their teams. The mark is how a
second call, after a crash or an answer that never came, knows what is done and finishes the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.core.actions import Outcome, OutcomeKind, Rehearsal
from guard.core.errors import PermanentError, TemporaryError
from guard.platforms.kubernetes.giving_back import give_back
from guard.platforms.kubernetes.putting_back import put_back

if TYPE_CHECKING:
    from collections.abc import Callable

    from guard.core.actions import Intent
    from guard.platforms.kubernetes.api import Api
    from guard.platforms.kubernetes.kept import Kept
    from guard.platforms.kubernetes.putting_back import Came
    from guard.platforms.kubernetes.store import Store


class Rollbacks:
    """Carries rollbacks out, and rehearses them."""

    def __init__(self, api: Api, store: Store, now: Callable[[], float]) -> None:
        """Take the API, the store of known-good templates, and the clock (epoch seconds)."""
        self._api = api
        self._store = store
        self._now = now

    async def rollback(self, intent: Intent) -> Outcome:
        """Put the known-good template back, if the candidate of the intent is still in force.

        Idempotent: a second call with the same intent finishes what the first left undone and
        answers ALREADY with `by_guard`. Never raises for a trouble of the platform.
        """
        try:
            kept = await self._kept(intent)
            came = await put_back(self._api, intent, kept, dry=False)
            undone = await self._finish(intent, came, kept)
        except TemporaryError as error:
            return Outcome(OutcomeKind.UNAVAILABLE, self._now(), str(error))
        except PermanentError as error:
            return Outcome(OutcomeKind.REFUSED, self._now(), str(error))
        return Outcome(
            kind=came.kind,
            at=self._now(),
            detail=f"{came.detail}; {undone}" if undone else came.detail,
            by_guard=came.kind is OutcomeKind.ALREADY and came.deployment is not None,
            warnings=came.warnings,
        )

    async def rehearse(self, intent: Intent) -> Rehearsal:
        """Send the first patch as a dry run: admission and validation run, nothing changes.

        Never raises for a trouble of the platform.
        """
        good = intent.known_good.revision.hash
        try:
            came = await put_back(self._api, intent, await self._kept(intent), dry=True)
        except TemporaryError as error:
            return self._rehearsal(f"could not be rehearsed: {error}")
        except PermanentError as error:
            return self._rehearsal(f"rollback to {good} would be refused: {error}", possible=False)
        if came.kind is OutcomeKind.PATCHED:
            text = f"rollback to {good} rehearsed"
            return self._rehearsal(text, possible=True, warnings=came.warnings)
        if came.kind is OutcomeKind.REFUSED and not came.unable:
            text = f"rollback to {good} would be refused: {came.detail}"
            return self._rehearsal(text, possible=False)
        return self._rehearsal(f"could not be rehearsed: {came.detail}")

    async def _kept(self, intent: Intent) -> Kept | None:
        good = intent.known_good.revision
        return await self._store.known_good.kept(intent.workload, intent.uid, good)

    async def _finish(self, intent: Intent, came: Came, kept: Kept | None) -> str:
        if came.deployment is None:
            return ""
        in_force = kept if came.in_force else None
        return await give_back(self._api, intent, came.deployment, in_force)

    def _rehearsal(
        self, detail: str, *, possible: bool | None = None, warnings: tuple[str, ...] = ()
    ) -> Rehearsal:
        return Rehearsal(possible, self._now(), detail, warnings)
