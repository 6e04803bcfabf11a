"""The store on a real cluster, read as a person would: with kubectl."""

from __future__ import annotations

import base64
import gzip
import json
import time
from typing import TYPE_CHECKING

import pytest

from guard.core.errors import PermanentError, TemporaryError
from guard.core.workloads import WorkloadId
from guard.platforms.kubernetes.store import Store
from tests.e2e.command import run
from tests.integration.kubernetes_scene import (
    Guard,
    Team,
    connected,
    container,
    namespace,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from guard.platforms.kubernetes.api import Api

# The client library hands a body over in one piece; a megabyte is written within milliseconds.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")

SHOP = WorkloadId("kubernetes", "team", "shop")
CART = WorkloadId("kubernetes", "team", "cart")
DOCUMENTS = {"memory.json": '{"known_good": null}', "rollout-abc-2.json": '{"phase": "promoted"}'}


@pytest.fixture
async def api(kubeconfig: Path) -> AsyncIterator[Api]:
    async with connected(kubeconfig) as api:
        yield api


@pytest.fixture
async def own() -> AsyncIterator[str]:
    async with namespace() as name:
        yield name


@pytest.fixture
def store(api: Api, own: str) -> Store:
    return Store(api, own, time.time)


async def names(own: str, resource: str, selector: str = "") -> list[str]:
    words = ["kubectl", "-n", own, "get", resource, "-o", "name"]
    labels = f"app.kubernetes.io/managed-by=deployment-guard{selector}"
    return (await run(*words, "-l", labels)).split()


async def test_what_is_saved_is_what_the_next_guard_loads(api: Api, own: str, store: Store) -> None:
    await store.save(SHOP, "u1", DOCUMENTS)
    assert await Store(api, own, time.time).load(SHOP, "u1") == DOCUMENTS


async def test_a_person_reads_a_record_with_kubectl(own: str, store: Store) -> None:
    await store.save(SHOP, "u1", DOCUMENTS)
    of = ",deployment-guard.io/holds=records,deployment-guard.io/workload-namespace=team"
    (name,) = await names(own, "configmap", of)
    path = r"jsonpath={.data.rollout-abc-2\.json}"
    text = await run("kubectl", "-n", own, "get", name, "-o", path)
    assert json.loads(text) == {"phase": "promoted"}
    whose = await run("kubectl", "-n", own, "get", name, "-o", r"jsonpath={.data.workload\.json}")
    bound = json.loads(whose)
    assert time.time() - bound.pop("writtenAt") < 60.0
    assert bound == {
        "platform": "kubernetes",
        "namespace": "team",
        "name": "shop",
        "kind": "Deployment",
        "uid": "u1",
    }


async def test_the_whole_is_replaced_each_time(store: Store) -> None:
    await store.save(SHOP, "u1", DOCUMENTS)
    await store.save(SHOP, "u1", {"memory.json": "{}"})
    assert await store.load(SHOP, "u1") == {"memory.json": "{}"}


async def test_nothing_is_loaded_where_nothing_was_saved(store: Store) -> None:
    assert await store.load(SHOP, "u1") == {}


async def test_a_new_object_under_an_old_name_starts_anew(store: Store) -> None:
    await store.save(SHOP, "u1", DOCUMENTS)
    assert await store.load(SHOP, "u2") == {}
    await store.save(SHOP, "u2", {"memory.json": "{}"})
    assert await store.load(SHOP, "u2") == {"memory.json": "{}"}
    assert await store.load(SHOP, "u1") == {}


async def test_what_people_add_to_the_object_stays_and_disturbs_nothing(
    own: str, store: Store
) -> None:
    await store.save(SHOP, "u1", DOCUMENTS)
    (name,) = await names(own, "configmap")
    await run("kubectl", "-n", own, "label", name, "audit=yes")
    await run("kubectl", "-n", own, "annotate", name, "seen-by=me")
    await store.save(SHOP, "u1", {"memory.json": "{}"})
    metadata = json.loads(await run("kubectl", "-n", own, "get", name, "-o", "json"))["metadata"]
    assert metadata["labels"]["audit"] == "yes"
    assert metadata["annotations"]["seen-by"] == "me"
    assert await store.load(SHOP, "u1") == {"memory.json": "{}"}


async def test_an_object_that_somebody_deleted_is_written_again(own: str, store: Store) -> None:
    await store.save(SHOP, "u1", DOCUMENTS)
    (name,) = await names(own, "configmap")
    await run("kubectl", "-n", own, "delete", name)
    await store.save(SHOP, "u1", DOCUMENTS)
    assert await store.load(SHOP, "u1") == DOCUMENTS


async def test_a_guard_that_comes_after_another_writes_over_what_that_one_left(
    api: Api, own: str, store: Store
) -> None:
    await store.save(SHOP, "u1", DOCUMENTS)
    await Store(api, own, time.time).save(SHOP, "u1", {"memory.json": "{}"})
    await store.save(SHOP, "u1", DOCUMENTS)
    assert await store.load(SHOP, "u1") == DOCUMENTS


async def test_all_that_the_codec_lets_through_fits(store: Store) -> None:
    documents = {f"rollout-{n}.json": '"\\n' * (70_000 // 3) for n in range(10)}
    await store.save(SHOP, "u1", documents)
    assert await store.load(SHOP, "u1") == documents


async def test_what_does_not_fit_is_refused_for_good(store: Store) -> None:
    with pytest.raises(PermanentError, match=r"writing configmaps .*: Invalid \(422\)"):
        await store.save(SHOP, "u1", {"memory.json": "x" * 1_100_000})


async def test_a_namespace_that_is_not_there_is_refused_for_good(api: Api) -> None:
    store = Store(api, "rb-never-made", time.time)
    assert await store.load(SHOP, "u1") == {}
    with pytest.raises(PermanentError, match="namespace rb-never-made: NotFound"):
        await store.save(SHOP, "u1", DOCUMENTS)


# Workloads that are gone.


async def test_what_belongs_to_a_workload_that_is_gone_is_forgotten(own: str, store: Store) -> None:
    await store.save(SHOP, "u1", DOCUMENTS)
    await store.save(CART, "u2", DOCUMENTS)
    await store.forget(SHOP)
    await store.forget(SHOP)
    assert await store.load(SHOP, "u1") == {}
    assert await store.load(CART, "u2") == DOCUMENTS
    assert len(await names(own, "configmap")) == 1


async def test_the_memory_of_the_new_object_under_that_name_is_not_forgotten(store: Store) -> None:
    await store.save(SHOP, "u2", DOCUMENTS)
    await store.forget(SHOP, living="u2")
    assert await store.load(SHOP, "u2") == DOCUMENTS
    await store.forget(SHOP, living="u3")
    assert await store.load(SHOP, "u2") == {}


async def test_the_sweep_removes_what_no_workload_has_any_more(
    api: Api, own: str, store: Store
) -> None:
    many = [WorkloadId("kubernetes", "team", f"gone-{n}") for n in range(12)]
    other = WorkloadId("kubernetes", "other", "shop")
    for workload in (SHOP, other, *many):
        await store.save(workload, "u1", {"memory.json": "{}"})
    await run("kubectl", "-n", own, "create", "configmap", "of-somebody-else")
    assert await store.sweep({SHOP}) == 0
    store = Store(api, own, lambda: time.time() + 61.0)
    assert await store.sweep({SHOP}, namespaces={"team"}) == len(many)
    assert await store.load(other, "u1") == {"memory.json": "{}"}
    assert await store.sweep({SHOP}) == 1
    assert await store.load(SHOP, "u1") == {"memory.json": "{}"}
    assert len(await names(own, "configmap")) == 1
    assert "of-somebody-else" in await run("kubectl", "-n", own, "get", "configmap")


# What is known good.


async def test_a_person_reads_the_known_good_template_with_kubectl(api: Api, own: str) -> None:
    team = Team(api, own)
    guard = Guard(api, team)
    await team.apply(container(TEXT="a && b < é 😀"))
    good = await guard.trust()
    (name,) = await names(own, "secret", ",deployment-guard.io/holds=known-good")
    secret = json.loads(await run("kubectl", "-n", own, "get", name, "-o", "json"))["data"]
    key = f"{good.revision.hash}-1.json.gz"
    document = json.loads(gzip.decompress(base64.b64decode(secret[key])))
    assert document["template"] == await team.template()
    assert "last-applied" in str(document["managedFields"])
    bound = json.loads(base64.b64decode(secret["workload.json"]))
    assert bound["uid"] == (await team.get())["metadata"]["uid"]
    assert bound["kept"][0]["replicaSet"] == good.revision.uid


async def test_the_template_kept_before_stays_until_the_next_one(api: Api, own: str) -> None:
    """The memory that names the new one is written later: a crash in between costs nothing."""
    team = Team(api, own)
    guard = Guard(api, team)
    revisions = []
    for version in ("1", "2", "3", "3"):
        await team.apply(container(VERSION=version))
        revisions.append((await guard.trust()).revision)
    uid = (await team.get())["metadata"]["uid"]
    kept = [await guard.store.known_good.kept(team.id, uid, one) for one in revisions]
    values = [one and one.template["spec"]["containers"][0]["env"][0]["value"] for one in kept]
    assert values == [None, "2", "3", "3"]
    other = await guard.store.known_good.kept(team.id, "another uid", revisions[-1])
    assert other is None


async def test_the_known_good_template_of_a_workload_that_is_gone_goes_too(
    api: Api, own: str
) -> None:
    team = Team(api, own)
    guard = Guard(api, team)
    await team.apply(container(VERSION="1"))
    await guard.trust()
    later = Store(api, own, lambda: time.time() + 61.0)
    assert await later.sweep({team.id}) == 0
    uid = (await team.get())["metadata"]["uid"]
    await guard.store.forget(team.id, living=uid)
    assert len(await names(own, "secret")) == 1
    await guard.store.forget(team.id)
    assert await names(own, "secret") == []
    await guard.trust()
    assert await later.sweep(set()) == 1
    assert await names(own, "secret") == []


async def test_an_api_that_does_not_answer_is_a_temporary_trouble(kubeconfig: Path) -> None:
    async with connected(kubeconfig) as api:
        store = Store(api, "rb-none", time.time)
        api._client.configuration.host = "https://127.0.0.1:9"
        with pytest.raises(TemporaryError, match="cannot be reached"):
            await store.load(SHOP, "u1")
        await store.forget(SHOP)
