"""A local workload rolls out as a Deployment with maxSurge 1 and maxUnavailable 0 does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
import pytest

from guard.core.workloads import Gone, Mode
from guard.platforms.local import pod as pods
from guard.platforms.local.workload import Labels

if TYPE_CHECKING:
    from conftest import Shop

    from guard.core.workloads import Pod, Snapshot


async def fetch(port: int, path: str = "/") -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status, await answer.text()


def port(pod: Pod) -> int:
    ((_, number),) = pod.containers[0].ports
    return number


def living(snapshot: Snapshot) -> list[bool]:
    """Whether each pod that is not being deleted is ready."""
    return [pod.ready for pod in snapshot.pods if pod.deleted_at is None]


async def test_pods_are_real_servers_with_ports_of_their_own(shop: Shop, serving: Snapshot) -> None:
    numbers = [port(pod) for pod in serving.pods]
    assert len(set(numbers)) == serving.replicas == 2
    assert sorted(shop.ports) == sorted(numbers)
    for pod, number in zip(serving.pods, numbers, strict=True):
        assert (pod.address, pod.ready) == ("127.0.0.1", True)
        assert (pod.probes[0].path, pod.probes[0].port) == ("/ready", number)
        assert await fetch(number) == (200, "ok\n")
        assert await fetch(number, "/health") == (200, "health\n")


async def test_the_counter_counts_probes_and_scrapes_and_tells_when_the_process_started(
    serving: Snapshot,
) -> None:
    number = port(serving.pods[0])
    await fetch(number, "/metrics")
    await fetch(number)
    _, text = await fetch(number, "/metrics")
    # The kubelet's probe, the first scrape, a user.
    assert 'http_requests_total{code="200",method="GET"} 3.0' in text
    assert "process_start_time_seconds" in text


async def test_an_update_never_has_fewer_ready_pods_than_desired_nor_more_than_one_beyond(
    shop: Shop, serving: Snapshot
) -> None:
    shop.apply(replace(shop.bad, starts_in=0.05))
    ready, total = set(), set()
    async with asyncio.timeout(10):
        async for item in shop.local.watch():
            assert not isinstance(item, Gone)
            ready.add(sum(living(item)))
            total.add(len(living(item)))
            if item.complete and item.current.hash != serving.current.hash:
                break
    assert min(ready) == 2
    assert max(total) == 3


async def test_a_pod_that_is_deleted_leaves_the_users_at_once_and_the_snapshot_when_drained(
    shop: Shop, serving: Snapshot
) -> None:
    shop.apply(shop.good, replicas=1)
    going = await shop.until(lambda s: any(pod.deleted_at for pod in s.pods))
    (gone,) = (pod for pod in going.pods if pod.deleted_at)
    assert port(gone) not in shop.ports
    # A user who was sent there just before is served.
    assert await fetch(port(gone)) == (200, "ok\n")
    await shop.until(lambda s: gone.uid not in {pod.uid for pod in s.pods})
    with pytest.raises(aiohttp.ClientConnectionError):
        await fetch(port(gone))
    assert len(serving.pods) == 2


async def test_scaling_begins_no_revision(shop: Shop, serving: Snapshot) -> None:
    shop.apply(shop.good, replicas=3)
    grown = await shop.until(lambda s: s.complete and s.replicas == 3)
    assert grown.current == serving.current
    shop.apply(shop.good, replicas=0)
    empty = await shop.until(lambda s: not s.pods)
    assert (empty.complete, empty.current) == (True, serving.current)


async def test_a_pod_that_is_never_ready_stops_the_update_and_goes_first_when_it_is_undone(
    shop: Shop, serving: Snapshot
) -> None:
    shop.apply(replace(shop.bad, never_ready=True))
    held = await shop.until(lambda s: len(s.pods) == 3)
    assert not held.complete
    assert len(shop.ports) == 2
    shop.apply(shop.good)
    back = await shop.until(lambda s: s.complete)
    assert {pod.uid for pod in back.pods if pod.deleted_at is None} == {
        pod.uid for pod in serving.pods
    }


async def test_a_pod_loses_its_readiness_after_three_failed_probes_and_gets_it_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pods, "PROBE_PERIOD", 0.02)
    shop.apply(shop.good, replicas=1)
    await shop.until(lambda s: s.complete)
    (pod,) = shop.local._workloads[shop.id]._pods
    pod._server._template = replace(shop.good, never_ready=True)
    await shop.until(lambda s: not any(living(s)))
    assert shop.ports == []
    pod._server._template = shop.good
    await shop.until(lambda s: all(living(s)))
    assert shop.now.complete


async def test_a_template_that_returns_keeps_its_revision_under_a_new_number(
    shop: Shop, serving: Snapshot
) -> None:
    shop.apply(shop.bad)
    assert [r.number for r in shop.now.revisions] == [2, 1]
    again = shop.apply(shop.good)
    assert (again.current.hash, again.current.uid) == (serving.current.hash, serving.current.uid)
    assert again.current.number == 3
    assert [r.hash for r in again.revisions] == [again.current.hash, shop.bad.hash]


async def test_the_same_template_again_changes_nothing(shop: Shop, serving: Snapshot) -> None:
    again = shop.apply(shop.good)
    assert again.generation == serving.generation
    assert again.current == serving.current


async def test_labels_show_at_once_and_leave_the_generation_alone(
    shop: Shop, serving: Snapshot
) -> None:
    shop.local.label(shop.id, Labels(mode=Mode.OBSERVE, opted_in=True))
    assert (shop.now.mode, shop.now.opted_in) == (Mode.OBSERVE, True)
    assert shop.now.generation == serving.generation


async def test_a_deleted_workload_is_gone_and_a_new_one_of_its_name_is_another(
    shop: Shop, serving: Snapshot
) -> None:
    shop.delete()
    assert isinstance(shop.local.snapshot(shop.id), Gone)
    assert shop.ports == []
    shop.apply(shop.good)
    anew = await shop.until(lambda s: s.complete)
    assert anew.uid != serving.uid
