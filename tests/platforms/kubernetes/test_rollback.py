"""Rollbacks where the API server is in trouble; what a healthy one does, the real cluster shows."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from guard.core.actions import Intent, KnownGood, OutcomeKind
from guard.core.names import ANNOTATION_INTENT, ANNOTATION_LAST_APPLIED, FIELD_MANAGER
from guard.core.workloads import Revision, Snapshot, WorkloadId
from guard.platforms.kubernetes import sending, templates
from guard.platforms.kubernetes.keeping import Keeping
from guard.platforms.kubernetes.rollback import Rollbacks
from guard.platforms.kubernetes.store import Store
from tests.platforms.kubernetes.acting import DEPLOYMENT, REPLICA_SETS, REVIEWS, ActingServer
from tests.platforms.kubernetes.apiserver import (
    client_of,
    hang_up,
    page_of_html,
    refuse,
    serving,
    status,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from guard.platforms.kubernetes.api import Api
    from tests.platforms.kubernetes.apiserver import Handler, Object

SHOP = WorkloadId("kubernetes", "team", "shop")
TEMPLATE, FIELDS = "/spec/template", "/metadata/managedFields"
NOW = 1_000.0


def template(version: str) -> Object:
    return {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"image": version}]}}


def revision(version: str, number: int) -> Revision:
    content = templates.content(template(version))
    return Revision(f"hash{version}", content, number, f"rs-{version}", 0.0)


GOOD, BAD = revision("1", 1), revision("2", 2)
KNOWN_GOOD = KnownGood(GOOD, 0.0, "promoted")
INTENT = Intent("rollback:shop@hash2#2", SHOP, "u1", BAD, KNOWN_GOOD, NOW, "guard did it")


def deployment(version: str) -> Object:
    return {
        "metadata": {
            "name": "shop",
            "namespace": "team",
            "uid": "u1",
            "generation": 5,
            "annotations": {ANNOTATION_LAST_APPLIED: f'{{"spec": {{"template": "{version}"}}}}'},
            "managedFields": [
                {
                    "manager": "team",
                    "operation": "Apply",
                    "apiVersion": "apps/v1",
                    "fieldsV1": {"f:spec": {"f:template": {f"f:{version}": {}}}},
                },
            ],
        },
        "spec": {"replicas": 3, "template": template(version)},
    }


def replica_sets(*versions: str, **uid: str) -> Handler:
    items = [
        {
            "metadata": {"uid": uid.get("uid", f"rs-{version}")},
            "spec": {"template": template(version)},
        }
        for version in versions
    ]

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"items": items})

    return answer


def without_causes(code: int) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(status(code, "Invalid", details={}), status=code)

    return answer


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "FIRST_PAUSE", 0.0)


@pytest.fixture
async def server() -> AsyncIterator[ActingServer]:
    acting = ActingServer()
    async with serving(acting):
        acting.set(DEPLOYMENT, deployment("1"))
        acting.others[REPLICA_SETS] = replica_sets()
        yield acting


@pytest.fixture
async def api(server: ActingServer) -> AsyncIterator[Api]:
    async with client_of(server.url) as client:
        yield client


@pytest.fixture
async def rollbacks(server: ActingServer, api: Api) -> Rollbacks:
    """The good template is kept, and the bad one is in force."""
    store = Store(api, "own", lambda: NOW)
    snapshot = Snapshot(SHOP, "u1", 5, NOW, GOOD, 3)
    assert await Keeping(api, store).keep(snapshot, KNOWN_GOOD)
    bad = server.set(DEPLOYMENT, deployment("2"))
    # What a real API server notes of the guard's first patch, this small one has from the start.
    bad["metadata"]["managedFields"].append(
        {"manager": FIELD_MANAGER, "operation": "Update", "fieldsV1": {"f:spec": {}}}
    )
    return Rollbacks(api, store, lambda: NOW)


def managers(server: ActingServer) -> list[str]:
    return [e["manager"] for e in server.objects[DEPLOYMENT]["metadata"]["managedFields"]]


def in_force(server: ActingServer) -> str:
    found: str = server.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"][0]["image"]
    return found


async def test_the_template_and_its_fields_go_back_in_two_patches(
    server: ActingServer, rollbacks: Rollbacks
) -> None:
    outcome = await rollbacks.rollback(INTENT)
    assert (outcome.kind, outcome.at, outcome.detail) == (
        OutcomeKind.PATCHED,
        NOW,
        "hash1 put back",
    )
    assert in_force(server) == "1"
    assert len(server.writes("PATCH")) == 2
    (team,) = server.objects[DEPLOYMENT]["metadata"]["managedFields"]
    assert team["fieldsV1"] == {"f:spec": {"f:template": {"f:1": {}}}}


TROUBLES = {
    "no answer": hang_up,
    "an overload": refuse(429, "TooManyRequests"),
    "an API server without its store": refuse(500, "InternalError"),
    "an API server that starts": refuse(503, "ServiceUnavailable"),
    "a load balancer's page": page_of_html(502),
    "a token that is being renewed": refuse(401, "Unauthorized"),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=list(TROUBLES))
@pytest.mark.parametrize(
    ("method", "part"),
    [
        ("GET", "/secrets/"),
        ("GET", DEPLOYMENT),
        ("PATCH", TEMPLATE),
        ("PATCH", FIELDS),
    ],
    ids=["reading what is kept", "reading the Deployment", "the first patch", "the second patch"],
)
async def test_what_is_not_answered_is_tried_again_later_and_then_done(
    server: ActingServer, rollbacks: Rollbacks, method: str, part: str, trouble: Handler
) -> None:
    # Twice, since the client repeats a GET on a new connection by itself.
    server.spoil(method, part, trouble, trouble)
    outcome = await rollbacks.rollback(INTENT)
    assert outcome.kind is OutcomeKind.UNAVAILABLE
    assert outcome.detail
    server.spoiled.clear()
    again = await rollbacks.rollback(INTENT)
    first_done = part is FIELDS
    assert again.kind is (OutcomeKind.ALREADY if first_done else OutcomeKind.PATCHED)
    assert again.by_guard is first_done
    assert (in_force(server), managers(server)) == ("1", ["team"])


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=list(TROUBLES))
@pytest.mark.parametrize("part", ["/secrets/", DEPLOYMENT, TEMPLATE])
async def test_what_is_not_answered_could_not_be_rehearsed(
    server: ActingServer, rollbacks: Rollbacks, part: str, trouble: Handler
) -> None:
    server.spoil("PATCH" if part is TEMPLATE else "GET", part, trouble, trouble)
    rehearsal = await rollbacks.rehearse(INTENT)
    assert rehearsal.possible is None
    assert rehearsal.detail.startswith("could not be rehearsed: ")
    assert in_force(server) == "2"


async def test_a_webhook_that_refuses_is_for_good(
    server: ActingServer, rollbacks: Rollbacks
) -> None:
    server.spoil("PATCH", TEMPLATE, refuse(400, "BadRequest"), refuse(400, "BadRequest"))
    rehearsal = await rollbacks.rehearse(INTENT)
    assert rehearsal.possible is False
    assert rehearsal.detail == (
        "rollback to hash1 would be refused: the API server refused: BadRequest (400)"
    )
    outcome = await rollbacks.rollback(INTENT)
    assert (outcome.kind, outcome.detail) == (
        OutcomeKind.REFUSED,
        "the API server refused: BadRequest (400)",
    )


@pytest.mark.parametrize(
    ("review", "words", "possible"),
    [
        ({"allowed": False}, "the guard lacks the right to patch deployments in team", None),
        ({"allowed": True}, "the API server refused: Forbidden (403)", False),
    ],
    ids=["no right", "an admission that forbids"],
)
async def test_a_403_is_told_apart_by_asking_what_the_guard_may_do(
    server: ActingServer,
    rollbacks: Rollbacks,
    review: Object,
    words: str,
    possible: object,
) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"status": review}, status=201)

    server.others[REVIEWS] = answer
    server.spoil("PATCH", TEMPLATE, refuse(403, "Forbidden"), refuse(403, "Forbidden"))
    rehearsal = await rollbacks.rehearse(INTENT)
    assert rehearsal.possible is possible
    assert rehearsal.detail.endswith(words)
    outcome = await rollbacks.rollback(INTENT)
    assert (outcome.kind, outcome.detail) == (OutcomeKind.REFUSED, words)


async def test_a_deployment_that_may_not_be_read_is_refused(
    server: ActingServer, rollbacks: Rollbacks
) -> None:
    server.spoil("GET", DEPLOYMENT, refuse(403, "Forbidden"), refuse(403, "Forbidden"))
    assert (await rollbacks.rehearse(INTENT)).possible is False
    outcome = await rollbacks.rollback(INTENT)
    assert (outcome.kind, outcome.detail) == (
        OutcomeKind.REFUSED,
        "reading kubernetes/team/shop: Forbidden (403)",
    )


async def test_a_kept_template_that_was_damaged_is_refused(
    server: ActingServer, rollbacks: Rollbacks
) -> None:
    (secret,) = (o for path, o in server.objects.items() if "/secrets/" in path)
    secret["data"]["hash1-1.json.gz"] = "AAAA"
    outcome = await rollbacks.rollback(INTENT)
    assert (outcome.kind, outcome.detail) == (
        OutcomeKind.REFUSED,
        "the kept template is damaged",
    )


@pytest.mark.parametrize("version", ["1", "2", "3"])
async def test_only_the_candidate_is_ever_patched(
    server: ActingServer, rollbacks: Rollbacks, version: str
) -> None:
    server.set(DEPLOYMENT, deployment(version))
    outcome = await rollbacks.rollback(INTENT)
    kinds = {"1": OutcomeKind.ALREADY, "2": OutcomeKind.PATCHED, "3": OutcomeKind.SUPERSEDED}
    assert (outcome.kind, outcome.by_guard) == (kinds[version], False)
    assert bool(server.writes("PATCH")) == (version == "2")


async def test_a_person_who_paused_the_deployment_has_it(
    server: ActingServer, rollbacks: Rollbacks
) -> None:
    server.objects[DEPLOYMENT]["spec"]["paused"] = True
    assert (await rollbacks.rehearse(INTENT)).possible is False
    outcome = await rollbacks.rollback(INTENT)
    assert outcome.kind is OutcomeKind.REFUSED
    assert server.writes("PATCH") == []


async def test_without_a_kept_template_there_is_nothing_to_put_back(
    server: ActingServer, rollbacks: Rollbacks
) -> None:
    (path,) = (path for path in server.objects if "/secrets/" in path)
    del server.objects[path]
    assert (await rollbacks.rehearse(INTENT)).possible is False
    outcome = await rollbacks.rollback(INTENT)
    assert outcome.kind is OutcomeKind.REFUSED
    assert outcome.detail == "nothing is kept of hash1, so there is nothing to put back"
    server.set(DEPLOYMENT, deployment("1"))
    assert (await rollbacks.rollback(INTENT)).kind is OutcomeKind.ALREADY


async def test_a_deployment_that_is_gone_or_made_anew_is_another_one(
    server: ActingServer, rollbacks: Rollbacks
) -> None:
    server.objects[DEPLOYMENT]["metadata"]["uid"] = "u2"
    assert (await rollbacks.rollback(INTENT)).kind is OutcomeKind.SUPERSEDED
    del server.objects[DEPLOYMENT]
    assert (await rollbacks.rollback(INTENT)).kind is OutcomeKind.SUPERSEDED
    assert (await rollbacks.rehearse(INTENT)).possible is None


@pytest.mark.parametrize("part", [TEMPLATE, FIELDS], ids=["first", "second"])
async def test_a_deployment_that_is_deleted_while_it_is_patched_is_gone(
    server: ActingServer, rollbacks: Rollbacks, part: str
) -> None:
    server.before("PATCH", part, lambda: server.objects.pop(DEPLOYMENT))
    outcome = await rollbacks.rollback(INTENT)
    gone = part is TEMPLATE
    assert outcome.kind is (OutcomeKind.SUPERSEDED if gone else OutcomeKind.PATCHED)


async def test_only_what_is_in_force_is_kept(server: ActingServer, api: Api) -> None:
    keeping = Keeping(api, Store(api, "own", lambda: NOW))
    snapshot = Snapshot(SHOP, "u1", 5, NOW, GOOD, 3)
    server.set(DEPLOYMENT, deployment("2"))
    assert not await keeping.keep(snapshot, KNOWN_GOOD)
    del server.objects[DEPLOYMENT]
    assert not await keeping.keep(snapshot, KNOWN_GOOD)
    assert server.writes("POST") == []


# Preconditions.


def scale(server: ActingServer) -> None:
    changed = copy.deepcopy(server.objects[DEPLOYMENT])
    changed["spec"]["replicas"] += 1
    changed["metadata"]["generation"] += 1
    server.set(DEPLOYMENT, changed)


def touch(server: ActingServer) -> None:
    """As the controller does with each status."""
    server.set(DEPLOYMENT, copy.deepcopy(server.objects[DEPLOYMENT]))


async def test_a_deployment_that_always_changes_is_tried_twenty_times(
    server: ActingServer, rollbacks: Rollbacks
) -> None:
    for _ in range(sending.TRIES):
        server.before("PATCH", TEMPLATE, lambda: scale(server))
    outcome = await rollbacks.rollback(INTENT)
    assert outcome.kind is OutcomeKind.UNAVAILABLE
    assert outcome.detail == "the Deployment changed 20 times in a row while it was patched"
    assert len(server.writes("PATCH", TEMPLATE)) == 20
    again = await rollbacks.rollback(INTENT)
    assert again.kind is OutcomeKind.PATCHED
    assert server.objects[DEPLOYMENT]["spec"]["replicas"] == 23


async def test_fields_that_cannot_be_given_back_at_once_are_given_back_later(
    server: ActingServer, rollbacks: Rollbacks
) -> None:
    for _ in range(sending.TRIES):
        server.before("PATCH", FIELDS, lambda: touch(server))
    outcome = await rollbacks.rollback(INTENT)
    assert outcome.kind is OutcomeKind.UNAVAILABLE
    assert outcome.detail.startswith("the template is put back, its fields are not yet back")
    assert in_force(server) == "1"
    again = await rollbacks.rollback(INTENT)
    assert (again.kind, again.by_guard) == (OutcomeKind.ALREADY, True)
    assert managers(server) == ["team"]


async def test_a_conflict_inside_the_api_server_is_tried_again(
    server: ActingServer, rollbacks: Rollbacks
) -> None:
    server.spoil("PATCH", TEMPLATE, refuse(409, "Conflict"), refuse(409, "Conflict"))
    outcome = await rollbacks.rollback(INTENT)
    assert (outcome.kind, outcome.detail) == (OutcomeKind.PATCHED, "hash1 put back at attempt 3")


async def test_a_refusal_that_looks_like_a_precondition_is_not_tried_for_ever(
    server: ActingServer, rollbacks: Rollbacks
) -> None:
    server.spoil("PATCH", TEMPLATE, *[without_causes(422)] * 3)
    outcome = await rollbacks.rollback(INTENT)
    assert (outcome.kind, outcome.detail) == (
        OutcomeKind.REFUSED,
        "the API server refused without naming a reason",
    )
    assert len(server.writes("PATCH")) == 1


@pytest.mark.parametrize("code", [403, 400])
async def test_a_refused_second_patch_does_not_hide_that_the_first_was_done(
    server: ActingServer, rollbacks: Rollbacks, code: int
) -> None:
    server.spoil("PATCH", FIELDS, refuse(code, "Denied"))
    outcome = await rollbacks.rollback(INTENT)
    assert outcome.kind is OutcomeKind.PATCHED
    assert f"could not be given back to their managers (Denied ({code}))" in outcome.detail


async def test_a_deployment_that_may_no_longer_be_read_was_patched_all_the_same(
    server: ActingServer, rollbacks: Rollbacks
) -> None:
    def lose_the_right() -> None:
        touch(server)
        server.spoil("GET", DEPLOYMENT, refuse(403, "Forbidden"))

    server.before("PATCH", FIELDS, lose_the_right)
    outcome = await rollbacks.rollback(INTENT)
    assert outcome.kind is OutcomeKind.PATCHED
    assert "(reading kubernetes/team/shop: Forbidden (403))" in outcome.detail


# Whose template is in force.


@pytest.mark.parametrize(
    ("listed", "kind"),
    [
        (replica_sets("2"), OutcomeKind.PATCHED),
        (replica_sets("2", uid="rs-1"), OutcomeKind.ALREADY),
        (replica_sets("3"), OutcomeKind.SUPERSEDED),
        (refuse(403, "Forbidden"), OutcomeKind.SUPERSEDED),
        (refuse(503, "ServiceUnavailable"), OutcomeKind.UNAVAILABLE),
    ],
    ids=["the candidate's", "the known-good one's", "neither's", "may not ask", "no answer"],
)
async def test_a_template_of_another_hash_is_looked_up_in_the_replica_sets(
    server: ActingServer, rollbacks: Rollbacks, listed: Handler, kind: OutcomeKind
) -> None:
    server.others[REPLICA_SETS] = listed
    older = replace(INTENT, candidate=replace(BAD, content="hashed by another server"))
    assert (await rollbacks.rollback(older)).kind is kind


async def test_a_mutating_admission_does_not_hide_that_the_intent_was_carried_out(
    server: ActingServer, rollbacks: Rollbacks
) -> None:
    """What it made of the kept template is neither the good one nor the candidate."""
    assert (await rollbacks.rollback(INTENT)).kind is OutcomeKind.PATCHED
    changed: Any = copy.deepcopy(server.objects[DEPLOYMENT])
    changed["spec"]["template"]["spec"]["containers"].append({"image": "sidecar"})
    server.set(DEPLOYMENT, changed)
    outcome = await rollbacks.rollback(INTENT)
    assert (outcome.kind, outcome.by_guard) == (OutcomeKind.ALREADY, True)
    assert "another template came after it" in outcome.detail


async def test_the_mark_is_of_this_object_alone(server: ActingServer, rollbacks: Rollbacks) -> None:
    """A manifest that was saved with its annotations and applied to a new object carries it."""
    old = server.objects[DEPLOYMENT]
    old["metadata"]["annotations"][ANNOTATION_INTENT] = f"{INTENT.id} another-uid"
    assert (await rollbacks.rollback(INTENT)).kind is OutcomeKind.PATCHED
