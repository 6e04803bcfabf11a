"""Reading alerts: whatever happens on the way is a reason, in time, and shows no secret."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from pydantic import SecretStr

from guard.config.settings import Settings
from guard.core.errors import ConfigurationError
from guard.core.policy import Alerts, Matcher, MatchOp
from guard.core.samples import Alert, Alerted, Unavailable, UnavailableReason
from guard.core.workloads import WorkloadId
from guard.sources import alerts
from guard.sources.alerts import Alertmanager, connect
from guard.sources.lookup import Address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pytest_aiohttp import AiohttpServer

    Source = Callable[..., Alertmanager]

SECRET = "seeded-secret"
WORKLOAD = WorkloadId("kubernetes", "shop", "auth")
PAGES = Alerts(matching=(Matcher("severity", MatchOp.EQUAL, "page"),))
ROW = {
    "annotations": {"summary": SECRET},
    "fingerprint": "aa11",
    "labels": {"alertname": "HighLatency", "pod": "auth-1", "deployment_guard": "true"},
    "startsAt": "1970-01-01T00:16:40.500Z",
    "status": {"state": "active", "inhibitedBy": [], "silencedBy": []},
}


class FakeAlertmanager:
    """A real HTTP server that says what the test says, and keeps the requests."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.requests: list[web.Request] = []
        self.say: Callable[[list[str]], web.StreamResponse] = lambda _: web.json_response([ROW])
        self.gate: asyncio.Event | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        filters = request.query.getall("filter")
        self.asked.append(filters)
        self.requests.append(request)
        if self.gate is not None:
            await self.gate.wait()
        return self.say(filters)


@pytest.fixture
def fake() -> FakeAlertmanager:
    return FakeAlertmanager()


@pytest.fixture
async def url(fake: FakeAlertmanager, aiohttp_server: AiohttpServer) -> str:
    app = web.Application()
    app.router.add_get("/prefix/api/v2/alerts", fake.answer)
    server = await aiohttp_server(app)
    return str(server.make_url("/prefix"))


@pytest.fixture
async def source_of() -> AsyncIterator[Callable[..., Alertmanager]]:
    opened: list[Alertmanager] = []

    def at(url: str, **more: object) -> Alertmanager:
        address = Address(url, whose="Alertmanager", **more)  # type: ignore[arg-type]
        opened.append(Alertmanager(address, lambda: 2000.0))
        return opened[-1]

    yield at
    for one in opened:
        await one.close()
        await one.close()


async def test_name_pod_and_time_of_what_fires_are_read_and_no_more(
    fake: FakeAlertmanager, url: str, source_of: Source
) -> None:
    answer = await source_of(url).firing(Alerts(), WORKLOAD, "auth-service")
    assert answer == Alerted((Alert("aa11", "HighLatency", "auth-1", 1000.5),), 2000.0)
    assert SECRET not in repr(answer)
    (request,) = fake.requests
    assert request.query["active"] == "true"
    assert request.query["silenced"] == request.query["inhibited"] == "false"


async def test_the_label_counts_with_the_workloads_namespace_and_the_service_alone(
    fake: FakeAlertmanager, url: str, source_of: Source
) -> None:
    await source_of(url).firing(Alerts(), WORKLOAD, "auth-service")
    assert fake.asked == [['deployment_guard="true"', 'namespace="shop"', 'service="auth-service"']]


async def test_what_the_policy_matches_counts_too_and_nothing_twice(
    fake: FakeAlertmanager, url: str, source_of: Source
) -> None:
    other = {**ROW, "fingerprint": "bb22", "labels": {}}
    fake.say = lambda filters: web.json_response([ROW] if len(filters) > 1 else [ROW, other])
    answer = await source_of(url).firing(PAGES, WORKLOAD, "auth-service")
    assert isinstance(answer, Alerted)
    assert [(one.fingerprint, one.pod) for one in answer.alerts] == [
        ("aa11", "auth-1"),
        ("bb22", ""),
    ]
    assert ['severity="page"'] in fake.asked


async def test_no_alert_is_an_answer(fake: FakeAlertmanager, url: str, source_of: Source) -> None:
    fake.say = lambda _: web.json_response([])
    assert await source_of(url).firing(Alerts(), WORKLOAD, "auth") == Alerted((), 2000.0)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, UnavailableReason.UNAUTHORIZED),
        (403, UnavailableReason.FORBIDDEN),
        (302, UnavailableReason.HTTP_STATUS),
        (500, UnavailableReason.HTTP_STATUS),
    ],
)
async def test_a_refusal_is_unavailable_and_its_words_are_not_passed_on(
    fake: FakeAlertmanager, url: str, source_of: Source, status: int, reason: UnavailableReason
) -> None:
    headers = {"Location": "http://elsewhere.test/"} if status == 302 else {}
    fake.say = lambda _: web.Response(status=status, text=SECRET, headers=headers)
    answer = await source_of(url).firing(Alerts(), WORKLOAD, "auth")
    assert answer == Unavailable(reason, f"Alertmanager answers {status}")


@pytest.mark.parametrize("body", ["", "{}", "[{}]", SECRET, '[{"fingerprint": 1}]'])
async def test_what_is_no_list_of_alerts_is_malformed(
    fake: FakeAlertmanager, url: str, source_of: Source, body: str
) -> None:
    fake.say = lambda _: web.Response(text=body)
    answer = await source_of(url).firing(PAGES, WORKLOAD, "auth")
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.MALFORMED
    assert SECRET not in answer.detail


async def test_an_answer_without_end_is_cut_off(
    fake: FakeAlertmanager, url: str, source_of: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "BODY_AT_MOST", 50)
    answer = await source_of(url).firing(Alerts(), WORKLOAD, "auth")
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.TOO_LARGE
    assert len(fake.asked) == 1


async def test_one_that_hangs_is_given_up(
    fake: FakeAlertmanager, url: str, source_of: Source
) -> None:
    fake.gate = asyncio.Event()
    answer = await source_of(url, timeout=0.2).firing(Alerts(), WORKLOAD, "auth")
    fake.gate.set()
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.TIMEOUT


async def test_one_that_is_not_there_is_refused(source_of: Source, unused_tcp_port: int) -> None:
    source = source_of(f"http://127.0.0.1:{unused_tcp_port}")
    answer = await source.firing(Alerts(), WORKLOAD, "auth")
    assert isinstance(answer, Unavailable)
    assert answer.reason is UnavailableReason.REFUSED


@pytest.fixture
def settings() -> Settings:
    """Made where the loop does not run: defaults look for files."""
    return Settings(
        alertmanager_url="http://replaced.test",
        alertmanager_token=SecretStr(SECRET),
        alertmanager_headers={"X-Scope-OrgID": SecretStr("team")},
    )


async def test_the_guard_signs_in_as_the_settings_say(
    fake: FakeAlertmanager, url: str, settings: Settings
) -> None:
    source = connect(settings.model_copy(update={"alertmanager_url": url}), lambda: 1.0)
    assert source is not None
    await source.firing(Alerts(), WORKLOAD, "auth")
    await source.close()
    (request,) = fake.requests
    assert request.headers["Authorization"] == f"Bearer {SECRET}"
    assert request.headers["X-Scope-OrgID"] == "team"
    assert SECRET not in repr(source)


def test_without_an_address_there_is_nobody_to_ask() -> None:
    assert connect(Settings(), lambda: 1.0) is None


def test_a_secret_with_a_line_break_is_named_by_its_server() -> None:
    where = Address("http://a.test", token=SecretStr("a\nb"), whose="Alertmanager")
    with pytest.raises(ConfigurationError, match=r"^Alertmanager: the header 'Authorization'"):
        Alertmanager(where, lambda: 1.0)
