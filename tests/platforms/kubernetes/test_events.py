"""Creating Events, where the API server is in trouble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from guard.core.errors import PermanentError, TemporaryError
from guard.platforms.kubernetes.events import post_event
from tests.platforms.kubernetes.acting import DEPLOYMENT, EVENTS, ActingServer
from tests.platforms.kubernetes.apiserver import client_of, hang_up, refuse, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from guard.platforms.kubernetes.api import Api
    from tests.platforms.kubernetes.apiserver import Handler

INVOLVED = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "team", "name": "shop"}


@pytest.fixture
async def server() -> AsyncIterator[ActingServer]:
    acting = ActingServer()
    async with serving(acting):
        acting.set(DEPLOYMENT, {"metadata": {"uid": "u1"}})
        yield acting


@pytest.fixture
async def api(server: ActingServer) -> AsyncIterator[Api]:
    async with client_of(server.url) as client:
        yield client


def body(**involved: str) -> dict[str, Any]:
    return {"metadata": {"name": "shop.1"}, "involvedObject": {**INVOLVED, **involved}}


def involved(server: ActingServer) -> dict[str, Any]:
    found: dict[str, Any] = server.objects[f"{EVENTS}/shop.1"]["involvedObject"]
    return found


async def test_the_event_names_the_very_object(server: ActingServer, api: Api) -> None:
    await post_event(api, "team", body())
    assert involved(server)["uid"] == "u1"


async def test_a_uid_that_is_known_is_not_asked_for(server: ActingServer, api: Api) -> None:
    await post_event(api, "team", body(uid="u7"))
    assert involved(server)["uid"] == "u7"


@pytest.mark.parametrize("trouble", [refuse(404, "NotFound"), refuse(403, "Forbidden")])
async def test_an_object_that_cannot_be_read_is_named_without_its_uid(
    server: ActingServer, api: Api, trouble: Handler
) -> None:
    server.spoil("GET", DEPLOYMENT, trouble)
    await post_event(api, "team", body())
    assert "uid" not in involved(server)


async def test_what_is_no_workload_of_apps_is_not_looked_up(server: ActingServer, api: Api) -> None:
    await post_event(api, "team", body(apiVersion="v1", kind="Pod"))
    assert "uid" not in involved(server)


async def test_an_event_that_is_there_already_is_told(server: ActingServer, api: Api) -> None:
    await post_event(api, "team", body())
    await post_event(api, "team", body())
    assert len(server.writes("POST")) == 2


@pytest.mark.parametrize(
    "trouble",
    [hang_up, refuse(429, "TooManyRequests"), refuse(500, "InternalError"), refuse(401, "No")],
    ids=["no answer", "an overload", "a fault", "a token that is being renewed"],
)
@pytest.mark.parametrize(("method", "path"), [("POST", EVENTS), ("GET", DEPLOYMENT)])
async def test_what_is_not_answered_is_temporary(
    server: ActingServer, api: Api, method: str, path: str, trouble: Handler
) -> None:
    server.spoil(method, path, trouble, trouble)
    with pytest.raises(TemporaryError):
        await post_event(api, "team", body())


@pytest.mark.parametrize(("code", "reason"), [(403, "Forbidden"), (404, "NotFound")])
async def test_a_refusal_is_for_good(
    server: ActingServer, api: Api, code: int, reason: str
) -> None:
    server.spoil("POST", EVENTS, refuse(code, reason))
    with pytest.raises(PermanentError, match=f"in namespace team: {reason}"):
        await post_event(api, "team", body())
