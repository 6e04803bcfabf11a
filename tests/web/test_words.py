"""Nothing that the guard can say goes without plain words."""

from __future__ import annotations

import inspect
import re

import pytest

from guard.core import lifecycle, policy
from guard.core.actions import OutcomeKind
from guard.core.findings import Verdict
from guard.core.states import ENDS, Hold, Phase
from guard.core.workloads import Mode
from guard.engine import guardian, warden
from guard.web import words
from guard.web.assets import _sources

TONES = {"good", "wait", "held", "bad", "blind", "quiet"}
EVERY = (
    *words.PHASES.values(),
    *words.HOLDS.values(),
    *words.VERDICTS.values(),
    *words.MODES.values(),
    *words.OUTCOMES.values(),
    *words.REHEARSALS.values(),
)


@pytest.mark.parametrize(
    ("said", "closed"),
    [
        (words.PHASES, Phase),
        (words.HOLDS, Hold),
        (words.VERDICTS, Verdict),
        (words.MODES, Mode),
        (words.OUTCOMES, OutcomeKind),
    ],
)
def test_every_member_of_a_closed_set_has_words(said: dict[object, object], closed: type) -> None:
    assert set(said) == set(closed)


def test_a_phase_is_called_what_the_architecture_calls_it() -> None:
    for phase, said in words.PHASES.items():
        assert said.label.lower().replace(" ", "_") == phase.value


def test_every_phase_and_hold_says_what_it_means_in_whole_sentences() -> None:
    for said in (*words.PHASES.values(), *words.HOLDS.values()):
        assert re.fullmatch(r"[A-Z].*\.", said.meaning)
        assert 20 <= len(said.meaning) <= 240


def test_every_hold_says_what_a_person_can_do() -> None:
    for said in words.HOLDS.values():
        assert said.label.startswith("Held: ")
        assert re.fullmatch(r"[A-Z].*\.", said.todo)


def test_a_hold_after_a_failure_says_that_it_is_serving() -> None:
    for hold, said in words.HOLDS.items():
        if said.tone == "bad" and hold is not Hold.SAME_TEMPLATE:
            assert "serving" in said.meaning
        if said.tone != "bad":
            assert "Nothing was changed." in said.meaning


def test_of_a_failed_release_without_a_ready_pod_no_page_says_that_it_serves() -> None:
    for hold, said in words.HOLDS.items():
        shown = words.of(Phase.HELD, hold, ready=0, suspended=False)
        if words.SERVING in said.meaning:
            assert words.NOT_SERVING in shown.meaning
            assert "serving" not in shown.meaning
            assert words.of(Phase.HELD, hold, ready=1, suspended=False) == said
        else:
            assert shown == said


def test_at_0_replicas_nothing_is_said_to_bake() -> None:
    assert words.of(Phase.BAKING, None, ready=0, suspended=True) is words.SUSPENDED
    assert words.of(Phase.BAKING, None, ready=0, suspended=False) is words.PHASES[Phase.BAKING]


def test_no_colour_is_used_that_has_no_sign() -> None:
    assert {said.tone for said in EVERY} <= TONES
    layout = _sources()["layout.html"]
    assert set(re.findall(r'id="i-(\w+)"', layout)) == TONES


def test_only_an_end_that_leaves_a_bad_release_serving_asks_for_a_person() -> None:
    assert [p for p in ENDS if words.PHASES[p].todo] == [Phase.ROLLBACK_FAILED]


def test_every_kind_of_timeline_entry_that_the_guard_writes_has_a_word() -> None:
    source = "".join(inspect.getsource(module) for module in (lifecycle, guardian, warden))
    written = set(re.findall(r'\bNote\([^"()]+?(?:\.\w+)?, "(\w+)"', source))
    assert len(written) > 8
    assert written <= set(words.NOTES)


def test_every_kind_of_check_has_a_word() -> None:
    kinds = {
        re.sub("(?<!^)(?=[A-Z])", "_", kind.__name__).lower() for kind in policy.Check.__args__
    }
    assert kinds == set(words.KINDS)
