"""The store where the API server is in trouble, or others write to its objects."""

from __future__ import annotations

import base64
import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from guard.core.errors import PermanentError, TemporaryError
from guard.core.workloads import Revision, WorkloadId
from guard.platforms.kubernetes import known_good
from guard.platforms.kubernetes.kept import Kept
from guard.platforms.kubernetes.store import Store
from tests.platforms.kubernetes.acting import CONFIG_MAPS, SECRETS, ActingServer
from tests.platforms.kubernetes.apiserver import (
    client_of,
    hang_up,
    page_of_html,
    refuse,
    serving,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from guard.platforms.kubernetes.api import Api
    from tests.platforms.kubernetes.apiserver import Handler

SHOP = WorkloadId("kubernetes", "team", "shop")
DOCUMENTS = {"memory.json": "{}", "rollout-abc-2.json": "{}"}
NOW = 1_000.0
TROUBLES = {
    "no answer": hang_up,
    "an overload": refuse(429, "TooManyRequests"),
    "an API server without its store": refuse(500, "InternalError"),
    "a load balancer's page": page_of_html(503),
    "a token that is being renewed": refuse(401, "Unauthorized"),
}


@pytest.fixture
async def server() -> AsyncIterator[ActingServer]:
    async with serving(ActingServer()) as running:
        assert isinstance(running, ActingServer)
        yield running


@pytest.fixture
async def api(server: ActingServer) -> AsyncIterator[Api]:
    async with client_of(server.url) as client:
        yield client


@pytest.fixture
def store(api: Api) -> Store:
    return Store(api, "own", lambda: NOW)


def revision(name: str) -> Revision:
    return Revision(name, name, 1, f"rs-{name}", 0.0)


def object_in(server: ActingServer, collection: str) -> dict[str, Any]:
    (found,) = (o for path, o in server.objects.items() if path.startswith(f"{collection}/"))
    return found


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=list(TROUBLES))
async def test_what_is_not_answered_is_temporary(
    server: ActingServer, store: Store, trouble: Handler
) -> None:
    # Twice, since the client repeats what is idempotent on a new connection by itself.
    for method in ("POST", "PUT"):
        server.spoil(method, CONFIG_MAPS, trouble, trouble)
        with pytest.raises(TemporaryError):
            await store.save(SHOP, "u1", DOCUMENTS)
        server.spoiled.clear()
        await store.save(SHOP, "u1", DOCUMENTS)
    server.spoil("GET", CONFIG_MAPS, trouble, trouble)
    with pytest.raises(TemporaryError):
        await store.load(SHOP, "u1")
    server.spoiled.clear()
    assert await store.load(SHOP, "u1") == DOCUMENTS


async def test_a_refusal_to_write_is_for_good_and_one_to_read_is_waited_out(
    server: ActingServer, store: Store
) -> None:
    """A guard that cannot read its memory must not begin without it."""
    server.spoil("POST", CONFIG_MAPS, refuse(413, "RequestEntityTooLarge"))
    with pytest.raises(PermanentError, match=r"RequestEntityTooLarge \(413\)"):
        await store.save(SHOP, "u1", DOCUMENTS)
    server.spoil("GET", CONFIG_MAPS, refuse(403, "Forbidden"))
    with pytest.raises(TemporaryError, match="reading configmaps in namespace own: Forbidden"):
        await store.load(SHOP, "u1")


async def test_in_the_steady_state_a_save_is_one_call(server: ActingServer, store: Store) -> None:
    await store.load(SHOP, "u1")
    await store.save(SHOP, "u1", DOCUMENTS)
    before = len(server.requests) + len(server.written)
    for _ in range(3):
        await store.save(SHOP, "u1", DOCUMENTS)
    assert len(server.requests) + len(server.written) == before + 3


async def test_an_object_that_others_always_change_is_given_up_for_now(
    server: ActingServer, store: Store
) -> None:
    await store.save(SHOP, "u1", DOCUMENTS)
    (path,) = server.objects

    def change() -> None:
        server.set(path, copy.deepcopy(server.objects[path]))

    for _ in range(5):
        server.before("PUT", CONFIG_MAPS, change)
    with pytest.raises(TemporaryError, match="changed 5 times"):
        await store.save(SHOP, "u1", DOCUMENTS)
    await store.save(SHOP, "u1", DOCUMENTS)


async def test_what_a_person_made_of_the_object_belongs_to_nobody(
    server: ActingServer, store: Store
) -> None:
    await store.save(SHOP, "u1", DOCUMENTS)
    for text in ("no JSON", "[]", '{"uid": "another"}'):
        object_in(server, CONFIG_MAPS)["data"]["workload.json"] = text
        assert await store.load(SHOP, "u1") == {}
    del object_in(server, CONFIG_MAPS)["data"]
    assert await store.load(SHOP, "u1") == {}
    await store.save(SHOP, "u1", DOCUMENTS)
    assert await store.load(SHOP, "u1") == DOCUMENTS


# Forgetting and sweeping.


async def test_what_cannot_be_forgotten_stays_for_the_sweep(
    server: ActingServer, api: Api, store: Store
) -> None:
    await store.save(SHOP, "u1", DOCUMENTS)
    server.spoil("DELETE", CONFIG_MAPS, refuse(503, "ServiceUnavailable"))
    await store.forget(SHOP)
    assert await store.load(SHOP, "u1") == DOCUMENTS
    assert await Store(api, "own", lambda: NOW + 61.0).sweep(set()) == 1
    assert await store.load(SHOP, "u1") == {}


async def test_an_object_that_is_written_while_it_is_swept_stays(
    server: ActingServer, api: Api, store: Store
) -> None:
    await store.save(SHOP, "u1", DOCUMENTS)
    server.spoil("DELETE", CONFIG_MAPS, refuse(409, "Conflict"))
    later = Store(api, "own", lambda: NOW + 61.0)
    assert await later.sweep(set()) == 0
    (delete,) = server.writes("DELETE")
    version = object_in(server, CONFIG_MAPS)["metadata"]["resourceVersion"]
    assert delete.body == {"preconditions": {"resourceVersion": version}}


async def test_what_was_written_just_now_is_not_swept(store: Store) -> None:
    await store.save(SHOP, "u1", DOCUMENTS)
    assert await store.sweep(set()) == 0


async def test_a_refused_list_is_said(server: ActingServer, store: Store) -> None:
    server.spoil("GET", CONFIG_MAPS, refuse(403, "Forbidden"))
    with pytest.raises(PermanentError, match="listing configmaps in namespace own"):
        await store.sweep(set())


# What is known good.


async def test_a_template_too_large_for_a_secret_is_refused_by_its_size(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_good, "SECRET_AT_MOST", 200)
    with pytest.raises(PermanentError, match=r"too large to keep: \d+ bytes gzipped"):
        await store.known_good.keep(SHOP, "u1", revision("a"), Kept({"a": list(range(999))}))


async def test_the_one_before_goes_where_both_do_not_fit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.known_good.keep(SHOP, "u1", revision("a"), Kept({"a": 1}))
    monkeypatch.setattr(known_good, "SECRET_AT_MOST", 100)
    await store.known_good.keep(SHOP, "u1", revision("b"), Kept({"b": 1}))
    assert await store.known_good.kept(SHOP, "u1", revision("a")) is None
    assert await store.known_good.kept(SHOP, "u1", revision("b")) == Kept({"b": 1})


async def test_what_was_kept_of_an_older_object_goes_with_the_next(store: Store) -> None:
    await store.known_good.keep(SHOP, "u1", revision("a"), Kept({"a": 1}))
    await store.known_good.keep(SHOP, "u2", revision("b"), Kept({"b": 1}))
    assert await store.known_good.kept(SHOP, "u1", revision("a")) is None
    assert await store.known_good.kept(SHOP, "u2", revision("a")) is None
    assert await store.known_good.kept(SHOP, "u2", revision("b")) == Kept({"b": 1})


async def test_a_secret_that_a_person_damaged_keeps_nothing(
    server: ActingServer, store: Store
) -> None:
    await store.known_good.keep(SHOP, "u1", revision("a"), Kept({"a": 1}))
    for text in ("not base64!", "/w==", base64.b64encode(b"[]").decode(), ""):
        object_in(server, SECRETS)["data"]["workload.json"] = text
        assert await store.known_good.kept(SHOP, "u1", revision("a")) is None
    del object_in(server, SECRETS)["data"]
    assert await store.known_good.kept(SHOP, "u1", revision("a")) is None


async def test_an_entry_whose_data_a_person_removed_is_not_kept(
    server: ActingServer, store: Store
) -> None:
    await store.known_good.keep(SHOP, "u1", revision("a"), Kept({"a": 1}))
    del object_in(server, SECRETS)["data"]["a-1.json.gz"]
    assert await store.known_good.kept(SHOP, "u1", revision("a")) is None
    bound = json.loads(base64.b64decode(object_in(server, SECRETS)["data"]["workload.json"]))
    assert bound["kept"] == [{"key": "a-1.json.gz", "replicaSet": "rs-a", "hash": "a"}]


async def test_data_that_is_no_base64_is_damaged(server: ActingServer, store: Store) -> None:
    await store.known_good.keep(SHOP, "u1", revision("a"), Kept({"a": 1}))
    object_in(server, SECRETS)["data"]["a-1.json.gz"] = "x"
    with pytest.raises(PermanentError, match="damaged"):
        await store.known_good.kept(SHOP, "u1", revision("a"))
