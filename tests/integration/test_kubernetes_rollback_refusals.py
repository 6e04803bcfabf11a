"""A rollback that cannot be: said beforehand, in words that give nothing away."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from guard.core.actions import OutcomeKind
from guard.core.errors import PermanentError, TemporaryError
from guard.platforms.kubernetes.keeping import Keeping
from guard.platforms.kubernetes.rollback import Rollbacks
from guard.platforms.kubernetes.store import Store
from tests.e2e.command import run
from tests.integration.kubernetes_scene import (
    Guard,
    Team,
    as_nobody,
    connected,
    container,
    namespace,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SECRET = "hunter2"
ECHOED = "object.spec.template.spec.containers[0].env[1].value"
GOOD = container(VERSION="1", PASSWORD=SECRET)
BAD = container(VERSION="2", PASSWORD=SECRET)


@pytest.fixture
async def team(kubeconfig: Path) -> AsyncIterator[Team]:
    async with connected(kubeconfig) as api, namespace() as name:
        yield Team(api, name)


@pytest.fixture
def guard(team: Team) -> Guard:
    return Guard(team.api, team)


@asynccontextmanager
async def frozen_templates(team: Team, reason: str) -> AsyncIterator[None]:
    """An admission policy that forbids every change of a template in the team's namespace."""
    name = team.namespace
    in_namespace = {"matchLabels": {"kubernetes.io/metadata.name": name}}
    group = "admissionregistration.k8s.io/v1"
    policy = {
        "apiVersion": group,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["UPDATE"],
                        "resources": ["deployments"],
                    }
                ]
            },
            "validations": [
                {
                    "expression": "object.spec.template == oldObject.spec.template",
                    # An API error can echo what it likes: here, a password.
                    "messageExpression": f"string({ECHOED})",
                    "reason": reason,
                }
            ],
        },
    }
    binding = {
        "apiVersion": group,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": in_namespace},
        },
    }
    both = "\n---\n".join(map(json.dumps, (policy, binding)))
    try:
        await run("kubectl", "apply", "-f", "-", stdin=both)
        await _until_it_refuses(team)
        yield
    finally:
        await run("kubectl", "delete", "--ignore-not-found", "-f", "-", stdin=both)


async def _until_it_refuses(team: Team) -> None:
    path = f"/apis/apps/v1/namespaces/{team.namespace}/deployments/{team.name}"
    at = "/spec/template/spec/terminationGracePeriodSeconds"
    async with asyncio.timeout(60):
        while True:
            answer = await team.api.call(
                "PATCH",
                path,
                params={"dryRun": "All"},
                body=[{"op": "replace", "path": at, "value": 7}],
                content_type="application/json-patch+json",
            )
            if not answer.ok:
                assert SECRET in str(answer.document)
                return
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("reason", ["Invalid", "Forbidden"])
async def test_an_admission_policy_that_refuses_is_known_beforehand(
    team: Team, guard: Guard, reason: str
) -> None:
    await team.apply(GOOD)
    good = await guard.trust()
    await team.apply(BAD)
    intent = await guard.intend(good)
    async with frozen_templates(team, reason):
        rehearsal = await guard.rollbacks.rehearse(intent)
        outcome = await guard.rollbacks.rollback(intent)
    assert rehearsal.possible is False
    assert f"would be refused: the API server refused: {reason} (4" in rehearsal.detail
    assert outcome.kind is OutcomeKind.REFUSED
    assert outcome.detail.startswith(f"the API server refused: {reason} (4")
    assert SECRET not in repr((rehearsal, outcome))
    template = await team.template()
    assert template["spec"]["containers"][0]["env"] == BAD["env"]


async def test_a_template_that_the_api_no_longer_takes_names_its_field_alone(
    team: Team, guard: Guard
) -> None:
    await team.apply(GOOD)
    good = await guard.trust()
    await team.apply(BAD)
    intent = await guard.intend(good)
    kept = await guard.store.known_good.kept(team.id, intent.uid, good.revision)
    assert kept is not None
    template = json.loads(json.dumps(kept.template))
    template["spec"]["containers"][0]["env"][0]["name"] = f"={SECRET}="
    store = guard.store
    await store.known_good.keep(
        team.id, intent.uid, good.revision, replace(kept, template=template)
    )
    outcome = await guard.rollbacks.rollback(intent)
    assert outcome.kind is OutcomeKind.REFUSED
    assert "spec.template.spec.containers[0].env[0].name" in outcome.detail
    assert SECRET not in repr(outcome)


async def test_without_the_right_to_patch_it_says_that_it_could_not_rehearse(
    team: Team, guard: Guard, kubeconfig: Path, tmp_path: Path
) -> None:
    await team.apply(GOOD)
    good = await guard.trust()
    await team.apply(BAD)
    intent = await guard.intend(good)
    async with as_nobody(team.namespace, kubeconfig, tmp_path) as api:
        weak = Rollbacks(api, Store(api, team.namespace, time.time), time.time)
        rehearsal = await weak.rehearse(intent)
        outcome = await weak.rollback(intent)
    lacks = f"the guard lacks the right to patch deployments in {team.namespace}"
    assert rehearsal.possible is None
    assert rehearsal.detail == f"could not be rehearsed: {lacks}"
    assert (outcome.kind, outcome.detail) == (OutcomeKind.REFUSED, lacks)


async def test_a_deployment_that_a_person_paused_is_not_patched(team: Team, guard: Guard) -> None:
    await team.apply(GOOD)
    good = await guard.trust()
    await team.apply(BAD)
    intent = await guard.intend(good)
    await team.kubectl("rollout", "pause", "deployment", "shop")
    outcome = await guard.rollbacks.rollback(intent)
    assert outcome.kind is OutcomeKind.REFUSED
    assert "spec.paused" in outcome.detail
    assert (await guard.rollbacks.rehearse(intent)).possible is False


async def test_a_rollback_to_what_was_never_kept_is_refused(team: Team, guard: Guard) -> None:
    await team.apply(GOOD)
    good = await guard.trust()
    await team.apply(BAD)
    intent = await guard.intend(good)
    never = replace(good, revision=replace(good.revision, uid="another"))
    intent = replace(intent, known_good=never)
    outcome = await guard.rollbacks.rollback(intent)
    assert outcome.kind is OutcomeKind.REFUSED
    assert outcome.detail.startswith(f"nothing is kept of {good.revision.hash}")
    assert (await guard.rollbacks.rehearse(intent)).possible is False


# Keeping.


async def test_a_template_that_is_no_longer_in_force_is_not_kept(team: Team, guard: Guard) -> None:
    await team.apply(GOOD)
    snapshot, good = await team.snapshot(), await guard.trust()
    await team.apply(BAD)
    keeping = Keeping(guard.api, guard.store)
    assert not await keeping.keep(snapshot, good)
    await team.kubectl("delete", "deployment", "shop")
    assert not await keeping.keep(snapshot, good)
    await team.apply(GOOD)
    assert not await keeping.keep(snapshot, good)


async def test_keeping_says_what_it_may_not_do(
    team: Team, guard: Guard, kubeconfig: Path, tmp_path: Path
) -> None:
    await team.apply(GOOD)
    snapshot, good = await team.snapshot(), await guard.trust()
    async with as_nobody(team.namespace, kubeconfig, tmp_path) as api:
        store = Store(api, team.namespace, time.time)
        with pytest.raises(PermanentError, match=r"writing secrets .* Forbidden"):
            await Keeping(api, store).keep(snapshot, good)
        with pytest.raises(PermanentError, match=r"writing configmaps .* Forbidden"):
            await store.save(team.id, snapshot.uid, {"memory.json": "{}"})
        elsewhere = Store(api, "kube-system", time.time)
        with pytest.raises(TemporaryError, match=r"reading configmaps .* Forbidden"):
            await elsewhere.load(team.id, snapshot.uid)


async def test_what_is_kept_shows_no_secret(team: Team, guard: Guard) -> None:
    await team.apply(GOOD)
    good = await guard.trust()
    uid = (await team.get())["metadata"]["uid"]
    kept: Any = await guard.store.known_good.kept(team.id, uid, good.revision)
    assert SECRET in str(kept.template)
    assert SECRET not in repr(kept)
