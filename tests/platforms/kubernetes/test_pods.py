from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from guard.core.workloads import Container, Exit, Pod
from guard.platforms.kubernetes.objects import PodObject
from guard.platforms.kubernetes.pods import MESSAGE_AT_MOST, read_pod
from tests.platforms.kubernetes.objects_scene import AT, IMAGE, moment, pod, raw, running


def read(obj: dict[str, Any], before: Pod | None = None) -> Pod:
    seen = msgspec.json.decode(raw(obj), type=PodObject)
    return read_pod(seen, "uid-cart-aaaa", before).pod


def waiting(reason: str | None, message: str | None = None, **more: Any) -> Container:
    state = {"waiting": {"reason": reason, "message": message}}
    status = running(ready=False, state=state, **more)
    return read(pod(ready=False, status={"containerStatuses": [status]})).containers[0]


def test_a_ready_pod_with_everything_that_is_kept_of_it() -> None:
    annotations = {"prometheus.io/port": "8080", "prometheus.io/scrape": "true", "other": "x"}

    found = read(pod(metadata={"annotations": annotations}))

    assert found == Pod(
        uid="uid-cart-aaaa-x",
        name="cart-aaaa-x",
        namespace="shop",
        revision="",
        created_at=AT,
        address="10.1.2.3",
        node="node-1",
        phase="Running",
        ready=True,
        ready_at=AT + 5,
        containers=(
            Container(
                name="app",
                image=IMAGE,
                ready=True,
                started_at=AT + 2,
                ports=(("http", 8080),),
            ),
        ),
        annotations=(("prometheus.io/port", "8080"), ("prometheus.io/scrape", "true")),
    )


def test_nothing_of_a_pods_environment_is_kept() -> None:
    assert "s3cret" not in repr(read(pod()))


def test_a_pod_that_has_just_been_created_is_read() -> None:
    fresh = pod(ready=False)
    fresh["spec"].pop("nodeName")
    fresh["status"] = {"phase": "Pending", "qosClass": "Burstable"}

    found = read(fresh)

    assert (found.phase, found.ready, found.ready_at, found.address) == (
        "Pending",
        False,
        None,
        None,
    )
    assert found.containers == (Container(name="app", image=IMAGE, ports=(("http", 8080),)),)


def test_that_a_pod_was_ready_once_is_not_forgotten_when_it_is_ready_no_longer() -> None:
    once = read(pod())

    assert read(pod(ready=False)).ready_at is None
    assert read(pod(ready=False), once).ready_at == AT + 5
    assert read(pod(), replace(once, ready_at=1.0)).ready_at == AT + 5


def test_a_pod_goes_from_the_moment_its_deletion_was_asked_for() -> None:
    going = {"deletionTimestamp": moment(60), "deletionGracePeriodSeconds": 30}

    assert read(pod(metadata=going)).deleted_at == AT + 30
    assert read(pod()).deleted_at is None


# What the scheduler and the nodes say.


def test_a_pod_that_cannot_be_placed_says_why() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient cpu.",
    }

    found = read(pod(status={"conditions": [condition]}))

    assert found.unschedulable == "0/3 nodes are available: 3 Insufficient cpu."
    assert not found.ready
    del condition["message"]
    assert read(pod(status={"conditions": [condition]})).unschedulable == "Unschedulable"


@pytest.mark.parametrize(
    ("reason", "evicted"),
    [
        ("Evicted", True),
        ("Preempting", True),
        ("NodeLost", True),
        ("NodeShutdown", True),
        ("Terminated", True),
        ("OutOfcpu", True),
        ("NodeAffinity", True),
        ("UnexpectedAdmissionError", True),
        ("DeadlineExceeded", False),
        ("Error", False),
    ],
)
def test_a_node_that_gave_a_pod_up_is_named(reason: str, evicted: bool) -> None:  # noqa: FBT001 - a table's column
    found = read(pod(status={"phase": "Failed", "reason": reason}))

    assert found.evicted == (reason if evicted else None)


def test_a_disruption_is_named_by_its_reason() -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}

    assert read(pod(status={"conditions": [condition]})).evicted == "PreemptionByScheduler"
    condition["status"] = "False"
    assert read(pod(status={"conditions": [condition]})).evicted is None


# Containers.


@pytest.mark.parametrize(
    ("reason", "message", "shown"),
    [
        pytest.param(
            "ErrImagePull",
            'failed to resolve reference "a/b:1": a/b:1: not found',
            'failed to resolve reference "a/b:1": a/b:1: not found',
            id="an image that is not found",
        ),
        pytest.param(
            "CreateContainerConfigError",
            'secret "x" not found',
            'secret "x" not found',
            id="secret",
        ),
        pytest.param(
            "ErrImagePull",
            'Get "https://u:s3cret@cdn/blob?X-Sig=s3cret&e=1": 403',
            'Get "https://cdn/blob": 403',
            id="a signed URL",
        ),
        pytest.param("RunContainerError", 'exec: "sh -c TOKEN=s3cret": no', "", id="a command"),
        pytest.param("CreateContainerError", "s3cret", "", id="a container's text"),
        pytest.param("PostStartHookError", "s3cret", "", id="a hook's output"),
        pytest.param("CrashLoopBackOff", None, "", id="no message"),
    ],
)
def test_a_waiting_container_says_what_is_safe_to_show(
    reason: str, message: str | None, shown: str
) -> None:
    found = waiting(reason, message)

    assert (found.waiting, found.message) == (reason, shown)


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    found = waiting("ErrImagePull", f"failed to pull {'x' * 3000}\n\tnot  found").message

    assert len(found) <= MESSAGE_AT_MOST + 1
    assert found.startswith("failed to pull")
    assert found.endswith("xx not found")


def test_a_container_that_waits_for_no_stated_reason_waits() -> None:
    assert waiting(None).waiting == "Waiting"


def test_the_last_exit_is_that_of_the_run_before() -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": moment(9)}}

    found = waiting("CrashLoopBackOff", "back-off 10s", lastState=ended, restartCount=3)

    assert found.last_exit == Exit(137, "OOMKilled", AT + 9)
    assert found.restarts == 3
    assert found.started_at is None


def test_a_container_that_ended_and_was_not_started_again_shows_that_end() -> None:
    now = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": moment(9)}}
    before = {"terminated": {"exitCode": 2, "reason": "Error", "finishedAt": moment(3)}}
    status = running(ready=False, state=now, lastState=before)

    (found,) = read(pod(status={"containerStatuses": [status]})).containers

    assert found.last_exit == Exit(1, "Error", AT + 9)


def test_init_containers_come_after_those_that_run_and_a_sidecar_is_one_that_runs() -> None:
    spec = {
        "initContainers": [
            {"name": "migrate", "image": "m", "command": ["alembic"]},
            {"name": "proxy", "image": "p", "restartPolicy": "Always", "ports": None},
        ]
    }
    statuses = [
        running(
            "migrate",
            ready=True,
            state={"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": moment(1)}},
        ),
        running("proxy"),
    ]

    found = read(pod(spec=spec, status={"initContainerStatuses": statuses})).containers

    assert [(one.name, one.init) for one in found] == [
        ("app", False),
        ("proxy", False),
        ("migrate", True),
    ]
    assert found[1].started_at == AT + 2
    assert found[2].last_exit == Exit(0, "Completed", AT + 1)


def test_only_ports_of_tcp_can_be_asked() -> None:
    ports = [
        {"name": "dns", "containerPort": 53, "protocol": "UDP"},
        {"containerPort": 53, "protocol": "TCP"},
        {"name": "http", "containerPort": 80},
    ]

    (found,) = read(pod(spec={"containers": [{"name": "app", "ports": ports}]})).containers

    assert found.ports == (("", 53), ("http", 80))
