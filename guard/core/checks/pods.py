"""Check *pods*: the platform reports no trouble with the candidate's pods (decisions.md, E).

The platform's own words are the reason that is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from guard.core.findings import Finding, Reason, Verdict
from guard.core.policy import Pods
from guard.core.ticks import Frame, Tick
from guard.core.workloads import Container, Pod

IMAGE_INVALID = frozenset({"InvalidImageName"})
IMAGE_PULL = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"}
)
IMAGE_ABSENT = frozenset({"ErrImageNeverPull"})
NOT_FOUND_WORDS = ("not found", "manifest unknown", "does not exist", "no such image")
MAYBE_WORDS = ("may require", "denied", "unauthorized", "authorization")
"""A registry that asks for credentials says "does not exist" too: that may be an expired one."""
CONFIG_ERROR = frozenset({"CreateContainerConfigError"})
CREATING = frozenset({"ContainerCreating", "PodInitializing", "CreateContainerError"})
OUT_OF_MEMORY = "OOMKilled"

PULL_AFTER = 60.0
CONFIG_AFTER = 10.0
CREATING_AFTER = 120.0
READY_WITHIN_AT_MOST = 300.0
EXITS_TO_FAIL = 2
"""Non-zero exits of one container, or of two pods, that make a crash loop."""

Trouble = tuple[Verdict, Reason, str]


@dataclass(frozen=True, slots=True)
class Exits:
    """Exits of one container that were seen during this rollout.

    Attributes:
        restarts: the restart count that was last taken in.
        bad: non-zero exits; `memory` those for want of memory; `at` of the newest.
    """

    restarts: int = 0
    bad: int = 0
    memory: int = 0
    at: float = -1.0


@dataclass(frozen=True, slots=True)
class PodsState:
    """Troubles by `pod uid/container/word` with since when, and exits by `pod uid/container`."""

    kind: Literal["pods"]
    check: Pods
    began_at: float
    since: Mapping[str, float] = field(default_factory=dict)
    exits: Mapping[str, Exits] = field(default_factory=dict)
    pulled: bool = False


def begin(check: Pods, frame: Frame) -> PodsState:
    """Start with nothing known."""
    return PodsState(kind="pods", check=check, began_at=frame.began_at)


def update(state: PodsState, tick: Tick) -> PodsState:
    """Take the snapshot in: new exits, and since when each container waits with which word."""
    since: dict[str, float] = {}
    exits = dict(state.exits)
    pulled = state.pulled
    for pod in tick.snapshot.pods:
        for container in pod.containers:
            key = f"{pod.uid}/{container.name}"
            if container.waiting and not pod.ready:
                word = f"{key}/{_group(container)}"
                since[word] = state.since.get(word, tick.at)
            exits[key] = _exits(exits.get(key), container, state.began_at)
            pulled = pulled or _started(container, state.began_at)
    living = {pod.uid for pod in tick.snapshot.pods}
    exits = {key: value for key, value in exits.items() if key.partition("/")[0] in living}
    return replace(state, since=since, exits=exits, pulled=pulled)


def _group(container: Container) -> str:
    """One word for a trouble whose own word flips to and fro (ErrImagePull, ImagePullBackOff)."""
    waiting = container.waiting or ""
    return "image" if waiting in IMAGE_PULL else waiting


def _started(container: Container, began_at: float) -> bool:
    return container.started_at is not None and container.started_at >= began_at


def _exits(before: Exits | None, container: Container, began_at: float) -> Exits:
    before = before or Exits()
    last = container.last_exit
    if last is None or last.at <= before.at or last.at + 1.0 < began_at or last.code == 0:
        return replace(before, restarts=container.restarts)
    # Exits between two snapshots show only as a restart count that moved by more than one.
    new = max(container.restarts - before.restarts, 1) if before.at >= 0 else 1
    memory = 1 if last.reason == OUT_OF_MEMORY else 0
    return Exits(
        restarts=container.restarts,
        bad=before.bad + new,
        memory=before.memory + memory,
        at=last.at,
    )


def find(state: PodsState, tick: Tick) -> Finding:
    """Say the worst trouble of the candidate's pods; PASS when all desired pods are ready."""
    pods = [p for p in tick.snapshot.pods if p.revision in tick.candidate and p.deleted_at is None]
    troubles = [trouble for pod in pods for trouble in _troubles(state, tick, pod)]
    troubles += _of_all(state, tick, pods)
    ready = sum(1 for pod in pods if pod.ready)
    due = tick.snapshot.due(tick.candidate)
    if ready >= due:
        # The object of an evicted pod stays for long after another pod took its place.
        troubles = [trouble for trouble in troubles if trouble[1] is not Reason.EVICTED]
    for answer in (Verdict.FAIL, Verdict.WAIT):
        worst = next((trouble for trouble in troubles if trouble[0] is answer), None)
        if worst is not None:
            hold = worst[1] in (Reason.UNSCHEDULABLE, Reason.REPLICA_FAILURE)
            return _found(state, tick, pods, worst, hold=hold)
    text = f"{ready} of {due} pods ready"
    if ready < due:
        waits = next((words for pod in pods if (words := _waits(state, tick, pod))), "")
        text = f"{text}; {waits}" if waits else text
        return _found(state, tick, pods, (Verdict.WAIT, Reason.NOT_READY_YET, text))
    return _found(state, tick, pods, (Verdict.PASS, Reason.INSIDE_BOUND, text))


def _troubles(state: PodsState, tick: Tick, pod: Pod) -> list[Trouble]:
    if pod.evicted:
        return [(Verdict.WAIT, Reason.EVICTED, f"{pod.name}: {pod.evicted}, not the release's")]
    if pod.unschedulable:
        text = f"{pod.name} cannot be placed: {pod.unschedulable}"
        return [(Verdict.WAIT, Reason.UNSCHEDULABLE, text)]
    found = [_waiting(state, tick, pod, c) for c in pod.containers if c.waiting and not pod.ready]
    found += [_exited(state, tick, pod, container) for container in pod.containers]
    found.append(_late(state, tick, pod))
    return [trouble for trouble in found if trouble is not None]


def _lasted(state: PodsState, tick: Tick, pod: Pod, container: Container) -> float:
    """Seconds for which a container has waited with one word."""
    key = f"{pod.uid}/{container.name}/{_group(container)}"
    return tick.at - state.since.get(key, tick.at)


def _words(pod: Pod, container: Container) -> str:
    where = f"{pod.name}, container {container.name}: {container.waiting}"
    return f"{where} ({container.message})" if container.message else where


def _waits(state: PodsState, tick: Tick, pod: Pod) -> str:
    """What keeps a pod from being ready, in the platform's words; the longest wait first."""
    waiting = [c for c in pod.containers if c.waiting and not pod.ready]
    if not waiting:
        return ""
    longest = max(waiting, key=lambda one: _lasted(state, tick, pod, one))
    return f"{_words(pod, longest)} for {_lasted(state, tick, pod, longest):.0f} s"


def _waiting(state: PodsState, tick: Tick, pod: Pod, container: Container) -> Trouble | None:
    word = container.waiting or ""
    lasted = _lasted(state, tick, pod, container)
    text = _words(pod, container)
    if word in IMAGE_INVALID:
        return Verdict.FAIL, Reason.IMAGE_INVALID, text
    if word in IMAGE_ABSENT or (word in IMAGE_PULL and _not_found(container.message.lower())):
        return Verdict.FAIL, Reason.IMAGE_NOT_FOUND, text
    if word in IMAGE_PULL and lasted >= PULL_AFTER and state.pulled:
        return Verdict.FAIL, Reason.IMAGE_PULL, f"{text} for {lasted:.0f} s, others can be pulled"
    if word in CONFIG_ERROR and lasted >= CONFIG_AFTER:
        return Verdict.FAIL, Reason.CONFIG_ERROR, f"{text} for {lasted:.0f} s"
    if word in CREATING and lasted >= CREATING_AFTER:
        return Verdict.FAIL, Reason.CREATING, f"{text} for {lasted:.0f} s"
    return None


def _not_found(message: str) -> bool:
    if any(words in message for words in MAYBE_WORDS):
        return False
    return any(words in message for words in NOT_FOUND_WORDS)


def _exited(state: PodsState, tick: Tick, pod: Pod, container: Container) -> Trouble | None:
    mine = state.exits.get(f"{pod.uid}/{container.name}", Exits())
    if not mine.bad:
        return None
    last = container.last_exit
    words = f"{last.reason}, exit code {last.code}" if last else "non-zero exit"
    where = f"{pod.name}, container {container.name}: {words}"
    if mine.memory:
        return _memory(state, tick, where)
    crashed = _pods_with_exits(state, tick.candidate, tick)
    if mine.bad >= EXITS_TO_FAIL:
        return Verdict.FAIL, Reason.CRASH_LOOP, f"{where}, {mine.bad} times"
    if crashed >= EXITS_TO_FAIL:
        return Verdict.FAIL, Reason.CRASH_LOOP, f"{where}, in {crashed} pods"
    return None


def _memory(state: PodsState, tick: Tick, where: str) -> Trouble | None:
    mine = _memory_kills(state, tick.candidate, tick)
    stable = _memory_kills(state, tick.stable, tick)
    if mine >= EXITS_TO_FAIL and mine > stable:
        return Verdict.FAIL, Reason.OUT_OF_MEMORY, f"{where}, {mine} times, stable {stable}"
    return None


def _memory_kills(state: PodsState, hashes: frozenset[str], tick: Tick) -> int:
    uids = {pod.uid for pod in tick.snapshot.pods if pod.revision in hashes}
    return sum(e.memory for key, e in state.exits.items() if key.partition("/")[0] in uids)


def _pods_with_exits(state: PodsState, hashes: frozenset[str], tick: Tick) -> int:
    uids = {pod.uid for pod in tick.snapshot.pods if pod.revision in hashes}
    crashed = {key.partition("/")[0] for key, e in state.exits.items() if e.bad}
    return len(uids & crashed)


def _late(state: PodsState, tick: Tick, pod: Pod) -> Trouble | None:
    within = ready_within(state.check, tick)
    waited = tick.at - max(pod.created_at, state.began_at)
    if pod.ready_at is not None or pod.ready or waited < within:
        return None
    text = f"{pod.name} is not ready {waited:.0f} s after it was created, allowed are {within:.0f}"
    waits = _waits(state, tick, pod)
    text = f"{text}; {waits}" if waits else text
    return Verdict.FAIL, Reason.NOT_READY_IN_TIME, text


def ready_within(check: Pods, tick: Tick) -> float:
    """Seconds that a candidate pod may take until it is ready."""
    if check.ready_within is not None:
        return check.ready_within
    return min(tick.snapshot.progress_deadline, READY_WITHIN_AT_MOST)


def _of_all(state: PodsState, tick: Tick, pods: list[Pod]) -> list[Trouble]:
    failure = tick.snapshot.replica_failure
    if failure and len(pods) < tick.snapshot.due(tick.candidate) and state.began_at <= tick.at:
        return [(Verdict.WAIT, Reason.REPLICA_FAILURE, f"pods cannot be created: {failure}")]
    return []


def _found(
    state: PodsState, tick: Tick, pods: list[Pod], trouble: Trouble, *, hold: bool = False
) -> Finding:
    answer, reason, text = trouble
    ready = sum(1 for pod in pods if pod.ready)
    return Finding(
        check=state.check.name,
        kind="pods",
        answer=answer,
        reason=reason,
        text=text,
        hold=hold,
        numbers={"ready": float(ready), "desired": float(tick.snapshot.due(tick.candidate))},
    )
