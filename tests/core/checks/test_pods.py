"""The table of pods' troubles (decisions.md, E), a row a test, in the platform's own words."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.checks import pods
from guard.core.checks.pods import PodsState
from guard.core.findings import Finding, Reason, Verdict
from guard.core.policy import Pods
from guard.core.ticks import Frame, Tick
from guard.core.workloads import Container, Exit, Pod, Revision, Snapshot, WorkloadId

BEGAN = 1000.0
REVISION = Revision("new", "new", 2, "rs", BEGAN)


def pod(uid: str = "a", revision: str = "new", **more: object) -> Pod:
    container = Container("app", started_at=BEGAN + 1, ready=True)
    shown = Pod(uid, f"auth-{uid}", "shop", revision, BEGAN, containers=(container,))
    return replace(shown, **more)  # type: ignore[arg-type]


def waiting(word: str, message: str = "", uid: str = "a", **more: object) -> Pod:
    container = Container("app", waiting=word, message=message)
    return pod(uid, containers=(container,), **more)


def crashed(restarts: int, at: float, uid: str = "a", revision: str = "new", code: int = 1) -> Pod:
    reason = "OOMKilled" if code == 137 else "Error"
    container = Container("app", restarts=restarts, last_exit=Exit(code, reason, at))
    return pod(uid, revision, containers=(container,))


@dataclass
class Told:
    """One rollout's pods as the check sees them, one snapshot after another."""

    check: Pods = Pods()
    replicas: int = 1
    deadline: float = 600.0
    failure: str | None = None
    state: PodsState = field(init=False)

    def __post_init__(self) -> None:
        self.state = pods.begin(self.check, Frame(BEGAN))

    def at(self, seconds: float, *shown: Pod) -> Finding:
        """Take a snapshot in, so many seconds after the rollout began."""
        workload = WorkloadId("kubernetes", "shop", "auth")
        now = BEGAN + seconds
        snapshot = Snapshot(
            workload,
            "u",
            1,
            now,
            REVISION,
            self.replicas,
            pods=shown,
            progress_deadline=self.deadline,
            replica_failure=self.failure,
        )
        tick = Tick(now, snapshot, frozenset({"new"}), frozenset({"old"}))
        self.state = pods.update(self.state, tick)
        return pods.find(self.state, tick)


READY = {"ready": True, "ready_at": BEGAN + 2.0}


def test_all_desired_pods_ready_passes() -> None:
    found = Told(replicas=2).at(3, pod("a", **READY), pod("b", **READY))
    assert (found.answer, found.text) == (Verdict.PASS, "2 of 2 pods ready")


def test_fewer_ready_pods_than_desired_wait() -> None:
    found = Told(replicas=2).at(3, pod("a", **READY), pod("b"))
    assert (found.answer, found.reason) == (Verdict.WAIT, Reason.NOT_READY_YET)
    assert found.numbers == {"ready": 1.0, "desired": 2.0}


def test_a_pod_that_goes_or_of_another_revision_counts_for_nothing() -> None:
    going = waiting("InvalidImageName", deleted_at=BEGAN + 2)
    other = waiting("InvalidImageName", uid="b", revision="old")
    assert Told().at(3, going, other).answer is Verdict.WAIT


def test_an_invalid_image_name_fails_at_once() -> None:
    found = Told().at(0, waiting("InvalidImageName", 'couldn\'t parse image "X:"'))
    assert (found.answer, found.reason) == (Verdict.FAIL, Reason.IMAGE_INVALID)
    assert 'InvalidImageName (couldn\'t parse image "X:")' in found.text


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("ErrImagePull", "manifest unknown"),
        ("ImagePullBackOff", 'Back-off pulling image: "x:1": not found'),
        ("ErrImageNeverPull", "Container image is not present with pull policy of Never"),
    ],
)
def test_an_image_that_is_not_found_fails_at_once(word: str, message: str) -> None:
    found = Told().at(0, waiting(word, message))
    assert (found.answer, found.reason) == (Verdict.FAIL, Reason.IMAGE_NOT_FOUND)


def test_a_registry_that_asks_for_credentials_is_no_missing_image() -> None:
    text = "pull access denied, repository does not exist or may require authorization"
    assert Told().at(0, waiting("ErrImagePull", text)).answer is Verdict.WAIT


def test_other_pull_errors_fail_after_60_s_if_other_images_can_be_pulled() -> None:
    told = Told(replicas=2)
    other = pod("b", "old", **READY)
    word = {False: "ErrImagePull", True: "ImagePullBackOff"}
    for seconds in range(60):
        # The platform's own word flips to and fro; it is one trouble all the same.
        shown = waiting(word[seconds % 2 == 0], "i/o timeout")
        assert told.at(seconds, shown, other).answer is Verdict.WAIT
    found = told.at(60, waiting("ErrImagePull", "i/o timeout"), other)
    assert (found.answer, found.reason) == (Verdict.FAIL, Reason.IMAGE_PULL)


def test_a_registry_that_gives_nobody_an_image_is_not_the_releases_fault() -> None:
    told = Told()
    told.at(0, waiting("ErrImagePull", "i/o timeout"))
    assert told.at(70, waiting("ErrImagePull", "i/o timeout")).answer is Verdict.WAIT


@pytest.mark.parametrize(
    ("word", "reason", "seconds"),
    [
        ("CreateContainerConfigError", Reason.CONFIG_ERROR, 10.0),
        ("ContainerCreating", Reason.CREATING, 120.0),
        ("PodInitializing", Reason.CREATING, 120.0),
    ],
)
def test_a_container_that_cannot_be_made_fails_after_its_time(
    word: str, reason: Reason, seconds: float
) -> None:
    told = Told()
    told.at(0, waiting(word, 'secret "x" not found'))
    assert told.at(seconds - 0.1, waiting(word)).answer is Verdict.WAIT
    found = told.at(seconds, waiting(word))
    assert (found.answer, found.reason) == (Verdict.FAIL, reason)


def test_a_trouble_that_passed_and_comes_again_begins_anew() -> None:
    told = Told()
    told.at(0, waiting("CreateContainerConfigError"))
    told.at(6, pod())
    told.at(8, waiting("CreateContainerConfigError"))
    assert told.at(12, waiting("CreateContainerConfigError")).answer is Verdict.WAIT


def test_the_second_non_zero_exit_of_one_container_is_a_crash_loop() -> None:
    told = Told()
    assert told.at(2, crashed(1, BEGAN + 1)).answer is Verdict.WAIT
    found = told.at(4, crashed(2, BEGAN + 3))
    assert (found.answer, found.reason) == (Verdict.FAIL, Reason.CRASH_LOOP)
    assert "Error, exit code 1, 2 times" in found.text


def test_exits_between_two_snapshots_are_counted_by_the_restart_count() -> None:
    told = Told()
    told.at(2, crashed(1, BEGAN + 1))
    found = told.at(60, crashed(4, BEGAN + 50))
    assert found.answer is Verdict.FAIL
    assert "Error, exit code 1, 4 times" in found.text


@pytest.mark.parametrize(("at", "counts"), [(-1.5, False), (-0.5, True), (0.5, True)])
def test_an_exit_about_when_the_rollout_began_is_its_own(at: float, counts: bool) -> None:  # noqa: FBT001 - a row
    """The kubelet writes whole seconds, so that it may seem up to one earlier."""
    told = Told(replicas=2)
    found = told.at(2, crashed(1, BEGAN + at), crashed(1, BEGAN + at, uid="b"))
    assert (found.answer is Verdict.FAIL) is counts


def test_what_keeps_a_pod_from_being_ready_is_told_before_it_decides() -> None:
    told = Told()
    shown = waiting("ImagePullBackOff", "failed to resolve: no such host")
    told.at(2, shown)
    words = "auth-a, container app: ImagePullBackOff (failed to resolve: no such host) for"
    found = told.at(40, shown)
    assert (found.answer, found.text) == (Verdict.WAIT, f"0 of 1 pods ready; {words} 38 s")
    late = told.at(300, shown)
    assert late.reason is Reason.NOT_READY_IN_TIME
    assert late.text.endswith(f"allowed are 300; {words} 298 s")


def test_of_several_waits_the_longest_is_told() -> None:
    told = Told(replicas=2)
    first, second = waiting("ContainerCreating"), waiting("PodInitializing", uid="b")
    told.at(2, pod("a"), second)
    both = pod("c", containers=(*first.containers, Container("b", waiting="PodInitializing")))
    told.at(3, replace(both, containers=both.containers[1:]))
    assert "container b: PodInitializing for 5 s" in told.at(8, both).text


def test_one_early_exit_in_each_of_two_pods_is_a_crash_loop() -> None:
    told = Told(replicas=2)
    found = told.at(2, crashed(1, BEGAN + 1), crashed(1, BEGAN + 1, uid="b"))
    assert "in 2 pods" in found.text
    assert found.reason is Reason.CRASH_LOOP


def test_exits_with_0_before_the_rollout_or_of_stable_pods_are_no_crash_loop() -> None:
    told = Told(replicas=2)
    told.at(2, crashed(1, BEGAN + 1, code=0), crashed(3, BEGAN - 60, uid="b"))
    found = told.at(
        4,
        crashed(2, BEGAN + 3, code=0),
        crashed(3, BEGAN - 60, uid="b"),
        crashed(1, BEGAN + 3, uid="c", revision="old"),
        crashed(1, BEGAN + 3, uid="d", revision="old"),
    )
    assert found.answer is Verdict.WAIT


def test_the_same_exit_seen_again_counts_once() -> None:
    told = Told()
    for seconds in range(2, 9):
        assert told.at(seconds, crashed(1, BEGAN + 1)).answer is Verdict.WAIT


def test_the_second_kill_for_want_of_memory_fails_if_stable_has_fewer() -> None:
    told = Told()
    told.at(2, crashed(1, BEGAN + 1, code=137))
    found = told.at(4, crashed(2, BEGAN + 3, code=137))
    assert (found.answer, found.reason) == (Verdict.FAIL, Reason.OUT_OF_MEMORY)


def test_memory_kills_that_stable_has_as_well_do_not_fail() -> None:
    told = Told()
    told.at(2, crashed(1, BEGAN + 1, code=137), crashed(1, BEGAN + 1, "s", "old", 137))
    found = told.at(4, crashed(2, BEGAN + 3, code=137), crashed(2, BEGAN + 3, "s", "old", 137))
    assert found.answer is Verdict.WAIT


def test_a_pod_not_ready_in_time_fails_and_the_time_is_the_lesser_of_deadline_and_5_min() -> None:
    assert Told().at(299, pod()).answer is Verdict.WAIT
    assert Told().at(300, pod()).reason is Reason.NOT_READY_IN_TIME
    assert Told(deadline=100.0).at(100, pod()).reason is Reason.NOT_READY_IN_TIME
    assert Told(check=Pods(ready_within=5.0)).at(5, pod()).answer is Verdict.FAIL
    assert Told(check=Pods(ready_within=700.0)).at(699, pod()).answer is Verdict.WAIT


def test_a_pod_that_was_ready_once_is_not_late() -> None:
    assert Told().at(400, pod(ready=False, ready_at=BEGAN + 5)).answer is Verdict.WAIT


def test_a_pod_that_cannot_be_placed_holds_and_never_fails() -> None:
    found = Told().at(400, pod(unschedulable="0/1 nodes: insufficient cpu"))
    assert (found.answer, found.reason, found.hold) == (Verdict.WAIT, Reason.UNSCHEDULABLE, True)


def test_an_evicted_pod_never_fails() -> None:
    found = Told().at(400, pod(evicted="Evicted"))
    assert (found.answer, found.reason, found.hold) == (Verdict.WAIT, Reason.EVICTED, False)


def test_an_evicted_pod_says_nothing_more_once_another_took_its_place() -> None:
    evicted = pod("gone", evicted="Evicted")
    told = Told(replicas=1)
    assert told.at(5, evicted, pod("next")).answer is Verdict.WAIT
    assert told.at(9, evicted, pod("next", **READY)).answer is Verdict.PASS


def test_pods_that_the_platform_cannot_create_hold() -> None:
    found = Told(failure="FailedCreate: exceeded quota").at(5)
    assert (found.reason, found.hold) == (Reason.REPLICA_FAILURE, True)
    assert Told(failure="FailedCreate").at(5, pod(**READY)).answer is Verdict.PASS


def test_a_fail_outweighs_what_waits() -> None:
    told = Told(replicas=2)
    found = told.at(1, pod("a", unschedulable="full"), waiting("InvalidImageName", uid="b"))
    assert found.answer is Verdict.FAIL


def test_what_is_told_of_a_crash_without_its_exit_is_still_a_sentence() -> None:
    told = Told()
    told.at(2, crashed(1, BEGAN + 1))
    told.at(4, crashed(2, BEGAN + 3))
    running = pod(containers=(Container("app", restarts=2, started_at=BEGAN + 4),))
    assert "non-zero exit, 2 times" in told.at(5, running).text


BLAMELESS = st.builds(
    pod,
    uid=st.sampled_from("abc"),
    unschedulable=st.sampled_from([None, "full"]),
    evicted=st.sampled_from([None, "Evicted", "NodeLost"]),
    ready=st.booleans(),
)


@given(st.lists(BLAMELESS, max_size=4), st.floats(0, 290))
def test_evictions_full_nodes_and_slow_starts_never_fail_within_the_time(
    shown: list[Pod], seconds: float
) -> None:
    assert Told(replicas=4).at(seconds, *shown).answer is not Verdict.FAIL
