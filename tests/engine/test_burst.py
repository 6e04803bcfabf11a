"""One burst of readings: what answers is not held up by what does not."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from guard.core.policy import Scrape
from guard.core.samples import NoData, NoDataReason, Reading, Unavailable
from guard.engine.burst import BURST_WITHIN, OTHERS_WITHIN, Burst
from tests.engine.cluster import Cluster, Source, Traffic
from tests.engine.stage import ERRORS

pytestmark = pytest.mark.looptime


class Bench:
    """Four ready pods, a direct scrape, and a Prometheus behind it."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.cluster.traffic["good"] = Traffic(rate=10.0)
        self.deployment = self.cluster.create_serving(replicas=4)
        self.scrape = Source(self.cluster, "scrape")
        self.prometheus = Source(self.cluster, "prometheus")
        self.burst = Burst([self.scrape, self.prometheus], ERRORS, Scrape())
        self.took = 0.0

    @property
    def pods(self) -> list:
        return self.deployment.pods

    async def read(self) -> dict:
        """Read once, half a second after the last time."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        chosen, _ = await self.burst.read(self.pods)
        self.took = loop.time() - began
        await asyncio.sleep(max(began + 0.5 - loop.time(), 0.0))
        return chosen

    def sources_of(self, chosen: dict) -> list[str]:
        readings = {
            key.partition("/")[0]: sample.source
            for key, sample in chosen.items()
            if isinstance(sample, Reading)
        }
        return [readings.get(pod.uid, "nothing") for pod in self.pods]


async def test_the_first_source_alone_is_asked_while_it_answers_for_all() -> None:
    bench = Bench()
    for _ in range(3):
        chosen = await bench.read()
        assert bench.sources_of(chosen) == ["scrape"] * 4
    assert bench.prometheus.asked == []
    assert bench.took == pytest.approx(bench.scrape.delay)


async def test_a_pod_it_did_not_answer_for_is_asked_of_the_others_from_the_next_tick_on() -> None:
    bench = Bench()
    silent = bench.pods[2]
    bench.scrape.unknown.add(silent.uid)
    first = await bench.read()
    assert first[f"{silent.uid}/"] == NoData(NoDataReason.NO_TARGET, "no source knows this pod")
    assert bench.sources_of(await bench.read()) == ["scrape", "scrape", "prometheus", "scrape"]
    assert [asked for _, asked in bench.prometheus.asked] == [{silent.uid}]
    bench.scrape.unknown.clear()
    await bench.read()
    assert bench.sources_of(await bench.read()) == ["scrape"] * 4


async def test_a_pod_that_hangs_costs_its_neighbours_one_time_out_and_no_more() -> None:
    bench = Bench()
    await bench.read()
    frozen = bench.pods[0]
    bench.scrape.hanging.add(frozen.uid)
    bench.prometheus.unknown.add(frozen.uid)
    assert await bench.read() == {}
    assert bench.took == pytest.approx(BURST_WITHIN + OTHERS_WITHIN, abs=0.3)
    await bench.read()
    for _ in range(10):
        chosen = await bench.read()
        assert bench.sources_of(chosen)[1:] == ["scrape"] * 3
        assert bench.took <= OTHERS_WITHIN + 0.01


async def test_a_late_answer_enters_with_a_later_tick() -> None:
    bench = Bench()
    slow = bench.pods[0]
    bench.scrape.unknown.add(slow.uid)
    bench.prometheus.delay = 0.7
    await bench.read()
    chosen = [await bench.read() for _ in range(4)]
    answered = [bench.sources_of(one)[0] for one in chosen]
    assert answered == ["nothing", "prometheus", "nothing", "prometheus"]
    assert all(f"{slow.uid}/" not in one for one in chosen)
    assert len(bench.prometheus.asked) == 2


async def test_a_hanging_second_source_never_delays_the_first() -> None:
    bench = Bench()
    bench.prometheus.delay = 1000.0
    bench.scrape.unknown.add(bench.pods[0].uid)
    for _ in range(5):
        chosen = await bench.read()
        assert bench.sources_of(chosen)[1:] == ["scrape"] * 3
        assert bench.took <= OTHERS_WITHIN + 0.01
    assert len(bench.prometheus.asked) == 1
    await bench.burst.close()


async def test_where_nobody_answers_the_first_sources_reason_is_given() -> None:
    bench = Bench()
    bench.scrape.down = True
    bench.prometheus.without_counter = True
    await bench.read()
    chosen = await bench.read()
    assert all(isinstance(sample, Unavailable) for sample in chosen.values())
    assert len(chosen) == 4


async def test_pods_that_went_are_asked_no_more() -> None:
    bench = Bench()
    gone = bench.pods[0]
    bench.scrape.unknown.add(gone.uid)
    await bench.read()
    bench.deployment.pods = bench.pods[1:]
    assert bench.sources_of(await bench.read()) == ["scrape"] * 3
    assert bench.prometheus.asked == []
    assert bench.burst._unread == set()


async def test_without_sources_or_pods_there_is_nothing() -> None:
    bench = Bench()
    nothing, answered = await Burst([], ERRORS, Scrape()).read([])
    assert (nothing, answered) == ({}, [])
    chosen, _ = await Burst([], ERRORS, Scrape()).read(bench.pods[:1])
    assert [type(sample) for sample in chosen.values()] == [NoData]
    assert (await bench.burst.read([]))[0] == {}


async def test_every_sample_is_reported_with_its_source() -> None:
    bench = Bench()
    bench.scrape.down = True
    await bench.read()
    _, answered = await bench.burst.read(bench.pods)
    assert sorted(source for source, _ in answered) == ["prometheus"] * 4 + ["scrape"] * 4


async def test_a_defect_of_a_source_is_not_swallowed() -> None:
    bench = Bench()
    bench.scrape.defect = True
    with pytest.raises(RuntimeError, match="a defect of a source"):
        await bench.read()


async def test_what_is_still_out_is_dropped_at_the_end() -> None:
    bench = Bench()
    bench.prometheus.delay = 1000.0
    bench.scrape.down = True
    await bench.read()
    await bench.read()
    before = len(asyncio.all_tasks())
    await bench.burst.close()
    await bench.burst.close()
    assert len(asyncio.all_tasks()) == before - 1


async def test_a_pod_with_several_containers_has_an_account_of_each() -> None:
    bench = Bench()
    pod = bench.pods[0]

    class Both(Source):
        def _pod(self, pod: object) -> list:
            ((key, sample),) = super()._pod(pod)
            assert isinstance(sample, Reading)
            return [(key, sample), (f"{key}-sidecar", replace(sample, total=1.0))]

    burst = Burst([Both(bench.cluster)], ERRORS, Scrape())
    chosen, _ = await burst.read([pod])
    assert set(chosen) == {f"{pod.uid}/app", f"{pod.uid}/app-sidecar"}
