"""Slow requests from real Prometheus servers, whichever way they store a bucket's bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from guard.core.policy import Latency, Selector
from guard.core.samples import CounterSample, NoData, NoDataReason, Reading
from guard.sources.lookup import Address
from tests.integration.prometheus.scene import Asker, Fleet, asker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RPC = Selector("rpc_seconds", (), "rpc_seconds")


@pytest.fixture
async def guard(fleet: Fleet) -> AsyncIterator[Asker]:
    asking = asker(Address(fleet.server.url, timeout=2.0))
    yield asking
    await asking.close()


async def test_slow_requests_are_counted_by_the_bucket_of_the_threshold(
    fleet: Fleet, guard: Asker
) -> None:
    def whole(sample: CounterSample) -> bool:
        return isinstance(sample, Reading) and sample.total == 5.0

    async with fleet.taken() as (pod,):
        pod.seconds += [0.1, 0.9, 1.0, 1.1, 30.0]
        found = await guard.until(pod.pod(), whole, Latency(RPC, 1.0, 1.0))
        assert isinstance(found, Reading)
        assert found.bad == 2.0


async def test_a_threshold_between_two_buckets_is_no_data(fleet: Fleet, guard: Asker) -> None:
    def refused(sample: CounterSample) -> bool:
        return isinstance(sample, NoData) and sample.reason is NoDataReason.NO_BUCKET

    async with fleet.taken() as (pod,):
        pod.seconds += [0.1, 3.0]
        found = await guard.until(pod.pod(), refused, Latency(RPC, 0.7, 0.7))
        assert isinstance(found, NoData)
        assert found.detail.startswith("rpc_seconds has no bucket le=0.7")
