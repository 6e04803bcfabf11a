"""Which fields of a pause a team's own manifest states, told by what its applies left behind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guard.core.names import ANNOTATION_LAST_APPLIED, FIELD_MANAGER
from guard.platforms.kubernetes.stated import stated_in

ALL_FIELDS = {
    "f:spec": {
        "f:minReadySeconds": {},
        "f:progressDeadlineSeconds": {},
        "f:strategy": {"f:rollingUpdate": {"f:maxSurge": {}, "f:maxUnavailable": {}}},
    }
}


def deployment(manifest: str = "", **entry: Any) -> dict[str, Any]:
    annotations = {ANNOTATION_LAST_APPLIED: manifest} if manifest else None
    entries = [{"manager": "ci", "fieldsV1": ALL_FIELDS, **entry}] if entry else None
    return {"metadata": {"annotations": annotations, "managedFields": entries}}


def test_a_server_side_apply_tells_by_its_managed_fields() -> None:
    assert stated_in(deployment(operation="Apply")) == (
        "minReadySeconds",
        "progressDeadlineSeconds",
        "maxSurge",
        "maxUnavailable",
    )


@pytest.mark.parametrize(
    "entry", [{"operation": "Update"}, {"operation": "Apply", "manager": FIELD_MANAGER}]
)
def test_what_the_api_server_or_the_guard_added_is_no_manifest(entry: dict[str, Any]) -> None:
    assert stated_in(deployment(**entry)) == ()


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({}, ()),
        ({"minReadySeconds": 0}, ("minReadySeconds",)),
        ({"minReadySeconds": None, "strategy": None}, ()),
        ({"strategy": {"type": "RollingUpdate"}}, ()),
        ({"strategy": {"rollingUpdate": {"maxSurge": 1}}}, ("maxSurge",)),
    ],
)
def test_a_client_side_apply_tells_by_the_manifest_it_kept(
    spec: dict[str, Any], fields: tuple[str, ...]
) -> None:
    assert stated_in(deployment(json.dumps({"spec": spec}))) == fields


@pytest.mark.parametrize("manifest", ["", "{", "[]", '"text"', "{}"])
def test_a_manifest_that_nobody_can_read_states_nothing(manifest: str) -> None:
    assert stated_in(deployment(manifest)) == ()
