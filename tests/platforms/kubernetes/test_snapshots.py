from __future__ import annotations

from typing import Any

import msgspec
import pytest

from guard.core.workloads import Snapshot, WorkloadId
from guard.platforms.kubernetes.objects import DeploymentObject, PodObject, ReplicaSetObject
from guard.platforms.kubernetes.pods import read_pod
from guard.platforms.kubernetes.snapshots import build
from guard.platforms.kubernetes.workload_objects import read_deployment, read_replicaset
from tests.platforms.kubernetes.objects_scene import (
    AT,
    deployment,
    moment,
    pod,
    raw,
    replicaset,
    template,
)

Object = dict[str, Any]
OWN = WorkloadId("kubernetes", "guard", "deployment-guard")

OLD = replicaset("old", of=template("1"), number=1)
NEW = replicaset("new", of=template("2"), number=2, created=30)


def snapshot(found: Object, *sets: Object, pods: tuple[Object, ...] = ()) -> Snapshot | None:
    deploy = read_deployment(msgspec.json.decode(raw(found), type=DeploymentObject))
    replicasets = [
        read_replicaset(msgspec.json.decode(raw(one), type=ReplicaSetObject), "uid-cart", "cart")
        for one in sets
    ]
    owned: dict[str, list[Any]] = {}
    for one in pods:
        owner = one["metadata"]["ownerReferences"][0]["uid"]
        seen = msgspec.json.decode(raw(one), type=PodObject)
        owned.setdefault(owner, []).append(read_pod(seen, owner, None))
    return build(deploy, replicasets, owned, AT + 99, OWN)


def shown(found: Object, *sets: Object, pods: tuple[Object, ...] = ()) -> Snapshot:
    seen = snapshot(found, *sets, pods=pods)
    assert seen is not None
    return seen


def pods_of(*names: str) -> tuple[Object, ...]:
    """`new-1` is a pod of the ReplicaSet `new`."""
    return tuple(pod(f"cart-{name}", replicaset=f"cart-{name.partition('-')[0]}") for name in names)


def test_a_rolled_out_deployment_whole() -> None:
    seen = shown(
        deployment(of=template("2"), number=2, generation=5),
        OLD,
        NEW,
        pods=pods_of("new-1", "new-2"),
    )

    assert seen.workload == WorkloadId("kubernetes", "shop", "cart")
    assert (seen.uid, seen.generation, seen.at, seen.replicas) == ("uid-cart", 5, AT + 99, 2)
    assert (seen.current.hash, seen.current.number) == ("new", 2)
    assert [one.hash for one in seen.revisions] == ["new", "old"]
    assert [(one.name, one.revision) for one in seen.pods] == [
        ("cart-new-1", "new"),
        ("cart-new-2", "new"),
    ]
    assert seen.observed
    assert seen.complete
    assert not seen.itself


def test_nothing_is_shown_before_a_revision_exists() -> None:
    assert snapshot(deployment()) is None


# Which revision is current.


def test_a_template_that_the_controller_has_not_seen_leaves_the_old_revision_current() -> None:
    released = deployment(
        of=template("2"), number=1, generation=2, status={"observedGeneration": 1}
    )

    seen = shown(released, OLD)

    assert (seen.current.hash, seen.observed, seen.complete) == ("old", False, False)


def test_a_replicaset_that_came_before_the_deployments_own_news_is_current() -> None:
    released = deployment(
        of=template("2"), number=1, generation=2, status={"observedGeneration": 1}
    )

    seen = shown(released, OLD, NEW)

    assert (seen.current.hash, seen.observed, seen.complete) == ("new", False, False)


def test_an_undo_that_the_controller_has_not_seen_leaves_the_newer_revision_current() -> None:
    undone = deployment(of=template("1"), number=2, generation=3, status={"observedGeneration": 2})

    seen = shown(undone, OLD, NEW)

    assert (seen.current.hash, seen.observed) == ("new", False)


def test_a_deployment_whose_new_replicaset_has_not_shown_up_yet_is_not_observed() -> None:
    seen = shown(deployment(of=template("2"), number=2, generation=2), OLD)

    assert (seen.current.hash, seen.observed, seen.complete) == ("old", False, False)


def test_a_template_that_returns_is_current_once_its_number_has_moved() -> None:
    back = deployment(of=template("1"), number=3, generation=3)

    before = shown(back, OLD, NEW)
    after = shown(back, replicaset("old", of=template("1"), number=3), NEW)

    assert (before.current.hash, before.observed) == ("old", False)
    assert (after.current.hash, after.current.number, after.observed) == ("old", 3, True)
    assert [one.hash for one in after.revisions] == ["old", "new"]


@pytest.mark.parametrize("observed", [1, 2])
def test_an_old_backup_of_the_object_does_not_make_an_old_revision_current(observed: int) -> None:
    replaced = deployment(
        of=template("2"), number=1, generation=2, status={"observedGeneration": observed}
    )

    seen = shown(replaced, OLD, NEW)

    assert (seen.current.hash, seen.observed) == ("new", False)


def test_a_lost_annotation_does_not_either() -> None:
    seen = shown(deployment(of=template("2"), number=None), OLD, NEW)

    assert (seen.current.hash, seen.observed) == ("new", False)


def test_a_restart_is_a_new_revision_of_the_same_content() -> None:
    again = template("1")
    again["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = moment(9)

    seen = shown(deployment(of=again, number=2), OLD, replicaset("again", of=again, number=2))

    assert (seen.current.hash, seen.observed) == ("again", True)
    assert seen.hashes_of(seen.current) == {"again", "old"}


def test_a_template_that_reads_otherwise_after_an_upgrade_is_no_new_revision() -> None:
    """The annotation says which ReplicaSet it is; unequal JSON says nothing."""
    upgraded = template("1", newDefault="x")

    seen = shown(deployment(of=upgraded, number=1), OLD)

    assert (seen.current.hash, seen.observed, seen.complete) == ("old", True, True)


def test_a_paused_deployment_keeps_its_revision_whatever_its_template_says() -> None:
    paused = deployment(of=template("2"), number=1, spec={"paused": True}, generation=2)

    seen = shown(paused, OLD)

    assert (seen.current.hash, seen.paused) == ("old", True)


# Whether a rollout is complete.


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({"observedGeneration": 0}, id="the controller has not seen it"),
        pytest.param({"updatedReplicas": 1}, id="pods are missing"),
        pytest.param({"replicas": 3}, id="an old pod is left by the controller's count"),
        pytest.param({"availableReplicas": 1}, id="one is not available"),
        pytest.param({"updatedReplicas": None, "availableReplicas": None}, id="none is counted"),
    ],
)
def test_a_rollout_is_not_complete_while(status: Object) -> None:
    seen = shown(deployment(of=template("2"), number=2, status=status), OLD, NEW)

    assert not seen.complete


def left(**more: Any) -> Object:
    return pod("cart-old-1", replicaset="cart-old", **more)


@pytest.mark.parametrize(
    ("other", "complete"),
    [
        pytest.param(left(), False, id="lives"),
        pytest.param(left(ready=False), False, id="lives and is not ready"),
        pytest.param(left(metadata={"deletionTimestamp": moment(40)}), True, id="is going"),
        pytest.param(left(status={"phase": "Failed", "reason": "Evicted"}), True, id="has ended"),
    ],
)
def test_a_pod_of_another_revision_stands_in_the_way_while_it_lives(
    other: Object,
    complete: bool,  # noqa: FBT001 - a table's column
) -> None:
    done = deployment(of=template("2"), number=2)

    seen = shown(done, OLD, NEW, pods=(*pods_of("new-1", "new-2"), other))

    assert seen.complete is complete
    assert len(seen.pods) == 3


def test_no_replicas_are_a_complete_rollout() -> None:
    assert shown(deployment(replicas=0), OLD).complete


# Pods.


def test_a_pod_belongs_to_the_replicaset_that_owns_it_whatever_it_is_called() -> None:
    misnamed = pod("cart-old-9", replicaset="cart-new")

    seen = shown(deployment(of=template("2"), number=2), OLD, NEW, pods=(misnamed,))

    assert [one.revision for one in seen.pods] == ["new"]
    assert seen.pods_of(frozenset({"new"})) == seen.pods


def test_a_migration_counts_for_the_revision_that_runs_it() -> None:
    migrating = template("2", initContainers=[{"name": "schema", "command": ["alembic"]}])
    held = replicaset("new", of=migrating, number=2)

    assert shown(deployment(of=migrating, number=2), OLD, held).migration == "schema"
    assert shown(deployment(of=template("1"), number=1), OLD, held).migration is None


def test_the_guard_knows_itself() -> None:
    itself = deployment("deployment-guard", metadata={"namespace": "guard"})

    assert shown(itself, OLD).itself
