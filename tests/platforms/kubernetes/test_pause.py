"""The pause where the API server is in trouble; who serves meanwhile, the real cluster shows."""

from __future__ import annotations

import json
import shlex
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.actions import OutcomeKind, PauseIntent
from guard.core.names import ANNOTATION_GO_ON, ANNOTATION_PAUSE, FIELD_MANAGER, LABEL_PAUSED
from guard.core.workloads import GuardPause
from guard.platforms.kubernetes import owners, pause, sending
from guard.platforms.kubernetes.objects import DeploymentObject
from guard.platforms.kubernetes.pausing import Pausing
from guard.platforms.kubernetes.workload_objects import read_deployment
from tests.platforms.kubernetes.acting import DEPLOYMENT, REPLICA_SETS, ActingServer
from tests.platforms.kubernetes.apiserver import client_of, hang_up, refuse, serving
from tests.platforms.kubernetes.test_rollback import (
    BAD,
    GOOD,
    NOW,
    SHOP,
    deployment,
    replica_sets,
    without_causes,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.platforms.kubernetes.apiserver import Object

SPEC = "/spec/minReadySeconds"
PAUSE = PauseIntent(SHOP, "u1", BAD, NOW)
SHARES = {"maxSurge": "25%", "maxUnavailable": "25%"}
HELD = {"minReadySeconds": pause.MIN_READY, "progressDeadlineSeconds": pause.PROGRESS_DEADLINE}


def paced(version: str = "2", **update: Any) -> Object:
    found = deployment(version)
    found["spec"] |= {
        "progressDeadlineSeconds": 300,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": update or dict(SHARES)},
    }
    found["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:progressDeadlineSeconds"] = {}
    return found


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "FIRST_PAUSE", 0.0)


@pytest.fixture
async def server() -> AsyncIterator[ActingServer]:
    acting = ActingServer()
    async with serving(acting):
        acting.set(DEPLOYMENT, paced())
        acting.others[REPLICA_SETS] = replica_sets()
        yield acting


@pytest.fixture
async def pausing(server: ActingServer) -> AsyncIterator[Pausing]:
    async with client_of(server.url) as client:
        yield Pausing(client, lambda: NOW)


def now(server: ActingServer) -> Object:
    return server.objects[DEPLOYMENT]


def owned_by_guard(server: ActingServer) -> None:
    """What a real API server notes of the guard's patch."""
    fields = {"f:spec": {"f:minReadySeconds": {}, "f:progressDeadlineSeconds": {}}}
    entries = now(server)["metadata"]["managedFields"]
    del entries[0]["fieldsV1"]["f:spec"]["f:progressDeadlineSeconds"]
    entries.append({"manager": FIELD_MANAGER, "operation": "Update", "fieldsV1": fields})


async def test_it_is_held_by_one_patch_and_let_go_with_all_as_it_was(
    server: ActingServer, pausing: Pausing
) -> None:
    before = json.loads(json.dumps(now(server)))
    held = await pausing.pause(PAUSE)
    assert (held.kind, held.detail) == (
        OutcomeKind.PATCHED,
        "held, 3 desired",
    )
    assert len(server.writes("PATCH")) == 1
    spec = now(server)["spec"]
    assert {key: spec[key] for key in HELD} == HELD
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert now(server)["metadata"]["labels"] == {LABEL_PAUSED: "hash2"}
    assert (await pausing.pause(PAUSE)).kind is OutcomeKind.ALREADY

    owned_by_guard(server)
    let_go = await pausing.resume(PAUSE)
    assert (let_go.kind, let_go.detail) == (
        OutcomeKind.PATCHED,
        "let go on, with all as it was before",
    )
    after = now(server)
    assert after["spec"] == before["spec"] | {"minReadySeconds": 0}
    assert after["metadata"]["labels"] == {}
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert after["metadata"]["managedFields"] == before["metadata"]["managedFields"]
    assert (await pausing.resume(PAUSE)).kind is OutcomeKind.ALREADY


@pytest.mark.parametrize(
    ("narrow", "update", "expected"),
    [
        (False, SHARES, SHARES),
        (True, {"maxSurge": 0, "maxUnavailable": 1}, {"maxSurge": 0, "maxUnavailable": 1}),
        (True, {"maxSurge": "0%", "maxUnavailable": 1}, {"maxSurge": "0%", "maxUnavailable": 1}),
        (True, {"maxSurge": 3, "maxUnavailable": 1}, {"maxSurge": 1, "maxUnavailable": 0}),
    ],
)
async def test_the_strategy_is_narrowed_where_that_is_wanted_and_possible(
    server: ActingServer,
    pausing: Pausing,
    *,
    narrow: bool,
    update: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    server.set(DEPLOYMENT, paced(**update))
    await pausing.pause(replace(PAUSE, narrow=narrow))
    assert now(server)["spec"]["strategy"]["rollingUpdate"] == expected
    await pausing.resume(PAUSE)
    assert now(server)["spec"]["strategy"]["rollingUpdate"] == update


async def test_a_newer_release_takes_the_pause_over_with_what_it_had_changed(
    server: ActingServer, pausing: Pausing
) -> None:
    await pausing.pause(replace(PAUSE, candidate=BAD))
    now(server)["spec"]["template"] = deployment("1")["spec"]["template"]
    newer = replace(PAUSE, candidate=GOOD)
    assert (await pausing.pause(PAUSE)).kind is OutcomeKind.SUPERSEDED
    assert (await pausing.pause(newer)).kind is OutcomeKind.PATCHED
    assert now(server)["metadata"]["labels"] == {LABEL_PAUSED: "hash1"}
    assert (await pausing.resume(PAUSE)).kind is OutcomeKind.SUPERSEDED
    assert (await pausing.resume(newer)).kind is OutcomeKind.PATCHED
    assert now(server)["spec"]["strategy"]["rollingUpdate"] == SHARES
    assert now(server)["spec"]["progressDeadlineSeconds"] == 300


async def test_an_undo_right_after_the_pause_takes_away_nothing_that_nobody_knows_any_more(
    server: ActingServer, pausing: Pausing
) -> None:
    """An undo by kubectl wipes the annotations out before the guard's own watch has shown them."""
    held = await pausing.pause(PAUSE)
    again = await pausing.pause(PAUSE)
    assert held.previous == again.previous != ""
    now(server)["metadata"]["annotations"] = {}
    await pausing.resume(replace(PAUSE, previous=held.previous))
    assert now(server)["spec"]["strategy"]["rollingUpdate"] == SHARES
    assert now(server)["spec"]["progressDeadlineSeconds"] == 300


async def test_what_an_undo_took_from_the_annotations_the_record_still_knows(
    server: ActingServer, pausing: Pausing
) -> None:
    await pausing.pause(PAUSE)
    recorded = now(server)["metadata"]["annotations"].pop(ANNOTATION_PAUSE)
    await pausing.resume(replace(PAUSE, previous=recorded))
    assert now(server)["spec"]["strategy"]["rollingUpdate"] == SHARES
    assert now(server)["spec"]["progressDeadlineSeconds"] == 300


async def test_where_nobody_knows_any_more_the_defaults_come_back_and_the_strategy_stays(
    server: ActingServer, pausing: Pausing
) -> None:
    await pausing.pause(PAUSE)
    now(server)["metadata"]["annotations"][ANNOTATION_PAUSE] = "not ours"
    await pausing.resume(PAUSE)
    spec = now(server)["spec"]
    assert (spec["minReadySeconds"], spec["progressDeadlineSeconds"]) == (0, 600)
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


async def test_what_someone_else_set_meanwhile_stays_theirs(
    server: ActingServer, pausing: Pausing
) -> None:
    await pausing.pause(PAUSE)
    now(server)["spec"]["minReadySeconds"] = 7
    now(server)["spec"]["strategy"] = {"type": "Recreate"}
    await pausing.resume(PAUSE)
    spec = now(server)["spec"]
    assert (spec["minReadySeconds"], spec["progressDeadlineSeconds"]) == (7, 300)
    assert spec["strategy"] == {"type": "Recreate"}


async def test_the_printed_command_is_one_that_puts_everything_back(
    server: ActingServer, pausing: Pausing
) -> None:
    await pausing.pause(PAUSE)
    text = now(server)["metadata"]["annotations"][ANNOTATION_GO_ON]
    words = shlex.split(text)
    assert words[:6] == ["kubectl", "-n", "team", "patch", "deployment", "shop"]
    assert json.loads(words[-1]) == {
        "metadata": {
            "labels": {LABEL_PAUSED: None},
            "annotations": {ANNOTATION_PAUSE: None, ANNOTATION_GO_ON: None},
        },
        "spec": {
            "minReadySeconds": 0,
            "progressDeadlineSeconds": 300,
            "strategy": {"rollingUpdate": SHARES},
        },
    }


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"strategy": {"type": "Recreate"}}, OutcomeKind.REFUSED, "Recreate"),
        ({"paused": True}, OutcomeKind.UNAVAILABLE, "a person paused"),
    ],
)
async def test_what_cannot_be_held_says_why(
    server: ActingServer,
    pausing: Pausing,
    change: dict[str, Any],
    kind: OutcomeKind,
    words: str,
) -> None:
    now(server)["spec"] |= change
    outcome = await pausing.pause(PAUSE)
    assert outcome.kind is kind
    assert words in outcome.detail


async def test_a_deployment_that_is_gone_is_none_to_hold(
    server: ActingServer, pausing: Pausing
) -> None:
    now(server)["metadata"]["uid"] = "another"
    assert (await pausing.pause(PAUSE)).kind is OutcomeKind.SUPERSEDED


async def test_whoever_is_faster_is_looked_at_again(server: ActingServer, pausing: Pausing) -> None:
    def scaled() -> None:
        now(server)["metadata"]["generation"] += 1

    server.before("PATCH", SPEC, scaled)
    assert (await pausing.pause(PAUSE)).kind is OutcomeKind.PATCHED
    assert len(server.writes("PATCH")) == 2


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ((hang_up,), OutcomeKind.UNAVAILABLE),
        ((refuse(503, "ServiceUnavailable"),), OutcomeKind.UNAVAILABLE),
        ((refuse(403, "Forbidden"),), OutcomeKind.REFUSED),
        ((without_causes(422),) * 2, OutcomeKind.REFUSED),
        ((refuse(409, "Conflict"),) * sending.TRIES, OutcomeKind.UNAVAILABLE),
    ],
    ids=["no answer", "not now", "forbidden", "without a reason", "conflicts"],
)
async def test_trouble_with_the_patch_is_an_outcome(
    server: ActingServer, pausing: Pausing, answers: Any, kind: OutcomeKind
) -> None:
    server.spoil("PATCH", SPEC, *answers)
    outcome = await pausing.pause(PAUSE)
    assert outcome.kind is kind
    assert outcome.detail
    assert "minReadySeconds" not in now(server)["spec"]


async def test_reading_that_is_refused_is_an_outcome(
    server: ActingServer, pausing: Pausing
) -> None:
    server.spoil("GET", DEPLOYMENT, refuse(403, "Forbidden"))
    assert (await pausing.resume(PAUSE)).kind is OutcomeKind.REFUSED


async def test_fields_that_cannot_be_given_back_are_told(
    server: ActingServer, pausing: Pausing
) -> None:
    await pausing.pause(PAUSE)
    owned_by_guard(server)
    server.spoil("PATCH", "managedFields", refuse(409, "Conflict"), refuse(403, "Forbidden"))
    outcome = await pausing.resume(PAUSE)
    assert outcome.kind is OutcomeKind.PATCHED
    assert "may meet a conflict" in outcome.detail


def shown_by(obj: Object) -> Any:
    return read_deployment(msgspec.json.decode(json.dumps(obj).encode(), type=DeploymentObject))


async def test_the_watch_shows_the_pause_and_the_teams_own_values(
    server: ActingServer, pausing: Pausing
) -> None:
    await pausing.pause(PAUSE)
    seen = shown_by(now(server))
    assert seen.pause == GuardPause(
        "hash2",
        NOW,
        in_force=True,
        previous=now(server)["metadata"]["annotations"][ANNOTATION_PAUSE],
    )
    assert (seen.progress_deadline, seen.min_ready) == (300.0, 0.0)
    assert (seen.max_surge, seen.max_unavailable) == (1, 0), "a quarter of 3, up and down"
    now(server)["spec"]["minReadySeconds"] = 5
    seen = shown_by(now(server))
    assert (seen.pause.in_force, seen.min_ready) == (False, 5.0)
    assert shown_by(paced()).pause is None


@given(
    st.one_of(
        st.text(),
        st.recursive(
            st.none() | st.integers() | st.text() | st.booleans(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ).map(json.dumps),
        st.fixed_dictionaries(
            {
                "revision": st.just("hash2"),
                "since": st.just("2026-11-25T03:02:01.655+00:00"),
                "previous": st.dictionaries(
                    st.sampled_from(["minReadySeconds", "maxSurge", "other"]),
                    st.none() | st.integers() | st.text() | st.lists(st.integers()),
                ),
                "owners": st.lists(st.none() | st.dictionaries(st.text(), st.text())),
            }
        ).map(json.dumps),
    )
)
def test_whatever_stands_in_the_annotation_ends_no_watch(text: str) -> None:
    obj = paced()
    obj["metadata"] |= {"labels": {LABEL_PAUSED: "hash2"}, "annotations": {ANNOTATION_PAUSE: text}}
    obj["spec"] |= {"minReadySeconds": pause.MIN_READY}
    seen = shown_by(obj)
    assert seen.pause.candidate == "hash2"
    assert seen.min_ready >= 0.0 or "minReadySeconds" in text


def test_owners_are_noted_for_the_fields_that_are_changed_alone() -> None:
    entries = [
        {"manager": "hpa", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        *paced()["metadata"]["managedFields"],
    ]
    found = owners.of(entries, ["minReadySeconds", "progressDeadlineSeconds"])
    assert [entry["fields"] for entry in found] == [["progressDeadlineSeconds"]]
    assert owners.given_back(entries, found) == entries
    assert owners.read("nothing") == ()


def test_what_a_pause_undone_in_part_left_behind_is_not_taken_for_the_teams_own() -> None:
    """A newer release whose manifest states minReadySeconds, over one that is held."""
    team = paced()
    held = json_patched(team, pause.hold(team, PAUSE, NOW))
    held["spec"]["minReadySeconds"] = 10
    newer = PauseIntent(SHOP, "u1", GOOD, NOW)
    again = json_patched(held, pause.hold(held, newer, NOW + 1))
    found = pause.of(again)
    assert found is not None
    assert found[1].previous == {"minReadySeconds": 10, "progressDeadlineSeconds": 300, **SHARES}
    assert any("progressDeadlineSeconds" in entry["fields"] for entry in found[1].owners)


@pytest.mark.parametrize("held_before", [False, True])
def test_a_pause_is_marked_as_no_earlier_than_the_end_of_the_one_before_it(
    held_before: bool,  # noqa: FBT001 - a row
) -> None:
    team = paced()
    if held_before:
        team = json_patched(team, pause.hold(team, PauseIntent(SHOP, "u1", GOOD, NOW), NOW))
    held = json_patched(team, pause.hold(team, replace(PAUSE, after=NOW + 60.0), NOW))
    found = pause.of(held)
    assert found is not None
    assert found[0].since == NOW + 60.0


def test_a_label_that_a_person_took_off_lets_it_go_with_all_that_was_changed() -> None:
    team = paced()
    held = json_patched(team, pause.hold(team, PAUSE, NOW))
    del held["metadata"]["labels"][LABEL_PAUSED]
    found = pause.of(held)
    assert found is not None
    assert (found[0].candidate, found[0].in_force) == (BAD.hash, False)
    back = json_patched(held, pause.put_back(held, ""))
    assert back["spec"]["progressDeadlineSeconds"] == 300
    assert back["spec"]["strategy"]["rollingUpdate"] == SHARES


def test_the_printed_command_names_the_defaults_where_nobody_knows_better() -> None:
    command = pause.by_hand({"namespace": "shop", "name": "auth"}, {})
    patch = json.loads(shlex.split(command)[-1])
    assert patch["spec"] == {"minReadySeconds": 0, "progressDeadlineSeconds": 600}


def json_patched(document: Object, operations: list[Any]) -> Object:
    """Carry a JSON patch out: tests are left aside, paths have no arrays."""
    after: Object = deepcopy(document)
    for operation in operations:
        if operation["op"] == "test":
            continue
        at: Any = after
        *steps, last = operation["path"].lstrip("/").split("/")
        for step in steps:
            at = at.setdefault(step.replace("~1", "/").replace("~0", "~"), {})
        at[last.replace("~1", "/").replace("~0", "~")] = operation["value"]
    return after
