"""A shop on a local platform, and waiting for what its snapshots show."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from guard.core.actions import Intent, KnownGood
from guard.core.workloads import Snapshot, WorkloadId
from guard.platforms.local.platform import Local
from guard.platforms.local.template import Template

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from guard.core.workloads import Revision

WITHIN = 20.0
"""Seconds until a test gives up waiting."""


class Shop:
    """One workload of a local platform, which the guard follows."""

    id = WorkloadId("local", "shop", "checkout")
    good = Template("shop:1")
    bad = Template("shop:2", error_ratio=0.5)

    def __init__(self, local: Local) -> None:
        self.local = local

    def apply(self, template: Template, replicas: int = 2) -> Snapshot:
        self.local.apply(self.id, template, replicas)
        return self.now

    def delete(self) -> None:
        self.local.delete(self.id)

    @property
    def now(self) -> Snapshot:
        snapshot = self.local.snapshot(self.id)
        assert isinstance(snapshot, Snapshot)
        return snapshot

    @property
    def ports(self) -> list[int]:
        return self.local.endpoints(self.id)

    async def until(self, wanted: Callable[[Snapshot], bool]) -> Snapshot:
        """Wait until a snapshot is as wanted."""
        async with asyncio.timeout(WITHIN):
            snapshot = await self.local.until(self.id, wanted)
        assert snapshot is not None
        return snapshot

    @staticmethod
    def known_good(revision: Revision) -> KnownGood:
        return KnownGood(revision=revision, since=0.0, why="a test says so")

    def intent(self, good: Snapshot, candidate: Snapshot, name: str = "rollback:1") -> Intent:
        """The rollback from one snapshot's revision to another's."""
        return Intent(
            id=name,
            workload=self.id,
            uid=candidate.uid,
            candidate=candidate.current,
            known_good=self.known_good(good.current),
            decided_at=0.0,
            cause="guard rolled it back",
        )


@pytest.fixture
async def local() -> AsyncIterator[Local]:
    platform = Local()
    yield platform
    await platform.close()


@pytest.fixture
def shop(local: Local) -> Shop:
    local.follow(frozenset({Shop.id}))
    return Shop(local)


@pytest.fixture
async def serving(shop: Shop) -> Snapshot:
    """The shop serves the good template with two pods, and it is kept as known good."""
    shop.apply(shop.good)
    snapshot = await shop.until(lambda s: s.complete)
    assert await shop.local.keep(snapshot, shop.known_good(snapshot.current))
    return snapshot


@pytest.fixture
def released(shop: Shop, serving: Snapshot) -> Snapshot:
    """The bad release has begun over the good one."""
    snapshot = shop.apply(shop.bad)
    assert snapshot.current != serving.current
    return snapshot
