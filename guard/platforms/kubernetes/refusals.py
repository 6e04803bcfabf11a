"""What the statuses of the API server mean to the guard: not now, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guard.core.errors import PermanentError, TemporaryError
from guard.platforms.kubernetes.api import HTTP_SERVER_ERROR, safe_reason

if TYPE_CHECKING:
    from guard.platforms.kubernetes.api import Answer

NOT_FOUND: Final = 404
CONFLICT: Final = 409
FORBIDDEN: Final = 403
UNPROCESSABLE: Final = 422
_NOT_NOW: Final = frozenset({401, 408, 429})
"""A token that is being renewed, a time-out, too many requests."""


def not_now(answer: Answer) -> bool:
    """Whether the same call may be answered otherwise in a moment."""
    return answer.status in _NOT_NOW or answer.status >= HTTP_SERVER_ERROR


def refusal(answer: Answer, what: str) -> TemporaryError | PermanentError:
    """The error for a status of 400 or more, with words that are safe to show."""
    kind = TemporaryError if not_now(answer) else PermanentError
    return kind(f"{what}: {safe_reason(answer)}")


def precondition_failed(answer: Answer) -> bool:
    """Whether somebody was faster: a `test` of a JSON patch failed, or the object changed or went.

    A failed test is a 422 whose details name no causes; validation and admission name some.
    """
    if answer.status in {CONFLICT, NOT_FOUND}:
        return True
    document = answer.document
    details = document.get("details") if isinstance(document, dict) else None
    causes = details.get("causes") if isinstance(details, dict) else None
    return answer.status == UNPROCESSABLE and not causes
