"""The Events that the guard tells by, whoever creates them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.channels.kubernetes_events import KubernetesEvents, event, message
from guard.core.errors import PermanentError, TemporaryError
from guard.core.notices import Notice, Severity, Stage
from guard.core.workloads import WorkloadId

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTICE = Notice(
    key="kubernetes/team/shop@abc#2/held",
    stage=Stage.OPENED,
    severity=Severity.WARNING,
    reason="SharedTrouble",
    title="shop: held",
    workload=WorkloadId("kubernetes", "team", "shop"),
    rollout="kubernetes/team/shop@abc#2",
    at=1_700_000_000.25,
    body="one\n\n two \n",
)


class Posted(list[tuple[str, "Mapping[str, Any]"]]):
    """Takes Events, or fails as it is told."""

    error: Exception | None = None

    async def __call__(self, namespace: str, body: Mapping[str, Any]) -> None:
        if self.error is not None:
            raise self.error
        self.append((namespace, body))


def name(notice: Notice) -> str:
    found: str = event(notice, "guard-0")["metadata"]["name"]
    return found


async def test_an_event_is_about_the_workload_and_lies_in_its_namespace() -> None:
    posted = Posted()
    channel = KubernetesEvents(posted, "guard-0")
    await channel.send(NOTICE)
    ((namespace, body),) = posted
    assert namespace == "team"
    assert body["involvedObject"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "namespace": "team",
        "name": "shop",
    }
    assert body["reason"] == "SharedTrouble"
    assert body["message"] == "shop: held: one; two"
    assert body["firstTimestamp"] == body["lastTimestamp"] == "2023-11-14T22:13:20Z"
    assert body["source"] == {"component": "deployment-guard"}
    assert body["reportingComponent"] == "deployment-guard"
    assert body["reportingInstance"] == "guard-0"
    await channel.close()
    await channel.close()


@pytest.mark.parametrize(
    ("severity", "kind"),
    [
        (Severity.INFO, "Normal"),
        (Severity.WARNING, "Warning"),
        (Severity.CRITICAL, "Warning"),
    ],
)
def test_what_a_person_must_look_at_is_a_warning(severity: Severity, kind: str) -> None:
    assert event(replace(NOTICE, severity=severity), "guard-0")["type"] == kind


async def test_other_platforms_workloads_are_passed_over() -> None:
    posted = Posted()
    await KubernetesEvents(posted).send(
        replace(NOTICE, workload=WorkloadId("swarm", "team", "shop"))
    )
    assert posted == []


@pytest.mark.parametrize("error", [TemporaryError("later"), PermanentError("never")])
async def test_what_goes_wrong_is_the_deliverers_to_sort(error: Exception) -> None:
    posted = Posted()
    posted.error = error
    with pytest.raises(type(error)):
        await KubernetesEvents(posted).send(NOTICE)


# The name: one for each notice.


def test_a_repeat_has_the_same_name() -> None:
    assert name(NOTICE) == name(replace(NOTICE, title="told again after a crash"))


@pytest.mark.parametrize(
    "other",
    [
        replace(NOTICE, key="another story"),
        replace(NOTICE, stage=Stage.RESOLVED),
        replace(NOTICE, reason="Resumed"),
        replace(NOTICE, at=1_700_000_000.5),
        replace(NOTICE, workload=WorkloadId("kubernetes", "team", "cart")),
    ],
    ids=["story", "stage", "reason", "time", "workload"],
)
def test_another_notice_has_another_name(other: Notice) -> None:
    assert name(NOTICE) != name(other)


@given(st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", fullmatch=True))
def test_every_workload_gives_a_valid_name(workload: str) -> None:
    found = name(replace(NOTICE, workload=WorkloadId("kubernetes", "team", workload)))
    assert len(found) <= 253
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?\.[0-9a-f]{16}", found)


# The message: one line of at most 1024 bytes.


def test_a_long_body_is_cut_and_the_title_is_not() -> None:
    text = message("shop: rolled back", "é" * 2_000)
    assert text.startswith("shop: rolled back: éé")
    assert text.endswith("é…")
    assert 1_000 < len(text.encode()) <= 1_024


def test_without_a_body_there_is_the_title_alone() -> None:
    assert message("shop:  rolled\nback", " \n") == "shop: rolled back"


@given(title=st.text(max_size=2_000), body=st.text(max_size=2_000))
def test_a_message_fits_whatever_it_says(title: str, body: str) -> None:
    text = message(title, body)
    assert len(text.encode()) <= 1_024
    assert "\n" not in text
