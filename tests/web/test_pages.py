"""The pages without any script: what they say, in which order, to whom, and how safely."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from yarl import URL

from guard.core.actions import OutcomeKind
from guard.core.findings import Verdict
from guard.core.states import Hold, Phase
from guard.core.workloads import Mode
from guard.web import pages
from guard.web.assets import ASSETS
from tests.web.conftest import (
    NOW,
    a_night,
    baking,
    held,
    intended,
    progressing,
    promoted,
    ratio,
    record,
    rehearsed,
    revision,
    rollback_failed,
    rolled_back,
    stated,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web
    from pytest_aiohttp import AiohttpClient

    from guard.core.records import Record
    from guard.engine.board import Board

BLOCKS = {"div", "dt", "dd", "td", "th", "li", "p", "section", "summary", "pre"}
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Elements with their attributes and text, and whether every one was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.text += " " if tag in BLOCKS else ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", self.text)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def look(aiohttp_client: AiohttpClient, make: Callable[..., web.Application]) -> Callable[..., Any]:
    async def one(path: str = "/", status: int = 200, **other: object) -> Page:
        client = await aiohttp_client(make(**other))
        address = URL(str(client.make_url("/")) + path.removeprefix("/"), encoded=True)
        answer = await client.session.get(address)
        assert answer.status == status
        assert answer.content_type == "text/html"
        assert answer.headers["Cache-Control"] == "no-store"
        page = Page(await answer.text())
        assert page.open == []
        return page

    return one


def in_order(text: str, *parts: str) -> None:
    """Assert that the parts stand in the text one after the other."""
    at = 0
    for part in parts:
        found = text.find(part, at)
        assert found >= 0, f"{part!r} does not follow in {text[at : at + 400]!r}"
        at = found + len(part)


def path_of(one: Record) -> str:
    return f"/rollouts/{quote(one.id, safe='')}"


async def test_a_held_rollout_is_told_in_the_order_in_which_it_is_asked(
    look: Callable[..., Any], board: Board
) -> None:
    board.show(held())
    page = await look()
    in_order(
        page.words,
        "1 rollout needs a person",
        "auth-service",
        "Deployment kubernetes/shop/auth-service · owned by team-identity",
        "7c9f6d5b8 auth-service:2.4.0 in place of 5d8b7c4f9 auth-service:2.3.9",
        "Held: failed, the guard only observes",
        "This release failed and is still serving.",
        "What you can do: Go back by hand.",
        "kubectl -n shop rollout undo deployment/auth-service --to-revision=",
        "FAIL",
        "23 of 104 requests failed",
        "it would have rolled back to 5d8b7c4f9",
        "Evidence",
        "errors error ratio",
        "Candidate 23 of 104 22.1% 15.2% to 31%",
        "Stable 1 of 410 0.244%",
        "Evidence against it E 2,317, 100 decides",
        "Evidence for it M′",
        "Requests missing until it is good enough: never at this ratio",
        "The same in Prometheus",
        "health",
        "all 4 ready pods are healthy",
        "What the guard does",
        "Mode observe",
        "Hold failed, the guard only observes",
        "Rehearsal Not rehearsed",
        "Clock Judged for 4 s. The clock stands still while it is held.",
        "Timeline",
        "Held",
        "Began",
    )


async def test_a_rolled_back_one_says_what_was_intended_what_came_of_it_and_since_then(
    look: Callable[..., Any], board: Board
) -> None:
    board.show(rolled_back())
    page = await look(path_of(rolled_back()))
    in_order(
        page.words,
        "Rolled back",
        "the guard put the known-good revision back",
        "FAIL 41 of 78 requests failed",
        "Rollback to 5d8b7c4f9, decided",
        "it was promoted on evidence",
        "Outcome Patched 0.1 s after the decision",
        "Since then 4 of 4 pods of the known-good revision ready, 0 of their 96 failed",
        "Rehearsal Rehearsed",
        "Timeline",
        "Ended",
        "Verified",
        "Patched",
        "Intent",
        "Decided",
        "Rehearsed",
        "Began",
        "kubernetes/shop/checkout@7c9f6d5b8#12",
        "this record as JSON",
    )


async def test_what_needs_a_person_comes_first_and_ended_ones_last_the_newest_first(
    look: Callable[..., Any], board: Board
) -> None:
    for one in (*a_night(), progressing(), rollback_failed()):
        board.show(one)
    page = await look()
    in_order(
        page.words,
        "2 rollouts need a person",
        "2 others are under way.",
        "Needs a person",
        "cart",
        "auth-service",
        "Under way",
        "search",
        "orders",
        "Ended",
        "Rolled back checkout",
        "Promoted payments",
    )


async def test_a_failed_rollback_needs_nobody_any_more_once_a_newer_rollout_came(
    look: Callable[..., Any], board: Board
) -> None:
    board.show(rollback_failed())
    board.show(record("cart", Phase.BAKING, name="newer", began=5.0))
    page = await look()
    in_order(
        page.words,
        "Nothing needs you",
        "1 rollout is under way.",
        "cart",
        "Ended",
        "Rollback failed",
    )


async def test_a_failure_that_the_policy_only_tells_needs_a_person(
    look: Callable[..., Any], board: Board
) -> None:
    finding = ratio(23, 104, (1, 410), e_value=2317.0)
    board.show(stated(baking(), verdict=Verdict.FAIL, text=finding.text))
    assert "1 rollout needs a person" in (await look()).words


async def test_when_all_is_well_the_page_says_so_first(
    look: Callable[..., Any], board: Board
) -> None:
    board.show(promoted())
    page = await look()
    in_order(page.words, "Nothing needs you", "No rollout is under way.", "Ended", "payments")


async def test_an_empty_page_says_what_to_do(look: Callable[..., Any]) -> None:
    page = await look()
    in_order(
        page.words,
        "No rollout yet",
        "How to have a workload guarded",
        "kubectl -n NAMESPACE label deployment/NAME deployment-guard.io/guard=true",
        "guard check --live slos/NAME.yaml",
    )


async def test_a_guard_that_is_not_ready_says_that_the_page_may_lack_something(
    look: Callable[..., Any],
) -> None:
    assert "Not ready:" in (await look(ready=lambda: False)).words
    assert "Not ready:" not in (await look()).words


async def test_mode_and_version_are_shown(look: Callable[..., Any]) -> None:
    page = await look(mode="observe", version="9.8.7")
    in_order(page.words, "mode observe", "version 9.8.7", "The guard observes:")


async def test_what_is_not_known_yet_is_said_and_never_shown_as_zero(
    look: Callable[..., Any], board: Board
) -> None:
    none_yet = replace(
        ratio(0, 1, (0, 1), e_value=1.0),
        numbers={"bad": 0.0, "total": 0.0, "bound": 100.0, "p0": 0.01, "log_bound_d": 3.0},
    )
    board.show(replace(record("orders", Phase.PROGRESSING, stable=None), findings=(none_yet,)))
    board.show(record("search", Phase.PROGRESSING))
    page = await look()
    in_order(
        page.words,
        "nothing is known good",
        "Nothing is measured yet.",
        "Candidate 0 of 0 – no request yet",
        "nothing is known good, so there is nothing to go back to",
        "The clock starts when all new pods are ready.",
    )
    assert "No check has answered yet." in page.words
    assert "Rehearsal not yet" in page.words


async def test_an_assumed_stable_revision_is_marked_and_no_command_leads_to_it(
    look: Callable[..., Any], board: Board
) -> None:
    made = held()
    assert made.state.case.stable is not None
    case = replace(made.state.case, stable=replace(made.state.case.stable, assumed=True))
    board.show(stated(made, case=case, hold=Hold.NO_KNOWN_GOOD))
    page = await look()
    in_order(page.words, "in place of 5d8b7c4f9", "assumed", "nothing known good")
    assert "kubectl" not in page.words


async def test_warnings_of_the_platform_and_a_pending_outcome_are_shown(
    look: Callable[..., Any], board: Board
) -> None:
    made = rehearsed(record("orders", Phase.ROLLING_BACK), possible=False)
    assert made.rehearsal is not None
    made = replace(made, rehearsal=replace(made.rehearsal, warnings=("would violate X",)))
    made = intended(made, OutcomeKind.PATCHED, 0.1)
    board.show(stated(made, outcome=None))
    page = await look()
    in_order(page.words, "Outcome not known yet", "Would be refused", "warns: would violate X")


@pytest.mark.parametrize(
    ("elapsed", "words"),
    [
        (30.0, "Judged for 30 s. Promotion after 2 min at the earliest."),
        (130.0, "Judged for 2 min 10 s. Promotion as soon as the evidence is there, 15 min at"),
    ],
)
async def test_the_clock_says_when_it_can_end(
    elapsed: float, words: str, look: Callable[..., Any], board: Board
) -> None:
    board.show(stated(baking(), elapsed=elapsed))
    assert words in (await look()).words


async def test_a_long_timeline_is_cut_on_the_status_page_and_whole_on_its_own(
    look: Callable[..., Any], board: Board
) -> None:
    made = told(baking(), *((30.0 + n, "held", f"entry {n}.") for n in range(20)))
    board.show(made)
    page = await look()
    assert "entry 19." in page.words
    assert "entry 2." not in page.words
    assert "18 earlier" in page.words
    page = await look(path_of(made))
    assert all(f"entry {n}." in page.words for n in range(20))


async def test_what_one_page_cannot_hold_is_counted(
    look: Callable[..., Any], board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "CARDS_AT_MOST", 2)
    monkeypatch.setattr(pages, "LIVE_AT_MOST", 4)
    monkeypatch.setattr(pages, "ENDED_AT_MOST", 3)
    for n in range(6):
        board.show(record(f"live-{n}", Phase.BAKING))
        board.show(stated(record(f"ended-{n}", Phase.LEFT), ended_at=NOW))
    page = await look()
    assert len(page.all("article")) == 2
    assert len(set(re.findall("live-[0-9]", page.words))) == 4
    in_order(page.words, "6 rollouts are under way.", "2 more under way", "3 older ones")
    board.show(held())
    page = await look()
    in_order(page.words, "1 rollout needs a person", "6 others are under way.", "3 more under way")


async def test_a_rollout_that_is_not_there_is_404_and_a_page(look: Callable[..., Any]) -> None:
    page = await look("/rollouts/nothing%2Fhere", status=404)
    in_order(page.words, "This rollout is not here", "older than what is kept", "All rollouts")


async def test_users_see_their_table_only_where_someone_counts(
    look: Callable[..., Any],
) -> None:
    rows = [{"case": "<i>bad</i> release", "sent": 100, "failed": 7, "note": "rolled back"}]
    page = await look(users=lambda: rows)
    in_order(page.words, "What users saw", "Requests sent", "<i>bad</i> release", "100", "7")
    assert page.all("i") == []
    assert "What users saw" not in (await look()).words


# Safety.

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
