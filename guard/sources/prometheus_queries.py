"""The text of the queries for counters: raw samples of bare selectors, never `rate()`.

The law of this module: one query selects everything that one reading needs (bad, total, the
process' start and whether the target answers), so that one server answers all of it, as of one
moment. So the selector has to let through what lacks a label that only the counter has; whether a
series is really bad or total is told afterwards, by its labels (`prometheus_join.py`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from guard.config import regexes
from guard.core.buckets import bucket_pattern
from guard.core.policy import Latency, Matcher, MatchOp
from guard.sources.prometheus_answers import NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from guard.core.policy import Sli
    from guard.core.workloads import Pod

UP: Final = "up"
"""Of every scrape: 1 if the target answered. It has the target's labels and no others."""
PROCESS_START: Final = "process_start_time_seconds"
INTERVALS_TO_STALE: Final = 2.5
"""Scrape intervals after which a sample says nothing any more: one scrape may be lost."""
STALE_AT_LEAST: Final = 5.0
"""Seconds; a scrape may take its time, and a remote write too."""

_META: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")
_PLAIN_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Question:
    """What all rollouts ask alike that look at the same metrics: they share its queries.

    Attributes:
        metrics: the counters' names, bad and total.
        matchers: the matchers of both, loosened so that they let through what has no such label.
    """

    metrics: tuple[str, ...]
    matchers: tuple[Matcher, ...]


@lru_cache(maxsize=1024)
def question(sli: Sli) -> Question:
    """The question that an indicator asks. Bad requests are told from the others by their labels.

    Where bad and total are two metrics only the matchers that both have are sent. Of a histogram's
    buckets only that of the threshold is asked for.
    """
    total, told_by = sli.selectors
    if told_by.metric == total.metric:
        shared = total.matchers
    else:
        shared = tuple(m for m in total.matchers if m in told_by.matchers)
    if isinstance(sli, Latency):
        shared = (*shared, Matcher("le", MatchOp.REGEX, bucket_pattern(sli.bound)))
    loosened = (_loosened(matcher) for matcher in shared)
    metrics = tuple(sorted({told_by.metric, total.metric}))
    return Question(metrics, tuple(matcher for matcher in loosened if matcher is not None))


def _loosened(matcher: Matcher) -> Matcher | None:
    """The matcher that also lets through what has no such label; None: it then says nothing."""
    value = matcher.value
    match matcher.op:
        case MatchOp.EQUAL if value:
            return Matcher(matcher.label, MatchOp.REGEX, f"{escaped(value)}|")
        case MatchOp.REGEX:
            return Matcher(matcher.label, MatchOp.REGEX, f"(?:{value})|")
        case MatchOp.NOT_EQUAL if not value:
            return None
        case MatchOp.NOT_REGEX if regexes.matches(value, ""):
            return None
        case _:
            return matcher


def stale_after(interval: float) -> float:
    """Seconds after which a sample is stale, by the scrape interval."""
    return max(INTERVALS_TO_STALE * interval, STALE_AT_LEAST)


def queries_by_name(
    asked: Question, pods: Sequence[Pod], window: float, room: int
) -> Iterator[tuple[str, tuple[Pod, ...]]]:
    """The queries for these pods by the labels `namespace` and `pod`, and whom each is about.

    Args:
        asked: the question.
        pods: the pods.
        window: how far back the samples go, seconds.
        room: characters that one query may have.
    """

    def written(part: Sequence[Pod]) -> str:
        return _query(
            asked,
            window,
            _one_of("namespace", sorted({pod.namespace for pod in part})),
            _one_of("pod", sorted(pod.name for pod in part)),
        )

    costs = [(len(quoted(escaped(p.name))) + len(p.namespace) + 2, p) for p in _ordered(pods)]
    for part in _parts(costs, room - len(written(()))):
        yield written(part), part


def queries_by_address(
    asked: Question, pods: Sequence[Pod], window: float, room: int
) -> Iterator[tuple[str, tuple[Pod, ...]]]:
    """The same by the address in the label `instance`, for pods that have one."""

    def written(part: Sequence[Pod]) -> str:
        hosts = "|".join(sorted({_host(pod) for pod in part}))
        matcher = Matcher("instance", MatchOp.REGEX, f"(?:{hosts})(?::[0-9]+)?")
        return _query(asked, window, matcher)

    addressed = [pod for pod in _ordered(pods) if pod.address]
    costs = [(len(quoted(_host(pod))) + 1, pod) for pod in addressed]
    for part in _parts(costs, room - len(written(()))):
        yield written(part), part


def _ordered(pods: Sequence[Pod]) -> list[Pod]:
    return sorted(pods, key=lambda pod: (pod.namespace, pod.name))


def _host(pod: Pod) -> str:
    host = escaped(pod.address or "")
    return f"\\[?{host}\\]?" if ":" in host else host


def _parts(costs: Sequence[tuple[int, Pod]], room: int) -> Iterator[tuple[Pod, ...]]:
    """As few parts as there is room for, by what each pod costs."""
    part: list[Pod] = []
    used = 0
    for cost, pod in costs:
        if part and used + cost > room:
            yield tuple(part)
            part, used = [], 0
        part.append(pod)
        used += cost
    if part:
        yield tuple(part)


def _query(asked: Question, window: float, *more: Matcher) -> str:
    names = _one_of(NAME, (*asked.metrics, PROCESS_START, UP))
    text = ",".join(matcher_text(matcher) for matcher in (names, *asked.matchers, *more))
    return f"{{{text}}}[{math.ceil(window * 1000)}ms]"


def _one_of(label: str, values: Iterable[str]) -> Matcher:
    return Matcher(label, MatchOp.REGEX, alternation(values))


def alternation(values: Iterable[str]) -> str:
    """A regular expression that matches just these values."""
    return "|".join(escaped(value) for value in values)


def escaped(value: str) -> str:
    """A regular expression (RE2) that matches just this value."""
    return _META.sub(r"\\\g<0>", value)


def matcher_text(matcher: Matcher) -> str:
    """A matcher as PromQL writes it."""
    plain = _PLAIN_LABEL.fullmatch(matcher.label)
    label = matcher.label if plain else f'"{quoted(matcher.label)}"'
    return f'{label}{matcher.op.value}"{quoted(matcher.value)}"'


def quoted(value: str) -> str:
    """The inside of a PromQL string in double quotes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
