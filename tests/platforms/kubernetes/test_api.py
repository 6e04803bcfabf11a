from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from guard.core.errors import TemporaryError
from guard.platforms.kubernetes import api as module
from guard.platforms.kubernetes.api import Answer, Api, safe_reason
from tests.platforms.kubernetes.apiserver import (
    ApiServer,
    client_of,
    hang_up,
    lines,
    page_of_html,
    refuse,
    status,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PODS = "/api/v1/pods"
SECRET = "s3cret"


async def test_an_answer_is_its_status_and_its_parsed_body(server: ApiServer, api: Api) -> None:
    await server.put(PODS, {"metadata": {"uid": "u", "name": "a"}})

    answer = await api.call("GET", PODS, params={"limit": "5", "labelSelector": "a in (b,c)"})

    assert answer.ok
    assert answer.document["items"][0]["metadata"]["name"] == "a"
    assert server.requests[0].query == {"limit": "5", "labelSelector": "a in (b,c)"}
    assert server.requests[0].headers["Authorization"] == f"Bearer {SECRET}"
    assert server.requests[0].headers["Accept"] == "application/json"


@pytest.mark.parametrize("code", [201, 401, 403, 404, 409, 410, 422, 429, 500, 503])
async def test_every_status_of_an_api_server_comes_back(
    server: ApiServer, api: Api, code: int
) -> None:
    server.fault(PODS, refuse(code, "Reason"))

    answer = await api.call("GET", PODS)

    assert answer.status == code
    assert answer.ok == (code < 400)
    assert answer.document["reason"] == "Reason"


async def test_a_body_is_sent_as_json_of_the_type_asked_for(server: ApiServer, api: Api) -> None:
    got: list[tuple[str, str, Any]] = []

    async def take(request: web.Request) -> web.StreamResponse:
        got.append((request.method, request.content_type, await request.json()))
        return web.json_response({})

    server.fault(PODS, take, take, take)

    patch = [{"op": "test", "path": "/metadata/uid", "value": "é & <"}]
    await api.call("PATCH", PODS, body=patch, content_type="application/json-patch+json")
    await api.call("PATCH", PODS, body={}, content_type="application/merge-patch+json")
    await api.call("POST", PODS, body={"a": None})

    assert got == [
        ("PATCH", "application/json-patch+json", patch),
        ("PATCH", "application/merge-patch+json", {}),
        ("POST", "application/json", {"a": None}),
    ]


async def test_the_texts_of_warnings_come_with_the_answer(server: ApiServer, api: Api) -> None:
    server.fault(PODS, refuse(200, "", Warning='299 - "unknown field \\"spec.replica\\""'))
    server.fault(PODS, refuse(200, "", Warning='299 - "one", 299 - "two"'))

    assert (await api.call("GET", PODS)).warnings == ('unknown field "spec.replica"',)
    assert (await api.call("GET", PODS)).warnings == ("one", "two")


@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None)])
async def test_a_server_says_after_how_many_seconds_to_come_again(
    server: ApiServer, api: Api, said: str, seconds: float | None
) -> None:
    server.fault(PODS, refuse(429, "TooManyRequests", **{"Retry-After": said}))

    assert (await api.call("GET", PODS)).retry_after == seconds


async def test_a_refusal_in_plain_text_keeps_its_status(server: ApiServer, api: Api) -> None:
    server.fault(PODS, page_of_html(429))

    answer = await api.call("GET", PODS)

    assert (answer.status, answer.document) == (429, None)
    assert safe_reason(answer) == "refused (429)"


@pytest.mark.parametrize("code", [200, 302, 502, 503])
async def test_a_page_that_no_api_server_wrote_is_no_answer(
    server: ApiServer, api: Api, code: int
) -> None:
    server.fault(PODS, page_of_html(code))

    with pytest.raises(TemporaryError, match=f"status {code} without JSON"):
        await api.call("GET", PODS)


# No answer at all.


async def test_an_answer_that_does_not_come_in_time_is_none(server: ApiServer, api: Api) -> None:
    server.fault(PODS, lines(b"{", silent=5.0))

    with pytest.raises(TemporaryError, match=r"did not answer within 0\.05 s"):
        await api.call("GET", PODS, timeout=0.05)


async def test_a_connection_that_breaks_is_no_answer(server: ApiServer, api: Api) -> None:
    server.fault(PODS, hang_up, hang_up, hang_up)

    with pytest.raises(TemporaryError, match="the connection to the API server broke"):
        await api.call("POST", PODS, body={})


async def test_a_closed_port_is_no_answer() -> None:
    async with client_of("http://127.0.0.1:1") as api:
        with pytest.raises(TemporaryError, match="cannot be reached: Connect"):
            await api.call("GET", PODS)


async def test_a_name_that_does_not_resolve_is_no_answer() -> None:
    async with client_of("http://api.invalid") as api:
        with pytest.raises(TemporaryError, match="name cannot be resolved"):
            await api.read(PODS)


async def test_tls_that_fails_is_no_answer(server: ApiServer) -> None:
    async with client_of(server.url.replace("http:", "https:")) as api:
        with pytest.raises(TemporaryError, match="TLS with the API server failed"):
            await api.call("GET", PODS)


async def test_closing_twice_is_fine(server: ApiServer) -> None:
    async with client_of(server.url) as api:
        await server.put(PODS, {"metadata": {"uid": "u"}})
        await api.call("GET", PODS)
        await api.close()


# Watches.


async def taken(stream: AsyncIterator[bytes]) -> list[bytes]:
    return [line async for line in stream]


async def test_a_line_is_whole_however_it_was_cut(server: ApiServer, api: Api) -> None:
    server.fault(PODS, lines(b'{"a":', b"1}\n{", b"}\n\n", b'"b"\n'))

    async with api.stream(PODS, idle=5.0) as stream:
        assert stream.status == 200
        assert await taken(stream.lines()) == [b'{"a":1}', b"{}", b'"b"']


async def test_a_refused_watch_says_why(server: ApiServer, api: Api) -> None:
    server.fault(PODS, refuse(410, "Expired"))

    async with api.stream(PODS, idle=5.0) as stream:
        answer = (await stream.raw()).parsed()

    assert safe_reason(answer) == "Expired (410)"


async def test_a_silent_watch_counts_as_broken(server: ApiServer, api: Api) -> None:
    server.fault(PODS, lines(b"{}\n", silent=5.0))

    async with api.stream(PODS, idle=0.05) as stream:
        found = stream.lines()
        assert await anext(found) == b"{}"
        with pytest.raises(TemporaryError, match=r"within 0\.05 s"):
            await anext(found)


async def test_a_watch_that_does_not_even_begin_counts_as_broken(
    server: ApiServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPEN_WITHIN", 0.05)

    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5.0)
        return web.Response()

    server.fault(PODS, never)

    with pytest.raises(TemporaryError, match=r"within 0\.05 s"):
        async with api.stream(PODS, idle=60.0):
            pytest.fail("it began")


async def test_a_line_without_end_is_given_up(
    server: ApiServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINE_AT_MOST", 100)
    server.fault(PODS, lines(b"x" * 101))

    async with api.stream(PODS, idle=5.0) as stream:
        with pytest.raises(TemporaryError, match="has no end"):
            await taken(stream.lines())


async def test_a_watch_asks_the_kernel_to_look_after_its_connection(
    server: ApiServer, api: Api
) -> None:
    server.fault(PODS, lines(b"{}\n", silent=5.0))

    async with api.stream(PODS, idle=5.0) as stream:
        connection = stream._response.connection
        assert connection is not None
        assert connection.transport is not None
        raw = connection.transport.get_extra_info("socket")
        options = [raw.getsockopt(6, option) for option, _ in module.KEEPALIVE]

    assert options == [value for _, value in module.KEEPALIVE]


# What is told of a refusal.


def test_a_refusal_names_its_reason_and_its_fields() -> None:
    causes = [{"field": "spec.template.spec.containers[0].image", "message": SECRET}]
    document = status(422, "Invalid", message=SECRET, details={"causes": causes})

    said = safe_reason(Answer(422, document))

    assert said == "Invalid (422): spec.template.spec.containers[0].image"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.just(f"no {SECRET} here"),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["reason", "message", "details", "causes", "field", "x"]), inner
            )
        ),
    )
)
def test_nothing_else_of_an_answer_is_ever_told(document: Any) -> None:
    answer = Answer(422, document)

    assert SECRET not in safe_reason(answer)
    assert SECRET not in repr(answer)


async def test_no_error_holds_the_token_or_a_body(server: ApiServer, api: Api) -> None:
    body = json.dumps({"env": SECRET}).encode()
    server.fault(PODS, lines(body[:-1]), page_of_html(503), hang_up, hang_up)
    told = []
    for _ in range(3):
        with pytest.raises(TemporaryError) as raised:
            await api.call("GET", PODS)
        told.append(f"{raised.value!r} {raised.value.__cause__!r}")

    assert SECRET not in "".join(told)
    assert "html" not in "".join(told)
