"""The JSON API and the probes: what they promise is written down as models that forbid the rest."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, ConfigDict, TypeAdapter
from yarl import URL

from guard.core import names
from guard.core.actions import OutcomeKind
from guard.core.findings import Reason, Verdict
from guard.core.states import Hold, Pacing, Phase
from guard.core.workloads import Mode
from tests.web.conftest import (
    a_night,
    baking,
    held,
    progressing,
    promoted,
    record,
    revision,
    rollback_failed,
    rolled_back,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web
    from pytest_aiohttp import AiohttpClient

    from guard.engine.board import Board


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Workload(Model):
    platform: str
    namespace: str
    name: str
    kind: str


class Revision(Model):
    hash: str
    content: str
    number: int
    uid: str
    created_at: float
    images: list[str]


class Line(Model):
    label: str
    text: str


class Explanation(Model):
    question: str
    lines: list[Line]
    otherwise: str


class Finding(Model):
    check: str
    kind: str
    answer: Verdict
    reason: Reason
    text: str
    hold: bool
    numbers: dict[str, float]
    query: str
    counted: bool
    explanation: Explanation


class Note(Model):
    at: float
    kind: str
    text: str


class KnownGood(Model):
    revision: Revision
    since: float
    why: str
    assumed: bool


class Intent(Model):
    id: str
    workload: Workload
    uid: str
    candidate: Revision
    known_good: KnownGood
    decided_at: float
    cause: str
    previous: str


class Outcome(Model):
    kind: OutcomeKind
    at: float
    detail: str
    by_guard: bool
    warnings: list[str]
    previous: str


class Rehearsal(Model):
    possible: bool | None
    at: float
    detail: str
    warnings: list[str]


class Rollout(Model):
    version: Literal[1]
    rollout: str
    workload: Workload
    service: str
    owner: str
    phase: Phase
    hold: Hold | None
    mode: Mode
    verdict: Verdict
    text: str
    candidate: Revision
    stable: Revision | None
    stable_assumed: bool
    began_at: float
    ended_at: float | None
    bake: float
    deadline: float
    elapsed: float
    pacing: Pacing
    beside: tuple[int, int]
    suspended_since: float | None
    findings: list[Finding]
    timeline: list[Note]
    intent: Intent | None
    outcome: Outcome | None
    rehearsal: Rehearsal | None


class Rollouts(Model):
    rollouts: list[Rollout]


class Error(Model):
    error: str


ROLLOUTS = TypeAdapter(Rollouts)
ODD_IDS = (
    "kubernetes/shop/auth@7c9f#12",
    "local/a b/ü&<b>@x+y#1",
    "compose/50%/%2F@?q=1#2",
    "kubernetes/../../etc/passwd@x#1",
    "swarm/\"quoted\"/'name'@🙂#3",
)


async def test_every_record_is_given_by_the_schema_the_newest_first(
    aiohttp_client: AiohttpClient, built: web.Application, board: Board
) -> None:
    shown = [*a_night(), progressing(), rollback_failed()]
    for one in shown:
        board.show(one)
    client = await aiohttp_client(built)
    answer = await client.get("/api/v1/rollouts")
    assert answer.status == 200
    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    given = ROLLOUTS.validate_json(await answer.read()).rollouts
    newest = sorted(shown, key=lambda one: -one.state.case.began_at)
    assert [one.rollout for one in given] == [one.id for one in newest]
    assert given[0].phase is Phase.PROGRESSING


async def test_without_any_record_the_list_is_empty(
    aiohttp_client: AiohttpClient, built: web.Application
) -> None:
    client = await aiohttp_client(built)
    answer = await client.get("/api/v1/rollouts")
    assert await answer.json() == {"rollouts": []}


@pytest.mark.parametrize("odd", ODD_IDS)
async def test_an_id_with_odd_characters_is_found_percent_encoded(
    odd: str, aiohttp_client: AiohttpClient, built: web.Application, board: Board
) -> None:
    made = baking()
    board.show(replace(made, state=replace(made.state, case=replace(made.state.case, rollout=odd))))
    client = await aiohttp_client(built)
    base = str(client.make_url("/api/v1/rollouts/"))
    answer = await client.session.get(URL(base + quote(odd, safe=""), encoded=True))
    assert answer.status == 200
    assert Rollout.model_validate_json(await answer.read()).rollout == odd


async def test_an_id_may_keep_its_slashes(
    aiohttp_client: AiohttpClient, built: web.Application, board: Board
) -> None:
    board.show(baking())
    client = await aiohttp_client(built)
    answer = await client.get("/api/v1/rollouts/kubernetes/shop/orders@7c9f6d5b8%2312")
    assert answer.status == 200


async def test_an_unknown_rollout_is_404_and_says_why_that_may_be(
    aiohttp_client: AiohttpClient, built: web.Application, board: Board
) -> None:
    board.show(baking())
    client = await aiohttp_client(built)
    answer = await client.get("/api/v1/rollouts/kubernetes/shop/orders@7c9f6d5b8#12")
    assert answer.status == 404  # what stands after # never reaches a server
    assert "%23" in Error.model_validate_json(await answer.read()).error


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/nothing/here", 404, "no such address"),
        ("GET", "/static/", 404, "no such address"),
        ("GET", "/static/nothing.js", 404, "no such file"),
        ("GET", "/static/..%2Fserver.py", 404, "no such file"),
        ("POST", "/api/v1/rollouts", 405, "only reads"),
        ("PUT", "/api/v1/rollouts/a@b%231", 405, "only reads"),
        ("DELETE", "/api/v1/events", 405, "only reads"),
        ("HEAD", "/api/v1/events", 405, ""),
        ("PATCH", "/", 405, "only reads"),
        ("GET", "/api/v1/users", 404, "nobody counts"),
    ],
)
async def test_every_error_is_json_with_its_status(
    method: str,
    path: str,
    status: int,
    words: str,
    aiohttp_client: AiohttpClient,
    built: web.Application,
) -> None:
    client = await aiohttp_client(built)
    answer = await client.request(method, path)
    assert answer.status == status
    assert answer.content_type == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    if method != "HEAD":
        assert words in Error.model_validate_json(await answer.read()).error
    if status == 405:
        assert set(answer.headers["Allow"].split(",")) <= {"GET", "HEAD"}


async def test_the_probes_say_alive_always_and_ready_only_when_it_is(
    aiohttp_client: AiohttpClient, make: Callable[..., web.Application]
) -> None:
    seen = [False]
    client = await aiohttp_client(
        make(unready=lambda: "" if seen[0] else "no workload has been seen yet")
    )
    for path in ("/readyz", "/health"):
        answer = await client.get(path)
        assert answer.status == 503
        assert "no workload has been seen" in Error.model_validate_json(await answer.read()).error
    assert (await client.get("/livez")).status == 200
    seen[0] = True
    for path in ("/readyz", "/health"):
        answer = await client.get(path)
        assert answer.status == 200
        assert await answer.json() == {"status": "ready"}


async def test_what_users_saw_is_given_as_it_is_now(
    aiohttp_client: AiohttpClient, make: Callable[..., web.Application]
) -> None:
    row: dict[str, object] = {"case": "bad release", "sent": 100, "failed": 7, "note": "<b>"}
    client = await aiohttp_client(make(users=lambda: [row]))
    assert await (await client.get("/api/v1/users")).json() == {"users": [row]}
    row["sent"] = 200
    assert (await (await client.get("/api/v1/users")).json())["users"][0]["sent"] == 200


async def test_a_number_that_json_does_not_have_is_null(
    aiohttp_client: AiohttpClient, built: web.Application, board: Board
) -> None:
    made = baking()
    finding = replace(made.findings[0], numbers={"log_m_d": float("-inf"), "ratio": float("nan")})
    board.show(replace(made, findings=(finding,)))
    client = await aiohttp_client(built)
    answer = await client.get("/api/v1/rollouts")
    numbers = (await answer.json())["rollouts"][0]["findings"][0]["numbers"]
    assert numbers == {"log_m_d": None, "ratio": None}


@pytest.mark.parametrize("one", [held(), rolled_back(), promoted()], ids=lambda one: one.id)
async def test_a_record_reads_the_same_alone_and_in_the_list(
    one: object, aiohttp_client: AiohttpClient, built: web.Application, board: Board
) -> None:
    board.show(one)
    client = await aiohttp_client(built)
    listed = (await (await client.get("/api/v1/rollouts")).json())["rollouts"][0]
    alone = await client.get("/api/v1/rollouts/" + quote(one.id, safe="@"))
    assert await alone.json() == listed


async def test_the_evidence_s_checkpoint_stays_inside(
    aiohttp_client: AiohttpClient, built: web.Application, board: Board
) -> None:
    board.show(record("auth", Phase.BAKING, candidate=revision("abc", 3)))
    client = await aiohttp_client(built)
    text = await (await client.get("/api/v1/rollouts")).text()
    assert "checkpoint" not in text
    assert "frame" not in text


# Metrics.


METRICS = {value for name, value in vars(names).items() if name.startswith("METRIC_")}


async def test_metrics_parse_and_hold_every_name_that_is_promised(
    aiohttp_client: AiohttpClient, built: web.Application, board: Board
) -> None:
    board.show(held())
    client = await aiohttp_client(built)
    answer = await client.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    found = {family.name for family in text_string_to_metric_families(await answer.text())}
    families = {name for name in found if not name.endswith("_created")}
    assert families == {re.sub("_total$", "", name) for name in METRICS}


async def test_metrics_are_openmetrics_for_who_asks(
    aiohttp_client: AiohttpClient, built: web.Application
) -> None:
    client = await aiohttp_client(built)
    accept = {"Accept": "application/openmetrics-text;version=1.0.0"}
    answer = await client.get("/metrics", headers=accept)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    families = list(openmetrics.text_string_to_metric_families(await answer.text()))
    assert len(families) == len(METRICS)


async def test_every_reason_of_a_finding_is_counted_from_start_up(
    aiohttp_client: AiohttpClient, built: web.Application
) -> None:
    client = await aiohttp_client(built)
    text = await (await client.get("/metrics", params={"name[]": "guard_findings_total"})).text()
    family = next(iter(text_string_to_metric_families(text)))
    counted = {s.labels["reason"]: s.value for s in family.samples if s.name.endswith("_total")}
    assert counted == {reason.value: 0.0 for reason in Reason}
