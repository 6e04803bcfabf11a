"""Documents: a record comes back to the bit, whatever is in it, and never grows beyond bounds."""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.core.actions import Intent, KnownGood, Rehearsal
from guard.core.checks.counted_state import CountedState
from guard.core.errors import PermanentError
from guard.core.findings import Finding, Reason, Verdict
from guard.core.records import Memory, Record
from guard.core.samples import Reading
from guard.core.states import Case, Note, Phase, State
from guard.core.ticks import Frame, Tick
from guard.core.verdicts import judge
from guard.core.workloads import Container, Mode, Pod, Revision, Snapshot
from guard.engine import checks, codec
from tests.engine.cluster import AUTH, EPOCH
from tests.engine.stage import POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FLOATS = st.floats(allow_nan=False)
GOOD = Revision("good", "content-good", 1, "rs-good", EPOCH, ("registry.example/auth:1",))
BAD = Revision("bad", "content-bad", 2, "rs-bad", EPOCH + 60.0, ("registry.example/auth:2",))


def mappings(kind: Any) -> st.SearchStrategy[Any]:
    keys, values = typing.get_args(kind)
    return st.dictionaries(st.from_type(keys), st.from_type(values), max_size=2)


@pytest.fixture(scope="module", autouse=True)
def texts_and_numbers_as_they_can_be_stored() -> Iterator[None]:
    before = {kind: st.from_type(kind) for kind in (str, float)}
    st.register_type_strategy(str, TEXT)
    st.register_type_strategy(float, FLOATS)
    st.register_type_strategy(Mapping, mappings)
    yield
    for kind, strategy in before.items():
        st.register_type_strategy(kind, strategy)


def record(pods: int = 4, ticks: int = 20) -> Record:
    """A rollout under way whose evidence is that of real ticks."""
    case = Case(
        "kubernetes/shop/auth-service@bad#2",
        AUTH,
        "uid",
        POLICY.service,
        POLICY.owner,
        BAD,
        KnownGood(GOOD, EPOCH, "was promoted"),
        EPOCH,
        POLICY,
    )
    frame = Frame(EPOCH, counted=1)
    states = {check.name: checks.begin(check, frame) for check in POLICY.checks}
    living = tuple(_pod(number) for number in range(pods))
    snapshot = Snapshot(AUTH, "uid", 1, EPOCH, BAD, pods // 2, (BAD, GOOD), living)
    for number in range(ticks):
        tick = _tick(snapshot, number)
        states = {name: checks.update(state, tick) for name, state in states.items()}
    findings = tuple(checks.find(state, tick) for state in states.values())
    state = State(case, Phase.BAKING, EPOCH + 1.0, text="so far so good")
    return Record(state, Mode.ACT, frame, states, judge(findings, frame).findings)


def _pod(number: int) -> Pod:
    return Pod(
        uid=f"0f0e0d0c-1234-5678-9abc-{number:012d}",
        name=f"auth-{number}",
        namespace="shop",
        revision="bad" if number % 2 else "good",
        created_at=EPOCH,
        address="10.0.0.1",
        ready=True,
        ready_at=EPOCH,
        containers=(Container("app", started_at=EPOCH),),
    )


def _tick(snapshot: Snapshot, number: int) -> Tick:
    at = EPOCH + 1.0 + number / 3.0
    readings = {
        f"{pod.uid}/app": Reading(7.0 * number, float(number // 3), at, "scrape", EPOCH)
        for pod in snapshot.pods
    }
    return Tick(
        at=at,
        snapshot=snapshot,
        candidate=frozenset({"bad"}),
        stable=frozenset({"good"}),
        counters={"availability": readings},
    )


# Round trips.


ROUND_TRIPS = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))


@ROUND_TRIPS
@given(memory=st.deferred(lambda: st.from_type(Memory)))
def test_any_memory_comes_back_to_the_bit(memory: Memory) -> None:
    memory = replace(memory, version=1)
    back, records = codec.decode(codec.encode(memory, []))
    assert back == memory
    assert records == ()


@ROUND_TRIPS
@given(
    drawn=st.deferred(lambda: st.from_type(Record)), state=st.deferred(lambda: st.from_type(State))
)
def test_any_record_under_way_comes_back_to_the_bit(drawn: Record, state: State) -> None:
    drawn = replace(drawn, state=replace(state, phase=Phase.BAKING), version=1)
    _, (back,) = codec.decode(codec.encode(Memory(AUTH, "uid"), [drawn]))
    assert back == drawn


def test_evidence_of_real_ticks_comes_back_to_the_bit_and_goes_on_alike() -> None:
    before = record()
    _, (back,) = codec.decode(codec.encode(Memory(AUTH, "uid"), [before]))
    assert back == before
    snapshot = Snapshot(AUTH, "uid", 1, EPOCH, BAD, 2, (BAD, GOOD), tuple(map(_pod, range(4))))
    for name, state in before.checks.items():
        tick = _tick(snapshot, 25)
        assert repr(checks.update(back.checks[name], tick)) == repr(checks.update(state, tick))
    assert isinstance(back.checks["availability"], CountedState)


@pytest.mark.parametrize("number", [math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308])
def test_extreme_numbers_come_back_and_leave_valid_json(number: float) -> None:
    finding = Finding(
        "c", "k", Verdict.WAIT, Reason.COLLECTING, "\u2028 é \U0001f600", numbers={"n": number}
    )
    documents = codec.encode(Memory(AUTH, "uid"), [replace(record(), findings=(finding,))])

    def no_constants(name: str) -> None:
        raise AssertionError(name)

    for text in documents.values():
        json.loads(text, parse_constant=no_constants)
    _, (back,) = codec.decode(documents)
    assert repr(back.findings) == repr((finding,))


def test_an_ended_record_leaves_its_evidence_behind_and_keeps_its_story() -> None:
    state = replace(record().state, phase=Phase.PROMOTED, ended_at=EPOCH + 99.0)
    ended = replace(record(), state=state, timeline=(Note(EPOCH, "began", "x"),))
    _, (back,) = codec.decode(codec.encode(Memory(AUTH, "uid"), [ended]))
    assert back == replace(ended, checks={})


def test_records_come_back_oldest_first() -> None:
    newest = record()
    case = replace(newest.state.case, began_at=EPOCH - 500.0, candidate=GOOD, rollout="older")
    older = replace(newest, state=replace(newest.state, case=case))
    _, records = codec.decode(codec.encode(Memory(AUTH, "uid"), [newest, older]))
    assert [one.id for one in records] == ["older", newest.id]


# Bounds.


def wide(number: int) -> Record:
    """A record whose words take three bytes a character."""
    before = record()
    revision = replace(BAD, number=number)
    case = replace(before.state.case, rollout=f"bad#{number}", candidate=revision)
    note = Note(EPOCH, "held", "€" * 500)
    return replace(before, state=replace(before.state, case=case), timeline=(note,) * 100)


def test_all_documents_together_stay_within_the_bytes_of_the_store() -> None:
    documents = codec.encode(Memory(AUTH, "uid"), map(wide, range(20)))
    size = sum(len(text.encode()) for text in documents.values())
    assert size <= codec.DOCUMENTS_AT_MOST
    assert 1 < len(documents) < 20
    _, records = codec.decode(documents)
    assert "bad#0" in {one.id for one in records}


def test_a_record_too_large_for_the_store_is_kept_without_its_evidence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(codec, "DOCUMENTS_AT_MOST", 70_000)
    good = KnownGood(GOOD, EPOCH, "was promoted")
    intent = Intent("rollback:x", AUTH, "uid", BAD, good, EPOCH, "cause")
    huge = record(pods=3000, ticks=2)
    huge = replace(huge, state=replace(huge.state, intent=intent))
    documents = codec.encode(Memory(AUTH, "uid"), [huge, wide(3)])
    assert sum(len(text.encode()) for text in documents.values()) <= codec.DOCUMENTS_AT_MOST
    back = next(one for one in codec.decode(documents)[1] if one.id == huge.id)
    assert back == replace(huge, checks={})
    begun = checks.completed(back)
    assert begun.checks.keys() == huge.checks.keys()
    assert checks.completed(begun) is begun


# What cannot be read.


def stored(**changes: Any) -> Mapping[str, str]:
    documents = codec.encode(Memory(AUTH, "uid"), [record()])
    (key,) = documents.keys() - {codec.MEMORY_KEY}
    return {**documents, key: json.dumps({**json.loads(documents[key]), **changes})}


def test_a_newer_version_is_refused_with_what_to_do() -> None:
    with pytest.raises(PermanentError, match="written by a newer guard") as error:
        codec.decode(stored(version=2))
    assert "rollout-bad-2.json" in str(error.value)
    assert "version 2, this one reads up to 1" in str(error.value)
    assert "run that guard again" in str(error.value)


def test_a_newer_memory_is_refused_although_its_fields_would_fit() -> None:
    text = codec.encode(Memory(AUTH, "uid", version=7), [])[codec.MEMORY_KEY]
    with pytest.raises(PermanentError, match=r"memory\.json was written by a newer guard"):
        codec.decode({codec.MEMORY_KEY: text})


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"version": 1}', '{"version": 1, "checkpoint": {"a": 1}}'],
)
def test_what_is_none_of_ours_is_refused_without_showing_what_it_holds(text: str) -> None:
    documents = {"rollout-x-1.json": text.replace("a", "a-secret")}
    with pytest.raises(PermanentError, match=r"rollout-x-1\.json is none that this guard can read"):
        codec.decode(documents)
    with pytest.raises(PermanentError) as error:
        codec.decode(documents)
    assert error.value.__cause__ is None
    assert "a-secret" not in str(error.value)


def test_other_documents_beside_them_are_left_alone() -> None:
    memory, records = codec.decode({**stored(), "notes.txt": "what a person wrote"})
    assert memory is not None
    assert len(records) == 1


def test_what_was_told_comes_back_and_what_cannot_be_read_was_told_to_nobody() -> None:
    assert codec.encode_told({}) == {}
    told = {"opt-in": "0"}
    assert codec.decode_told(codec.encode_told(told)) == told
    assert codec.decode_told({}) == {}
    assert codec.decode_told({codec.TOLD_KEY: "[1"}) == {}


def test_the_head_of_a_document_is_what_people_read() -> None:
    rehearsal = Rehearsal(possible=True, at=EPOCH, detail="rehearsed")
    head = codec.head(replace(record(), rehearsal=rehearsal))
    assert head["rollout"] == "kubernetes/shop/auth-service@bad#2"
    assert head["phase"] == "baking"
    assert head["stable"]["hash"] == "good"
    assert head["stable_assumed"] is False
    assert head["rehearsal"]["detail"] == "rehearsed"
    case = replace(record().state.case, stable=None)
    assert codec.head(replace(record(), state=replace(record().state, case=case)))["stable"] is None
    assert "checks" not in head
