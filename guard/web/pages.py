"""The pages: the status page, one rollout, and the static files they need.

They are whole without any script; the script only asks for the same page again after a change
and takes over what differs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import ETag, web

from guard.core.names import LABEL_GUARD
from guard.core.states import Phase
from guard.engine.codec import head
from guard.web.assets import ASSETS, TEMPLATES
from guard.web.site import SITE
from guard.web.views import Card, card

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guard.core.records import Record

CARDS_AT_MOST = 20
"""Rollouts under way that are drawn whole; what follows them is a line each."""
LIVE_AT_MOST = 200
"""Rollouts under way on one page: more is no page, it is the API's."""
ENDED_AT_MOST = 40


@dataclass(frozen=True, slots=True)
class Overview:
    """The status page in its order: what needs a person, what is under way, what has ended.

    Attributes:
        whole: how many of `needs` and `under_way` together are drawn whole.
        left_out: rollouts under way that are not on the page; `older` ended ones.
    """

    needs: tuple[Card, ...]
    under_way: tuple[Card, ...]
    ended: tuple[Card, ...]
    whole: int
    left_out: int
    older: int

    @property
    def empty(self) -> bool:
        """Whether no rollout is known at all."""
        return not (self.needs or self.under_way or self.ended)

    @property
    def headline(self) -> str:
        """The one answer for someone who was woken up."""
        if self.needs:
            many = len(self.needs) > 1
            return f"{len(self.needs)} rollout{'s need' if many else ' needs'} a person"
        return "No rollout yet" if self.empty else "Nothing needs you"

    @property
    def tone(self) -> str:
        """The headline's colour and sign."""
        if self.needs:
            return "bad" if any(one.phase.tone == "bad" for one in self.needs) else "held"
        return "quiet" if self.empty else "good"

    @property
    def more(self) -> str:
        """What else is going on."""
        others = len(self.under_way) + self.left_out
        if not others:
            return "No other is under way." if self.needs else "No rollout is under way."
        what = "other" if self.needs else "rollout"
        return f"{others} {what}{' is' if others == 1 else 's are'} under way."


def overview(records: list[Record]) -> Overview:
    """Sort all records, the newest rollout first, into the page's order."""
    newest = _newest_of_each_workload(records)
    live: list[Record] = []
    ended: list[Record] = []
    for record in records:
        failed = record.state.phase is Phase.ROLLBACK_FAILED and record.id in newest
        (live if failed or not record.state.ended else ended).append(record)
    ended.sort(key=lambda record: -(record.state.ended_at or 0.0))
    cards = sorted((card(head(record)) for record in live), key=lambda one: one.rank)
    needs = [one for one in cards if one.needs_person]
    under_way = [one for one in cards if not one.needs_person]
    room = max(LIVE_AT_MOST - len(needs), 0)
    return Overview(
        needs=tuple(needs),
        under_way=tuple(under_way[:room]),
        ended=tuple(card(head(record)) for record in ended[:ENDED_AT_MOST]),
        whole=CARDS_AT_MOST,
        left_out=max(len(under_way) - room, 0),
        older=max(len(ended) - ENDED_AT_MOST, 0),
    )


def _newest_of_each_workload(records: Iterable[Record]) -> frozenset[str]:
    newest: dict[object, str] = {}
    for record in records:
        newest.setdefault(record.state.case.workload, record.id)
    return frozenset(newest.values())


async def status(request: web.Request) -> web.Response:
    """`/`."""
    site = request.app[SITE]
    users = site.users() if site.users is not None else None
    # Many rollouts take their time to sort and draw: in a thread that holds up no decision.
    shown = await asyncio.to_thread(overview, site.board.newest())
    return await page(
        request,
        "status.html",
        overview=shown,
        users=users,
        unready=site.unready(),
        label_guard=LABEL_GUARD,
    )


async def rollout(request: web.Request) -> web.Response:
    """`/rollouts/{id}`."""
    found = request.app[SITE].board.get(request.match_info["id"])
    if found is None:
        raise web.HTTPNotFound(text=NOT_ON_THE_BOARD)
    return await page(request, "rollout.html", card=card(found))


NOT_ON_THE_BOARD = (
    "no such rollout is known: it may be older than what is kept, or a # of its name was not "
    "written as %23"
)


async def page(
    request: web.Request, template: str, status: int = 200, **shown: object
) -> web.Response:
    """Render a page. Its links are relative, so that it works behind a proxy's path too."""
    site = request.app[SITE]
    root = "../" * (request.rel_url.raw_path.count("/") - 1) or "./"
    text = await asyncio.to_thread(
        TEMPLATES[template].render,
        root=root,
        asset=lambda name: f"{root}static/{name}?v={ASSETS[name].tag}",
        now=site.now(),
        mode=site.mode,
        version=site.version,
        **shown,
    )
    return web.Response(
        text=text,
        status=status,
        content_type="text/html",
        headers={"Cache-Control": "no-store"},
    )


async def static(request: web.Request) -> web.Response:
    """`/static/{name}`: kept for ever under the address that carries the file's hash."""
    asset = ASSETS.get(request.match_info["name"])
    if asset is None:
        raise web.HTTPNotFound(text="no such file")
    tag = ETag(asset.tag)
    known = request.if_none_match or ()
    if any(one.value in (asset.tag, "*") for one in known):
        response = web.Response(status=304)
    else:
        response = web.Response(body=asset.body, content_type=asset.content_type, charset="utf-8")
    for_ever = request.query.get("v") == asset.tag
    response.headers["Cache-Control"] = (
        "public, max-age=31536000, immutable" if for_ever else "no-cache"
    )
    response.etag = tag
    return response
