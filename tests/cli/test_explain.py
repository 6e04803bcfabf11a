"""`guard explain` says why, from a guard that runs or from what it wrote, in lines that fit."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from guard.cli.explain import chosen, explain
from guard.cli.explain_text import WIDTH, as_text
from guard.core.errors import PermanentError
from guard.core.records import Memory
from guard.engine import codec
from guard.engine.board import Board
from guard.engine.metrics import Metrics
from guard.platforms.kubernetes.store import Store
from guard.web.server import application, serve
from tests.platforms.kubernetes.acting import ActingServer
from tests.platforms.kubernetes.apiserver import client_of, serving
from tests.web.conftest import (
    a_night,
    baking,
    held,
    progressing,
    promoted,
    record,
    rollback_failed,
    rolled_back,
    stated,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from guard.core.records import Record

GOLDEN = Path(__file__).parent / "golden"


def undone() -> Record:
    """Rolled back for what fresh pods did alone."""
    made = rolled_back()
    first, *others = made.findings
    numbers = {"m_a": 10_000.0, "m_b": 10_000.0, "compared": 1.0, "assumed": 1.0}
    first = replace(first, numbers={**first.numbers, **numbers, "bad_age": 3.5, "age": 30.0})
    return replace(made, findings=(first, *others))


def unknown() -> Record:
    """Nothing measured, nobody's, and nothing known good."""
    made = record("queue", promoted().state.phase, stable=None)
    return stated(made, case=replace(made.state.case, owner=""))


STORIES = {
    "undone": undone(),
    "held": held(),
    "baking": baking(),
    "progressing": progressing(),
    "promoted": promoted(),
    "rollback_failed": rollback_failed(),
    "unknown": unknown(),
}


@pytest.mark.parametrize("name", STORIES)
def test_each_story_is_told_in_these_very_lines(name: str) -> None:
    golden = GOLDEN / f"{name}.txt"
    assert as_text(codec.head(STORIES[name])) + "\n" == golden.read_text("utf-8")


@pytest.mark.parametrize("name", STORIES)
def test_no_line_is_wider_than_a_terminal_but_what_is_to_be_pasted(name: str) -> None:
    lines = as_text(codec.head(STORIES[name])).splitlines()
    pasted = ("  sum by", "  kubectl")
    assert all(len(line) <= WIDTH or line.startswith(pasted) for line in lines)


def test_an_assumed_known_good_one_is_called_that() -> None:
    made = held()
    good = made.state.case.stable
    assert good is not None
    assumed = replace(made.state.case, stable=replace(good, assumed=True))
    words = " ".join(as_text(codec.head(stated(made, case=assumed))).split())
    assert "(assumed: nobody saw it serve well)" in words


def test_what_an_older_guard_says_without_explaining_it_is_told_all_the_same() -> None:
    head = codec.head(held())
    for finding in head["findings"]:
        del finding["explanation"]
    text = as_text(head)
    assert "errors (error ratio): FAIL, over bound" in text
    assert "Candidate" not in text


# Which one.

HEADS = [codec.head(one) for one in a_night()]


@pytest.mark.parametrize(
    "name",
    [
        "kubernetes/shop/checkout@7c9f6d5b8#12",
        "shop/checkout",
        "kubernetes/shop/che",
        "shop/checkout@7c9",
    ],
)
def test_a_rollout_is_found_by_its_name_its_workload_or_how_they_begin(name: str) -> None:
    assert chosen(name, HEADS)["service"] == "checkout"


def test_the_beginning_of_a_releases_hash_finds_it_too() -> None:
    other = codec.head(record("cart", promoted().state.phase, name="abcdef"))
    assert chosen("abc", [*HEADS, other])["service"] == "cart"


def test_of_one_workload_the_newest_is_meant() -> None:
    older = codec.head(record("checkout", promoted().state.phase, name="older", began=9000.0))
    assert chosen("shop/checkout", [older, *HEADS])["rollout"].endswith("@7c9f6d5b8#12")
    assert chosen("shop/checkout@o", [older, *HEADS]) == older


def test_a_beginning_of_several_workloads_names_them() -> None:
    with pytest.raises(PermanentError, match=r"several workloads:\n  kubernetes/shop/orders@"):
        chosen("shop/", HEADS)


def test_a_name_of_none_names_those_that_are_known() -> None:
    with pytest.raises(PermanentError, match=r"'shop/nobody'; known are\n  kubernetes/shop/orders"):
        chosen("shop/nobody", HEADS)
    many = [{**HEADS[0], "rollout": f"kubernetes/shop/orders@{n}#1"} for n in range(25)]
    with pytest.raises(PermanentError, match="and 5 older ones"):
        chosen("shop/nobody", many)
    with pytest.raises(PermanentError, match="none at all"):
        chosen("shop/nobody", [])


# Where from.


async def run(*arguments: str, **environment: str) -> Result:
    """The command in a thread of its own, as it runs its own loop."""
    return await asyncio.to_thread(
        CliRunner(env=environment).invoke, explain, list(arguments), catch_exceptions=False
    )


@pytest.fixture
async def guard_url() -> AsyncIterator[str]:
    """A guard's own web server."""
    metrics = Metrics("1.2.3")
    board = Board(metrics)
    for one in (*a_night()[:2], undone()):
        board.show(one)
    served = await serve(
        application(board, metrics, lambda: "", version="1.2.3", mode="act"), "127.0.0.1", 0
    )
    yield served.url
    await served.close()


async def test_a_guard_that_runs_is_asked(guard_url: str) -> None:
    result = await run("shop/checkout", "--server", guard_url)
    assert result.exit_code == 0
    assert result.output == (GOLDEN / "undone.txt").read_text("utf-8")


async def test_json_is_the_record(guard_url: str) -> None:
    result = await run("shop/checkout", "--json", "--server", guard_url)
    assert json.loads(result.output) == codec.head(undone())


async def test_a_rollout_that_is_not_known_exits_with_1(guard_url: str) -> None:
    result = await run("shop/nobody", "--server", guard_url)
    assert result.exit_code == 1
    assert "no rollout is named 'shop/nobody'" in result.output


async def answering(body: str, status: int = 200) -> tuple[web.AppRunner, str]:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(text=body, status=status, content_type="application/json")

    app = web.Application()
    app.router.add_get("/api/v1/rollouts", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("[]", 200, "what answers is no guard"),
        ("{}", 200, "what answers is no guard"),
        ("<html>", 200, "what answers is no guard"),
        ("no", 403, "status 403, expected a guard's API there"),
    ],
)
async def test_what_is_no_guard_is_called_that(body: str, status: int, words: str) -> None:
    runner, url = await answering(body, status)
    result = await run("shop/checkout", "--server", url)
    await runner.cleanup()
    assert result.exit_code == 2
    assert words in result.output


@pytest.mark.parametrize(
    ("server", "words"),
    [("http://127.0.0.1:1", "no answer"), ("127", "expected one like http://127.0.0.1:8080")],
)
async def test_without_an_answer_it_exits_with_2(server: str, words: str) -> None:
    result = await run("shop/checkout", "--server", server)
    assert result.exit_code == 2
    assert words in result.output


async def test_wrong_settings_are_told_and_exit_with_2() -> None:
    result = await run("shop/checkout", GUARD_MODE="perhaps")
    assert result.exit_code == 2
    assert "GUARD_MODE" in result.output


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """Settings for an API server that holds what a guard wrote."""
    async with serving(ActingServer()) as server, client_of(server.url) as api:
        store = Store(api, "own", lambda: 1000.0)
        for one in (undone(), baking()):
            case = one.state.case
            memory = Memory(case.workload, case.uid)
            await store.save(case.workload, case.uid, codec.encode(memory, [one]))
        torn = baking().state.case.workload
        await store.save(replace(torn, name="torn"), "u", {"memory.json": "{"})
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(
            json.dumps(
                {
                    "current-context": "c",
                    "clusters": [{"name": "c", "cluster": {"server": server.url}}],
                    "users": [{"name": "c", "user": {"token": "t"}}],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
                }
            )
        )
        yield {"GUARD_KUBECONFIG": str(kubeconfig), "GUARD_NAMESPACE": "own"}


async def test_without_a_server_what_the_guard_wrote_is_read(cluster: dict[str, str]) -> None:
    result = await run("shop/checkout", **cluster)
    assert result.exit_code == 0, result.output
    assert (GOLDEN / "undone.txt").read_text("utf-8") in result.output
    assert "passed over: the stored document memory.json" in result.output
