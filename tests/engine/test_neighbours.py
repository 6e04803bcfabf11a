"""Neighbours: what a service depends on is looked at while there is trouble to be explained."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from guard.core.policy import Pods, Service
from guard.core.states import Hold, Phase
from guard.core.workloads import WorkloadId
from tests.engine.cluster import AUTH, Traffic
from tests.engine.stage import AVAILABILITY, ERRORS, POLICY

if TYPE_CHECKING:
    from tests.engine.stage import Stage

pytestmark = pytest.mark.looptime

ORDERS = WorkloadId("kubernetes", "shop", "orders")
EXACT = replace(ERRORS, allowance=1)


def two_services(stage: Stage, *, depends: bool = True) -> None:
    """`auth-service`, which depends on `orders`, with a release that is a little over the bound.

    It fails 2% beside 1.3% of the stable revision, which is neither clean nor clearly bad.
    """
    auth = replace(POLICY, checks=(EXACT,), depends_on=("orders",) if depends else ())
    orders = replace(POLICY, service="orders", checks=(EXACT, Pods()))
    stage.services = (
        Service("auth-service", auth.owner, (AUTH,), (AVAILABILITY,), auth),
        Service("orders", orders.owner, (ORDERS,), (AVAILABILITY,), orders),
    )
    stage.cluster.traffic["good"] = Traffic(50.0, 0.013)
    stage.cluster.traffic["worse"] = Traffic(50.0, 0.02)
    stage.cluster.create_serving(drain_after=100.0)
    stage.cluster.create_serving("order-taker", ORDERS)


def asked_of_orders(stage: Stage) -> int:
    pods = {pod.uid for pod in stage.cluster.workloads[ORDERS].pods}
    return sum(bool(uids & pods) for _, uids in stage.scrape.asked)


async def test_trouble_of_a_release_is_shared_while_what_it_depends_on_is_over_its_bound(
    stage: Stage,
) -> None:
    two_services(stage)
    stage.errors("order-taker", 0.10)
    async with stage.guarding():
        stage.cluster.workloads[AUTH].apply("worse")
        await stage.reaches(Phase.HELD)
    record = stage.record()
    assert record.state.hold is Hold.SHARED
    assert "orders, which this service depends on, is over its own bound" in record.state.text
    assert stage.cluster.patches == []


async def test_what_it_depends_on_being_well_explains_nothing(stage: Stage) -> None:
    two_services(stage)
    async with stage.guarding():
        stage.cluster.workloads[AUTH].apply("worse")
        await stage.reaches(Phase.HELD)
    assert "attributed to nobody yet" in stage.record().state.text
    assert asked_of_orders(stage) > 0


async def test_what_it_does_not_depend_on_is_never_asked(stage: Stage) -> None:
    two_services(stage, depends=False)
    stage.errors("order-taker", 0.10)
    async with stage.guarding():
        stage.cluster.workloads[AUTH].apply("worse")
        await stage.reaches(Phase.HELD)
    assert "attributed to nobody yet" in stage.record().state.text
    assert asked_of_orders(stage) == 0


async def test_nobody_is_asked_while_nothing_is_wrong(stage: Stage) -> None:
    two_services(stage)
    stage.cluster.traffic["worse"] = Traffic(50.0, 0.0)
    async with stage.guarding():
        stage.cluster.workloads[AUTH].apply("worse")
        await stage.reaches(Phase.PROMOTED)
    assert asked_of_orders(stage) == 0


async def test_a_service_that_nobody_guards_excuses_nothing(stage: Stage) -> None:
    two_services(stage)
    stage.errors("order-taker", 0.10)
    async with stage.guarding():
        stage.cluster.delete(ORDERS)
        await asyncio.sleep(1.0)
        stage.cluster.workloads[AUTH].apply("worse")
        await stage.reaches(Phase.HELD)
    assert "attributed to nobody yet" in stage.record().state.text


async def test_neighbours_are_let_alone_again_when_the_trouble_has_passed(stage: Stage) -> None:
    two_services(stage)
    async with stage.guarding():
        stage.cluster.workloads[AUTH].apply("worse")
        await stage.until(lambda: asked_of_orders(stage) > 0)
        stage.cluster.workloads[AUTH].apply("good")
        await stage.reaches(Phase.SUPERSEDED)
        seen = asked_of_orders(stage)
        await asyncio.sleep(30.0)
        assert asked_of_orders(stage) == seen
