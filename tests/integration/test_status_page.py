"""The status page in a real browser: live, calm, and whole on any screen.

Chromium is driven by its own DevTools protocol: no other package is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from guard.core import quantities
from guard.core.states import Hold
from guard.engine.board import Board
from guard.engine.metrics import Metrics
from guard.web import pages
from guard.web.server import application, serve
from tests.web.conftest import a_night, baking, held, rollback_failed, stated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from aiohttp import web

    from guard.web.server import Served

FLAGS = (
    "--headless",
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--remote-debugging-port=0",
)
STARTED = b"DevTools listening on "
WITHIN = 60.0
"""Seconds for anything that the browser is waited for."""


class Tab:
    """One tab, by the DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self.complaints: list[str] = []
        self.loads = 0

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async with asyncio.timeout(WITHIN):
            while True:
                told = await self._hear()
                if told.get("id") == number:
                    assert "error" not in told, told
                    return told["result"]

    async def _hear(self) -> dict[str, Any]:
        told = json.loads((await self._socket.receive()).data)
        self._take(told.get("method", ""), told.get("params", {}))
        return told

    def _take(self, event: str, params: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self.loads += 1
        if event == "Runtime.exceptionThrown" or params.get("entry", {}).get("level") == "error":
            self.complaints.append(json.dumps(params))

    async def open(self, url: str) -> None:
        loads = self.loads
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(WITHIN):
            while self.loads == loads:
                await self._hear()

    async def js(self, expression: str) -> Any:
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait, in the page, until a condition holds."""
        await self.js(
            "new Promise((done) => { const look = () => "
            f"({condition}) ? done(true) : setTimeout(look, 20); look(); }})"
        )

    async def screen(self, width: int, theme: str) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=844,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = [{"name": "prefers-color-scheme", "value": theme}]
        await self.call("Emulation.setEmulatedMedia", features=features)


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    """A tab of a browser of its own: GUARD_TEST_CHROMIUM, else `chromium` on PATH."""
    binary = shutil.which(os.environ.get("GUARD_TEST_CHROMIUM", "chromium"))
    if binary is None:
        pytest.skip("no browser: put `chromium` on PATH, or name it by GUARD_TEST_CHROMIUM")
    process = await asyncio.create_subprocess_exec(
        binary,
        *FLAGS,
        f"--user-data-dir={tmp_path}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    drained = None
    try:
        assert process.stderr is not None
        async with asyncio.timeout(4 * WITHIN):
            line = b""
            while not line.startswith(STARTED):
                line = await process.stderr.readline()
                assert line or process.returncode is None, "the browser ended at once"
        drained = asyncio.create_task(process.stderr.read())
        address = line.removeprefix(STARTED).decode().strip()
        host = address.removeprefix("ws://").partition("/")[0]
        async with aiohttp.ClientSession() as session:
            tabs = await (await session.get(f"http://{host}/json/list")).json()
            where = next(one for one in tabs if one["type"] == "page")["webSocketDebuggerUrl"]
            async with session.ws_connect(where, max_msg_size=0) as socket:
                one = Tab(socket)
                for domain in ("Page", "Runtime", "Log"):
                    await one.call(f"{domain}.enable")
                yield one
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        if drained is not None:
            await drained


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3")


@pytest.fixture
def board(metrics: Metrics) -> Board:
    return Board(metrics)


@pytest.fixture
def make(board: Board, metrics: Metrics) -> Callable[..., web.Application]:
    def one(**other: Any) -> web.Application:
        return application(board, metrics, lambda: True, version="1.2.3", mode="act", **other)

    return one


@pytest.fixture
async def served(make: Callable[..., web.Application]) -> AsyncIterator[Served]:
    server = await serve(make(), "127.0.0.1", 0)
    yield server
    await server.close()


LIVE = "document.getElementById('connection').dataset.state === 'live'"
HEADLINE = "document.querySelector('h1').textContent"


async def test_a_change_shows_without_a_reload_and_leaves_the_reader_where_they_are(
    tab: Tab, served: Served, board: Board
) -> None:
    made = baking()
    board.show(made)
    await tab.open(served.url)
    await tab.until(LIVE)
    assert "Nothing needs you" in await tab.js(HEADLINE)
    await tab.js("window.mine = 1; document.querySelector('details').open = true")
    await tab.js("document.querySelector('.card .service a').focus()")
    finding = held().findings[0]
    board.show(replace(stated(made, text=finding.text), findings=(finding, *made.findings[1:])))
    await tab.until("document.querySelector('.check .badge').textContent === 'FAIL'")
    assert await tab.js("window.mine") == 1
    assert await tab.js("document.querySelector('details').open")
    assert await tab.js("document.activeElement.textContent") == "orders"
    assert "23 of 104" in await tab.js("document.querySelector('.verdict').textContent")
    assert tab.complaints == []


async def test_a_new_phase_moves_the_rollout_and_is_announced(
    tab: Tab, served: Served, board: Board
) -> None:
    made = baking()
    board.show(made)
    await tab.open(served.url)
    await tab.until(LIVE)
    board.show(made)
    of_held = held().state
    board.show(
        stated(made, phase=of_held.phase, hold=of_held.hold, verdict=of_held.verdict, text="bad")
    )
    await tab.until(f"{HEADLINE}.includes('1 rollout needs a person')")
    assert await tab.js("document.title") == "1 rollout needs a person · guard"
    assert await tab.js("document.querySelectorAll('article').length") == 1
    said = await tab.js("document.getElementById('changes').textContent")
    assert said == "orders: held, verdict FAIL. bad"
    board.show(rollback_failed())
    await tab.until(f"{HEADLINE}.includes('2 rollouts need a person')")
    said = await tab.js("document.getElementById('changes').textContent")
    assert said.startswith("cart: rollback failed, verdict FAIL.")
    assert tab.complaints == []


async def test_a_lost_server_is_said_and_the_page_comes_back_with_it(
    tab: Tab, served: Served, board: Board, make: Callable[..., web.Application]
) -> None:
    await tab.open(served.url)
    await tab.until(LIVE)
    await served.close()
    await tab.until("document.getElementById('connection').textContent.includes('lost')")
    board.show(held())
    again = await serve(make(), served.address, served.port)
    try:
        await tab.until(LIVE)
        await tab.until(f"{HEADLINE}.includes('1 rollout needs a person')")
    finally:
        await again.close()


async def test_what_users_saw_counts_on_by_itself_and_never_as_markup(
    tab: Tab, make: Callable[..., web.Application]
) -> None:
    row: dict[str, object] = {"case": "<i>bad</i>", "sent": 100, "failed": 7, "note": "<b>!</b>"}
    server = await serve(make(users=lambda: [row]), "127.0.0.1", 0)
    try:
        await tab.open(server.url)
        row["sent"] = 250
        await tab.until("document.querySelector('#users td').textContent === '250'")
        assert await tab.js("document.querySelector('#users th[scope=row]').textContent") == (
            "<i>bad</i>"
        )
        assert await tab.js("document.querySelectorAll('#users i, #users b').length") == 0
        assert tab.complaints == []
    finally:
        await server.close()


SCREENS = [(width, theme) for width in (1440, 768, 390, 320) for theme in ("light", "dark")]


async def test_nothing_runs_out_of_any_screen_in_either_theme(
    tab: Tab, served: Served, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "CARDS_AT_MOST", 2)  # the others are a line each
    for one in (*a_night(), rollback_failed()):
        board.show(one)
    for hold in Hold:
        case = replace(held().state.case, rollout=f"kubernetes/shop/{hold}@a#1", service=hold.value)
        board.show(stated(held(), case=case, hold=hold))
    grounds = set()
    for path in ("", "rollouts/kubernetes%2Fshop%2Fauth-service%407c9f6d5b8%2312"):
        for width, theme in SCREENS:
            await tab.screen(width, theme)
            await tab.open(served.url + path)
            await tab.until(LIVE)
            root = "document.documentElement"
            assert await tab.js(f"{root}.scrollWidth <= {root}.clientWidth"), (path, width)
            assert await tab.js(f"{root}.clientWidth") > width - 20
            ground = await tab.js("getComputedStyle(document.body).backgroundColor")
            grounds.add((theme, ground))
    assert grounds == {("light", "rgb(243, 245, 248)"), ("dark", "rgb(12, 17, 24)")}
    assert tab.complaints == []


async def test_without_scripts_everything_is_there(tab: Tab, served: Served, board: Board) -> None:
    for one in a_night():
        board.show(one)
    await tab.call("Emulation.setScriptExecutionDisabled", value=True)
    await tab.open(served.url)
    document = await tab.call("DOM.getDocument", depth=0)
    html = await tab.call("DOM.getOuterHTML", nodeId=document["root"]["nodeId"])
    needed = ("1 rollout needs a person", "auth-service", "orders", "checkout", "payments")
    assert [part for part in needed if part not in html["outerHTML"]] == []
    assert 'data-state="none"' in html["outerHTML"]


async def test_the_script_tells_times_in_the_server_s_words(tab: Tab, served: Served) -> None:
    await tab.open(served.url)
    await tab.until(LIVE)
    # Half a unit past each, so that the seconds that the test takes move none of them.
    passed = (90, 3540 - 30, 5400, 86_400 * 1.5, 86_400 * 40.5)
    began = time.time()
    for seconds in passed:
        await tab.js(
            "(() => { const one = document.createElement('span'); one.className = 'ago mine'; "
            f"one.dataset.at = {began - seconds}; document.body.append(one); }})()"
        )
    await tab.until("[...document.querySelectorAll('.mine')].every((one) => one.textContent)")
    shown = await tab.js("[...document.querySelectorAll('.mine')].map((one) => one.textContent)")
    assert shown == [quantities.ago(began - seconds, began) for seconds in passed]
