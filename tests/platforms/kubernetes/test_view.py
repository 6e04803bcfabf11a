from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from structlog.testing import capture_logs

from guard.core.workloads import Gone, Snapshot, WorkloadId
from guard.platforms.kubernetes.view import View
from tests.platforms.kubernetes.objects_scene import (
    AT,
    deployment,
    pod,
    raw,
    replicaset,
    template,
)

if TYPE_CHECKING:
    from guard.platforms.kubernetes.shelf import Shelf
    from guard.platforms.kubernetes.watch import ListWatch

Object = dict[str, Any]

CART = WorkloadId("kubernetes", "shop", "cart")
OWN = WorkloadId("kubernetes", "guard", "deployment-guard")
GUARDED = {"deployment-guard.io/guard": "true"}
OLD = replicaset("old", of=template("1"), number=1)
NEW = replicaset("new", of=template("2"), number=2)


class Cluster:
    """The three watches of a view, driven by hand: a test decides which event comes when."""

    def __init__(self, *followed: str, listed: bool = True) -> None:
        self.marked: list[WorkloadId] = []
        self.objects: dict[str, dict[str, Object]] = {"d": {}, "r": {}, "p": {}}
        api: Any = None
        self.view = View(api, "", OWN, self.marked.append)
        self.follow(*followed)
        if listed:
            self.sync()

    def follow(self, *names: str) -> None:
        self.view.follow(WorkloadId("kubernetes", "shop", name) for name in names)

    def shelf(self, kind: str) -> Shelf[Any]:
        view = self.view
        return {"d": view.deployments, "r": view.replicasets, "p": view.pods}[kind]

    def watch(self, kind: str) -> ListWatch:
        view = self.view
        watches = {
            "d": view._watch_deployments,
            "r": view._watch_replicasets,
            "p": view._watch_pods,
        }
        return watches[kind]

    def list(self, kind: str) -> None:
        self.begin_list(kind)
        self.finish_list(kind)

    def begin_list(self, kind: str) -> None:
        """As the watch does it: what is asked for during a list comes after it."""
        self.watch(kind)._asked = False
        self.shelf(kind).begin()
        for obj in self.objects[kind].values():
            self.shelf(kind).add(raw(obj))

    def finish_list(self, kind: str) -> None:
        watch = self.watch(kind)
        watch.synced.set()
        watch.behind = watch._asked
        self.shelf(kind).finish()

    def sync(self) -> None:
        """Every list that is due, owners first, until none is."""
        while any(self.watch(kind).behind for kind in "drp"):
            for kind in "drp":
                if self.watch(kind).behind:
                    self.list(kind)

    def happen(self, kind: str, obj: Object) -> None:
        """It is so now; the guard does not know it yet."""
        self.objects[kind][obj["metadata"]["uid"]] = obj

    def tell(self, kind: str, obj: Object) -> None:
        self.happen(kind, obj)
        self.shelf(kind).put(raw(obj))

    def delete(self, kind: str, obj: Object) -> None:
        self.objects[kind].pop(obj["metadata"]["uid"], None)
        self.shelf(kind).remove(raw(obj))

    def look(self, workload: WorkloadId = CART) -> Snapshot | Gone | None:
        return self.view.look(workload, AT)

    def shown(self, workload: WorkloadId = CART) -> Snapshot:
        seen = self.look(workload)
        assert isinstance(seen, Snapshot)
        return seen

    @property
    def kept(self) -> tuple[int, int, int]:
        d, r, p = (len(self.shelf(kind).items) for kind in "drp")
        return d, r, p


def rolled_out(cluster: Cluster, *, labels: dict[str, str] | None = None) -> None:
    cluster.tell("d", deployment(of=template("1"), number=1, labels=labels))
    cluster.tell("r", OLD)
    cluster.tell("p", pod("cart-old-1", replicaset="cart-old"))


# What is kept.


def test_nothing_is_kept_of_what_nobody_follows() -> None:
    cluster = Cluster("other")

    rolled_out(cluster)

    assert cluster.kept == (0, 0, 0)
    assert cluster.look() is None
    assert cluster.marked == []


@pytest.mark.parametrize("labels", [None, GUARDED])
def test_a_followed_deployment_is_kept_with_all_that_hangs_on_it(
    labels: dict[str, str] | None,
) -> None:
    cluster = Cluster(*(() if labels else ("cart",)))

    rolled_out(cluster, labels=labels)

    assert cluster.kept == (1, 1, 1)
    seen = cluster.shown()
    assert [one.name for one in seen.pods] == ["cart-old-1"]
    assert seen.opted_in is bool(labels)


def test_a_namesake_in_another_namespace_is_another_workload() -> None:
    cluster = Cluster("cart")
    other = deployment(metadata={"namespace": "staging", "uid": "uid-other"})

    cluster.tell("d", other)

    assert cluster.kept == (0, 0, 0)


def test_pods_and_replicasets_of_other_owners_are_passed_over() -> None:
    cluster = Cluster("cart")
    rolled_out(cluster)
    for kind, obj in (("p", pod("job-1")), ("r", replicaset("x", deployment="rollout"))):
        obj["metadata"]["ownerReferences"][0]["kind"] = "Rollout"
        cluster.tell(kind, obj)
    orphan = pod("free")
    orphan["metadata"]["ownerReferences"] = None
    cluster.tell("p", orphan)

    assert cluster.kept == (1, 1, 1)


def test_a_replicaset_that_is_released_by_its_deployment_goes() -> None:
    cluster = Cluster("cart")
    rolled_out(cluster)
    released = {**OLD, "metadata": {**OLD["metadata"], "ownerReferences": None}}

    cluster.tell("r", released)

    assert cluster.kept == (1, 0, 0)


def test_an_object_that_cannot_be_understood_blinds_to_no_other() -> None:
    cluster = Cluster("cart")
    odd = deployment(spec={"replicas": "two"})
    odd["metadata"] |= {"uid": "uid-odd"}

    with capture_logs() as logs:
        cluster.tell("d", odd)
        cluster.tell("p", {"metadata": {"uid": 7}})
        cluster.delete("p", {"metadata": {"uid": 7}})
    rolled_out(cluster)

    assert cluster.kept == (1, 1, 1)
    assert [(one["event"], one.get("name")) for one in logs] == [
        ("object not understood, it is passed over", "cart"),
        ("object not understood, it is passed over", ""),
        ("object not understood, it is passed over", ""),
    ]
    assert logs[0]["why"] == "Expected `int | null`, got `str` - at `$.spec.replicas`"


# Whatever comes first.


@pytest.mark.parametrize("order", ["drp", "dpr", "rdp", "rpd", "pdr", "prd"])
@pytest.mark.parametrize("labels", [None, GUARDED])
def test_the_order_in_which_owners_and_owned_show_up_makes_no_difference(
    order: str, labels: dict[str, str] | None
) -> None:
    cluster = Cluster(*(() if labels else ("cart",)))
    events = {
        "d": deployment(of=template("1"), labels=labels),
        "r": OLD,
        "p": pod("cart-old-1", replicaset="cart-old"),
    }
    for kind in order:
        cluster.tell(kind, events[kind])
    cluster.sync()

    assert cluster.kept == (1, 1, 1)
    assert [one.name for one in cluster.shown().pods] == ["cart-old-1"]


def test_a_workload_is_not_shown_before_everything_of_it_is_there() -> None:
    cluster = Cluster(listed=False)
    cluster.happen("d", deployment(of=template("1"), labels=GUARDED))
    cluster.happen("r", OLD)
    cluster.happen("p", pod("cart-old-1", replicaset="cart-old"))

    cluster.list("d")
    assert cluster.look() is None
    cluster.list("r")
    assert cluster.look() is None
    cluster.marked.clear()
    cluster.list("p")

    assert CART in cluster.marked
    assert len(cluster.shown().pods) == 1


def test_a_replicaset_that_shows_up_in_the_middle_of_a_list_of_pods_has_them_listed_again() -> None:
    cluster = Cluster("cart")
    cluster.tell("d", deployment(of=template("1")))
    cluster.happen("p", pod("cart-old-1", replicaset="cart-old"))

    cluster.begin_list("p")
    cluster.tell("r", OLD)
    cluster.finish_list("p")

    assert cluster.watch("p").behind
    assert cluster.look() is None
    cluster.sync()
    assert len(cluster.shown().pods) == 1


def test_a_label_on_a_deployment_that_has_long_been_there_brings_all_of_it() -> None:
    cluster = Cluster()
    rolled_out(cluster)

    cluster.tell("d", deployment(of=template("1"), labels=GUARDED))

    assert cluster.look() is None
    cluster.sync()
    assert CART in cluster.marked
    assert len(cluster.shown().pods) == 1


def test_a_name_that_is_followed_from_now_on_brings_all_of_it() -> None:
    cluster = Cluster()
    rolled_out(cluster)

    cluster.follow("cart")

    assert cluster.watch("d").behind
    cluster.sync()
    assert len(cluster.shown().pods) == 1


def test_following_what_is_kept_already_lists_nothing_anew() -> None:
    cluster = Cluster("cart")
    rolled_out(cluster)

    cluster.follow("cart")

    assert not any(cluster.watch(kind).behind for kind in "drp")


# What ends.


def test_a_deployment_that_was_deleted_is_gone_once() -> None:
    cluster = Cluster("cart")
    rolled_out(cluster)
    cluster.shown()

    cluster.delete("d", deployment())

    assert cluster.look() == Gone(CART, AT)
    assert cluster.look() is None


def test_a_deployment_that_a_list_holds_no_longer_is_gone() -> None:
    cluster = Cluster("cart")
    rolled_out(cluster)
    cluster.shown()
    for kind in "drp":
        cluster.objects[kind].clear()
        cluster.list(kind)

    assert cluster.look() == Gone(CART, AT)
    assert cluster.kept == (0, 0, 0)


def test_what_was_never_shown_is_not_gone() -> None:
    cluster = Cluster("cart")
    rolled_out(cluster)

    cluster.delete("d", deployment())

    assert cluster.look() is None


def test_a_new_object_under_an_old_name_is_shown_as_what_it_is() -> None:
    cluster = Cluster("cart")
    rolled_out(cluster)
    cluster.shown()
    cluster.delete("d", deployment())
    again = deployment(of=template("1"), metadata={"uid": "uid-again"})
    held = replicaset("next", of=template("1"))
    held["metadata"]["ownerReferences"][0]["uid"] = "uid-again"

    cluster.tell("d", again)
    cluster.tell("r", held)

    seen = cluster.shown()
    assert (seen.uid, seen.pods) == ("uid-again", ())
    assert cluster.view.uid_of(CART) == "uid-again"


def test_a_workload_that_is_followed_no_longer_is_shown_once_more_and_then_let_go() -> None:
    cluster = Cluster()
    rolled_out(cluster, labels=GUARDED)
    cluster.shown()

    cluster.tell("d", deployment(of=template("1")))

    last = cluster.shown()
    assert (last.opted_in, len(last.pods)) == (False, 1)
    assert cluster.kept == (1, 0, 0)
    cluster.tell("d", deployment(of=template("1"), replicas=5))
    assert cluster.look() is None
    cluster.delete("d", deployment())
    assert cluster.look() == Gone(CART, AT)


def test_a_name_that_an_slo_file_drops_is_let_go_and_can_come_back() -> None:
    cluster = Cluster("cart")
    rolled_out(cluster)
    cluster.shown()
    cluster.marked.clear()

    cluster.follow()
    assert cluster.marked == [CART]
    cluster.shown()
    assert cluster.kept == (1, 0, 0)

    cluster.follow("cart")
    cluster.sync()
    assert len(cluster.shown().pods) == 1


def test_every_deployment_there_is_can_be_named_followed_or_not() -> None:
    cluster = Cluster("cart")
    rolled_out(cluster)
    other = deployment("other")
    cluster.tell("d", other)

    assert cluster.view.existing() == {CART, WorkloadId("kubernetes", "shop", "other")}
    cluster.delete("d", deployment())
    assert CART not in cluster.view.existing()


# What is told.


def test_a_mode_that_cannot_be_read_is_told_once() -> None:
    cluster = Cluster("cart")

    with capture_logs() as logs:
        for replicas in (1, 2):
            labels = {"deployment-guard.io/mode": "acts"}
            cluster.tell("d", deployment(labels=labels, replicas=replicas))

    assert [(one["event"], one["found"]) for one in logs] == [
        ("mode label unknown, observe is taken", "acts")
    ]


def test_a_change_that_the_guard_does_not_look_at_is_no_change() -> None:
    cluster = Cluster("cart")
    rolled_out(cluster)
    cluster.marked.clear()

    cluster.tell("d", deployment(of=template("1"), annotations={"seen": "x"}))
    cluster.tell("p", pod("cart-old-1", replicaset="cart-old", metadata={"labels": {"x": "y"}}))

    assert cluster.marked == []


def test_a_pod_of_a_followed_workload_marks_it() -> None:
    cluster = Cluster("cart")
    rolled_out(cluster)
    cluster.marked.clear()

    cluster.tell("p", pod("cart-old-1", replicaset="cart-old", ready=False))

    assert cluster.marked == [CART]
    assert cluster.shown().pods[0].ready_at is not None


# In any order, with lists in between: never anything missed.


NAMES = st.sampled_from(["cart", "auth"])


class AnyOrder(RuleBasedStateMachine):
    """Three connections deliver what happened at their own pace, each in order.

    Whatever the interleaving, once everything was delivered and every list that was asked for was
    taken in, the guard sees exactly what one who lists everything at that moment sees.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.queues: dict[str, list[tuple[str, Object]]] = {"d": [], "r": [], "p": []}
        self.names = ("cart", "auth")
        self.versions: dict[str, int] = {}
        self.followed: frozenset[str] = frozenset()

    @initialize(followed=st.frozensets(NAMES))
    def begin(self, followed: frozenset[str]) -> None:
        self.followed = followed
        self.cluster.follow(*followed)

    # The cluster changes.

    def change(self, kind: str, obj: Object) -> None:
        self.cluster.happen(kind, obj)
        self.queues[kind].append(("put", obj))

    def remove(self, kind: str, obj: Object) -> None:
        if self.cluster.objects[kind].pop(obj["metadata"]["uid"], None) is not None:
            self.queues[kind].append(("remove", obj))

    @rule(name=NAMES, guarded=st.booleans(), number=st.integers(1, 2), pods=st.integers(0, 2))
    def release(self, name: str, number: int, pods: int, *, guarded: bool) -> None:
        labels = GUARDED if guarded else None
        of, owner = template(str(number)), f"{name}-{number}"
        self.change("d", deployment(name, of=of, number=number, labels=labels))
        self.change("r", replicaset(str(number), of=of, number=number, deployment=name))
        for index in range(pods):
            self.change("p", pod(f"{owner}-{index}", replicaset=owner))

    @rule(kind=st.sampled_from("drp"), index=st.integers(0, 9))
    def lose(self, kind: str, index: int) -> None:
        objects = list(self.cluster.objects[kind].values())
        if objects:
            self.remove(kind, objects[index % len(objects)])

    @rule(followed=st.frozensets(NAMES))
    def follow(self, followed: frozenset[str]) -> None:
        self.followed = followed
        self.cluster.follow(*followed)

    # The guard learns of it.

    @rule(kinds=st.permutations("drp"), count=st.integers(1, 9))
    def deliver(self, kinds: list[str], count: int) -> None:
        for kind in kinds:
            self.deliver_some(kind, count)

    def deliver_some(self, kind: str, count: int) -> None:
        for _ in range(min(count, len(self.queues[kind]))):
            what, obj = self.queues[kind].pop(0)
            getattr(self.cluster.shelf(kind), what)(raw(obj))

    @rule(kind=st.sampled_from("drp"), count=st.integers(0, 9))
    def list_anew(self, kind: str, count: int) -> None:
        """A list holds all that happened; what was on its way before is never delivered.

        The other watches go on meanwhile.
        """
        self.queues[kind].clear()
        self.cluster.begin_list(kind)
        for other in "drp".replace(kind, ""):
            self.deliver_some(other, count)
        self.cluster.finish_list(kind)

    @rule()
    def look(self) -> None:
        for name in self.names:
            self.cluster.look(WorkloadId("kubernetes", "shop", name))

    @invariant()
    def in_the_end_everything_is_seen(self) -> None:
        """Delivers nothing itself: asks only where everything was delivered."""
        behind = any(self.cluster.watch(kind).behind for kind in "drp")
        if behind or any(self.queues.values()):
            return
        fresh = Cluster(*self.followed, listed=False)
        fresh.objects = self.cluster.objects
        fresh.sync()
        for name in self.names:
            workload = WorkloadId("kubernetes", "shop", name)
            found = fresh.look(workload)
            seen = self.cluster.look(workload)
            if isinstance(found, Snapshot):
                assert isinstance(seen, Snapshot)
                assert forgetful(seen) == forgetful(found)
            elif f"uid-{name}" not in self.cluster.objects["d"]:
                assert not isinstance(seen, Snapshot)

    def teardown(self) -> None:
        for kind in "drp":
            self.deliver_some(kind, 1000)
        self.cluster.sync()
        self.in_the_end_everything_is_seen()


def forgetful(seen: Snapshot) -> Snapshot:
    """Without what only one who watched can know."""
    return replace(seen, pods=tuple(replace(one, ready_at=None) for one in seen.pods))


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=20, deadline=None)
