"""The rollback on a real cluster: what it puts back, and what it leaves to others."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from guard.core.actions import OutcomeKind
from guard.core.names import ANNOTATION_CHANGE_CAUSE, ANNOTATION_INTENT, FIELD_MANAGER
from guard.platforms.kubernetes.rollback import Rollbacks
from tests.integration.kubernetes_scene import (
    SERVER_SIDE,
    Breaking,
    Guard,
    Team,
    connected,
    container,
    first_patch,
    lost,
    namespace,
    second_patch,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

GOOD = container(VERSION="1")
BAD = container(VERSION="2")
NEWER = container(VERSION="3")


@pytest.fixture
async def team(kubeconfig: Path) -> AsyncIterator[Team]:
    async with connected(kubeconfig) as api, namespace() as name:
        yield Team(api, name)


@pytest.fixture
def guard(team: Team) -> Guard:
    return Guard(team.api, team)


def broken(guard: Guard, **how: Any) -> Rollbacks:
    """The guard's rollbacks through an API that breaks."""
    api: Any = Breaking(guard.api, **how)
    return Rollbacks(api, guard.store, time.time)


async def scale_to(team: Team, replicas: int) -> None:
    """As an autoscaler does it."""
    answer = await team.api.call(
        "PATCH",
        f"/apis/apps/v1/namespaces/{team.namespace}/deployments/{team.name}/scale",
        params={"fieldManager": "autoscaler"},
        body={"spec": {"replicas": replicas}},
        content_type="application/merge-patch+json",
    )
    assert answer.ok


def managers(deployment: dict[str, Any]) -> set[str]:
    return {entry["manager"] for entry in deployment["metadata"]["managedFields"]}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a && b", id="ampersands"),
        pytest.param("a < b > c", id="angle brackets"),
        pytest.param("é, ü, 你好", id="letters beyond ASCII"),
        pytest.param("🛡️🚀", id="emoji"),
        pytest.param("a\u2028b\u2029c", id="the line separators that JavaScript escapes"),
        pytest.param('\t"quoted" \\ and\nlines\x7f', id="quotes, backslashes and controls"),
    ],
)
async def test_a_template_comes_back_whole_whatever_its_strings_hold(
    team: Team, guard: Guard, text: str
) -> None:
    await team.apply(container(TEXT=text, OF="good"))
    good, before = await guard.trust(), await team.template()
    await team.apply(container(TEXT=text, OF="bad"))
    outcome = await guard.rollbacks.rollback(await guard.intend(good))
    assert outcome.kind is OutcomeKind.PATCHED
    assert outcome.warnings == ()
    assert await team.template() == before


async def test_the_deployment_says_who_put_the_template_back_and_why(
    team: Team, guard: Guard
) -> None:
    await team.apply(GOOD)
    good = await guard.trust()
    await team.apply(BAD)
    intent = await guard.intend(good)
    await guard.rollbacks.rollback(intent)
    await team.observed()  # It is the controller that writes the cause to the ReplicaSet.
    history = await team.kubectl("rollout", "history", "deployment", "shop")
    assert intent.cause in history
    annotations = (await team.get())["metadata"]["annotations"]
    assert annotations[ANNOTATION_CHANGE_CAUSE] == intent.cause
    assert annotations[ANNOTATION_INTENT].startswith(intent.id)


async def test_replicas_and_what_else_was_changed_since_are_left_alone(
    team: Team, guard: Guard
) -> None:
    await team.apply(GOOD)
    good = await guard.trust()
    await team.apply(BAD)
    await team.kubectl("scale", "deployment", "shop", "--replicas=2")
    await team.kubectl("annotate", "deployment", "shop", "owner=team")
    patch = '{"spec": {"minReadySeconds": 7}}'
    await team.kubectl("patch", "deployment", "shop", "-p", patch)
    await guard.rollbacks.rollback(await guard.intend(good))
    after = await team.get()
    assert after["spec"]["replicas"] == 2
    assert after["spec"]["minReadySeconds"] == 7
    assert after["metadata"]["annotations"]["owner"] == "team"


async def test_without_a_history_the_kept_template_comes_back_all_the_same(
    team: Team, guard: Guard
) -> None:
    await team.apply(GOOD, revisionHistoryLimit=0)
    good, before = await guard.trust(), await team.template()
    await team.apply(BAD, revisionHistoryLimit=0)
    intent = await guard.intend(good)
    await team.pruned()
    outcome = await guard.rollbacks.rollback(intent)
    assert outcome.kind is OutcomeKind.PATCHED
    assert await team.template() == before
    assert (await guard.rollbacks.rollback(intent)).by_guard


# The client library hands a body over in one piece; a megabyte is written within milliseconds.
@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
async def test_a_template_of_more_than_a_megabyte_is_kept_and_comes_back(
    team: Team, guard: Guard
) -> None:
    # Too large for `kubectl apply`, whose annotation holds 256 KiB: such a team creates or
    # applies on the server's side.
    lines = "".join(f"{n:07d}: one line of a long configuration\n" for n in range(4_400))
    large = container(**{f"FILE_{n}": f"{n}{lines}" for n in range(6)})
    await team.apply(large, how=SERVER_SIDE)
    good, before = await guard.trust(), await team.template()
    assert len(str(before)) > 1_100_000
    await team.apply(BAD, how=SERVER_SIDE)
    outcome = await guard.rollbacks.rollback(await guard.intend(good))
    assert outcome.kind is OutcomeKind.PATCHED
    assert await team.template() == before


async def test_the_rehearsal_leaves_nothing_behind(team: Team, guard: Guard) -> None:
    await team.apply(GOOD)
    good = await guard.trust()
    await team.apply(BAD)
    intent = await guard.intend(good)
    before = (await team.get())["metadata"]
    rehearsal = await guard.rollbacks.rehearse(intent)
    after = (await team.get())["metadata"]
    assert rehearsal.possible
    assert rehearsal.detail == f"rollback to {good.revision.hash} rehearsed"
    assert after["generation"] == before["generation"]
    assert ANNOTATION_INTENT not in after["annotations"]
    assert (await guard.rollbacks.rollback(intent)).kind is OutcomeKind.PATCHED


async def test_the_api_servers_warnings_are_passed_on(team: Team, guard: Guard) -> None:
    label = "pod-security.kubernetes.io/warn=restricted"
    await team.kubectl("label", "namespace", team.namespace, label)
    await team.apply(GOOD)
    good = await guard.trust()
    await team.apply(BAD)
    intent = await guard.intend(good)
    rehearsal = await guard.rollbacks.rehearse(intent)
    outcome = await guard.rollbacks.rollback(intent)
    assert "PodSecurity" in rehearsal.warnings[0]
    assert outcome.warnings == rehearsal.warnings


# Who else is there.


async def test_a_second_call_changes_nothing_and_knows_its_own_work(
    team: Team, guard: Guard
) -> None:
    await team.apply(GOOD)
    good = await guard.trust()
    await team.apply(BAD)
    intent = await guard.intend(good)
    assert (await guard.rollbacks.rollback(intent)).kind is OutcomeKind.PATCHED
    await team.revision()
    generation = (await team.get())["metadata"]["generation"]
    again = await guard.rollbacks.rollback(intent)
    assert (again.kind, again.by_guard) == (OutcomeKind.ALREADY, True)
    assert (await team.get())["metadata"]["generation"] == generation


async def test_what_a_person_put_back_is_not_claimed(team: Team, guard: Guard) -> None:
    await team.apply(GOOD)
    good = await guard.trust()
    await team.apply(BAD)
    intent = await guard.intend(good)
    await team.kubectl("rollout", "undo", "deployment", "shop")
    outcome = await guard.rollbacks.rollback(intent)
    assert (outcome.kind, outcome.by_guard) == (OutcomeKind.ALREADY, False)
    assert ANNOTATION_INTENT not in (await team.get())["metadata"]["annotations"]


async def test_a_persons_undo_to_what_the_guard_once_put_back_is_the_persons(
    team: Team, guard: Guard
) -> None:
    """The controller copies annotations to ReplicaSets, and `undo` brings them back."""
    await team.apply(GOOD)
    good = await guard.trust()
    await team.apply(BAD)
    await guard.rollbacks.rollback(await guard.intend(good))
    await team.revision()
    await team.apply(NEWER)
    intent = await guard.intend(good)
    await team.kubectl("rollout", "undo", "deployment", "shop")
    assert ANNOTATION_INTENT in (await team.get())["metadata"]["annotations"]
    outcome = await guard.rollbacks.rollback(intent)
    assert (outcome.kind, outcome.by_guard) == (OutcomeKind.ALREADY, False)


@pytest.mark.parametrize("more", [{}, {"replicas": 1}], ids=["a release", "one that also scales"])
async def test_a_newer_template_between_reading_and_patching_is_never_touched(
    team: Team, guard: Guard, more: dict[str, Any]
) -> None:
    await team.apply(GOOD)
    good = await guard.trust()
    await team.apply(BAD)
    intent = await guard.intend(good)
    newer = team.manifest(NEWER, **more)

    async def release() -> None:
        await team.apply_manifest(newer)

    outcome = await broken(guard, on=first_patch, before=release).rollback(intent)
    assert outcome.kind is OutcomeKind.SUPERSEDED
    template = await team.template()
    assert template["spec"]["containers"][0]["env"] == NEWER["env"]
    assert FIELD_MANAGER not in managers(await team.get())


async def test_a_restart_of_the_candidate_is_still_the_candidate(team: Team, guard: Guard) -> None:
    """`kubectl rollout restart` changes annotations alone: no new release (law 7)."""
    await team.apply(GOOD)
    good, before = await guard.trust(), await team.template()
    await team.apply(BAD)
    intent = await guard.intend(good)
    await team.kubectl("rollout", "restart", "deployment", "shop")
    outcome = await guard.rollbacks.rollback(intent)
    assert outcome.kind is OutcomeKind.PATCHED
    assert await team.template() == before


async def test_a_candidate_hashed_by_an_older_api_server_is_known_by_its_replica_set(
    team: Team, guard: Guard
) -> None:
    await team.apply(GOOD)
    good = await guard.trust()
    await team.apply(BAD)
    intent = await guard.intend(good)
    older = replace(intent, candidate=replace(intent.candidate, content="of another time"))
    assert (await guard.rollbacks.rollback(older)).kind is OutcomeKind.PATCHED


async def test_a_workload_that_was_deleted_or_made_anew_is_another_one(
    team: Team, guard: Guard
) -> None:
    await team.apply(GOOD)
    good = await guard.trust()
    await team.apply(BAD)
    intent = await guard.intend(good)
    await team.kubectl("delete", "deployment", "shop")
    assert (await guard.rollbacks.rollback(intent)).kind is OutcomeKind.SUPERSEDED
    await team.apply(BAD)
    assert (await guard.rollbacks.rollback(intent)).kind is OutcomeKind.SUPERSEDED
    assert (await guard.rollbacks.rehearse(intent)).possible is None


# Crashes.


@pytest.mark.parametrize("how", [(), SERVER_SIDE], ids=["client-side", "server-side"])
async def test_what_a_crash_between_the_patches_left_undone_is_finished_by_a_second_call(
    team: Team, guard: Guard, how: tuple[str, ...]
) -> None:
    await team.apply(GOOD, how=how)
    good = await guard.trust()
    await team.apply(BAD, how=how)
    intent = await guard.intend(good)
    crashed = await broken(guard, on=second_patch, before=lost).rollback(intent)
    assert crashed.kind is OutcomeKind.UNAVAILABLE
    assert FIELD_MANAGER in managers(await team.get())
    again = await guard.rollbacks.rollback(intent)
    assert (again.kind, again.by_guard) == (OutcomeKind.ALREADY, True)
    assert FIELD_MANAGER not in managers(await team.get())
    await team.apply(NEWER, how=how)


@pytest.mark.parametrize("where", [first_patch, second_patch], ids=["first", "second"])
async def test_a_patch_whose_answer_is_lost_is_recognised(
    team: Team, guard: Guard, where: Any
) -> None:
    await team.apply(GOOD)
    good, before = await guard.trust(), await team.template()
    await team.apply(BAD)
    intent = await guard.intend(good)
    outcome = await broken(guard, on=where, after=lost).rollback(intent)
    assert outcome.kind is OutcomeKind.UNAVAILABLE
    assert outcome.detail == "the connection broke"
    again = await guard.rollbacks.rollback(intent)
    assert (again.kind, again.by_guard) == (OutcomeKind.ALREADY, True)
    assert await team.template() == before
    assert FIELD_MANAGER not in managers(await team.get())


@pytest.mark.parametrize("then", [BAD, NEWER], ids=["the candidate again", "a newer one"])
async def test_one_intent_is_carried_out_once_whatever_is_applied_after_it(
    team: Team, guard: Guard, then: dict[str, Any]
) -> None:
    """The outcome is lost, and somebody applies while the guard is away: never fight (law 7)."""
    await team.apply(GOOD)
    good = await guard.trust()
    await team.apply(BAD)
    intent = await guard.intend(good)
    await broken(guard, on=first_patch, after=lost).rollback(intent)
    await team.apply(then)
    outcome = await guard.rollbacks.rollback(intent)
    assert (outcome.kind, outcome.by_guard) == (OutcomeKind.ALREADY, True)
    template = await team.template()
    assert template["spec"]["containers"][0]["env"] == then["env"]
    assert FIELD_MANAGER not in managers(await team.get())


# Others who change the Deployment all the time, and speed.


@pytest.mark.parametrize("where", [first_patch, second_patch], ids=["first", "second"])
async def test_a_change_in_between_that_is_no_release_only_costs_an_attempt(
    team: Team, guard: Guard, where: Any
) -> None:
    await team.apply(GOOD)
    good = await guard.trust()
    await team.apply(BAD)
    intent = await guard.intend(good)
    replicas = iter((1, 2))

    async def scale() -> None:
        await scale_to(team, next(replicas, 2))

    outcome = await broken(guard, on=where, before=scale).rollback(intent)
    assert outcome.kind is OutcomeKind.PATCHED
    assert outcome.detail.endswith("at attempt 3") == (where is first_patch)
    assert (await team.get())["spec"]["replicas"] == 2
    assert FIELD_MANAGER not in managers(await team.get())


async def test_an_autoscaler_that_never_rests_does_not_keep_the_guard_from_it(
    team: Team, guard: Guard
) -> None:
    await team.apply(GOOD)
    good, before = await guard.trust(), await team.template()
    scaled, resting = 0, asyncio.Event()

    async def autoscale() -> None:
        nonlocal scaled
        while not resting.is_set():
            scaled += 1
            await scale_to(team, scaled % 2)
            await asyncio.sleep(0.02)

    for n in range(3):
        await team.apply(container(VERSION=f"bad {n}"))
        intent = await guard.intend(good)
        resting.clear()
        task = asyncio.create_task(autoscale())
        try:
            outcome = await guard.rollbacks.rollback(intent)
            while outcome.kind is OutcomeKind.UNAVAILABLE:  # As the engine does with its next tick.
                outcome = await guard.rollbacks.rollback(intent)
        finally:
            resting.set()
            await task
        assert outcome.kind is OutcomeKind.PATCHED or outcome.by_guard
        after = await team.get()
        assert after["spec"]["template"] == before
        assert after["spec"]["replicas"] == scaled % 2
        assert FIELD_MANAGER not in managers(after)


async def test_twenty_rollbacks_take_far_less_than_half_a_second_each(
    team: Team, guard: Guard
) -> None:
    await team.apply(GOOD)
    good = await guard.trust()
    took = []
    for n in range(20):
        await team.apply(container(VERSION=f"bad {n}"))
        intent = await guard.intend(good)
        began = time.perf_counter()
        outcome = await guard.rollbacks.rollback(intent)
        took.append(time.perf_counter() - began)
        assert outcome.kind is OutcomeKind.PATCHED
    middle = statistics.median(took)
    print(f"\nrollback: median {middle * 1000:.0f} ms, at most {max(took) * 1000:.0f} ms")
    assert middle <= 0.5
