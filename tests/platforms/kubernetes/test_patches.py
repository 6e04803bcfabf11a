"""What the two patches hold, beside what the real cluster makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from guard.core.actions import Intent, KnownGood
from guard.core.names import (
    ANNOTATION_CHANGE_CAUSE,
    ANNOTATION_INTENT,
    ANNOTATION_LAST_APPLIED,
)
from guard.core.workloads import Revision, WorkloadId
from guard.platforms.kubernetes.kept import Kept
from guard.platforms.kubernetes.patches import give_back, is_marked, mark, put_back

SHOP = WorkloadId("kubernetes", "team", "shop")
GOOD = KnownGood(Revision("good", "g", 1, "rs1", 0.0), 0.0, "promoted")
BAD = Revision("bad", "b", 2, "rs2", 0.0)
INTENT = Intent("rollback:shop@bad#2", SHOP, "u1", BAD, GOOD, 0.0, "guard did it")
KEPT = Kept({"spec": {"good": True}}, '{"spec":{"template":1}}')


def deployment(**annotations: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"uid": "u1", "generation": 5, "resourceVersion": "77"}
    if annotations:
        metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": {"replicas": 3, "template": {}}}


def values(operations: list[dict[str, Any]]) -> dict[str, Any]:
    return {f"{one['op']} {one['path']}": one["value"] for one in operations}


def test_the_first_patch_is_bound_to_the_object_and_its_generation() -> None:
    operations = put_back(deployment(owner="team"), KEPT, INTENT)
    found = values(operations)
    first = ["test /metadata/uid", "test /metadata/generation", "replace /spec/template"]
    assert list(found)[:3] == first
    assert found["test /metadata/uid"] == "u1"
    assert found["test /metadata/generation"] == 5
    assert found["replace /spec/template"] == {"spec": {"good": True}}


def test_the_first_patch_touches_its_own_annotations_and_no_others() -> None:
    operations = put_back(deployment(owner="team"), KEPT, INTENT)
    changed = [one["path"] for one in operations if one["op"] == "add"]
    assert changed == [
        "/metadata/annotations/kubernetes.io~1change-cause",
        "/metadata/annotations/deployment-guard.io~1intent",
        "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration",
    ]
    assert not any(one["op"] == "remove" for one in operations)


def test_an_object_without_annotations_gets_them_all_at_once() -> None:
    found = values(put_back(deployment(), KEPT, INTENT))
    assert set(found["add /metadata/annotations"]) == {
        ANNOTATION_CHANGE_CAUSE,
        ANNOTATION_INTENT,
        ANNOTATION_LAST_APPLIED,
    }


def test_an_annotation_that_is_right_already_is_not_sent() -> None:
    annotations = {ANNOTATION_LAST_APPLIED: '{"spec":{"template":1}}'}
    operations = put_back(deployment(**annotations), KEPT, INTENT)
    assert not any(ANNOTATION_LAST_APPLIED in str(one) for one in operations)


def test_the_second_patch_is_bound_to_the_very_version() -> None:
    found = values(give_back(deployment(), None))
    assert found == {
        "test /metadata/uid": "u1",
        "test /metadata/resourceVersion": "77",
        "replace /metadata/managedFields": [],
    }


@pytest.mark.parametrize(
    ("annotations", "marked"),
    [
        ({}, False),
        ({ANNOTATION_INTENT: mark(INTENT)}, True),
        ({ANNOTATION_INTENT: INTENT.id}, False),
        ({ANNOTATION_INTENT: f"{INTENT.id} of another object"}, False),
    ],
    ids=["no mark", "its mark", "the intent alone", "the same intent on another object"],
)
def test_a_mark_is_of_one_intent_on_one_object(annotations: dict[str, str], marked: object) -> None:
    assert is_marked(deployment(**annotations), INTENT) is marked
