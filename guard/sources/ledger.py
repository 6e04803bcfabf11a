"""The guard's own requests, written down so that they are never taken for users' (Counting 7).

The law of this module: a request that may have reached a pod is in the ledger, and what the ledger
does not know (what a guard before this one sent) it says that it does not know.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HISTORY: Final = 600.0
"""Seconds for which the time of each request is kept; Prometheus' samples are looked up by it, and
it looks back 5 min at most. Older requests are only counted."""
UNANSWERED_FOR: Final = 60.0
"""Seconds for which a request that was given up may still be counted: a server that hung works its
queue off when it comes back."""
UNTOUCHED: Final = 3600.0
"""Seconds after which a pod that nobody asks about is forgotten; the guard's polls are 5 s apart
at most."""
_FOLD: Final = 64


@dataclass(slots=True)
class _Times:
    """When requests ended: a count of the older ones, and the times of the newer ones, sorted."""

    base: int = 0
    newer: list[float] = field(default_factory=list)

    def add(self, at: float) -> None:
        insort(self.newer, at)
        old = bisect_left(self.newer, at - HISTORY)
        if old >= _FOLD:
            self.base += old
            del self.newer[:old]

    def until(self, at: float) -> int:
        return self.base + bisect_right(self.newer, at)

    def between(self, after: float, until: float) -> list[float]:
        return self.newer[bisect_right(self.newer, after) : bisect_right(self.newer, until)]


@dataclass(slots=True)
class _Sent:
    """What was sent to one container; `""`: to one that nobody knows."""

    all: _Times = field(default_factory=_Times)
    bad: _Times = field(default_factory=_Times)
    unanswered: _Times = field(default_factory=_Times)


@dataclass(slots=True)
class _Pod:
    since: float
    touched: float
    containers: dict[str, _Sent] = field(default_factory=dict)


class Ledger:
    """Counts the HTTP requests that the guard itself sent, by pod and container."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """Begin now: what was sent before is not known."""
        self._pods: dict[str, _Pod] = {}
        self._since = self._swept_at = now()

    def note(
        self, pod_uid: str, at: float, *, bad: bool, answered: bool = True, container: str = ""
    ) -> None:
        """Write down that one request to a pod ended.

        Args:
            pod_uid: the pod that was asked.
            at: when it ended, seconds since the epoch.
            bad: it was answered with a status of 400 or more.
            answered: False where it was sent and given up: the pod may count it later.
            container: the container that was asked, where it is known.
        """
        sent = self._pod(pod_uid, at).containers.setdefault(container, _Sent())
        sent.all.add(at)
        if bad:
            sent.bad.add(at)
        if not answered:
            sent.unanswered.add(at)

    def sent(self, pod_uid: str, at: float, container: str | None = None) -> tuple[int, int]:
        """The cumulative numbers of requests that ended up to `at`, `at` included.

        Args:
            pod_uid: the pod that was asked.
            at: seconds since the epoch; exact for the last `HISTORY` seconds.
            container: leave out what is known to have gone to other containers of the pod.

        Returns:
            How many were sent, and how many of them were bad.
        """
        ours = self._ours(pod_uid, at, container)
        return sum(one.all.until(at) for one in ours), sum(one.bad.until(at) for one in ours)

    def unanswered(
        self, pod_uid: str, at: float, container: str | None = None
    ) -> tuple[int, float]:
        """How many requests were given up within `UNANSWERED_FOR` before `at`.

        Returns:
            The number, and the seconds from the first of them to the last.
        """
        ours = self._ours(pod_uid, at, container)
        times = [time for one in ours for time in one.unanswered.between(at - UNANSWERED_FOR, at)]
        return len(times), max(times) - min(times) if times else 0.0

    def known_since(self, pod_uid: str) -> float:
        """From when on the ledger knows every request to this pod, seconds since the epoch."""
        pod = self._pods.get(pod_uid)
        return self._since if pod is None else pod.since

    def keep(self, uids: Iterable[str]) -> None:
        """Forget every pod but these."""
        wanted = set(uids)
        self._pods = {uid: pod for uid, pod in self._pods.items() if uid in wanted}

    def _ours(self, pod_uid: str, at: float, container: str | None) -> list[_Sent]:
        containers = self._pod(pod_uid, at).containers
        if container is None:
            return list(containers.values())
        return [containers[name] for name in {container, ""} if name in containers]

    def _pod(self, uid: str, at: float) -> _Pod:
        self._sweep(at)
        pod = self._pods.setdefault(uid, _Pod(self._since, at))
        pod.touched = max(pod.touched, at)
        return pod

    def _sweep(self, at: float) -> None:
        """Forget pods that nobody asked about for long; they are gone."""
        if at < self._swept_at + UNTOUCHED:
            return
        kept = {uid: pod for uid, pod in self._pods.items() if pod.touched > at - UNTOUCHED}
        if len(kept) < len(self._pods):
            # One that comes back all the same is a pod of which the past is not known.
            self._since = at
        self._pods = kept
        self._swept_at = at
