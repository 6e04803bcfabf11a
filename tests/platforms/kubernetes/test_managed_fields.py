"""Who owns what after a rollback: the template as before, everything else as now."""

from __future__ import annotations

from typing import Any

from guard.core.names import ANNOTATION_LAST_APPLIED, FIELD_MANAGER
from guard.platforms.kubernetes.managed_fields import (
    given_back,
    of_teams,
    owns_any,
    without_guard,
)

Fields = dict[str, Any]
IMAGE: Fields = {"f:containers": {"f:image": {}}}
ENV: Fields = {"f:containers": {"f:env": {}}}


def entry(manager: str, fields: Fields, operation: str = "Apply", **more: str) -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "apps/v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **more,
    }


def owning(template: Fields | None = None, **spec: Fields) -> Fields:
    of_template = {"f:template": template} if template is not None else {}
    return {"f:spec": {**{f"f:{name}": fields for name, fields in spec.items()}, **of_template}}


GUARD = entry(FIELD_MANAGER, owning(IMAGE), "Update")
STATUS = entry("kube-controller-manager", {"f:status": {}}, "Update", subresource="status")


def test_of_the_entries_those_of_teams_are_kept() -> None:
    team = entry("team", owning(IMAGE))
    scaled = entry("autoscaler", owning(replicas={}), "Update", subresource="scale")
    assert of_teams([team, STATUS, scaled, GUARD]) == (team,)


def test_the_guard_is_known_by_its_name_and_not_by_what_it_scaled() -> None:
    of_scale = {**GUARD, "subresource": "scale"}
    assert owns_any([STATUS, GUARD])
    assert not owns_any([STATUS, of_scale])
    assert without_guard([STATUS, GUARD, of_scale]) == [STATUS, of_scale]


def test_the_team_owns_the_template_again_as_when_it_was_kept() -> None:
    kept = entry("team", owning({**IMAGE, "f:securityContext": {}}, replicas={}))
    now = entry("team", owning({"f:volumes": {}}, replicas={}))
    assert given_back([STATUS, now, GUARD], [kept]) == [STATUS, kept]


def test_what_the_team_gave_up_outside_the_template_stays_given_up() -> None:
    kept = entry("team", owning(IMAGE, replicas={}))
    now = entry("team", owning(ENV, strategy={}))
    (after,) = given_back([now, GUARD], [kept])
    assert after["fieldsV1"] == owning(IMAGE, strategy={})


def test_a_manager_that_came_with_the_bad_release_owns_nothing_of_the_good_template() -> None:
    old, new = entry("old", owning(IMAGE)), entry("new", owning(ENV, replicas={}))
    after = given_back([new, GUARD], [old])
    assert after == [entry("new", owning(replicas={})), old]


def test_a_manager_that_owned_the_bad_template_alone_goes() -> None:
    assert given_back([entry("new", owning(ENV)), GUARD], []) == []


def test_a_manager_that_lost_all_its_fields_gets_back_the_template_alone() -> None:
    kept = entry("team", owning(IMAGE, replicas={}), "Update", time="2026-01-01T00:00:00Z")
    (after,) = given_back([GUARD], [kept])
    assert after == entry("team", owning(IMAGE), "Update", time="2026-01-01T00:00:00Z")


def test_one_manager_has_an_entry_for_each_way_it_works() -> None:
    applies, edits = entry("kubectl", owning(IMAGE)), entry("kubectl", owning(ENV), "Update")
    assert given_back([edits, applies, GUARD], [applies, edits]) == [edits, applies]


def test_the_annotation_of_kubectl_apply_belongs_to_its_writer_again() -> None:
    annotation = f"f:{ANNOTATION_LAST_APPLIED}"
    metadata: Fields = {"f:metadata": {"f:annotations": {annotation: {}, "f:owner": {}}}}
    kept = entry("kubectl", {"f:metadata": {"f:annotations": {annotation: {}}}})
    now = entry("kubectl", {"f:metadata": {"f:annotations": {"f:owner": {}}}})
    (after,) = given_back([now, GUARD], [kept])
    assert after["fieldsV1"] == metadata


def test_what_was_kept_and_what_is_now_are_left_as_they_were() -> None:
    kept, now = entry("team", owning(IMAGE)), entry("team", owning(ENV))
    (after,) = given_back([now], [kept])
    after["fieldsV1"]["f:spec"]["f:template"]["f:containers"]["f:image"]["x"] = {}
    assert kept == entry("team", owning({"f:containers": {"f:image": {}}}))
    assert now == entry("team", owning(ENV))


def test_an_entry_without_fields_is_none() -> None:
    assert given_back([entry("team", {}), {"manager": "other"}], []) == []
