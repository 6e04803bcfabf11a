"""Records as a night on call would see them, on a board behind a real server."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from guard.core.actions import Intent, KnownGood, Outcome, OutcomeKind, Rehearsal
from guard.core.evidence.mixtures import log_m_d, missing_to_pass
from guard.core.evidence.statistics import wilson
from guard.core.findings import Finding, Reason, Verdict
from guard.core.policy import Policy
from guard.core.records import Record
from guard.core.states import Case, Hold, Note, Phase, State
from guard.core.ticks import Frame
from guard.core.workloads import Mode, Revision, WorkloadId
from guard.engine.board import Board
from guard.engine.metrics import Metrics
from guard.web.server import application, serve
from tests.web.markup import Page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp import web
    from pytest_aiohttp import AiohttpClient

    from guard.web.server import Served

NOW = 1_795_600_800.0  # 2026-11-25 10:00:00 UTC


def revision(name: str, number: int, *images: str) -> Revision:
    return Revision(name, f"content-{name}", number, f"uid-{name}", NOW - 900.0, images)


def ratio(
    bad: int, total: int, stable: tuple[int, int], *, e_value: float, rate: float = 12.0
) -> Finding:
    """A finding of the error ratio with numbers that belong together (p0 1%, k 2)."""
    low, high = wilson(bad, total)
    log_m = log_m_d(bad, total, 0.01, 0.02, 2)
    missing = missing_to_pass(bad, total, (0.01, 0.02, 2, 0.05))
    over = e_value >= 100.0
    good = log_m >= math.log(20.0) and not over
    counts = (
        f"{bad} of {total} requests failed ({100 * bad / total:.3g}%, 95% between "
        f"{100 * low:.3g}% and {100 * high:.3g}%; the bound is 1%), stable {stable[0]} of "
        f"{stable[1]} beside it, k = 2, assumed without history"
    )
    if over:
        answer, reason = Verdict.FAIL, Reason.OVER_BOUND
        text = f"{counts}; E is {e_value:.3g}, 100 decides"
    elif good:
        answer, reason, text = Verdict.PASS, Reason.GOOD_ENOUGH, f"{counts}: good enough"
    else:
        answer, reason = Verdict.WAIT, Reason.COLLECTING
        text = f"{counts}; {total} of {total + missing} requests seen"
    return Finding(
        "errors",
        "error_ratio",
        answer,
        reason,
        text,
        numbers={
            "bad": bad,
            "total": total,
            "ratio": bad / total,
            "low": low,
            "high": high,
            "stable_bad": stable[0],
            "stable_total": stable[1],
            "e_value": e_value,
            "log_e": math.log(e_value),
            "bound": 100.0,
            "log_m_d": log_m,
            "log_m_d_recent": log_m,
            "log_bound_d": math.log(20.0),
            "k": 2,
            "p0": 0.01,
            "missing": missing,
            "rate": rate,
            "missing_seconds": missing / rate if missing >= 0 else -1.0,
            "control": 1.0,
        },
        query=(
            'sum by (pod) (increase(http_requests_total{code=~"5..",pod=~"auth-7c9f-x2x|'
            'auth-7c9f-k8s"}[5m])) / sum by (pod) (increase(http_requests_total{pod=~'
            '"auth-7c9f-x2x|auth-7c9f-k8s"}[5m]))'
        ),
        counted=True,
    )


HEALTH = Finding(
    "health", "health", Verdict.PASS, Reason.INSIDE_BOUND, "all 4 ready pods are healthy"
)
PODS = Finding(
    "pods",
    "pods",
    Verdict.PASS,
    Reason.INSIDE_BOUND,
    "4 of 4 pods ready",
    numbers={"ready": 4.0, "desired": 4.0},
)


def record(
    service: str,
    phase: Phase,
    *,
    name: str = "7c9f6d5b8",
    began: float = 95.0,
    namespace: str = "shop",
    platform: str = "kubernetes",
    candidate: Revision | None = None,
    stable: KnownGood | str | None = "a known-good one",
) -> Record:
    """A rollout of `service` that began so many seconds before NOW."""
    workload = WorkloadId(platform, namespace, service)
    new = candidate or revision(name, 12, f"registry.example.org/shop/{service}:2.4.0")
    old = revision("5d8b7c4f9", 11, f"registry.example.org/shop/{service}:2.3.9")
    good = KnownGood(old, NOW - 86_400.0, "it was promoted on evidence")
    case = Case(
        rollout=f"{workload}@{new.hash}#{new.number}",
        workload=workload,
        uid=f"uid-{service}",
        service=service,
        owner="team-identity",
        candidate=new,
        stable=good if isinstance(stable, str) else stable,
        began_at=NOW - began,
        policy=Policy(service, "team-identity", ()),
    )
    state = State(case, phase, since=NOW - began, beside=(2, 2))
    note = Note(case.began_at, "began", f"{new.hash} ({', '.join(new.images)})")
    return Record(state, Mode.ACT, Frame(case.began_at), timeline=(note,))


def told(of: Record, *notes: tuple[float, str, str]) -> Record:
    """Add timeline entries: seconds after the beginning, kind, text."""
    began = of.state.case.began_at
    return replace(of, timeline=(*of.timeline, *(Note(began + s, k, t) for s, k, t in notes)))


def stated(of: Record, **changes: object) -> Record:
    return replace(of, state=replace(of.state, **changes))


def rehearsed(of: Record, *, possible: bool | None = True) -> Record:
    at = of.state.case.began_at + 0.4
    detail = "rollback to 5d8b7c4f9 rehearsed" if possible else "an admission policy refuses it"
    of = told(of, (0.4, "rehearsed", detail))
    return replace(of, rehearsal=Rehearsal(possible, at, detail))


def intended(of: Record, kind: OutcomeKind, after: float, detail: str = "") -> Record:
    """Give a record its intent, decided 9 s after the beginning, and what came of it."""
    case = of.state.case
    assert case.stable is not None
    at = case.began_at + 9.0
    intent = Intent(
        f"rollback:{case.rollout}", case.workload, case.uid, case.candidate, case.stable, at, "why"
    )
    return stated(of, intent=intent, outcome=Outcome(kind, at + after, detail))


def baking() -> Record:
    finding = ratio(1, 412, (6, 1290), e_value=0.31)
    made = told(rehearsed(record("orders", Phase.BAKING)), (21.0, "baking", "every pod is ready"))
    made = stated(made, text=finding.text, bake_began_at=NOW - 74.0, elapsed=74.0)
    return replace(made, findings=(finding, HEALTH, PODS))


def progressing() -> Record:
    made = rehearsed(record("search", Phase.PROGRESSING, began=6.0))
    waiting = replace(
        PODS, answer=Verdict.WAIT, reason=Reason.NOT_READY_YET, text="1 of 4 pods ready"
    )
    return replace(stated(made, text=waiting.text), findings=(waiting,))


def held() -> Record:
    """Failed in mode observe."""
    finding = ratio(23, 104, (1, 410), e_value=2317.0)
    text = f"{finding.text}. The guard only observes here: it would have rolled back to 5d8b7c4f9"
    made = rehearsed(record("auth-service", Phase.HELD, began=312.0), possible=None)
    made = told(made, (9.0, "held", text))
    made = stated(made, hold=Hold.OBSERVE, verdict=Verdict.FAIL, text=text, elapsed=4.0)
    return replace(made, mode=Mode.OBSERVE, findings=(finding, HEALTH, PODS))


def rolled_back() -> Record:
    finding = ratio(41, 78, (0, 201), e_value=10_000.0)
    made = rehearsed(record("checkout", Phase.ROLLED_BACK, began=2100.0))
    made = intended(made, OutcomeKind.PATCHED, 0.12)
    made = told(
        made,
        (9.0, "decided", finding.text),
        (9.0, "intent", "roll back to 5d8b7c4f9 (it was promoted on evidence)"),
        (9.1, "patched", "the known-good template is in force"),
        (18.0, "verified", "4 of 4 pods of the known-good revision ready, 0 of their 96 failed"),
        (18.0, "ended", f"rolled_back: {finding.text}"),
    )
    ended_at = made.state.case.began_at + 18.0
    made = stated(made, verdict=Verdict.FAIL, text=finding.text, ended_at=ended_at)
    return replace(made, findings=(finding, HEALTH, PODS))


def promoted() -> Record:
    finding = ratio(3, 2104, (9, 2040), e_value=0.08)
    text = f"{finding.text}; {HEALTH.text}; {PODS.text}"
    made = rehearsed(record("payments", Phase.PROMOTED, began=5400.0))
    made = told(made, (14.0, "baking", "every pod is ready"), (135.0, "ended", f"promoted: {text}"))
    ended_at = made.state.case.began_at + 135.0
    made = stated(made, verdict=Verdict.PASS, text=text, elapsed=121.0, ended_at=ended_at)
    return replace(made, findings=(finding, HEALTH, PODS))


def rollback_failed() -> Record:
    finding = ratio(41, 78, (0, 201), e_value=10_000.0)
    made = rehearsed(record("cart", Phase.ROLLBACK_FAILED, began=900.0))
    made = intended(made, OutcomeKind.REFUSED, 0.3, "the API refused it: forbidden")
    ended_at = made.state.case.began_at + 9.5
    made = stated(made, verdict=Verdict.FAIL, text="the API refused it", ended_at=ended_at)
    return replace(made, findings=(finding,))


def a_night() -> list[Record]:
    return [baking(), held(), rolled_back(), promoted()]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3")


@pytest.fixture
def board(metrics: Metrics) -> Board:
    return Board(metrics)


@pytest.fixture
def built(board: Board, metrics: Metrics) -> web.Application:
    return application(board, metrics, lambda: "", version="1.2.3", mode="act")


@pytest.fixture
async def served(built: web.Application) -> AsyncIterator[Served]:
    server = await serve(built, "127.0.0.1", 0)
    yield server
    await server.close()


@pytest.fixture
def make(board: Board, metrics: Metrics) -> Callable[..., web.Application]:
    """Build an application over the same board with something else than usual."""

    def one(**other: object) -> web.Application:
        given = {"unready": lambda: "", "version": "1.2.3", "mode": "act", **other}
        return application(board, metrics, given.pop("unready"), **given)

    return one


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
