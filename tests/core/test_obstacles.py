"""What stands between a FAIL and a rollback: each obstacle, its words, and which comes first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from guard.core.actions import KnownGood
from guard.core.obstacles import obstacle
from guard.core.policy import OnFail
from guard.core.states import Hold, Phase, State
from guard.core.workloads import Mode
from tests.core.conftest import BAD, BEGAN, FACTS, GOOD, case


def held(facts: dict[str, Any], **policy: Any) -> tuple[Hold | None, str]:
    state = State(case=case(**policy), phase=Phase.BAKING, since=BEGAN)
    found = obstacle(state, replace(FACTS, **facts))
    return (found.hold, found.text) if found else (None, "")


def test_nothing_stands_in_the_way_of_a_plain_rollback() -> None:
    assert held({}) == (None, "")


@pytest.mark.parametrize(
    ("facts", "policy", "hold", "words"),
    [
        ({"mode": Mode.OBSERVE}, {}, Hold.OBSERVE, "would have rolled back to old"),
        (
            {"mode": Mode.OBSERVE, "known_good": None},
            {},
            Hold.OBSERVE,
            "nothing is known good",
        ),
        ({}, {"on_fail": OnFail.HOLD}, Hold.POLICY, "on_fail: hold"),
        ({"migration": "migrate"}, {}, Hold.MIGRATION, "init container migrate"),
        ({"known_good": None}, {}, Hold.NO_KNOWN_GOOD, "none to return to"),
        ({"known_good": replace(GOOD, assumed=True)}, {}, Hold.NO_KNOWN_GOOD, "none to return"),
        (
            {"known_good": KnownGood(replace(BAD, hash="x"), 0.0, "")},
            {},
            Hold.SAME_TEMPLATE,
            "this very one",
        ),
        ({"rolled_back": frozenset({"c-new"})}, {}, Hold.ONCE, "not a second time"),
        ({"circuit_open": True}, {}, Hold.CIRCUIT_BREAKER, "circuit breaker"),
        ({"paused": True}, {}, Hold.PAUSED, "spec.paused"),
        ({"may_patch": False}, {}, Hold.NO_RIGHTS, "lacks the right"),
    ],
)
def test_each_obstacle_holds_and_says_why(
    facts: dict[str, Any], policy: dict[str, Any], hold: Hold, words: str
) -> None:
    found, text = held(facts, **policy)
    assert found is hold
    assert words in text


def test_a_migration_is_undone_only_where_a_person_wrote_so() -> None:
    assert held({"migration": "migrate"}, on_fail_stated=True) == (None, "")


def test_what_a_person_set_is_told_before_what_the_guard_lacks() -> None:
    everything = {"mode": Mode.OBSERVE, "known_good": None, "paused": True, "may_patch": False}
    assert held(everything, on_fail=OnFail.HOLD)[0] is Hold.OBSERVE
    assert held({**everything, "mode": Mode.ACT}, on_fail=OnFail.HOLD)[0] is Hold.POLICY
