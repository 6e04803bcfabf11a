"""Records and memory: bounded, and true to what was rolled back and what is trusted."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from guard.core.actions import KnownGood
from guard.core.records import (
    ROLLED_BACK_AT_MOST,
    TIMELINE_AT_MOST,
    Memory,
    Record,
    Unproven,
    noted,
    remember_rollback,
    trust,
)
from guard.core.states import Note, Phase, State
from guard.core.ticks import Frame, Youth
from guard.core.workloads import Mode, Revision, Snapshot, WorkloadId
from tests.core.conftest import BAD, BEGAN, GOOD, case

MEMORY = Memory(WorkloadId("kubernetes", "shop", "auth"), "u", known_good=GOOD)


def record() -> Record:
    return Record(State(case(), Phase.BAKING, BEGAN), Mode.ACT, Frame(BEGAN))


@given(st.integers(0, 3 * TIMELINE_AT_MOST))
def test_a_timeline_is_bounded_and_keeps_its_beginning_and_its_end(lines: int) -> None:
    told = record()
    for number in range(lines):
        told = noted(told, Note(BEGAN + number, "k", str(number)))
    assert len(told.timeline) == min(lines, TIMELINE_AT_MOST)
    if lines:
        assert (told.timeline[0].text, told.timeline[-1].text) == ("0", str(lines - 1))


def test_a_record_carries_its_rollouts_name() -> None:
    assert record().id == "kubernetes/shop/auth@new#2"


def test_a_rollback_is_remembered_once() -> None:
    memory = remember_rollback(remember_rollback(MEMORY, "c-new", 5.0), "c-new", 6.0)
    assert (memory.rolled_back, memory.rollbacks) == (("c-new",), (5.0,))


def test_what_is_remembered_is_bounded_and_the_newest_stay() -> None:
    memory = MEMORY
    for number in range(2 * ROLLED_BACK_AT_MOST):
        memory = remember_rollback(memory, str(number), float(number))
    assert len(memory.rolled_back) == len(memory.rollbacks) == ROLLED_BACK_AT_MOST
    assert memory.rolled_back[-1] == str(2 * ROLLED_BACK_AT_MOST - 1)


def test_a_revision_that_is_trusted_was_not_bad_after_all() -> None:
    youth = {"errors": Youth(1, 100)}
    memory = remember_rollback(MEMORY, BAD.content, 5.0)
    unproven = Unproven(BAD, BEGAN, 60.0)
    memory = trust(
        Memory(memory.workload, "u", rolled_back=("other", BAD.content), unproven=unproven),
        KnownGood(BAD, BEGAN, "was promoted"),
        youth,
    )
    assert memory.rolled_back == ("other",)
    assert memory.unproven is None
    assert memory.youth == youth


def test_a_template_is_found_among_all_that_the_platform_holds() -> None:
    again = Revision("new2", BAD.content, 3, "rs3", BEGAN)
    snapshot = Snapshot(MEMORY.workload, "u", 1, BEGAN, BAD, 4, revisions=(again, BAD))
    assert snapshot.hashes_of(BAD) == {"new", "new2"}
    alone = Snapshot(MEMORY.workload, "u", 1, BEGAN, BAD, 4)
    assert alone.hashes_of(BAD) == {"new"}
    assert alone.hashes_of(GOOD.revision) == frozenset()


def test_a_template_stored_before_the_api_server_changed_its_defaults_is_still_the_same() -> None:
    stored = replace(BAD, content="hashed with the defaults of then")
    assert BAD.same_as(stored)
    assert not BAD.same_as(GOOD.revision)
