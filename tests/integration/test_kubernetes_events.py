"""Events on a real cluster, where people look for them."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from guard.channels.kubernetes_events import KubernetesEvents
from guard.core.errors import PermanentError
from guard.core.notices import Notice, Severity, Stage
from guard.platforms.kubernetes.events import post_event
from tests.integration.kubernetes_scene import (
    Team,
    as_nobody,
    connected,
    container,
    namespace,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def team(kubeconfig: Path) -> AsyncIterator[Team]:
    async with connected(kubeconfig) as api, namespace("ev") as name:
        yield Team(api, name)


@pytest.fixture
def channel(team: Team) -> KubernetesEvents:
    return KubernetesEvents(partial(post_event, team.api), "guard-0")


@pytest.fixture
def notice(team: Team) -> Notice:
    return Notice(
        key=f"{team.id}@abc#2",
        stage=Stage.RESOLVED,
        severity=Severity.WARNING,
        reason="RolledBack",
        title="checkout: release abc was rolled back to def",
        workload=team.id,
        rollout=f"{team.id}@abc#2",
        at=time.time(),
        body="12 of 50 requests failed\nwhere 1% is the bound",
    )


async def test_describe_shows_what_the_guard_told(
    team: Team, channel: KubernetesEvents, notice: Notice
) -> None:
    await team.apply(container(VERSION="1"))
    await channel.send(notice)
    shown = await team.kubectl("describe", "deployment", "shop")
    line = next(line for line in shown.splitlines() if "RolledBack" in line)
    assert line.split()[0] == "Warning"
    assert "deployment-guard" in line
    assert "checkout: release abc was rolled back to def: 12 of 50 requests failed; where" in line


async def test_a_repeated_notice_makes_no_second_event(
    team: Team, channel: KubernetesEvents, notice: Notice
) -> None:
    await team.apply(container(VERSION="1"))
    for _ in range(2):
        await channel.send(notice)
    await channel.send(replace(notice, stage=Stage.UPDATED))
    selector = "--field-selector=reason=RolledBack"
    events = json.loads(await team.kubectl("get", "events", selector, "-o", "json"))["items"]
    assert len(events) == 2
    assert {event["reportingInstance"] for event in events} == {"guard-0"}


async def test_the_event_of_a_workload_that_was_deleted_is_taken_all_the_same(
    team: Team, channel: KubernetesEvents, notice: Notice
) -> None:
    await channel.send(notice)
    shown = await team.kubectl("get", "events")
    assert "deployment/shop" in shown


async def test_a_missing_right_is_for_good(
    team: Team, notice: Notice, kubeconfig: Path, tmp_path: Path
) -> None:
    async with as_nobody(team.namespace, kubeconfig, tmp_path) as api:
        weak = KubernetesEvents(partial(post_event, api))
        with pytest.raises(PermanentError, match=r"creating an Event in .* Forbidden \(403\)"):
            await weak.send(notice)


async def test_a_namespace_that_is_gone_or_going_is_for_good(
    team: Team, channel: KubernetesEvents, notice: Notice
) -> None:
    elsewhere = replace(notice.workload, namespace="ev-never-made")
    with pytest.raises(PermanentError, match="NotFound"):
        await channel.send(replace(notice, workload=elsewhere))
    # A finalizer keeps what is deleted, and so its namespace, going for as long as the test wants.
    held = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "held",
            "namespace": team.namespace,
            "finalizers": ["guard.example.com/held"],
        },
    }
    await team.apply_manifest(held)
    try:
        await team.kubectl("delete", "namespace", team.namespace, "--wait=false")
        with pytest.raises(PermanentError, match="Forbidden"):
            await _until_refused(channel, notice)
    finally:
        free = ["--type=merge", "-p", '{"metadata": {"finalizers": null}}']
        await team.kubectl("patch", "configmap", "held", *free)


async def _until_refused(channel: KubernetesEvents, notice: Notice) -> None:
    async with asyncio.timeout(30):
        for n in range(1_000):
            await channel.send(replace(notice, at=notice.at + n))
