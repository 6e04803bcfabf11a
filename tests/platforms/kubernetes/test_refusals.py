"""What a status means: try again, never again, or somebody was faster."""

from __future__ import annotations

from typing import Any

import pytest

from guard.core.errors import PermanentError, TemporaryError
from guard.platforms.kubernetes.api import Answer
from guard.platforms.kubernetes.refusals import not_now, precondition_failed, refusal


@pytest.mark.parametrize("status", [401, 408, 429, 500, 502, 503, 504])
def test_some_statuses_say_not_now(status: int) -> None:
    assert not_now(Answer(status, None))
    assert isinstance(refusal(Answer(status, None), "asking"), TemporaryError)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 422])
def test_the_others_say_never(status: int) -> None:
    assert not not_now(Answer(status, None))
    assert isinstance(refusal(Answer(status, None), "asking"), PermanentError)


def test_the_words_of_a_refusal_are_its_reason_alone() -> None:
    document = {"reason": "Forbidden", "message": "env: hunter2"}
    error = refusal(Answer(403, document), "writing secrets")
    assert str(error) == "writing secrets: Forbidden (403)"


@pytest.mark.parametrize(
    ("status", "document", "failed"),
    [
        (422, {"details": {}}, True),
        (422, {}, True),
        (422, {"details": {"causes": [{"field": "spec"}]}}, False),
        (422, None, True),
        (409, None, True),
        (404, None, True),
        (403, {"details": {}}, False),
    ],
    ids=["a test", "no details", "a validation", "no JSON", "a conflict", "gone", "no right"],
)
def test_a_failed_precondition_names_no_causes(status: int, document: Any, failed: object) -> None:
    assert precondition_failed(Answer(status, document)) is failed
