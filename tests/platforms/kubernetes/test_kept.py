"""What is kept of a known-good revision: packed, and read again to the letter."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.errors import PermanentError
from guard.core.names import ANNOTATION_LAST_APPLIED
from guard.platforms.kubernetes.kept import Kept, kept_of, pack, unpack

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
TEXT = st.text(st.characters(codec="utf-8"))


async def test_a_deployment_gives_template_annotation_and_the_teams_entries() -> None:
    team = {"manager": "team", "operation": "Apply", "fieldsV1": {}}
    status = {"manager": "kube-controller-manager", "subresource": "status"}
    metadata = {
        "annotations": {ANNOTATION_LAST_APPLIED: "{}", "other": "x"},
        "managedFields": [team, status],
    }
    kept = kept_of({"metadata": metadata, "spec": {"replicas": 1, "template": {"a": 1}}})
    assert kept == Kept({"a": 1}, "{}", (team,))
    assert await unpack(await pack(kept)) == kept


async def test_a_deployment_that_nobody_applied_gives_its_template() -> None:
    kept = kept_of({"metadata": {}, "spec": {"template": {}}})
    assert await unpack(await pack(kept)) == Kept({})


@given(template=st.dictionaries(TEXT, VALUES, max_size=4), last_applied=st.none() | TEXT)
async def test_whatever_a_template_holds_is_read_again(
    template: dict[str, Any], last_applied: str | None
) -> None:
    kept = Kept(template, last_applied)
    assert await unpack(await pack(kept)) == kept


async def test_the_same_content_is_the_same_bytes() -> None:
    assert await pack(Kept({"a": 1})) == await pack(Kept({"a": 1}))


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"no gzip",
        gzip.compress(b"no JSON"),
        gzip.compress(b"{}")[:-5],
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03garbage",
        gzip.compress(b'"\xff"'),
    ],
    ids=["empty", "no gzip", "no JSON", "cut short", "bad data", "no UTF-8"],
)
async def test_what_is_damaged_is_said_and_not_guessed(packed: bytes) -> None:
    with pytest.raises(PermanentError, match="damaged"):
        await unpack(packed)


@pytest.mark.parametrize("document", [{"version": 2}, {}, []], ids=["newer", "none", "a list"])
async def test_what_a_newer_guard_wrote_is_refused(document: Any) -> None:
    with pytest.raises(PermanentError, match="another version; this guard reads 1"):
        await unpack(gzip.compress(json.dumps(document).encode()))


def test_no_repr_shows_a_template() -> None:
    kept = Kept({"env": "hunter2"}, "hunter2", ({"hunter2": 1},))
    assert repr(kept) == "Kept()"
