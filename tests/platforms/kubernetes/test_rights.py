from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from guard.core.errors import PermanentError, TemporaryError
from guard.core.workloads import WorkloadId
from guard.platforms.kubernetes.rights import GOOD_FOR, REVIEWS, Reviews
from tests.platforms.kubernetes.apiserver import ApiServer, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from guard.platforms.kubernetes.api import Api

CART = WorkloadId("kubernetes", "shop", "cart")
AUTH = WorkloadId("kubernetes", "shop", "auth")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Authorizer:
    """Answers reviews, and notes what was asked."""

    def __init__(self, server: ApiServer) -> None:
        self.asked: list[dict[str, str]] = []
        self.forbids: Callable[[dict[str, str]], bool] = lambda _: False
        server.others[REVIEWS] = self.answer

    async def answer(self, request: web.Request) -> web.StreamResponse:
        review: dict[str, Any] = await request.json()
        attributes = review["spec"]["resourceAttributes"]
        self.asked.append(attributes)
        allowed = not self.forbids(attributes)
        return web.json_response({**review, "status": {"allowed": allowed}}, status=201)


@pytest.fixture
def authorizer(server: ApiServer) -> Authorizer:
    return Authorizer(server)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reviews(api: Api, clock: Clock) -> Reviews:
    return Reviews(api, (), "guard", clock)


async def test_with_every_right_nothing_is_missing(
    reviews: Reviews, authorizer: Authorizer
) -> None:
    found = await reviews.rights(CART)

    assert found.may_patch
    assert found.missing == ()
    asked = {f"{one['verb']} {one['resource']}" for one in authorizer.asked}
    assert {
        "get deployments",
        "patch deployments",
        "list deployments",
        "watch deployments",
        "list replicasets",
        "watch replicasets",
        "list pods",
        "watch pods",
        "create events",
        "create secrets",
        "update configmaps",
    } <= asked


async def test_the_right_to_patch_is_asked_for_this_very_deployment(
    reviews: Reviews, authorizer: Authorizer
) -> None:
    authorizer.forbids = lambda one: one["verb"] == "patch" and one["name"] == "cart"

    cart, auth = await reviews.rights(CART), await reviews.rights(AUTH)

    assert (cart.may_patch, cart.missing) == (False, ("patch deployments in shop",))
    assert (auth.may_patch, auth.missing) == (True, ())


async def test_what_is_missing_elsewhere_is_said_and_forbids_no_patch(
    reviews: Reviews, authorizer: Authorizer
) -> None:
    authorizer.forbids = lambda one: one["resource"] in {"pods", "events", "secrets"}

    found = await reviews.rights(CART)

    assert found.may_patch
    assert found.missing[:3] == (
        "list pods in all namespaces",
        "watch pods in all namespaces",
        "create events in shop",
    )
    assert all(one.endswith("secrets in guard") for one in found.missing[3:])


@pytest.mark.parametrize(
    ("verb", "resource", "sees"),
    [("list", "deployments", False), ("watch", "deployments", True), ("list", "pods", True)],
)
async def test_without_the_right_to_list_deployments_nobody_sees_which_there_are(
    reviews: Reviews, authorizer: Authorizer, *, verb: str, resource: str, sees: bool
) -> None:
    authorizer.forbids = lambda one: (one["verb"], one["resource"]) == (verb, resource)

    assert (await reviews.rights(CART)).may_see is sees


async def test_where_single_namespaces_are_watched_rights_are_asked_for_there(
    api: Api, authorizer: Authorizer, clock: Clock
) -> None:
    authorizer.forbids = lambda one: one["verb"] == "watch" and not one["namespace"]

    found = await Reviews(api, ("shop",), "guard", clock).rights(CART)

    assert found.missing == ()


async def test_what_holds_for_a_namespace_is_asked_for_once_a_minute(
    reviews: Reviews, authorizer: Authorizer, clock: Clock
) -> None:
    await reviews.rights(CART)
    every = len(authorizer.asked)
    await reviews.rights(AUTH)
    assert len(authorizer.asked) == every + 2

    clock.now += GOOD_FOR
    await reviews.rights(AUTH)
    assert len(authorizer.asked) == 2 * every + 2


async def test_a_refused_question_is_no_answer(reviews: Reviews, server: ApiServer) -> None:
    server.others[REVIEWS] = refuse(403, "Forbidden")
    with pytest.raises(PermanentError, match=r"asking for rights: Forbidden \(403\)"):
        await reviews.rights(CART)

    server.others[REVIEWS] = refuse(500, "InternalError")
    with pytest.raises(TemporaryError, match="InternalError"):
        await reviews.rights(CART)
