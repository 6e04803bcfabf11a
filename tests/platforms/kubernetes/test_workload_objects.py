from __future__ import annotations

from typing import Any

import msgspec
import pytest

from guard.core.workloads import Mode, Revision
from guard.platforms.kubernetes.objects import DeploymentObject, ReplicaSetObject
from guard.platforms.kubernetes.templates import content
from guard.platforms.kubernetes.workload_objects import (
    Deployment,
    ReplicaSet,
    read_deployment,
    read_replicaset,
)
from tests.platforms.kubernetes.objects_scene import (
    AT,
    IMAGE,
    deployment,
    raw,
    replicaset,
    template,
)


def read(**more: Any) -> Deployment:
    return read_deployment(msgspec.json.decode(raw(deployment(**more)), type=DeploymentObject))


def read_set(obj: dict[str, Any]) -> ReplicaSet:
    seen = msgspec.json.decode(raw(obj), type=ReplicaSetObject)
    return read_replicaset(seen, "uid-cart", "cart")


def test_a_deployment_with_everything_that_is_kept_of_it() -> None:
    assert read(number=7, generation=12) == Deployment(
        uid="uid-cart",
        owner="shop/cart",
        namespace="shop",
        name="cart",
        generation=12,
        number=7,
        content=content(template()),
        observed=True,
        replicas=2,
        updated=2,
        total=2,
        available=2,
        paused=False,
        mode=None,
        mode_unknown="",
        opted_in=False,
        progress_deadline=600.0,
        replica_failure=None,
        change_cause="",
        strategy="RollingUpdate",
        pause=None,
        min_ready=0.0,
        max_surge=1,
        max_unavailable=0,
    )


def test_a_deployment_that_no_controller_has_seen_yet_is_read() -> None:
    fresh = deployment(number=None)
    fresh["status"] = {}
    fresh["spec"] |= {"replicas": None, "strategy": None, "progressDeadlineSeconds": None}

    found = read_deployment(msgspec.json.decode(raw(fresh), type=DeploymentObject))

    assert (found.observed, found.number, found.replicas) == (False, 0, 1)
    assert (found.strategy, found.progress_deadline) == ("RollingUpdate", 600.0)


def test_a_template_that_the_controller_has_not_seen_is_not_observed() -> None:
    assert not read(generation=3, status={"observedGeneration": 2}).observed
    assert read(generation=3, status={"observedGeneration": 3}).observed


@pytest.mark.parametrize(
    ("label", "mode", "unknown"),
    [
        (None, None, ""),
        ("off", Mode.OFF, ""),
        ("Off", Mode.OFF, ""),
        ("observe", Mode.OBSERVE, ""),
        ("act", Mode.ACT, ""),
        ("acts", Mode.OBSERVE, "acts"),
        ("", Mode.OBSERVE, "(empty)"),
    ],
)
def test_a_mode_that_cannot_be_read_forbids_to_act(
    label: str | None, mode: Mode | None, unknown: str
) -> None:
    labels = {} if label is None else {"deployment-guard.io/mode": label}

    found = read(labels=labels)

    assert (found.mode, found.mode_unknown) == (mode, unknown)


@pytest.mark.parametrize(("label", "asked"), [("true", True), ("True", True), ("false", False)])
def test_a_label_asks_for_the_guard(label: str, asked: bool) -> None:  # noqa: FBT001 - a table's column
    assert read(labels={"deployment-guard.io/guard": label}).opted_in is asked
    assert not read(annotations={"deployment-guard.io/guard": label}).opted_in


def test_pods_that_cannot_be_created_show_by_their_reason_alone() -> None:
    condition = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": 'pods "x" is forbidden: exceeded quota; env TOKEN=s3cret',
    }

    found = read(status={"conditions": [condition]})

    assert found.replica_failure == "FailedCreate"
    assert "s3cret" not in repr(found)
    condition["status"] = "False"
    assert read(status={"conditions": [condition]}).replica_failure is None


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("release 1.4.2 (PROJ-7)", "release 1.4.2 (PROJ-7)"),
        ("two\nlines", "two lines"),
        ("x" * 300, "x" * 200),
        (
            "kubectl set env deployment/cart TOKEN=s3cret --record=true",
            "kubectl set env deployment/cart TOKEN=… --record=…",
        ),
        ("kubectl create --from-literal=p=s3cret", "kubectl create --from-literal=…"),
    ],
)
def test_a_change_cause_is_one_line_and_keeps_no_value_that_was_set(said: str, kept: str) -> None:
    assert read(annotations={"kubernetes.io/change-cause": said}).change_cause == kept


def test_a_replicaset_stands_for_a_revision() -> None:
    assert read_set(replicaset("abcd", number=4, created=30)) == ReplicaSet(
        uid="uid-cart-abcd",
        owner="uid-cart",
        namespace="shop",
        deployment="cart",
        revision=Revision(
            hash="abcd",
            content=content(template()),
            number=4,
            uid="uid-cart-abcd",
            created_at=AT + 30,
            images=(IMAGE,),
        ),
        migration=None,
    )


def test_a_replicaset_without_the_hash_label_is_named_by_its_uid() -> None:
    adopted = replicaset("abcd")
    adopted["metadata"] |= {"labels": None, "annotations": None}

    found = read_set(adopted).revision

    assert (found.hash, found.number) == ("uid-cart-abcd", 0)


def test_an_init_container_that_migrates_is_named_and_its_command_is_not_kept() -> None:
    init = [
        {"name": "wait", "command": ["sh", "-c", "sleep 1"]},
        {"name": "schema", "command": ["sh"], "args": ["-c", "TOKEN=s3cret alembic upgrade head"]},
    ]

    found = read_set(replicaset(of=template(initContainers=init)))

    assert found.migration == "schema"
    assert "s3cret" not in repr(found)
