"""A proxy's series from Prometheus: each by its own identity, what was never seen is no 0."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from guard.config.presets import preset, ratio
from guard.core.evidence.history import Mark, Track
from guard.core.policy import Scrape
from guard.core.samples import NoData, NoDataReason, Reading, Unavailable, UnavailableReason
from guard.sources.ledger import Ledger
from guard.sources.prometheus import PrometheusCounters
from guard.sources.prometheus_history import PrometheusHistory
from guard.sources.prometheus_service import SERIES_AT_MOST, ServiceCounters
from guard.sources.scrape import Scraper
from tests.sources.prometheus_world import Scripted, pod, series
from tests.sources.test_prometheus_history import SPAN, Replay

if TYPE_CHECKING:
    from guard.core.samples import CounterSample
    from guard.sources.prometheus_answers import Series
    from guard.sources.prometheus_client import PrometheusClient

METRIC = "nginx_ingress_controller_requests"
NARROWED = f'{METRIC}{{exported_namespace="shop",exported_service="cart"}}'
SLI = ratio(preset(NARROWED), ())


def of_proxy(*samples: tuple[float, float], status: str = "200", **labels: str) -> Series:
    target = {"namespace": "ingress", "pod": "proxy-1", "instance": "10.0.9.1:10254"}
    named = {"exported_namespace": "shop", "exported_service": "cart", "status": status}
    return series(METRIC, *samples, **{**target, **named, "job": "proxies", **labels})


def asks(client: Scripted) -> ServiceCounters:
    return ServiceCounters(cast("PrometheusClient", client), 15.0)


async def read(*found: Series) -> dict[str, CounterSample]:
    return dict(await asks(Scripted(lambda _: found)).read(SLI))


async def readings(*found: Series) -> list[Reading]:
    """What was read, where all of it is readings."""
    samples = (await read(*found)).values()
    known = [one for one in samples if isinstance(one, Reading)]
    assert len(known) == len(samples)
    return known


async def only(*found: Series) -> CounterSample:
    ((key, sample),) = (await read(*found)).items()
    assert key.startswith("service/")
    return sample


async def test_the_question_is_the_narrowed_selector_alone_and_raw() -> None:
    client = Scripted(lambda _: ())
    await asks(client).read(SLI)
    assert client.queries == [f"{NARROWED}[37500ms]"]


async def test_each_series_is_an_account_whose_bad_is_all_of_it_or_none() -> None:
    shown = of_proxy((85.0, 5.0), (100.0, 9.0)), of_proxy((100.0, 2.0), status="503")
    found = sorted((one.total, one.bad, one.at) for one in await readings(*shown))
    assert found == [(2.0, 2.0, 100.0), (9.0, 0.0, 100.0)]
    later = await read(of_proxy((115.0, 9.0)), of_proxy((115.0, 2.0), status="503"))
    assert later.keys() == (await read(*shown)).keys()


async def test_a_series_that_the_scrape_before_had_not_counts_from_zero_since_then() -> None:
    old, new = of_proxy((85.0, 5.0), (100.0, 9.0)), of_proxy((100.0, 2.0), status="503")
    found = {one.total: one for one in await readings(old, new)}
    assert (found[2.0].absent_at, found[9.0].absent_at) == (85.0, None)


async def test_where_two_replicas_are_mixed_nobody_knows_since_when_a_series_counts() -> None:
    found = await readings(of_proxy((85.0, 5.0), (100.0, 9.0)), of_proxy((93.0, 2.0), status="503"))
    assert [one.absent_at for one in found] == [None, None]


async def test_a_new_proxys_series_has_no_scrape_before_it() -> None:
    found = await readings(
        of_proxy((85.0, 5.0), (100.0, 9.0)), of_proxy((100.0, 700.0), pod="proxy-2")
    )
    assert [one.absent_at for one in found] == [None, None]


async def test_one_proxy_that_two_jobs_scrape_is_counted_once() -> None:
    sample = await only(of_proxy((100.0, 9.0)), of_proxy((101.0, 9.0), job="again"))
    assert isinstance(sample, Reading)
    assert sample.at == 101.0  # That of the job `again`, always.


async def test_a_proxy_without_a_pods_label_is_known_by_its_address() -> None:
    found = await read(
        of_proxy((100.0, 1.0), pod=""), of_proxy((100.0, 2.0), pod="", instance="b:1")
    )
    assert len(found) == 2


async def test_what_is_not_there_is_said_and_never_zero() -> None:
    for found, reason in (
        ((), NoDataReason.NO_SERIES),
        ((of_proxy(),), NoDataReason.NO_SERIES),
        ((of_proxy((100.0, float("nan"))),), NoDataReason.STALE),
        ((series(METRIC, (100.0, 1.0), code="200"),), NoDataReason.NO_LABEL),
        (
            [of_proxy((1.0, 1.0), host=str(n)) for n in range(SERIES_AT_MOST + 1)],
            NoDataReason.AMBIGUOUS,
        ),
    ):
        sample = await only(*found)
        assert isinstance(sample, NoData)
        assert sample.reason is reason


async def test_a_server_that_does_not_answer_is_unavailable() -> None:
    away = Unavailable(UnavailableReason.TIMEOUT)
    assert await asks(Scripted(lambda _: away)).read(SLI) == {"service/": away}


async def test_checks_that_ask_the_same_share_one_question() -> None:
    client = Scripted(lambda _: (of_proxy((100.0, 1.0)),))
    counters = asks(client)
    first, second = await asyncio.gather(counters.read(SLI), counters.read(SLI))
    assert first == second
    assert len(client.queries) == 1
    await counters.read(replace(SLI, target_labels=frozenset({"cluster"})))
    assert len(client.queries) == 2


async def test_prometheus_counters_answer_it_without_any_pod_and_a_scrape_says_nothing() -> None:
    client = cast("PrometheusClient", Scripted(lambda _: (of_proxy((100.0, 1.0)),)))
    ledger = Ledger(lambda: 0.0)
    counters = PrometheusCounters(client, ledger, lambda: 100.0, 15.0)
    assert len(await counters.read(SLI, (), Scrape())) == 1
    scraper = Scraper(ledger, lambda: 0.0, None)
    assert await scraper.read(SLI, (pod(),), Scrape()) == {}


def counted(kind: str, *samples: tuple[float, float], **labels: str) -> Series:
    target = {"namespace": "ingress", "pod": "proxy-1", "job": "proxies", "instance": "a:1"}
    return series("", *samples, **{**target, **labels, "guard_kind": kind})


async def look(client: Replay) -> tuple[Track, ...] | NoData | Unavailable:
    history = PrometheusHistory(cast("PrometheusClient", client))
    return await history.look_back(SLI, (), Scrape(), SPAN)


async def test_the_past_is_that_of_the_proxies_one_track_each_and_asks_for_no_pod() -> None:
    total = counted("total", (60.0, 100.0), (120.0, 200.0))
    bad = counted("bad", (120.0, 2.0))
    again = counted("total", (60.0, 100.0), job="again")
    other = counted("total", (60.0, 7.0), pod="proxy-2")
    lone = counted("bad", (60.0, 7.0), pod="proxy-3")
    client = Replay((total, bad, again, other, lone))
    assert await look(client) == (
        Track("proxy-1", (Mark(60, 100, 0), Mark(120, 200, 2))),
        Track("proxy-2", (Mark(60, 7, 0),)),
    )
    ((query, *_),) = client.asked
    assert NARROWED in query
    assert "pod=~" not in query


async def test_a_long_past_is_read_in_a_thread_and_a_missing_one_is_said() -> None:
    long = counted("total", *((float(n), float(n)) for n in range(9_000)))
    tracks = await look(Replay((long,)))
    assert isinstance(tracks, tuple)
    assert len(tracks[0].marks) == 9_000
    assert isinstance(await look(Replay()), NoData)
    away = Unavailable(UnavailableReason.TIMEOUT)
    assert await look(Replay(away)) == away
