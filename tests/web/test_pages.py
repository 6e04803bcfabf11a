"""The pages without any script: what they say, and in which order."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from guard.core.actions import OutcomeKind
from guard.core.findings import Verdict
from guard.core.states import Hold, Phase
from guard.web import pages
from tests.web.conftest import (
    NOW,
    a_night,
    baking,
    held,
    intended,
    progressing,
    promoted,
    ratio,
    record,
    rehearsed,
    rollback_failed,
    rolled_back,
    stated,
    told,
)
from tests.web.markup import in_order, path_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from guard.engine.board import Board


async def test_a_held_rollout_is_told_in_the_order_in_which_it_is_asked(
    look: Callable[..., Any], board: Board
) -> None:
    board.show(held())
    page = await look()
    in_order(
        page.words,
        "1 rollout needs a person",
        "auth-service",
        "Deployment kubernetes/shop/auth-service · owned by team-identity",
        "7c9f6d5b8 auth-service:2.4.0 in place of 5d8b7c4f9 auth-service:2.3.9",
        "Held: failed, the guard only observes",
        "This release failed and is still serving.",
        "What you can do: Go back by hand.",
        "kubectl -n shop rollout undo deployment/auth-service --to-revision=",
        "FAIL",
        "23 of 104 requests failed",
        "it would have rolled back to 5d8b7c4f9",
        "Evidence",
        "errors error ratio",
        "Candidate 23 of 104 22.1% 15.2% to 31%",
        "Stable 1 of 410 0.244%",
        "Evidence against it E 2,317, 100 decides",
        "Evidence for it M′",
        "Requests missing until it is good enough: never at this ratio",
        "The same in Prometheus",
        "health",
        "all 4 ready pods are healthy",
        "What the guard does",
        "Mode observe",
        "Hold failed, the guard only observes",
        "Rehearsal Not rehearsed",
        "Clock Judged for 4 s. The clock stands still while it is held.",
        "Timeline",
        "Held",
        "Began",
    )


async def test_a_rolled_back_one_says_what_was_intended_what_came_of_it_and_since_then(
    look: Callable[..., Any], board: Board
) -> None:
    board.show(rolled_back())
    page = await look(path_of(rolled_back()))
    in_order(
        page.words,
        "Rolled back",
        "the guard put the known-good revision back",
        "FAIL 41 of 78 requests failed",
        "Rollback to 5d8b7c4f9, decided",
        "it was promoted on evidence",
        "Outcome Patched 0.1 s after the decision",
        "Since then 4 of 4 pods of the known-good revision ready, 0 of their 96 failed",
        "Rehearsal Rehearsed",
        "Timeline",
        "Ended",
        "Verified",
        "Patched",
        "Intent",
        "Decided",
        "Rehearsed",
        "Began",
        "kubernetes/shop/checkout@7c9f6d5b8#12",
        "this record as JSON",
    )


async def test_what_needs_a_person_comes_first_and_ended_ones_last_the_newest_first(
    look: Callable[..., Any], board: Board
) -> None:
    for one in (*a_night(), progressing(), rollback_failed()):
        board.show(one)
    page = await look()
    in_order(
        page.words,
        "2 rollouts need a person",
        "2 others are under way.",
        "Needs a person",
        "cart",
        "auth-service",
        "Under way",
        "search",
        "orders",
        "Ended",
        "Rolled back checkout",
        "Promoted payments",
    )


async def test_a_failed_rollback_needs_nobody_any_more_once_a_newer_rollout_came(
    look: Callable[..., Any], board: Board
) -> None:
    board.show(rollback_failed())
    board.show(record("cart", Phase.BAKING, name="newer", began=5.0))
    page = await look()
    in_order(
        page.words,
        "Nothing needs you",
        "1 rollout is under way.",
        "cart",
        "Ended",
        "Rollback failed",
    )


async def test_a_failure_that_the_policy_only_tells_needs_a_person(
    look: Callable[..., Any], board: Board
) -> None:
    finding = ratio(23, 104, (1, 410), e_value=2317.0)
    board.show(stated(baking(), verdict=Verdict.FAIL, text=finding.text))
    assert "1 rollout needs a person" in (await look()).words


async def test_when_all_is_well_the_page_says_so_first(
    look: Callable[..., Any], board: Board
) -> None:
    board.show(promoted())
    page = await look()
    in_order(page.words, "Nothing needs you", "No rollout is under way.", "Ended", "payments")


async def test_an_empty_page_says_what_to_do(look: Callable[..., Any]) -> None:
    page = await look()
    in_order(
        page.words,
        "No rollout yet",
        "How to have a workload guarded",
        "kubectl -n NAMESPACE label deployment/NAME deployment-guard.io/guard=true",
        "guard check --live slos/NAME.yaml",
    )


async def test_a_guard_that_is_not_ready_says_that_the_page_may_lack_something(
    look: Callable[..., Any],
) -> None:
    why = "no workload has been seen yet: deployments is forbidden"
    page = (await look(unready=lambda: why)).words
    assert f"Not ready: {why}." in page
    assert "The guard is watching" not in page
    assert "Not ready:" not in (await look()).words


async def test_mode_and_version_are_shown(look: Callable[..., Any]) -> None:
    page = await look(mode="observe", version="9.8.7")
    in_order(page.words, "mode observe", "version 9.8.7", "The guard observes:")


async def test_what_is_not_known_yet_is_said_and_never_shown_as_zero(
    look: Callable[..., Any], board: Board
) -> None:
    none_yet = replace(
        ratio(0, 1, (0, 1), e_value=1.0),
        numbers={"bad": 0.0, "total": 0.0, "bound": 100.0, "p0": 0.01, "log_bound_d": 3.0},
    )
    board.show(replace(record("orders", Phase.PROGRESSING, stable=None), findings=(none_yet,)))
    board.show(record("search", Phase.PROGRESSING))
    page = await look()
    in_order(
        page.words,
        "nothing is known good",
        "Nothing is measured yet.",
        "Candidate 0 of 0 – no request yet",
        "nothing is known good, so there is nothing to go back to",
        "The clock starts when all new pods are ready.",
    )
    assert "No check has answered yet." in page.words
    assert "Rehearsal not yet" in page.words


async def test_an_assumed_stable_revision_is_marked_and_no_command_leads_to_it(
    look: Callable[..., Any], board: Board
) -> None:
    made = held()
    assert made.state.case.stable is not None
    case = replace(made.state.case, stable=replace(made.state.case.stable, assumed=True))
    board.show(stated(made, case=case, hold=Hold.NO_KNOWN_GOOD))
    page = await look()
    in_order(page.words, "in place of 5d8b7c4f9", "assumed", "nothing known good")
    assert "kubectl" not in page.words


async def test_warnings_of_the_platform_and_a_pending_outcome_are_shown(
    look: Callable[..., Any], board: Board
) -> None:
    made = rehearsed(record("orders", Phase.ROLLING_BACK), possible=False)
    assert made.rehearsal is not None
    made = replace(made, rehearsal=replace(made.rehearsal, warnings=("would violate X",)))
    made = intended(made, OutcomeKind.PATCHED, 0.1)
    board.show(stated(made, outcome=None))
    page = await look()
    in_order(page.words, "Outcome not known yet", "Would be refused", "warns: would violate X")


@pytest.mark.parametrize(
    ("elapsed", "words"),
    [
        (30.0, "Judged for 30 s. Promotion after 2 min at the earliest."),
        (130.0, "Judged for 2 min 10 s. Promotion as soon as the evidence is there, 15 min at"),
    ],
)
async def test_the_clock_says_when_it_can_end(
    elapsed: float, words: str, look: Callable[..., Any], board: Board
) -> None:
    board.show(stated(baking(), elapsed=elapsed))
    assert words in (await look()).words


async def test_a_long_timeline_is_cut_on_the_status_page_and_whole_on_its_own(
    look: Callable[..., Any], board: Board
) -> None:
    made = told(baking(), *((30.0 + n, "held", f"entry {n}.") for n in range(20)))
    board.show(made)
    page = await look()
    assert "entry 19." in page.words
    assert "entry 2." not in page.words
    assert "18 earlier" in page.words
    page = await look(path_of(made))
    assert all(f"entry {n}." in page.words for n in range(20))


async def test_what_one_page_cannot_hold_is_counted(
    look: Callable[..., Any], board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "CARDS_AT_MOST", 2)
    monkeypatch.setattr(pages, "LIVE_AT_MOST", 4)
    monkeypatch.setattr(pages, "ENDED_AT_MOST", 3)
    for n in range(6):
        board.show(record(f"live-{n}", Phase.BAKING))
        board.show(stated(record(f"ended-{n}", Phase.LEFT), ended_at=NOW))
    page = await look()
    assert len(page.all("article")) == 2
    assert len(set(re.findall("live-[0-9]", page.words))) == 4
    in_order(page.words, "6 rollouts are under way.", "2 more under way", "3 older ones")
    board.show(held())
    page = await look()
    in_order(page.words, "1 rollout needs a person", "6 others are under way.", "3 more under way")


async def test_a_rollout_that_is_not_there_is_404_and_a_page(look: Callable[..., Any]) -> None:
    page = await look("/rollouts/nothing%2Fhere", status=404)
    in_order(page.words, "This rollout is not here", "older than what is kept", "All rollouts")


async def test_users_see_their_table_only_where_someone_counts(
    look: Callable[..., Any],
) -> None:
    rows = [{"case": "<i>bad</i> release", "sent": 100, "failed": 7, "note": "rolled back"}]
    page = await look(users=lambda: rows)
    in_order(page.words, "What users saw", "Requests sent", "<i>bad</i> release", "100", "7")
    assert page.all("i") == []
    assert "What users saw" not in (await look()).words


async def test_a_rollout_of_its_own_page_explains_every_answer(
    look: Callable[..., Any], board: Board
) -> None:
    undone = rolled_back()
    first, *others = undone.findings
    first = replace(first, numbers={**first.numbers, "bad_age": 3.5, "age": 30.0})
    board.show(replace(undone, findings=(first, *others)))
    page = await look(path_of(undone))
    in_order(
        page.words,
        "What would have decided otherwise: all 41 errors came in the first 4 s of a pod's life: "
        "`settle: 4s` would have left them out",
        "Do more than 1% of the candidate's requests fail?",
        "Candidate 41 of 78 requests bad",
        "Against it E is 10,000, 100 decides",
        "Does the health endpoint of every candidate pod answer 200?",
        "Test a rule: it states no error probability",
    )
