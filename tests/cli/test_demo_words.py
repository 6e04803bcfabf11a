"""The demo's sentences, for every way a rollout can go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from guard.cli import demo_words as words
from guard.core.lifecycle import ALL_READY

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSIONS = {"aaa": "version 1", "bbb": "version 2"}
NUMBERS = {
    "bad": 3.0,
    "total": 60.0,
    "stable_bad": 1.0,
    "stable_total": 200.0,
    "e_value": 42.4,
    "bound": 100.0,
    "missing": 0.0,
}


def record(numbers: Mapping[str, float] | None = None, **changes: Any) -> words.Record:
    findings = [{"kind": "pods", "numbers": {}}]
    if numbers is not None:
        findings.append({"kind": "error_ratio", "numbers": {**NUMBERS, **numbers}})
    return {
        "candidate": {"hash": "bbb"},
        "stable": {"hash": "aaa"},
        "findings": findings,
        "phase": "baking",
        "text": "its text",
        "bake": 6.0,
        "intent": None,
        **changes,
    }


def told(kind: str, text: str = "its words", **changes: Any) -> str | None:
    note = {"kind": kind, "at": 10.004, "text": text}
    return words.told(record({}, **changes), note, VERSIONS)


def test_counts_are_told_beside_those_of_the_version_before() -> None:
    assert (
        words.counted(record({}), VERSIONS)
        == "3 of 60 requests failed, version 1 beside it 1 of 200"
    )
    alone = record({"stable_total": 0.0})
    assert words.counted(alone, VERSIONS) == "3 of 60 requests failed"


@pytest.mark.parametrize("numbers", [None, {"total": 0.0}], ids=["not judged yet", "no request"])
def test_nothing_counted_is_said_and_is_no_number(numbers: dict[str, float] | None) -> None:
    expected = "version 2: no user's request has reached it yet"
    assert words.evidence(record(numbers), VERSIONS) == expected


def test_evidence_is_counts_e_against_its_bound_and_what_is_missing() -> None:
    assert words.evidence(record({"missing": 41.0}), VERSIONS) == (
        "version 2: 3 of 60 requests failed, version 1 beside it 1 of 200; "
        "E = 42 (100 decides); good after 41 more"
    )


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        (4000.0, "good after very many more"),
        (-1.0, "at this ratio never good enough"),
        (7.0, "good after 7 more"),
        (0.0, "good enough"),
    ],
)
def test_what_is_missing_is_a_number_of_requests_or_hopeless(missing: float, expected: str) -> None:
    assert words.missing({"missing": missing}) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.844, "0.84"), (9.81, "9.8"), (222.4, "222"), (6725.0, "6,725"), (1e12, "over a million")],
)
def test_e_is_told_without_digits_that_say_nothing(value: float, expected: str) -> None:
    assert words.e_value({"e_value": value}) == expected


def test_every_step_at_the_first_pod_is_told_once() -> None:
    assert told("pause") is None
    held = "version 2 is held at its first pod, to be judged beside version 1"
    assert told("paused") == held
    beside = told("baking", "1 ready beside 4 stable, 20% of the pods")
    assert beside == "the first pod of version 2 serves: 1 ready beside 4 stable, 20% of the pods"
    assert told("going on") == "good enough at its first pod: version 2 goes on to all"
    assert told("gone on") is None


def test_every_step_of_a_rollback_is_told() -> None:
    assert told("began") == "the guard sees version 2 begin; version 1 is known good"
    assert told("rehearsed") == "the guard rehearsed the way back, in case"
    everywhere = told("baking", ALL_READY)
    assert everywhere == "every pod runs version 2 now; watched for at least 6 s"
    assert (told("decided") or "").startswith("DECIDED to undo version 2: 3 of 60 requests failed")
    assert told("intent") is None
    patched = told("patched", intent={"decided_at": 10.0})
    assert patched == "the guard put version 1 back, 4 ms after it had decided"
    assert told("verified") == "the guard looked whether it worked: its words"
    rolled_back = told("ended", phase="rolled_back")
    assert rolled_back == "ROLLED BACK: version 1 serves again, it is over"


def test_a_decision_that_no_count_made_is_told_in_the_guards_own_words() -> None:
    note = {"kind": "decided", "at": 0.0, "text": "pod x answers 503"}
    for one in (record(None), record({"total": 0.0})):
        text = words.told(one, note, VERSIONS)
        assert text == "DECIDED to undo version 2: pod x answers 503"


def test_other_steps_and_ends_are_told_as_the_record_has_them() -> None:
    assert told("held") == "held: its words"
    assert told("ended", phase="unproven") == "version 2 ended unproven: its text"
    assert (told("ended", phase="promoted") or "").startswith("PROMOTED version 2: 3 of 60")
    nothing = told("began", stable=None)
    assert nothing == "the guard sees version 2 begin; nothing is known good"


def test_the_last_table_tells_how_each_release_ended() -> None:
    promoted = record({}, phase="promoted")
    assert words.judged(promoted) == "promoted on 60 requests, 3 failed"
    assert words.judged(record(None, phase="left")) == "left"
    undone = record({}, phase="rolled_back", intent={"decided_at": 12.0})
    assert words.undone(undone, (10.0, 15.5)) == (
        "rolled back: decided 2.0 s after it first failed a user, "
        "the last time was 5.5 s after the first"
    )
    assert words.undone(record({}, phase="rollback_failed"), None) == "rollback failed"


def test_a_share_of_nothing_has_no_percentage() -> None:
    assert words.share(3, 200) == "3 of 200 (1.5%)"
    assert words.share(0, 0) == "0 of 0"
