"""Names and labels of the guard's own objects."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.workloads import WorkloadId
from guard.platforms.kubernetes import binding

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
WORD = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", fullmatch=True)


def test_a_person_recognises_the_workload_in_the_name() -> None:
    name = binding.object_name(binding.RECORDS, WorkloadId("kubernetes", "shop", "checkout.v2"))
    assert re.fullmatch(r"records-shop-checkout-v2-[0-9a-f]{10}", name)


@given(namespace=WORD, name=WORD, holds=st.sampled_from([binding.RECORDS, binding.KNOWN_GOOD]))
def test_every_workload_has_a_valid_name(namespace: str, name: str, holds: str) -> None:
    found = binding.object_name(holds, WorkloadId("kubernetes", namespace, name))
    assert SUBDOMAIN.fullmatch(found)
    assert len(found) <= 253


@pytest.mark.parametrize(
    "other",
    [
        WorkloadId("kubernetes", "a", "b-c"),
        WorkloadId("kubernetes", "a-b", "c", kind="StatefulSet"),
        WorkloadId("swarm", "a-b", "c"),
        WorkloadId("kubernetes", "a-b", "c.d"),
    ],
    ids=["another namespace", "another kind", "another platform", "another name"],
)
def test_no_two_workloads_have_one_name(other: WorkloadId) -> None:
    one = WorkloadId("kubernetes", "a-b", "c")
    assert binding.object_name("records", one) != binding.object_name("records", other)


def test_what_was_written_is_read() -> None:
    workload = WorkloadId("kubernetes", "shop", "checkout")
    assert binding.read(binding.bound(workload, "u1", 7.0, kept=[])) == {
        "platform": "kubernetes",
        "namespace": "shop",
        "name": "checkout",
        "kind": "Deployment",
        "uid": "u1",
        "writtenAt": 7.0,
        "kept": [],
    }


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "null"])
def test_what_a_person_damaged_is_bound_to_nothing(text: str) -> None:
    assert binding.read(text) == {}
