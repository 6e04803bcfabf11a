"""Health told as probes: three bad ones in a row, and silence only where an answer was had."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from guard.core.checks import health
from guard.core.checks.health import REFUSED_FOR, RESTART_WITHIN, Endpoint, HealthState, endpoint
from guard.core.findings import Finding, Reason, Verdict
from guard.core.policy import Health
from guard.core.samples import UnavailableReason
from guard.core.ticks import Frame, ProbeAnswer, Tick
from guard.core.workloads import Container, Exit, Pod, Probe, Revision, Snapshot, WorkloadId

BEGAN = 1000.0
REVISION = Revision("new", "new", 2, "rs", BEGAN)
CHECK = Health(path="/health", port=8080)
REFUSALS = int(REFUSED_FOR / CHECK.every) + 1
"""Refused connections in a row until they count."""
READY = Probe("readiness", "app", "http", "/ready", 8081)
REFUSED, TIMEOUT = UnavailableReason.REFUSED, UnavailableReason.TIMEOUT


def pod(
    uid: str, revision: str = "new", *, ready: bool = True, probes: tuple[Probe, ...] = ()
) -> Pod:
    app = Container("app", ports=(("web", 8080),))
    return Pod(
        uid,
        f"auth-{uid}",
        "shop",
        revision,
        BEGAN,
        ready=ready,
        ready_at=BEGAN if ready else None,
        containers=(Container("init", init=True, ports=(("web", 1),)), app),
        probes=probes,
    )


@dataclass
class Probed:
    """A rollout whose pods are probed once a tick; a tick is as long as the check's period."""

    check: Health = CHECK
    pods: dict[str, Pod] = field(default_factory=dict)
    at: float = BEGAN
    state: HealthState | None = None

    def add(self, *pods: Pod) -> Probed:
        self.pods.update((one.uid, one) for one in pods)
        return self

    def change(self, uid: str, **changes: object) -> None:
        self.pods[uid] = replace(self.pods[uid], **changes)  # type: ignore[arg-type]

    def tick(self, *, port: int = 8080, **answers: int | UnavailableReason) -> Finding:
        """Answer a status or not at all, by pod; a pod without an answer was not asked."""
        self.at += self.check.every
        probes = {
            uid: ProbeAnswer(self.at, answer, port=port)
            if isinstance(answer, int)
            else ProbeAnswer(self.at, None, answer, port=port)
            for uid, answer in answers.items()
        }
        return self.take(probes)

    def take(self, probes: dict[str, ProbeAnswer]) -> Finding:
        snapshot = Snapshot(
            WorkloadId("kubernetes", "shop", "auth"),
            "uid",
            2,
            self.at,
            REVISION,
            4,
            pods=tuple(self.pods.values()),
        )
        tick = Tick(
            self.at,
            snapshot,
            frozenset({"new"}),
            frozenset({"old"}),
            probes={self.check.name: probes},
        )
        self.state = health.update(self.state or health.begin(self.check, Frame(BEGAN)), tick)
        return health.find(self.state, tick)


# Where to ask.


@pytest.mark.parametrize(
    ("check", "probes", "found"),
    [
        (Health(), (READY,), Endpoint("http", 8081, "/ready")),
        (Health(), (replace(READY, scheme="HTTPS"),), Endpoint("https", 8081, "/ready")),
        (Health(), (), None),
        (Health(), (replace(READY, handler="exec"),), None),
        (Health(), (replace(READY, kind="liveness"),), None),
        (CHECK, (READY,), Endpoint("http", 8080, "/health")),
        (Health(path="/h", port=1, scheme="https"), (), Endpoint("https", 1, "/h")),
        (Health(path="/h", port="web"), (), Endpoint("http", 8080, "/h")),
        (Health(path="/h", port="gone"), (READY,), Endpoint("http", 0, "/h")),
        (Health(port=9), (READY,), Endpoint("http", 9, "/ready")),
        (Health(port=9), (), Endpoint("http", 9, "/")),
        (Health(path="/h"), (READY,), Endpoint("http", 8081, "/h")),
        (Health(path="/h"), (replace(READY, kind="liveness"),), Endpoint("http", 8081, "/h")),
        (Health(path="/h"), (replace(READY, handler="tcp"),), Endpoint("http", 8080, "/h")),
    ],
    ids=[
        "the pod's own readiness probe",
        "its scheme too",
        "no probe",
        "an exec probe",
        "a liveness probe is no readiness",
        "the check before the pod",
        "the check's scheme",
        "a port by name",
        "a name that no port has",
        "the probe's path at the check's port",
        "the check's port alone",
        "the check's path at the probe's port",
        "or at another HTTP probe's",
        "or at the only port",
    ],
)
def test_where_health_is_asked(
    check: Health, probes: tuple[Probe, ...], found: Endpoint | None
) -> None:
    assert endpoint(check, pod("c", probes=probes)) == found


def test_a_path_without_a_port_is_not_asked_of_several_ports() -> None:
    several = replace(pod("c"), containers=(Container("app", ports=(("a", 1), ("b", 2))),))
    assert endpoint(Health(path="/h"), several) is None


# What the answers mean.


def test_a_pod_that_answers_as_expected_passes() -> None:
    found = Probed().add(pod("c")).tick(c=200)
    assert (found.answer, found.reason) == (Verdict.PASS, Reason.INSIDE_BOUND)
    assert found.text == "the one ready pod is healthy"


def test_before_any_pod_is_ready_it_waits() -> None:
    found = Probed().add(pod("c", ready=False)).tick()
    assert (found.answer, found.reason) == (Verdict.WAIT, Reason.NOT_READY_YET)


def test_a_pod_that_was_not_asked_yet_is_not_healthy_yet() -> None:
    found = Probed().add(pod("c"), pod("d")).tick(c=200)
    assert (found.answer, found.reason) == (Verdict.WAIT, Reason.COLLECTING)
    assert found.text == "1 of 2 pods are healthy"


def test_three_bad_answers_in_a_row_fail_and_are_named() -> None:
    probed = Probed().add(pod("s", "old"), pod("c"))
    assert probed.tick(s=200, c=503).answer is Verdict.WAIT
    assert probed.tick(s=200, c=503).answer is Verdict.WAIT
    found = probed.tick(s=200, c=503)
    assert (found.answer, found.reason) == (Verdict.FAIL, Reason.UNHEALTHY)
    assert found.text == "auth-c answers 503 to /health, expected 200, 3 times in a row"
    assert found.numbers == {"bad_pods": 1.0, "in_a_row": 3.0}


def test_one_good_answer_begins_the_count_anew() -> None:
    probed = Probed().add(pod("c"))
    for status in (503, 503, 200, 503, 503):
        found = probed.tick(c=status)
    assert found.answer is Verdict.WAIT


def test_the_same_probe_taken_twice_counts_once() -> None:
    probed = Probed().add(pod("c"))
    answer = ProbeAnswer(BEGAN + 1, 503, port=8080)
    for _ in range(3):
        found = probed.take({"c": answer})
    assert found.answer is Verdict.WAIT


def test_another_expected_status_is_a_good_one() -> None:
    probed = Probed(replace(CHECK, expect=401)).add(pod("c"))
    assert probed.tick(c=401).answer is Verdict.PASS


def test_a_pod_that_is_no_longer_ready_still_counts() -> None:
    probed = Probed().add(pod("c"), pod("d"))
    for _ in range(2):
        probed.tick(c=503, d=200)
    probed.change("c", ready=False)
    assert probed.tick(c=503, d=200).answer is Verdict.FAIL


def test_a_pod_that_is_going_does_not_count() -> None:
    probed = Probed().add(pod("c"), pod("d"))
    for _ in range(2):
        probed.tick(c=503, d=200)
    probed.change("c", deleted_at=BEGAN)
    assert probed.tick(c=503, d=200).answer is Verdict.PASS


def test_several_bad_pods_are_counted() -> None:
    probed = Probed().add(pod("c"), pod("d"))
    for _ in range(3):
        found = probed.tick(c=503, d=500)
    assert found.text.endswith("3 times in a row (2 pods)")


def test_what_stable_does_as_well_is_shared_and_held() -> None:
    probed = Probed().add(pod("s", "old"), pod("t", "old"), pod("c"))
    for _ in range(3):
        found = probed.tick(s=500, t=200, c=503)
    assert (found.answer, found.reason) == (Verdict.WAIT, Reason.SHARED_UNHEALTHY)
    assert found.hold
    assert "stable pod auth-s answers 500" in found.text


# Silence.


def test_silence_of_a_port_that_never_answered_is_blindness() -> None:
    probed = Probed().add(pod("c"))
    for _ in range(REFUSALS):
        found = probed.tick(c=REFUSED)
    assert (found.answer, found.reason) == (Verdict.BLIND, Reason.NEVER_ANSWERED)
    assert "auth-c gives no answer (refused)" in found.text


def test_silence_after_an_answer_of_this_pod_is_bad() -> None:
    probed = Probed().add(pod("c"))
    probed.tick(c=200)
    for _ in range(REFUSALS):
        found = probed.tick(c=REFUSED)
    assert found.answer is Verdict.FAIL


def test_refused_connections_count_when_the_platform_had_time_to_tell_of_an_end() -> None:
    probed = Probed().add(pod("c"))
    probed.tick(c=200)
    findings = [probed.tick(c=REFUSED) for _ in range(REFUSALS)]
    assert [finding.answer for finding in findings].index(Verdict.FAIL) == REFUSALS - 1


def test_a_pod_that_hangs_is_bad_after_three_probes() -> None:
    probed = Probed().add(pod("c"))
    probed.tick(c=200)
    findings = [probed.tick(c=TIMEOUT) for _ in range(CHECK.failures)]
    assert findings[-1].answer is Verdict.FAIL


def test_silence_on_a_port_that_stable_answers_on_is_bad() -> None:
    probed = Probed().add(pod("s", "old"), pod("c"))
    for _ in range(REFUSALS):
        found = probed.tick(s=200, c=REFUSED)
    assert found.answer is Verdict.FAIL


def test_silence_on_another_port_than_stable_answers_on_is_blindness() -> None:
    probed = Probed(Health()).add(pod("s", "old", probes=(READY,)), pod("c", probes=(READY,)))
    for _ in range(REFUSALS):
        probed.tick(s=200)
        found = probed.tick(port=9000, c=REFUSED)
    assert found.answer is Verdict.BLIND


def test_an_answer_of_another_candidate_pod_is_no_measure() -> None:
    probed = Probed().add(pod("c"), pod("d"))
    for _ in range(REFUSALS):
        found = probed.tick(c=REFUSED, d=200)
    assert found.answer is Verdict.BLIND


def test_silence_without_a_reason_is_silence() -> None:
    probed = Probed().add(pod("c"))
    for second in range(3):
        found = probed.take({"c": ProbeAnswer(BEGAN + second, None, port=8080)})
    assert "gives no answer (none)" in found.text


# One exit, which the check pods allows.


def ended(at: float, restarts: int = 1) -> tuple[Container, ...]:
    return (Container("app", restarts=restarts, last_exit=Exit(1, "Error", at)),)


def test_a_pod_that_comes_back_from_its_first_exit_is_not_held_to_its_silence() -> None:
    rollout = Probed().add(pod("a"), pod("b"))
    rollout.tick(a=200, b=200)
    rollout.change("a", ready=False, containers=ended(rollout.at))
    for answer in (REFUSED, REFUSED, REFUSED, 503, 503, 503):
        assert rollout.tick(a=answer, b=200).answer is not Verdict.FAIL
    rollout.change("a", ready=True)
    assert rollout.tick(a=200, b=200).answer is Verdict.PASS


def test_probes_before_the_platform_told_of_the_exit_count_on_when_it_is_over() -> None:
    rollout = Probed().add(pod("a"))
    rollout.tick(a=200)
    rollout.tick(a=REFUSED)
    rollout.change("a", ready=False, containers=ended(rollout.at))
    rollout.tick(a=REFUSED)
    rollout.change("a", ready=True)
    assert rollout.tick(a=503).answer is Verdict.WAIT
    assert rollout.tick(a=503).answer is Verdict.FAIL


def test_a_pod_that_does_not_come_back_within_a_minute_is_bad() -> None:
    rollout = Probed().add(pod("a"))
    rollout.tick(a=200)
    rollout.change("a", ready=False, containers=ended(rollout.at))
    excused = int(RESTART_WITHIN / CHECK.every)
    findings = [rollout.tick(a=REFUSED) for _ in range(excused + REFUSALS)]
    assert [finding.answer for finding in findings].index(Verdict.FAIL) >= excused


def test_a_second_exit_is_no_excuse() -> None:
    rollout = Probed().add(pod("a"))
    rollout.tick(a=200)
    rollout.change("a", ready=False, containers=ended(rollout.at, restarts=2))
    findings = [rollout.tick(a=REFUSED) for _ in range(REFUSALS)]
    assert findings[-1].answer is Verdict.FAIL


def test_a_pod_that_is_ready_again_is_held_to_its_answers() -> None:
    rollout = Probed().add(pod("a"))
    rollout.tick(a=200)
    rollout.change("a", containers=ended(rollout.at))
    findings = [rollout.tick(a=503) for _ in range(CHECK.failures)]
    assert findings[-1].answer is Verdict.FAIL


# The Ready condition, where there is nothing to ask.


def test_without_an_endpoint_the_ready_condition_speaks() -> None:
    probed = Probed(Health()).add(pod("c"))
    assert probed.tick().answer is Verdict.PASS
    probed.change("c", ready=False)
    assert probed.tick().answer is Verdict.WAIT
    probed.tick()
    found = probed.tick()
    assert (found.answer, found.reason) == (Verdict.FAIL, Reason.UNHEALTHY)
    assert found.text == "auth-c is not ready any more, 3 times in a row"


def test_the_ready_condition_is_taken_as_often_as_a_probe_would_be() -> None:
    probed = Probed(Health()).add(pod("c"))
    probed.tick()
    probed.change("c", ready=False)
    probed.at += probed.check.every
    for _ in range(10):
        probed.at += 0.1
        found = probed.take({})
    assert found.answer is Verdict.WAIT


def test_a_pod_that_never_was_ready_is_not_judged_by_its_condition() -> None:
    probed = Probed(Health()).add(pod("c"), pod("d", ready=False))
    for _ in range(5):
        found = probed.tick()
    assert found.answer is Verdict.PASS


def test_a_condition_that_stable_loses_too_is_shared() -> None:
    probed = Probed(Health()).add(pod("s", "old"), pod("c"))
    probed.tick()
    for uid in ("s", "c"):
        probed.change(uid, ready=False)
    for _ in range(3):
        found = probed.tick()
    # No candidate pod is ready any more, and it is said why.
    assert found.reason is Reason.SHARED_UNHEALTHY
