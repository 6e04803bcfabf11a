"""Direct scrape against real servers: every pod in one burst, every trouble a value in time."""

from __future__ import annotations

import asyncio
import gzip
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from guard import __version__
from guard.config.selectors import selector
from guard.core.policy import Ratio, Scrape
from guard.core.samples import NoData, NoDataReason, Reading, Unavailable, UnavailableReason
from guard.core.workloads import Container, Probe
from guard.sources import questions
from guard.sources.ledger import Ledger
from guard.sources.machines import PrometheusScrapes
from guard.sources.pages import BODY_AT_MOST, NEW_CONNECTIONS, Pages
from guard.sources.scrape import Scraper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from aiohttp.test_utils import TestServer
    from conftest import Certificates, MakePod
    from pytest_aiohttp import AiohttpServer

    from guard.core.samples import CounterSample

SLI = Ratio(bad=selector('http_requests_total{code=~"5.."}'), total=selector("http_requests_total"))
SECRET = "seeded-secret"
PEER = web.RequestKey("peer", tuple)
SHORT = 0.2
"""Seconds: the time limit where a test waits for it to pass."""


def page(*, path: bool = False, start: float | None = None) -> bytes:
    registry = CollectorRegistry()
    names = ["code", "path"] if path else ["code"]
    requests = Counter("http_requests_total", "Requests.", names, registry=registry)
    for code, where, count in (("200", "/buy", 40), ("503", "/buy", 3), ("200", "/metrics", 7)):
        requests.labels(*([code, where] if path else [code])).inc(count)
    if start is not None:
        Gauge("process_start_time_seconds", "Start.", registry=registry).set(start)
    return generate_latest(registry)


@dataclass
class Shop:
    """A pod: its page, and what it was asked."""

    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    asked: list[web.Request] = field(default_factory=list)
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)
    server: TestServer | None = None
    gate: asyncio.Event | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        assert request.transport is not None
        request[PEER] = request.transport.get_extra_info("peername")
        self.was_asked.set()
        if self.gate is not None:
            await self.gate.wait()
        headers = {"Content-Type": "text/plain; version=0.0.4", **self.headers}
        return web.Response(body=self.body, status=self.status, headers=headers)

    @property
    def port(self) -> int:
        assert self.server is not None
        assert self.server.port is not None
        return self.server.port


@pytest.fixture
async def open_shop(aiohttp_server: AiohttpServer) -> Callable[..., Awaitable[Shop]]:
    async def make(body: bytes = b"", *, ssl: object = None, **changes: object) -> Shop:
        shop = Shop(body, **changes)  # type: ignore[arg-type]
        app = web.Application()
        app.router.add_get("/{path:.*}", shop.answer)
        shop.server = await aiohttp_server(app, ssl=ssl)  # type: ignore[arg-type]
        return shop

    return make


OpenShop = "Callable[..., Awaitable[Shop]]"


@dataclass
class Clock:
    """A clock that says what it is told."""

    at: float = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    return Ledger(clock)


@pytest.fixture
async def scraper(ledger: Ledger, clock: Clock) -> AsyncIterator[Scraper]:
    made = Scraper(ledger, clock, PrometheusScrapes(15.0, 2))
    yield made
    await made.close()
    await made.close()


async def only(
    scraper: Scraper, pod: object, scrape: Scrape | None = None, sli: Ratio = SLI
) -> CounterSample:
    (sample,) = (await scraper.read(sli, [pod], scrape or Scrape())).values()  # type: ignore[list-item]
    return sample


# What is read.


async def test_bad_and_total_of_one_page_are_summed_over_their_series(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod
) -> None:
    shop = await open_shop(page(start=900.0))
    samples = await scraper.read(SLI, [pod_at(shop.port)], Scrape())
    assert samples == {
        "u/app": Reading(
            total=50.0,
            bad=3.0,
            at=1000.0,
            source="scrape",
            process_start=900.0,
            machine=pytest.approx(2 / 15),
            sent_since=1000.0,
            ahead=4,
        )
    }
    (request,) = shop.asked
    assert request.path == "/metrics"
    assert request.headers["User-Agent"] == f"deployment-guard/{__version__}"
    assert request.headers["Accept"].startswith("text/plain;version=0.0.4")
    assert "gzip" in request.headers["Accept-Encoding"]


async def test_series_of_machines_paths_are_left_out(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod
) -> None:
    shop = await open_shop(page(path=True))
    sample = await only(scraper, pod_at(shop.port))
    assert isinstance(sample, Reading)
    assert (sample.total, sample.bad, sample.paths_known) == (43.0, 3.0, True)


async def test_machines_that_ask_without_a_path_label_are_set_off(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod, ledger: Ledger, clock: Clock
) -> None:
    shop = await open_shop(page())
    pod = pod_at(
        shop.port,
        Probe("readiness", "app", "http", "/ready", shop.port, period=10.0),
        Probe("liveness", "app", "http", "/live", shop.port, period=5.0),
        Probe("startup", "app", "http", "/live", shop.port, period=5.0),
        Probe("liveness", "proxy", "http", "/live", 15000, period=1.0),
        Probe("readiness", "app", "exec"),
    )
    await only(scraper, pod)
    ledger.note("u", 1000.0, bad=True, container="app")
    ledger.note("u", 1000.0, bad=True, container="proxy")
    clock.at = 1001.0
    sample = await only(scraper, pod)
    assert isinstance(sample, Reading)
    assert sample.machine == pytest.approx(0.3 + 2 / 15)
    # The scrape that the reading is of is not counted in it yet.
    assert (sample.sent, sample.sent_bad, sample.ahead) == (2, 1, 3 + 2 + 2)
    assert ledger.sent("u", 1002.0) == (4, 2)


async def test_without_any_bad_series_bad_is_not_known_and_no_zero_is_made_up(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod
) -> None:
    shop = await open_shop(b'http_requests_total{code="200"} 5\n')
    sample = await only(scraper, pod_at(shop.port))
    assert isinstance(sample, Reading)
    assert (sample.total, sample.bad) == (5.0, None)


async def test_bad_may_be_a_metric_of_its_own(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod
) -> None:
    shop = await open_shop(b"errors_total 2\nhttp_requests_total 5\n")
    sli = Ratio(bad=selector("errors_total"), total=selector("http_requests_total"))
    sample = await only(scraper, pod_at(shop.port), sli=sli)
    assert isinstance(sample, Reading)
    assert (sample.total, sample.bad) == (5.0, 2.0)


async def test_an_exposed_time_is_the_readings_time_where_all_series_have_one(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod
) -> None:
    shop = await open_shop(
        b'http_requests_total{code="200"} 5 990000\nhttp_requests_total{code="500"} 1 995500\n'
    )
    sample = await only(scraper, pod_at(shop.port))
    assert isinstance(sample, Reading)
    assert sample.at == 995.5
    shop.body = b'http_requests_total{code="200"} 5 990000\nhttp_requests_total{code="500"} 1\n'
    sample = await only(scraper, pod_at(shop.port))
    assert isinstance(sample, Reading)
    assert sample.at == 1000.0


async def test_a_body_that_comes_compressed_is_read(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod
) -> None:
    shop = await open_shop(gzip.compress(page()), headers={"Content-Encoding": "gzip"})
    sample = await only(scraper, pod_at(shop.port))
    assert isinstance(sample, Reading)
    assert sample.total == 50.0


async def test_openmetrics_is_read_with_its_times_in_seconds(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod
) -> None:
    headers = {"Content-Type": "application/openmetrics-text; version=1.0.0; charset=utf-8"}
    body = b'# TYPE http_requests counter\nhttp_requests_total{code="200"} 5.0 990.5\n# EOF\n'
    shop = await open_shop(body, headers=headers)
    sample = await only(scraper, pod_at(shop.port))
    assert isinstance(sample, Reading)
    assert (sample.total, sample.at) == (5.0, 990.5)


async def test_a_page_of_megabytes_is_read_aside(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod
) -> None:
    shop = await open_shop(page() + b"x_bucket 5\n" * 200_000)
    sample = await only(scraper, pod_at(shop.port))
    assert isinstance(sample, Reading)
    assert sample.total == 50.0


async def test_each_container_has_an_account_of_its_own(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod
) -> None:
    app, proxy = await open_shop(page()), await open_shop(b"x 1\n")
    pod = pod_at(app.port)
    sidecar = Container("proxy", ports=(("metrics", proxy.port),))
    pod = replace(pod, containers=(*pod.containers, sidecar))
    samples = await scraper.read(SLI, [pod], Scrape())
    assert isinstance(samples["u/app"], Reading)
    assert samples["u/proxy"] == NoData(
        NoDataReason.NO_SERIES, "http_requests_total is not exposed"
    )


async def test_more_labels_than_are_remembered_are_worked_out_anew(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "_MEANINGS_AT_MOST", 1)
    questions.ask.cache_clear()
    shop = await open_shop(page())
    for _ in range(2):
        sample = await only(scraper, pod_at(shop.port))
        assert isinstance(sample, Reading)
        assert (sample.total, sample.bad) == (50.0, 3.0)
    questions.ask.cache_clear()


# What is not there.


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        (b"x 1\n", NoDataReason.NO_SERIES, "http_requests_total is not exposed"),
        (b"", NoDataReason.NO_SERIES, "http_requests_total is not exposed"),
        (
            b'http_requests_total{status="500"} 1\n',
            NoDataReason.NO_LABEL,
            "no series of http_requests_total has the label code; there is status",
        ),
    ],
    ids=["another metric", "an empty page", "another label"],
)
async def test_what_the_page_does_not_hold_is_no_data_and_named(
    scraper: Scraper,
    open_shop: OpenShop,
    pod_at: MakePod,
    body: bytes,
    reason: NoDataReason,
    words: str,
) -> None:
    shop = await open_shop(body)
    assert await only(scraper, pod_at(shop.port)) == NoData(reason, words)


async def test_a_label_that_total_asks_for_and_no_series_has_is_named(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod
) -> None:
    shop = await open_shop(page())
    sli = Ratio(
        bad=selector('http_requests_total{kind="a",code="500"}'),
        total=selector('http_requests_total{kind="a"}'),
    )
    sample = await only(scraper, pod_at(shop.port), sli=sli)
    assert isinstance(sample, NoData)
    assert sample.reason is NoDataReason.NO_LABEL


async def test_a_selector_that_matches_none_of_the_exposed_series_is_named(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod
) -> None:
    shop = await open_shop(page())
    total = selector('http_requests_total{code="418"}')
    sample = await only(scraper, pod_at(shop.port), sli=Ratio(bad=SLI.bad, total=total))
    assert sample == NoData(NoDataReason.NO_SERIES, f"no exposed series matches {total.text}")


async def test_a_label_that_one_revision_has_is_not_known_in_the_other(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod
) -> None:
    """Else a candidate whose label was renamed would have no errors at all."""
    old = await open_shop(page())
    new = await open_shop(b'http_requests_total{status="500"} 9\n')
    samples = await scraper.read(
        SLI, [pod_at(old.port, uid="old"), pod_at(new.port, uid="new")], Scrape()
    )
    assert isinstance(samples["old/app"], Reading)
    new_sample = samples["new/app"]
    assert isinstance(new_sample, NoData)
    assert new_sample.reason is NoDataReason.NO_LABEL


async def test_a_pod_that_says_nowhere_where_to_scrape_is_not_asked(
    scraper: Scraper, pod_at: MakePod
) -> None:
    pod = replace(pod_at(1), containers=(Container("app"),))
    samples = await scraper.read(SLI, [pod], Scrape())
    assert isinstance(samples["u/"], NoData)
    assert samples["u/"].reason is NoDataReason.NO_TARGET


# What does not answer.


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"status": 401}, UnavailableReason.UNAUTHORIZED, "it answers 401"),
        ({"status": 403}, UnavailableReason.FORBIDDEN, "it answers 403"),
        ({"status": 404}, UnavailableReason.HTTP_STATUS, "it answers 404"),
        ({"status": 500}, UnavailableReason.HTTP_STATUS, "it answers 500"),
        (
            {"status": 302, "headers": {"Location": "/elsewhere"}},
            UnavailableReason.HTTP_STATUS,
            "it answers 302, a redirect: name /elsewhere as the path (`scrape` or annotation)",
        ),
        (
            {"status": 307, "headers": {"Location": "http://[other/place"}},
            UnavailableReason.HTTP_STATUS,
            "it answers 307",
        ),
        (
            {"body": b"http_requests_total five\n"},
            UnavailableReason.MALFORMED,
            "a line of http_requests_total cannot be read",
        ),
        (
            {"body": b"<html>http_requests_total 5\n"},
            UnavailableReason.MALFORMED,
            "it answers a page for people",
        ),
        (
            {"headers": {"Content-Type": "application/json"}},
            UnavailableReason.MALFORMED,
            "it answers application/json",
        ),
        (
            {
                "body": b"http_requests_total 5\n",
                "headers": {"Content-Type": "application/openmetrics-text"},
            },
            UnavailableReason.MALFORMED,
            "the answer was cut off",
        ),
        (
            {"body": gzip.compress(page())[:-40], "headers": {"Content-Encoding": "gzip"}},
            UnavailableReason.MALFORMED,
            "the answer was cut off",
        ),
        (
            {"body": b"x" * (BODY_AT_MOST + 1)},
            UnavailableReason.TOO_LARGE,
            "it answers more than 10 MB",
        ),
        (
            {
                "body": gzip.compress(b"x" * (BODY_AT_MOST + 1), 1),
                "headers": {"Content-Encoding": "gzip"},
            },
            UnavailableReason.TOO_LARGE,
            "it answers more than 10 MB",
        ),
    ],
    ids=[
        "401",
        "403",
        "404",
        "500",
        "a redirect",
        "a redirect to nowhere",
        "a line that is none",
        "html",
        "json",
        "openmetrics without its end",
        "a cut compressed body",
        "too large",
        "a small body that is too large decompressed",
    ],
)
async def test_every_trouble_of_an_answer_is_unavailable_with_its_reason(
    scraper: Scraper,
    open_shop: OpenShop,
    pod_at: MakePod,
    changes: dict[str, object],
    reason: UnavailableReason,
    words: str,
) -> None:
    shop = await open_shop(**changes)
    sample = await only(scraper, pod_at(shop.port))
    assert isinstance(sample, Unavailable)
    assert sample.reason is reason
    assert words in sample.detail
    assert len(shop.asked) == 1


async def test_a_refused_connection_is_no_request(
    scraper: Scraper, unused_tcp_port: int, pod_at: MakePod, ledger: Ledger
) -> None:
    samples = await scraper.read(SLI, [pod_at(unused_tcp_port)], Scrape())
    (sample,) = samples.values()
    assert list(samples) == ["u/"]
    assert isinstance(sample, Unavailable)
    assert sample.reason is UnavailableReason.REFUSED
    assert sample.detail == f"http://127.0.0.1:{unused_tcp_port}/metrics: no connection"
    assert ledger.sent("u", 2000.0) == (0, 0)


async def test_a_connection_that_closes_without_an_answer_may_have_been_a_request(
    scraper: Scraper, pod_at: MakePod, ledger: Ledger
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        sample = await only(scraper, pod_at(server.sockets[0].getsockname()[1]))
    assert isinstance(sample, Unavailable)
    assert sample.reason is UnavailableReason.REFUSED
    assert ledger.unanswered("u", 1000.0) == (1, 0.0)


async def test_what_answers_no_http_is_malformed(scraper: Scraper, pod_at: MakePod) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"-ERR unknown command\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        sample = await only(scraper, pod_at(server.sockets[0].getsockname()[1]))
    assert isinstance(sample, Unavailable)
    assert sample.reason is UnavailableReason.MALFORMED


async def test_a_body_shorter_than_it_said_is_malformed(scraper: Scraper, pod_at: MakePod) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nhttp_requests_total 12")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        sample = await only(scraper, pod_at(server.sockets[0].getsockname()[1]))
    assert isinstance(sample, Unavailable)
    assert sample.reason is UnavailableReason.MALFORMED


async def test_a_pod_that_hangs_costs_the_time_limit_and_holds_up_no_other(
    ledger: Ledger, clock: Clock, open_shop: OpenShop, pod_at: MakePod
) -> None:
    scraper = Scraper(ledger, clock, None)
    scraper._pages = Pages(ledger, clock, time_limit=SHORT)
    hanging = await open_shop(page(), gate=asyncio.Event())
    quick = await open_shop(page())
    began = time.monotonic()
    samples = await scraper.read(
        SLI, [pod_at(hanging.port, uid="h"), pod_at(quick.port, uid="q")], Scrape()
    )
    assert time.monotonic() - began < 10 * SHORT
    assert isinstance(samples["q/app"], Reading)
    hung = samples["h/"]
    assert isinstance(hung, Unavailable)
    assert hung.reason is UnavailableReason.TIMEOUT
    assert ledger.unanswered("h", 1000.0) == (1, 0.0)
    await scraper.close()


# One GET for all who ask at once.


async def test_two_checks_of_one_tick_share_one_request(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod
) -> None:
    shop = await open_shop(page())
    other = Ratio(bad=selector('http_requests_total{code="200"}'), total=SLI.total)
    pod = pod_at(shop.port)
    first, second = await asyncio.gather(only(scraper, pod), only(scraper, pod, sli=other))
    assert isinstance(first, Reading)
    assert isinstance(second, Reading)
    assert (first.bad, second.bad, len(shop.asked)) == (3.0, 47.0, 1)
    assert (first.sent, second.sent) == (0, 0)


async def test_who_gives_up_waiting_takes_the_page_from_nobody(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod
) -> None:
    shop = await open_shop(page(), gate=asyncio.Event())
    pod = pod_at(shop.port)
    first = asyncio.create_task(only(scraper, pod))
    second = asyncio.create_task(only(scraper, pod))
    await shop.was_asked.wait()
    first.cancel()
    assert shop.gate is not None
    shop.gate.set()
    assert isinstance(await second, Reading)
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_connections_are_kept_once_a_pod_has_answered_over_several(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod, clock: Clock
) -> None:
    shop = await open_shop(page())
    for _ in range(NEW_CONNECTIONS + 10):
        clock.at += 0.5
        await only(scraper, pod_at(shop.port))
    peers = [request[PEER] for request in shop.asked]
    assert len(set(peers[:NEW_CONNECTIONS])) == NEW_CONNECTIONS
    assert len(set(peers[NEW_CONNECTIONS:])) == 1


async def test_closing_ends_what_is_under_way(
    ledger: Ledger, clock: Clock, open_shop: OpenShop, pod_at: MakePod
) -> None:
    scraper = Scraper(ledger, clock, None)
    shop = await open_shop(page(), gate=asyncio.Event())
    reading = asyncio.create_task(only(scraper, pod_at(shop.port)))
    await shop.was_asked.wait()
    await scraper.close()
    with pytest.raises(asyncio.CancelledError):
        await reading


# Whom to trust, and how to sign in.


async def test_a_pod_is_trusted_by_its_authority_whatever_name_it_is_certified_for(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod, certificates: Certificates
) -> None:
    shop = await open_shop(page(), ssl=certificates.server)
    scrape = Scrape(scheme="https", ca_file=str(certificates.ca_file))
    assert isinstance(await only(scraper, pod_at(shop.port), scrape), Reading)


async def test_a_pod_that_no_known_authority_certifies_is_not_trusted(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod, certificates: Certificates
) -> None:
    shop = await open_shop(page(), ssl=certificates.server)
    sample = await only(scraper, pod_at(shop.port), Scrape(scheme="https"))
    assert isinstance(sample, Unavailable)
    assert sample.reason is UnavailableReason.TLS
    assert "certificate not trusted" in sample.detail
    assert shop.asked == []


async def test_plain_http_where_https_was_asked_for_is_a_tls_trouble(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod, certificates: Certificates
) -> None:
    shop = await open_shop(page())
    scrape = Scrape(scheme="https", ca_file=str(certificates.ca_file))
    sample = await only(scraper, pod_at(shop.port), scrape)
    assert isinstance(sample, Unavailable)
    assert sample.reason is UnavailableReason.TLS


async def test_a_token_is_sent_and_read_again_when_it_changes(
    scraper: Scraper, open_shop: OpenShop, pod_at: MakePod, tmp_path: Path
) -> None:
    shop = await open_shop(page())
    file = tmp_path / "token"
    for token in (SECRET, f"{SECRET}-renewed"):
        file.write_text(f"{token}\n")
        await only(scraper, pod_at(shop.port), Scrape(token_file=str(file)))
        assert shop.asked[-1].headers["Authorization"] == f"Bearer {token}"


@pytest.mark.parametrize(
    ("scrape", "reason", "words"),
    [
        ({"token_file": "gone"}, UnavailableReason.NOT_CONFIGURED, "no token in token_file"),
        ({"token_file": "empty"}, UnavailableReason.NOT_CONFIGURED, "no token in token_file"),
        ({"token_file": "broken"}, UnavailableReason.NOT_CONFIGURED, "no token in token_file"),
        ({"ca_file": "gone"}, UnavailableReason.TLS, "no authorities in ca_file"),
        ({"ca_file": "broken"}, UnavailableReason.TLS, "no authorities in ca_file"),
    ],
)
async def test_a_file_that_cannot_be_used_is_named_and_nothing_of_it_shown(
    scraper: Scraper,
    pod_at: MakePod,
    tmp_path: Path,
    scrape: dict[str, str],
    reason: UnavailableReason,
    words: str,
) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "broken").write_text(f"{SECRET}\n{SECRET}\x01\n")
    stated = Scrape(**{key: str(tmp_path / name) for key, name in scrape.items()})  # type: ignore[arg-type]
    samples = await scraper.read(SLI, [pod_at(1)], stated)
    sample = samples["u/"]
    assert isinstance(sample, Unavailable)
    assert sample.reason is reason
    assert sample.detail.startswith(words)
    assert SECRET not in repr(sample)


async def test_the_token_shows_in_no_trouble(
    scraper: Scraper,
    unused_tcp_port: int,
    open_shop: OpenShop,
    pod_at: MakePod,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "token"
    file.write_text(SECRET)
    shop = await open_shop(SECRET.encode(), status=401)
    for port in (unused_tcp_port, shop.port):
        sample = await only(scraper, pod_at(port), Scrape(token_file=str(file)))
        assert isinstance(sample, Unavailable)
        assert SECRET not in repr(sample)
    access = await scraper._trust.access(Scrape(token_file=str(file)))
    assert SECRET not in repr(access)
    assert SECRET not in caplog.text
