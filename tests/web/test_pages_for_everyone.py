"""The pages are safe for whoever reads them, and whole for whoever cannot see them."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from guard.core.actions import OutcomeKind
from guard.core.findings import Verdict
from guard.core.states import Hold, Phase
from guard.core.workloads import Mode
from guard.web.assets import ASSETS
from tests.web.conftest import (
    NOW,
    a_night,
    held,
    intended,
    progressing,
    promoted,
    ratio,
    record,
    rehearsed,
    revision,
    rollback_failed,
    stated,
    told,
)
from tests.web.markup import Page, path_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web
    from pytest_aiohttp import AiohttpClient

    from guard.core.records import Record
    from guard.engine.board import Board

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>{{ 7*7 }}"


def hostile() -> Record:
    """Hostile words in every field that anyone outside the guard can fill."""
    bad = revision(f"h{HOSTILE}", 3, f"registry/{HOSTILE}:1", HOSTILE)
    made = record(HOSTILE, Phase.HELD, candidate=bad, namespace=HOSTILE)
    made = intended(rehearsed(made), OutcomeKind.REFUSED, 0.1, HOSTILE)
    assert made.rehearsal is not None
    finding = replace(
        ratio(23, 104, (1, 410), e_value=2317.0),
        check=HOSTILE,
        text=HOSTILE,
        query=HOSTILE,
    )
    made = stated(made, hold=Hold.OBSERVE, verdict=Verdict.FAIL, text=HOSTILE)
    made = told(made, (1.0, HOSTILE, HOSTILE), (2.0, "verified", HOSTILE))
    rehearsal = replace(made.rehearsal, detail=HOSTILE, warnings=(HOSTILE,))
    return replace(made, findings=(finding,), rehearsal=rehearsal)


ENDED_HOSTILE = stated(hostile(), phase=Phase.PROMOTED, hold=None, ended_at=NOW)


@pytest.mark.parametrize("one", [hostile(), ENDED_HOSTILE], ids=["live", "ended"])
async def test_nothing_that_others_wrote_becomes_markup_anywhere(
    one: Record, look: Callable[..., Any], board: Board
) -> None:
    board.show(one)
    for path in ("/", path_of(one)):
        page = await look(path)
        (script,) = page.all("script")
        assert "/static/guard.js?v=" in str(script["src"])
        assert page.all("img") == []
        assert "<script>alert(1)</script>" in page.words
        assert "{{ 7*7 }}" in page.words
        assert not any(name.startswith("on") for _, a in page.elements for name in a)


async def test_a_hostile_name_never_enters_a_command_to_paste(
    look: Callable[..., Any], board: Board
) -> None:
    made = held()
    workload = replace(made.state.case.workload, name="auth; rm -rf /")
    board.show(stated(made, case=replace(made.state.case, workload=workload)))
    page = await look()
    assert "What you can do" in page.words
    assert "kubectl" not in page.words


async def test_no_page_holds_an_inline_script_style_or_a_foreign_address(
    look: Callable[..., Any], board: Board
) -> None:
    for one in (*a_night(), progressing(), rollback_failed()):
        board.show(one)
    for path in ("/", path_of(held()), path_of(promoted())):
        page = await look(path, users=list)
        for tag, attributes in page.elements:
            assert tag != "style"
            assert "style" not in attributes
            assert not any(name.startswith("on") for name in attributes)
            for name in ("src", "href", "action"):
                value = attributes.get(name) or ""
                assert "//" not in value, f"{tag} leads to {value}"
                assert not value.startswith("javascript:")
        assert all(script.get("src") for script in page.all("script"))
        assert page.all("form") == page.all("iframe") == []


# For everyone.


async def test_the_page_is_whole_for_who_cannot_see_it(
    look: Callable[..., Any], board: Board
) -> None:
    for one in (*a_night(), progressing(), rollback_failed()):
        board.show(one)
    for path in ("/", path_of(held())):
        page = await look(path)
        assert page.all("html")[0]["lang"] == "en"
        for landmark in ("header", "main", "footer"):
            assert page.all(landmark)
        assert any(a.get("aria-live") == "polite" for a in page.all("div"))
        assert page.all("a")[0] == {"class": "skip", "href": "#main"}
        ids = [a["id"] for _, a in page.elements if a.get("id")]
        assert len(ids) == len(set(ids))
        for attributes in page.all("svg"):
            assert attributes.get("aria-hidden") == "true" or attributes.get("aria-label")
        for attributes in page.all("section"):
            named = attributes.get("aria-labelledby")
            assert named is None or named in ids
        for attributes in page.all("th"):
            assert attributes.get("scope") in {"row", "col"}


async def test_headings_go_down_by_one_and_there_is_one_first(
    look: Callable[..., Any], board: Board
) -> None:
    for one in (*a_night(), progressing(), rollback_failed()):
        board.show(one)
    for path in ("/", path_of(held())):
        page = await look(path)
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert levels.count(1) == 1
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))


async def test_without_scripts_the_page_comes_again_by_itself(look: Callable[..., Any]) -> None:
    page = await look()
    refresh = [meta for meta in page.all("meta") if meta.get("http-equiv") == "refresh"]
    assert refresh == [{"http-equiv": "refresh", "content": "5"}]
    assert page.all("noscript")


async def test_links_work_behind_a_proxy_s_path(look: Callable[..., Any], board: Board) -> None:
    board.show(held())
    for path, root in (
        ("/", "./"),
        (path_of(held()), "../"),
        ("/rollouts/kubernetes/shop/auth-service@7c9f6d5b8%2312", "../../../"),
    ):
        page = await look(path)
        assert page.all("body")[0]["data-root"] == root
        own = [str(a["href"]) for a in page.all("a") if not str(a["href"]).startswith("#")]
        assert all(href.startswith(root) for href in own)
        base = URL("https://api.example/proxy/guard").join(URL("guard/" + path[1:], encoded=True))
        assert base.join(URL(root)).path == "/proxy/guard/"


async def test_every_link_of_a_page_leads_somewhere(
    aiohttp_client: AiohttpClient, built: web.Application, board: Board
) -> None:
    for one in (*a_night(), rollback_failed(), replace(held(), mode=Mode.ACT)):
        board.show(one)
    client = await aiohttp_client(built)
    for path in ("", path_of(held())[1:]):
        base = URL(str(client.make_url("/")) + path, encoded=True)
        page = Page(await (await client.session.get(base)).text())
        links = [a["href"] for a in page.all("a") + page.all("link")] + [
            a["src"] for a in page.all("script")
        ]
        for link in {str(link) for link in links}:
            if link.startswith("#") or link.endswith("events"):
                continue
            answer = await client.session.get(base.join(URL(link, encoded=True)))
            assert answer.status == 200, link


# Static files.


@pytest.mark.parametrize("name", sorted(ASSETS))
async def test_a_static_file_is_kept_for_ever_under_the_address_with_its_hash(
    name: str, aiohttp_client: AiohttpClient, built: web.Application
) -> None:
    client = await aiohttp_client(built)
    answer = await client.get(f"/static/{name}", params={"v": ASSETS[name].tag})
    assert answer.status == 200
    assert await answer.read() == ASSETS[name].body
    assert answer.content_type == ASSETS[name].content_type
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    tag = answer.headers["ETag"]
    answer = await client.get(f"/static/{name}")
    assert answer.headers["Cache-Control"] == "no-cache"
    answer = await client.get(f"/static/{name}", headers={"If-None-Match": tag})
    assert answer.status == 304
    assert await answer.read() == b""
    assert answer.headers["ETag"] == tag
    answer = await client.get(f"/static/{name}", headers={"If-None-Match": '"another"'})
    assert answer.status == 200
