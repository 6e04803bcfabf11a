from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.platforms.kubernetes.templates import LABEL_HASH, content, migrates
from tests.platforms.kubernetes.objects_scene import template

JSON = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.text("aé<&\u2028😀", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "image", "env", "value"]), inner, max_size=3)
    ),
    max_leaves=8,
)
SPECS = st.dictionaries(st.sampled_from(["containers", "volumes", "affinity"]), JSON, max_size=3)


def shuffled(value: Any, seed: int) -> Any:
    """The same with the keys of every object in another order."""
    if isinstance(value, dict):
        keys = list(value)
        random.Random(seed).shuffle(keys)
        return {key: shuffled(value[key], seed) for key in keys}
    if isinstance(value, list):
        return [shuffled(item, seed) for item in value]
    return value


def with_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {**{key: with_nulls(item) for key, item in value.items()}, "zzz": None}
    if isinstance(value, list):
        return [with_nulls(item) for item in value]
    return value


@given(SPECS, st.integers(0, 99))
def test_one_template_has_one_hash_however_it_is_written(spec: Any, seed: int) -> None:
    one = {"metadata": {"labels": {"app": "a", "tier": "b"}}, "spec": spec}

    assert content(shuffled(one, seed)) == content(one)
    assert content(with_nulls(one)) == content(one)
    assert len(content(one)) == 32


@given(SPECS, SPECS)
def test_two_specs_have_two_hashes(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)

    assert (content({"spec": one}) == content({"spec": other})) == same


def test_annotations_and_the_hash_label_are_no_part_of_it() -> None:
    one = template()
    restarted = copy.deepcopy(one)
    restarted["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "2026"
    labelled = copy.deepcopy(one)
    labelled["metadata"]["labels"][LABEL_HASH] = "abc"
    bare = copy.deepcopy(one)
    del bare["metadata"]["annotations"], bare["metadata"]["creationTimestamp"]

    assert {content(restarted), content(labelled), content(bare)} == {content(one)}


@pytest.mark.parametrize("label", ["app", "other"])
def test_other_labels_are_part_of_it(label: str) -> None:
    changed = template()
    changed["metadata"]["labels"][label] = "else"

    assert content(changed) != content(template())


def test_hashing_leaves_the_template_as_it_was() -> None:
    one = template()
    before = copy.deepcopy(one)

    content(one)

    assert one == before


def test_a_template_without_metadata_has_a_hash() -> None:
    assert content({"spec": {}}) == content({"metadata": None, "spec": {}})


@pytest.mark.parametrize(
    ("command", "migration"),
    [
        (("alembic", "upgrade", "head"), True),
        (("python", "manage.py", "migrate"), True),
        (("sh", "-c", "cd /app && ALEMBIC_CONFIG=a alembic upgrade head"), True),
        (("rake", "db:Migrate"), True),
        (("sleep", "1"), False),
        ((), False),
    ],
)
def test_a_command_shows_whether_it_migrates(command: tuple[str, ...], migration: bool) -> None:  # noqa: FBT001 - a table's column
    assert migrates(command) is migration
