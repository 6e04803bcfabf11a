"""The annotation by which `kubectl apply` knows what a manifest has dropped."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guard.platforms.kubernetes.last_applied import spliced

GOOD: dict[str, Any] = {"spec": {"containers": [{"image": "é:1"}]}}
BAD: dict[str, Any] = {"spec": {"containers": [{"image": "é:2"}]}}


def manifest(template: Any = None, **spec: Any) -> str:
    if template is not None:
        spec["template"] = template
    metadata = {"name": "shop", "namespace": "team", "labels": {"a": "b"}}
    document = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    return json.dumps(document)


def test_the_kept_text_comes_back_to_the_letter_where_only_the_template_differs() -> None:
    kept = manifest(GOOD, replicas=2)
    assert spliced(manifest(BAD, replicas=2), kept) == kept


def test_what_the_manifest_dropped_beside_the_template_stays_dropped() -> None:
    after = spliced(manifest(BAD, strategy={}), manifest(GOOD, replicas=2))
    assert after is not None
    assert json.loads(after) == json.loads(manifest(GOOD, strategy={}))
    assert after.endswith("}\n")
    assert "é" in after


def test_what_applies_to_the_good_template_already_is_left_to_the_letter() -> None:
    now = manifest(GOOD, replicas=3)
    assert spliced(now, manifest(GOOD, replicas=2)) == now


@pytest.mark.parametrize("gone", [None, "", "no JSON", "[]", '"text"'])
def test_where_the_annotation_is_gone_it_claims_the_template_alone(gone: str | None) -> None:
    after = spliced(gone, manifest(GOOD, replicas=2))
    assert after is not None
    assert json.loads(after) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": "team"},
        "spec": {"template": GOOD},
    }


@pytest.mark.parametrize("kept", [None, "no JSON", manifest(replicas=2), '{"spec": null}', "{}"])
def test_a_good_template_that_was_never_applied_is_not_claimed(kept: str | None) -> None:
    after = spliced(manifest(BAD, replicas=2), kept)
    assert after is not None
    assert json.loads(after) == json.loads(manifest(replicas=2))


def test_a_manifest_without_a_specification_gets_the_template() -> None:
    after = spliced('{"kind": "Deployment"}', manifest(GOOD))
    assert after is not None
    assert json.loads(after) == {"kind": "Deployment", "spec": {"template": GOOD}}
    assert spliced('{"kind": "Deployment"}', None) == '{"kind": "Deployment"}'


@pytest.mark.parametrize("kept", [None, "{}", manifest(replicas=1)])
def test_where_nothing_was_ever_applied_there_is_nothing_to_set(kept: str | None) -> None:
    assert spliced(None, kept) is None


def test_a_manifest_that_names_nothing_is_no_trouble() -> None:
    after = spliced(None, '{"metadata": null, "spec": {"template": {}}}')
    assert after is not None
    assert json.loads(after) == {"metadata": {}, "spec": {"template": {}}}
